"""Histogram equalisation of the network's square, for models whose card requires it.

It removes window, exposure and a publisher's stretching of the grey scale: only the order of the
grey values remains. The network cannot learn them, and pictures that a publisher equalised look
like all others.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

LEVELS: Final = 4096
"""Grey levels of the histogram, enough for the order of 16-bit values; exact for 8 bits."""

BLACK: Final = 65
"""First counted level, above 4/255: padding, shutters and collimators are darker,
even with JPEG noise."""


def equalize(square: NDArray[np.float32]) -> NDArray[np.float32]:
    """Replace every grey value by its cumulative share among the non-black pixels.

    A level gets the middle of its step of the cumulative distribution (mid-distribution). A picture
    with few grey levels therefore has the same mean as with many.

    Args:
        square: float32 [S, S] in 0..1, bright bone, padding 0.

    Returns:
        float32 [S, S] in 0..1; black pixels are 0.
    """
    scaled = square * np.float32(LEVELS - 1)
    scaled += np.float32(0.5)
    # Indices of the final type: numpy would convert smaller integers twice, in half of the time.
    level = scaled.astype(np.intp)
    counts = np.bincount(level.reshape(-1), minlength=LEVELS)
    counts[:BLACK] = 0
    below = np.cumsum(counts)
    shares = ((below - 0.5 * counts) / max(int(below[-1]), 1)).astype(np.float32)
    shares[:BLACK] = 0.0
    found: NDArray[np.float32] = shares.take(level)
    return found


def equalize_batch(squares: NDArray[np.float32]) -> NDArray[np.float32]:
    """Equalise float32 [N, 1, S, S] one by one."""
    return np.stack([equalize(square[0])[None] for square in squares])
