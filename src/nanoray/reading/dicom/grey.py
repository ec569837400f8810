"""From the stored values of a frame to grey values."""

from __future__ import annotations

from typing import Any

import numpy as np
from pydicom import Dataset
from pydicom.pixels.processing import apply_color_lut
from pydicom.uid import UID, ExplicitVRBigEndian

from nanoray.reading import greyscale
from nanoray.reading.dicom.container import ELEMENTS
from nanoray.reading.dicom.frame import Frame, Stored
from nanoray.reading.dicom.values import integer
from nanoray.reading.radiograph import Grey
from nanoray.reading.refusals import Refusal


def grey_values(
    stored: Stored, photometric: str, frame: Frame, syntax: UID, header: Any, unused: int
) -> tuple[Grey, bool]:
    little_endian = syntax != ExplicitVRBigEndian
    if photometric == "PALETTE COLOR":
        return _palette(stored, frame, header, little_endian)
    if frame.samples == 3:
        full_scale = float((1 << min(frame.stored, 8 * stored.dtype.itemsize)) - 1)
        if photometric.startswith("YBR"):
            pixels, colour = greyscale.luma_of_ybr(stored, full_scale)
        else:
            pixels, colour = greyscale.luma(stored, full_scale)
        deep = frame.stored > 8
        return greyscale.render(pixels, bits=frame.stored) if deep else pixels, colour
    modality = greyscale.modality_curve(header, little_endian=little_endian, signed=frame.signed)
    voi = greyscale.voi_curve(
        header, little_endian=little_endian, signed=_can_be_negative(frame, modality)
    )
    grey = greyscale.render(
        stored,
        bits=frame.stored,
        modality=modality,
        voi=voi,
        inverted=frame.photometric == "MONOCHROME1",
        padding=_padding(header, frame),
        low=-(1 << (frame.stored - 1)) if frame.signed else 0,
        unused=unused,
    )
    return grey, False


def _can_be_negative(frame: Frame, modality: greyscale.Curve | None) -> bool:
    low = -(1 << (frame.stored - 1)) if frame.signed else 0
    ends = np.array([low, low + (1 << frame.stored) - 1], np.float64)
    return bool((ends if modality is None else modality(ends)).min() < 0)


def _padding(header: Any, frame: Frame) -> tuple[float, float] | None:
    """Inclusive range of padding (PS3.3 C.7.5.1.1.2), in the sample's own sign."""
    first = integer(header, "PixelPaddingValue")
    if first is None or frame.keyword != "PixelData":
        return None
    last = integer(header, "PixelPaddingRangeLimit", first)
    ends = []
    for end in (first, first if last is None else last):
        # Written as unsigned where the samples are signed, or the other way round.
        wrapped = end & ((1 << frame.allocated) - 1)
        if frame.signed and wrapped >= 1 << (frame.allocated - 1):
            wrapped -= 1 << frame.allocated
        ends.append(float(wrapped))
    return min(ends), max(ends)


def _palette(stored: Stored, frame: Frame, header: Any, little_endian: bool) -> tuple[Grey, bool]:
    """Luma of palette colours (PS3.3 C.7.6.3.1.5); values outside the palette take its ends."""
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
                # pydicom takes plain entries for little-endian ones, and any byte more than they
                # need, such as padding, for a wider type.
                words = _little_endian(bytes(tables[data].value), little_endian)
                tables[data].value = words[:-1] if len(words) == count + 1 else words
        index = np.clip(stored.astype(np.int32), first, first + count - 1) - first
        for colour in ("Red", "Green", "Blue"):
            tables[f"{colour}PaletteColorLookupTableDescriptor"].value = [count & 0xFFFF, 0, bits]
        # One look-up per entry; pixels then take their entry's grey value.
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
    # The colours that pixels use decide, not those that the palette offers.
    spread = rgb[0, :, :3].max(axis=1).astype(np.int64) - rgb[0, :, :3].min(axis=1)
    coloured = np.count_nonzero((spread > greyscale.COLOUR_SPREAD * full_scale)[index])
    return grey[0][index], bool(coloured > greyscale.COLOUR_SHARE * index.size)


def _little_endian(words: bytes, already: bool) -> bytes:
    if already or len(words) % 2:
        return words
    return np.frombuffer(words, ">u2").astype("<u2").tobytes()
