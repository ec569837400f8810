"""Conversion of a frame's stored values to grey values."""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np
from pydicom import Dataset
from pydicom.pixels.processing import apply_color_lut
from pydicom.uid import UID, ExplicitVRBigEndian

from nanoray.reading import geometry, greyscale
from nanoray.reading.dicom import lookup, shutter
from nanoray.reading.dicom.container import ELEMENTS
from nanoray.reading.dicom.frame import Frame, Stored
from nanoray.reading.dicom.header import Header
from nanoray.reading.dicom.values import integer
from nanoray.reading.radiograph import Grey
from nanoray.reading.refusals import Refusal
from nanoray.reading.steps import Step, Steps


def grey_values(
    stored: Stored,
    photometric: str,
    frame: Frame,
    syntax: UID,
    header: Header,
    unused: int,
    steps: Steps,
) -> tuple[Grey, bool]:
    """Convert a frame's stored values to grey values; return whether the frame has colour.

    Args:
        unused: number of highest bits of each stored value to ignore.
    """
    little_endian = syntax != ExplicitVRBigEndian
    if unused and (photometric == "PALETTE COLOR" or stored.ndim == 3):
        stored, unused = (stored << unused) >> unused, 0
    opened = None
    if "ShutterShape" in header:
        opened = shutter.inside(header, frame.rows, frame.columns, stored.shape[:2])
    seen = None if opened is None else _bounds(opened)
    colour = False
    grey: Grey
    if photometric == "PALETTE COLOR":
        grey, colour = _palette(stored, frame, header, little_endian)
    elif stored.ndim == 3:
        grey, colour = _luma(stored, photometric, frame, seen)
    else:
        grey = _monochrome(stored, frame, header, little_endian, unused, seen, steps)
    if opened is not None:
        steps.append(Step("shutter", f"{100 * (1 - opened.mean()):.0f} % of the image is covered"))
        grey = geometry.covered(grey, opened)
    return grey, colour


def _bounds(opened: shutter.Mask) -> tuple[slice, slice]:
    rows, columns = np.flatnonzero(opened.any(1)), np.flatnonzero(opened.any(0))
    return slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)


def _luma(
    stored: Stored, photometric: str, frame: Frame, seen: tuple[slice, slice] | None
) -> tuple[Grey, bool]:
    bits = min(frame.stored, 8 * stored.dtype.itemsize)
    if photometric.startswith("YBR"):
        pixels, colour = greyscale.luma_of_ybr(stored, float((1 << bits) - 1))
    else:
        pixels, colour = greyscale.luma(stored, greyscale.full_scale(stored, bits))
    if frame.stored > 8:
        deep = greyscale.in_16_bits(pixels)
        return greyscale.render(deep, bits=16, inverted=frame.negative, seen=seen), colour
    return (1 - pixels if frame.negative else pixels), colour


_SAMPLE: Final = 4096  # number of pixels with which a window is tested


def _monochrome(
    stored: Stored,
    frame: Frame,
    header: Header,
    little_endian: bool,
    unused: int,
    seen: tuple[slice, slice] | None,
    steps: Steps,
) -> Grey:
    steps.append(Step("photometric", frame.photometric + (": inverted" if frame.negative else "")))
    modality = lookup.modality_curve(
        header, little_endian=little_endian, signed=frame.signed, steps=steps
    )
    candidates = lookup.voi_candidates(
        header,
        little_endian=little_endian,
        signed=_can_be_negative(frame, modality),
        steps=steps,
    )
    padding = _padding(header, frame)
    if padding is not None:
        steps.append(Step("padding", f"stored values {padding[0]:g} to {padding[1]:g} are black"))
    voi = None
    if candidates:
        sample = _sample(stored if seen is None else stored[seen], padding, unused)
        voi = lookup.chosen_voi(candidates, sample if modality is None else modality(sample), steps)
    if voi is None:
        steps.append(Step("VOI", "none: shown by the range of the values"))
    return greyscale.render(
        stored,
        bits=frame.stored,
        modality=modality,
        voi=None if voi is None else voi.curve,
        inverted=frame.negative,
        padding=padding,
        low=-(1 << (frame.stored - 1)) if frame.signed else 0,
        unused=unused,
        seen=seen,
    )


