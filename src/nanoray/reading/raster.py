"""Reading one radiograph from a PNG, JPEG, TIFF, JPEG 2000, WebP, AVIF or HEIF file."""

from __future__ import annotations

import io
import itertools
import struct
from collections.abc import Iterator
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile

from nanoray.reading import codestream, deep_jpeg, geometry, greyscale, limits, png_chunks, tiff
from nanoray.reading.file_kind import Raster
from nanoray.reading.radiograph import Facts, Grey, Radiograph, Samples
from nanoray.reading.refusals import Refusal
from nanoray.reading.steps import Step, Steps

_ORIENTATION: Final = 0x0112
_BITS_PER_SAMPLE: Final = 258
_PHOTOMETRIC: Final = 262
_PILLOW: Final = {"JPEG 2000": "JPEG2000", "WebP": "WEBP"}
_DEEP_MODES: Final = ("I", "F", "I;16", "I;16B", "I;16L", "I;16N")


# Low-pass samples of wavelets are sharper than means of pixels, which shows in small squares. With
# twice the side of the square the packaged file's probability moved by up to 0.008, with 2.4 times
# by up to 0.005, as far as by random changes of 0.0001 (benchmarks/jpeg2000_levels.py).
JPEG2000_MARGIN: Final = 2.4


def reduced_scale(rows: int, columns: int, min_side: int, margin: float = 2) -> int:
    """Return the largest of 8, 4, 2, 1 by which a frame can shrink above `margin * min_side`.

    Args:
        margin: factor on `min_side` for the longer side.
    """
    longer = max(rows, columns)
    for scale in (8, 4, 2):
        if longer // scale >= margin * min_side and min(rows, columns) >= scale:
            return scale
    return 1


def reduced_size(rows: int, columns: int, scale: int) -> tuple[int, int]:
    """Return the size of a frame at 1/`scale`, rounded to the nearest."""
    return max(1, int(rows / scale + 0.5)), max(1, int(columns / scale + 0.5))


