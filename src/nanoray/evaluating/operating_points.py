"""The operating points screening, balanced and confirm."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy.stats import chi2

from nanoray.detecting.operating_point import OperatingPoint


def wilson_interval(hits: int, count: int) -> tuple[float, float]:
    """95 % score interval of a proportion (Wilson 1927); (0, 1) without cases."""
    return _wilson(hits / count if count else math.nan, count)


def _wilson(share: float, count: float) -> tuple[float, float]:
    if count == 0:
        return 0.0, 1.0
    z2 = float(chi2.ppf(0.95, 1))
    centre = (share + z2 / (2 * count)) / (1 + z2 / count)
    half = math.sqrt(z2 * (share * (1 - share) / count + z2 / (4 * count**2))) / (1 + z2 / count)
    return max(0.0, centre - half), min(1.0, centre + half)


def at_threshold(
    name: str,
    threshold: float,
    probabilities: NDArray[np.floating],
    targets: NDArray[np.integer],
    weights: NDArray[np.floating] | None = None,
) -> OperatingPoint:
    """Compute sensitivity and specificity at a threshold, with Wilson intervals.

    Args:
        weights: float [N] of the cases, on any scale; the intervals are then those of Kish's
            effective number of cases (Kish 1965).
    """
    called = probabilities >= threshold
    among = np.ones(len(targets)) if weights is None else weights
    sensitivity, positives = _share(called, among * (targets == 1))
    specificity, negatives = _share(~called, among * (targets == 0))
    return OperatingPoint(
        name=name,
        threshold=float(threshold),
        sensitivity=sensitivity,
        specificity=specificity,
        sensitivity_interval=_wilson(sensitivity, positives),
        specificity_interval=_wilson(specificity, negatives),
    )


def _share(values: NDArray[np.bool_], weights: NDArray[np.floating]) -> tuple[float, float]:
    """Return the weighted share of the values, and the effective number of cases."""
    total = float(weights.sum())
    if not total:
        return math.nan, 0.0
    return float(weights @ values) / total, total**2 / float(weights @ weights)


def choose_operating_points(
    probabilities: NDArray[np.floating],
    targets: NDArray[np.integer],
    *,
    sensitivity: float = 0.95,
    specificity: float = 0.95,
    weights: NDArray[np.floating] | None = None,
) -> tuple[OperatingPoint, OperatingPoint, OperatingPoint]:
    """Fit screening (a sensitivity), balanced (Youden 1950) and confirm (a specificity).

    Thresholds are midway between neighbouring probabilities, so no case is on a threshold.
    `weights` are those of `at_threshold`.
    """
    ordered, place = np.unique(np.asarray(probabilities, np.float64), return_inverse=True)
    candidates = np.concatenate(([0.0], (ordered[1:] + ordered[:-1]) / 2, [1.0]))
    among = np.ones(len(targets)) if weights is None else weights
    sensitivities = 1 - _share_below(place, among * (targets == 1), len(ordered))
    specificities = _share_below(place, among * (targets == 0), len(ordered))
    screening = candidates[sensitivities >= sensitivity].max(initial=0.0)
    balanced = candidates[np.argmax(sensitivities + specificities)]
    confirm = candidates[specificities >= specificity].min(initial=1.0)
    screening = min(screening, balanced)
    confirm = max(confirm, balanced)
    return (
        at_threshold("screening", screening, probabilities, targets, weights),
        at_threshold("balanced", balanced, probabilities, targets, weights),
        at_threshold("confirm", confirm, probabilities, targets, weights),
    )


def _share_below(
    place: NDArray[np.intp], weights: NDArray[np.floating], count: int
) -> NDArray[np.floating]:
    """Return the weighted share of the cases below each candidate, float64 [count + 1].

    Args:
        place: int [N], the number of a case's value among `count` sorted values.
    """
    sums = np.concatenate(([0.0], np.cumsum(np.bincount(place, weights, count))))
    found: NDArray[np.floating] = sums / sums[-1]
    return found
