"""Paired tests and intervals for the difference of two models on the same images."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm, rankdata

from nanoray.evaluating.metrics import at_point, auroc
from nanoray.evaluating.resampling import Floats, Interval, Resampling, interval


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two models on the same images; differences are first minus second.

    All figures allow for the dependence of a patient's images.

    Attributes:
        auroc: difference with the 95 % bootstrap interval over patients.
        delong: difference with the 95 % interval of DeLong's variance for patients with several
            images (Obuchowski 1997).
        delong_p: two-sided; `delong_p_holm` is Holm's (1979) adjustment for all pairs tested.
        accuracy: difference at the operating points used, with the bootstrap interval.
        only_first, only_second: images that only one of the models classifies correctly.
        mcnemar_p: two-sided, of McNemar's test for patients with several images.
    """

    first: str
    second: str
    auroc: Interval
    delong: Interval
    delong_p: float
    delong_p_holm: float
    accuracy: Interval
    only_first: int
    only_second: int
    mcnemar_p: float

    def verdict(self) -> str:
        """State the comparison of AUROC in one sentence."""
        value, low, high = self.auroc
        # All three must agree, so the sentence is conservative.
        shown = self.delong_p_holm < 0.05 and (low > 0 or high < 0)
        if not shown:
            words = f"No difference shown between {self.first} and {self.second}"
        elif value > 0:
            words = f"{self.first} ranks better than {self.second}"
        else:
            words = f"{self.second} ranks better than {self.first}"
            value, low, high = -value, -high, -low
        return (
            f"{words}: AUROC difference {value:+.3f} (95 % interval {low:+.3f} to {high:+.3f}, "
            f"DeLong p {p_value(self.delong_p)}, {p_value(self.delong_p_holm)} after Holm)."
        )


def p_value(p: float) -> str:
    """Return a p-value as papers print it."""
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def delong(
    scores: Floats, targets: NDArray[np.integer], person: NDArray[np.integer] | None = None
) -> tuple[Floats, Floats]:
    """Compute the AUROCs of K models on the same N images, and their covariance.

    DeLong, DeLong and Clarke-Pearson 1988, by the ranks of Sun and Xu 2014. For patients with
    several images by Obuchowski 1997, "Nonparametric analysis of clustered ROC curve data", which
    is equal for single images.

    Args:
        scores: [K, N].
        person: [N], the patient of each image; by default each image has a separate patient.

    Returns:
        float64 [K] and [K, K].

    Raises:
        ValueError: positive or negative images of fewer than two patients.
    """
    if person is None:
        person = np.arange(len(targets))
    _, person = np.unique(person, return_inverse=True)
    positive, negative = targets == 1, targets == 0
    with_positive, with_negative = (len(np.unique(person[of])) for of in (positive, negative))
    if min(with_positive, with_negative) < 2:
        raise ValueError(
            "DeLong's test needs two patients with positive and two with negative images"
        )
    m, n = int(positive.sum()), int(negative.sum())
    of_positive, of_negative = scores[:, positive], scores[:, negative]
    ranks = rankdata(np.concatenate([of_positive, of_negative], 1), axis=1)
    # Share of the negatives below each positive, and of the positives above each negative.
    above = (ranks[:, :m] - rankdata(of_positive, axis=1)) / n
    below = 1 - (ranks[:, m:] - rankdata(of_negative, axis=1)) / m
    areas = above.mean(1)
    people = int(person.max()) + 1
    first = _sums(above - areas[:, None], person[positive], people)
    second = _sums(below - areas[:, None], person[negative], people)
    both = first @ second.T / (m * n) * people / (people - 1)
    covariance: Floats = (
        first @ first.T / m**2 * with_positive / (with_positive - 1)
        + second @ second.T / n**2 * with_negative / (with_negative - 1)
        + both
        + both.T
    )
    return areas, covariance


