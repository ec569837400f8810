"""A named threshold on the calibrated probability."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class OperatingPoint:
    """A threshold on the calibrated probability, with its figures on the validation images.

    `*_interval` are 95 % Wilson score intervals.
    """

    name: str
    threshold: float
    sensitivity: float
    specificity: float
    sensitivity_interval: tuple[float, float]
    specificity_interval: tuple[float, float]

    @classmethod
    def from_values(cls, values: dict[str, Any]) -> OperatingPoint:
        """Build from values of JSON."""
        sensitivity, specificity = values["sensitivity_interval"], values["specificity_interval"]
        return cls(
            values["name"],
            values["threshold"],
            values["sensitivity"],
            values["specificity"],
            (sensitivity[0], sensitivity[1]),
            (specificity[0], specificity[1]),
        )
