"""Reading one radiograph from a PNG, JPEG or TIFF file."""

from __future__ import annotations

import io
import struct
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from nanoray.reading import greyscale, limits
from nanoray.reading.radiograph import Facts, Grey, Radiograph, Samples
from nanoray.reading.refusals import Refusal

Stored = NDArray[Any]

_ORIENTATION: Final = 0x0112
_BITS_PER_SAMPLE: Final = 258
_PHOTOMETRIC: Final = 262
_DEEP_MODES: Final = ("I", "F", "I;16", "I;16B", "I;16L", "I;16N")


def raster_format(data: bytes) -> str | None:
    """ "PNG", "JPEG" or "TIFF" by the file's first bytes; None for anything else."""
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "PNG"
    if data.startswith(b"\xff\xd8\xff"):
        return "JPEG"
    if data[:4] in (b"II*\x00", b"MM\x00*", b"II+\x00", b"MM\x00+"):
        return "TIFF"
    return None


def reduced_scale(rows: int, columns: int, min_side: int) -> int:
    """Largest of 8, 4, 2, 1 by which a frame can shrink and keep a longer side of 2 x min_side."""
    longer = max(rows, columns)
    for scale in (8, 4, 2):
        if longer // scale >= 2 * min_side and min(rows, columns) >= scale:
            return scale
    return 1


def load_reduced(image: Image.Image, scale: int) -> Image.Image:
    """Decode an image, a JPEG or JPEG 2000 at 1/`scale` of its size.

    The decoder rounds sizes up. A last row or column that lies mostly outside the image is cut
    off, which keeps the proportions to half a pixel.
    """
    if scale == 1:
        _load(image)
        return image
    columns, rows = image.size
    if image.format == "JPEG2000":
        image.reduce = scale.bit_length() - 1  # type: ignore[method-assign, assignment]
    else:
        image.draft(None, (columns // scale, rows // scale))  # type: ignore[arg-type]
    _load(image)
    height, width = (max(1, int(side / scale + 0.5)) for side in (rows, columns))
    box = (0, 0, min(width, image.width), min(height, image.height))
    return image if box[2:] == image.size else image.crop(box)


def read_raster(data: bytes, name: str, min_side: int | None = None) -> Radiograph:
    """Read the radiograph in a PNG, JPEG or TIFF file.

    Args:
        data: the whole file.
        name: the format, as `raster_format` gives it.
        min_side: see `nanoray.reading.read`.

    Raises:
        Refusal: the file holds no single readable image.
    """
    if name == "PNG" and data[12:16] == b"IHDR" and len(data) >= 24:
        # Before Pillow looks: its own limit is far higher.
        _check_size(*struct.unpack_from(">II", data, 16))
    try:
        image = Image.open(io.BytesIO(data), formats=(name,))
    except (MemoryError, RecursionError):
        raise
    except Image.DecompressionBombError:
        raise Refusal("too-many-pixels") from None
    except Exception as error:
        raise Refusal(_text_bomb(error) or "raster-header") from None
    with image:
        _check_size(image.width, image.height)
        if name != "JPEG" and _has_second_page(image):
            raise Refusal("multi-frame")
        rows, columns = image.height, image.width
        bits = _bits(image, data, name)
        inverted = _is_white_zero(image, name)
        scale = 1
        if name == "JPEG" and min_side is not None:
            scale = reduced_scale(rows, columns, min_side)
        loaded = load_reduced(image, scale)
        # Only now: asking a PNG for EXIF data loads it, and an image that failed to load once
        # loads as black the second time.
        turned = _orientation(image)
        if name == "TIFF":
            # Pillow has turned a TIFF by its orientation when it has loaded it.
            turned, rows, columns = 1, image.height, image.width
        try:
            grey, colour = _grey(loaded, bits, inverted)
        except (MemoryError, Refusal):
            raise
        except Exception:
            raise Refusal("raster-mode") from None
    grey = _turn(grey, turned)
    if turned >= 5:
        rows, columns = columns, rows
    return Radiograph(grey, Facts(name, rows, columns, bits, colour=colour))


def _load(image: Image.Image) -> None:
    try:
        image.load()
    except (MemoryError, RecursionError):
        raise
    except Exception as error:
        cut = "truncated" in str(error).lower() or isinstance(error, EOFError)
        code = _text_bomb(error) or ("raster-truncated" if cut else "raster-damaged")
        raise Refusal(code) from None


def _check_size(width: int, height: int) -> None:
    if not width or not height:
        raise Refusal("size-zero")
    if width * height > limits.MAX_PIXELS:
        raise Refusal("too-many-pixels")


def _text_bomb(error: Exception) -> str | None:
    return "metadata-bomb" if "decompressed data too large" in str(error).lower() else None


def _has_second_page(image: Image.Image) -> bool:
    """Whether a TIFF has a second page or a PNG is animated, without counting them all."""
    try:
        if image.format == "PNG":
            return int(getattr(image, "n_frames", 1)) > 1
        image.seek(1)
    except EOFError:
        return False
    except Exception:
        raise Refusal("raster-header") from None
    return True


def _orientation(image: Image.Image) -> int:
    try:
        value = int(image.getexif().get(_ORIENTATION, 1))
    except Exception:
        return 1  # damaged EXIF data says nothing
    return value if 1 <= value <= 8 else 1


def _bits(image: Image.Image, data: bytes, name: str) -> int:
    if name == "PNG":
        return min(data[24], 16)
    if name == "TIFF":
        tag = getattr(image, "tag_v2", {}).get(_BITS_PER_SAMPLE, 1)
        bits = tag[0] if isinstance(tag, tuple) and tag else tag
        return bits if isinstance(bits, int) and 1 <= bits <= 64 else 8
    return 8


def _is_white_zero(image: Image.Image, name: str) -> bool:
    """Whether low values are bright and Pillow leaves them so, as it does for deep TIFF."""
    photometric = getattr(image, "tag_v2", {}).get(_PHOTOMETRIC, 1) if name == "TIFF" else 1
    return photometric == 0 and image.mode in _DEEP_MODES


def _grey(image: Image.Image, bits: int, inverted: bool) -> tuple[Grey, bool]:
    """Grey values [H, W], and whether there is colour; transparent pixels turn black."""
    if image.mode in _DEEP_MODES:
        return greyscale.render(np.asarray(image), bits=max(bits, 9), inverted=inverted), False
    if image.mode == "1":
        return np.asarray(image).astype(np.float32), False
    if image.mode == "L" and "transparency" not in image.info:
        return Samples(np.asarray(image), None), False
    if image.mode in ("LA", "La", "RGBA", "RGBa", "PA") or "transparency" in image.info:
        channels = np.asarray(image.convert("RGBA"))
        grey, colour = greyscale.luma(channels, 255.0)
        grey *= channels[..., 3].astype(np.float32) / np.float32(255)
        return grey, colour
    if image.mode == "YCbCr":
        return greyscale.luma_of_ybr(np.asarray(image), 255.0)
    return greyscale.luma(np.asarray(image.convert("RGB")), 255.0)


def _turn(grey: Grey, orientation: int) -> Grey:
    """Apply an EXIF orientation (Exif 2.32, tag 0x0112)."""
    if isinstance(grey, Samples):
        return Samples(_turned(grey.stored, orientation), grey.curve)
    return _turned(grey, orientation)


def _turned(pixels: Stored, orientation: int) -> Stored:
    if orientation >= 5:
        pixels = pixels.T
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    return np.ascontiguousarray(pixels)
