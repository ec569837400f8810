"""Compare the results of `nanoray predict --format json` from two machines.

    python scripts/compare_results.py HERE.json THERE.json [--vectors tests/vectors/expected.json]

Prints a table of the differences. Exit status 1 where a probability differs by more than 0.002, a
logit by more than 0.02 (or from the test vectors by more than the file's own tolerance), or a
decision or the code of an error differs.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

PROBABILITY_TOLERANCE = 0.002
LOGIT_TOLERANCE = 0.02


def main() -> None:
    """Compare two files of results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("here", type=Path)
    parser.add_argument("there", type=Path)
    parser.add_argument("--vectors", type=Path, help="expected values of the files by name")
    options = parser.parse_args()
    vectors = json.loads(options.vectors.read_text())["files"] if options.vectors else {}
    rows, faults = compare(
        json.loads(options.here.read_text()), json.loads(options.there.read_text()), vectors
    )
    for row in rows:
        print(row)
    for fault in faults:
        print(f"different: {fault}", file=sys.stderr)
    sys.exit(bool(faults))


def compare(
    here: dict[str, Any], there: dict[str, Any], vectors: dict[str, Any]
) -> tuple[list[str], list[str]]:
    """Rows of a Markdown table, and the differences beyond the tolerances in words."""
    rows = ["| file | probability | difference | difference of logits |", "|---|---|---|---|"]
    faults: list[str] = []
    other = {result["source"]: result for result in there["results"]}
    if other.keys() != {result["source"] for result in here["results"]}:
        faults.append("not the same files were readable")
    for result in here["results"]:
        name = result["source"]
        if name not in other:
            continue
        found = other[name]
        moved = abs(found["probability"] - result["probability"])
        logit = abs(found["logit"] - result["logit"])
        rows.append(f"| {name} | {result['probability']:.4f} | {moved:.1e} | {logit:.1e} |")
        if moved > PROBABILITY_TOLERANCE:
            faults.append(f"{name}: probability by {moved:.4f}")
        if logit > LOGIT_TOLERANCE:
            faults.append(f"{name}: logit by {logit:.4f}")
        if found["decision"] != result["decision"]:
            faults.append(f"{name}: {result['decision']!r} here, {found['decision']!r} there")
        expected = vectors.get(Path(name).name)
        # Of a prediction, which has a border cut off; `logit` is that of the whole square.
        wanted = expected["predicted_logit"] if expected else found["logit"]
        if expected and abs(found["logit"] - wanted) > expected["logit_tolerance"]:
            faults.append(f"{name}: logit {found['logit']}, expected {wanted}")
    codes = [{e["source"]: e["code"] for e in results["errors"]} for results in (here, there)]
    rows += [f"| {name} | refused: {code} | | |" for name, code in codes[0].items()]
    if codes[0] != codes[1]:
        faults.append(f"refused here {codes[0]}, there {codes[1]}")
    if not here["results"]:
        faults.append("no file was readable: nothing to compare")
    return rows, faults


if __name__ == "__main__":
    main()
