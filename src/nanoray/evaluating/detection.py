"""Comparison of boxes with those of radiologists: the challenge's mAP, FROC and overlap.

The metric of the RSNA challenge (2018) uses intersection-over-union thresholds from 0.4 to 0.75.
The precision of an image is TP / (TP + FP + FN). An image without boxes and predictions is not
counted; one without boxes but with predictions counts 0. The mean is over thresholds, then over
images.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from nanoray.detecting.boxes import Box
from nanoray.evaluating.resampling import Floats, Interval, Resampling

Frame = tuple[float, float, float, float]
"""Left, top, width and height as fractions."""

OVERLAPS: Final = tuple(float(value) for value in np.arange(0.40, 0.76, 0.05).round(2))
ALARMS: Final = (0.125, 0.25, 0.5, 1.0)
"""False boxes per image at which FROC's sensitivity is evaluated."""
HIT: Final = 0.2
"""Least overlap with which FROC counts a box as found; boxes of coarse maps are inaccurate."""


@dataclass(frozen=True, slots=True)
class Detection:
    """Agreement of boxes with those of radiologists.

    Attributes:
        images, boxes: numbers of images and of radiologists' boxes.
        precision: the challenge's mAP.
        froc: false boxes per image to the share of the radiologists' boxes that are found.
        overlap: mean best intersection over union of the radiologists' boxes.
    """

    images: int
    boxes: int
    precision: Interval
    froc: dict[float, float]
    overlap: Interval


def overlaps(predicted: Sequence[Frame], true: Sequence[Frame]) -> Floats:
    """Compute the intersection over union, float64 [predicted, true]."""
    if not predicted or not true:
        return np.zeros((len(predicted), len(true)))
    p, t = np.array(predicted)[:, None], np.array(true)[None]
    low = np.maximum(p[..., :2], t[..., :2])
    high = np.minimum(p[..., :2] + p[..., 2:], t[..., :2] + t[..., 2:])
    shared = np.clip(high - low, 0, None).prod(-1)
    union = p[..., 2:].prod(-1) + t[..., 2:].prod(-1) - shared
    found: Floats = np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)
    return found


def image_precision(predicted: Sequence[Frame], true: Sequence[Frame]) -> float:
    """Return the challenge's precision of one image; NaN without boxes and predictions.

    Predictions are matched in their order, each to the best free box.
    """
    if not predicted and not true:
        return float("nan")
    if not predicted or not true:
        return 0.0
    shared = overlaps(predicted, true)
    values = []
    for least in OVERLAPS:
        free = np.ones(len(true), bool)
        hits = 0
        for row in shared:
            best = int(np.argmax(np.where(free, row, -1.0)))
            if free[best] and row[best] >= least:
                free[best] = False
                hits += 1
        values.append(hits / (len(predicted) + len(true) - hits))
    return float(np.mean(values))


def measure_boxes(
    predicted: Sequence[Sequence[Box]],
    true: Sequence[Sequence[Frame]],
    resampling: Resampling,
    *,
    called: NDArray[np.bool_] | None = None,
) -> Detection:
    """Evaluate the boxes of N images.

    Args:
        predicted: of each image, by falling score.
        called: bool [N]; the challenge's metric uses boxes of these images only, FROC all.
    """
    called = np.ones(len(true), bool) if called is None else called
    frames = [[(b.left, b.top, b.width, b.height) for b in boxes] for boxes in predicted]
    precision = np.array(
        [
            image_precision(boxes if decided else [], truth)
            for boxes, truth, decided in zip(frames, true, called, strict=True)
        ]
    )
    best = np.array(
        [
            overlaps(boxes, truth).max(0, initial=0.0).mean() if truth else np.nan
            for boxes, truth in zip(frames, true, strict=True)
        ]
    )
    return Detection(
        len(true),
        sum(len(truth) for truth in true),
        resampling.interval(_mean_of(precision)),
        _froc(predicted, frames, true),
        resampling.interval(_mean_of(best)),
    )


def _froc(
    predicted: Sequence[Sequence[Box]],
    frames: Sequence[Sequence[Frame]],
    true: Sequence[Sequence[Frame]],
) -> dict[float, float]:
    """Compute the sensitivity at given numbers of false boxes per image (Bunch et al. 1978)."""
    marks: list[tuple[float, bool]] = []
    for boxes, own, truth in zip(predicted, frames, true, strict=True):
        shared = overlaps(own, truth)
        free = np.ones(len(truth), bool)
        for row, box in zip(shared, boxes, strict=True):
            best = int(np.argmax(np.where(free, row, -1.0))) if len(truth) else -1
            hit = best >= 0 and bool(free[best]) and row[best] >= HIT
            if hit:
                free[best] = False
            marks.append((box.score, hit))
    total = sum(len(truth) for truth in true)
    marks.sort(key=lambda mark: -mark[0])
    hits = np.cumsum([hit for _, hit in marks]) if marks else np.zeros(0)
    false = np.cumsum([not hit for _, hit in marks]) if marks else np.zeros(0)
    found = {}
    for limit in ALARMS:
        allowed = hits[false <= limit * len(true)]
        found[limit] = float(allowed[-1] / total) if len(allowed) and total else 0.0
    return found


def best_fixed(true: Sequence[Sequence[Frame]]) -> tuple[Box, ...]:
    """Return boxes that do not depend on the image: the median box of each half of the picture.

    One or both halves are used, whichever has the higher mean precision on these images.
    """
    halves: list[list[Frame]] = [[], []]
    for truth in true:
        for box in truth:
            halves[int(box[0] + box[2] / 2 >= 0.5)].append(box)
    medians = [np.median(np.array(half), axis=0) for half in halves if half]
    single = [(float(m[0]), float(m[1]), float(m[2]), float(m[3])) for m in medians]
    choices = [single, *([one] for one in single)]
    positive = [truth for truth in true if truth]
    score: Callable[[list[Frame]], float] = lambda boxes: float(  # noqa: E731
        np.mean([image_precision(boxes, truth) for truth in positive])
    )
    chosen = max((choice for choice in choices if choice), key=score, default=[])
    return tuple(Box(*frame, 1.0) for frame in chosen)


def _mean_of(values: Floats) -> Callable[[Floats], Floats]:
    members = np.isfinite(values)
    counted = np.where(members, values, 0.0)

    def mean(weights: Floats) -> Floats:
        total = weights @ members.astype(np.float64)
        found: Floats = np.divide(
            weights @ counted, total, out=np.full(len(total), np.nan), where=total > 0
        )
        return found

    return mean
