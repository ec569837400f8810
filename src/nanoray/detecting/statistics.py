"""Statistics of the network's input, which reveal a change of devices or practice."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from nanoray.reading.radiograph import Pixels
from nanoray.reading.resize import Placement


@dataclass(frozen=True, slots=True)
class Statistics:
    """Statistics of the radiograph in the model's square, without the padding.

    Attributes:
        brightness: mean of the pixels, 0..1.
        contrast: their standard deviation.
        sharpness: mean absolute difference of neighbouring pixels, down and across.
    """

    brightness: float
    contrast: float
    sharpness: float


def statistics_of(square: Pixels, place: Placement) -> Statistics:
    """Compute the statistics of a float32 [S, S] square with the radiograph at `place`."""
    return statistics(place.crop(square))


def trimmed(square: Pixels) -> Pixels:
    """Remove rows and columns of 0 from a square [S, S] with an unknown placement."""
    rows, columns = np.flatnonzero(square.any(1)), np.flatnonzero(square.any(0))
    if not len(rows):
        return square
    return square[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def statistics(seen: Pixels) -> Statistics:
    """Compute the statistics of a radiograph's pixels, float32 [H, W]."""
    steps = [
        float(np.abs(step, out=step).mean())
        for step in (seen[1:] - seen[:-1], seen[:, 1:] - seen[:, :-1])
        if step.size
    ]
    mean = float(seen.mean())
    differences = (seen - np.float32(mean)).reshape(-1)
    contrast = math.sqrt(float(differences @ differences) / seen.size)
    return Statistics(mean, contrast, sum(steps) / len(steps) if steps else 0.0)
