"""Shift between two sets of radiographs, or of their scores.

Each quantity has two measures. The population stability index is sum((a - r) ln(a / r)) of the
shares a and r in ten bins of equal share of the reference; its usual limits are 0.1 and 0.25
(Siddiqi 2006, "Credit Risk Scorecards", ch. 9). The Kolmogorov-Smirnov distance is the largest gap
between the two cumulative distributions. With few cases both are above 0 by chance; with millions
the smallest gap is "significant". A shift counts only if it is both large and beyond chance.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from nanoray.detecting.model_file import Reference

Verdict: TypeAlias = Literal["stable", "watch", "drifted"]
Floats: TypeAlias = NDArray[np.floating]

SCORES: Final = ("probability", "novelty")
STATISTICS: Final = ("brightness", "contrast", "sharpness")
QUANTITIES: Final = (*SCORES, *STATISTICS)
LEVELS: Final = 21
"""Stored quantiles of each quantity: every twentieth of the reference."""
BINS: Final = 10
WATCH: Final = 0.1
DRIFTED: Final = 0.25
"""Limits of the population stability index."""
DISTANCE_WATCH: Final = 0.1
DISTANCE_DRIFTED: Final = 0.2
"""Limits of the Kolmogorov-Smirnov distance; for two normal distributions of equal width these are
shifts of the mean by 0.25 and 0.5 standard deviations."""
CHANCE: Final = 0.01
"""Largest probability of a counted difference among equal distributions."""


@dataclass(frozen=True, slots=True)
class Shift:
    """The shift of one quantity.

    Attributes:
        name: of the quantity.
        psi: population stability index.
        psi_chance: exceeded by 1 in 100 comparisons of equal distributions of these sizes.
        distance: Kolmogorov-Smirnov distance; None for categories.
        p_value: of that distance among equal distributions; None for categories.
        reference_median, current_median: None for categories.
    """

    name: str
    psi: float
    psi_chance: float
    distance: float | None = None
    p_value: float | None = None
    reference_median: float | None = None
    current_median: float | None = None

    @property
    def verdict(self) -> Verdict:
        """Verdict of both measures."""
        index = self.psi if self.psi > self.psi_chance else 0.0
        certain = self.p_value is not None and self.p_value < CHANCE
        distance = (self.distance or 0.0) if certain else 0.0
        if index >= DRIFTED or distance >= DISTANCE_DRIFTED:
            return "drifted"
        if index >= WATCH or distance >= DISTANCE_WATCH:
            return "watch"
        return "stable"


def reference_of(values: Mapping[str, Floats]) -> Reference:
    """Return the distribution of quantities, each float [N], for a model card."""
    levels = np.linspace(0, 1, LEVELS)
    finite = {name: np.asarray(v)[np.isfinite(v)] for name, v in values.items()}
    return Reference(
        max((len(v) for v in finite.values()), default=0),
        {
            name: tuple(float(f"{q:.6g}") for q in np.quantile(v, levels))
            for name, v in finite.items()
            if len(v)
        },
    )


def population_stability_index(
    reference: NDArray[np.integer] | Floats, current: NDArray[np.integer] | Floats
) -> float:
    """Compute the index of counts in the same bins, float [B] each.

    Half a case is added to every bin, so the index is finite with empty bins.
    """
    r, a = (counts + 0.5 for counts in (reference, current))
    r, a = r / r.sum(), a / a.sum()
    return float(np.sum((a - r) * np.log(a / r)))


def chance_level(bins: int, reference: float, current: float) -> float:
    """Return the index that 1 in 100 pairs of equal distributions of these sizes exceeds.

    For equal distributions it follows (1 / n + 1 / m) times chi-squared with bins - 1 degrees of
    freedom (Yurdakul and Naranjo 2020, "Statistical properties of the population stability index").
    """
    from scipy.stats import chi2

    if bins < 2:
        return 0.0
    return float(chi2.isf(CHANCE, bins - 1) * (1 / reference + 1 / current))


def compare(name: str, reference: Floats, current: Floats) -> Shift | None:
    """Compare two samples of a quantity, float [N] and float [M]; None if one is empty."""
    from scipy.stats import ks_2samp

    reference, current = (values[np.isfinite(values)] for values in (reference, current))
    if not len(reference) or not len(current):
        return None
    edges = np.unique(np.quantile(reference, np.linspace(0, 1, BINS + 1)[1:-1]))
    counts = [
        np.bincount(np.searchsorted(edges, values, side="right"), minlength=len(edges) + 1)
        for values in (reference, current)
    ]
    test = ks_2samp(reference, current, method="asymp")
    return Shift(
        name,
        population_stability_index(*counts),
        chance_level(len(edges) + 1, len(reference), len(current)),
        float(test.statistic),
        float(test.pvalue),
        float(np.median(reference)),
        float(np.median(current)),
    )


def compare_categories(
    name: str, reference: Mapping[str, int], current: Mapping[str, int]
) -> Shift | None:
    """Compare counts of categories; None if one side is empty."""
    names = sorted(reference.keys() | current.keys())
    r, a = (np.array([counts.get(key, 0) for key in names]) for counts in (reference, current))
    if not r.sum() or not a.sum():
        return None
    return Shift(name, population_stability_index(r, a), chance_level(len(names), r.sum(), a.sum()))


class AgainstReference:
    """Compares a stream of values with the distribution in a model card, in constant memory.

    The distance is the largest gap at the reference's quantiles, which may be slightly smaller than
    the true one.
    """

    def __init__(self, reference: Reference) -> None:
        self._reference = reference
        self._quantiles = {
            name: np.asarray(reference.quantiles[name])
            for name in QUANTITIES
            if len(reference.quantiles.get(name, ())) == LEVELS
        }
        self._counts = {name: np.zeros(LEVELS + 1, np.int64) for name in self._quantiles}

    @property
    def names(self) -> tuple[str, ...]:
        """Quantities of the reference."""
        return tuple(self._quantiles)

    def add(self, name: str, values: Floats) -> None:
        """Count further values, float [N]; values that are not finite are skipped."""
        finite = values[np.isfinite(values)]
        # The cumulative sum of these counts is the number of values up to each quantile.
        place = np.searchsorted(self._quantiles[name], finite, side="left")
        self._counts[name] += np.bincount(place, minlength=LEVELS + 1)

    def shifts(self) -> list[Shift]:
        """Return the comparison of every quantity that has values."""
        from scipy.stats import kstwobign

        found = []
        for name, counts in self._counts.items():
            total = int(counts.sum())
            if not total:
                continue
            share = np.cumsum(counts)[:-1] / total
            levels = np.linspace(0, 1, LEVELS)
            quantiles = self._quantiles[name]
            # Equal quantiles are one jump of the distribution; use its upper end.
            top = np.append(quantiles[1:] > quantiles[:-1], True)
            gap = float(np.abs(share - levels)[top][:-1].max(initial=0.0))
            size = 1 / np.sqrt(1 / self._reference.count + 1 / total)
            expected, observed = self._merged(counts, quantiles)
            found.append(
                Shift(
                    name,
                    population_stability_index(expected * self._reference.count, observed),
                    chance_level(len(expected), self._reference.count, total),
                    gap,
                    float(kstwobign.sf(gap * size)),
                    float(quantiles[LEVELS // 2]),
                    float(np.interp(0.5, share, quantiles)),
                )
            )
        return found

    @staticmethod
    def _merged(counts: NDArray[np.int64], quantiles: Floats) -> tuple[Floats, NDArray[np.int64]]:
        """Return shares of the reference and counts in ten bins; fewer if quantiles coincide."""
        cuts = [
            index
            for index in range(2, LEVELS - 1, 2)
            # If quantiles coincide, the share up to their value is only approximate.
            if quantiles[index - 1] < quantiles[index] < quantiles[index + 1]
        ]
        shares = np.diff(np.concatenate([[0.0], np.array(cuts) / (LEVELS - 1), [1.0]]))
        totals = np.concatenate([[0], np.cumsum(counts)[np.array(cuts, int)], [counts.sum()]])
        return shares, np.diff(totals)

    def shares(self, name: str, bins: int) -> list[float]:
        """Return the reference's shares in equal bins over 0 to 1, for a histogram's outline."""
        levels = np.linspace(0, 1, LEVELS)
        quantiles = self._quantiles[name]
        cumulative = np.interp(np.linspace(0, 1, bins + 1), quantiles, levels, left=0.0, right=1.0)
        return [float(share) for share in np.diff(cumulative)]


def advice(shifts: Mapping[str, Shift]) -> str:
    """Return a recommendation from all shifts, in one sentence."""
    verdicts = {name: shift.verdict for name, shift in shifts.items()}
    scores = [verdicts[name] for name in (*SCORES, "decision") if name in verdicts]
    images = sorted(name for name, verdict in verdicts.items() if verdict == "drifted")
    if "drifted" in scores:
        return (
            "Recalibrate: the scores have drifted. Label a few hundred of these radiographs and "
            "run nanoray calibrate."
        )
    if images:
        return (
            f"Look at the images: {', '.join(images)} drifted, the scores did not. Has a device or "
            "its processing changed? Calibrate if the cause stays."
        )
    if "watch" in verdicts.values():
        return "Keep watching: there is a moderate shift. Compare again with more radiographs."
    return "No need to recalibrate."
