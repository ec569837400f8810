"""Sensitivity and specificity at every threshold, view by view, with intervals over patients."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from nanoray.detecting.views import VIEWS
from nanoray.evaluating.resampling import Floats, Resampling

THRESHOLDS: Final = np.linspace(0.0, 1.0, 101)


@dataclass(frozen=True, slots=True)
class ThresholdCurve:
    """The curve of one view, or of all radiographs.

    Attributes:
        view: None for all.
        positive, negative: numbers of radiographs.
        sensitivity, specificity: float64 [T, 3], value and 95 % interval at each of `THRESHOLDS`.
    """

    view: str | None
    positive: int
    negative: int
    sensitivity: Floats
    specificity: Floats


def threshold_curves(
    probabilities: Floats,
    targets: NDArray[np.integer],
    views: Sequence[str | None],
    resampling: Resampling,
) -> list[ThresholdCurve]:
    """Return the curve of all radiographs, and of each view that has both classes.

    Args:
        probabilities: float [N], calibrated.
        targets: [N], 0 or 1.
        views: [N].
    """
    reached = (probabilities[:, None] >= THRESHOLDS).astype(np.float64)
    found = []
    for view in (None, *VIEWS):
        members = np.array([view is None or name == view for name in views], bool)
        positive, negative = members & (targets == 1), members & (targets == 0)
        if not positive.any() or not negative.any():
            continue
        found.append(
            ThresholdCurve(
                view,
                int(positive.sum()),
                int(negative.sum()),
                _shares(reached, positive, resampling),
                _shares(1.0 - reached, negative, resampling),
            )
        )
    return found


def _shares(right: Floats, members: NDArray[np.bool_], resampling: Resampling) -> Floats:
    """Return the share of correct members at each threshold, float64 [T, 3]."""
    value = right[members].mean(0)
    pieces = []
    for weights in resampling.weights():
        inside = weights[:, members]
        total = inside.sum(1, keepdims=True)
        pieces.append((inside @ right[members])[total[:, 0] > 0] / total[total > 0][:, None])
    low, high = np.quantile(np.concatenate(pieces), [0.025, 0.975], axis=0)
    return np.stack([value, np.minimum(low, value), np.maximum(high, value)], 1)
