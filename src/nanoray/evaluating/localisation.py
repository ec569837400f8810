"""Localisation: the class-activation map compared with boxes of radiologists."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nanoray.detecting import heatmap
from nanoray.evaluating.resampling import Floats, Interval, Resampling
from nanoray.reading.geometry import Box
from nanoray.reading.resize import Placement

GRID = 128
"""Maps and boxes are compared on a grid of this many cells along each side of the radiograph."""

LEVEL = 0.5
"""The map's region has values above this share of the range from minimum to maximum."""


@dataclass(frozen=True, slots=True)
class Localisation:
    """Agreement of maps with the boxes of images.

    Attributes:
        images: number of images with boxes.
        pointing: share of maps with their maximum inside a box (the pointing game, Zhang et al.
            2018, without tolerance).
        pointing_called: the same for images classified as positive.
        iou: mean intersection over union of the map's region (`LEVEL`) and the boxes together.
        chance: pointing of a random place, the boxes' mean share of the picture.
        fixed: pointing of the best position that is the same for every image, as a lower limit for
            a useful map.
    """

    images: int
    pointing: Interval
    pointing_called: float
    iou: Interval
    chance: float
    fixed: float


def box_mask(boxes: Sequence[Box]) -> NDArray[np.bool_]:
    """Return the cells of the grid with their centre in a box, bool [GRID, GRID]."""
    centre = (np.arange(GRID) + 0.5) / GRID
    mask = np.zeros((GRID, GRID), bool)
    for left, top, width, height in boxes:
        rows = (centre >= top) & (centre < top + height)
        columns = (centre >= left) & (centre < left + width)
        mask |= rows[:, None] & columns[None]
    return mask


def on_grid(cam: NDArray[np.float32], place: Placement) -> NDArray[np.float32]:
    """Crop a map of the square, float32 [h, w], to the radiograph: [GRID, GRID]."""
    from PIL import Image

    seen = np.ascontiguousarray(heatmap.crop(cam, place), np.float32)
    return np.asarray(
        Image.fromarray(seen).resize((GRID, GRID), Image.Resampling.BICUBIC), np.float32
    )


def localise(
    boxes: Sequence[Sequence[Box]],
    places: Sequence[Placement | None],
    cams: NDArray[np.float32],
    called: NDArray[np.bool_],
    resampling: Resampling,
) -> Localisation | None:
    """Evaluate the maps of N images; None if no image has a box.

    Args:
        boxes: of each image, fractions of the radiograph in the square.
        places: placement of each radiograph in the square; None for images without boxes.
        cams: float32 [N, h, w].
        called: bool [N], the decisions.
    """
    hits, overlaps = np.full(len(boxes), np.nan), np.full(len(boxes), np.nan)
    covered = np.zeros((GRID, GRID))
    for index, (found, place) in enumerate(zip(boxes, places, strict=True)):
        if not found or place is None:
            continue
        mask, values = box_mask(found), on_grid(cams[index], place)
        covered += mask
        hits[index] = mask.ravel()[values.argmax()]
        low, high = values.min(), values.max()
        region = values > low + LEVEL * (high - low)
        union = (mask | region).sum()
        overlaps[index] = (mask & region).sum() / union if union else 0.0
    judged = np.isfinite(hits)
    count = int(judged.sum())
    if not count:
        return None
    decided = judged & called
    return Localisation(
        count,
        resampling.interval(lambda w: _mean(w, hits, judged)),
        float(hits[decided].mean()) if decided.any() else float("nan"),
        resampling.interval(lambda w: _mean(w, overlaps, judged)),
        float(covered.mean() / count),
        float(covered.max() / count),
    )


def _mean(weights: Floats, values: Floats, members: NDArray[np.bool_]) -> Floats:
    chosen = weights[:, members]
    total = chosen.sum(1)
    mean: Floats = np.divide(
        chosen @ values[members], total, out=np.full(len(total), np.nan), where=total > 0
    )
    return mean
