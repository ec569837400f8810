"""Calibration and thresholds for each view, and the guarantee on missed opacities.

With one threshold for all radiographs, sensitivity differs between the views: bedside (AP) images
have most opacities, and the network has learned this. Here an operating point has the same
sensitivity in every view (Hardt, Price and Srebro 2016), and the guarantee compares a radiograph
with the opacities of its view.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from nanoray.detecting.guarantee import ANY_VIEW, Guarantee
from nanoray.detecting.model_file import ModelCard
from nanoray.detecting.views import VIEWS, Calibration, View
from nanoray.errors import DataSetError
from nanoray.evaluating.calibration import fit_platt, sigmoid
from nanoray.evaluating.conformal import (
    CONFIDENCE,
    Coverage,
    Floats,
    Targets,
    clear_threshold,
    measure_coverage,
)
from nanoray.evaluating.metrics import auroc
from nanoray.evaluating.operating_points import (
    at_threshold,
    choose_operating_points,
    wilson_interval,
)
from nanoray.evaluating.resampling import Interval, Resampling, draw_patients
from nanoray.evaluating.scores import judge

LEVELS: Final = (0.02, 0.05, 0.10)
FEWEST: Final = 20
"""Least numbers of positive and of negative radiographs for a calibration of a view."""

SCREENING: Final = 0.95
CONFIRM: Final = 0.95
LEAST_SPECIFICITY: Final = 0.70
"""Least specificity of each view at *balanced*; below it, false calls tire the reader."""


@dataclass(frozen=True, slots=True)
class Scored:
    """Radiographs outside the training data.

    Attributes:
        logits: float64 [N].
        targets: int64 [N], 1 with an opacity.
        views: [N], "AP", "PA" or None.
        patients: [N].
        weights: float64 [N], which make the radiographs represent the population of the
            probabilities, on any scale.

    Raises:
        DataSetError: fewer than `FEWEST` radiographs of a class, or a logit that is not finite.
    """

    logits: Floats
    targets: Targets
    views: Sequence[str | None]
    patients: Sequence[str] | NDArray[np.intp]
    weights: Floats

    def __post_init__(self) -> None:
        counts = np.bincount(np.asarray(self.targets, np.int64), minlength=2)
        if counts.min() < FEWEST:
            raise DataSetError(
                f"{counts[1]} radiographs with and {counts[0]} without an opacity; at least "
                f"{FEWEST} of each are needed"
            )
        if not np.isfinite(self.logits).all():
            raise DataSetError("a logit is not a finite number")

    def members(self, view: str) -> NDArray[np.bool_]:
        """Return the radiographs of a view, bool [N]."""
        return np.array([name == view for name in self.views], bool)

    def prevalence(self, members: NDArray[np.bool_] | None = None) -> float:
        """Return the weighted share of positive radiographs, of all or of some, bool [N]."""
        weights = self.weights if members is None else self.weights * members
        return float(weights @ (self.targets == 1) / weights.sum())


@dataclass(frozen=True, slots=True)
class ViewFit:
    """The fitted card, with its figures on the same radiographs.

    Attributes:
        card: with new calibrations, operating points and guarantees.
        shift: to add to the logits of the file, so that a temperature alone calibrates them.
        sensitivity, specificity: operating point, then view ("any" for all), to the share with its
            interval.
        before: the same with one calibration and one threshold for all views.
        areas: view to AUROC of the logits; "calibrated" to that of the probabilities of all views.
        coverage: level to the coverage over re-splits by patient.
        coverage_any: the same with one threshold for all views.
    """

    card: ModelCard
    shift: float
    sensitivity: dict[str, dict[str, Interval]]
    specificity: dict[str, dict[str, Interval]]
    before: tuple[dict[str, dict[str, Interval]], dict[str, dict[str, Interval]]]
    areas: dict[str, Interval]
    coverage: dict[float, list[Coverage]]
    coverage_any: dict[float, list[Coverage]]


def fit_views(scored: Scored) -> tuple[Calibration, ...]:
    """Fit a calibration and operating points to each view.

    Returns:
        AP and PA; none unless both have `FEWEST` positive and negative radiographs.
    """
    probabilities: dict[View, Floats] = {}
    platt: dict[View, tuple[float, float]] = {}
    for view in VIEWS:
        members = scored.members(view)
        logits, targets = scored.logits[members], scored.targets[members]
        if np.bincount(targets, minlength=2).min() < FEWEST:
            return ()
        platt[view] = fit_platt(logits, targets, weights=scored.weights[members])
        temperature, shift = platt[view]
        probabilities[view] = sigmoid((logits + shift) / temperature)
    thresholds = _equal_sensitivity(scored, probabilities)
    found = []
    for view in VIEWS:
        members = scored.members(view)
        targets = scored.targets[members]
        points = tuple(
            at_threshold(name, chosen[view], probabilities[view], targets, scored.weights[members])
            for name, chosen in thresholds.items()
        )
        found.append(
            Calibration(
                view,
                *platt[view],
                scored.prevalence(members),
                points,
                len(targets),
                int(targets.sum()),
            )
        )
    return tuple(found)


def _equal_sensitivity(
    scored: Scored, probabilities: Mapping[View, Floats]
) -> dict[str, dict[View, float]]:
    """Fit the threshold of each view, by the name of the operating point.

    screening: 95 % sensitivity in each view. balanced: the sensitivity with the greatest sum of
        sensitivity and specificity over both views (Youden 1950). If possible, each view has at
        least a specificity of `LEAST_SPECIFICITY`. confirm: the greatest sensitivity at which 95 %
        of the negatives of both views together are below the thresholds.
    """
    levels = np.linspace(0.05, 0.995, 190)
    chosen: dict[View, Floats] = {}
    below = np.zeros(len(levels))
    negatives = 0.0
    specific = np.ones(len(levels), bool)
    for view, values in probabilities.items():
        members = scored.members(view)
        targets, weights = scored.targets[members], scored.weights[members]
        positive, negative = targets == 1, targets == 0
        chosen[view] = _thresholds(values, values[positive], weights[positive], levels)
        under = (values[negative][None] < chosen[view][:, None]) @ weights[negative]
        total = float(weights[negative].sum())
        specific &= under / total >= LEAST_SPECIFICITY
        below += under
        negatives += total
    specificity = below / negatives
    allowed = specific if specific.any() else np.ones_like(specific)
    balanced = int(np.argmax(np.where(allowed, levels + specificity, 0.0)))
    screening = max(balanced, int(np.argmin(np.abs(levels - SCREENING))))
    enough = np.flatnonzero(specificity >= CONFIRM)
    confirm = min(balanced, int(enough.max()) if len(enough) else 0)
    return {
        name: {view: float(chosen[view][index]) for view in probabilities}
        for name, index in (("screening", screening), ("balanced", balanced), ("confirm", confirm))
    }


def _thresholds(values: Floats, positive: Floats, weights: Floats, levels: Floats) -> Floats:
    """Return thresholds with at least the share `levels` of the positives, between cases.

    Args:
        values: of all cases.
        positive, weights: values and weights of the positive cases.
    """
    order = np.argsort(positive, kind="stable")
    # The share of the positives from each one upwards, from the greatest.
    shares = np.cumsum(weights[order][::-1]) / weights.sum()
    kept = np.minimum(np.searchsorted(shares, levels - 1e-9), len(positive) - 1)
    at = positive[order][len(positive) - 1 - kept]
    ordered = np.unique(values)
    lower = np.concatenate([[0.0], ordered])[np.searchsorted(ordered, at)]
    middle: Floats = (lower + at) / 2
    return middle


@dataclass(frozen=True, slots=True)
class PositiveShare:
    """The share of a view's positive radiographs below a logit, as a rising function of it.

    It is linear between the sorted logits of the positives (the i-th of n has i / (n + 1)), and
    exponential below the least. Every share therefore has one logit.
    """

    positives: Floats

    def of(self, logits: Floats) -> Floats:
        """Return the shares of logits, float64 [N], above 0."""
        points, count = self.positives, len(self.positives)
        shares = np.arange(1, count + 1) / (count + 1)
        inside = np.interp(logits, points, shares, right=1.0)
        below = shares[0] * np.exp(np.minimum(logits - points[0], 0.0))
        found: Floats = np.where(logits < points[0], below, inside)
        return found

    def logit(self, share: float) -> float:
        """Return the logit of a share."""
        count = len(self.positives)
        shares = np.arange(1, count + 1) / (count + 1)
        if share < shares[0]:
            return float(self.positives[0] + np.log(share / shares[0]))
        return float(np.interp(share, shares, self.positives))


def shares_of_others(logits: Floats, patients: Sequence[str] | NDArray[np.intp]) -> Floats:
    """Return the share of each positive radiograph among those of the other patients.

    A new radiograph is not part of its own reference, so one of the calibration must not be either:
    with its own score in it the confidence of a bound falls from 95.1 to 92.8 % (208 patients of
    two views, benchmarks/guarantee_rules.py).

    Args:
        logits: [N], of the positives of a view.
        patients: [N], at least two different ones.

    Returns:
        float64 [N].
    """
    _, person = np.unique(np.asarray(patients), return_inverse=True)
    order = np.argsort(logits, kind="stable")
    values, owner = np.asarray(logits, np.float64)[order], person[order]
    count, places = len(values), np.arange(len(values))
    # The nearest radiographs of others lie beside the run of radiographs of the same patient.
    starts = np.flatnonzero(np.diff(owner, prepend=-1))
    run = np.searchsorted(starts, places, side="right") - 1
    before, after = starts[run] - 1, np.append(starts[1:], count)[run]
    by_owner = np.argsort(owner, kind="stable")
    own_below = np.empty(count, np.intp)
    own_below[by_owner] = places - np.searchsorted(owner[by_owner], owner[by_owner])
    low, high = values[before], values[np.minimum(after, count - 1)]
    gap = np.where(high > low, high - low, 1.0)
    rank = places - own_below + np.clip((values - low) / gap, 0.0, 1.0)
    rank = np.where(before < 0, np.exp(np.minimum(values - high, 0.0)), rank)
    shares = rank / (count + 1 - np.bincount(owner)[owner])
    found = np.empty(count)
    found[order] = np.where(after == count, 1.0, shares)
    return found


def positive_shares(
    scored: Scored, fitted: NDArray[np.bool_]
) -> tuple[Floats, dict[str, PositiveShare]]:
    """Compare positive radiographs with those of their view and of other patients.

    Args:
        fitted: bool [N], the radiographs whose positives form the reference.

    Returns:
        float64 [N], the shares of the fitted positives, 1 for the others; and the functions by
        view. An unknown view or one with fewer than `FEWEST` / 2 positives is compared with all.

    Raises:
        DataSetError: fewer than two patients with an opacity.
    """
    positive = fitted & (scored.targets == 1)
    patients = np.asarray(scored.patients)
    logits = np.asarray(scored.logits, np.float64)
    if len(np.unique(patients[positive])) < 2:
        raise DataSetError("fewer than two patients with an opacity")
    shares = np.ones(len(logits))
    functions = {ANY_VIEW: PositiveShare(np.sort(logits[positive]))}
    alone = np.zeros(len(logits), bool)
    for view in VIEWS:
        known = positive & scored.members(view)
        if known.sum() >= FEWEST // 2 and len(np.unique(patients[known])) > 1:
            functions[view] = PositiveShare(np.sort(logits[known]))
            shares[known] = shares_of_others(logits[known], patients[known])
            alone |= known
    if (positive & ~alone).any():
        shared = shares_of_others(logits[positive], patients[positive])
        shares[positive & ~alone] = shared[~alone[positive]]
    return shares, functions


def clear_logits(
    scored: Scored, level: float, fitted: NDArray[np.bool_] | None = None
) -> dict[str, float]:
    """Return for each view (and "any") the logit below which a radiograph may be called clear.

    The only calibrated number is a share of the positives of the view, so a miss is about as likely
    in each view. The bound holds for the views together. For an unknown view the unchanged logits
    get a separate threshold.
    """
    chosen = np.ones(len(scored.logits), bool) if fitted is None else fitted
    shares, functions = positive_shares(scored, chosen)
    targets, patients = scored.targets[chosen], np.asarray(scored.patients)[chosen]
    share = clear_threshold(shares[chosen], targets, patients, level)
    found: dict[str, float] = {
        view: functions.get(view, functions[ANY_VIEW]).logit(share)
        for view in VIEWS
        if scored.members(view).any()
    }
    found[ANY_VIEW] = clear_threshold(scored.logits[chosen], targets, patients, level)
    return found


def called(
    scored: Scored, card: ModelCard, *, pooled: bool = False
) -> tuple[Floats, dict[str, NDArray[np.bool_]]]:
    """Return a detector's probabilities float64 [N], and calls bool [N] by operating point."""
    judged = judge(scored.logits, card, scored.views, pooled=pooled)
    return judged.probabilities, judged.calls


