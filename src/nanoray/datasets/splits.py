"""Splitting cases into training, validation and test, with every patient in one part only."""

from __future__ import annotations

import csv
import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

import numpy as np

from nanoray.datasets.folder import Case
from nanoray.datasets.tables import open_table
from nanoray.errors import DataSetError
from nanoray.reading.candidates import EXTENSIONS

PARTS = ("train", "validation", "test")
_PART_NAMES = {
    "train": "train",
    "training": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "dev": "validation",
    "test": "test",
    "testing": "test",
}


def part_named(name: str) -> str | None:
    """Return the part that the name of a folder, a file or a value usually means; or None."""
    return _PART_NAMES.get(name.strip().casefold())


@dataclass(frozen=True, slots=True)
class Split:
    """Indices into a list of cases; cases in no part are not used."""

    train: tuple[int, ...]
    validation: tuple[int, ...]
    test: tuple[int, ...]

    def part(self, name: str) -> tuple[int, ...]:
        """Return the indices of "train", "validation" or "test"."""
        if name not in PARTS:
            raise ValueError(f"no part {name!r}; choose from {', '.join(PARTS)}")
        indices: tuple[int, ...] = getattr(self, name)
        return indices


def split_by_patient(
    cases: Sequence[Case],
    *,
    seed: int = 0,
    validation: float = 0.15,
    test: float = 0.25,
    judged_source: str | None = None,
) -> Split:
    """Split by patient, stratified by the detailed class.

    Args:
        validation, test: shares of the evaluated patients.
        judged_source: validation and test have only images of this source (for example "native"),
            and only patients with one. Their other images are in no part. The default is "native"
            if the data set has it, else every image.

    Raises:
        DataSetError: too few patients for the requested shares.
    """
    if judged_source is None and any(case.source == "native" for case in cases):
        judged_source = "native"
    judged = [judged_source is None or case.source == judged_source for case in cases]
    strata: dict[str, list[str]] = {}
    person_class: dict[str, str] = {}
    for case, counts in zip(cases, judged, strict=True):
        # A patient with several images is stratified by the one with an opacity, if any.
        if counts and (case.patient not in person_class or case.target):
            person_class[case.patient] = case.class_name
    for person, name in person_class.items():
        strata.setdefault(name, []).append(person)
    rng = np.random.default_rng(seed)
    where: dict[str, str] = {}
    for name in sorted(strata):
        people = sorted(strata[name])
        rng.shuffle(people)
        first = round(len(people) * validation)
        second = first + round(len(people) * test)
        where.update(dict.fromkeys(people[:first], "validation"))
        where.update(dict.fromkeys(people[first:second], "test"))
    parts: dict[str, list[int]] = {part: [] for part in PARTS}
    for index, (case, counts) in enumerate(zip(cases, judged, strict=True)):
        part = where.get(case.patient, "train")
        if part == "train" or counts:
            parts[part].append(index)
    if not all(parts.values()):
        raise DataSetError("too few patients to split into training, validation and test")
    return Split(*(tuple(parts[part]) for part in PARTS))


def split_recipe(cases: Sequence[Case]) -> Split:
    """Split as the original recipe: 80/10/10 of scikit-learn, stratified, seed 42.

    The 26,684 images of the RSNA challenge become 21,347, 2,668 and 2,669. It splits images in
    their order, without regard to patients.
    """
    from sklearn.model_selection import train_test_split

    targets = np.array([int(case.target or 0) for case in cases])
    try:
        train, rest = train_test_split(
            np.arange(len(cases)), test_size=0.2, random_state=42, stratify=targets
        )
        validation, test = train_test_split(
            rest, test_size=0.5, random_state=42, stratify=targets[rest]
        )
    except ValueError:
        raise DataSetError("too few images to split into training, validation and test") from None
    return Split(*(tuple(int(index) for index in part) for part in (train, validation, test)))


