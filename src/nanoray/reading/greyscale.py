"""Conversion of stored values to grey values in 0..1: DICOM's greyscale pipeline (PS3.4 N.2).

The steps are Modality LUT or rescale, VOI LUT or window, and the polarity of the photometric
interpretation. All are functions of one stored value. For samples of up to 16 bits they are
computed once per possible value and looked up per pixel.

Without a VOI, 8-bit images keep their full stored range, and so do deeper ones that fill two thirds
of their bits. Others are stretched between the 0.5 and 99.5 percentiles of the pixels that are
neither padding nor a border.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from nanoray.reading.radiograph import Grey, Line, Pixels, Samples
from nanoray.reading.refusals import Refusal

Values: TypeAlias = NDArray[np.float64]
Curve: TypeAlias = Callable[[Values], Values]
Stored: TypeAlias = NDArray[Any]

PERCENTILES = (0.5, 99.5)
LUMA = (0.299, 0.587, 0.114)
"""Weights of red, green and blue (ITU-R BT.601), as in YBR_FULL and in JPEG."""

FILLED = 2 / 3
"""Without a VOI, an image that fills this share of its scale is shown on the full scale."""
GAP, CLUSTER, REST, MANY = 0.25, 0.05, 0.2, 0.005
"""See `_without_clusters`."""

COLOUR_SPREAD = 16 / 255
"""Channels of a pixel that differ by more than this, in 0..1, are colour, not compression noise."""
COLOUR_SHARE = 0.001
"""More than this share of coloured pixels make a coloured image."""

LARGE = 1 << 20
"""Least number of pixels for which the search for a linear curve saves time."""
ROUNDING, SHALLOW = 1e-7, 4
"""See `_line`."""

_BAND = 1 << 18  # pixels per step, which keeps temporaries small


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
    seen: tuple[slice, slice] | None = None,
) -> Grey:
    """Convert stored values to grey values in 0..1.

    Args:
        stored: integers or floats [H, W]. Values that are not finite count as padding.
        bits: significant bits of a sample; above 8, a missing VOI means `shown_range`.
        modality, voi: curves of the modality step and of the VOI step; the latter maps to 0..1.
        inverted: whether low values are bright (MONOCHROME1, WhiteIsZero).
        padding: inclusive range of stored values outside the image (PS3.3 C.7.5.1.1.2); black.
            It may need the unused bits, such as 65535 beside samples of 12 bits.
        low: lowest value that can be stored in at most 8 bits: 0, or negative for signed samples.
            Of more bits, the values decide.
        unused: highest bits of each sample that are to be ignored (PS3.5 8.1.1); only for integers
            of at most 16 bits.
        seen: rows and columns inside the shutter, which determine the range.

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
            seen=seen,
        )
    return _render_direct(
        stored,
        bits=bits,
        modality=modality,
        voi=voi,
        inverted=inverted,
        padding=padding,
        seen=seen,
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
    seen: tuple[slice, slice] | None,
) -> Samples:
    native = np.ascontiguousarray(stored, stored.dtype.newbyteorder("="))
    # Indices are the unsigned view of the samples. `possible` has the value of each index. With
    # unused bits the values repeat, and only the first period is computed.
    unsigned = np.dtype(f"u{native.dtype.itemsize}")
    index = native.view(unsigned)
    entries = 1 << (8 * unsigned.itemsize - unused)
    whole = np.arange(entries << unused, dtype=np.uint32).astype(unsigned).view(native.dtype)
    possible = (whole[:entries] << unused) >> unused  # with the sign, if any
    values = stored_values = possible.astype(np.float64)
    is_padding = within(whole, padding, unused)
    with np.errstate(all="ignore"):
        if modality is not None:
            values = modality(values)
        if voi is not None:
            grey = voi(values)
        else:
            counts = None
            if bits > 8:
                counts = _histogram(index if seen is None else index[seen], entries << unused)
                counts[is_padding] = 0
                counts = counts.reshape(-1, entries).sum(axis=0)
                occurring = possible[counts > 0]
                if occurring.size:
                    low, bits = _used(int(occurring.min()), int(occurring.max()))
            inside = (possible >= low) & (possible <= low + (1 << bits) - 1)
            scale = float(values[inside].min()), float(values[inside].max())
            grey = _stretch(values, *(scale if counts is None else _shown(values, counts, scale)))
    grey = np.clip(np.nan_to_num(1.0 - grey if inverted else grey), 0.0, 1.0)
    black = is_padding.reshape(-1, entries)
    grey[black.all(axis=0)] = 0.0
    curve = np.tile(grey.astype(np.float32), 1 << unused)
    curve[is_padding] = 0.0
    if curve.size == 256 and np.array_equal(curve, np.arange(256, dtype=np.float32) / 255):
        return Samples(index, None)
    line = None
    if index.size >= LARGE and np.array_equal(black.any(axis=0), black.all(axis=0)):
        line = _line(stored_values, grey, signed=native.dtype.kind == "i", unused=unused)
    return Samples(index, curve, line)