def build_guarantees(
    scored: Scored,
    card: ModelCard,
    novelty: Floats,
    resampling: Resampling,
    *,
    levels: Sequence[float] = LEVELS,
) -> tuple[Guarantee, ...]:
    """Fit guarantees for a card with fitted `views`.

    Args:
        novelty: float [N], of the same radiographs.
        levels: levels with too few patients are omitted.
    """
    limit = min(card.novelty_limit, float(np.quantile(novelty, 0.98)))
    _, calls = called(scored, card)
    suspected = calls[card.default_operating_point]
    targets = scored.targets
    found = []
    for level in levels:
        try:
            logits = clear_logits(scored, level)
        except DataSetError:
            continue
        clear = _clear(scored, logits) & ~suspected & (novelty <= limit)
        groups = _groups(scored)
        missed = {
            name: _share(resampling, clear, (members & (targets == 1)).astype(np.float64))
            for name, members in groups.items()
        }
        decided = {
            name: float(np.average((clear | suspected)[members], weights=scored.weights[members]))
            for name, members in groups.items()
        }
        below = {view: _probability(card, view, logit) for view, logit in logits.items()}
        patients = len(np.unique(np.asarray(scored.patients)[targets == 1]))
        found.append(Guarantee(level, CONFIDENCE, below, limit, missed, decided, patients))
    return tuple(found)


