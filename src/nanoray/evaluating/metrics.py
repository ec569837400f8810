"""The figures of the results table, each with its interval."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, roc_auc_score

from nanoray.detecting.modelfile import ModelCard
from nanoray.evaluating.calibration import expected_calibration_error

Interval = tuple[float, float, float]
Metric = Callable[[NDArray[np.floating], NDArray[np.integer]], float]


def bootstrap(
    metric: Metric,
    probabilities: NDArray[np.floating],
    targets: NDArray[np.integer],
    patients: Sequence[str],
    *,
    samples: int = 2000,
    seed: int = 0,
) -> Interval:
    """A metric and its 95 % percentile interval (Efron 1979), drawing patients, not images.

    Draws without both classes are drawn again.
    """
    _, person = np.unique(np.asarray(patients), return_inverse=True)
    images_of = [np.flatnonzero(person == index) for index in range(person.max() + 1)]
    rng = np.random.default_rng(seed)
    found: list[float] = []
    while len(found) < samples:
        drawn = rng.integers(0, len(images_of), len(images_of))
        index = np.concatenate([images_of[person] for person in drawn])
        if 0 < targets[index].sum() < len(index):
            found.append(metric(probabilities[index], targets[index]))
    low, high = np.quantile(found, [0.025, 0.975])
    return metric(probabilities, targets), float(low), float(high)


def measure(
    probabilities: NDArray[np.floating],
    targets: NDArray[np.integer],
    patients: Sequence[str],
    card: ModelCard,
    *,
    samples: int = 2000,
) -> dict[str, Interval]:
    """AUROC, average precision, Brier score, ECE, and at each operating point accuracy,
    sensitivity and specificity; each as (value, low, high).
    """
    metrics: dict[str, Metric] = {
        "auroc": lambda p, t: float(roc_auc_score(t, p)),
        "average precision": lambda p, t: float(average_precision_score(t, p)),
        "brier": lambda p, t: float(np.mean((p - t) ** 2)),
        "ece": expected_calibration_error,
    }
    for point in card.operating_points:
        metrics |= at_threshold(point.name, point.threshold)
    return {
        name: bootstrap(metric, probabilities, targets, patients, samples=samples)
        for name, metric in metrics.items()
    }


def at_threshold(name: str, threshold: float) -> dict[str, Metric]:
    """Accuracy, sensitivity and specificity of "probability >= threshold"."""
    return {
        f"{name} accuracy": lambda p, t: float(np.mean((p >= threshold) == t)),
        f"{name} sensitivity": lambda p, t: float(np.mean(p[t == 1] >= threshold)),
        f"{name} specificity": lambda p, t: float(np.mean(p[t == 0] < threshold)),
    }
