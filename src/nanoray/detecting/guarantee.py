"""A bound on missed opacities: below which probability a radiograph may be called clear."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from nanoray.detecting.views import View

ANY_VIEW: Final = "any"


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
        decided: view to the share of radiographs with a decision at the default operating point,
            at the prevalence that the card names.
        patients: patients with an opacity that it was calibrated on.
    """

    level: float
    confidence: float
    clear_below: dict[str, float]
    novelty_limit: float
    missed: dict[str, tuple[float, float, float]]
    decided: dict[str, float]
    patients: int

    def threshold(self, view: View | None) -> float:
        """Return the probability below which a radiograph of the view may be called clear."""
        key: str = view if view in self.clear_below else ANY_VIEW
        return self.clear_below[key]

    def clear(self, probability: float, novelty: float, view: View | None) -> bool:
        """Tell whether a radiograph may be called clear."""
        return probability < self.threshold(view) and novelty <= self.novelty_limit

    @classmethod
    def from_values(cls, values: dict[str, Any]) -> Guarantee:
        """Build from the values that JSON holds."""
        return cls(
            float(values["level"]),
            float(values["confidence"]),
            {str(view): float(value) for view, value in values["clear_below"].items()},
            float(values["novelty_limit"]),
            {view: (v[0], v[1], v[2]) for view, v in values["missed"].items()},
            {view: float(value) for view, value in values["decided"].items()},
            int(values["patients"]),
        )


def find_guarantee(guarantees: Sequence[Guarantee], level: float) -> Guarantee:
    """Return the guarantee of a level.

    Raises:
        ValueError: the model has no guarantee of this level; the message names those it has.
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