def coverage_of(
    scored: Scored,
    card: ModelCard,
    level: float,
    *,
    splits: int = 1000,
    mode: Literal["views", "any"] = "views",
) -> list[Coverage]:
    """Measure the coverage of a guarantee over re-splits by patient, with new fits in each.

    Args:
        mode: "views" as packaged; "any" with one threshold for all views.
    """
    _, calls = called(scored, card)
    suspected = calls[card.default_operating_point]

    def rule(fitted: NDArray[np.bool_]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        logits = clear_logits(scored, level, fitted)
        if mode == "any":
            logits = {ANY_VIEW: logits[ANY_VIEW]}
        return _clear(scored, logits) & ~suspected, suspected

    return measure_coverage(
        rule,
        scored.targets,
        scored.patients,
        _groups(scored),
        level,
        weights=scored.weights,
        splits=splits,
    )


def fit_card(
    scored: Scored,
    card: ModelCard,
    novelty: Floats,
    *,
    levels: Sequence[float] = LEVELS,
    draws: int = 1000,
    splits: int = 1000,
) -> ViewFit:
    """Fit pooled and per-view calibrations, operating points and guarantees, and measure them."""
    resampling = draw_patients(scored.patients, scored.targets, samples=draws)
    temperature, shift = fit_platt(scored.logits, scored.targets, weights=scored.weights)
    # Numbers in place of names, since they are sorted in every re-split.
    _, person = np.unique(np.asarray(scored.patients), return_inverse=True)
    scored = replace(scored, logits=scored.logits + shift, patients=person)
    pooled = sigmoid(scored.logits / temperature)
    new = replace(
        card,
        temperature=temperature,
        cam_bias=card.cam_bias + shift,
        prevalence=scored.prevalence(),
        operating_points=choose_operating_points(pooled, scored.targets, weights=scored.weights),
        views=fit_views(scored),
        guarantees=(),
    )
    new = replace(new, guarantees=build_guarantees(scored, new, novelty, resampling, levels=levels))
    probabilities, _ = called(scored, new)
    areas = {
        name: _area(resampling, scored, scored.logits, members)
        for name, members in _groups(scored).items()
    }
    everything = np.ones(len(scored.targets), bool)
    areas["calibrated"] = _area(resampling, scored, probabilities, everything)
    kept = [guarantee.level for guarantee in new.guarantees] if splits else []
    return ViewFit(
        new,
        shift,
        *_shares(scored, new, resampling, pooled=False),
        _shares(scored, new, resampling, pooled=True),
        areas,
        {level: coverage_of(scored, new, level, splits=splits) for level in kept},
        {level: coverage_of(scored, new, level, splits=splits, mode="any") for level in kept},
    )


def _area(
    resampling: Resampling, scored: Scored, scores: Floats, members: NDArray[np.bool_]
) -> Interval:
    weights = scored.weights * members
    return resampling.interval(lambda w: auroc(scores, scored.targets, w * weights))


def _shares(
    scored: Scored, card: ModelCard, resampling: Resampling, *, pooled: bool
) -> tuple[dict[str, dict[str, Interval]], dict[str, dict[str, Interval]]]:
    _, calls = called(scored, card, pooled=pooled)
    targets = scored.targets
    sensitivity: dict[str, dict[str, Interval]] = {}
    specificity: dict[str, dict[str, Interval]] = {}
    for point, decisions in calls.items():
        for view, members in _groups(scored).items():
            sensitivity.setdefault(point, {})[view] = _share(
                resampling, decisions, scored.weights * (members & (targets == 1))
            )
            specificity.setdefault(point, {})[view] = _share(
                resampling, ~decisions, scored.weights * (members & (targets == 0))
            )
    return sensitivity, specificity


def _groups(scored: Scored) -> dict[str, NDArray[np.bool_]]:
    groups = {ANY_VIEW: np.ones(len(scored.logits), bool)}
    return groups | {view: scored.members(view) for view in VIEWS if scored.members(view).any()}


def _clear(scored: Scored, logits: Mapping[str, float]) -> NDArray[np.bool_]:
    limits = np.array([logits.get(view or "", logits[ANY_VIEW]) for view in scored.views])
    return np.asarray(scored.logits < limits)


def _probability(card: ModelCard, view: str, logit: float) -> float:
    calibration = card.calibration(view if view in VIEWS else None)
    value = (logit + calibration.shift) / calibration.temperature
    return 0.5 * (1 + math.tanh(0.5 * value))


def _share(resampling: Resampling, values: NDArray[np.bool_], weights: Floats) -> Interval:
    """Return the weighted share of the radiographs with the value, with its interval."""
    counted = values * weights

    def mean(draws: Floats) -> Floats:
        total = draws @ weights
        found: Floats = np.divide(
            draws @ counted, total, out=np.full(len(total), np.nan), where=total > 0
        )
        return found

    value, low, high = resampling.interval(mean)
    if low == high:
        # If every draw has the same share, such as 0, the bootstrap has no width.
        count = int(np.count_nonzero(weights))
        low, high = wilson_interval(round(value * count), count)
    return value, min(low, value), max(high, value)
