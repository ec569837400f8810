"""The images of a data set as one array, read exactly as a prediction reads them."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nanoray.datasets.folder import Case
from nanoray.errors import DataSetError

Squares = NDArray[np.uint8]


def load_squares(
    cases: Sequence[Case], size: int, cache: Path, *, show_progress: bool = True
) -> Squares:
    """All radiographs letterboxed to uint8 [N, size, size], memory-mapped from `cache`.

    The first call reads every file, which takes a while; later ones open the cached array. The
    rounding to 8 bits is the only difference from what a prediction feeds the model.

    Raises:
        DataSetError: a file that cannot be read; the message names each of them.
    """
    names = "\n".join(str(case.path.resolve()) for case in cases)
    key = hashlib.sha256(names.encode()).hexdigest()[:12]
    target = cache / f"squares-{size}-{key}.npy"
    if not target.is_file():
        cache.mkdir(parents=True, exist_ok=True)
        partial = target.with_suffix(f".{os.getpid()}.partial")
        squares = np.lib.format.open_memmap(
            partial, mode="w+", dtype=np.uint8, shape=(len(cases), size, size)
        )
        failures = _fill(squares, cases, size, show_progress)
        if failures:
            partial.unlink()
            listed = "\n".join(failures[:20])
            raise DataSetError(f"{len(failures)} of {len(cases)} files cannot be read:\n{listed}")
        squares.flush()
        del squares
        partial.replace(target)
    loaded: Squares = np.load(target, mmap_mode="r")
    return loaded


def _fill(squares: Squares, cases: Sequence[Case], size: int, show_progress: bool) -> list[str]:
    from rich.progress import track

    from nanoray.reading.pool import read_many

    failures = []
    readings = read_many((case.path for case in cases), size)
    for index, reading in enumerate(
        track(readings, "Reading radiographs", total=len(cases), disable=not show_progress)
    ):
        if reading.square is None:
            failures.append(str(reading.error))
        else:
            squares[index] = np.rint(reading.square * 255)
    return failures


def grid_masks(cases: Sequence[Case], side: int) -> NDArray[np.float32]:
    """Share of each cell of a side x side grid that opacity boxes cover, float32 [N, side, side].

    For square frames, as those of the RSNA challenge are. Overlapping boxes do not add up.
    """
    fine = 8
    masks = np.zeros((len(cases), side * fine, side * fine), np.float32)
    for mask, case in zip(masks, cases, strict=True):
        for left, top, width, height in case.boxes or ():
            columns = slice(round(left * side * fine), round((left + width) * side * fine))
            rows = slice(round(top * side * fine), round((top + height) * side * fine))
            mask[rows, columns] = 1
    shares: NDArray[np.float32] = masks.reshape(len(cases), side, fine, side, fine).mean((2, 4))
    return shares
