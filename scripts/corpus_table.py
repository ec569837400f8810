"""Write tests/reading/corpus.json: what becomes of the DICOM files of pydicom and pydicom-data.

python scripts/corpus_table.py

Differences from the table that is there are printed, so that each can be judged.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

TESTS = Path(__file__).resolve().parent.parent / "tests"
sys.path.insert(0, str(TESTS / "support"))

from corpus import agrees_with_pydicom, corpus, outcome  # noqa: E402


def main() -> None:
    target = TESTS / "reading" / "corpus.json"
    before = json.loads(target.read_text()) if target.is_file() else {}
    table: dict[str, dict[str, object]] = {}
    for name, path in corpus().items():
        entry: dict[str, object] = {"outcome": outcome(path)}
        if entry["outcome"] == "read":
            entry["as_pydicom"] = agrees_with_pydicom(path)
        table[name] = entry
        if before.get(name) != entry:
            print(f"{name}: {before.get(name)} -> {entry}")
    target.write_text(json.dumps(table, indent=1, sort_keys=True) + "\n")
    read = sum(entry["outcome"] == "read" for entry in table.values())
    equal = sum(bool(entry.get("as_pydicom")) for entry in table.values())
    print(f"{len(table)} files: {read} read, {equal} of them compared with pydicom and equal")


if __name__ == "__main__":
    main()
