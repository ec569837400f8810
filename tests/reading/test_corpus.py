"""Every DICOM file of pydicom and pydicom-data is read, or refused for the reason in the table.

`python scripts/corpus_table.py` writes the table anew; look at what changed before it is kept.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from corpus import agrees_with_pydicom, corpus, outcome

TABLE: dict[str, dict[str, object]] = json.loads(
    (Path(__file__).parent / "corpus.json").read_text()
)
FOUND = corpus()
# Other releases of the two packages have some files more or fewer.
NAMES = sorted(TABLE.keys() & FOUND.keys())


def test_the_table_covers_the_corpus() -> None:
    if not any(name.startswith("pydicom-data/") for name in FOUND):
        pytest.skip("pydicom-data is not installed")
    assert len(NAMES) >= 0.9 * len(FOUND)
    assert sum(entry["outcome"] == "read" for entry in TABLE.values()) >= 30


@pytest.mark.parametrize("name", NAMES)
def test_outcome(name: str) -> None:
    assert outcome(FOUND[name]) == TABLE[name]["outcome"]


@pytest.mark.parametrize("name", [name for name in NAMES if TABLE[name].get("as_pydicom")])
def test_grey_values_are_those_of_pydicom(name: str) -> None:
    assert agrees_with_pydicom(FOUND[name])
