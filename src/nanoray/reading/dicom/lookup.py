"""Modality LUT, rescale, VOI LUT and window (PS3.3 C.11.1, C.11.2), also in malformed forms."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
from pydicom import Dataset
from pydicom.pixels.processing import apply_modality_lut, apply_windowing

from nanoray.reading.dicom.header import Header
from nanoray.reading.dicom.values import decimals
from nanoray.reading.greyscale import Curve, Values
from nanoray.reading.refusals import Refusal
from nanoray.reading.steps import Step, StepName, Steps


@dataclass(frozen=True, slots=True)
class LookupTable:
    """A Modality or VOI LUT (PS3.3 C.11.1.1, C.11.2.1.1): input `first` maps to `entries[0]`."""

    first: int
    entries: Values
    full_scale: float

    def __call__(self, values: Values) -> Values:
        """Look up the entries of values; values outside the table get the end entries."""
        # pydicom's look-ups store the index in the type of the input or of the entries, which
        # overflows for 8-bit entries, and for negative first values of unsigned input.
        index = np.clip(np.rint(values) - self.first, 0, self.entries.size - 1)
        mapped: Values = self.entries[index.astype(np.intp)]
        return mapped


def lookup_table(item: Dataset, *, little_endian: bool, signed_input: bool) -> LookupTable | None:
    """Read the table in an item of a LUT Sequence; None if it is empty, malformed or constant.

    If the descriptor states another number of bits, the entries determine the full scale. Agfa
    writes 12-bit entries and states 16; others write 16-bit entries and state 8 or 0. A table may
    be up to a 64th shorter than stated; its last entry is then repeated.
    """
    try:
        count, first, bits = (int(value) for value in item["LUTDescriptor"].value)
        data = item["LUTData"].value
    except Exception:
        return None
    count = (count & 0xFFFF) or 65_536
    # The first input value is stored in 16 bits; the VR does not reliably state its sign.
    first = first & 0xFFFF
    if signed_input and first >= 0x8000:
        first -= 0x10000
    if data is None:
        return None
    if isinstance(data, bytes):
        if bits <= 8 and len(data) in (count, count + count % 2):
            entries = np.frombuffer(data, np.uint8).astype(np.int64)
        else:
            order = "<u2" if little_endian else ">u2"
            entries = np.frombuffer(data[: len(data) // 2 * 2], order).astype(np.int64)
    else:
        try:
            entries = np.atleast_1d(np.asarray(data, np.int64)) & 0xFFFF
        except (TypeError, ValueError, OverflowError):
            return None
    entries = entries[:count]
    if not entries.size or entries.size < count - max(1, count // 64):
        return None
    if int(entries.min()) == int(entries.max()):
        return None
    needed = max(1, int(entries.max()).bit_length())
    if not needed <= bits <= 16 or needed < bits - 1:
        bits = max(8, needed)
    return LookupTable(first, entries.astype(np.float64), float((1 << bits) - 1))


def modality_curve(
    dataset: Header, *, little_endian: bool, signed: bool, steps: Steps | None = None
) -> Curve | None:
    """Return the Modality LUT, or the rescale (PS3.3 C.11.1); None if the data set has neither.

    A table that is empty, malformed or constant, and a slope of 0, count as absent, as in other
    readers.

    Raises:
        Refusal: the rescale is malformed, so the values are unknown.
    """
    for item in _items(dataset, "ModalityLUTSequence")[:1]:
        table = lookup_table(item, little_endian=little_endian, signed_input=signed)
        if table is not None:
            _note(steps, "modality", f"lookup table of {table.entries.size} entries")
            return table
        _note(
            steps, "modality", "the lookup table is empty, malformed or constant and was left out"
        )
    slope, intercept = _rescale(dataset, "RescaleSlope"), _rescale(dataset, "RescaleIntercept")
    if slope is None and intercept is None:
        return None
    if slope == 0:
        _note(steps, "modality", "the rescale slope is 0 and was taken as 1")
    rescale = Dataset()
    rescale.RescaleSlope, rescale.RescaleIntercept = slope or 1.0, intercept or 0.0
    _note(
        steps,
        "modality",
        f"rescale: slope {rescale.RescaleSlope:g}, intercept {rescale.RescaleIntercept:g}",
    )
    return lambda values: np.asarray(apply_modality_lut(values, rescale), np.float64)


def _rescale(dataset: Header, keyword: str) -> float | None:
    values = decimals(dataset, keyword)
    if values and values[0] is None:
        raise Refusal("rescale")
    return values[0] if values else None


class Voi(NamedTuple):
    """A VOI LUT or a window, which maps values to 0..1, and its name."""

    curve: Curve
    words: str


def voi_candidates(
    dataset: Header, *, little_endian: bool, signed: bool, steps: Steps | None = None
) -> list[Voi]:
    """Return the VOI LUTs, then the windows (PS3.3 C.11.2), in their order.

    Tables that are empty, malformed or constant are omitted. So are windows that the standard does
    not allow: a width below 1 for LINEAR, of 0 or less for the others, or not a number. For LINEAR,
    width 1 is a step at the centre minus a half.
    """
    found = []
    for item in _items(dataset, "VOILUTSequence"):
        table = lookup_table(item, little_endian=little_endian, signed_input=signed)
        if table is None:
            _note(steps, "VOI", "a lookup table is empty, malformed or constant and was left out")
            continue
        words = f"lookup table of {table.entries.size} entries, {table.full_scale:g} is white"
        found.append(Voi(_over_full_scale(table), words))
    centres, widths = decimals(dataset, "WindowCenter"), decimals(dataset, "WindowWidth")
    function = _function(dataset)
    for number, centre in enumerate(centres):
        # Some writers give one width for several centres.
        width = widths[min(number, len(widths) - 1)] if widths else None
        if centre is None or width is None or width <= 0 or (function == "LINEAR" and width < 1):
            _note(steps, "VOI", f"window {number + 1} is not valid and was left out")
            continue
        found.append(
            Voi(_window(centre, width, function), f"window {centre:g} / {width:g}, {function}")
        )
    return found


def _over_full_scale(table: LookupTable) -> Curve:
    return lambda values: table(values) / table.full_scale


def _window(centre: float, width: float, function: str) -> Curve:
    # A separate data set: the output range then does not depend on the sign of the rescale slope or
    # on the sample format, and is the 16-bit range.
    window = Dataset()
    window.PhotometricInterpretation = "MONOCHROME2"
    window.BitsStored, window.PixelRepresentation = 16, 0
    window.WindowCenter, window.WindowWidth = _decimal(centre), _decimal(width)
    window.VOILUTFunction = function
    return lambda values: np.asarray(apply_windowing(values, window), np.float64) / 65_535.0


SHOWN: Final = 0.01
"""Least share of the pixels that a window must show between black and white."""
ONE_END: Final = 0.85
"""Largest share of the pixels that a window may make black, or white.

