"""Heat maps: cropping the class-activation map, colouring it and laying it over a radiograph."""

from __future__ import annotations

import os
from io import BytesIO
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from PIL.PngImagePlugin import PngInfo

from nanoray.detecting.model_file import NOTICE
from nanoray.reading.resize import Placement

CAPTION: Final = "Research use only"

# Lightness rises evenly from black to pale yellow, so that the map also reads in grey and with
# impaired colour vision; control points after "inferno" (S. van der Walt and N. Smith, CC0).
_STOPS = np.array(
    [
        (0, 0, 4),
        (31, 12, 72),
        (85, 15, 109),
        (136, 34, 106),
        (186, 54, 85),
        (227, 89, 51),
        (249, 140, 10),
        (249, 201, 50),
        (252, 255, 164),
    ],
    np.float32,
)
_POSITIONS = np.linspace(0.0, 1.0, len(_STOPS), dtype=np.float32)

# A value below _CLEAR leaves the radiograph as it is; from _FULL on the colour is at its strongest.
_CLEAR, _FULL, _STRONGEST = 0.05, 0.6, 0.6


def crop(activation: NDArray[np.float32], place: Placement) -> NDArray[np.float32]:
    """The part of a float32 [h, w] map over the square input that lies over the radiograph.

    Whole cells stay as they are; where the radiograph's edge falls within a cell, the map is
    resampled bilinearly so that the result covers the radiograph exactly, edge to edge.
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
    """Bicubic enlargement of a float32 [h, w] map in 0..1 to float32 [rows, columns] in 0..1."""
    image = Image.fromarray(np.ascontiguousarray(heatmap, np.float32))
    large = np.asarray(image.resize((columns, rows), Image.Resampling.BICUBIC), np.float32)
    return np.clip(large, 0.0, 1.0)


def colours(values: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Colours of values in 0..1: uint8 [..., 3], RGB."""
    channels = [np.interp(values, _POSITIONS, _STOPS[:, channel]) for channel in range(3)]
    rgb: NDArray[np.uint8] = np.stack(channels, axis=-1).round().astype(np.uint8)
    return rgb


def opacity(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """How strongly a value in 0..1 covers the radiograph: float32 in 0..1, rising with it."""
    step = np.clip((values - _CLEAR) / (_FULL - _CLEAR), 0.0, 1.0)
    smooth: NDArray[np.float32] = _STRONGEST * step * step * (3.0 - 2.0 * step)
    return smooth.astype(np.float32)


def layer(heatmap: NDArray[np.float32], rows: int, columns: int) -> NDArray[np.uint8]:
    """The coloured map alone, for laying over a picture: uint8 [rows, columns, 4], RGBA."""
    values = enlarge(heatmap, rows, columns)
    alpha = (opacity(values) * 255.0).round().astype(np.uint8)
    return np.concatenate([colours(values), alpha[..., None]], axis=-1)


def overlay(
    picture: NDArray[np.uint8] | NDArray[np.float32], heatmap: NDArray[np.float32]
) -> NDArray[np.uint8]:
    """A radiograph under its heat map, with the caption "Research use only" in the picture.

    Args:
        picture: [H, W], uint8 or float32 in 0..1.
        heatmap: float32 [h, w] in 0..1, covering the picture edge to edge.

    Returns:
        uint8 [H, W, 3], RGB.
    """
    grey = picture.astype(np.float32)
    if picture.dtype != np.uint8:
        grey = np.clip(grey, 0.0, 1.0) * 255.0
    values = enlarge(heatmap, *grey.shape)
    alpha = opacity(values)[..., None]
    blended = (1.0 - alpha) * grey[..., None] + alpha * colours(values)
    image = Image.fromarray(blended.round().astype(np.uint8))
    return np.asarray(caption(image), np.uint8)


def caption(image: Image.Image) -> Image.Image:
    """The image with a small "Research use only" in its lower left corner."""
    image = image.copy()
    white: int | tuple[int, ...] = 255 if image.mode == "L" else (255, 255, 255)
    black: int | tuple[int, ...] = 0 if image.mode == "L" else (0, 0, 0)
    size = max(8, round(min(image.size) / 32))
    font = ImageFont.load_default(size)
    draw = ImageDraw.Draw(image)
    left, _, right, _ = draw.textbbox((0, 0), CAPTION, font=font)
    if right - left > image.width:
        # Too narrow for words that can be read: the notice stays in the file's metadata.
        return image
    draw.text(
        (size // 2, image.height - size // 2),
        CAPTION,
        anchor="ls",
        font=font,
        fill=white,
        stroke_width=max(1, size // 10),
        stroke_fill=black,
    )
    return image


def png(pixels: NDArray[np.uint8]) -> bytes:
    """A picture, uint8 [H, W], [H, W, 3] or [H, W, 4], as a PNG that carries the notice."""
    notice = PngInfo()
    notice.add_text("Comment", NOTICE)
    buffer = BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", pnginfo=notice)
    return buffer.getvalue()


def write_png(path: str | os.PathLike[str], pixels: NDArray[np.uint8]) -> None:
    """Write a picture, uint8 [H, W] or [H, W, 3], as a PNG that carries the notice."""
    Path(path).write_bytes(png(pixels))
