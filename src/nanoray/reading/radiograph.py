"""What reading a file gives: the pixels of a radiograph, and the facts that came with them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from nanoray.reading.steps import Step

Pixels: TypeAlias = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Facts:
    """Facts of a stored radiograph that identify nobody.

    Attributes:
        format: "DICOM", "PNG", "JPEG", "TIFF" or "array".
        rows, columns: size of the stored image in pixels, after it was turned by `orientation`.
        bits_stored: significant bits of a stored sample.
        photometric: PhotometricInterpretation (DICOM PS3.3 C.7.6.3.1.2); None outside DICOM.
        transfer_syntax: name of the transfer syntax (PS3.5); None outside DICOM.
        modality: for example "CR", "DX"; None if absent.
        body_part: BodyPartExamined in upper case; None if absent.
        view: ViewPosition in upper case, for example "PA", "AP", "LL"; None if absent.
        sex: "M", "F" or "O"; None if absent.
        age_years: the patient's age in years; None if absent or malformed.
        pixel_spacing_mm: (row, column) spacing of the stored pixels in millimetres; None if absent.
        colour: whether the stored image has colour that a grey image could not hold.
        orientation: EXIF orientation (Exif 2.32, tag 0x0112) by which the stored image was turned
            upright: by EXIF, or by DICOM's Patient Orientation; 1 is as it was stored.
        for_processing: whether Presentation Intent Type (DICOM PS3.3 C.8.11.1) says raw data.
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


@dataclass(frozen=True, slots=True)
class Line:
    """A greyscale curve that is a line between black and white, as most windows are.

    Means of grey values are then means of clipped samples, which vector instructions take in half
    the time of a look-up in a table.

    Attributes:
        black, white: stored values of the grey values 0 and 1; values beyond are clipped.
        signed: whether the stored integers are signed.
        unused: highest bits of each integer that are to be ignored.
    """

    black: float
    white: float
    signed: bool = False
    unused: int = 0

    def above_black(self, stored: NDArray[Any]) -> Pixels:
        """Return clipped stored values less the black one: grey values times white less black."""
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
    """Stored samples and the greyscale curve through which they are seen.

    The grey values are looked up as they are needed: those of a large frame would have more bytes
    than all the rest of reading it.

    Attributes:
        stored: unsigned integers [H, W] of 8 or 16 bits.
        curve: float32, the grey value in 0..1 of each integer that `stored` can hold; None where
            that is a 255th of the integer.
        line: the same as a line, where the curve is one and is known to be.
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
        """The curve as a line; None where it is none, or is not known to be."""
        return _EIGHT_BITS if self.curve is None else self.line

    def __getitem__(self, rows: slice) -> Pixels:
        """Grey values, float32 [h, W], of some rows."""
        stored = self.stored[rows]
        if self.curve is None:
            grey: Pixels = np.divide(stored, np.float32(255), dtype=np.float32)
            return grey
        # "clip" needs no check of each index; there is an entry for every one.
        return self.curve.take(stored, mode="clip")

    @property
    def pixels(self) -> Pixels:
        """Grey values of all rows, float32 [H, W]."""
        pixels = np.empty(self.shape, np.float32)
        # numpy turns indices into 64 bits each, so not all at once.
        for top in range(0, len(pixels), _ROWS):
            pixels[top : top + _ROWS] = self[top : top + _ROWS]
        return pixels


_ROWS = 64

Grey: TypeAlias = Pixels | Samples
"""Grey values [H, W] in 0..1, or the samples that they are looked up for."""


@dataclass(frozen=True, slots=True)
class Radiograph:
    """A radiograph ready to look at.

    Attributes:
        grey: the grey values, or samples. Height and width are smaller than `facts.rows` and
            `facts.columns` where the file was decoded at a reduced scale.
        facts: metadata of the file.
        steps: how the file became grey values.
    """

    grey: Grey
    facts: Facts
    steps: tuple[Step, ...] = ()

    @property
    def pixels(self) -> Pixels:
        """float32 [H, W] in 0..1, bright bone on dark; looked up anew each time."""
        return self.grey.pixels if isinstance(self.grey, Samples) else self.grey