def within(stored: Stored, padding: tuple[float, float] | None, unused: int) -> NDArray[np.bool_]:
    """Return whether samples are padding, with or without their unused bits."""
    found = np.zeros(stored.shape, bool)
    if padding is None:
        return found
    for values in (stored, (stored << unused) >> unused) if unused else (stored,):
        found |= (values >= padding[0]) & (values <= padding[1])
    return found


def _line(possible: Values, grey: Values, *, signed: bool, unused: int) -> Line | None:
    """Return a linear curve as a line; None for other curves.

    `grey` has the grey value of each possible stored value. Shallow lines far from 0 return None,
    since float32 would round their sums too coarsely.
    """
    between = np.flatnonzero((grey > 0) & (grey < 1))
    if between.size < 2:
        return None
    first, last = between[np.argmin(possible[between])], between[np.argmax(possible[between])]
    slope = (grey[last] - grey[first]) / (possible[last] - possible[first])
    if not slope:
        return None
    black = possible[first] - grey[first] / slope
    line = Line(float(black), float(black + 1 / slope), signed, unused)
    off = np.abs(np.clip((possible - black) * slope, 0.0, 1.0) - grey).max()
    return line if off <= ROUNDING and abs(black * slope) <= SHALLOW else None


def _render_direct(
    stored: Stored,
    *,
    bits: int,
    modality: Curve | None,
    voi: Curve | None,
    inverted: bool,
    padding: tuple[float, float] | None,
    seen: tuple[slice, slice] | None,
) -> Pixels:
    flat = stored.reshape(-1)
    pixels = np.empty(stored.shape, np.float32)
    out = pixels.reshape(-1)
    with np.errstate(all="ignore"):
        limits = (0.0, 0.0)
        if voi is None:
            limits = _range_of(stored if seen is None else stored[seen], bits, modality, padding)
        for start in range(0, flat.size, _BAND):
            band = slice(start, start + _BAND)
            raw = flat[band].astype(np.float64)
            value = modality(raw) if modality is not None else raw
            grey = voi(value) if voi is not None else _stretch(value, *limits)
            grey = np.clip(np.nan_to_num(1.0 - grey if inverted else grey), 0.0, 1.0)
            grey[_outside(raw, padding)] = 0.0
            out[band] = grey
    return pixels


def _range_of(
    stored: Stored,
    bits: int,
    modality: Curve | None,
    padding: tuple[float, float] | None,
) -> tuple[float, float]:
    """Choose the values that become 0 and 1, of samples too many or too fine for a table."""
    flat = stored.reshape(-1)
    # In float32 to save memory: 24 bits of precision are ample for percentiles.
    values = np.empty(flat.size, np.float32)
    kept = np.empty(flat.size, bool)
    ends = [np.inf, -np.inf]
    for start in range(0, flat.size, _BAND):
        band = slice(start, start + _BAND)
        raw = flat[band].astype(np.float64)
        inside = ~_outside(raw, padding)
        if inside.any():
            ends = [min(ends[0], raw[inside].min()), max(ends[1], raw[inside].max())]
        values[band] = modality(raw) if modality is not None else raw
        kept[band] = inside & np.isfinite(values[band])
    values = values[kept]
    if not values.size:
        raise Refusal("not-finite")
    if bits <= 8:
        return float(values.min()), float(values.max())
    if stored.dtype.kind == "f":
        stored_scale = (0.0, 1.0) if ends[0] >= 0 and ends[1] <= 1 else None
    else:
        low, bits = _used(int(ends[0]), int(ends[1]))
        stored_scale = (float(low), float(low + (1 << bits) - 1))
    scale = None
    if stored_scale is not None:
        mapped = np.array(stored_scale) if modality is None else modality(np.array(stored_scale))
        scale = float(mapped.min()), float(mapped.max())
    counts, edges = np.histogram(values, 4096)
    bottom, top_edge = _without_clusters((edges[1:] + edges[:-1]) / 2, counts)
    width = edges[1] - edges[0]
    near = (values >= bottom - width) & (values <= top_edge + width)
    ordinary = np.percentile(values[near], PERCENTILES)
    return _scaled(float(ordinary[0]), float(ordinary[1]), scale)


