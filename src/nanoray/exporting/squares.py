"""Radiographs as network inputs, for measurements and comparisons."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nanoray.detecting.model_file import ModelCard
from nanoray.errors import NanoRayError
from nanoray.reading.equalize import equalize
from nanoray.reading.finding import find
from nanoray.reading.pool import read_many
from nanoray.reading.resize import to_uint8


def read_squares(folder: Path, card: ModelCard, count: int) -> NDArray[np.uint8]:
    """Read `count` of the radiographs of a folder, drawn at random, as uint8 [N, S, S].

    Unreadable files are skipped.

    Raises:
        NanoRayError: no file is readable.
    """
    paths = find([folder]).paths
    chosen = np.sort(np.random.default_rng(0).permutation(len(paths))[:count])
    squares = [
        to_uint8(reading.square)
        for reading in read_many((paths[index] for index in chosen), card.input_size)
        if reading.square is not None
    ]
    if not squares:
        raise NanoRayError(f"{folder}: no radiograph in it can be read")
    return np.stack(squares)


def as_inputs(squares: NDArray[np.uint8], card: ModelCard) -> Iterator[NDArray[np.float32]]:
    """Yield each of uint8 [N, S, S] as the model's input, float32 [1, 1, S, S]."""
    for levels in squares:
        square = levels.astype(np.float32) / 255
        # Equalising an equalised square has a negligible effect.
        yield (equalize(square) if getattr(card, "equalize", False) else square)[None, None]
