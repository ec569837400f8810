"""The tables of reporting standards: complete, up to date, every link to a file that is there."""

from __future__ import annotations

import re
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SPEC = spec_from_file_location("standards", ROOT / "scripts" / "reporting_standards.py")
assert SPEC is not None
assert SPEC.loader is not None
standards = module_from_spec(SPEC)
sys.modules["standards"] = standards
SPEC.loader.exec_module(standards)


@pytest.mark.parametrize("standard", list(standards.STANDARDS))
def test_table(standard: str) -> None:
    answers = standards.read(standard)
    assert len(answers) == standards.STANDARDS[standard][2]
    page = ROOT / "docs" / "reference" / f"{standard}.md"
    text = standards.table(standard)
    # A moved file changes the links: run python scripts/reporting_standards.py
    assert page.read_text("utf-8") == text
    for target in re.findall(r"\]\(([^)]+)\)", text):
        assert (page.parent / target).resolve().is_file(), target


def test_a_name_that_no_file_has() -> None:
    with pytest.raises(ValueError, match="0 files of this name"):
        standards.find("nowhere.md")
