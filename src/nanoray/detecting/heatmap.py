"""Heat maps: cropping the class-activation map, and drawing it over a radiograph."""

from __future__ import annotations

import os
from io import BytesIO
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter, ImageFont
from PIL.PngImagePlugin import PngInfo

from nanoray.detecting.model_file import NOTICE
from nanoray.reading.borders import Crop
from nanoray.reading.resize import Placement

CAPTION: Final = "Research use only"

# Orange differs from grey also with impaired colour vision (Okabe and Ito 2008).
COLOUR: Final = (255, 159, 28)
_HALO: Final = (20, 12, 0)
TINT: Final = 0.16
"""Opacity of the area inside the outline, low enough to keep the radiograph visible."""
LINE: Final = 300
"""The outline is one 300th of the shorter side wide, and at least one pixel."""


def in_frame(local: NDArray[np.float32], part: Crop | None) -> NDArray[np.float32]:
    """Extend the map [h, w] of a part to the whole picture, float32 [H, W]; 0 elsewhere.

    Cells keep their size, so the position of the part is accurate to half a cell.
    """
    if part is None:
        return local
    rows, columns = local.shape
    whole = np.zeros(
        (max(rows, round(rows / part.height)), max(columns, round(columns / part.width))),
        np.float32,
    )
    top = min(round(part.top * whole.shape[0]), whole.shape[0] - rows)
    left = min(round(part.left * whole.shape[1]), whole.shape[1] - columns)
    whole[top : top + rows, left : left + columns] = local
    return whole


def crop(activation: NDArray[np.float32], place: Placement) -> NDArray[np.float32]:
    """Crop a float32 [h, w] map over the square input to the radiograph.

    If the radiograph ends at cell borders, cells are copied. Otherwise the map is resampled
    bilinearly, so that the result covers the radiograph exactly, edge to edge.
    """
    rows, columns = activation.shape
    top, left = place.top * rows / place.size, place.left * columns / place.size
    height, width = place.height * rows / place.size, place.width * columns / place.size
    shape = max(1, round(height)), max(1, round(width))
    if (height, width) == (rows, columns):
        return activation
    return np.asarray(
        Image.fromarray(np.ascontiguousarray(activation, np.float32)).resize(
            (shape[1], shape[0]),
            Image.Resampling.BILINEAR,
            box=(left, top, left + width, top + height),
        ),
        np.float32,
    )


def enlarge(heatmap: NDArray[np.float32], rows: int, columns: int) -> NDArray[np.float32]:
    """Enlarge a float32 [h, w] map in 0..1 bicubically to float32 [rows, columns] in 0..1."""
    image = Image.fromarray(np.ascontiguousarray(heatmap, np.float32))
    large = np.asarray(image.resize((columns, rows), Image.Resampling.BICUBIC), np.float32)
    return np.clip(large, 0.0, 1.0)


def layer(
    heatmap: NDArray[np.float32], rows: int, columns: int, threshold: float = 0.5
) -> NDArray[np.uint8]:
    """Draw the area of evidence above a threshold: an outline and a light tint.

    The map shows the evidence for the probability. Colours over both lungs would hide the
    radiograph, so nothing is drawn outside the outline.

    Args:
        heatmap: float32 [h, w] in 0..1, of any size, covering the picture edge to edge.
        threshold: of the decision.

    Returns:
        uint8 [rows, columns, 4], RGBA; fully transparent if no cell reaches the threshold.
    """
    inside = enlarge(heatmap, rows, columns) >= threshold
    width = max(1, round(min(rows, columns) / LINE))
    line = inside & ~_eroded(inside, width)
    halo = _grown(inside, width) & ~inside
    drawn = np.zeros((rows, columns, 4), np.uint8)
    drawn[inside] = (*COLOUR, round(255 * TINT))
    drawn[halo] = (*_HALO, 110)
    drawn[line] = (*COLOUR, 235)
    return drawn


def _eroded(mask: NDArray[np.bool_], width: int) -> NDArray[np.bool_]:
    image = Image.fromarray(mask.astype(np.uint8) * 255)
    return np.asarray(image.filter(ImageFilter.MinFilter(2 * width + 1))) > 0


def _grown(mask: NDArray[np.bool_], width: int) -> NDArray[np.bool_]:
    image = Image.fromarray(mask.astype(np.uint8) * 255)
    return np.asarray(image.filter(ImageFilter.MaxFilter(2 * width + 1))) > 0


def legend(heatmap: NDArray[np.float32], threshold: float = 0.5) -> str:
    """Return a legend for a drawn map."""
    if evident(heatmap, threshold):
        return f"Outline: local evidence of {threshold:.2f} or more"
    return f"No area with local evidence of {threshold:.2f}"


def evident(heatmap: NDArray[np.float32], threshold: float = 0.5) -> bool:
    """Return whether any part of a map reaches the threshold."""
    return bool(np.max(heatmap, initial=0.0) >= threshold)


def overlay(
    picture: NDArray[np.uint8] | NDArray[np.float32],
    heatmap: NDArray[np.float32],
    threshold: float = 0.5,
) -> NDArray[np.uint8]:
    """Draw a radiograph under its map, with legend and "Research use only" in the picture.

    Args:
        picture: [H, W], uint8 or float32 in 0..1.
        heatmap: float32 [h, w] in 0..1, covering the picture edge to edge.
        threshold: of the decision; see `layer`.

    Returns:
        uint8 [H, W, 3], RGB.
    """
    grey = picture.astype(np.float32)
    if picture.dtype != np.uint8:
        grey = np.clip(grey, 0.0, 1.0) * 255.0
    rows, columns = grey.shape
    drawn = layer(heatmap, rows, columns, threshold)
    alpha = drawn[..., 3:].astype(np.float32) / 255.0
    blended = (1.0 - alpha) * grey[..., None] + alpha * drawn[..., :3]
    image = Image.fromarray(blended.round().astype(np.uint8))
    return np.asarray(caption(image, legend(heatmap, threshold)), np.uint8)


def caption(image: Image.Image, legend: str = "") -> Image.Image:
    """Write "Research use only", and a legend above it, into the lower left corner."""
    image = image.copy()
    white: int | tuple[int, ...] = 255 if image.mode == "L" else (255, 255, 255)
    black: int | tuple[int, ...] = 0 if image.mode == "L" else (0, 0, 0)
    size = max(8, round(min(image.size) / 32))
    font = ImageFont.load_default(size)
    draw = ImageDraw.Draw(image)
    lines = [(CAPTION, white)]
    if legend:
        lines.append((legend, white if image.mode == "L" else COLOUR))
    for number, (words, colour) in enumerate(lines):
        left, _, right, _ = draw.textbbox((0, 0), words, font=font)
        if right - left > image.width - size:
            # Too narrow for legible words: the notice is only in the file's metadata.
            continue
        draw.text(
            (size // 2, image.height - size // 2 - number * round(1.35 * size)),
            words,
            anchor="ls",
            font=font,
            fill=colour,
            stroke_width=max(1, size // 10),
            stroke_fill=black,
        )
    return image


def png(pixels: NDArray[np.uint8]) -> bytes:
    """Encode a picture, uint8 [H, W], [H, W, 3] or [H, W, 4], as a PNG with the notice."""
    notice = PngInfo()
    notice.add_text("Comment", NOTICE)
    buffer = BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", pnginfo=notice)
    return buffer.getvalue()


def write_png(path: str | os.PathLike[str], pixels: NDArray[np.uint8]) -> None:
    """Write a picture, uint8 [H, W] or [H, W, 3], as a PNG with the notice."""
    Path(path).write_bytes(png(pixels))