def _outside(raw: Values, padding: tuple[float, float] | None) -> NDArray[np.bool_]:
    outside: NDArray[np.bool_] = ~np.isfinite(raw)
    if padding is not None:
        outside |= (raw >= padding[0]) & (raw <= padding[1])
    return outside


def _stretch(values: Values, low: float, high: float) -> Values:
    """Scale low..high linearly to 0..1; all 0 if the range is empty."""
    if not high > low:
        return np.zeros(values.shape, np.float64)
    return (values - low) / (high - low)


def _used(least: int, most: int) -> tuple[int, int]:
    """Return the lowest value and the number of the bits that values need, at least 8 bits."""
    if least >= 0:
        return 0, max(8, most.bit_length())
    bits = max(8, 1 + max(~least, most, 0).bit_length())
    return -(1 << (bits - 1)), bits


def _scaled(low: float, high: float, scale: tuple[float, float] | None) -> tuple[float, float]:
    """Choose the full scale if values fill two thirds of it, as for 8-bit images; else the range.

    A picture therefore has the same grey values with 8 and with 16 bits.
    """
    if scale is not None and high - low >= FILLED * (scale[1] - scale[0]):
        return scale
    return low, high


def _shown(
    values: Values, counts: NDArray[np.int64], scale: tuple[float, float]
) -> tuple[float, float]:
    """Return the values that become 0 and 1, of values that occur `counts` times."""
    bottom, top = _without_clusters(values, counts)
    kept = np.where((values >= bottom) & (values <= top), counts, 0)
    return _scaled(*_percentiles_of_counts(values, kept), scale)


def _without_clusters(values: Values, counts: NDArray[np.int64]) -> tuple[float, float]:
    """Return lowest and highest value of the image, without a distant border.

    A border, such as a saturated frame or a collimator's shadow, is a narrow cluster of values
    beside a gap of a quarter of the range. The rest must be a fifth of the pixels.
    """
    order = np.argsort(values, kind="stable")
    order = order[counts[order] > 0]
    if order.size < 3:
        return (
            (float(values[order].min()), float(values[order].max())) if order.size else (0.0, 0.0)
        )
    occurring, cumulated = values[order], np.cumsum(counts[order])
    span, total = occurring[-1] - occurring[0], int(cumulated[-1])
    first, last = 0, occurring.size - 1
    for gap in np.flatnonzero(np.diff(occurring) > GAP * span):
        below = int(cumulated[gap])
        above = total - below
        narrow = occurring[gap] - occurring[0] < CLUSTER * span
        if narrow and below >= MANY * total and above >= REST * total:
            first = int(gap) + 1
        narrow = occurring[-1] - occurring[gap + 1] < CLUSTER * span
        if narrow and above >= MANY * total and below >= REST * total:
            last = int(gap)
            break
    if first > last:
        first, last = 0, occurring.size - 1
    return float(occurring[first]), float(occurring[last])


def _histogram(index: Stored, size: int) -> NDArray[np.int64]:
    counts = np.zeros(size, np.int64)
    flat = index.reshape(-1)
    for start in range(0, flat.size, _BAND):
        counts += np.bincount(flat[start : start + _BAND], minlength=size)
    return counts


