"""Data sets on disk: a folder with `labels.csv` beside `images/`, or a folder per class."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from nanoray.datasets.tables import open_table
from nanoray.errors import DataSetError
from nanoray.reading.candidates import EXTENSIONS

# Boxes of the RSNA challenge, and of every labels.csv here, are in pixels of this square.
BOX_FRAME = 1024


@dataclass(frozen=True, slots=True)
class Case:
    """One labelled radiograph.

    Attributes:
        path: the image file.
        patient: the patient, the unit to split by.
        class_name: the detailed class, for example "Normal".
        target: 1 lung opacity, 0 none, None if unknown.
        boxes: opacities as (left, top, width, height), fractions of the frame's width and height;
            None if the data set has no boxes.
        view, sex, age: "PA"/"AP", "M"/"F", years; None if unknown.
        source: origin of the image, as named by the data set ("" if unknown).
        columns: the row of labels.csv as text, by column.
    """

    path: Path
    patient: str
    class_name: str
    target: int | None = None
    boxes: tuple[tuple[float, float, float, float], ...] | None = None
    view: str | None = None
    sex: str | None = None
    age: float | None = None
    source: str = ""
    columns: Mapping[str, str] = field(default_factory=dict, compare=False, repr=False)

    @property
    def aspect(self) -> float | None:
        """Width divided by height of the original, from `width` and `height`; None without.

        Some publishers stretch radiographs into squares, and give the size of the original.
        """
        try:
            return float(self.columns["width"]) / float(self.columns["height"])
        except (KeyError, TypeError, ValueError, ZeroDivisionError):
            return None


def read_folder(folder: Path) -> list[Case]:
    """Return the cases of a data set, in a stable order.

    `labels.csv` has a column `patientId` (the image is `images/<patientId>.*`) or `file`, and
    `class_name` or `study_label`. Optional are `Target`, `source_patient` (default: the image
    itself), `sex`, `age`, `view`, `boxes` (JSON list of [x, y, width, height] in pixels of a 1024 x
    1024 frame) and `source`. `width` and `height` of the original are needed if the file has
    another aspect ratio. Without `labels.csv`, every sub-folder is a class.

    Raises:
        DataSetError: no such folder, no cases in it, or a row without its image or with bad values.
    """
    if not folder.is_dir():
        raise DataSetError(f"{folder}: no such folder")
    table = folder / "labels.csv"
    cases = _from_table(folder, table) if table.is_file() else _from_class_folders(folder)
    if not cases:
        raise DataSetError(
            f"{folder}: no cases; expected labels.csv with images/, or class folders"
        )
    return cases


def _from_table(folder: Path, table: Path) -> list[Case]:
    images: dict[str, Path] = {}
    for path in sorted((folder / "images").iterdir() if (folder / "images").is_dir() else ()):
        if path.suffix.lower() in EXTENSIONS:
            images[path.stem] = path
    cases = []
    with open_table(table) as rows:
        for number, row in enumerate(rows, start=2):
            try:
                cases.append(_case(row, images))
            except KeyError as error:
                raise DataSetError(
                    f"{table}, line {number}: no image or column for {error}"
                ) from None
            except DataSetError as error:
                raise DataSetError(f"{table}, line {number}: {error}") from None
            except (TypeError, ValueError):
                raise DataSetError(f"{table}, line {number}: a value has the wrong form") from None
    return cases


def parse_target(text: str | None) -> int | None:
    """Read a target: 1 or 0, None if empty.

    Raises:
        DataSetError: any other value, for example a probability.
    """
    if not (text or "").strip():
        return None
    try:
        value = float(text or "")
    except ValueError:
        value = math.nan
    if value not in (0, 1):
        raise DataSetError(f"the target must be 0 or 1, not {text!r}")
    return int(value)


def _case(row: dict[str, str], images: dict[str, Path]) -> Case:
    stem = row["patientId"] if "patientId" in row else Path(row["file"]).stem
    boxes = None
    if "boxes" in row:
        boxes = tuple(
            (x / BOX_FRAME, y / BOX_FRAME, width / BOX_FRAME, height / BOX_FRAME)
            for x, y, width, height in json.loads(row["boxes"] or "[]")
        )
    age = row.get("age")
    return Case(
        path=images[stem],
        patient=row.get("source_patient") or stem,
        class_name=row.get("class_name") or row.get("study_label") or row["class_name"],
        target=parse_target(row.get("Target")),
        boxes=boxes,
        view=row.get("view") or None,
        sex=row.get("sex") or None,
        age=float(age) if age else None,
        source=row.get("source") or "",
        columns=row,
    )


def _from_class_folders(folder: Path) -> list[Case]:
    return [
        Case(path=path, patient=path.stem, class_name=path.parent.name)
        for path in sorted(folder.rglob("*"))
        if path.suffix.lower() in EXTENSIONS and path.parent != folder
    ]


def select(cases: Sequence[Case], column: str, value: str) -> list[int]:
    """Find the cases whose row of labels.csv has a value in a column.

    Raises:
        DataSetError: no such column, or no such value in it; the message lists the available ones.
    """
    values = [case.columns.get(column) for case in cases]
    found = [index for index, of_case in enumerate(values) if of_case == value]
    if found:
        return found
    names = sorted({name for case in cases for name in case.columns if name})
    if column not in names:
        raise DataSetError(f"labels.csv has no column {column!r}; it has {', '.join(names)}")
    there = sorted({of_case for of_case in values if of_case})
    shown = ", ".join(there[:10]) + (", ..." if len(there) > 10 else "")
    raise DataSetError(f"no image has the {column} {value!r}; there are {shown}")


def class_names(cases: Sequence[Case]) -> tuple[str, ...]:
    """Return the detailed classes that occur, sorted."""
    return tuple(sorted({case.class_name for case in cases}))
