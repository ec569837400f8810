"""Recalibration of a model and its operating points to a site, from labelled cases."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import GroupKFold

from nanoray.detecting.model_file import ModelCard, Reference
from nanoray.errors import DataSetError
from nanoray.evaluating.calibration import (
    calibration_error,
    fit_platt,
    fit_temperature,
    sigmoid,
)
from nanoray.evaluating.metrics import auroc, average_precision, brier, measure_at_point
from nanoray.evaluating.operating_points import choose_operating_points
from nanoray.evaluating.resampling import (
    Interval,
    Metric,
    Resampling,
    draw_patients,
    interval,
)

Floats = NDArray[np.floating]
Targets = NDArray[np.integer]

FEWEST: Final = 20
FOLDS: Final = 5
# The chi-squared quantile (1 degree of freedom) that chance exceeds once in 100.
_CERTAIN: Final = 6.635


@dataclass(frozen=True, slots=True)
class LabelledScores:
    """Logits float64 [N], targets int [N] of 0 and 1, and the patient of each radiograph."""

    logits: Floats
    targets: Targets
    patients: Sequence[str]


@dataclass(frozen=True, slots=True)
class Recalibration:
    """A model's calibration at a site.

    Attributes:
        card: of the new model file.
        shift: to be added to the logits; 0 unless requested.
        temperature, thresholds: with 95 % bootstrap intervals over patients.
        before: metrics with the old card.
        after: metrics with the new calibration, cross-validated by patient.
        shift_needed: whether the probabilities are too high or too low with a temperature alone
            (likelihood ratio test, 1 %).
    """

    card: ModelCard
    shift: float
    temperature: Interval
    thresholds: dict[str, Interval]
    before: dict[str, Interval]
    after: dict[str, Interval]
    shift_needed: bool


def recalibrate(
    card: ModelCard,
    scores: LabelledScores,
    site: str,
    *,
    shift: bool = False,
    reference: Reference | None = None,
    samples: int = 1000,
    seed: int = 0,
) -> Recalibration:
    """Fit temperature and operating points to a site's labelled cases.

    The temperature is that of Guo et al. 2017. With `shift` also the logits' offset is fitted
    (Platt 1999), for a site with another prevalence than the training data.

    Args:
        card: of the model of the logits.
        scores: of the cases without an abstention.
        site: becomes the local part of the version.
        reference: the site's distribution, for later comparisons.
        samples: bootstrap samples.

    Raises:
        DataSetError: fewer than 20 cases with or without the finding.
    """
    logits, targets = np.asarray(scores.logits, np.float64), np.asarray(scores.targets)
    for name, count in (("with", int(targets.sum())), ("without", int((1 - targets).sum()))):
        if count < FEWEST:
            raise DataSetError(f"{count} cases {name} the finding; at least {FEWEST} are needed")
    temperature, offset = _fit(logits, targets, shift)
    probabilities = sigmoid((logits + offset) / temperature)
    points = choose_operating_points(probabilities, targets)
    resampling = draw_patients(scores.patients, targets, samples=samples, seed=seed)
    drawn = _bootstrap(scores, shift, resampling)
    # These depend only on the order of the scores, which a calibration does not change.
    kept = {
        name: value
        for name, value in card.metrics.items()
        if name in ("auroc", "average precision")
    }
    new = replace(
        card,
        version=f"{card.version.partition('+')[0]}+{site}",
        date=datetime.datetime.now(datetime.timezone.utc).date().isoformat(),
        temperature=temperature,
        cam_bias=card.cam_bias + offset,
        prevalence=None,
        operating_points=points,
        # Calibrations of single views, and the bound on missed opacities, are not valid for this
        # site.
        views=(),
        guarantees=(),
        training_data=f"{card.training_data}; calibrated on {len(targets)} radiographs of "
        f"{site}, {int(targets.sum())} with the finding",
        command=f"{card.command}; nanoray calibrate --site {site}{' --shift' if shift else ''}",
        reference=reference or card.reference,
        metrics=kept,
    )
    old = sigmoid(logits / card.temperature)
    decided = {point.name: old >= point.threshold for point in card.operating_points}
    before = _figures(old, decided, targets, resampling)
    after = _figures(*_held_out(scores, shift, new), targets, resampling)
    site_metrics = {f"site {name}": after[name] for name in ("auroc", "brier", "ece")}
    return Recalibration(
        replace(new, metrics=kept | site_metrics),
        offset,
        interval(temperature, drawn[:, 0]),
        {
            point.name: interval(point.threshold, drawn[:, 1 + index])
            for index, point in enumerate(points)
        },
        before,
        after,
        not shift and _shift_needed(logits, targets),
    )


def _fit(logits: Floats, targets: Targets, shift: bool) -> tuple[float, float]:
    return fit_platt(logits, targets) if shift else (fit_temperature(logits, targets), 0.0)


def _bootstrap(scores: LabelledScores, shift: bool, resampling: Resampling) -> Floats:
    """Fit temperature and the three thresholds of each draw of patients, float64 [B, 4]."""
    found: list[list[float]] = []
    for weights in resampling.weights():
        for draw in weights:
            index = np.repeat(np.arange(len(draw)), draw.astype(np.int64))
            targets = scores.targets[index]
            temperature, offset = _fit(scores.logits[index], targets, shift)
            points = choose_operating_points(
                sigmoid((scores.logits[index] + offset) / temperature), targets
            )
            found.append([temperature, *(point.threshold for point in points)])
    return np.array(found)


def _held_out(
    scores: LabelledScores, shift: bool, card: ModelCard
) -> tuple[Floats, dict[str, NDArray[np.bool_]]]:
    """Cross-validate by patient: return probabilities float64 [N] and decisions.

    The decisions at each operating point use the thresholds of the other folds.
    """
    probabilities = np.zeros(len(scores.targets))
    decided = {point.name: np.zeros(len(scores.targets), bool) for point in card.operating_points}
    folds = GroupKFold(min(FOLDS, len(set(scores.patients))))
    for fitted, judged in folds.split(scores.logits, scores.targets, scores.patients):
        targets = scores.targets[fitted]
        temperature, offset = _fit(scores.logits[fitted], targets, shift)
        points = choose_operating_points(
            sigmoid((scores.logits[fitted] + offset) / temperature), targets
        )
        probabilities[judged] = sigmoid((scores.logits[judged] + offset) / temperature)
        for point in points:
            decided[point.name][judged] = probabilities[judged] >= point.threshold
    return probabilities, decided


def _figures(
    probabilities: Floats,
    decided: dict[str, NDArray[np.bool_]],
    targets: Targets,
    resampling: Resampling,
) -> dict[str, Interval]:
    """Compute metrics of probabilities float64 [N] and of decisions bool [N]."""
    metrics: dict[str, Metric] = {
        "auroc": partial(auroc, probabilities, targets),
        "average precision": partial(average_precision, probabilities, targets),
        "brier": partial(brier, probabilities, targets),
        "ece": partial(calibration_error, probabilities, targets),
    }
    found = {name: resampling.interval(metric) for name, metric in metrics.items()}
    everything = np.ones(len(targets), bool)
    for point, called in decided.items():
        for name in ("accuracy", "sensitivity", "specificity"):
            figure = measure_at_point(name, called, targets, everything, resampling)
            found[f"{point} {name}"] = figure
    return found


def _shift_needed(logits: Floats, targets: Targets) -> bool:
    def likelihood(temperature: float, offset: float) -> float:
        p = np.clip(sigmoid((logits + offset) / temperature), 1e-12, 1 - 1e-12)
        return float(np.sum(np.where(targets == 1, np.log(p), np.log(1 - p))))

    gain = likelihood(*fit_platt(logits, targets)) - likelihood(
        fit_temperature(logits, targets), 0.0
    )
    return 2 * gain > _CERTAIN