Noise in a border can be enough for `SHOWN`. A CT's window makes 97 % of a radiograph white; windows
of the radiographs in pydicom-data make up to 5 % black or white, of its CTs and MRs up to 72 %.
Pixels of the lowest and the highest value do not count, since they may be a frame or background.
"""


def chosen_voi(candidates: list[Voi], values: Values, steps: Steps | None = None) -> Voi | None:
    """Return the first candidate that shows enough of the values; None without one.

    Args:
        candidates: see `voi_candidates`.
        values: some thousand modality values of the image.

    A window for another kind of image, for example of a CT, makes nearly all pixels of a
    radiograph black or white, and is skipped. Images of few levels always use their window.
    """
    values = values[np.isfinite(values)]
    few = np.unique(values).size <= 16
    for candidate in candidates:
        if few:
            grey = candidate.curve(values)
            shows = not grey.size or np.ptp(grey) > 1 / 512 or np.ptp(values) == 0
        else:
            grey = candidate.curve(values)
            inside = np.count_nonzero((grey > 1 / 512) & (grey < 1 - 1 / 512))
            content = grey[(values > values.min()) & (values < values.max())]
            end = max(
                np.count_nonzero(content <= 1 / 512), np.count_nonzero(content >= 1 - 1 / 512)
            )
            shows = inside >= SHOWN * grey.size and end <= ONE_END * content.size
        if shows:
            _note(steps, "VOI", candidate.words)
            return candidate
        _note(steps, "VOI", f"{candidate.words}: shows nothing of this image and was left out")
    return None


def _function(dataset: Header) -> str:
    """Return the VOI LUT function; LINEAR, the default, for an unknown one."""
    function = (dataset.texts("VOILUTFunction") or [""])[0].strip(" \0").upper()
    return function if function in ("LINEAR_EXACT", "SIGMOID") else "LINEAR"


def _items(dataset: Header, keyword: str) -> list[Dataset]:
    try:
        return [item for item in dataset.get(keyword) or [] if isinstance(item, Dataset)]
    except RecursionError:
        raise
    except Exception:
        return []


def _note(steps: Steps | None, name: StepName, detail: str) -> None:
    if steps is not None:
        steps.append(Step(name, detail))


def _decimal(number: float) -> str:
    """Return a number as DICOM writes it (VR DS, at most 16 characters)."""
    return f"{number:.10g}"[:16]
