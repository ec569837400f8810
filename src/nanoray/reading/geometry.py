"""Turning grey values, resampling them to square pixels, and covering them with a mask."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from nanoray.reading.radiograph import Grey, Pixels, Samples
from nanoray.reading.resize import fit

ASPECTS: Final = (0.25, 4.0)
"""Plausible range of a pixel's height by its width; others are errors of the writer."""
SQUARE: Final = 0.01
"""Pixels whose sides differ by less than this share count as square."""

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
        return replace(grey, stored=_turned(grey.stored, orientation))
    return _turned(grey, orientation)


def composed(first: int, second: int) -> int:
    """Return the EXIF orientation equal to one orientation followed by another."""
    marked = np.arange(6).reshape(2, 3)
    wanted = _turned(_turned(marked, first), second)
    return next(code for code in range(1, 9) if np.array_equal(_turned(marked, code), wanted))


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


def _turned(pixels: NDArray[Any], orientation: int) -> NDArray[Any]:
    if orientation >= _SWAPPED:
        pixels = pixels.T
    if orientation in _MIRRORED:
        pixels = pixels[:, ::-1]
    if orientation in _FLIPPED:
        pixels = pixels[::-1]
    return np.ascontiguousarray(pixels)


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
