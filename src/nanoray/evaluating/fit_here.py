"""Check of whether the detector fits a site, from 50 to 200 radiographs, labelled or not."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from nanoray.detecting.detector import Detector
from nanoray.detecting.model_file import ModelCard
from nanoray.detecting.prediction import (
    ABSTAINED,
    NOT_SUSPECTED,
    SUSPECTED,
    UNSURE,
    Prediction,
    Result,
    Unread,
)
from nanoray.errors import DataSetError
from nanoray.evaluating.calibration import calibration_line, sigmoid
from nanoray.evaluating.metrics import auroc
from nanoray.evaluating.operating_points import wilson_interval
from nanoray.evaluating.resampling import Interval, Resampling, draw_patients
from nanoray.evaluating.shift import QUANTITIES, SCORES, AgainstReference, Shift

Verdict: TypeAlias = Literal["fits", "recalibrate", "cannot tell", "does not fit"]

FEWEST: Final = 50
"""Least number of radiographs for a verdict."""
FEWEST_OF_A_CLASS: Final = 10
"""Least number of labelled radiographs with, and without, an opacity for figures."""
ABSTAINED_LIMIT: Final = 0.05
AREA_LIMIT: Final = 0.70
"""Least upper end of the AUROC's interval with which the detector may fit."""
SIZES: Final = (20, 30, 50, 75, 100, 150, 200, 300, 500)
DRAWS: Final = 200


@dataclass(frozen=True, slots=True)
class Labelled:
    """A labelled radiograph of the site: its target (1 with an opacity) and its patient."""

    target: int
    patient: str


@dataclass(frozen=True, slots=True)
class Step:
    """A point of the learning curve.

    Attributes:
        cases: number of labelled radiographs in the fit of a recalibration.
        loss: mean log loss on the others, with its 5 and 95 percentiles over draws.
        better: share of the draws with a lower loss than without a recalibration.
    """

    cases: int
    loss: Interval
    better: float


@dataclass(frozen=True, slots=True)
class Measured:
    """Figures from the labels. Intervals (95 %) draw patients.

    Attributes:
        cases, positive: numbers of labelled and of positive radiographs.
        area: AUROC.
        slope, intercept: of the calibration; 1 and 0 are right.
        sensitivity, specificity: at the operating point.
        missed: share called clear among radiographs with an opacity; None without a guarantee.
        loss: mean log loss of the unchanged probabilities.
        curve: of a recalibration (temperature and shift); empty with too few cases.
        enough: least number of cases with which a recalibration helped in 95 % of the draws; None
            if there is no such number.
        needed: aim to the required number of labelled radiographs (Riley et al. 2021, "Minimum
            sample size for external validation").
    """

    cases: int
    positive: int
    area: Interval
    slope: Interval
    intercept: Interval
    sensitivity: Interval
    specificity: Interval
    missed: Interval | None
    loss: float
    curve: tuple[Step, ...]
    enough: int | None
    needed: dict[str, int]


@dataclass(frozen=True, slots=True)
class Check:
    """The results of a check.

    Attributes:
        read, unread: numbers of files.
        decisions: decision to count.
        refusals: reason for unreadable files, to count.
        abstained: share of the radiographs, with its Wilson interval.
        facts: fact ("view", "format", ...) to the counts of its values.
        flags: quality flag to count.
        shifts: of scores and image statistics against the model's validation images.
        measured: None without labels, or with too few of a class.
        verdict, reasons: in words, the most important first.
        advice: next steps.
    """

    read: int
    unread: int
    decisions: Counter[str]
    refusals: Counter[str]
    abstained: Interval
    facts: dict[str, Counter[str]]
    flags: Counter[str]
    shifts: list[Shift]
    measured: Measured | None
    verdict: Verdict
    reasons: list[str]
    advice: list[str] = field(default_factory=list)


def check(
    detector: Detector, results: Sequence[Result], labels: Sequence[Labelled | None] | None
) -> Check:
    """Check how the detector fits a site.

    Args:
        results: of the site's files.
        labels: of the same files, None for a file without a label; None without labels.

    Raises:
        DataSetError: no file could be read.
    """
    predictions = [result for result in results if isinstance(result, Prediction)]
    if not predictions:
        raise DataSetError("no file could be read as a radiograph")
    unread = [result for result in results if isinstance(result, Unread)]
    refused = sum(one.abstained for one in predictions)
    found = Check(
        len(predictions),
        len(unread),
        Counter(one.decision for one in predictions),
        Counter(one.error.code for one in unread),
        (refused / len(predictions), *wilson_interval(refused, len(predictions))),
        _facts(predictions),
        Counter(flag for one in predictions for flag in one.flags),
        _shifts(detector.card, predictions),
        _measure(detector, results, labels) if labels is not None else None,
        "cannot tell",
        [],
    )
    level = detector.guarantee.level if detector.guarantee is not None else None
    verdict, reasons, advice = _judge(found, labels, results, level)
    return Check(
        **{
            name: getattr(found, name)
            for name in Check.__slots__
            if name not in ("verdict", "reasons", "advice")
        },
        verdict=verdict,
        reasons=reasons,
        advice=advice,
    )


