"""Fitting a radiograph into the model's square input, with its aspect ratio."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, TypeGuard

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from nanoray.reading.radiograph import Grey, Pixels, Samples


@dataclass(frozen=True, slots=True)
class Placement:
    """Position of a radiograph in the square: rows top..top+height, columns left..left+width."""

    top: int
    left: int
    height: int
    width: int
    size: int

    def crop(self, square: NDArray[Any]) -> NDArray[Any]:
        """Return the view of an array [size, size] that the radiograph fills."""
        rows = slice(self.top, self.top + self.height)
        return square[rows, self.left : self.left + self.width]


def to_uint8(grey: NDArray[np.floating]) -> NDArray[np.uint8]:
    """Return grey values in 0..1 of any shape as uint8; what lies beyond is clipped."""
    levels: NDArray[np.uint8] = np.rint(np.clip(grey, 0, 1) * 255).astype(np.uint8)
    return levels


def placement(rows: int, columns: int, size: int) -> Placement:
    """Return the largest centred rectangle of the same aspect ratio in a `size` x `size` square.

    Halves are rounded up, so runtimes whose `round` differs from Python's agree.
    """
    longest = max(rows, columns)
    height = max(1, int(rows * size / longest + 0.5))
    width = max(1, int(columns * size / longest + 0.5))
    return Placement((size - height) // 2, (size - width) // 2, height, width, size)


def letterbox(grey: Grey, size: int) -> tuple[Pixels, Placement]:
    """Resize grey values [H, W] to fit float32 [size, size], padded with 0 (black).

    The filter is a triangle whose support grows with the reduction (Pillow's BILINEAR, the usual
    antialiased bilinear), computed in float32; enlarging is plain bilinear. An image of that size
    is not copied.
    """
    rows, columns = grey.shape
    place = placement(rows, columns, size)
    if place.height == place.width == size:
        return fit(grey, size, size), place
    square = np.zeros((size, size), np.float32)
    place.crop(square)[:] = fit(grey, place.height, place.width)
    return square, place


def fit(grey: Grey, height: int, width: int) -> Pixels:
    """Resize grey values [H, W] to float32 [height, width] by the filter of `letterbox`."""
    rows, columns = grey.shape
    if rows == 2 * height and columns == 2 * width and _has_bytes(grey) and min(rows, columns) > 4:
        return _halved(grey.stored)
    if rows >= 2 * height and columns >= 2 * width:
        return np.ascontiguousarray(_shrink(_shrink(grey, height).T, width).T)
    pixels = grey.pixels if isinstance(grey, Samples) else np.ascontiguousarray(grey, np.float32)
    if (rows, columns) == (height, width):
        return pixels
    image = Image.fromarray(pixels)
    return np.asarray(image.resize((width, height), Image.Resampling.BILINEAR), np.float32)


def _has_bytes(grey: Grey) -> TypeGuard[Samples]:
    return isinstance(grey, Samples) and grey.curve is None


def _halved(stored: NDArray[np.uint8]) -> Pixels:
    """Reduce samples of 8 bits [2 h, 2 w] to grey values float32 [h, w] by the triangle filter.

    Its weights are 1, 3, 3, 1, so all sums fit into 16 bits. This takes a third of the time of
    products.
    """
    small = _summed(np.ascontiguousarray(_summed(stored.astype(np.uint16)).T)).T
    grey: Pixels = np.multiply(small, np.float32(1 / (8 * 8 * 255)), dtype=np.float32)
    # At the edges a sample of weight 1 is missing.
    grey[[0, -1]] *= np.float32(8 / 7)
    grey[:, [0, -1]] *= np.float32(8 / 7)
    return grey


def _summed(stored: NDArray[np.uint16]) -> NDArray[np.uint16]:
    first, second = stored[0::2], stored[1::2]
    total = first + second
    total *= np.uint16(3)
    total[1:] += second[:-1]
    total[:-1] += first[1:]
    return total


# Largest number of multiplications in a product. With more, OpenBLAS would start its threads, but
# the cores are used for other files.
_PRODUCT: Final = 1 << 18


def _shrink(grey: Grey, height: int) -> Pixels:
    """Reduce grey values [H, W] to float32 [height, W] by the triangle filter.

    The result equals Pillow's resize of a float image to 1e-6, in less than half its time. The
    columns are reduced first, by whole rows, with sums in vector instructions. Samples are looked
    up a few rows at a time, so their grey values are summed while they are in the cache. If the
    curve is linear, the samples are summed first and their sums converted.
    """
    columns = grey.shape[1]
    line = grey.straight if isinstance(grey, Samples) else None
    small = np.empty((height, columns), np.float32)
    for first, weights in _triangles(grey.shape[0], height):
        count, taps = weights.shape
        band = slice(first[1], first[1] + taps)
        if isinstance(grey, Samples) and line is not None:
            rows = line.above_black(grey.stored[band])
        else:
            rows = grey[band]
        sums = small[first[0] : first[0] + count]
        step = max(1, _PRODUCT // (count * taps))
        for left in range(0, columns, step):
            of = slice(left, left + step)
            np.matmul(weights, rows[:, of], out=sums[:, of])
        if line is not None:
            sums *= np.float32(1 / (line.white - line.black))
    return small


@lru_cache(maxsize=32)
def _triangles(length: int, shorter: int) -> list[tuple[tuple[int, int], Pixels]]:
    """Return the weights that reduce `length` samples to `shorter`, a few outputs at a time.

    A list of ((first output, first input), float32 [outputs, inputs]).
    """
    scale = length / shorter
    centres = (np.arange(shorter) + 0.5) * scale
    begins = np.maximum((centres - scale + 0.5).astype(int), 0)
    ends = np.minimum((centres + scale + 0.5).astype(int), length)
    blocks = []
    # Fewer outputs per product have fewer weights of 0; long rows can afford more of them.
    block = max(4, round(24 / scale))
    for first in range(0, shorter, block):
        of = slice(first, min(first + block, shorter))
        inputs = np.arange(begins[of][0], ends[of][-1])
        distance = np.abs(inputs + 0.5 - centres[of, np.newaxis]) / scale
        weights = np.maximum(1 - distance, 0)
        weights *= (inputs >= begins[of, np.newaxis]) & (inputs < ends[of, np.newaxis])
        weights /= weights.sum(axis=1, keepdims=True)
        blocks.append(((first, int(inputs[0])), weights.astype(np.float32)))
    return blocks