def _sample(stored: Stored, padding: tuple[float, float] | None, unused: int) -> greyscale.Values:
    """Sample stored values that are not padding, from the whole image."""
    step = max(1, math.isqrt(stored.size // _SAMPLE))
    values = np.ascontiguousarray(stored[::step, ::step])
    values = values.astype(values.dtype.newbyteorder("=")).reshape(-1)
    values = values[~greyscale.within(values, padding, unused)]
    if unused:
        values = (values << unused) >> unused
    return values.astype(np.float64)


def _can_be_negative(frame: Frame, modality: greyscale.Curve | None) -> bool:
    low = -(1 << (frame.stored - 1)) if frame.signed else 0
    ends = np.array([low, low + (1 << frame.stored) - 1], np.float64)
    return bool((ends if modality is None else modality(ends)).min() < 0)


def _padding(header: Any, frame: Frame) -> tuple[float, float] | None:
    """Return the inclusive range of padding (PS3.3 C.7.5.1.1.2), with the samples' sign."""
    first = integer(header, "PixelPaddingValue")
    if first is None or frame.keyword != "PixelData":
        return None
    last = integer(header, "PixelPaddingRangeLimit", first)
    ends = []
    for end in (first, first if last is None else last):
        # Written as unsigned although the samples are signed, or vice versa.
        wrapped = end & ((1 << frame.allocated) - 1)
        if frame.signed and wrapped >= 1 << (frame.allocated - 1):
            wrapped -= 1 << frame.allocated
        ends.append(float(wrapped))
    return min(ends), max(ends)


def _palette(stored: Stored, frame: Frame, header: Any, little_endian: bool) -> tuple[Grey, bool]:
    """Compute the luma of palette colours (PS3.3 C.7.6.3.1.5), clipped to the palette's ends."""
    tables = Dataset()
    try:
        for name in ELEMENTS:
            if "Palette" in name and name in header:
                tables[name] = header[name]
        descriptors = [
            [int(value) for value in tables[f"{colour}PaletteColorLookupTableDescriptor"].value]
            for colour in ("Red", "Green", "Blue")
        ]
        count, first, bits = descriptors[0]
        count = (count & 0xFFFF) or 65_536
        if any(other != descriptors[0] for other in descriptors) or bits not in (8, 16):
            raise Refusal("palette")
        if frame.allocated > 16:
            raise Refusal("palette")
        tables.set_original_encoding(False, little_endian)
        for colour in ("Red", "Green", "Blue"):
            data = f"{colour}PaletteColorLookupTableData"
            if data in tables:
                # pydicom assumes that plain entries are little-endian, and interprets any extra
                # byte, such as padding, for a wider type.
                words = _little_endian(bytes(tables[data].value), little_endian)
                tables[data].value = words[:-1] if len(words) == count + 1 else words
        index = np.clip(stored.astype(np.int32), first, first + count - 1) - first
        for colour in ("Red", "Green", "Blue"):
            tables[f"{colour}PaletteColorLookupTableDescriptor"].value = [count & 0xFFFF, 0, bits]
        # One look-up per entry; pixels then get the grey value of their entry.
        entries = np.arange(count, dtype=np.int32)[np.newaxis]
        rgb = apply_color_lut(entries, tables)
    except (Refusal, MemoryError):
        raise
    except Exception:
        raise Refusal("palette") from None
    # Entries of 8 bits may be stored in 16.
    narrow = rgb.dtype.itemsize == 1 or (bits == 8 and int(rgb.max()) <= 255)
    full_scale = 255.0 if narrow else 65_535.0
    grey, _ = greyscale.luma(rgb, full_scale)
    # The used colours decide, not all colours of the palette.
    spread = rgb[0, :, :3].max(axis=1).astype(np.int64) - rgb[0, :, :3].min(axis=1)
    coloured = np.count_nonzero((spread > greyscale.COLOUR_SPREAD * full_scale)[index])
    return grey[0][index], bool(coloured > greyscale.COLOUR_SHARE * index.size)


def _little_endian(words: bytes, already: bool) -> bytes:
    if already or len(words) % 2:
        return words
    return np.frombuffer(words, ">u2").astype("<u2").tobytes()