def _facts(predictions: Sequence[Prediction]) -> dict[str, Counter[str]]:
    def band(age: float | None) -> str:
        if age is None:
            return "unknown"
        return "under 18" if age < 18 else "18 to 64" if age < 65 else "65 and over"

    return {
        "view": Counter(
            f"{one.view} ({one.view_source})" if one.view else "unknown" for one in predictions
        ),
        "format": Counter(one.facts.format for one in predictions),
        "sex": Counter(
            one.facts.sex if one.facts.sex in ("M", "F") else "unknown" for one in predictions
        ),
        "age": Counter(band(one.facts.age_years) for one in predictions),
        "shorter side": Counter(
            "under 512" if side < 512 else "512 to 1,023" if side < 1024 else "1,024 and over"
            for side in (min(one.facts.rows, one.facts.columns) for one in predictions)
        ),
    }


def _shifts(card: ModelCard, predictions: Sequence[Prediction]) -> list[Shift]:
    if card.reference is None or not card.reference.count:
        return []
    against = AgainstReference(card.reference)
    for name in against.names:
        if name not in QUANTITIES:
            continue
        values = [
            getattr(one if name in SCORES else one.statistics, name)
            for one in predictions
            if name in SCORES or one.statistics is not None
        ]
        against.add(name, np.array(values, np.float64))
    return against.shifts()


def _measure(
    detector: Detector, results: Sequence[Result], labels: Sequence[Labelled | None]
) -> Measured | None:
    pairs = [
        (one, label)
        for one, label in zip(results, labels, strict=True)
        if isinstance(one, Prediction) and not one.abstained and label is not None
    ]
    targets = np.array([label.target for _, label in pairs], np.int64)
    if len(targets) == 0 or np.bincount(targets, minlength=2).min() < FEWEST_OF_A_CLASS:
        return None
    # One scale for all views: the logit of the calibrated probability.
    probabilities = np.clip([one.probability for one, _ in pairs], 1e-7, 1 - 1e-7)
    logits = np.log(probabilities / (1 - probabilities))
    called = np.array([one.decision == SUSPECTED for one, _ in pairs])
    clear = np.array([one.decision == NOT_SUSPECTED for one, _ in pairs])
    resampling = draw_patients([label.patient for _, label in pairs], targets, samples=1000)
    curve = _learning_curve(logits, targets, resampling.person)
    useful = [step.cases for step in curve if step.better >= 0.95]
    area = resampling.interval(lambda w: auroc(logits, targets, w))
    return Measured(
        len(targets),
        int(targets.sum()),
        area,
        resampling.interval(lambda w: calibration_line(logits, targets, w)[0]),
        resampling.interval(lambda w: calibration_line(logits, targets, w)[1]),
        _share(resampling, called, targets == 1),
        _share(resampling, ~called, targets == 0),
        _share(resampling, clear, targets == 1) if detector.guarantee is not None else None,
        _log_loss(logits, targets),
        curve,
        min(useful) if useful else None,
        needed_cases(float(targets.mean()), area[0]),
    )


def _share(
    resampling: Resampling, values: NDArray[np.bool_], members: NDArray[np.bool_]
) -> Interval:
    counted, among = (values & members).astype(np.float64), members.astype(np.float64)

    def mean(weights: NDArray[np.floating]) -> NDArray[np.floating]:
        total = weights @ among
        share: NDArray[np.floating] = np.divide(
            weights @ counted, total, out=np.full(len(total), np.nan), where=total > 0
        )
        return share

    value, low, high = resampling.interval(mean)
    if low == high:
        low, high = wilson_interval(int(counted.sum()), int(among.sum()))
    return value, min(low, value), max(high, value)


def _log_loss(logits: NDArray[np.floating], targets: NDArray[np.integer]) -> float:
    return float(np.mean(np.logaddexp(0, np.where(targets == 1, -logits, logits))))


