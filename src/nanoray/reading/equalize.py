"""Histogram equalisation of the network's square, for models whose card asks for it.

Window, exposure and the publisher's own stretching of the grey scale then no longer matter: only
the order of the grey values is left. One network no longer learns them, and pictures whose
publisher equalised them look like all others.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

LEVELS: Final = 4096
"""Grey levels of the histogram: 16-bit radiographs keep their order, 8-bit ones theirs exactly."""

BLACK: Final = 65
"""First level that counts, the first above 4/255: padding, shutters and collimators are darker,
also where JPEG left noise in them."""


def equalize(square: NDArray[np.float32]) -> NDArray[np.float32]:
    """Replace every grey value by its cumulative share among the non-black pixels.

    A level gets the middle of its step of the cumulative distribution (mid-distribution), so that a
    picture in few grey levels keeps the mean of the same picture in many.

    Args:
        square: float32 [S, S] in 0..1, bright bone, padding 0.

    Returns:
        float32 [S, S] in 0..1; black pixels are 0.
    """
    scaled = square * np.float32(LEVELS - 1)
    scaled += np.float32(0.5)
    # As indices at once: numpy would convert smaller integers twice, in half of the time.
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
