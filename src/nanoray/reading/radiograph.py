"""The result of reading a file: the pixels of a radiograph, and facts of the file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from nanoray.reading.steps import Step

Pixels: TypeAlias = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Facts:
    """Facts of a stored radiograph, none of which identifies a patient.

    Attributes:
        format: "DICOM", "PNG", "JPEG", "TIFF" or "array".
        rows, columns: size of the stored image in pixels, after turning by `orientation`.
        bits_stored: significant bits of a stored sample.
        photometric: PhotometricInterpretation (DICOM PS3.3 C.7.6.3.1.2); None outside DICOM.
        transfer_syntax: name of the transfer syntax (PS3.5); None outside DICOM.
        modality: for example "CR", "DX"; None if absent.
        body_part: BodyPartExamined in upper case; None if absent.
        view: ViewPosition in upper case, for example "PA", "AP", "LL"; None if absent.
        sex: "M", "F" or "O"; None if absent.
        age_years: the patient's age in years; None if absent or malformed.
        pixel_spacing_mm: (row, column) spacing of the pixels in millimetres, after turning by
            `orientation`; None if absent.
        colour: whether the stored image has colours other than grey.
        orientation: EXIF orientation (Exif 2.32, tag 0x0112) by which the stored image was turned
            upright, from EXIF or DICOM's Patient Orientation, and the pose that the detector
            corrected; 1 is unchanged.
        child: whether a description or the body part means a child.
        for_processing: whether Presentation Intent Type (DICOM PS3.3 C.8.11.1) is raw data.
    """

    format: str
    rows: int
    columns: int
    bits_stored: int
    photometric: str | None = None
    transfer_syntax: str | None = None
    modality: str | None = None
    body_part: str | None = None
    view: str | None = None
    sex: str | None = None
    age_years: float | None = None
    pixel_spacing_mm: tuple[float, float] | None = None
    colour: bool = False
    orientation: int = 1
    for_processing: bool = False
    child: bool = False


@dataclass(frozen=True, slots=True)
class Line:
    """A greyscale curve that is linear between black and white, like most windows.

    Means of grey values are then means of clipped samples. Vector instructions compute them in half
    the time of a table look-up.

    Attributes:
        black, white: stored values of the grey values 0 and 1; values beyond are clipped.
        signed: whether the stored integers are signed.
        unused: number of highest bits of each integer to ignore.
    """

    black: float
    white: float
    signed: bool = False
    unused: int = 0

    def above_black(self, stored: NDArray[Any]) -> Pixels:
        """Return clipped stored values minus black: grey values times (white minus black)."""
        bits = 8 * stored.dtype.itemsize - self.unused
        least, most = 0, (1 << bits) - 1
        if self.signed:
            stored = stored.view(f"i{stored.dtype.itemsize}")
            least, most = -(1 << (bits - 1)), (1 << (bits - 1)) - 1
            if self.unused:
                stored = (stored << self.unused) >> self.unused
        elif self.unused:
            stored = stored & stored.dtype.type(most)
        values: Pixels = stored.astype(np.float32)
        if min(self.black, self.white) > least:
            np.maximum(values, np.float32(min(self.black, self.white)), out=values)
        if max(self.black, self.white) < most:
            np.minimum(values, np.float32(max(self.black, self.white)), out=values)
        if self.black:
            values -= np.float32(self.black)
        return values


_EIGHT_BITS = Line(0.0, 255.0)


@dataclass(frozen=True, slots=True)
class Samples:
    """Stored samples with their greyscale curve.

    The grey values are looked up when needed. Those of a large frame would need more memory than
    the rest of the reading.

    Attributes:
        stored: unsigned integers [H, W] of 8 or 16 bits.
        curve: float32, the grey value in 0..1 of each possible integer of `stored`; None if it is a
            255th of the integer.
        line: the curve as a line, if it is known to be linear.
    """

    stored: NDArray[Any]
    curve: Pixels | None
    line: Line | None = None

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        rows, columns = self.stored.shape
        return rows, columns

    @property
    def straight(self) -> Line | None:
        """The curve as a line; None if it is not known to be linear."""
        return _EIGHT_BITS if self.curve is None else self.line

    def __getitem__(self, rows: slice) -> Pixels:
        """Look up the grey values, float32 [h, W], of some rows."""
        stored = self.stored[rows]
        if self.curve is None:
            grey: Pixels = np.divide(stored, np.float32(255), dtype=np.float32)
            return grey
        # "clip" avoids a check of each index; every index has an entry.
        return self.curve.take(stored, mode="clip")

    @property
    def pixels(self) -> Pixels:
        """Look up the grey values of all rows, float32 [H, W]."""
        pixels = np.empty(self.shape, np.float32)
        # In steps, since numpy converts indices to 64 bits each.
        for top in range(0, len(pixels), _ROWS):
            pixels[top : top + _ROWS] = self[top : top + _ROWS]
        return pixels


_ROWS = 64

Grey: TypeAlias = Pixels | Samples
"""Grey values [H, W] in 0..1, or samples with a curve."""


@dataclass(frozen=True, slots=True)
class Radiograph:
    """A radiograph as grey values.

    Attributes:
        grey: the grey values, or samples. Height and width are smaller than `facts.rows` and
            `facts.columns` if the file was decoded at a reduced scale.
        facts: metadata of the file.
        steps: steps from the file to grey values.
    """

    grey: Grey
    facts: Facts
    steps: tuple[Step, ...] = ()

    @property
    def pixels(self) -> Pixels:
        """float32 [H, W] in 0..1, bright bone on dark; computed at each access."""
        return self.grey.pixels if isinstance(self.grey, Samples) else self.grey