def _percentiles_of_counts(values: Values, counts: NDArray[np.int64]) -> tuple[float, float]:
    """Compute `PERCENTILES` of values that occur `counts` times, like numpy.percentile."""
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
    """Convert red, green and blue to grey values; return whether the image has colour.

    Args:
        rgb: [H, W, 3] or more channels; only the first three are used.
        full_scale: the value that means 1.

    Returns:
        float32 [H, W] on the scale 0..1, and whether there is colour.
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


def opacity(alpha: Stored, bits: int) -> Pixels:
    """Return opacity in 0..1, on the scale of the bits that it uses, as grey values are.

    Args:
        alpha: integers of so many bits, or floats.
    """
    if alpha.dtype.kind == "f":
        kept: Pixels = np.clip(np.nan_to_num(alpha), 0.0, 1.0).astype(np.float32)
        return kept
    low = -(1 << (bits - 1)) if alpha.dtype.kind == "i" else 0
    values = alpha.astype(np.float64) - low
    share: Pixels = (values / full_scale(values, bits)).astype(np.float32)
    return share


def separated(channels: Stored, alpha: Pixels) -> Stored:
    """Divide samples [H, W, channels] by the opacity with which they were multiplied."""
    if not (alpha < 1).any():
        return channels
    share = alpha[..., np.newaxis]
    # Without opacity a sample has no value; what NumPy leaves out would be whatever is in memory.
    whole = np.zeros(channels.shape, np.result_type(channels, share))
    np.divide(channels, share, out=whole, where=share > 0)
    if channels.dtype.kind == "f":
        return whole
    limits = np.iinfo(channels.dtype)
    return np.clip(np.rint(whole), limits.min, limits.max).astype(channels.dtype)


def full_scale(stored: Stored, bits: int) -> float:
    """Return the largest value of the bits, of so many, that integers from 0 on use; at least 8."""
    used = max(min(bits, 8), int(stored.max()).bit_length())
    return float((1 << min(bits, used)) - 1)


def in_16_bits(grey: Pixels) -> NDArray[np.uint16]:
    """Return grey values as integers, since sums of weighted channels lie between their levels."""
    deep: NDArray[np.uint16] = np.rint(grey * np.float32(65_535)).astype(np.uint16)
    return deep


def render_colour(channels: Stored, bits: int, alpha: Pixels | None = None) -> tuple[Grey, bool]:
    """Convert red, green and blue to grey values, with more than 8 bits as `render` does.

    Args:
        channels: [H, W, 3] or more channels; only the first three are used.
        bits: significant bits of a sample.
        alpha: opacity in 0..1; None without any.

    Returns:
        Grey values [H, W], and whether there is colour.
    """
    kind = channels.dtype.kind
    low = -(1 << (bits - 1)) if kind == "i" else 0
    if kind == "f":
        channels = np.nan_to_num(channels, posinf=0.0, neginf=0.0)
        scale = max(1.0, float(channels.max()))
    else:
        channels = channels.astype(np.int64) - low if low else channels
        scale = float((1 << bits) - 1) if low else full_scale(channels[..., :3], bits)
    grey, colour = luma(channels, scale)
    if bits <= 8 or grey.min() == grey.max():
        # A single grey value has no range of its own.
        return (grey if alpha is None else grey * alpha), colour
    if kind == "f" or bits > 16:
        return render_opaque(grey, bits=bits, alpha=alpha), colour
    deep = in_16_bits(grey)
    if low:
        # As signed grey, whose range is that of the bits around 0.
        deep = (deep.astype(np.int32) - 32_768).astype(np.int16)
        return render_opaque(deep, bits=16, low=-32_768, alpha=alpha), colour
    return render_opaque(deep, bits=16, alpha=alpha), colour


def render_opaque(
    stored: Stored,
    *,
    bits: int,
    inverted: bool = False,
    low: int = 0,
    alpha: Pixels | None = None,
) -> Grey:
    """Convert like `render`; transparent pixels are black and do not determine the range."""
    if alpha is None:
        return render(stored, bits=bits, inverted=inverted, low=low)
    clear = alpha <= 0
    if clear.any() and not clear.all():
        stored = np.where(clear, stored[~clear].min(), stored)
    grey = render(stored, bits=bits, inverted=inverted, low=low)
    return (grey.pixels if isinstance(grey, Samples) else grey) * alpha


def luma_of_ybr(ybr: Stored, full_scale: float) -> tuple[Pixels, bool]:
    """Convert like `luma`, from luminance, CB and CR (YBR_FULL, PS3.3 C.7.6.3.1.2)."""
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
