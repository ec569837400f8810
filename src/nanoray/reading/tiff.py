"""TIFF files that Pillow misreads or refuses, by tifffile.

These are colour of more than 8 bits, of which Pillow misreads planar samples and keeps only 8 bits
of others, signed 8-bit and unsigned 32-bit samples, grey with alpha in 16 bits, and big-endian
BigTIFF.
"""

from __future__ import annotations

import io
import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from nanoray.reading import greyscale, limits
from nanoray.reading.radiograph import Grey
from nanoray.reading.refusals import Refusal

PAGES: Final = 32
"""Number of pages searched for a second image; a file with more is refused in any case."""
_REDUCED, _MASK = 1, 4  # bits of NewSubfileType (TIFF 6.0)
_ALPHA: Final = (1, 2)  # associated and unassociated, in ExtraSamples (TIFF 6.0); 0 is unspecified


@dataclass(frozen=True, slots=True)
class TiffImage:
    """The image of a TIFF file, for `nanoray.reading.raster`."""

    grey: Grey
    rows: int
    columns: int
    bits: int
    colour: bool
    inverted: bool
    orientation: int
    aspect: float | None


def misread(tags: Any) -> bool:
    """Return whether Pillow would misread a TIFF with these tags (TIFF 6.0), or lose depth."""
    bits = _first(tags.get(258, 1))
    signed = _first(tags.get(339, 1)) == 2
    # Only uncompressed: tifffile has no decoder for LZW and others without a further package.
    deep_colour = bits > 8 and tags.get(277, 1) > 1 and tags.get(259, 1) == 1
    return deep_colour or (signed and bits == 8) or (bits == 32 and _unsigned(tags))


def _unsigned(tags: Any) -> bool:
    return bool(_first(tags.get(339, 1)) == 1)


def _first(value: Any) -> Any:
    return value[0] if isinstance(value, tuple) and value else value


def read_tiff(data: bytes) -> TiffImage:
    """Read the one image of a TIFF file by tifffile.

    Raises:
        Refusal: it is unreadable, or contains more than one image.
    """
    import tifffile

    try:
        with tifffile.TiffFile(io.BytesIO(data)) as file:
            page = file.pages[image_page(_page_kinds(file))]
            rows, columns, samples = page.imagelength, page.imagewidth, page.samplesperpixel
            if not rows or not columns:
                raise Refusal("size-zero")
            if rows * columns > limits.MAX_PIXELS:
                raise Refusal("too-many-pixels")
            if samples > 5 or page.imagedepth != 1:
                raise Refusal("raster-mode")
            tags = {code: page.tags.get(code) for code in (274, 282, 283)}
            stored = _samples_last(page.asarray(), rows, columns, samples)
            photometric, bits = int(page.photometric), int(page.bitspersample)
            extra = [int(kind) for kind in page.extrasamples]
    except (Refusal, MemoryError, RecursionError):
        raise
    except Exception:
        raise Refusal("raster-header") from None
    orientation = tags[274].value if tags[274] is not None else 1
    grey, colour = _grey(stored, photometric, bits, extra)
    return TiffImage(
        grey,
        rows,
        columns,
        min(bits, 64),
        colour,
        photometric == 0,
        orientation if orientation in range(1, 9) else 1,
        _aspect(tags[282], tags[283]),
    )


def image_page(kinds: Iterable[int]) -> int:
    """Return the number of the one page that is an image, not a reduced copy or a mask.

    The first if none is.

    Args:
        kinds: NewSubfileType of each page.

    Raises:
        Refusal: there are several images, or more than `PAGES` other pages.
    """
    images: list[int] = []
    for number, kind in enumerate(kinds):
        if not kind & (_REDUCED | _MASK):
            images.append(number)
        if len(images) > 1 or number > PAGES:
            raise Refusal("multi-frame")
    return images[0] if images else 0


def _page_kinds(file: Any) -> Iterator[int]:
    for number in itertools.count():
        try:
            tag = file.pages[number].tags.get(254)
        except IndexError:
            return
        yield 0 if tag is None else int(tag.value)


def _samples_last(stored: NDArray[Any], rows: int, columns: int, samples: int) -> NDArray[Any]:
    """Return [H, W] or [H, W, samples] for an array with the samples first or last."""
    stored = stored.squeeze() if stored.ndim > 3 else stored
    if stored.shape == (samples, rows, columns) and samples > 1:
        return np.moveaxis(stored, 0, 2)
    if stored.shape in ((rows, columns), (rows, columns, samples)):
        return stored[..., 0] if stored.ndim == 3 and samples == 1 else stored
    raise Refusal("raster-mode")


def _grey(stored: NDArray[Any], photometric: int, bits: int, extra: list[int]) -> tuple[Grey, bool]:
    """Return grey values [H, W], and whether there is colour; transparent pixels become black.

    Args:
        extra: meaning of each sample after the grey or the colours (ExtraSamples, TIFF 6.0).
    """
    if stored.dtype.kind not in "uif" or photometric not in (0, 1, 2, 5):
        raise Refusal("raster-mode")
    low = -(1 << (bits - 1)) if stored.dtype.kind == "i" else 0
    if stored.ndim == 3 and photometric in (0, 1) and not set(extra) & set(_ALPHA):
        stored = stored[..., 0]
    if stored.ndim == 2:
        return greyscale.render(stored, bits=bits, inverted=photometric == 0, low=low), False
    scale = 1.0 if stored.dtype.kind == "f" else float((1 << bits) - 1)
    channels = (stored.astype(np.float32) - np.float32(low)) / np.float32(scale)
    count = channels.shape[2]
    # Associated alpha is already applied to the samples.
    alpha = channels[..., count - len(extra) + extra.index(2)] if 2 in extra else None
    colour = False
    if photometric in (0, 1):
        grey = 1 - channels[..., 0] if photometric == 0 else channels[..., 0]
    elif photometric == 5 and count >= 4:
        grey, colour = greyscale.luma((1 - channels[..., :3]) * (1 - channels[..., 3:4]), 1.0)
    elif count < 3:
        raise Refusal("raster-mode")
    else:
        grey, colour = greyscale.luma(channels, 1.0)
    return (grey if alpha is None else grey * alpha), colour


def _aspect(across: Any, down: Any) -> float | None:
    """Return height by width of a pixel, from the tags XResolution and YResolution."""
    try:
        return float(across.value[0] * down.value[1]) / float(across.value[1] * down.value[0])
    except Exception:
        return None
