"""Calibration of logits to probabilities, and its measures."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

Floats = NDArray[np.floating]


def sigmoid(logits: Floats) -> Floats:
    """Compute 1 / (1 + exp(-x)) without overflow."""
    probabilities: Floats = 0.5 * (1 + np.tanh(0.5 * np.asarray(logits, np.float64)))
    return probabilities


def prior_weights(targets: NDArray[np.integer], prevalence: float | None) -> Floats:
    """Return weights float64 [N] that give the cases the share `prevalence` of positives.

    Saerens et al. 2002, "Adjusting the outputs of a classifier to new a priori probabilities". The
    images of a class are assumed to look the same at every prevalence. Ones for None.
    """
    if prevalence is None:
        return np.ones(len(targets))
    share = float((targets == 1).mean())
    if not 0.0 < share < 1.0:
        raise ValueError("a prevalence needs positive and negative cases")
    return np.where(targets == 1, prevalence / share, (1 - prevalence) / (1 - share))


def fit_platt(
    logits: Floats,
    targets: NDArray[np.integer],
    *,
    prevalence: float | None = None,
    weights: Floats | None = None,
) -> tuple[float, float]:
    """Fit temperature T and shift s of sigmoid((logit + s) / T) by maximum likelihood.

    Platt scaling (Platt 1999), with smoothed targets against overconfidence on few cases.

    Args:
        prevalence: share of positive cases of the probabilities; default: that of the cases.
        weights: float64 [N], of the cases, in place of a prevalence.
    """
    if weights is None:
        weights = prior_weights(targets, prevalence)
    return _maximise(logits, targets, weights, free_shift=True)


def fit_temperature(
    logits: Floats, targets: NDArray[np.integer], *, prevalence: float | None = None
) -> float:
    """Fit the temperature T of sigmoid(logit / T) by maximum likelihood (Guo et al. 2017)."""
    weights = prior_weights(targets, prevalence)
    return _maximise(logits, targets, weights, free_shift=False)[0]


def _maximise(
    logits: Floats,
    targets: NDArray[np.integer],
    weights: Floats,
    *,
    free_shift: bool,
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
        sample_weight=np.concatenate([smoothed, 1 - smoothed])
        * np.tile(np.asarray(weights) * len(x) / np.sum(weights), 2),
    )
    # A slope of 0 or less would mean that the model is no better than chance.
    slope = max(float(regression.coef_[0, 0]), 1e-3)
    return 1 / slope, float(np.ravel(regression.intercept_)[0]) / slope


def calibration_line(
    logits: Floats, targets: NDArray[np.integer], weights: Floats, *, steps: int = 25
) -> tuple[Floats, Floats]:
    """Compute calibration slope and intercept (Cox 1958; Van Calster et al. 2016).

    The slope is that of the target's logistic regression on the logit; it is below 1 if the scores
    are too extreme. The intercept is fitted with a slope of 1 (calibration in the large); it is
    below 0 if the probabilities are too high.

    Args:
        weights: of the images, [B, N].
        steps: of Newton's method.

    Returns:
        float64 [B] both; NaN if a draw has one class only or separates the classes.
    """
    x = np.asarray(logits, np.float64)
    y = (targets == 1).astype(np.float64)
    total = weights.sum(1)
    slope, shift = np.ones(len(weights)), np.zeros(len(weights))
    alone = np.zeros(len(weights))
    with np.errstate(all="ignore"):
        for _ in range(steps):
            p = sigmoid(slope[:, None] * x + shift[:, None])
            curve, rest = weights * p * (1 - p), weights * (y - p)
            a, b, c = curve @ (x * x), curve @ x, curve.sum(1)
            up, right = rest @ x, rest.sum(1)
            determinant = a * c - b * b
            change = (c * up - b * right) / determinant
            slope = slope + np.clip(change, -2, 2)
            shift = shift + np.clip((a * right - b * up) / determinant, -4, 4)
            p = sigmoid(x + alone[:, None])
            alone = alone + np.clip(
                (weights * (y - p)).sum(1) / (weights * p * (1 - p)).sum(1), -4, 4
            )
            if np.nanmax(np.abs(change), initial=0) < 1e-9:
                break
        settled = np.isfinite(slope) & (np.abs(change) < 1e-4) & (total > 0)
    return np.where(settled, slope, np.nan), np.where(np.isfinite(alone), alone, np.nan)


def calibration_error(
    probabilities: Floats, targets: NDArray[np.integer], weights: Floats, *, bins: int = 10
) -> Floats:
    """Compute the mean gap of probability and observed share in equal bins (Guo et al. 2017).

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


def reliability_curve(
    probabilities: Floats, targets: NDArray[np.integer], weights: Floats, *, bins: int = 8
) -> tuple[Floats, Floats]:
    """Return mean probability and observed share in bins of equal size.

    float64 [bins] both, fewer for fewer cases.
    """
    count = min(bins, len(probabilities))
    parts = np.array_split(np.argsort(probabilities, kind="stable"), count) if count else []
    predicted = [np.average(probabilities[part], weights=weights[part]) for part in parts]
    observed = [np.average(targets[part], weights=weights[part]) for part in parts]
    return np.array(predicted), np.array(observed)
