"""Write the tables of reporting standards: each item, and where the project answers it.

    python scripts/reporting_standards.py          writes docs/reference/<standard>.md
    python scripts/reporting_standards.py --check  fails where a table is not up to date

The answers are in `docs/reference/standards/<standard>.csv`: item, topic, where, note. A `where`
names a file of the repository by its last part. It is empty if nothing answers the item; the note
then gives the reason. Topics are short paraphrases; the standards' own words are binding.
"""

from __future__ import annotations

import csv
import os
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "docs" / "reference" / "standards"
PLACES = ("docs", "recipes", "models", "scripts", "src/nanoray")

STANDARDS = {
    "claim-2024": (
        "CLAIM 2024",
        "Tejani et al. 2024, Checklist for Artificial Intelligence in Medical Imaging, 2024 Update",
        44,
    ),
    "tripod-ai": (
        "TRIPOD+AI",
        "Collins et al. 2024, TRIPOD+AI statement, BMJ 385",
        52,
    ),
    "stard-ai": (
        "STARD-AI",
        "Sounderajah et al. 2025, STARD-AI reporting guideline, Nature Medicine 31",
        48,
    ),
}


@dataclass(frozen=True, slots=True)
class Answer:
    """One item of a standard: `where` is empty where nothing answers it."""

    item: str
    topic: str
    where: str
    note: str


def read(standard: str) -> list[Answer]:
    """Read a standard's answers.

    Raises:
        ValueError: an item twice, or one without both a place and a note.
    """
    with (SOURCE / f"{standard}.csv").open(newline="", encoding="utf-8") as stream:
        answers = [Answer(**row) for row in csv.DictReader(stream)]
    items = [answer.item for answer in answers]
    if len(set(items)) < len(items):
        raise ValueError(f"{standard}: an item is there twice")
    for answer in answers:
        if not answer.where and not answer.note:
            raise ValueError(f"{standard}: item {answer.item} has neither a place nor a note")
    return answers


def find(name: str) -> Path:
    """Find the one file of the repository with this last part of its path.

    Raises:
        ValueError: none, or several.
    """
    if (ROOT / name).is_file():
        return ROOT / name
    found = {
        path
        for place in PLACES
        for path in (ROOT / place).glob(f"**/{name}")
        if path.is_file() and "standards" not in path.parts
    }
    if len(found) != 1:
        raise ValueError(f"{name}: {len(found)} files of this name")
    return found.pop()


def table(standard: str) -> str:
    """Write the table of a standard."""
    title, source, _ = STANDARDS[standard]
    answers = read(standard)
    answered = sum(bool(answer.where) for answer in answers)
    lines = [
        f"# {title}",
        "",
        f"{source}. {len(answers)} items, {answered} answered; the others state why not. Written "
        "by `scripts/reporting_standards.py`; edit the CSV, not this page. Topics are paraphrases.",
        "",
        "| item | topic | answered in | note |",
        "| --- | --- | --- | --- |",
    ]
    for answer in answers:
        place = "not answered"
        if answer.where:
            path = find(answer.where)
            target = Path(os.path.relpath(path, ROOT / "docs" / "reference")).as_posix()
            place = f"[{path.relative_to(ROOT).as_posix()}]({target})"
        lines.append(f"| {answer.item} | {answer.topic} | {place} | {answer.note} |")
    return "\n".join(lines) + "\n"


def main() -> int:
    """Write the tables, or check them."""
    stale = []
    for standard in STANDARDS:
        page, text = ROOT / "docs" / "reference" / f"{standard}.md", table(standard)
        if "--check" not in sys.argv:
            page.write_text(text, "utf-8")
        elif not page.is_file() or page.read_text("utf-8") != text:
            stale.append(page.name)
    if stale:
        print(f"not up to date: {', '.join(stale)}; run python scripts/reporting_standards.py")
    return int(bool(stale))


if __name__ == "__main__":
    sys.exit(main())
