"""A bound on missed opacities: the probability below which a radiograph may be called clear."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

ANY_VIEW: Final = "any"
FEWEST: Final = 20
SIGMAS: Final = 4.0
GUARANTEE_HELP: Final = (
    "Bound on the share of missed patients with an opacity, for example 0.05, at 95 % confidence. "
    "A radiograph that it does not allow to call clear is unsure."
)
"""Help text of the option of the commands."""


@dataclass(frozen=True, slots=True)
class Guarantee:
    """With `confidence`, at most the share `level` of patients with an opacity is called clear.

    Thresholds come from conformal risk control (`nanoray.evaluating.conformal`). The bound holds
    for radiographs like those of the calibration, in their mix of views.

    Attributes:
        level: the bound, for example 0.05.
        confidence: of the bound, over the draw of the calibration patients.
        clear_below: view ("AP", "PA", or "any" for an unknown view) to the probability of that
            view's calibration below which a radiograph may be called clear.
        novelty_limit: above this novelty a radiograph is unlike most of the calibration and is
            never called clear.
        missed: view to (value, low, high), the share called clear among radiographs with an
            opacity, measured on the calibration images (95 % interval over patients).
        decided: view to the share of radiographs with a decision at the default operating point, at
            the prevalence of the card.
        patients: number of patients with an opacity in the calibration.
    """

    level: float
    confidence: float
    clear_below: dict[str, float]
    novelty_limit: float
    missed: dict[str, tuple[float, float, float]]
    decided: dict[str, float]
    patients: int

    def threshold(self, view: str | None) -> float:
        """Return the probability below which a radiograph of the view may be called clear."""
        return self.clear_below.get(view or ANY_VIEW, self.clear_below[ANY_VIEW])

    def clear(self, probability: float, novelty: float, view: str | None) -> bool:
        """Return whether a radiograph may be called clear."""
        return probability < self.threshold(view) and novelty <= self.novelty_limit

    @classmethod
    def from_values(cls, values: dict[str, Any]) -> Guarantee:
        """Build from values of JSON."""
        return cls(
            float(values["level"]),
            float(values["confidence"]),
            {str(view): float(value) for view, value in values["clear_below"].items()},
            float(values["novelty_limit"]),
            {view: (v[0], v[1], v[2]) for view, v in values["missed"].items()},
            {view: float(value) for view, value in values["decided"].items()},
            int(values["patients"]),
        )


class SourceWatch:
    """Detects that the radiographs of a source are unlike those of the calibration.

    A guarantee holds for radiographs like those of its calibration. Two shares are counted: novelty
    above the guarantee's limit, which 2 % of the calibration exceed, and novelty above the 90th
    percentile of the validation images. A share `SIGMAS` standard deviations above the expected one
    is significant.
    """

    def __init__(self, guarantee: Guarantee, reference: Sequence[float] | None) -> None:
        """Watch for a guarantee.

        Args:
            reference: equally spaced quantiles of the novelty of the validation images, in
                ascending order; None if the card has none.
        """
        self._limits = [(guarantee.novelty_limit, 0.02)]
        if reference is not None and len(reference) > 10:
            self._limits.append((reference[round(0.9 * (len(reference) - 1))], 0.10))
        self._above = [0] * len(self._limits)
        self.count = 0

    def add(self, novelty: float) -> None:
        """Count a radiograph."""
        self.count += 1
        for index, (limit, _) in enumerate(self._limits):
            self._above[index] += not novelty <= limit

    @property
    def unlike(self) -> bool:
        """Return whether the source differs; False below `FEWEST` radiographs."""
        if self.count < FEWEST:
            return False
        for above, (_, share) in zip(self._above, self._limits, strict=True):
            spread = (self.count * share * (1 - share)) ** 0.5
            if above > self.count * share + SIGMAS * spread:
                return True
        return False


def find_guarantee(guarantees: Sequence[Guarantee], level: float) -> Guarantee:
    """Return the guarantee of a level.

    Raises:
        ValueError: the model has no guarantee of this level; the message lists its levels.
    """
    for guarantee in guarantees:
        if abs(guarantee.level - level) < 1e-9:
            return guarantee
    if not guarantees:
        raise ValueError(
            "this model file has no guarantee; write one with nanoray guarantee, "
            "or leave --guarantee out"
        )
    levels = ", ".join(f"{guarantee.level:g}" for guarantee in guarantees)
    raise ValueError(f"no guarantee of {level:g}; this model has {levels}")
