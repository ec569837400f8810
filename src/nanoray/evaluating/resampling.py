"""Bootstrap by patient, with draws as weights: a metric is computed for all draws together."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]
Interval = tuple[float, float, float]
Metric = Callable[[Floats], Floats]
"""A metric of N images for B draws: weights [B, N] to values [B], NaN if undefined."""

# Weights per piece: 4 million numbers of 8 bytes; a metric makes a few arrays of that size.
_PIECE = 4_000_000


@dataclass(frozen=True, slots=True)
class Resampling:
    """Draws of patients with replacement (Efron 1979).

    The weight of an image is the number of draws of its patient, equivalent to repeating it.

    Attributes:
        person: int [N], the patient of each image as a number from 0.
        counts: uint16 [B, P], how often each draw has each patient.
    """

    person: NDArray[np.intp]
    counts: NDArray[np.uint16]

    def weights(self) -> Iterator[Floats]:
        """Yield weights of the images, float64 [b, N], for pieces of the draws."""
        step = max(1, _PIECE // len(self.person))
        for first in range(0, len(self.counts), step):
            yield self.counts[first : first + step].astype(np.float64)[:, self.person]

    def values(self, metric: Metric) -> Floats:
        """Return a metric of every draw, float64 [B]."""
        found: Floats = np.concatenate([metric(weights) for weights in self.weights()])
        return found

    def interval(self, metric: Metric) -> Interval:
        """Return a metric with its 95 % percentile interval."""
        value = float(metric(np.ones((1, len(self.person))))[0])
        return interval(value, self.values(metric))


def draw_patients(
    patients: Sequence[str] | NDArray[np.intp],
    targets: NDArray[np.integer],
    *,
    samples: int = 2000,
    seed: int = 0,
) -> Resampling:
    """Draw all patients with replacement, `samples` times.

    Draws without positive or without negative images are repeated, if the images have both.
    """
    _, person = np.unique(np.asarray(patients), return_inverse=True)
    people = int(person.max()) + 1
    rng = np.random.default_rng(seed)
    positive = np.bincount(person, targets == 1, people)
    negative = np.bincount(person, targets == 0, people)
    both = positive.sum() > 0 and negative.sum() > 0
    chunks: list[NDArray[np.uint16]] = []
    missing = samples
    while missing:
        counts = rng.multinomial(people, np.full(people, 1 / people), missing).astype(np.uint16)
        if both:
            counts = counts[(counts @ positive > 0) & (counts @ negative > 0)]
        chunks.append(counts)
        missing -= len(counts)
    return Resampling(np.asarray(person, np.intp), np.concatenate(chunks))


def interval(value: float, draws: Floats) -> Interval:
    """Return (value, low, high): the 2.5 and 97.5 percentiles of the defined draws.

    The interval is widened to include the value if the metric is biased in resamples, like the
    calibration error. NaN without any draw.
    """
    defined = draws[np.isfinite(draws)]
    if not len(defined) or not np.isfinite(value):
        return value, float("nan"), float("nan")
    low, high = np.quantile(defined, [0.025, 0.975])
    return value, min(float(low), value), max(float(high), value)
