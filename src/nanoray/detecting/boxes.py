"""Boxes with scores from a heat map of any size."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

GRID: Final = 32
"""Maps are enlarged to this many cells along each side before boxes are cut."""
DROP: Final = 4.0
"""A box contains the cells within this many units of logit of its peak (`benchmarks/boxes.py`)."""
PROMINENCE: Final = 1.5
"""A peak gets a box if it rises this far above the saddle to a higher peak, in units of logit."""
MOST: Final = 4
"""Boxes of one radiograph at most; 3 % of the challenge's positive images have more than three."""


@dataclass(frozen=True, slots=True)
class Box:
    """A part of the radiograph: fractions of its width and height, and the peak evidence in it."""

    left: float
    top: float
    width: float
    height: float
    score: float

    def record(self) -> dict[str, float]:
        """Return the values for JSON, with four digits."""
        return {name: round(value, 4) for name, value in asdict(self).items()}


def find_boxes(
    heatmap: NDArray[np.float32],
    threshold: float,
    *,
    drop: float = DROP,
    prominence: float = PROMINENCE,
) -> tuple[Box, ...]:
    """Cut boxes around the peaks of a map, by falling score.

    Peaks are found by persistence (Edelsbrunner, Letscher and Zomorodian 2002): cells are added by
    falling evidence. Where the areas of two peaks meet, the lower one remains separate only if it
    rises `prominence` above the meeting point.

    Args:
        heatmap: float32 [h, w], local probability 0..1 over the radiograph edge to edge.
        threshold: probability that a peak must reach to get a box.
    """
    if not np.isfinite(heatmap).all() or heatmap.max(initial=0.0) < threshold:
        return ()
    evidence = np.clip(heatmap, 1e-6, 1 - 1e-6)
    logits = np.log(evidence / (1 - evidence)).astype(np.float32)
    fine = np.asarray(Image.fromarray(logits).resize((GRID, GRID), Image.Resampling.BICUBIC))
    fine = np.minimum(fine, logits.max())
    lowest = float(np.log(max(threshold, 1e-6) / max(1 - threshold, 1e-6)))
    areas = _areas(fine, min(lowest, float(fine.max())), drop, prominence)
    boxes = []
    for peak, cells in areas:
        rows, columns = np.divmod(np.array(cells), GRID)
        boxes.append(
            Box(
                float(columns.min()) / GRID,
                float(rows.min()) / GRID,
                float(columns.max() + 1 - columns.min()) / GRID,
                float(rows.max() + 1 - rows.min()) / GRID,
                float(1 / (1 + np.exp(-peak))),
            )
        )
    return tuple(sorted(boxes, key=lambda box: -box.score)[:MOST])


def _areas(
    fine: NDArray[np.float32], lowest: float, drop: float, prominence: float
) -> list[tuple[float, list[int]]]:
    """Find peaks of at least `lowest`, and the cells of each that are within `drop` of it."""
    values = fine.ravel()
    order = np.argsort(-values, kind="stable")
    order = order[values[order] >= lowest - drop]
    owner = np.full(GRID * GRID, -1)
    parent: dict[int, int] = {}

    def root(cell: int) -> int:
        while parent[cell] != cell:
            cell = parent[cell]
        return cell

    for cell in order.tolist():
        row, column = divmod(cell, GRID)
        near = {
            root(int(owner[other]))
            for other, inside in (
                (cell - GRID, row > 0),
                (cell + GRID, row < GRID - 1),
                (cell - 1, column > 0),
                (cell + 1, column < GRID - 1),
            )
            if inside and owner[other] >= 0
        }
        if not near:
            parent[cell] = owner[cell] = cell
            continue
        highest = max(near, key=lambda peak: values[peak])
        owner[cell] = highest
        for peak in near - {highest}:
            if values[peak] - values[cell] < prominence:
                parent[peak] = highest
    found: dict[int, list[int]] = {}
    for cell in order.tolist():
        peak = root(int(owner[cell]))
        if values[cell] >= values[peak] - drop:
            found.setdefault(peak, []).append(cell)
    return [(float(values[peak]), cells) for peak, cells in found.items() if values[peak] >= lowest]
