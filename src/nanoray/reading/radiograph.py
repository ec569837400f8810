"""What reading a file gives: the pixels of a radiograph, and the facts that came with them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Pixels: TypeAlias = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Facts:
    """Facts of a stored radiograph that identify nobody.

    Attributes:
        format: "DICOM", "PNG", "JPEG", "TIFF" or "array".
        rows, columns: size of the stored image in pixels, after EXIF rotation.
        bits_stored: significant bits of a stored sample.
        photometric: PhotometricInterpretation (DICOM PS3.3 C.7.6.3.1.2); None outside DICOM.
        transfer_syntax: name of the transfer syntax (PS3.5); None outside DICOM.
        modality: for example "CR", "DX"; None if absent.
        body_part: BodyPartExamined in upper case; None if absent.
        view: ViewPosition in upper case, for example "PA", "AP", "LL"; None if absent.
        sex: "M", "F" or "O"; None if absent.
        age_years: the patient's age in years; None if absent or malformed.
        pixel_spacing_mm: (row, column) spacing in millimetres; None if absent.
        colour: whether the stored image has colour that a grey image could not hold.
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


@dataclass(frozen=True, slots=True)
class Radiograph:
    """A radiograph ready to look at.

    Attributes:
        pixels: float32 [H, W] in 0..1, bright bone on dark. H and W are smaller than
            `facts.rows` and `facts.columns` where the file was decoded at a reduced scale.
        facts: what the file says of itself.
    """

    pixels: Pixels
    facts: Facts
