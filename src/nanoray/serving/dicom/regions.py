"""The regions of the evidence in an image: rectangles around cells of its heat map."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Region:
    """A rectangle of an image, edges included, in pixels from the upper left corner.

    Attributes:
        left, top, right, bottom: 0 <= left < right <= columns, likewise for the rows.
        strength: highest local probability in it.
    """

    left: float
    top: float
    right: float
    bottom: float
    strength: float

    def outline(self) -> NDArray[np.float64]:
        """Return its corners, closed with the first one: float64 [5, 2] of column and row."""
        return np.array(
            [
                (self.left, self.top),
                (self.right, self.top),
                (self.right, self.bottom),
                (self.left, self.bottom),
                (self.left, self.top),
            ],
            np.float64,
        )


def whole(rows: int, columns: int) -> Region:
    """Return the rectangle of a whole image."""
    return Region(0.0, 0.0, float(columns), float(rows), 0.0)


def regions(
    heatmap: NDArray[np.float32], threshold: float, rows: int, columns: int, most: int = 4
) -> list[Region]:
    """Find where the local probability reaches the threshold, the strongest evidence first.

    Args:
        heatmap: float32 [h, w] in 0..1, covering the image edge to edge.
        threshold: of the probability. If no cell reaches it, the strongest cell is taken.
        rows, columns: of the image.
        most: largest number of regions.

    Returns:
        Rectangles around groups of adjacent cells; at least one.
    """
    height, width = heatmap.shape
    above = heatmap >= min(threshold, float(heatmap.max()))
    seen = np.zeros_like(above)
    found = []
    for start in zip(*np.nonzero(above), strict=True):
        if seen[start]:
            continue
        cells, ahead = [], [(int(start[0]), int(start[1]))]
        seen[start] = True
        while ahead:
            row, column = ahead.pop()
            cells.append((row, column))
            for near in (
                (row + down, column + right) for down in (-1, 0, 1) for right in (-1, 0, 1)
            ):
                inside = 0 <= near[0] < height and 0 <= near[1] < width
                if inside and above[near] and not seen[near]:
                    seen[near] = True
                    ahead.append(near)
        down, right = np.array(cells).T
        found.append(
            Region(
                left=float(right.min() * columns / width),
                top=float(down.min() * rows / height),
                right=float((right.max() + 1) * columns / width),
                bottom=float((down.max() + 1) * rows / height),
                strength=float(heatmap[down, right].max()),
            )
        )
    return sorted(found, key=lambda region: -region.strength)[:most]
