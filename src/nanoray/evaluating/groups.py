"""Figures for groups of the test images: by view, sex, age and detailed class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nanoray.datasets.folder import Case
from nanoray.evaluating.metrics import auroc, measure_at_point
from nanoray.evaluating.resampling import Floats, Interval, Resampling
from nanoray.files import natural

AGE_BANDS = ((0, 18), (18, 40), (40, 60), (60, 80), (80, 200))

FEWEST = 10
"""Groups with fewer images get no figure, since its interval would be too wide."""


@dataclass(frozen=True, slots=True)
class Group:
    """A group of images.

    Attributes:
        kind: "view", "sex", "age" or "class".
        name: for example "PA".
        members: bool [N].
    """

    kind: str
    name: str
    members: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class GroupResult:
    """One model on one group.

    Attributes:
        auroc: within the group. For a class of negatives: of all positives against this class. None
            with fewer than `FEWEST` images of one kind.
        sensitivity, specificity: by operating point; None with fewer than `FEWEST`
            positives or negatives.
    """

    kind: str
    name: str
    images: int
    positive: int
    auroc: Interval | None
    sensitivity: dict[str, Interval | None]
    specificity: dict[str, Interval | None]


def find_groups(cases: Sequence[Case]) -> list[Group]:
    """Return the groups of the data set's facts, each with at least one image."""
    names: dict[str, list[str | None]] = {
        "view": [case.view for case in cases],
        "sex": [case.sex for case in cases],
        "age": [_band(case.age) for case in cases],
        "class": [case.class_name for case in cases],
    }
    groups = []
    for kind, values in names.items():
        # A single group repeats the figures of all images.
        if kind != "class" and len(set(values)) < 2:
            continue
        for name in sorted({value for value in values if value}, key=natural):
            groups.append(Group(kind, name, np.array([value == name for value in values])))
    return groups


def _band(age: float | None) -> str | None:
    for low, high in AGE_BANDS:
        if age is not None and low <= age < high:
            return f"{low} to {high - 1}" if high < 200 else f"{low} and over"
    return None


def measure_groups(
    groups: Sequence[Group],
    logits: Floats,
    calls: Mapping[str, NDArray[np.bool_]],
    targets: NDArray[np.integer],
    resampling: Resampling,
) -> list[GroupResult]:
    """Evaluate one model on every group; intervals use draws with a defined figure.

    Args:
        calls: operating point to the decisions, bool [N].
    """

    def share(
        name: str,
        called: NDArray[np.bool_],
        members: NDArray[np.bool_],
    ) -> Interval | None:
        if members.sum() < FEWEST:
            return None
        return measure_at_point(name, called, targets, members, resampling)

    results = []
    for group in groups:
        positive = group.members & (targets == 1)
        negative = group.members & (targets == 0)
        ranked = group.members
        if group.kind == "class" and not positive.any():
            ranked = group.members | (targets == 1)
        elif group.kind == "class" and not negative.any():
            ranked = group.members | (targets == 0)
        results.append(
            GroupResult(
                group.kind,
                group.name,
                int(group.members.sum()),
                int(positive.sum()),
                _area(logits, targets, ranked, resampling),
                {point: share("sensitivity", call, positive) for point, call in calls.items()},
                {point: share("specificity", call, negative) for point, call in calls.items()},
            )
        )
    return results


def _area(
    logits: Floats,
    targets: NDArray[np.integer],
    members: NDArray[np.bool_],
    resampling: Resampling,
) -> Interval | None:
    if np.bincount(targets[members], minlength=2).min() < FEWEST:
        return None
    # Weights of 0 exclude the others.
    return resampling.interval(lambda w: auroc(logits, targets, w * members))
