"""From logits to probabilities that mean what they say."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

Floats = NDArray[np.floating]


def sigmoid(logits: Floats) -> Floats:
    """1 / (1 + exp(-x)), without overflow."""
    probabilities: Floats = 0.5 * (1 + np.tanh(0.5 * np.asarray(logits, np.float64)))
    return probabilities


def fit_platt(logits: Floats, targets: NDArray[np.integer]) -> tuple[float, float]:
    """Temperature T and shift s that make sigmoid((logit + s) / T) most likely.

    Platt scaling (Platt 1999), with his smoothed targets against overconfidence on few cases.
    """
    return _maximise(logits, targets, free_shift=True)


def fit_temperature(logits: Floats, targets: NDArray[np.integer]) -> float:
    """Temperature T that makes sigmoid(logit / T) most likely (Guo et al. 2017)."""
    return _maximise(logits, targets, free_shift=False)[0]


def _maximise(
    logits: Floats, targets: NDArray[np.integer], *, free_shift: bool
) -> tuple[float, float]:
    x = np.asarray(logits, np.float64)
    positive, negative = int((targets == 1).sum()), int((targets == 0).sum())
    if not positive or not negative:
        raise ValueError("calibration needs positive and negative cases")
    smoothed = np.where(targets == 1, (positive + 1) / (positive + 2), 1 / (negative + 2))
    # Soft targets as two weighted copies of every case.
    regression = LogisticRegression(C=1e8, fit_intercept=free_shift, tol=1e-8, max_iter=1000)
    regression.fit(
        np.concatenate([x, x])[:, None],
        np.repeat([1, 0], len(x)),
        sample_weight=np.concatenate([smoothed, 1 - smoothed]),
    )
    # A slope of 0 or less would say that the model is no better than chance.
    slope = max(float(regression.coef_[0, 0]), 1e-3)
    return 1 / slope, float(np.ravel(regression.intercept_)[0]) / slope


def expected_calibration_error(
    probabilities: Floats, targets: NDArray[np.integer], *, bins: int = 10
) -> float:
    """Mean gap between probability and observed share over equal bins (Guo et al. 2017)."""
    index = np.minimum((probabilities * bins).astype(int), bins - 1)
    gap = 0.0
    for b in range(bins):
        inside = index == b
        if inside.any():
            gap += abs(probabilities[inside].mean() - targets[inside].mean()) * inside.mean()
    return float(gap)
