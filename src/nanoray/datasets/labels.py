"""A CSV of labelled files: which radiographs of a site have the finding, and their patients."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from nanoray.datasets.tables import open_table
from nanoray.errors import DataSetError

_FILE = ("file", "path", "source", "image", "patientid")
_PERSON = ("patient", "source_patient")


@dataclass(frozen=True, slots=True)
class LabelledFile:
    """A row of the table: the name of the file, its target (1 or 0), and the patient."""

    name: str
    target: int
    patient: str


def read_labels(table: Path) -> list[LabelledFile]:
    """Read a CSV with `file`, `target` (1 with the finding, 0 without) and, optionally, `patient`.

    Without a patient, every file counts as a separate patient. Upper and lower case of the column
    names do not matter. The columns `path`, `source`, `image` and `patientId` can also name a file.

    Raises:
        DataSetError: a missing column, a target that is neither 0 nor 1, a file named twice, or no
            rows.
    """
    rows: list[LabelledFile] = []
    with open_table(table) as reader:
        names = {name.strip().casefold(): name for name in reader.fieldnames or () if name}
        place = next((names[key] for key in _FILE if key in names), None)
        if place is None or "target" not in names:
            raise DataSetError(f"{table}: needs the columns file and target")
        person = next((names[key] for key in _PERSON if key in names), None)
        seen: set[str] = set()
        for number, row in enumerate(reader, start=2):
            target, name = (row[names["target"]] or "").strip(), (row[place] or "").strip()
            if target not in ("0", "1") or not name:
                raise DataSetError(f"{table}, line {number}: the target must be 0 or 1, of a file")
            if name in seen:
                raise DataSetError(f"{table}, line {number}: this file has a label already")
            seen.add(name)
            rows.append(LabelledFile(name, int(target), (person and row[person]) or name))
    if not rows:
        raise DataSetError(f"{table}: has no rows")
    return rows


def match_labels(
    labels: Sequence[LabelledFile], files: Sequence[Path], table: Path
) -> list[LabelledFile | None]:
    """Give each file its label, by path, else by name, else by name without the extension.

    Raises:
        DataSetError: a label fits two files, or no file has a label.
    """
    by_path = {str(Path(table.parent, label.name).resolve()): label for label in labels}
    by_name: dict[str, list[LabelledFile]] = {}
    for label in labels:
        for key in {Path(label.name).name, Path(label.name).stem}:
            by_name.setdefault(key, []).append(label)
    found: list[LabelledFile | None] = []
    taken: dict[str, Path] = {}
    for file in files:
        candidates = [by_path[str(file.resolve())]] if str(file.resolve()) in by_path else []
        candidates = candidates or by_name.get(file.name) or by_name.get(file.stem) or []
        match = candidates[0] if len(candidates) == 1 else None
        if match is not None:
            if match.name in taken:
                raise DataSetError(
                    f"{table}: the label of {match.name} fits two files, {taken[match.name]} and "
                    f"{file}; name files by their path relative to the table"
                )
            taken[match.name] = file
        found.append(match)
    if not taken:
        raise DataSetError(f"{table}: its {len(labels)} labels match no file in the folder")
    return found
