"""Fitting a radiograph into the model's square input, without squashing it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image

from nanoray.reading.radiograph import Pixels


@dataclass(frozen=True, slots=True)
class Placement:
    """Where a radiograph lies in the square: rows top..top+height, columns left..left+width."""

    top: int
    left: int
    height: int
    width: int
    size: int


def placement(rows: int, columns: int, size: int) -> Placement:
    """Largest centred rectangle of the same aspect ratio in a `size` x `size` square.

    Halves round up, so that runtimes whose `round` differs from Python's agree.
    """
    longest = max(rows, columns)
    height = max(1, int(rows * size / longest + 0.5))
    width = max(1, int(columns * size / longest + 0.5))
    return Placement((size - height) // 2, (size - width) // 2, height, width, size)


def letterbox(pixels: Pixels, size: int) -> tuple[Pixels, Placement]:
    """Resize float32 [H, W] to fit float32 [size, size], padded with 0 (black).

    The filter is a triangle whose support grows with the reduction (Pillow's BILINEAR, the usual
    antialiased bilinear), computed in float32; enlarging is plain bilinear.
    """
    rows, columns = pixels.shape
    place = placement(rows, columns, size)
    square = np.zeros((size, size), np.float32)
    if pixels.shape == (place.height, place.width):
        fitted = pixels
    else:
        image = Image.fromarray(np.ascontiguousarray(pixels, np.float32))
        fitted = np.asarray(
            image.resize((place.width, place.height), Image.Resampling.BILINEAR), np.float32
        )
    square[place.top : place.top + place.height, place.left : place.left + place.width] = fitted
    return square, place
