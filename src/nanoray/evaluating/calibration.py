"""From logits to probabilities that mean what they say."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

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
    # Newton's method on slope a and offset b of sigmoid(a x + b): the likelihood is concave.
    design = np.stack([x, np.ones_like(x)], 1)[:, : 2 if free_shift else 1]
    weights = np.zeros(design.shape[1])
    weights[0] = 1.0
    for _ in range(100):
        p = sigmoid(design @ weights)
        gradient = design.T @ (smoothed - p)
        hessian = (design * (p * (1 - p))[:, None]).T @ design + 1e-9 * np.eye(len(weights))
        step = np.linalg.solve(hessian, gradient)
        step *= min(1.0, 2.0 / (np.abs(step).max() + 1e-12))
        weights += step
        if np.abs(step).max() < 1e-10:
            break
    # A slope of 0 or less would say that the model is no better than chance.
    slope = max(weights[0], 1e-3)
    return float(1 / slope), float(weights[1] / slope) if free_shift else 0.0


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
