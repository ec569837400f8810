"""The figures of the results table, each with its interval.

Every metric takes weights [B, N] of the images and returns [B] values, so the bootstrap needs only
a few matrix products. With weights of one it equals scikit-learn's value. Integer weights are
equivalent to repeated images.
"""

from __future__ import annotations

from functools import partial

import numpy as np
from numpy.typing import NDArray

from nanoray.detecting.model_file import ModelCard
from nanoray.evaluating.calibration import calibration_line, prior_weights, sigmoid
from nanoray.evaluating.operating_points import wilson_interval
from nanoray.evaluating.resampling import Floats, Interval, Metric, Resampling, interval
from nanoray.evaluating.scores import Judgement, Scores

Targets = NDArray[np.integer]


def auroc(scores: Floats, targets: Targets, weights: Floats) -> Floats:
    """Compute the AUROC as a rank statistic (Mann and Whitney 1947); ties count half."""
    concordant, pairs = concordant_pairs(scores, targets, weights)
    return _ratio(concordant, pairs)


def concordant_pairs(scores: Floats, targets: Targets, weights: Floats) -> tuple[Floats, Floats]:
    """Return the weight of correctly ordered pairs, and of all pairs, float64 [B] both.

    A pair is a positive and a negative image; its weight is the product of their weights.
    """
    positive, negative = _by_rising_score(scores, targets, weights)
    below = np.cumsum(negative, 1) - negative / 2
    return (positive * below).sum(1), positive.sum(1) * negative.sum(1)


def average_precision(scores: Floats, targets: Targets, weights: Floats) -> Floats:
    """Compute the area under the precision-recall curve as a sum of steps, not interpolated."""
    positive, negative = _by_rising_score(scores, targets, weights)
    hits = np.cumsum(positive[:, ::-1], 1)
    called = hits + np.cumsum(negative[:, ::-1], 1)
    precision = np.divide(hits, called, out=np.zeros_like(hits), where=called > 0)
    return _ratio((positive[:, ::-1] * precision).sum(1), hits[:, -1])


def brier(probabilities: Floats, targets: Targets, weights: Floats) -> Floats:
    """Compute the mean squared difference of probability and outcome (Brier 1950)."""
    return _ratio(weights @ (probabilities - targets) ** 2, weights.sum(1))


def at_point(name: str, called: NDArray[np.bool_], targets: Targets, weights: Floats) -> Floats:
    """Compute one of `POINT_METRICS` of the decisions `called`, bool [N]."""
    positive = targets == 1
    hits = weights @ (called & positive).astype(np.float64)
    misses = weights @ (~called & positive).astype(np.float64)
    alarms = weights @ (called & ~positive).astype(np.float64)
    clear = weights @ (~called & ~positive).astype(np.float64)
    top, bottom = {
        "accuracy": (hits + clear, hits + misses + alarms + clear),
        "sensitivity": (hits, hits + misses),
        "specificity": (clear, clear + alarms),
        "precision": (hits, hits + alarms),
        "f1": (2 * hits, 2 * hits + misses + alarms),
    }[name]
    return _ratio(top, bottom)


POINT_METRICS = ("accuracy", "sensitivity", "specificity", "precision", "f1")


def measure(
    scores: Scores, judged: Judgement, targets: Targets, card: ModelCard, resampling: Resampling
) -> dict[str, Interval]:
    """Compute all figures of a model on N images, each as (value, low, high).

    These are AUROC, average precision, Brier score, calibration slope and intercept of the
    calibrated probabilities; the last three also of the unchanged logits ("uncalibrated").
    `POINT_METRICS` follow at each operating point. Figures that depend on the share of positive
    images are for the prevalence of the card, with the images weighted to it.
    """
    prior = prior_weights(targets, card.prevalence)
    raw = sigmoid(scores.logits)
    metrics: dict[str, Metric] = {
        # Of the unchanged logits, since calibrations by view would change their order.
        "auroc": partial(auroc, scores.logits, targets),
        "average precision": lambda w: average_precision(scores.logits, targets, w * prior),
        "brier": lambda w: brier(judged.probabilities, targets, w * prior),
        "brier uncalibrated": lambda w: brier(raw, targets, w * prior),
    }
    measured = {name: resampling.interval(metric) for name, metric in metrics.items()}
    for suffix, logits in (
        ("", judged.logits),
        (" uncalibrated", scores.logits),
    ):
        pieces = [
            calibration_line(logits, targets, weights * prior)
            for weights in (np.ones((1, len(targets))), *resampling.weights())
        ]
        for number, name in enumerate(("slope", "intercept")):
            values = np.concatenate([piece[number] for piece in pieces])
            found = interval(float(values[0]), values[1:])
            measured[f"calibration {name}{suffix}"] = found
    everything = np.ones(len(targets), bool)
    for point, called in judged.calls.items():
        for name in POINT_METRICS:
            figure = measure_at_point(name, called, targets, everything, resampling, prior)
            measured[f"{point} {name}"] = figure
    return measured


def measure_at_point(
    name: str,
    called: NDArray[np.bool_],
    targets: Targets,
    members: NDArray[np.bool_],
    resampling: Resampling,
    prior: Floats | None = None,
) -> Interval:
    """Compute one of `POINT_METRICS` among the `members`, bool [N], with its interval.

    If every draw has the same share, such as 100 %, the bootstrap's interval has no width, and
    Wilson's is used.

    Args:
        prior: weights of the images, [N]; ones by default.
    """
    weights = members if prior is None else members * prior
    value, low, high = resampling.interval(lambda w: at_point(name, called, targets, w * weights))
    if low == high and name != "f1":
        among = {
            "accuracy": members,
            "sensitivity": members & (targets == 1),
            "specificity": members & (targets == 0),
            "precision": members & called,
        }[name]
        count = int(among.sum())
        low, high = wilson_interval(round(value * count), count)
        low, high = min(low, value), max(high, value)
    return value, low, high


def _by_rising_score(scores: Floats, targets: Targets, weights: Floats) -> tuple[Floats, Floats]:
    """Sum the weights of positive and negative images at each distinct score, [B, U].

    Raises:
        ValueError: a score is NaN, which has no rank.
    """
    if np.isnan(scores).any():
        raise ValueError(f"{int(np.isnan(scores).sum())} of {len(scores)} scores are not a number")
    order = np.argsort(scores, kind="stable")
    ordered = np.asarray(scores)[order]
    starts = np.flatnonzero(np.concatenate(([True], ordered[1:] != ordered[:-1])))
    weights, positive = weights[:, order], targets[order] == 1
    return (
        np.add.reduceat(weights * positive, starts, 1),
        np.add.reduceat(weights * ~positive, starts, 1),
    )


def _ratio(top: Floats, bottom: Floats) -> Floats:
    ratio: Floats = np.divide(top, bottom, out=np.full(len(top), np.nan), where=bottom > 0)
    return ratio
