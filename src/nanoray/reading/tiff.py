"""TIFF files that Pillow misreads or refuses.

These are samples of other sizes than 1, 8 and 16 bits, signed samples, more than 8 bits of colour
or of grey with alpha, separate planes of grey with alpha, and big-endian BigTIFF. tifffile reads
their tags.
"""

from __future__ import annotations

import io
import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from nanoray.reading import greyscale, limits, tiff_samples
from nanoray.reading.radiograph import Grey
from nanoray.reading.refusals import Refusal

PAGES: Final = 32
"""Number of pages searched for a second image; a file with more is refused in any case."""
_REDUCED, _MASK = 1, 4  # bits of NewSubfileType (TIFF 6.0)
_PHOTOMETRICS: Final = (0, 1, 2, 5)  # grey of either polarity, RGB and CMYK (TIFF 6.0)
_ASSOCIATED, _UNASSOCIATED = 1, 2  # kinds of opacity, in ExtraSamples (TIFF 6.0)
_ALPHA: Final = (_ASSOCIATED, _UNASSOCIATED)  # 0 is unspecified


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
    bits, samples = _first(tags.get(258, 1)), tags.get(277, 1)
    if tags.get(259, 1) not in tiff_samples.LOSSLESS or tags.get(262, 1) not in _PHOTOMETRICS:
        return False
    if _first(tags.get(339, 1)) == 3:
        return bool(samples > 1)
    signed = _first(tags.get(339, 1)) == 2
    return bool(signed or bits not in (1, 8, 16) or (bits > 8 and samples > 1) or samples == 2)


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
            extra = [int(kind) for kind in page.extrasamples]
            if not len(extra) < samples <= 5 or page.imagedepth != 1:
                raise Refusal("raster-mode")
            tags = {code: page.tags.get(code) for code in (274, 282, 283)}
            photometric, bits = int(page.photometric), int(page.bitspersample)
            if int(page.compression) in tiff_samples.LOSSLESS:
                stored = tiff_samples.samples(page, data)
            else:
                stored = _samples_last(page.asarray(), rows, columns, samples)
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
    """Return [H, W, samples] for an array with the samples first or last."""
    stored = stored.squeeze() if stored.ndim > 3 else stored
    if stored.shape == (samples, rows, columns) and samples > 1:
        return np.moveaxis(stored, 0, 2)
    if stored.shape in ((rows, columns), (rows, columns, samples)):
        return stored.reshape(rows, columns, samples)
    raise Refusal("raster-mode")


def _grey(stored: NDArray[Any], photometric: int, bits: int, extra: list[int]) -> tuple[Grey, bool]:
    """Return grey values [H, W], and whether there is colour; transparent pixels become black.

    Args:
        stored: [H, W, samples].
        extra: meaning of each sample after the grey or the colours (ExtraSamples, TIFF 6.0).
    """
    if stored.dtype.kind not in "uif" or photometric not in _PHOTOMETRICS:
        raise Refusal("raster-mode")
    low = -(1 << (bits - 1)) if stored.dtype.kind == "i" else 0
    first = stored.shape[2] - len(extra)
    alpha = None
    for kind in set(extra) & set(_ALPHA):
        alpha = greyscale.opacity(stored[..., first + extra.index(kind)], bits)
        if kind == _ASSOCIATED:
            stored = greyscale.separated(stored, alpha)
    if photometric in (0, 1):
        grey, inverted = np.ascontiguousarray(stored[..., 0]), photometric == 0
        return greyscale.render_opaque(
            grey, bits=bits, inverted=inverted, low=low, alpha=alpha
        ), False
    if photometric == 5 and first >= 4:
        scale = 1.0 if stored.dtype.kind == "f" else float((1 << bits) - 1)
        inks = (stored.astype(np.float32) - np.float32(low)) / np.float32(scale)
        pixels, colour = greyscale.luma((1 - inks[..., :3]) * (1 - inks[..., 3:4]), 1.0)
        return (pixels if alpha is None else pixels * alpha), colour
    if first < 3:
        raise Refusal("raster-mode")
    return greyscale.render_colour(stored, bits, alpha)


def _aspect(across: Any, down: Any) -> float | None:
    """Return height by width of a pixel, from the tags XResolution and YResolution."""
    try:
        return float(across.value[0] * down.value[1]) / float(across.value[1] * down.value[0])
    except Exception:
        return None
