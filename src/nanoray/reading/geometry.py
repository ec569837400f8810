"""Turning grey values, resampling them to square pixels, and covering them with a mask."""

from __future__ import annotations

from dataclasses import replace
from typing import Final, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from nanoray.reading.radiograph import Facts, Grey, Pixels, Samples
from nanoray.reading.resize import fit

ASPECTS: Final = (0.25, 4.0)
"""Plausible range of a pixel's height by its width; others are errors of the writer."""
SQUARE: Final = 0.01
"""Pixels whose sides differ by less than this share count as square."""

_Value = TypeVar("_Value", bound=np.generic)

TURNS: Final = {
    1: "left as it was",
    2: "mirrored",
    3: "turned by 180 degrees",
    4: "mirrored and turned by 180 degrees",
    5: "mirrored and turned counter-clockwise",
    6: "turned clockwise",
    7: "mirrored and turned clockwise",
    8: "turned counter-clockwise",
}
"""Description of each EXIF orientation (Exif 2.32, tag 0x0112)."""

_SWAPPED: Final = 5  # EXIF orientations from here upwards exchange rows and columns
_MIRRORED: Final = (2, 3, 6, 7)
_FLIPPED: Final = (3, 4, 7, 8)
"""EXIF orientations that, after the exchange, reverse the columns or the rows."""

Box: TypeAlias = tuple[float, float, float, float]
"""Left, top, width and height, as fractions of a picture's width and height."""


def turned(grey: Grey, orientation: int) -> Grey:
    """Turn grey values [H, W] by an EXIF orientation (Exif 2.32, tag 0x0112)."""
    if orientation == 1:
        return grey
    if isinstance(grey, Samples):
        return replace(grey, stored=turned_array(grey.stored, orientation))
    return turned_array(grey, orientation)


def turned_array(values: NDArray[_Value], orientation: int) -> NDArray[_Value]:
    """Turn an array [H, W] by an EXIF orientation."""
    if orientation >= _SWAPPED:
        values = values.T
    if orientation in _MIRRORED:
        values = values[:, ::-1]
    if orientation in _FLIPPED:
        values = values[::-1]
    return np.ascontiguousarray(values)


def turned_facts(facts: Facts, orientation: int) -> Facts:
    """State that a radiograph was turned by an EXIF orientation, after any earlier turn."""
    facts = replace(facts, orientation=composed(facts.orientation, orientation))
    if not swaps(orientation):
        return facts
    spacing = facts.pixel_spacing_mm
    return replace(
        facts,
        rows=facts.columns,
        columns=facts.rows,
        pixel_spacing_mm=None if spacing is None else (spacing[1], spacing[0]),
    )


def composed(first: int, second: int) -> int:
    """Return the EXIF orientation equal to one orientation followed by another."""
    marked = np.arange(6).reshape(2, 3)
    wanted = turned_array(turned_array(marked, first), second)
    return next(code for code in TURNS if np.array_equal(turned_array(marked, code), wanted))


def undone(orientation: int) -> int:
    """Return the EXIF orientation that reverses another one."""
    return {6: 8, 8: 6}.get(orientation, orientation)


def turned_box(box: Box, orientation: int) -> Box:
    """Map a box of the stored picture to the picture turned by an EXIF orientation."""
    left, top, width, height = box
    if orientation >= _SWAPPED:
        left, top, width, height = top, left, height, width
    if orientation in _MIRRORED:
        left = 1 - left - width
    if orientation in _FLIPPED:
        top = 1 - top - height
    return left, top, width, height


def swaps(orientation: int) -> bool:
    """Return whether an EXIF orientation exchanges rows and columns."""
    return orientation >= _SWAPPED


def believed(aspect: float | None) -> float:
    """Return an aspect that is plausible and not square; 1 for all others."""
    if aspect is None or not ASPECTS[0] <= aspect <= ASPECTS[1] or abs(aspect - 1) < SQUARE:
        return 1.0
    return aspect


def squared(grey: Grey, aspect: float) -> Grey:
    """Resample grey values [H, W] to square pixels; a pixel is `aspect` times as high as wide.

    The longer side of the pixels is divided, so no information is lost.
    """
    if aspect == 1:
        return grey
    rows, columns = grey.shape
    if aspect > 1:
        return fit(grey, max(1, round(rows * aspect)), columns)
    return fit(grey, rows, max(1, round(columns / aspect)))


def covered(grey: Grey, inside: NDArray[np.bool_]) -> Pixels:
    """Return grey values float32 [H, W], black outside a mask of the same size."""
    pixels = grey.pixels if isinstance(grey, Samples) else grey.copy()
    pixels[~inside] = 0.0
    return pixels
