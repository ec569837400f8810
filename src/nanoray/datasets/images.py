"""The images of a data set as one array, read exactly as a prediction reads them."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nanoray.datasets.folder import Case
from nanoray.datasets.framing import Framing, framed_square
from nanoray.errors import DataSetError

Squares = NDArray[np.uint8]


def load_squares(
    cases: Sequence[Case], size: int, cache: Path, *, show_progress: bool = True
) -> Squares:
    """Letterbox all radiographs to uint8 [N, size, size], memory-mapped from `cache`.

    The first call reads every file; later calls open the cached array. The rounding to 8 bits is
    the only difference from the input of a prediction.

    Raises:
        DataSetError: unreadable files; the message lists each of them.
    """
    squares: Squares = np.load(_cached(cases, size, cache, show_progress)[0], mmap_mode="r")
    return squares


def on_squares(cases: Sequence[Case], size: int, cache: Path) -> list[Case]:
    """Return the cases with their boxes as fractions of the squares of `load_squares`.

    Raises:
        DataSetError: see `load_squares`.
    """
    framings = np.load(_cached(cases, size, cache, show_progress=False)[1])
    return [
        case
        if case.boxes is None
        else replace(case, boxes=Framing.from_numbers(numbers).in_square(case.boxes))
        for case, numbers in zip(cases, framings, strict=True)
    ]


def identity(case: Case) -> str:
    """Return a text for the keys of caches: what determines the square of a case."""
    path = str(case.path.resolve())
    return path if case.aspect is None else f"{path} {case.aspect!r}"


def _cached(
    cases: Sequence[Case], size: int, cache: Path, show_progress: bool
) -> tuple[Path, Path]:
    """Return the files of the squares and of their framings, and make them if one is missing.

    Caches of earlier versions have no framings, and are made again.
    """
    key = hashlib.sha256("\n".join(map(identity, cases)).encode()).hexdigest()[:12]
    targets = cache / f"squares-{size}-{key}.npy", cache / f"framings-{size}-{key}.npy"
    if not all(target.is_file() for target in targets):
        cache.mkdir(parents=True, exist_ok=True)
        partials = [target.with_suffix(f".{os.getpid()}.partial") for target in targets]
        squares = np.lib.format.open_memmap(
            partials[0], mode="w+", dtype=np.uint8, shape=(len(cases), size, size)
        )
        framings = np.zeros((len(cases), 6))
        failures = _fill(squares, framings, cases, size, show_progress)
        if failures:
            partials[0].unlink()
            listed = "\n".join(failures[:20])
            raise DataSetError(f"{len(failures)} of {len(cases)} files cannot be read:\n{listed}")
        squares.flush()
        del squares
        with partials[1].open("wb") as file:
            np.save(file, framings)
        for partial, target in zip(partials, targets, strict=True):
            partial.replace(target)
    return targets


def _fill(
    squares: Squares,
    framings: NDArray[np.float64],
    cases: Sequence[Case],
    size: int,
    show_progress: bool,
) -> list[str]:
    from rich.progress import track

    from nanoray.reading.pool import read_many

    failures = []
    readings = read_many((case.path for case in cases), size)
    for index, reading in enumerate(
        track(readings, "Reading radiographs", total=len(cases), disable=not show_progress)
    ):
        if reading.square is None:
            failures.append(str(reading.error))
            continue
        square, _, framing = framed_square(reading, cases[index].aspect)
        squares[index] = np.rint(square * 255)
        framings[index] = framing.numbers()
    return failures


def grid_masks(cases: Sequence[Case], side: int) -> NDArray[np.float32]:
    """Return the share of each cell of a grid that opacity boxes cover, float32 [N, side, side].

    The boxes are fractions of the square (`on_squares`). Overlapping boxes do not add up.
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