def _sums(values: Floats, person: NDArray[np.integer], people: int) -> Floats:
    """Sum over the images of each patient, to [K, patients]."""
    return np.stack([np.bincount(person, row, people) for row in values])


def mcnemar(
    first: NDArray[np.bool_], second: NDArray[np.bool_], person: NDArray[np.integer]
) -> float:
    """Compute the two-sided p of equal error rates of two models.

    McNemar's test for patients with several images (Obuchowski 1998, "On the comparison of
    correlated proportions for clustered data", with the variance under equality). For single images
    its z squared is McNemar's (b - c)^2 / (b + c), except for a factor near one.

    Args:
        first, second: whether each model classifies an image correctly, bool [N].
        person: [N], the patient of each image.
    """
    _, person = np.unique(person, return_inverse=True)
    people = int(person.max()) + 1
    difference = np.bincount(person, first.astype(np.float64) - second, people)
    spread = float(np.sqrt((difference**2).sum() * people / max(people - 1, 1)))
    return _normal_p(float(difference.sum()), spread)


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjust p-values by Holm (1979), in their order; NaN (no test) stays and is not counted.

    Raises:
        ValueError: a value outside 0 to 1.
    """
    if any(p < 0 or p > 1 for p in p_values):
        raise ValueError("p-values lie between 0 and 1")
    made = [index for index, p in enumerate(p_values) if not math.isnan(p)]
    adjusted = [math.nan] * len(p_values)
    highest = 0.0
    for rank, index in enumerate(sorted(made, key=lambda index: p_values[index])):
        highest = max(highest, min(1.0, (len(made) - rank) * p_values[index]))
        adjusted[index] = highest
    return adjusted


def compare(
    labels: Sequence[str],
    logits: Sequence[Floats],
    called: Sequence[NDArray[np.bool_]],
    targets: NDArray[np.integer],
    resampling: Resampling,
) -> list[Comparison]:
    """Compare every pair of models.

    Args:
        logits: of each model, [N]; or other scores with the same ranking.
        called: decisions of each model at its operating point, bool [N].
        resampling: shared by all models, so that differences are paired.
    """
    pairs = list(combinations(range(len(labels)), 2))
    if not pairs:
        return []
    areas, covariance = delong(np.stack(logits).astype(np.float64), targets, resampling.person)
    ones = np.ones((1, len(targets)))
    area_draws = [resampling.values(partial(auroc, scores, targets)) for scores in logits]
    right_draws = [
        resampling.values(partial(at_point, "accuracy", decision, targets)) for decision in called
    ]
    right = [decision == (targets == 1) for decision in called]
    deviations = []
    for i, j in pairs:
        variance = covariance[i, i] + covariance[j, j] - 2 * covariance[i, j]
        deviations.append(float(np.sqrt(max(variance, 0.0))))
    p_values = [
        _normal_p(areas[i] - areas[j], deviation)
        for (i, j), deviation in zip(pairs, deviations, strict=True)
    ]
    comparisons = []
    for (i, j), deviation, p, p_holm in zip(
        pairs, deviations, p_values, holm(p_values), strict=True
    ):
        difference = float(areas[i] - areas[j])
        half = 1.959964 * deviation
        only_first = int((right[i] & ~right[j]).sum())
        only_second = int((right[j] & ~right[i]).sum())
        accuracy = float(
            at_point("accuracy", called[i], targets, ones)[0]
            - at_point("accuracy", called[j], targets, ones)[0]
        )
        comparisons.append(
            Comparison(
                labels[i],
                labels[j],
                interval(difference, area_draws[i] - area_draws[j]),
                (difference, difference - half, difference + half),
                p,
                p_holm,
                interval(accuracy, right_draws[i] - right_draws[j]),
                only_first,
                only_second,
                mcnemar(right[i], right[j], resampling.person),
            )
        )
    return comparisons


def _normal_p(difference: float, deviation: float) -> float:
    if deviation == 0:
        return 1.0 if difference == 0 else 0.0
    return float(2 * norm.sf(abs(difference) / deviation))
