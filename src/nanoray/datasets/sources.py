"""Published layouts of labelled radiographs: Kaggle's RSNA folder, class folders, a CSV table."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from nanoray.datasets.folder import BOX_FRAME, parse_target
from nanoray.datasets.splits import part_named
from nanoray.datasets.tables import open_table
from nanoray.errors import DataSetError
from nanoray.reading.candidates import EXTENSIONS

Box = tuple[float, float, float, float]

RSNA_IMAGES = "stage_2_train_images"
RSNA_LABELS = "stage_2_train_labels.csv"
RSNA_CLASSES = "stage_2_detailed_class_info.csv"

POSITIVE = ("pneumonia", "lung opacity", "lung_opacity", "opacity")
"""Names of classes that are positive by default; case does not matter."""

PATIENT_PATTERN = r"(person\d+_[a-z]+)_\d+|((?:NORMAL2-)?IM-\d+)-\d+"
"""The patient in the file names of Kermany et al. 2018.

Bacterial and viral cases are numbered apart: without the word, 170 of the 202 numbers of the
official test part would be in the training part too; with it, none. Normals have two series.
"""

# Usual names of columns; the first one that exists is used.
_COLUMNS: Mapping[str, tuple[str, ...]] = {
    "image": ("image", "file", "path", "filename", "file_name", "patientId", "image_id"),
    "class": ("class_name", "class", "finding", "diagnosis", "label"),
    "target": ("Target", "target", "label"),
    "patient": ("source_patient", "patient", "patient_id", "subject_id"),
    "part": ("part", "split", "set"),
    "view": ("view", "view_position", "ViewPosition"),
    "sex": ("sex", "gender", "PatientSex"),
    "age": ("age", "PatientAge"),
    "boxes": ("boxes",),
    "source": ("source", "origin"),
    "publisher": ("publisher",),
}


@dataclass(frozen=True, slots=True)
class Source:
    """A radiograph to prepare.

    Attributes:
        name: of the prepared image, unique in the data set.
        path: the file.
        class_name, target, patient, view, sex, age, source: as in `nanoray.datasets.folder.Case`;
            view, sex and age from the file fill gaps.
        publisher: of the image, if a data set has several ("" if unknown).
        boxes: (x, y, width, height) in pixels of `frame`; None if the data set has no boxes.
        frame: (columns, rows) that boxes refer to; None for the file's own size.
        part: "train", "validation" or "test" if the data set defines it.
    """

    name: str
    path: Path
    class_name: str
    target: int | None
    patient: str
    boxes: tuple[Box, ...] | None = None
    frame: tuple[int, int] | None = None
    view: str | None = None
    sex: str | None = None
    age: float | None = None
    source: str = ""
    publisher: str = ""
    part: str | None = None


def rsna_sources(
    folder: Path, *, classes: Path | None = None, mapping: Path | None = None
) -> list[Source]:
    """List the training images of the RSNA Pneumonia Detection Challenge 2018, in Kaggle's layout.

    Args:
        folder: has `stage_2_train_images/` and `stage_2_train_labels.csv`.
        classes: the detailed classes; by default `stage_2_detailed_class_info.csv` if it exists.
        mapping: the challenge's JSON of NIH file names (`subset_img_id`, `img_id`), which
            identifies the patients; without it every image is a patient.

    Returns:
        The images in the order of the labels.

    Raises:
        DataSetError: files or columns are missing, or labels contradict each other.
    """
    table, images = folder / RSNA_LABELS, folder / RSNA_IMAGES
    if not table.is_file() or not images.is_dir():
        raise DataSetError(
            f"{folder}: expected {RSNA_LABELS} and {RSNA_IMAGES}/, as on Kaggle"
            + (
                "; it has a labels.csv: train on it directly, or use `nanoray prepare csv`"
                if (folder / "labels.csv").is_file()
                else ""
            )
        )
    boxes: dict[str, list[Box]] = {}
    targets: dict[str, int] = {}
    for number, row in _rows(table, ("patientId", "Target")):
        name = row["patientId"]
        found = boxes.setdefault(name, [])
        try:
            target = int(row["Target"])
            if target not in (0, 1):
                raise ValueError
            if target:
                found.append(
                    (float(row["x"]), float(row["y"]), float(row["width"]), float(row["height"]))
                )
        except (KeyError, TypeError, ValueError):
            raise DataSetError(f"{table}, line {number}: a value has the wrong form") from None
        if targets.setdefault(name, target) != target:
            raise DataSetError(f"{table}, line {number}: contradicts an earlier line")
    classes = classes or folder / RSNA_CLASSES
    names: dict[str, str] = {}
    if classes.is_file():
        for _, row in _rows(classes, ("patientId", "class")):
            names[row["patientId"]] = row["class"]
    people = _nih_patients(mapping) if mapping else {}
    return [
        Source(
            name=name,
            path=images / f"{name}.dcm",
            class_name=names.get(name, "Lung Opacity" if target else "No Lung Opacity"),
            target=target,
            patient=people.get(name, name),
            boxes=tuple(boxes[name]),
            source="rsna",
        )
        for name, target in targets.items()
    ]


def _nih_patients(mapping: Path) -> dict[str, str]:
    """Map RSNA image names to NIH patient numbers, the part of the NIH file name before "_"."""
    try:
        return {
            entry["subset_img_id"]: entry["img_id"].split("_")[0]
            for entry in json.loads(mapping.read_text())
        }
    except (ValueError, KeyError, TypeError, AttributeError):
        raise DataSetError(
            f"{mapping}: expected a JSON list with subset_img_id and img_id"
        ) from None


def folder_sources(
    folder: Path,
    *,
    positive: Sequence[str] = (),
    patient_pattern: str = PATIENT_PATTERN,
) -> list[Source]:
    """List class folders, or those below `train`, `val` and `test`, as of Kermany et al. 2018.

    Args:
        positive: names of the classes with target 1, instead of `POSITIVE`.
        patient_pattern: regular expression whose first matching group, at the start of a file name,
            is the patient; a name that does not match counts as a separate patient.

    Raises:
        DataSetError: no class folders, no positive class, or not a regular expression.
    """
    if not folder.is_dir():
        raise DataSetError(f"{folder}: no such folder")
    pattern = _compiled(patient_pattern)
    found: list[Source] = []
    for path in sorted(folder.rglob("*")):
        inner = path.relative_to(folder).parts
        if path.suffix.lower() not in EXTENSIONS or any(part.startswith(".") for part in inner):
            continue
        part = part_named(inner[0])
        depth = 1 if part else 0
        if len(inner) < depth + 2:
            continue
        found.append(
            Source(path.stem, path, inner[depth], None, _patient(path.stem, pattern), part=part)
        )
    if not found:
        raise DataSetError(f"{folder}: no class folders with images")
    return _with_targets(_with_unique_names(found, folder), positive, folder)


def table_sources(
    table: Path,
    *,
    images: Path | None = None,
    positive: Sequence[str] = (),
    columns: Mapping[str, str] | None = None,
    patient_pattern: str = PATIENT_PATTERN,
) -> list[Source]:
    """List the images of a CSV with one row each.

    Args:
        images: base folder of the names of images; by default `images` beside the table, or the
            table's folder. A name without extension is looked up by its stem.
        positive: names of the classes with target 1, if the table has no column of targets.
        columns: unusual names of columns by their contents ("image", "class", "target", "patient",
            "part", "view", "sex", "age", "boxes", "source"). Boxes are a JSON list of [x, y, width,
            height] in pixels of a 1024 x 1024 frame.
        patient_pattern: of file names, if no column has the patients.

    Raises:
        DataSetError: a column or an image is missing, a value has the wrong form, or positive
            classes are named for a table with targets.
    """
    if images is None:
        images = table.parent / "images" if (table.parent / "images").is_dir() else table.parent
    pattern = _compiled(patient_pattern)
    listed = list(_rows(table, ()))
    if not listed:
        raise DataSetError(f"{table}: no rows")
    named = _find_columns(table, [row for _, row in listed], columns or {})
    if "target" in named and positive:
        raise DataSetError(
            f"{table}: its column {named['target']} has the targets, so --positive has no effect; "
            "leave out --positive, or remove the column to use the classes"
        )
    by_stem: dict[str, Path] | None = None
    found = []
    for number, row in listed:
        value = {what: (row.get(column) or "").strip() for what, column in named.items()}
        path = images / value["image"]
        if not path.suffix or not path.is_file():
            if by_stem is None:
                by_stem = {
                    p.stem: p for p in sorted(images.rglob("*")) if p.suffix.lower() in EXTENSIONS
                }
            path = by_stem.get(Path(value["image"]).name, by_stem.get(path.stem, path))
        try:
            found.append(_of_row(value, path, pattern))
        except DataSetError as error:
            raise DataSetError(f"{table}, line {number}: {error}") from None
        except (ValueError, TypeError):
            raise DataSetError(f"{table}, line {number}: a value has the wrong form") from None
    found = _with_unique_names(found, images)
    if "target" in named:
        empty = sum(source.target is None for source in found)
        if empty:
            raise DataSetError(
                f"{table}: {empty} of {len(found)} rows have no {named['target']}; give 0 or 1, or "
                "leave these rows out"
            )
        return found
    return _with_targets(found, positive, table)


def _of_row(value: Mapping[str, str], path: Path, pattern: re.Pattern[str]) -> Source:
    target = value.get("target")
    boxes = None
    if "boxes" in value:
        boxes = tuple(
            (float(x), float(y), float(width), float(height))
            for x, y, width, height in json.loads(value["boxes"] or "[]")
        )
    return Source(
        name=path.stem,
        path=path,
        class_name=value.get("class") or ("positive" if target == "1" else "negative"),
        target=parse_target(target),
        patient=value.get("patient") or _patient(path.stem, pattern),
        boxes=boxes,
        frame=(BOX_FRAME, BOX_FRAME),
        view=value.get("view") or None,
        sex=value.get("sex") or None,
        age=float(value["age"]) if value.get("age") else None,
        source=value.get("source", ""),
        publisher=value.get("publisher", ""),
        part=part_named(value["part"]) if value.get("part") else None,
    )


def _find_columns(
    table: Path, rows: Sequence[Mapping[str, str]], chosen: Mapping[str, str]
) -> dict[str, str]:
    header = list(rows[0])
    named = {}
    for what, candidates in _COLUMNS.items():
        wanted = chosen.get(what)
        if wanted is not None and wanted not in header:
            raise DataSetError(f"{table}: no column {wanted!r}")
        column = wanted or next((name for name in candidates if name in header), None)
        if column is not None:
            named[what] = column
    if named.get("target") == named.get("class") and "target" in named:
        # One column "label": numbers are targets, words are classes.
        numeric = all((row.get(named["target"]) or "0").strip() in ("0", "1") for row in rows)
        del named["class" if numeric else "target"]
    if "image" not in named:
        raise DataSetError(f"{table}: no column of images; name it by --image-column")
    if "class" not in named and "target" not in named:
        raise DataSetError(f"{table}: no column of classes or targets; name it by --class-column")
    return named


def _rows(table: Path, needed: Iterable[str]) -> Iterable[tuple[int, dict[str, str]]]:
    with open_table(table) as reader:
        missing = [name for name in needed if name not in (reader.fieldnames or ())]
        if missing:
            raise DataSetError(f"{table}: no column {', '.join(missing)}")
        for row in reader:
            yield reader.line_num, row


def _compiled(pattern: str) -> re.Pattern[str]:
    try:
        return re.compile(pattern)
    except re.error:
        raise DataSetError(f"{pattern!r} is not a regular expression") from None


def _patient(stem: str, pattern: re.Pattern[str]) -> str:
    match = pattern.match(stem)
    if match is None:
        return stem
    return next((group for group in match.groups() if group), match[0])


def _with_unique_names(found: list[Source], folder: Path) -> list[Source]:
    """Distinguish files of the same name in several folders by the names of the folders."""
    counts = Counter(source.name for source in found)
    unique = []
    for source in found:
        name = source.name
        if counts[name] > 1:
            try:
                inner = source.path.relative_to(folder)
            except ValueError:
                inner = Path(*source.path.parts[-2:])
            name = "__".join(inner.with_suffix("").parts)
        unique.append(source if name == source.name else replace(source, name=name))
    names = Counter(source.name for source in unique)
    twice = [name for name, count in names.items() if count > 1]
    if twice:
        raise DataSetError(f"{folder}: {len(twice)} images are named more than once")
    return unique


def _with_targets(found: list[Source], positive: Sequence[str], where: Path) -> list[Source]:
    wanted = {name.casefold() for name in (positive or POSITIVE)}
    classes = sorted({source.class_name for source in found})
    known = {name.casefold() for name in classes}
    unknown = [name for name in positive if name.casefold() not in known]
    if unknown or not wanted & known:
        raise DataSetError(
            f"{where}: {f'no class {unknown[0]!r}' if unknown else 'which class is positive?'}"
            f" There are {', '.join(classes)}; "
            "name it by --positive"
        )
    return [replace(source, target=int(source.class_name.casefold() in wanted)) for source in found]
