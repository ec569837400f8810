"""Images that are no chest radiographs, to judge the abstain rule with."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nanoray.errors import DataSetError
from nanoray.reading.workers import read_many


def read_others(folder: Path, size: int) -> NDArray[np.uint8]:
    """Every readable image below `folder`, uint8 [N, size, size]; unreadable ones are left out.

    Raises:
        DataSetError: nothing readable there.
    """
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    squares = [
        np.rint(reading.square * 255).astype(np.uint8)
        for reading in read_many(paths, size)
        if reading.square is not None
    ]
    if not squares:
        raise DataSetError(f"{folder}: no readable image")
    return np.stack(squares)