def split_official(
    cases: Sequence[Case],
    parts: Sequence[str | None],
    *,
    seed: int = 0,
    validation: float = 0.1,
) -> Split:
    """Return the official parts of a data set.

    Without a validation part, or with one of less than 1 % of the training images, validation is
    drawn by patient from the training images. (The 16 of Kermany et al. are too few.)

    Args:
        parts: of each case; cases with None are in no part.
        validation: share of the training patients.

    Raises:
        DataSetError: no training or no test images, or a patient in both.
    """
    where: dict[str, list[int]] = {part: [] for part in PARTS}
    for index, part in enumerate(parts):
        if part is not None:
            where[part].append(index)
    if len(where["validation"]) < 0.01 * len(where["train"]):
        pool = sorted(where["train"] + where["validation"])
        drawn = _draw_people([cases[index] for index in pool], validation, seed)
        where["validation"] = [index for index in pool if cases[index].patient in drawn]
        where["train"] = [index for index in pool if cases[index].patient not in drawn]
    split = Split(*(tuple(where[part]) for part in PARTS))
    if not all(where.values()):
        raise DataSetError("the data set's own parts lack training, validation or test images")
    if shared_people(cases, split):
        raise DataSetError("a patient is in two of the data set's own parts")
    return split


def _draw_people(cases: Sequence[Case], share: float, seed: int) -> set[str]:
    """Return a share of the patients of each class."""
    classes: dict[str, str] = {}
    for case in cases:
        if case.patient not in classes or case.target:
            classes[case.patient] = case.class_name
    rng = np.random.default_rng(seed)
    drawn: set[str] = set()
    for name in sorted(set(classes.values())):
        people = sorted(person for person, of in classes.items() if of == name)
        rng.shuffle(people)
        drawn.update(people[: round(share * len(people))])
    return drawn


def split_into_folds(
    cases: Sequence[Case], judged: Sequence[int], *, folds: int = 5, seed: int = 0
) -> list[Split]:
    """Split for cross-validation: by patient, stratified by class and view.

    Every evaluated case is in the validation part of one fold. The training part of a fold has all
    cases of patients without an image in its validation part. The test part is empty.

    Args:
        judged: indices of the evaluated cases.

    Raises:
        DataSetError: an evaluated case without a target, or too few patients for the folds.
    """
    from sklearn.model_selection import StratifiedGroupKFold

    chosen = [cases[index] for index in judged]
    if any(case.target is None for case in chosen):
        raise DataSetError("every image that is judged needs a Target")
    strata = [f"{case.class_name} {case.view}" for case in chosen]
    patients = [case.patient for case in chosen]
    for target in (0, 1):
        people = {case.patient for case in chosen if case.target == target}
        if len(people) < folds:
            raise DataSetError(
                f"{folds} folds need at least as many patients with target {target}; "
                f"there are {len(people)}"
            )
    with warnings.catch_warnings():
        # A stratum with fewer images than folds is in some folds only.
        warnings.filterwarnings("ignore", message="The least populated class")
        parts = list(
            StratifiedGroupKFold(folds, shuffle=True, random_state=seed).split(
                np.zeros(len(chosen)), strata, patients
            )
        )
    splits = []
    for _, inside in parts:
        held_out = {patients[index] for index in inside}
        splits.append(
            Split(
                tuple(index for index, case in enumerate(cases) if case.patient not in held_out),
                tuple(judged[index] for index in inside),
                (),
            )
        )
    return splits


def shared_people(cases: Sequence[Case], split: Split) -> set[str]:
    """Return the patients in more than one part."""
    people = [{cases[index].patient for index in split.part(part)} for part in PARTS]
    return (people[0] & people[1]) | (people[0] & people[2]) | (people[1] & people[2])


