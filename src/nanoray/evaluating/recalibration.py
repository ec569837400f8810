"""Fitting a model's calibration and operating points to a site, from labelled cases."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import GroupKFold

from nanoray.detecting.modelfile import ModelCard, Reference
from nanoray.errors import DataSetError
from nanoray.evaluating.calibration import fit_platt, fit_temperature, sigmoid
from nanoray.evaluating.metrics import Interval, at_threshold, bootstrap, measure
from nanoray.evaluating.operating_points import choose_operating_points

Floats = NDArray[np.floating]
Targets = NDArray[np.integer]

FEWEST: Final = 20
FOLDS: Final = 5
# The chi-squared quantile (1 degree of freedom) that chance exceeds once in 100.
_CERTAIN: Final = 6.635


@dataclass(frozen=True, slots=True)
class LabelledScores:
    """Logits float64 [N], targets int [N] of 0 and 1, and whose radiograph each is."""

    logits: Floats
    targets: Targets
    patients: Sequence[str]


@dataclass(frozen=True, slots=True)
class Recalibration:
    """A model's calibration at a site.

    Attributes:
        card: of the new model file.
        shift: to be added to the logits; 0 unless asked for.
        temperature, thresholds: with 95 % bootstrap intervals over patients.
        before: metrics with the old card.
        after: metrics with the new calibration, each case judged by a fit without its fold.
        shift_needed: whether a temperature alone leaves the probabilities too high or too low
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

    The temperature is that of Guo et al. 2017; with `shift` also the logits' offset is fitted
    (Platt 1999), which a site with more or fewer pneumonias than the training data needs.

    Args:
        card: of the model that gave the logits.
        scores: of the cases that the model does not abstain from.
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
    drawn = _bootstrap(scores, shift, samples, seed)
    # These depend on the order of the scores alone, which no calibration changes.
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
        operating_points=points,
        training_data=f"{card.training_data}; calibrated on {len(targets)} radiographs of "
        f"{site}, {int(targets.sum())} with the finding",
        command=f"{card.command}; nanoray calibrate --site {site}{' --shift' if shift else ''}",
        reference=reference or card.reference,
        metrics=kept,
    )
    old = sigmoid(logits / card.temperature)
    before = measure(old, targets, scores.patients, card, samples=samples)
    after = _held_out(scores, shift, new, samples)
    site_metrics = {f"site {name}": after[name] for name in ("auroc", "brier", "ece")}
    return Recalibration(
        replace(new, metrics=kept | site_metrics),
        offset,
        _interval(temperature, drawn[:, 0]),
        {
            point.name: _interval(point.threshold, drawn[:, 1 + index])
            for index, point in enumerate(points)
        },
        before,
        after,
        not shift and _shift_needed(logits, targets),
    )


def _fit(logits: Floats, targets: Targets, shift: bool) -> tuple[float, float]:
    return fit_platt(logits, targets) if shift else (fit_temperature(logits, targets), 0.0)


def _interval(value: float, drawn: Floats) -> Interval:
    low, high = np.quantile(drawn, [0.025, 0.975])
    return value, float(low), float(high)


def _bootstrap(scores: LabelledScores, shift: bool, samples: int, seed: int) -> Floats:
    """Temperature and the three thresholds of samples of patients, float64 [samples, 4]."""
    _, person = np.unique(np.asarray(scores.patients), return_inverse=True)
    images_of = [np.flatnonzero(person == index) for index in range(person.max() + 1)]
    rng = np.random.default_rng(seed)
    found: list[list[float]] = []
    while len(found) < samples:
        people = rng.integers(0, len(images_of), len(images_of))
        index = np.concatenate([images_of[number] for number in people])
        targets = scores.targets[index]
        if not 0 < targets.sum() < len(index):
            continue
        temperature, offset = _fit(scores.logits[index], targets, shift)
        points = choose_operating_points(
            sigmoid((scores.logits[index] + offset) / temperature), targets
        )
        found.append([temperature, *(point.threshold for point in points)])
    return np.array(found)


def _held_out(
    scores: LabelledScores, shift: bool, card: ModelCard, samples: int
) -> dict[str, Interval]:
    """Metrics of probabilities that come from fits without the case and its patient.

    Likewise a sensitivity is that of the thresholds which the other folds choose.
    """
    people = len(set(scores.patients))
    probabilities = np.zeros(len(scores.targets))
    moved = np.zeros((len(card.operating_points), len(scores.targets)), bool)
    folds = GroupKFold(min(FOLDS, people))
    for fitted, judged in folds.split(scores.logits, scores.targets, scores.patients):
        targets = scores.targets[fitted]
        temperature, offset = _fit(scores.logits[fitted], targets, shift)
        points = choose_operating_points(
            sigmoid((scores.logits[fitted] + offset) / temperature), targets
        )
        probabilities[judged] = sigmoid((scores.logits[judged] + offset) / temperature)
        for index, point in enumerate(points):
            moved[index, judged] = probabilities[judged] >= point.threshold
    metrics = measure(
        probabilities,
        scores.targets,
        scores.patients,
        replace(card, operating_points=()),
        samples=samples,
    )
    for point, called in zip(card.operating_points, moved, strict=True):
        # As probabilities of 0 and 1, which any threshold between decides as the fold did.
        decided = called.astype(np.float64)
        for name, metric in at_threshold(point.name, 0.5).items():
            metrics[name] = bootstrap(
                metric, decided, scores.targets, scores.patients, samples=samples
            )
    return metrics


def _shift_needed(logits: Floats, targets: Targets) -> bool:
    def likelihood(temperature: float, offset: float) -> float:
        p = np.clip(sigmoid((logits + offset) / temperature), 1e-12, 1 - 1e-12)
        return float(np.sum(np.where(targets == 1, np.log(p), np.log(1 - p))))

    gain = likelihood(*fit_platt(logits, targets)) - likelihood(
        fit_temperature(logits, targets), 0.0
    )
    return 2 * gain > _CERTAIN