def load_reduced(image: Image.Image, scale: int) -> Image.Image:
    """Decode an image, a JPEG at 1/`scale` of its size.

    The decoder rounds sizes up. A last row or column mostly outside the image is cut off, which
    preserves the proportions to half a pixel.
    """
    if scale == 1:
        _load(image)
        return image
    columns, rows = image.size
    image.draft(None, (columns // scale, rows // scale))  # type: ignore[arg-type]
    _load(image)
    height, width = reduced_size(rows, columns, scale)
    box = (0, 0, min(width, image.width), min(height, image.height))
    return image if box[2:] == image.size else image.crop(box)


def load_levels(image: Image.Image, scale: int) -> Image.Image:
    """Decode a JPEG 2000 image from the wavelet levels for 1/`scale` of its size, rounded up.

    Pillow's `reduce` rounds the size to the nearest; its decoder then refuses sizes that the
    standard rounds up (T.800 B.5). Therefore the size is set here.
    """
    columns, rows = (-(-side // scale) for side in image.size)
    assert isinstance(image, ImageFile.ImageFile)
    (tile,) = image.tile
    assert isinstance(tile.args, tuple)
    arguments = (tile.args[0], scale.bit_length() - 1, *tile.args[2:])
    image._size = (columns, rows)
    image.tile = [tile._replace(extents=(0, 0, columns, rows), args=arguments)]
    _load(image)
    return image


def centred(low: NDArray[Any], scale: int, height: int, width: int) -> NDArray[Any]:
    """Move wavelet low-pass samples [h, w] or [h, w, 3] to the sample positions of a resized image.

    The sample k is at the pixel k x scale (T.800 F.3), not in the middle of the pixels that it
    replaces; linear interpolation moves it there. On an odd side the last sample represents one
    pixel, so the samples of a resized image are closer together. Without this correction a logit
    moved by 0.02.

    Args:
        height, width: of the whole image.
    """
    moved = _moved(low.astype(np.float32), scale, height).swapaxes(0, 1)
    moved = _moved(moved, scale, width).swapaxes(0, 1)
    rounded: NDArray[Any] = np.ascontiguousarray(np.rint(moved).astype(low.dtype))
    return rounded


def _moved(low: NDArray[np.float32], scale: int, side: int) -> NDArray[np.float32]:
    """Interpolate rows at the middles of `len(low)` equal parts of `side` rows."""
    count = len(low)
    place = ((np.arange(count) + 0.5) * side / count - 0.5) / scale
    before = np.clip(place.astype(int), 0, max(count - 2, 0))
    after = np.minimum(before + 1, count - 1)
    share = (place - before).astype(np.float32).clip(0, 1)
    share = share.reshape(-1, *[1] * (low.ndim - 1))
    moved: NDArray[np.float32] = low[before] + share * (low[after] - low[before])
    return moved


def read_raster(data: bytes, name: Raster, min_side: int | None = None) -> Radiograph:
    """Read the radiograph in a file of one of the raster formats.

    Args:
        data: the whole file.
        name: the format, from `nanoray.reading.file_kind.kind_of`.
        min_side: see `nanoray.reading.read`.

    Raises:
        Refusal: the file does not contain a single readable image.
    """
    if name == "PNG" and data[12:16] == b"IHDR" and len(data) >= 24:
        # Before Pillow opens the file: its limit is far higher.
        _check_size(*struct.unpack_from(">II", data, 16))
    steps: Steps = []
    try:
        image = _open(data, name)
    except Refusal as refusal:
        if name not in ("TIFF", "JPEG", "PNG") or refusal.code != "raster-header":
            raise
        if name != "PNG":
            return _read_tiff(data, steps) if name == "TIFF" else _read_deep_jpeg(data, steps)
        data = png_chunks.with_checksums(data)
        image = _open(data, name)
    with image:
        _check_size(image.width, image.height)
        _seek_image(image, name)
        if name == "TIFF" and tiff.misread(getattr(image, "tag_v2", {})):
            return _read_tiff(data, steps)
        rows, columns = image.height, image.width
        bits = _bits(image, data, name)
        inverted = _is_white_zero(image, name)
        # Pillow turns TIFF images while it loads them; some versions exchange the sides before.
        exchanged = name == "TIFF" and geometry.swaps(_orientation(image))
        scale = 1
        if min_side is not None and name in ("JPEG", "JPEG 2000"):
            margin = 2 if name == "JPEG" else JPEG2000_MARGIN
            scale = reduced_scale(rows, columns, min_side, margin)
        deep = _deep(image, data, name, bits)
        loaded = _loaded(image, data, scale) if deep is None else image
        if name == "PNG" and not _ends_with_pixels(image) and not png_chunks.has_all_rows(data):
            raise Refusal("raster-truncated")
        # Only now: reading the EXIF data of a PNG loads it, and an image loads as black after a
        # failure. Decoders that turn the image by themselves, as those of TIFF and HEIF, remove the
        # orientation.
        turned = _orientation(image)
        aspect = geometry.believed(_aspect(image, name))
        if exchanged:
            rows, columns, aspect = image.height, image.width, 1 / aspect
        try:
            if deep is None:
                grey, colour = _grey(loaded, bits, inverted)
            else:
                grey, colour = _deep_grey(deep, image.info.get("transparency"))
        except (MemoryError, Refusal):
            raise
        except Exception:
            raise Refusal("raster-mode") from None
    facts = Facts(name, rows, columns, bits, colour=colour)
    return _finished(grey, facts, turned, aspect, inverted, steps)


def _open(data: bytes, name: Raster) -> Image.Image:
    if name == "HEIF":
        try:
            import pillow_heif
        except ImportError:
            raise Refusal("heif") from None
        pillow_heif.register_heif_opener()
    try:
        return Image.open(io.BytesIO(data), formats=(_PILLOW.get(name, name),))
    except (MemoryError, RecursionError):
        raise
    except Image.DecompressionBombError:
        raise Refusal("too-many-pixels") from None
    except Exception as error:
        raise Refusal(_text_bomb(error) or "raster-header") from None


def _loaded(image: Image.Image, data: bytes, scale: int) -> Image.Image:
    if image.format == "JPEG":
        try:
            return load_reduced(image, scale)
        except Refusal as refusal:
            if refusal.code != "raster-truncated":
                raise
        return _without_end(data, scale)
    if image.format != "JPEG2000" or scale == 1:
        return load_reduced(image, scale)
    levels = codestream.jpeg2000_levels(data)
    scale = min(scale, 1 << levels)
    if scale == 1 or image.mode not in ("L", "I;16", "RGB"):
        return load_reduced(image, 1)
    width, height = image.size
    low = np.asarray(load_levels(image, scale))
    return Image.fromarray(centred(low, scale, height, width))


def _without_end(data: bytes, scale: int) -> Image.Image:
    """Decode a JPEG file of which only the end marker is missing.

    Raises:
        Refusal: pixels are missing.
    """
    ended = (codestream.cut(data, jpeg=True) or (data, True))[1]
    decoded: list[Image.Image] = []
    for completed in [] if ended else codestream.completions(data):
        with _open(completed, "JPEG") as image:
            decoded.append(load_reduced(image, scale).copy())
    if not decoded or any(decoded[0] != other for other in decoded[1:]):
        raise Refusal("raster-truncated")
    return decoded[0]


_GREY_ALPHA: Final = 4
_DEEP_PNG: Final = (2, _GREY_ALPHA, 6)
"""Colour types of PNG of which Pillow keeps only the high bytes of 16 bits."""


def _deep(image: Image.Image, data: bytes, name: Raster, bits: int) -> NDArray[np.uint16] | None:
    """Decode the samples [H, W, channels] of more than 8 bits that Pillow would cut to 8.

    None if Pillow keeps them.
    """
    if name == "PNG" and bits == 16 and data[25] in _DEEP_PNG:
        return _deep_png(image, data)
    if name != "JPEG 2000" or bits <= 8:
        return None
    layout = codestream.jpeg2000_layout(data)
    if layout is None or layout.samples < 2 or layout.signed:
        return None
    from openjpeg.utils import decode

    try:
        samples: NDArray[np.uint16] = decode(data)
    except MemoryError:
        raise
    except Exception:
        return None
    fits = samples.shape == (layout.rows, layout.columns, layout.samples)
    if not fits or samples.dtype != np.uint16:
        return None
    _load(image)  # refuses a damaged file, which the other decoder returns in part
    return samples


def _deep_png(image: Image.Image, data: bytes) -> NDArray[np.uint16]:
    """Decode the samples [H, W, channels] of a PNG of 16 bits with all bits."""
    if data[25] == _GREY_ALPHA:
        # A pixel has four bytes, as one of red, green, blue and opacity in 8 bits has.
        _unpack_as(image, "RGBA", "RGBA")
        _load(image)
        words: NDArray[np.uint16] = np.asarray(image).view(">u2").astype(np.uint16)
        return words
    _load(image)
    with _open(data, "PNG") as low:
        # As if the low byte came first, so that the decoder keeps the other one.
        _unpack_as(low, low.mode, f"{low.mode};16L")
        _load(low)
        whole: NDArray[np.uint16] = np.asarray(image).astype(np.uint16) << 8 | np.asarray(low)
        return whole


def _unpack_as(image: Image.Image, mode: str, raw_mode: str) -> None:
    """Let Pillow unpack the bytes of an image that is not loaded in another way."""
    assert isinstance(image, ImageFile.ImageFile)
    image._mode = mode
    image.tile = [tile._replace(args=raw_mode) for tile in image.tile]


def _ends_with_pixels(image: Image.Image) -> bool:
    """Return whether the last row of a loaded PNG has content, so that no row can be missing."""
    last = image.crop((0, image.height - 1, image.width, image.height))
    return not image.info.get("interlace") and last.getbbox() is not None


def _read_tiff(data: bytes, steps: Steps) -> Radiograph:
    found = tiff.read_tiff(data)
    facts = Facts("TIFF", found.rows, found.columns, found.bits, colour=found.colour)
    aspect = geometry.believed(found.aspect)
    return _finished(found.grey, facts, found.orientation, aspect, found.inverted, steps)


def _read_deep_jpeg(data: bytes, steps: Steps) -> Radiograph:
    found = deep_jpeg.read_deep_jpeg(data)
    rows, columns = found.stored.shape
    facts = Facts("JPEG", rows, columns, found.bits)
    grey = greyscale.render(found.stored, bits=found.bits)
    aspect = geometry.believed(found.aspect)
    return _finished(grey, facts, found.orientation, aspect, False, steps)


def _finished(
    grey: Grey, facts: Facts, turned: int, aspect: float, inverted: bool, steps: Steps
) -> Radiograph:
    """Return the radiograph turned upright and resampled to square pixels."""
    grey = geometry.turned(grey, turned)
    facts = geometry.turned_facts(facts, turned)
    if geometry.swaps(turned):
        aspect = 1 / aspect
    size = f"{facts.columns} x {facts.rows} pixels"
    steps.append(Step("file", f"{facts.format}, {size}, {facts.bits_stored} bits"))
    if inverted:
        steps.append(Step("photometric", "low values are bright: inverted"))
    if turned != 1:
        steps.append(Step("orientation", f"{geometry.TURNS[turned]}, by the EXIF orientation"))
    if aspect != 1:
        steps.append(Step("aspect", f"pixels are {aspect:.3g} times as high as wide: squared"))
        grey = geometry.squared(grey, aspect)
    return Radiograph(grey, facts, tuple(steps))


def _aspect(image: Image.Image, name: Raster) -> float | None:
    """Return height by width of a pixel, from the densities of a PNG, JPEG or TIFF."""
    try:
        if name == "PNG":
            across, down = image.info.get("aspect") or image.info["dpi"]
        elif name == "JPEG":
            across, down = image.info["jfif_density"]
        elif name == "TIFF":
            tags = image.tag_v2  # type: ignore[attr-defined]
            across, down = float(tags[282]), float(tags[283])
        else:
            return None
        return float(across) / float(down)
    except Exception:
        return None


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


def _seek_image(image: Image.Image, name: Raster) -> None:
    """Go to the one image of a file.

    Raises:
        Refusal: a TIFF has a second image, or another file is animated.
    """
    try:
        if name == "TIFF":
            image.seek(tiff.image_page(_page_kinds(image)))
            _check_size(image.width, image.height)
        elif name != "JPEG" and int(getattr(image, "n_frames", 1)) > 1:
            raise Refusal("multi-frame")
    except Refusal:
        raise
    except Exception:
        raise Refusal("raster-header") from None


def _page_kinds(image: Image.Image) -> Iterator[int]:
    """Iterate over NewSubfileType of the pages of a TIFF."""
    for number in itertools.count():
        try:
            image.seek(number)
        except EOFError:
            return
        yield int(image.tag_v2.get(254, 0))  # type: ignore[attr-defined]


def _orientation(image: Image.Image) -> int:
    try:
        value = int(image.getexif().get(_ORIENTATION, 1))
    except Exception:
        return 1  # damaged EXIF data is ignored
    return value if 1 <= value <= 8 else 1


def _bits(image: Image.Image, data: bytes, name: Raster) -> int:
    if name == "PNG":
        return min(data[24], 16)
    if name == "JPEG 2000":
        layout = codestream.jpeg2000_layout(data)
        return 8 if layout is None else min(layout.precision, 16)
    if name == "TIFF":
        tag = getattr(image, "tag_v2", {}).get(_BITS_PER_SAMPLE, 1)
        bits = tag[0] if isinstance(tag, tuple) and tag else tag
        return bits if isinstance(bits, int) and 1 <= bits <= 64 else 8
    return 8


def _is_white_zero(image: Image.Image, name: str) -> bool:
    """Return whether low values are bright and Pillow does not invert them (deep TIFF)."""
    photometric = getattr(image, "tag_v2", {}).get(_PHOTOMETRIC, 1) if name == "TIFF" else 1
    return photometric == 0 and image.mode in _DEEP_MODES


def _grey(image: Image.Image, bits: int, inverted: bool) -> tuple[Grey, bool]:
    """Return grey values [H, W], and whether there is colour; transparent pixels become black."""
    if image.mode in _DEEP_MODES:
        clear = image.info.get("transparency")
        padding = (float(clear), float(clear)) if isinstance(clear, int) else None
        stored, bits = np.asarray(image), max(bits, 9)
        return greyscale.render(stored, bits=bits, inverted=inverted, padding=padding), False
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


def _deep_grey(samples: NDArray[np.uint16], clear: Any) -> tuple[Grey, bool]:
    """Return like `_grey` for samples of up to 16 bits.

    Args:
        samples: [H, W, channels]; the last of 2 or 4 is opacity.
        clear: the colour that means transparency (PNG, tRNS); None without any.
    """
    alpha = None
    if samples.shape[2] in (2, 4):
        alpha = greyscale.opacity(samples[..., -1], 16)
    elif clear is not None:
        alpha = (samples != np.array(clear, np.uint16)).any(axis=2).astype(np.float32)
    if samples.shape[2] == 2:
        grey = np.ascontiguousarray(samples[..., 0])
        return greyscale.render_opaque(grey, bits=16, alpha=alpha), False
    return greyscale.render_colour(samples, 16, alpha)