def read_published(path: Path) -> dict[str, str]:
    """Read published lists: image name to part.

    Args:
        path: a CSV with a column of images (`image`, `patientId`, `file`, `path`, `ID`) and one of
            parts (`part`, `split`, `set`). Or a folder of lists whose names begin with train, val
            or test (`.txt` or `.csv`), with one image as the first word of each line. Folders and
            extensions of an image's name are ignored.

    Raises:
        DataSetError: neither form, or an image in two parts.
    """
    found: dict[str, str] = {}

    def add(name: str, part: str | None) -> None:
        image = Path(name.strip().strip('"')).name
        if Path(image).suffix.lower() in EXTENSIONS:
            image = Path(image).stem
        if part is None or found.setdefault(image, part) != part:
            raise DataSetError(f"{path}: a row has no part, or an image is in two parts")

    if path.is_dir():
        for file in sorted(path.iterdir()):
            word = re.match(r"[a-z]+", file.stem.casefold())
            part = part_named(word[0]) if word else None
            if part is None or file.suffix not in (".txt", ".csv"):
                continue
            for line in file.read_text(encoding="utf-8-sig").splitlines():
                name = re.split(r"[\s,;]", line.strip(), maxsplit=1)[0]
                if name and name.casefold() not in _IMAGE_COLUMNS:
                    add(name, part)
    else:
        with open_table(path) as reader:
            header = {name.casefold(): name for name in reader.fieldnames or ()}
            image_column = next((header[name] for name in _IMAGE_COLUMNS if name in header), None)
            part_column = next((header[n] for n in ("part", "split", "set") if n in header), None)
            if image_column is None or part_column is None:
                raise DataSetError(f"{path}: expected a column of images and one of parts")
            for row in reader:
                add(row[image_column] or "", part_named(row[part_column] or ""))
    if not found:
        raise DataSetError(f"{path}: no lists of images")
    return found


_IMAGE_COLUMNS = ("image", "patientid", "file", "path", "id", "image_id", "filename")


def split_published(cases: Sequence[Case], path: Path) -> Split:
    """Return the parts of published lists (see `read_published`); other cases are in no part.

    Raises:
        DataSetError: no listed image is in the data set.
    """
    lists = read_published(path)
    parts: dict[str, list[int]] = {part: [] for part in PARTS}
    for index, case in enumerate(cases):
        part = lists.get(case.path.stem)
        if part is not None:
            parts[part].append(index)
    if not any(parts.values()):
        raise DataSetError(
            f"{path}: its {len(lists)} images are not in the data set; it lists "
            f"{next(iter(lists))}, the data set has {cases[0].path.stem}"
        )
    return Split(*(tuple(parts[part]) for part in PARTS))


def without_patients(cases: Sequence[Case], others: Sequence[Case]) -> list[Case]:
    """Return the cases that share neither patient nor image name with `others`."""
    people = {case.patient for case in others}
    names = {case.path.stem for case in others}
    return [case for case in cases if case.patient not in people and case.path.stem not in names]


def save_split(path: Path, cases: Sequence[Case], split: Split) -> None:
    """Write `image,part`, one row for each case in a part."""
    with path.open("w", newline="") as file:
        write_split(file, cases, split)


def write_split(file: TextIO, cases: Sequence[Case], split: Split) -> None:
    """Write the table of `save_split` to an open file."""
    writer = csv.writer(file)
    writer.writerow(["image", "part"])
    for part in PARTS:
        writer.writerows([cases[index].path.stem, part] for index in split.part(part))


def load_split(path: Path, cases: Sequence[Case]) -> Split:
    """Read a file of `save_split`, or a published list in the same form.

    Raises:
        DataSetError: an unknown image, an unknown part, or a patient in two parts.
    """
    index_of = {case.path.stem: index for index, case in enumerate(cases)}
    parts: dict[str, list[int]] = {part: [] for part in PARTS}
    with open_table(path) as rows:
        for row in rows:
            if row.get("part") not in parts or row.get("image") not in index_of:
                raise DataSetError(f"{path}: a row does not fit the data set")
            parts[row["part"]].append(index_of[row["image"]])
    if not any(parts.values()):
        raise DataSetError(f"{path}: lists no image; expected rows of image,part")
    split = Split(*(tuple(parts[part]) for part in PARTS))
    if shared_people(cases, split):
        raise DataSetError(f"{path}: a patient is in two parts")
    return split
