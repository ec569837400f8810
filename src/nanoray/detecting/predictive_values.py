"""Predictive values, likelihood ratios and expected calls at a given prevalence."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any, Final

from nanoray.detecting.operating_point import OperatingPoint

Interval = tuple[float, float, float]
IMAGES: Final = 1000


@dataclass(frozen=True, slots=True)
class PredictiveValues:
    """Figures of an operating point at a prevalence. Intervals are (value, low, high), 95 %.

    Attributes:
        prevalence: share of radiographs with the finding.
        ppv: share with the finding among radiographs called suspected.
        npv: share without the finding among the others.
        lr_positive, lr_negative: likelihood ratios of a call and of no call.
        calls, true_calls, misses: expected numbers among 1,000 radiographs.
    """

    prevalence: float
    ppv: Interval
    npv: Interval
    lr_positive: Interval
    lr_negative: Interval
    calls: float
    true_calls: float
    misses: float

    def record(self) -> dict[str, Any]:
        """Return plain values for JSON; a ratio without a finite value becomes None."""

        def plain(value: Any) -> Any:
            if isinstance(value, tuple):
                return [plain(part) for part in value]
            return round(value, 6) if math.isfinite(value) else None

        return {name: plain(value) for name, value in asdict(self).items()}

    def words(self) -> str:
        """Return the values as sentences."""
        percent = f"{100 * self.prevalence:.3g} %"
        return (
            f"At a prevalence of {percent}: PPV {_percent(self.ppv)}, NPV {_percent(self.npv)}. "
            f"Of 1,000 radiographs {self.calls:.0f} are called, {self.true_calls:.0f} of them "
            f"with an opacity; {self.misses:.0f} with an opacity are not called. "
            f"Likelihood ratios {_ratio(self.lr_positive)} and {_ratio(self.lr_negative)}."
        )


def check_prevalence(prevalence: float) -> float:
    """Validate a prevalence.

    Raises:
        ValueError: it is not strictly between 0 and 1.
    """
    if not 0.0 < prevalence < 1.0:
        raise ValueError(
            f"a prevalence of {prevalence:g} leaves nothing to predict: give the share of "
            "radiographs with the finding, above 0 and below 1, for example 0.05"
        )
    return prevalence


def predictive_values(point: OperatingPoint, prevalence: float) -> PredictiveValues:
    """Compute the figures of an operating point at a prevalence.

    The intervals combine the limits of sensitivity and specificity on the log scale (MOVER, Zou and
    Donner 2008). Bayes' rule converts a likelihood ratio's limits to a predictive value's.

    Raises:
        ValueError: the prevalence is not between 0 and 1, or the point has no sensitivity or
            specificity.
    """
    check_prevalence(prevalence)
    sensitivity = (point.sensitivity, *point.sensitivity_interval)
    specificity = (point.specificity, *point.specificity_interval)
    if not all(math.isfinite(value) for value in (*sensitivity, *specificity)):
        raise ValueError(f"the operating point {point.name!r} has no measured sensitivity")
    positive = _quotient(sensitivity, _complement(specificity))
    negative = _quotient(_complement(sensitivity), specificity)
    odds = prevalence / (1 - prevalence)
    ppv = tuple(_share(odds * ratio) for ratio in positive)
    low, high = _share(odds * negative[2]), _share(odds * negative[1])
    npv = (1 - _share(odds * negative[0]), 1 - low, 1 - high)
    true = prevalence * point.sensitivity
    return PredictiveValues(
        prevalence,
        (ppv[0], ppv[1], ppv[2]),
        npv,
        positive,
        negative,
        IMAGES * (true + (1 - prevalence) * (1 - point.specificity)),
        IMAGES * true,
        IMAGES * (prevalence - true),
    )


def at_prevalence(probability: float, fitted: float, prevalence: float) -> float:
    """Convert a probability to another prevalence (Saerens, Latinne and Decaestecker 2002).

    Args:
        fitted: prevalence to which the probability is calibrated.

    Raises:
        ValueError: a prevalence is not between 0 and 1.
    """
    check_prevalence(fitted)
    check_prevalence(prevalence)
    change = prevalence / (1 - prevalence) * (1 - fitted) / fitted
    top = probability * change
    return top / (top + 1 - probability)


def _complement(interval: Interval) -> Interval:
    return 1 - interval[0], 1 - interval[2], 1 - interval[1]


def _share(odds: float) -> float:
    return 1.0 if math.isinf(odds) else odds / (1 + odds)


def _quotient(top: Interval, bottom: Interval) -> Interval:
    """Compute the ratio of two proportions with its MOVER interval on the log scale."""
    value = top[0] / bottom[0] if bottom[0] else math.inf
    if min(*top, *bottom) <= 0:
        # The logarithm of a limit does not exist; the extreme ratios bound the interval.
        low = top[1] / bottom[2] if bottom[2] else 0.0
        return value, min(low, value), max(top[2] / bottom[1] if bottom[1] else math.inf, value)
    a, a_low, a_high = (math.log(part) for part in top)
    b, b_low, b_high = (math.log(part) for part in bottom)
    low = a - b - math.hypot(a - a_low, b_high - b)
    high = a - b + math.hypot(a_high - a, b - b_low)
    return value, math.exp(low), math.exp(high)


def _percent(interval: Interval) -> str:
    value, low, high = (f"{100 * part:.1f}" for part in interval)
    return f"{value} % ({low} to {high})"


def _ratio(interval: Interval) -> str:
    value, low, high = (f"{part:.2f}" for part in interval)
    return f"{value} ({low} to {high})"
