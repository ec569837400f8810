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


def calibration_error(
    probabilities: Floats, targets: NDArray[np.integer], weights: Floats, *, bins: int = 10
) -> Floats:
    """Mean gap between probability and observed share over equal bins (Guo et al. 2017).

    Args:
        weights: of the images, [B, N].

    Returns:
        float64 [B].
    """
    index = np.minimum((probabilities * bins).astype(int), bins - 1)
    inside = index[:, None] == np.arange(bins)
    gaps = np.abs(weights @ (inside * (probabilities - targets)[:, None]))
    error: Floats = gaps.sum(1) / weights.sum(1)
    return error


def expected_calibration_error(
    probabilities: Floats, targets: NDArray[np.integer], *, bins: int = 10
) -> float:
    """`calibration_error` of images that weigh the same."""
    ones = np.ones((1, len(targets)))
    return float(calibration_error(probabilities, targets, ones, bins=bins)[0])
