"""Conformal risk control: the threshold below which a radiograph may be called clear.

The loss of a patient with an opacity is 1 if a radiograph of the patient with an opacity is called
clear. The loss is monotonic in the threshold, so risk-controlling prediction sets apply (Bates,
Angelopoulos, Lei, Malik and Jordan 2021, "Distribution-free, risk-controlling prediction sets").
They choose the largest threshold whose exact binomial upper bound (Clopper and Pearson 1934) is at
most the level. It controls the risk with the confidence of the bound, for any distribution of the
scores. Without a confidence the risk is controlled in expectation (Angelopoulos, Bates, Fisch, Lei
and Schuster 2022, "Conformal risk control").
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from nanoray.errors import DataSetError

Floats = NDArray[np.floating]
Targets = NDArray[np.integer]
CONFIDENCE: Final = 0.95


def upper_bound(missed: int, patients: int, confidence: float = CONFIDENCE) -> float:
    """Compute the exact one-sided upper bound of a share (Clopper and Pearson 1934)."""
    from scipy.stats import beta

    if missed >= patients:
        return 1.0
    return float(beta.ppf(confidence, missed + 1, patients - missed))


def fewest_patients(level: float, confidence: float | None = CONFIDENCE) -> int:
    """Return the least number of patients with an opacity for a guarantee without a miss."""
    if confidence is None:
        return math.ceil(1 / level - 1)
    return math.ceil(math.log(1 - confidence) / math.log(1 - level))


def allowed_misses(patients: int, level: float, confidence: float | None = CONFIDENCE) -> int:
    """Return the number of patients that the calibration may miss; -1 for too few patients."""
    if confidence is None:
        return math.floor(level * (patients + 1) - 1 + 1e-9)
    misses = -1
    while misses + 1 < patients and upper_bound(misses + 1, patients, confidence) <= level:
        misses += 1
    return misses


def clear_threshold(
    scores: Floats,
    targets: Targets,
    patients: Sequence[str] | NDArray[np.intp],
    level: float,
    *,
    confidence: float | None = CONFIDENCE,
) -> float:
    """Find the score below which a radiograph may be called clear.

    Args:
        scores: float [N], higher is more suspicious; of radiographs that the model was not
            trained on.
        targets: int [N], 1 with an opacity.
        patients: [N], patient of each radiograph.
        level: largest share of patients with an opacity that may be called clear.
        confidence: of the bound; None for control in expectation.

    Raises:
        ValueError: the level or the confidence is not between 0 and 1.
        DataSetError: too few patients with an opacity for this level.
    """
    for name, value in (("level", level), ("confidence", confidence)):
        if value is not None and not 0.0 < value < 1.0:
            raise ValueError(f"the {name} of a guarantee lies between 0 and 1, not at {value:g}")
    least = least_scores(scores, targets, patients)
    allowed = allowed_misses(len(least), level, confidence)
    if allowed < 0:
        raise DataSetError(
            f"{len(least)} patients with an opacity are too few for a guarantee of {level:g}; "
            f"at least {fewest_patients(level, confidence)} are needed"
        )
    return float(np.sort(least)[allowed])


def least_scores(
    scores: Floats, targets: Targets, patients: Sequence[str] | NDArray[np.intp]
) -> Floats:
    """Return the least score of each patient's radiographs with an opacity, float64 [P]."""
    positive = np.asarray(targets) == 1
    values = np.asarray(scores, np.float64)[positive]
    if not np.isfinite(values).all():
        raise DataSetError("a score is not a finite number")
    names, person = np.unique(np.asarray(patients)[positive], return_inverse=True)
    least = np.full(len(names), np.inf)
    np.minimum.at(least, person, values)
    return least


@dataclass(frozen=True, slots=True)
class Coverage:
    """Coverage of a guarantee on patients outside its calibration.

    Attributes:
        name: of the images, for example "PA".
        held: share of the re-splits in which the share called clear, among the other half's
            radiographs with an opacity, is at most the level.
        missed: mean of that share over the re-splits, and its 2.5 and 97.5 percentiles.
        decided: mean share of radiographs that are called clear or suspected.
        refused: share of the re-splits with too few patients for a threshold.
    """

    name: str
    held: float
    missed: tuple[float, float, float]
    decided: float
    refused: float


Rule = Callable[[NDArray[np.bool_]], tuple[NDArray[np.bool_], NDArray[np.bool_]]]
"""Calibrates on the members bool [N]; returns (called clear, called suspected), bool [N] each."""


def measure_coverage(
    rule: Rule,
    targets: Targets,
    patients: Sequence[str] | NDArray[np.intp],
    groups: dict[str, NDArray[np.bool_]],
    level: float,
    *,
    weights: Floats | None = None,
    splits: int = 1000,
    seed: int = 0,
    step: Callable[[], None] = lambda: None,
) -> list[Coverage]:
    """Split the patients in halves many times; calibrate on one half and measure on the other.

    Args:
        rule: calibrates in every split.
        groups: name to bool [N].
        weights: float [N], of the radiographs in the decided share.
        step: called after each split.
    """
    targets = np.asarray(targets)
    weights = np.ones(len(targets)) if weights is None else np.asarray(weights, np.float64)
    names, person = np.unique(np.asarray(patients), return_inverse=True)
    rng = np.random.default_rng(seed)
    missed: dict[str, list[float]] = {name: [] for name in groups}
    decided: dict[str, list[float]] = {name: [] for name in groups}
    refused = 0
    for _ in range(splits):
        half = np.zeros(len(names), bool)
        half[rng.permutation(len(names))[: len(names) // 2]] = True
        fitted = half[person]
        try:
            clear, suspected = rule(fitted)
        except DataSetError:
            refused += 1
            step()
            continue
        for name, members in groups.items():
            judged = members & ~fitted
            positive = judged & (targets == 1)
            if positive.any():
                missed[name].append(float(clear[positive].mean()))
            if judged.any():
                done = (clear | suspected)[judged]
                decided[name].append(float(np.average(done, weights=weights[judged])))
        step()
    return [
        Coverage(
            name,
            float(np.mean(np.array(missed[name]) <= level)) if missed[name] else math.nan,
            _spread(missed[name]),
            float(np.mean(decided[name])) if decided[name] else math.nan,
            refused / splits if splits else math.nan,
        )
        for name in groups
    ]


def _spread(values: list[float]) -> tuple[float, float, float]:
    if not values:
        return math.nan, math.nan, math.nan
    low, high = np.quantile(values, [0.025, 0.975])
    return float(np.mean(values)), float(low), float(high)
