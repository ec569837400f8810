"""Grey JPEG files that Pillow does not decode: of 12 bits, lossless, and JPEG-LS."""

from __future__ import annotations

import struct
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from nanoray.reading import codestream, limits
from nanoray.reading.refusals import Refusal

_ORIENTATION: Final = 0x0112
_APP0, _APP1 = 0xE0, 0xE1
_MARKERS: Final = frozenset((0xC1, 0xC2, 0xC3, 0xF7))
"""Starts of frames: sequential and progressive of 12 bits, lossless (T.81), JPEG-LS (T.87)."""


class DeepJpeg(NamedTuple):
    """A decoded file: its samples [H, W], their bits, EXIF orientation and height by width."""

    stored: NDArray[Any]
    bits: int
    orientation: int
    aspect: float | None


def read_deep_jpeg(data: bytes) -> DeepJpeg:
    """Decode a grey JPEG file of another kind than baseline and progressive of 8 bits.

    Raises:
        Refusal: it is of an unsupported kind, damaged, or pixels are missing.
    """
    layout = codestream.jpeg_layout(data)
    if layout is None or layout.marker not in _MARKERS:
        raise Refusal("raster-header")
    if not layout.rows or not layout.columns:
        raise Refusal("size-zero")
    if layout.rows * layout.columns > limits.MAX_PIXELS:
        raise Refusal("too-many-pixels")
    if layout.samples != 1 or not 2 <= layout.precision <= 16:
        raise Refusal("raster-mode")
    cut = codestream.cut(data, jpeg=True)
    if cut is None:
        raise Refusal("raster-truncated")
    found, ended = bytes(cut[0]), cut[1]
    decoded = [_decoded(each) for each in ([found] if ended else codestream.completions(found))]
    if not decoded or any(not np.array_equal(decoded[0], other) for other in decoded[1:]):
        raise Refusal("raster-truncated")
    if decoded[0].shape != (layout.rows, layout.columns):
        raise Refusal("raster-damaged")
    return DeepJpeg(decoded[0], layout.precision, _orientation(data), _aspect(data))


def _decoded(data: bytes) -> NDArray[Any]:
    from libjpeg.utils import decode

    try:
        stored: NDArray[Any] = decode(codestream.sequential(data))
    except MemoryError:
        raise
    except Exception:
        raise Refusal("raster-damaged") from None
    return stored


def _orientation(data: bytes) -> int:
    for marker, content in codestream.jpeg_segments(data):
        if marker == _APP1 and content.startswith(b"Exif\0\0"):
            exif = Image.Exif()
            try:
                exif.load(content)
                value = int(exif.get(_ORIENTATION, 1))
            except Exception:
                return 1  # damaged EXIF data is ignored
            return value if 1 <= value <= 8 else 1
    return 1


def _aspect(data: bytes) -> float | None:
    """Return height by width of a pixel, by the density in the JFIF segment (T.871)."""
    for marker, content in codestream.jpeg_segments(data):
        if marker == _APP0 and content.startswith(b"JFIF") and len(content) >= 12:
            across, down = struct.unpack_from(">HH", content, 8)
            return across / down if down else None
    return None
