"""Evaluation of the abstain rule with images that are not chest radiographs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nanoray.detecting.model_file import ModelCard
from nanoray.errors import DataSetError
from nanoray.evaluating.metrics import auroc
from nanoray.evaluating.scores import score
from nanoray.reading.pool import read_many
from nanoray.reading.resize import to_uint8


@dataclass(frozen=True, slots=True)
class Gate:
    """Separation of radiographs from other images by the novelty.

    Attributes:
        auroc: of the novelty.
        others: number of other images.
        others_refused: share of them with an abstention.
    """

    auroc: float
    others: int
    others_refused: float


def judge_gate(path: Path, card: ModelCard, novelty: NDArray[np.floating], others: Path) -> Gate:
    """Compare the novelty [N] of radiographs with that of the images below the folder `others`."""
    strange = score(path, read_others(others, card.input_size)).novelty
    both = np.concatenate([novelty, strange])
    is_other = (np.arange(len(both)) >= len(novelty)).astype(int)
    return Gate(
        float(auroc(both, is_other, np.ones((1, len(both))))[0]),
        len(strange),
        float(np.mean(strange > card.novelty_limit)),
    )


def read_others(folder: Path, size: int) -> NDArray[np.uint8]:
    """Read every readable image below `folder`, uint8 [N, size, size]; others are skipped.

    Raises:
        DataSetError: no readable image.
    """
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    squares = [
        to_uint8(reading.square) for reading in read_many(paths, size) if reading.square is not None
    ]
    if not squares:
        raise DataSetError(f"{folder}: no readable image")
    return np.stack(squares)
