"""The operating points screening, balanced and confirm."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest

from nanoray.detecting.operating_point import OperatingPoint


def wilson_interval(hits: int, count: int) -> tuple[float, float]:
    """95 % score interval of a proportion (Wilson 1927); (0, 1) without cases."""
    if count == 0:
        return 0.0, 1.0
    found = binomtest(hits, count).proportion_ci(0.95, "wilson")
    return float(found.low), float(found.high)


def at_threshold(
    name: str,
    threshold: float,
    probabilities: NDArray[np.floating],
    targets: NDArray[np.integer],
) -> OperatingPoint:
    """Compute sensitivity and specificity at a threshold, with Wilson intervals."""
    called = probabilities >= threshold
    positives, negatives = int((targets == 1).sum()), int((targets == 0).sum())
    true_positives = int((called & (targets == 1)).sum())
    true_negatives = int((~called & (targets == 0)).sum())
    return OperatingPoint(
        name=name,
        threshold=float(threshold),
        sensitivity=true_positives / positives if positives else math.nan,
        specificity=true_negatives / negatives if negatives else math.nan,
        sensitivity_interval=wilson_interval(true_positives, positives),
        specificity_interval=wilson_interval(true_negatives, negatives),
    )


def choose_operating_points(
    probabilities: NDArray[np.floating],
    targets: NDArray[np.integer],
    *,
    sensitivity: float = 0.95,
    specificity: float = 0.95,
) -> tuple[OperatingPoint, OperatingPoint, OperatingPoint]:
    """Fit screening (a sensitivity), balanced (Youden 1950) and confirm (a specificity).

    Thresholds are midway between neighbouring probabilities, so no case is on a threshold.
    """
    ordered = np.unique(np.asarray(probabilities, np.float64))
    candidates = np.concatenate(([0.0], (ordered[1:] + ordered[:-1]) / 2, [1.0]))
    positive = np.sort(probabilities[targets == 1])
    negative = np.sort(probabilities[targets == 0])
    sensitivities = 1 - np.searchsorted(positive, candidates) / len(positive)
    specificities = np.searchsorted(negative, candidates) / len(negative)
    screening = candidates[sensitivities >= sensitivity].max(initial=0.0)
    balanced = candidates[np.argmax(sensitivities + specificities)]
    confirm = candidates[specificities >= specificity].min(initial=1.0)
    screening = min(screening, balanced)
    confirm = max(confirm, balanced)
    return (
        at_threshold("screening", screening, probabilities, targets),
        at_threshold("balanced", balanced, probabilities, targets),
        at_threshold("confirm", confirm, probabilities, targets),
    )
