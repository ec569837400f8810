"""The projection of a frontal radiograph (AP or PA), and the calibration of each view."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias

from nanoray.detecting.operating_point import OperatingPoint

View: TypeAlias = Literal["AP", "PA"]
ViewSource: TypeAlias = Literal["header", "pixels", "given"]
VIEWS: Final[tuple[View, ...]] = ("AP", "PA")

CERTAIN: Final = math.log(9)
"""Least logit (probability 0.9) for a view predicted from the pixels."""

# "AP", "PA", and variants of devices: "AP SUPINE", "PA_ERECT", "CHEST AP".
_NAMED: Final = re.compile(r"(?<![A-Z])(AP|PA)(?![A-Z])")


@dataclass(frozen=True, slots=True)
class Calibration:
    """Calibration: probability = sigmoid((logit + shift) / temperature), and its thresholds.

    Attributes:
        view: "AP" or "PA"; None for the calibration of all views together.
        temperature, shift: of the logit (Platt 1999), fitted on radiographs of this view.
        prevalence: share of positive radiographs of this view to which the probability refers; None
            for that of the validation images.
        operating_points: thresholds on this view's probability. A name has the same sensitivity in
            every view (Hardt, Price and Srebro 2016, "Equality of opportunity in supervised
            learning").
        images, positive: number of radiographs in the fit; 0 if unknown.
    """

    view: View | None
    temperature: float
    shift: float
    prevalence: float | None
    operating_points: tuple[OperatingPoint, ...]
    images: int = 0
    positive: int = 0

    def probability(self, logit: float) -> float:
        """Return the calibrated probability of a logit; NaN for NaN."""
        # Compute 1 / (1 + exp(-value)) without overflow.
        return 0.5 * (1.0 + math.tanh(0.5 * (logit + self.shift) / self.temperature))

    def operating_point(self, name: str) -> OperatingPoint:
        """Return the operating point called `name`.

        Raises:
            ValueError: unknown operating point.
        """
        for point in self.operating_points:
            if point.name == name:
                return point
        names = ", ".join(point.name for point in self.operating_points)
        raise ValueError(f"no operating point {name!r}; this model has {names}")

    @classmethod
    def from_values(cls, values: dict[str, Any]) -> Calibration:
        """Build from values of JSON."""
        points = tuple(OperatingPoint.from_values(point) for point in values["operating_points"])
        return cls(
            values["view"],
            float(values["temperature"]),
            float(values["shift"]),
            values["prevalence"],
            points,
            int(values["images"]),
            int(values["positive"]),
        )


def check_view(name: str | None) -> View | None:
    """Validate a view from a user, in any case; None for None.

    Raises:
        ValueError: not a frontal view.
    """
    for view in VIEWS:
        if name is not None and name.strip().upper() == view:
            return view
    if name is None:
        return None
    raise ValueError(f"unknown view {name!r}: choose AP or PA, or leave it to the header")


def view_of(
    header: str | None, logit: float | None = None, given: View | None = None
) -> tuple[View | None, ViewSource | None]:
    """Find the view of a radiograph and its source; (None, None) if unknown.

    Args:
        header: View Position of the header; it takes precedence.
        logit: the model's output `view`, AP against PA; None without this output.
        given: by the user, for radiographs whose header has no View Position.
    """
    named = set(_NAMED.findall((header or "").upper().replace("_", " ")))
    if len(named) == 1:
        return ("AP" if "AP" in named else "PA"), "header"
    if header and not named:
        # A view that is neither AP nor PA, for example lateral.
        return None, None
    if given is not None:
        return given, "given"
    if logit is not None and abs(logit) >= CERTAIN:
        return ("AP" if logit > 0 else "PA"), "pixels"
    return None, None
