"""Conversion of a radiograph to the network's square, shared by all callers of a model."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nanoray.errors import UnreadableError
from nanoray.reading import limits
from nanoray.reading.borders import Crop, framed
from nanoray.reading.fingerprint import Fingerprint
from nanoray.reading.radiograph import Facts, Grey, Pixels, Radiograph
from nanoray.reading.resize import Placement, fit, placement, to_uint8
from nanoray.reading.steps import Step


@dataclass(frozen=True, slots=True)
class Reading:
    """The result of reading one file: an image, or an error.

    Attributes:
        source: the path as given.
        square: float32 [S, S] in 0..1, letterboxed with 0; None if the file is unreadable.
        placement: position of the radiograph in the square.
        crop: part of the picture with the radiograph, if a border was cut off.
        steps: steps from the file to grey values.
        facts: metadata of the file.
        contrast: standard deviation of the grey values in the square, without padding.
        thumbnail: uint8 [h, w] whose longer side is at most 512 pixels, if requested.
        error: reason for an unreadable file.
        milliseconds: time for the file.
        fingerprint: of the file, if requested and its bytes are readable.
    """

    source: str
    square: Pixels | None = None
    placement: Placement | None = None
    facts: Facts | None = None
    contrast: float = 0.0
    thumbnail: NDArray[np.uint8] | None = None
    error: UnreadableError | None = None
    milliseconds: float = 0.0
    fingerprint: Fingerprint | None = None
    crop: Crop | None = None
    steps: tuple[Step, ...] = ()


def prepared(source: str, radiograph: Radiograph, size: int, *, thumbnail: bool) -> Reading:
    """Fit a radiograph into the `size` x `size` square of a network, without a border around it."""
    square, place, crop = framed(radiograph.grey, size)
    steps = list(radiograph.steps)
    if crop is not None:
        steps.append(Step("border", f"cut off; {crop.words} are left"))
    steps.append(
        Step("square", f"{place.width} x {place.height} of {size} x {size} pixels, black around")
    )
    return Reading(
        source,
        square,
        place,
        radiograph.facts,
        contrast_of(square),
        thumbnail_of(radiograph.grey) if thumbnail else None,
        crop=crop,
        steps=tuple(steps),
    )


def contrast_of(square: Pixels) -> float:
    """Return the standard deviation of pixels that are not 0 (padding); 0 without any."""
    seen = int(np.count_nonzero(square))
    if not seen:
        return 0.0
    # Zeros add nothing to either sum, so they need not be removed.
    values = square.reshape(-1)
    mean = float(values.sum()) / seen
    return math.sqrt(max(0.0, float(values @ values) / seen - mean * mean))


def thumbnail_of(grey: Grey) -> NDArray[np.uint8]:
    """Return the radiograph as uint8 [h, w], reduced to `limits.THUMBNAIL_SIDE` if larger."""
    rows, columns = grey.shape
    place = placement(rows, columns, min(limits.THUMBNAIL_SIDE, max(rows, columns)))
    return to_uint8(fit(grey, place.height, place.width))
