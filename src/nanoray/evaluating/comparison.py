"""Is one model better than another on the same images? Paired tests and intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binom, norm, rankdata

from nanoray.evaluating.metrics import at_point, auroc
from nanoray.evaluating.resampling import Floats, Interval, Resampling, interval


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two models on the same images; differences are first minus second.

    Attributes:
        auroc: difference with the 95 % bootstrap interval over patients.
        delong: difference with DeLong's 95 % interval, which takes images as independent.
        delong_p: two-sided; `delong_p_holm` is Holm's (1979) adjustment for all pairs tested.
        accuracy: difference at the operating points used, with the bootstrap interval.
        only_first, only_second: images that only the one or the other decides rightly.
        mcnemar_p: two-sided mid-p; `mcnemar_exact_p` is the exact binomial one.
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
    mcnemar_exact_p: float

    def verdict(self) -> str:
        """What the AUROC says, in one sentence."""
        value, low, high = self.auroc
        # All three must agree, so that the sentence errs on the side of no difference.
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
    """A p-value as papers print it."""
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def delong(scores: Floats, targets: NDArray[np.integer]) -> tuple[Floats, Floats]:
    """AUROCs of K models on the same N images, and their covariance.

    DeLong, DeLong and Clarke-Pearson 1988, by the ranks of Sun and Xu 2014.

    Args:
        scores: [K, N].

    Returns:
        float64 [K] and [K, K].

    Raises:
        ValueError: fewer than two positive or negative images.
    """
    positive, negative = scores[:, targets == 1], scores[:, targets == 0]
    m, n = positive.shape[1], negative.shape[1]
    if m < 2 or n < 2:
        raise ValueError("DeLong's test needs two positive and two negative images")
    ranks = rankdata(np.concatenate([positive, negative], 1), axis=1)
    # Share of the negatives below each positive, and of the positives above each negative.
    of_positive = (ranks[:, :m] - rankdata(positive, axis=1)) / n
    of_negative = 1 - (ranks[:, m:] - rankdata(negative, axis=1)) / m
    covariance = np.cov(of_positive) / m + np.cov(of_negative) / n
    return of_positive.mean(1), np.atleast_2d(covariance)


def mcnemar(only_first: int, only_second: int) -> tuple[float, float]:
    """Two-sided p that two models err equally often: mid-p and exact (McNemar 1947).

    The mid-p is less conservative and holds its level (Fagerland, Lydersen and Laake 2013).
    """
    count, fewer = only_first + only_second, min(only_first, only_second)
    if not count:
        return 1.0, 1.0
    both_tails = 2 * float(binom.cdf(fewer, count, 0.5))
    return both_tails - float(binom.pmf(fewer, count, 0.5)), min(1.0, both_tails)


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's (1979) adjustment, in the order given."""
    adjusted = [0.0] * len(p_values)
    highest = 0.0
    for rank, index in enumerate(np.argsort(p_values)):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = highest
    return adjusted


def compare(
    labels: Sequence[str],
    logits: Sequence[Floats],
    called: Sequence[NDArray[np.bool_]],
    targets: NDArray[np.integer],
    resampling: Resampling,
) -> list[Comparison]:
    """Every pair of models.

    Args:
        logits: of each model, [N]; any scores of the same order.
        called: decisions of each model at its operating point, bool [N].
        resampling: shared by all models, so that differences are paired.
    """
    pairs = list(combinations(range(len(labels)), 2))
    if not pairs:
        return []
    areas, covariance = delong(np.stack(logits).astype(np.float64), targets)
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
        mid_p, exact_p = mcnemar(only_first, only_second)
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
                mid_p,
                exact_p,
            )
        )
    return comparisons


def _normal_p(difference: float, deviation: float) -> float:
    if deviation == 0:
        return 1.0 if difference == 0 else 0.0
    return float(2 * norm.sf(abs(difference) / deviation))
