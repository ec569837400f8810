"""Gaps between groups of patients, with intervals, compared with a bound."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from nanoray.evaluating.groups import FEWEST, Group
from nanoray.evaluating.metrics import at_point, auroc
from nanoray.evaluating.resampling import Floats, Interval, Metric, Resampling, interval

BOUND: Final = 0.15
"""Largest accepted difference of sensitivity or specificity, and twice that of AUROC."""

Measure: TypeAlias = Literal["sensitivity", "specificity", "AUROC"]
Verdict: TypeAlias = Literal["within the bound", "beyond the bound", "not shown"]


@dataclass(frozen=True, slots=True)
class Gap:
    """The greatest difference of one figure between two groups of a kind.

    Attributes:
        kind: "view", "sex" or "age".
        measure: name of the figure.
        high, low: names of the groups with the greatest and the least value.
        values: of those two.
        gap: their difference, with its 95 % interval over patients.
        bound: largest accepted difference.
    """

    kind: str
    measure: Measure
    high: str
    low: str
    values: tuple[float, float]
    gap: Interval
    bound: float

    @property
    def verdict(self) -> Verdict:
        """Whether the whole interval is within, or beyond, the bound."""
        if self.gap[2] <= self.bound:
            return "within the bound"
        return "beyond the bound" if self.gap[1] > self.bound else "not shown"


def find_gaps(
    groups: Sequence[Group],
    logits: Floats,
    called: NDArray[np.bool_],
    targets: NDArray[np.integer],
    resampling: Resampling,
    *,
    weights: Floats | None = None,
    bound: float = BOUND,
) -> list[Gap]:
    """Find the gap of each kind of group in sensitivity, specificity and AUROC.

    Args:
        groups: see `nanoray.evaluating.groups.find_groups`; detailed classes are skipped. A group
            with fewer than `FEWEST` radiographs of a class has no figure that needs it.
        called: bool [N], the decisions.
        weights: float [N] of the radiographs; ones by default.
    """
    positive, negative = targets == 1, targets == 0
    among = np.ones(len(targets)) if weights is None else weights
    gaps = []
    for kind in dict.fromkeys(group.kind for group in groups if group.kind != "class"):
        members = {group.name: group.members for group in groups if group.kind == kind}
        for measure, needed, accepted in (
            ("sensitivity", (positive,), bound),
            ("specificity", (negative,), bound),
            ("AUROC", (positive, negative), bound / 2),
        ):
            metrics: dict[str, Metric] = {
                name: _metric(measure, logits, called, targets, among * inside)
                for name, inside in members.items()
                if min(int((inside & of_class).sum()) for of_class in needed) >= FEWEST
            }
            if len(metrics) < 2:
                continue
            ones = np.ones((1, len(targets)))
            values = {name: float(metric(ones)[0]) for name, metric in metrics.items()}
            high, low = max(values, key=values.__getitem__), min(values, key=values.__getitem__)
            drawn = resampling.values(metrics[high]) - resampling.values(metrics[low])
            gaps.append(
                Gap(
                    kind,
                    measure,  # type: ignore[arg-type]
                    high,
                    low,
                    (values[high], values[low]),
                    interval(values[high] - values[low], drawn),
                    accepted,
                )
            )
    return gaps


def _metric(
    measure: str,
    logits: Floats,
    called: NDArray[np.bool_],
    targets: NDArray[np.integer],
    weights: Floats,
) -> Callable[[Floats], Floats]:
    if measure == "AUROC":
        return lambda w: auroc(logits, targets, w * weights)
    return lambda w: at_point(measure, called, targets, w * weights)
