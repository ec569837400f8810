"""The images of a data set as one array, read exactly as a prediction reads them."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from nanoray.datasets.folder import Case
from nanoray.errors import DataSetError
from nanoray.reading.resize import Placement, letterbox

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
        if reading.square is None or reading.placement is None:
            failures.append(str(reading.error))
            continue
        squares[index] = np.rint(
            _unsquashed(reading.square, reading.placement, cases[index].aspect) * 255
        )
    return failures


def _unsquashed(
    square: NDArray[np.float32], place: Placement, aspect: float | None
) -> NDArray[np.float32]:
    """Restore the radiograph's aspect ratio in a square, if its file has another one."""
    shown = place.width / place.height
    if aspect is None or abs(aspect / shown - 1) < 0.01:
        return square
    frame = place.crop(square)
    rows, columns = (place.size, max(1, round(place.size * aspect)))
    if aspect > 1:
        rows, columns = max(1, round(place.size / aspect)), place.size
    resized = Image.fromarray(np.ascontiguousarray(frame)).resize(
        (columns, rows), Image.Resampling.BILINEAR
    )
    return letterbox(np.asarray(resized, np.float32), place.size)[0]


def grid_masks(cases: Sequence[Case], side: int) -> NDArray[np.float32]:
    """Return the share of each cell of a grid that opacity boxes cover, float32 [N, side, side].

    The frames must be square, like those of the RSNA challenge, or the cases must have an aspect
    ratio. Overlapping boxes do not add up.
    """
    fine = 8
    masks = np.zeros((len(cases), side * fine, side * fine), np.float32)
    for mask, case in zip(masks, cases, strict=True):
        across = min(1.0, case.aspect or 1.0)
        down = min(1.0, 1.0 / (case.aspect or 1.0))
        for box in case.boxes or ():
            left, width = (1 - across) / 2 + box[0] * across, box[2] * across
            top, height = (1 - down) / 2 + box[1] * down, box[3] * down
            columns = slice(round(left * side * fine), round((left + width) * side * fine))
            rows = slice(round(top * side * fine), round((top + height) * side * fine))
            mask[rows, columns] = 1
    shares: NDArray[np.float32] = masks.reshape(len(cases), side, fine, side, fine).mean((2, 4))
    return shares
