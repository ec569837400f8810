"""Robustness of the ranking to degraded pictures."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from io import BytesIO

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from nanoray.detecting.model_file import ModelCard
from nanoray.evaluating.metrics import auroc
from nanoray.evaluating.resampling import Interval, Resampling, interval
from nanoray.evaluating.scores import Scores, judge, run
from nanoray.evaluating.stress import PARTS, grey_out
from nanoray.reading.resize import letterbox

SIDE = 512
"""Longer side in pixels of the degraded pictures, before they are fitted to a model."""

Picture = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Change:
    """A degradation of a picture, with its level.

    Attributes:
        kind: "exposure", "noise", "blur", "JPEG", "resolution", or a part that is greyed out.
        level, unit: of the degradation; None and "" for a part.
    """

    kind: str
    level: float | None
    unit: str

    @property
    def name(self) -> str:
        """Label for tables, for example "blur 2 px"."""
        return self.kind if self.level is None else f"{self.kind} {self.level:g} {self.unit}"


CHANGES = (
    *(Change("exposure", level, "gamma") for level in (0.5, 0.7, 1.5, 2.0)),
    *(Change("noise", level, "of full scale") for level in (0.02, 0.05, 0.1)),
    *(Change("blur", level, "px") for level in (1, 2, 4)),
    *(Change("JPEG", level, "quality") for level in (50, 20, 10)),
    *(Change("resolution", level, "px") for level in (256, 128, 64)),
)
STRESSES = tuple(Change(part, None, "") for part in PARTS)
"""Parts that are greyed out; see `nanoray.evaluating.stress`."""


@dataclass(frozen=True, slots=True)
class RobustnessResult:
    """One model under one change, on the images of the sample.

    Attributes:
        change: None for the unchanged pictures.
        auroc: of the changed pictures.
        loss: AUROC of the unchanged pictures minus `auroc`, paired.
        moved: mean absolute change of the logit.
        decisions_changed: share of images with another decision than unchanged.
        refused: share of abstentions.
    """

    change: Change | None
    auroc: Interval
    loss: Interval
    moved: float
    decisions_changed: float
    refused: float


def worsen(picture: Picture, change: Change, rng: np.random.Generator) -> Picture:
    """Apply a change to a radiograph, uint8 [h, w]."""
    if change.level is None:
        return grey_out(picture, change.kind)
    return _WAYS[change.kind](picture, change.level, rng)


def _exposure(picture: Picture, gamma: float, rng: np.random.Generator) -> Picture:
    table = np.rint(255 * (np.arange(256) / 255) ** gamma).astype(np.uint8)
    return table[picture]


def _noise(picture: Picture, sigma: float, rng: np.random.Generator) -> Picture:
    noise = rng.standard_normal(picture.shape, np.float32) * (255 * sigma)
    # Not to 0, which means padding.
    return np.clip(np.rint(picture + noise), 1, 255).astype(np.uint8)


def _blur(picture: Picture, sigma: float, rng: np.random.Generator) -> Picture:
    return np.asarray(Image.fromarray(picture).filter(ImageFilter.GaussianBlur(sigma)))


def _jpeg(picture: Picture, quality: float, rng: np.random.Generator) -> Picture:
    buffer = BytesIO()
    Image.fromarray(picture).save(buffer, "JPEG", quality=int(quality))
    return np.asarray(Image.open(buffer))


def _resolution(picture: Picture, side: float, rng: np.random.Generator) -> Picture:
    rows, columns = picture.shape
    scale = side / max(rows, columns)
    small = Image.fromarray(picture).resize(
        (max(1, round(columns * scale)), max(1, round(rows * scale))), Image.Resampling.BILINEAR
    )
    return np.asarray(small.resize((columns, rows), Image.Resampling.BILINEAR))


_WAYS: dict[str, Callable[[Picture, float, np.random.Generator], Picture]] = {
    "exposure": _exposure,
    "noise": _noise,
    "blur": _blur,
    "JPEG": _jpeg,
    "resolution": _resolution,
}


def measure_robustness(
    models: Sequence[tuple[onnxruntime.InferenceSession, ModelCard]],
    pictures: Sequence[Picture],
    targets: NDArray[np.integer],
    views: Sequence[str | None],
    resampling: Resampling,
    *,
    changes: Sequence[Change] = CHANGES,
    seed: int = 0,
) -> Iterator[list[RobustnessResult]]:
    """Evaluate every model under every change; yield the results, unchanged first.

    Args:
        pictures: radiographs without padding, uint8 [h, w], the longer side `SIDE` or less.
        views: of the radiographs, for `nanoray.evaluating.scores.judge`.
    """
    sizes = {card.input_size for _, card in models}
    clean: list[Scores] = []
    for number, change in enumerate((None, *changes)):
        squares = {size: np.zeros((len(pictures), size, size), np.uint8) for size in sizes}
        for index, picture in enumerate(pictures):
            rng = np.random.default_rng((seed, number, index))
            changed = picture if change is None else worsen(picture, change, rng)
            for size in sizes:
                square, _ = letterbox(changed.astype(np.float32) / np.float32(255), size)
                squares[size][index] = np.rint(square * 255)
        scores = [run(session, squares[card.input_size]) for session, card in models]
        clean = clean or scores
        yield [
            _compare(change, before, after, card, targets, views, resampling)
            for before, after, (_, card) in zip(clean, scores, models, strict=True)
        ]


def _compare(
    change: Change | None,
    before: Scores,
    after: Scores,
    card: ModelCard,
    targets: NDArray[np.integer],
    views: Sequence[str | None],
    resampling: Resampling,
) -> RobustnessResult:
    calls = [
        judge(scores.logits, card, views).calls[card.default_operating_point]
        for scores in (before, after)
    ]
    area = resampling.interval(lambda w: auroc(after.logits, targets, w))
    ones = np.ones((1, len(targets)))
    unchanged = float(auroc(before.logits, targets, ones)[0])
    draws = resampling.values(
        lambda w: auroc(before.logits, targets, w) - auroc(after.logits, targets, w)
    )
    return RobustnessResult(
        change,
        area,
        interval(unchanged - area[0], draws),
        float(np.mean(np.abs(after.logits - before.logits))),
        float(np.mean(calls[0] != calls[1])),
        float(np.mean(after.novelty > card.novelty_limit)),
    )