def _learning_curve(
    logits: NDArray[np.floating], targets: NDArray[np.integer], person: NDArray[np.intp]
) -> tuple[Step, ...]:
    """Recalibrate on random patients and evaluate on the others, with growing numbers of cases."""
    rng = np.random.default_rng(0)
    people = int(person.max()) + 1
    # Cases in a random order of patients, so that the first ones are of few patients.
    orders = np.argsort(rng.random((DRAWS, people))[:, person], axis=1, kind="stable")
    rank = np.argsort(orders, axis=1)
    loss_before = np.logaddexp(0, np.where(targets == 1, -logits, logits))
    steps = []
    for size in SIZES:
        # At least a third remains for the evaluation.
        if size > 2 * len(targets) // 3:
            break
        fitted = rank < size
        # No patient is on both sides.
        last = np.take_along_axis(person[orders], np.full((DRAWS, 1), size - 1), axis=1)
        judged = ~fitted & (person[None] != last)
        slope, shift = _fit_platt_many(logits, targets, fitted)
        usable = np.isfinite(slope) & (slope > 0)
        for side in (fitted, judged):
            usable &= (side & (targets == 1)).any(1) & (side & (targets == 0)).any(1)
        if usable.sum() < DRAWS // 2:
            continue
        new = slope[:, None] * logits + shift[:, None]
        loss_after = np.logaddexp(0, np.where(targets == 1, -new, new))
        count = judged.sum(1)
        losses = ((loss_after * judged).sum(1) / count)[usable]
        gains = ((loss_before * judged).sum(1) / count)[usable] - losses
        low, high = np.quantile(losses, [0.05, 0.95])
        mean = float(np.mean(losses))
        steps.append(Step(size, (mean, float(low), float(high)), float(np.mean(gains > 0))))
    return tuple(steps)


def _fit_platt_many(
    logits: NDArray[np.floating], targets: NDArray[np.integer], members: NDArray[np.bool_]
) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
    """Fit Platt scaling for many subsets, bool [D, N], by Newton's method.

    Returns slope and intercept; NaN without convergence.
    """
    positive = (members & (targets == 1)).sum(1, keepdims=True)
    negative = (members & (targets == 0)).sum(1, keepdims=True)
    goal = np.where(targets == 1, (positive + 1) / (positive + 2), 1 / (negative + 2))
    slope, shift = np.ones(len(members)), np.zeros(len(members))
    with np.errstate(all="ignore"):
        for _ in range(20):
            p = sigmoid(slope[:, None] * logits + shift[:, None])
            curve, rest = members * p * (1 - p), members * (goal - p)
            # The ridge prevents divergence on a separable subset.
            a, b, c = curve @ (logits * logits) + 1e-3, curve @ logits, curve.sum(1) + 1e-6
            up, right = rest @ logits - 1e-3 * (slope - 1), rest.sum(1)
            determinant = a * c - b * b
            change = np.clip((c * up - b * right) / determinant, -1, 1)
            slope = slope + change
            shift = shift + np.clip((a * right - b * up) / determinant, -3, 3)
            if np.nanmax(np.abs(change), initial=0) < 1e-6:
                break
    settled = np.abs(change) < 1e-3
    return np.where(settled, slope, np.nan), np.where(settled, shift, np.nan)


def needed_cases(prevalence: float, area: float) -> dict[str, int]:
    """Return the number of labelled radiographs for an evaluation (Riley et al. 2021, Stat. Med.).

    For an observed-to-expected ratio within 20 % the standard error of its logarithm must be 0.102;
    it is sqrt((1 - p) / (n p)). The AUROC's error is Newcombe's (2006, method 4).

    Args:
        prevalence: share p of positive cases.
        area: expected AUROC.
    """
    ratio = (1 - prevalence) / (prevalence * 0.102**2)

    def error(count: float) -> float:
        half = count / 2 - 1
        a, p = area, prevalence
        top = a * (1 - a) * (1 + half * (1 - a) / (2 - a) + half * a / (1 + a))
        return math.sqrt(top / (count**2 * p * (1 - p)))

    count = 20
    while error(count) > 0.05 / 1.96 and count < 100_000:
        count += 10
    return {
        "AUROC to within 0.05": count,
        "mean probability to within 20 %": math.ceil(ratio / 10) * 10,
    }


