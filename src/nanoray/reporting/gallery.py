"""The best and the worst cases of a model, as pictures under their heat maps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from nanoray.datasets.folder import Case
from nanoray.detecting import heatmap
from nanoray.detecting.model_file import NOTICE
from nanoray.evaluating.calibration import sigmoid
from nanoray.evaluating.evaluation import Evaluation, ModelResult, Progress, read_pictures
from nanoray.reading.geometry import Box

COLUMNS = 5
_TILE, _GAP, _LINE = 300, 14, 22
_PAPER, _INK, _QUIET, _BOX = "#ffffff", "#18212c", "#566273", (64, 224, 255)


@dataclass(frozen=True, slots=True)
class _Row:
    title: str
    indices: list[int]


def write_gallery(
    evaluation: Evaluation, model: ModelResult, path: Path, progress: Progress
) -> None:
    """Draw the cases with the highest and lowest probabilities, with the radiologists' boxes.

    File names are omitted, since in public data sets they may identify a patient's image.
    """
    rows = _choose(evaluation, model)
    indices = [index for row in rows for index in row.indices]
    shown = read_pictures([evaluation.cases[i] for i in indices], progress)
    tiles = []
    for index, one in zip(indices, shown, strict=True):
        calibration = model.card.calibration(evaluation.cases[index].view)
        threshold = calibration.operating_point(model.card.default_operating_point).threshold
        cam = model.scores.cam[index] + np.float32(model.card.cam_bias + calibration.shift)
        local = sigmoid(cam / calibration.temperature).astype(np.float32)
        drawn = heatmap.overlay(one.picture, heatmap.crop(local, one.place), threshold)
        case, tile = evaluation.cases[index], Image.fromarray(drawn)
        tiles.append(_tile(tile, one.boxes, case, model.probabilities[index]))
    _sheet(model, rows, tiles).save(path, quality=85, comment=NOTICE.encode())


def _choose(evaluation: Evaluation, model: ModelResult) -> list[_Row]:
    rising = np.argsort(model.probabilities, kind="stable")
    positive = [int(i) for i in rising if evaluation.targets[i] == 1]
    negative = [int(i) for i in rising if evaluation.targets[i] == 0]
    return [
        _Row("Opacity, highest probabilities", positive[::-1][:COLUMNS]),
        _Row("Opacity, lowest probabilities: the worst misses", positive[:COLUMNS]),
        _Row("No opacity, highest probabilities: the worst alarms", negative[::-1][:COLUMNS]),
        _Row("No opacity, lowest probabilities", negative[:COLUMNS]),
    ]


def _tile(
    picture: Image.Image, boxes: Sequence[Box], case: Case, probability: float
) -> Image.Image:
    scale = _TILE / max(picture.size)
    size = (round(picture.width * scale), round(picture.height * scale))
    picture = picture.resize(size, Image.Resampling.LANCZOS)
    pen = ImageDraw.Draw(picture)
    for left, top, width, height in boxes:
        corners = [
            left * size[0],
            top * size[1],
            (left + width) * size[0] - 1,
            (top + height) * size[1] - 1,
        ]
        pen.rectangle(corners, outline=_BOX, width=2)
    tile = Image.new("RGB", (_TILE, _TILE + _LINE), _PAPER)
    tile.paste((0, 0, 0), (0, 0, _TILE, _TILE))
    tile.paste(picture, ((_TILE - size[0]) // 2, (_TILE - size[1]) // 2))
    facts = ", ".join(filter(None, [case.class_name, case.view]))
    _write(tile, (0, _TILE + 4), f"{probability:.3f}  {facts}", 14, _INK)
    return tile


def _sheet(model: ModelResult, rows: Sequence[_Row], tiles: Sequence[Image.Image]) -> Image.Image:
    tall = _TILE + _LINE + 34
    width = COLUMNS * (_TILE + _GAP) + _GAP
    sheet = Image.new("RGB", (width, 52 + tall * len(rows) + 8), _PAPER)
    words = "probability and class below each; boxes by radiologists"
    _write(sheet, (_GAP, 10), f"{model.label}: {words}. {NOTICE}", 15, _QUIET)
    remaining = iter(tiles)
    for number, row in enumerate(rows):
        top = 40 + number * tall
        _write(sheet, (_GAP, top), row.title, 17, _INK)
        for column in range(len(row.indices)):
            sheet.paste(next(remaining), (_GAP + column * (_TILE + _GAP), top + 28))
    return sheet


def _write(image: Image.Image, place: tuple[int, int], text: str, size: int, ink: str) -> None:
    ImageDraw.Draw(image).text(place, text, fill=ink, font=ImageFont.load_default(size))
