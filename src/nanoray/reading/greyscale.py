"""From stored values to grey values in 0..1: DICOM's greyscale pipeline (PS3.4 N.2).

Modality LUT or rescale, then VOI LUT or window, then the polarity of the photometric
interpretation. All of it is a function of one stored value, so for samples of up to 16 bits it is
computed once per possible value and looked up per pixel.

Where a file has no VOI, 8-bit images keep their full stored range; deeper ones are stretched
between the 0.5 and 99.5 percentiles of the pixels that are not padding.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.pixels.processing import apply_modality_lut, apply_windowing

from nanoray.reading.radiograph import Grey, Pixels, Samples
from nanoray.reading.refusals import Refusal

Values: TypeAlias = NDArray[np.float64]
Curve: TypeAlias = Callable[[Values], Values]
Stored: TypeAlias = NDArray[Any]

PERCENTILES = (0.5, 99.5)
LUMA = (0.299, 0.587, 0.114)
"""Weights of red, green and blue (ITU-R BT.601), as in YBR_FULL and in JPEG."""

COLOUR_SPREAD = 16 / 255
"""Channels of one pixel further apart than this, in 0..1, are colour, not compression noise."""
COLOUR_SHARE = 0.001
"""More than this share of coloured pixels make a coloured image."""

_BAND = 1 << 18  # pixels worked on at once, so that temporaries stay small


@dataclass(frozen=True, slots=True)
class LookupTable:
    """A Modality or VOI LUT (PS3.3 C.11.1.1, C.11.2.1.1): input `first` maps to `entries[0]`."""

    first: int
    entries: Values
    full_scale: float

    def __call__(self, values: Values) -> Values:
        """Entries for the values; the end entries for values outside the table."""
        # pydicom's own look-ups keep the index in the type of the input or of the entries, which
        # overflows for 8-bit entries, and for negative first values of unsigned input.
        index = np.clip(np.rint(values) - self.first, 0, self.entries.size - 1)
        mapped: Values = self.entries[index.astype(np.intp)]
        return mapped


def lookup_table(item: Dataset, *, little_endian: bool, signed_input: bool) -> LookupTable | None:
    """The table in an item of a Modality or VOI LUT Sequence; None if it is malformed."""
    try:
        descriptor = [int(value) for value in item["LUTDescriptor"].value]
        data = item["LUTData"].value
        count, first, bits = descriptor
    except Exception:
        return None
    count = (count & 0xFFFF) or 65_536
    # The first input value is stored in 16 bits whose sign the VR does not reliably tell.
    first = first & 0xFFFF
    if signed_input and first >= 0x8000:
        first -= 0x10000
    if not 8 <= bits <= 16:
        return None
    if isinstance(data, bytes):
        if bits == 8 and len(data) in (count, count + count % 2):
            entries = np.frombuffer(data, np.uint8).astype(np.int64)
        else:
            order = "<u2" if little_endian else ">u2"
            entries = np.frombuffer(data[: len(data) // 2 * 2], order).astype(np.int64)
    else:
        try:
            entries = np.atleast_1d(np.asarray(data, np.int64)) & 0xFFFF
        except (TypeError, ValueError, OverflowError):
            return None
    if entries.size < count:
        return None
    return LookupTable(first, entries[:count].astype(np.float64), float((1 << bits) - 1))


def modality_curve(dataset: Dataset, *, little_endian: bool, signed: bool) -> Curve | None:
    """The Modality LUT, or the rescale (PS3.3 C.11.1); None if the data set has neither.

    Raises:
        Refusal: the table or the rescale is malformed, so no value can be known.
    """
    items = _items(dataset, "ModalityLUTSequence")
    if items:
        table = lookup_table(items[0], little_endian=little_endian, signed_input=signed)
        if table is None:
            raise Refusal("modality-lut")
        return table
    if "RescaleSlope" not in dataset and "RescaleIntercept" not in dataset:
        return None
    rescale = Dataset()
    rescale.RescaleSlope = _number(dataset, "RescaleSlope", 1.0)
    rescale.RescaleIntercept = _number(dataset, "RescaleIntercept", 0.0)
    if not rescale.RescaleSlope:
        raise Refusal("rescale")
    return lambda values: np.asarray(apply_modality_lut(values, rescale), np.float64)


def voi_curve(dataset: Dataset, *, little_endian: bool, signed: bool) -> Curve | None:
    """The first VOI LUT, else the first window (PS3.3 C.11.2), onto 0..1; None without either.

    A window that the standard does not allow (a width below 1 for LINEAR, of 0 or less for the
    others, not a number) counts as none. Width 1 is LINEAR's step at the centre less a half.

    Raises:
        Refusal: the VOI LUT is malformed.
    """
    items = _items(dataset, "VOILUTSequence")
    if items:
        table = lookup_table(items[0], little_endian=little_endian, signed_input=signed)
        if table is None:
            raise Refusal("voi-lut")
        return lambda values: table(values) / table.full_scale
    centre, width = _number(dataset, "WindowCenter"), _number(dataset, "WindowWidth")
    function = _function(dataset)
    if centre is None or width is None or width <= 0 or (function == "LINEAR" and width < 1):
        return None
    # A data set of our own: the output range then does not depend on the sign of the rescale
    # slope or on the sample format, and is the 16-bit range.
    window = Dataset()
    window.PhotometricInterpretation = "MONOCHROME2"
    window.BitsStored, window.PixelRepresentation = 16, 0
    window.WindowCenter, window.WindowWidth = _decimal(centre), _decimal(width)
    window.VOILUTFunction = function
    return lambda values: np.asarray(apply_windowing(values, window), np.float64) / 65_535.0


def _function(dataset: Dataset) -> str:
    """The VOI LUT function; LINEAR, the default, for one that the standard does not know."""
    try:
        function = str(dataset.get("VOILUTFunction") or "").strip().upper()
    except Exception:
        function = ""
    return function if function in ("LINEAR_EXACT", "SIGMOID") else "LINEAR"


def _items(dataset: Dataset, keyword: str) -> list[Dataset]:
    try:
        return list(dataset.get(keyword) or [])
    except RecursionError:
        raise
    except Exception:
        raise Refusal("modality-lut" if keyword.startswith("Modality") else "voi-lut") from None


def _number(dataset: Dataset, keyword: str, default: float | None = None) -> float | None:
    """First value of a numeric element; the default if there is none that is finite."""
    try:
        value = dataset.get(keyword)
        if value is None or value == "":
            return default
        number = float(value[0] if hasattr(value, "__getitem__") else value)
    except Exception:
        number = float("nan")
    if not np.isfinite(number):
        if keyword.startswith("Rescale"):
            raise Refusal("rescale")
        return default
    return number


def _decimal(number: float) -> str:
    """A number as DICOM writes it (VR DS, at most 16 characters)."""
    return f"{number:.10g}"[:16]


def render(
    stored: Stored,
    *,
    bits: int,
    modality: Curve | None = None,
    voi: Curve | None = None,
    inverted: bool = False,
    padding: tuple[float, float] | None = None,
    low: int = 0,
    unused: int = 0,
) -> Grey:
    """Grey values in 0..1 of stored values.

    Args:
        stored: integers or floats [H, W]. Values that are not finite count as padding.
        bits: significant bits of a sample; above 8, a missing VOI means stretching.
        modality, voi: see `modality_curve` and `voi_curve`.
        inverted: whether low values are bright (MONOCHROME1, WhiteIsZero).
        padding: inclusive range of stored values outside the image (PS3.3 C.7.5.1.1.2); black.
        low: lowest value that can be stored: 0, or negative for signed samples.
        unused: highest bits of each sample that are to be ignored (PS3.5 8.1.1); only for integers
            of at most 16 bits.

    Returns:
        Integers of at most 16 bits as `Samples`, anything else as float32 [H, W].
    """
    if stored.dtype.kind in "iu" and stored.dtype.itemsize <= 2:
        return _render_table(
            stored,
            bits=bits,
            modality=modality,
            voi=voi,
            inverted=inverted,
            padding=padding,
            low=low,
            unused=unused,
        )
    return _render_direct(
        stored, bits=bits, modality=modality, voi=voi, inverted=inverted, padding=padding
    )


def _render_table(
    stored: Stored,
    *,
    bits: int,
    modality: Curve | None,
    voi: Curve | None,
    inverted: bool,
    padding: tuple[float, float] | None,
    low: int,
    unused: int,
) -> Samples:
    native = np.ascontiguousarray(stored, stored.dtype.newbyteorder("="))
    # Indices are the unsigned view of the samples; `possible` holds the value behind each index.
    unsigned = np.dtype(f"u{native.dtype.itemsize}")
    index = native.view(unsigned)
    possible = np.arange(1 << (8 * unsigned.itemsize), dtype=unsigned).view(native.dtype)
    possible = (possible << unused) >> unused  # with the sign, where there is one
    values = possible.astype(np.float64)
    is_padding = np.zeros(values.shape, bool)
    if padding is not None:
        is_padding = (values >= padding[0]) & (values <= padding[1])
    with np.errstate(all="ignore"):
        if modality is not None:
            values = modality(values)
        if voi is not None:
            grey = voi(values)
        elif bits <= 8:
            inside = (possible >= low) & (possible <= low + (1 << bits) - 1)
            grey = _stretch(values, float(values[inside].min()), float(values[inside].max()))
        else:
            counts = _histogram(index, values.size)
            counts[is_padding] = 0
            grey = _stretch(values, *_percentiles_of_counts(values, counts))
    grey = np.clip(np.nan_to_num(1.0 - grey if inverted else grey), 0.0, 1.0)
    grey[is_padding] = 0.0
    curve = grey.astype(np.float32)
    if curve.size == 256 and np.array_equal(curve, np.arange(256, dtype=np.float32) / 255):
        return Samples(index, None)
    return Samples(index, curve)


def _render_direct(
    stored: Stored,
    *,
    bits: int,
    modality: Curve | None,
    voi: Curve | None,
    inverted: bool,
    padding: tuple[float, float] | None,
) -> Pixels:
    flat = stored.reshape(-1)
    pixels = np.empty(stored.shape, np.float32)
    out = pixels.reshape(-1)
    is_padding = np.zeros(flat.size, bool)
    with np.errstate(all="ignore"):
        if voi is None:
            # In float32 to save memory: 24 bits of precision are ample for percentiles.
            low, high = 0.0, 0.0
            values = np.empty(flat.size, np.float32)
            for start in range(0, flat.size, _BAND):
                band = slice(start, start + _BAND)
                raw = flat[band].astype(np.float64)
                is_padding[band] = _outside(raw, padding)
                values[band] = modality(raw) if modality is not None else raw
            seen = values[~is_padding & np.isfinite(values)]
            if not seen.size:
                raise Refusal("not-finite")
            limits = PERCENTILES if bits > 8 else (0.0, 100.0)
            low, high = (float(q) for q in np.percentile(seen, limits))
            del values, seen
        for start in range(0, flat.size, _BAND):
            band = slice(start, start + _BAND)
            raw = flat[band].astype(np.float64)
            is_padding[band] = _outside(raw, padding)
            value = modality(raw) if modality is not None else raw
            grey = voi(value) if voi is not None else _stretch(value, low, high)
            grey = np.clip(np.nan_to_num(1.0 - grey if inverted else grey), 0.0, 1.0)
            grey[is_padding[band]] = 0.0
            out[band] = grey
    return pixels


def _outside(raw: Values, padding: tuple[float, float] | None) -> NDArray[np.bool_]:
    outside: NDArray[np.bool_] = ~np.isfinite(raw)
    if padding is not None:
        outside |= (raw >= padding[0]) & (raw <= padding[1])
    return outside


def _stretch(values: Values, low: float, high: float) -> Values:
    """Linear from low..high to 0..1; all 0 where the range is empty."""
    if not high > low:
        return np.zeros(values.shape, np.float64)
    return (values - low) / (high - low)


def _histogram(index: Stored, size: int) -> NDArray[np.int64]:
    counts = np.zeros(size, np.int64)
    flat = index.reshape(-1)
    for start in range(0, flat.size, _BAND):
        counts += np.bincount(flat[start : start + _BAND], minlength=size)
    return counts


def _percentiles_of_counts(values: Values, counts: NDArray[np.int64]) -> tuple[float, float]:
    """`PERCENTILES` of values that occur `counts` times, interpolated as numpy.percentile does."""
    order = np.argsort(values, kind="stable")
    ordered, cumulated = values[order], np.cumsum(counts[order])
    total = int(cumulated[-1])
    if not total:
        return 0.0, 0.0

    def at(percent: float) -> float:
        position = percent / 100 * (total - 1)
        below = int(position)
        left, right = (
            ordered[np.searchsorted(cumulated, rank, side="right")]
            for rank in (below, min(below + 1, total - 1))
        )
        return float(left + (right - left) * (position - below))

    return at(PERCENTILES[0]), at(PERCENTILES[1])


def luma(rgb: Stored, full_scale: float) -> tuple[Pixels, bool]:
    """Grey values of red, green and blue, and whether the image has colour.

    Args:
        rgb: [H, W, 3] or more channels, of which the first three count.
        full_scale: the value that stands for 1.

    Returns:
        float32 [H, W] on the scale 0..1, and a truth value.
    """
    rows = max(1, _BAND // max(1, rgb.shape[1]))
    grey = np.empty(rgb.shape[:2], np.float32)
    coloured = 0
    weights = [np.float32(weight / full_scale) for weight in LUMA]
    for top in range(0, rgb.shape[0], rows):
        # Channel by channel: reductions over an axis of three are slow.
        red, green, blue = (np.ascontiguousarray(rgb[top : top + rows, :, i]) for i in range(3))
        highest = np.maximum(np.maximum(red, green), blue)
        lowest = np.minimum(np.minimum(red, green), blue)
        spread = highest - lowest  # never negative, so unsigned samples do not wrap
        coloured += int(np.count_nonzero(spread > COLOUR_SPREAD * full_scale))
        band = grey[top : top + rows]
        band[...] = red.astype(np.float32) * weights[0]
        band += green.astype(np.float32) * weights[1]
        band += blue.astype(np.float32) * weights[2]
    return np.clip(grey, 0.0, 1.0, out=grey), coloured > COLOUR_SHARE * grey.size


def luma_of_ybr(ybr: Stored, full_scale: float) -> tuple[Pixels, bool]:
    """As `luma`, of luminance and the chrominances CB and CR (YBR_FULL, PS3.3 C.7.6.3.1.2)."""
    rows = max(1, _BAND // max(1, ybr.shape[1]))
    grey = np.empty(ybr.shape[:2], np.float32)
    neutral = np.float32((full_scale + 1) / 2)
    coloured = 0
    for top in range(0, ybr.shape[0], rows):
        y, cb, cr = (ybr[top : top + rows, :, i].astype(np.float32) for i in range(3))
        grey[top : top + rows] = y / np.float32(full_scale)
        # A blue pixel's spread is 1.772 times its CB, a red one's 1.402 times its CR.
        spread = np.maximum(np.abs(cb - neutral) * 1.772, np.abs(cr - neutral) * 1.402)
        coloured += int(np.count_nonzero(spread > COLOUR_SPREAD * full_scale))
    return np.clip(grey, 0.0, 1.0, out=grey), coloured > COLOUR_SHARE * grey.size
