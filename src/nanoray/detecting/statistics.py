"""Statistics of what the network saw, by which a change of devices or habits shows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nanoray.reading.radiograph import Pixels
from nanoray.reading.resize import Placement


@dataclass(frozen=True, slots=True)
class Statistics:
    """Of the radiograph in the model's square, without the padding.

    Attributes:
        brightness: mean of the pixels, 0..1.
        contrast: their standard deviation.
        sharpness: mean absolute difference of neighbouring pixels, down and across.
    """

    brightness: float
    contrast: float
    sharpness: float


def statistics_of(square: Pixels, place: Placement) -> Statistics:
    """Statistics of a float32 [S, S] square in which the radiograph lies at `place`."""
    seen = square[place.top : place.top + place.height, place.left : place.left + place.width]
    down, across = np.abs(np.diff(seen, axis=0)), np.abs(np.diff(seen, axis=1))
    steps = [float(step.mean()) for step in (down, across) if step.size]
    return Statistics(
        float(seen.mean()), float(seen.std()), sum(steps) / len(steps) if steps else 0.0
    )