def _judge(
    found: Check,
    labels: Sequence[Labelled | None] | None,
    results: Sequence[Result],
    level: float | None,
) -> tuple[Verdict, list[str], list[str]]:
    """Return the verdict, its reasons and the next steps."""
    drifted = {shift.name for shift in found.shifts if shift.verdict == "drifted"}
    reasons: list[str] = []
    advice: list[str] = []
    if found.unread:
        reasons.append(f"{found.unread} of {found.read + found.unread} files could not be read.")
    if found.abstained[1] > ABSTAINED_LIMIT:
        reasons.insert(
            0,
            f"The detector abstains on {_percent(found.abstained)} of the radiographs: they are "
            "unlike its training radiographs.",
        )
        advice.append(
            "View the pictures with an abstention (nanoray predict --report): other views, "
            "borders, "
            "inverted grey scale and children are the usual causes."
        )
        return "does not fit", reasons, advice
    if found.read < FEWEST:
        reasons.insert(
            0, f"{found.read} radiographs are too few for a verdict: give at least {FEWEST}."
        )
        advice.append(f"Add radiographs, {FEWEST} to 200 in total, consecutive ones.")
        return "cannot tell", reasons, advice
    if drifted:
        names = ", ".join(sorted(drifted))
        reasons.append(f"Unlike the model's validation images in: {names}.")
    if labels is None:
        reasons.insert(0, "There are no labels: the accuracy at this site is unknown.")
        advice.append(
            "Label these radiographs (CSV with file, target and patient) and give --labels."
        )
        return "cannot tell", reasons, advice
    return _judge_measured(found, labels, results, reasons, advice, level)


def _judge_measured(
    found: Check,
    labels: Sequence[Labelled | None],
    results: Sequence[Result],
    reasons: list[str],
    advice: list[str],
    level: float | None,
) -> tuple[Verdict, list[str], list[str]]:
    measured = found.measured
    if measured is None:
        counts = Counter(
            label.target
            for label, one in zip(labels, results, strict=True)
            if label is not None and isinstance(one, Prediction) and not one.abstained
        )
        reasons.insert(
            0,
            f"{counts[1]} labelled radiographs with an opacity and {counts[0]} without; at least "
            f"{FEWEST_OF_A_CLASS} of each are needed for figures.",
        )
        advice.append("Label more radiographs of the rarer kind.")
        return "cannot tell", reasons, advice
    if measured.area[2] < 0.5:
        reasons.insert(
            0,
            f"AUROC is {_number(measured.area)}: lower than chance. The labels are mixed up: 1 "
            "must mean an opacity, and each label must be of its file.",
        )
        advice.append("Compare a few labels with their pictures.")
        return "cannot tell", reasons, advice
    if measured.area[2] < AREA_LIMIT:
        reasons.insert(0, f"AUROC is only {_number(measured.area)}.")
        advice.append("Do not use the detector here; a recalibration cannot correct the ranking.")
        return "does not fit", reasons, advice
    reasons.insert(
        0,
        f"AUROC is {_number(measured.area)} on {measured.cases} radiographs, "
        f"{measured.positive} with an opacity.",
    )
    if level is not None and measured.missed is not None and measured.missed[1] > level:
        reasons.insert(
            1,
            f"The guarantee of {100 * level:g} % does not hold here: {_percent(measured.missed)} "
            "of the radiographs with an opacity are called clear.",
        )
        advice.append("Do not use the guarantee here; fit one to radiographs of this site.")
    off = [
        f"{name} is {_number(value)} where {right} is right"
        for name, value, right in (
            ("calibration slope", measured.slope, 1),
            ("calibration intercept", measured.intercept, 0),
        )
        if not value[1] <= right <= value[2]
    ]
    if off:
        reasons.append(f"The probabilities are off: {' and '.join(off)}.")
        words = (
            f"from {measured.enough} labelled radiographs on it helped in 95 % of trials"
            if measured.enough
            else "label more radiographs first: with these it helps too rarely"
        )
        advice.append(f"Recalibrate with nanoray calibrate --shift; {words}.")
        return "recalibrate", reasons, advice
    wanted = measured.needed["AUROC to within 0.05"]
    if measured.area[2] - measured.area[1] > 0.2:
        reasons.append("The interval of the AUROC is too wide for a verdict.")
        advice.append(f"Label {wanted} radiographs in all to measure the AUROC to within 0.05.")
        return "cannot tell", reasons, advice
    reasons.append("No error of the calibration was detected.")
    advice.append("Use it for research; repeat this check when devices or practice change.")
    return "fits", reasons, advice


def _percent(interval: Interval) -> str:
    value, low, high = (f"{100 * part:.1f}" for part in interval)
    return f"{value} % ({low} to {high})"


def _number(interval: Interval) -> str:
    value, low, high = (f"{part:.2f}" for part in interval)
    return f"{value} ({low} to {high})"


DECISIONS: Final = (SUSPECTED, UNSURE, NOT_SUSPECTED, ABSTAINED)
"""In the order of display."""
