"""The pose of a radiograph (turned or inverted) from the network, and its correction."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from nanoray.reading import geometry
from nanoray.reading.prepared import Reading, contrast_of
from nanoray.reading.resize import Placement

UPRIGHT: Final = 0
TURNED: Final = (1, 2, 3)
NEGATIVE: Final = 4
"""Indices of the output `pose`; 1, 2 and 3 count quarter turns counter-clockwise."""

# The EXIF orientation that reverses this number of quarter turns counter-clockwise.
_UNDONE: Final = {1: 6, 2: 3, 3: 8}


@dataclass(frozen=True, slots=True)
class PoseLimits:
    """Limits on the probabilities of the poses.

    Attributes:
        upright: least probability of the upright pose for a decision.
        sure: least probability of a turned or inverted pose for a correction.
    """

    upright: float = 0.5
    sure: float = 0.9

    @classmethod
    def from_values(cls, values: dict[str, Any] | None) -> PoseLimits | None:
        """Build from values of JSON."""
        return None if values is None else cls(float(values["upright"]), float(values["sure"]))


def probabilities(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    """Turn the logits of the poses into probabilities [5]; NaN for a logit that is not finite."""
    wide = logits.astype(np.float64)
    powers = np.exp(wide - wide.max())
    shares: NDArray[np.float64] = powers / powers.sum()
    return shares


def to_correct(logits: NDArray[np.float32], limits: PoseLimits) -> int | None:
    """Return the pose, other than upright, above the limit `sure`; None without one."""
    shares = probabilities(logits)
    pose = int(np.argmax(shares))
    return pose if pose != UPRIGHT and shares[pose] >= limits.sure else None


def is_upright(logits: NDArray[np.float32], limits: PoseLimits) -> bool:
    """Return whether the upright pose is probable enough for a decision."""
    return bool(probabilities(logits)[UPRIGHT] >= limits.upright)


def positive(negative: NDArray[np.float32]) -> NDArray[np.float32]:
    """Invert a negative in 0..1; black stays black: padding, and the area covered by a shutter."""
    return np.where(negative > 0, 1 - negative, negative)


def corrected(reading: Reading, pose: int) -> Reading:
    """Return a reading with the radiograph turned or inverted back."""
    square, place, facts = reading.square, reading.placement, reading.facts
    assert square is not None
    assert place is not None
    assert facts is not None
    thumbnail, crop = reading.thumbnail, reading.crop
    if pose == NEGATIVE:
        square = positive(square)
        if thumbnail is not None:
            thumbnail = 255 - thumbnail
    else:
        square = np.ascontiguousarray(np.rot90(square, -pose))
        place = _turned(place, pose)
        crop = None if crop is None else crop.turned(pose)
        if thumbnail is not None:
            thumbnail = np.ascontiguousarray(np.rot90(thumbnail, -pose))
        facts = geometry.turned_facts(facts, _UNDONE[pose])
    return replace(
        reading,
        square=square,
        placement=place,
        facts=facts,
        contrast=contrast_of(square),
        thumbnail=thumbnail,
        crop=crop,
    )


def _turned(place: Placement, turns: int) -> Placement:
    """Return the placement after `turns` quarter turns clockwise of the square."""
    for _ in range(turns):
        place = Placement(
            place.left,
            place.size - place.top - place.height,
            place.width,
            place.height,
            place.size,
        )
    return place
