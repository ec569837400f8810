"""Splitting cases into training, validation and test, so that no person is in two of them."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nanoray.datasets.folder import Case
from nanoray.errors import DataSetError

PARTS = ("train", "validation", "test")


@dataclass(frozen=True, slots=True)
class Split:
    """Indices into a list of cases; cases in none of the parts are left out."""

    train: tuple[int, ...]
    validation: tuple[int, ...]
    test: tuple[int, ...]

    def part(self, name: str) -> tuple[int, ...]:
        """The indices of "train", "validation" or "test"."""
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
    """Split by person, stratified by the detailed class.

    Args:
        validation, test: shares of the judged persons.
        judged_source: validation and test take only images of this source (for example "native"),
            and only persons who have one; their other images are left out of every part. Default:
            "native" where the data set has it, else every image.

    Raises:
        DataSetError: too few persons for the shares asked.
    """
    if judged_source is None and any(case.source == "native" for case in cases):
        judged_source = "native"
    judged = [judged_source is None or case.source == judged_source for case in cases]
    strata: dict[str, list[str]] = {}
    person_class: dict[str, str] = {}
    for case, counts in zip(cases, judged, strict=True):
        # A person with several images counts under the one with an opacity, if any.
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


def without_patients(cases: Sequence[Case], others: Sequence[Case]) -> list[Case]:
    """The cases that share neither person nor image name with `others`."""
    people = {case.patient for case in others}
    names = {case.path.stem for case in others}
    return [case for case in cases if case.patient not in people and case.path.stem not in names]


def save_split(path: Path, cases: Sequence[Case], split: Split) -> None:
    """Write `image,part`, one row a case that is in a part."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["image", "part"])
        for part in PARTS:
            writer.writerows([cases[index].path.stem, part] for index in split.part(part))


def load_split(path: Path, cases: Sequence[Case]) -> Split:
    """Read what `save_split` wrote, or a published list in the same form.

    Raises:
        DataSetError: an image that the data set does not have, an unknown part, or a person in
            two parts.
    """
    index_of = {case.path.stem: index for index, case in enumerate(cases)}
    parts: dict[str, list[int]] = {part: [] for part in PARTS}
    with path.open(newline="") as file:
        for row in csv.DictReader(file):
            if row.get("part") not in parts or row.get("image") not in index_of:
                raise DataSetError(f"{path}: a row does not fit the data set")
            parts[row["part"]].append(index_of[row["image"]])
    people = {part: {cases[index].patient for index in parts[part]} for part in PARTS}
    if (
        people["train"] & people["validation"]
        or people["train"] & people["test"]
        or people["validation"] & people["test"]
    ):
        raise DataSetError(f"{path}: a patient is in two parts")
    return Split(*(tuple(parts[part]) for part in PARTS))
