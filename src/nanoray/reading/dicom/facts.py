"""Facts of a header, none of which identifies a patient."""

from __future__ import annotations

import re
from datetime import datetime

from pydicom.uid import UID

from nanoray.reading.dicom import view
from nanoray.reading.dicom.frame import Frame
from nanoray.reading.dicom.header import Header
from nanoray.reading.dicom.values import code, decimals, text
from nanoray.reading.radiograph import Facts


def facts_of(header: Header, frame: Frame, syntax: UID, colour: bool) -> Facts:
    """Read the facts of a checked header."""
    sex = text(header, "PatientSex")
    return Facts(
        format="DICOM",
        rows=frame.rows,
        columns=frame.columns,
        bits_stored=frame.stored,
        photometric=frame.photometric,
        transfer_syntax=syntax.name,
        modality=code(text(header, "Modality")),
        body_part=view.body_part(header),
        view=view.view(header),
        sex=sex if sex in ("M", "F", "O") else None,
        age_years=_age(header),
        pixel_spacing_mm=_spacing(header),
        colour=colour,
        for_processing=(text(header, "PresentationIntentType") or "") == "FOR PROCESSING",
    )


def _age(header: Header) -> float | None:
    """Return the age in years from Patient's Age (VR AS), else from dates of birth and study."""
    match = re.fullmatch(r"(\d{1,3})([DWMY]?)", text(header, "PatientAge") or "")
    if match and (int(match[1]) or match[2] == "D"):
        # Systems write 000Y for an unknown age.
        years = int(match[1]) / {"D": 365.25, "W": 52.18, "M": 12.0, "Y": 1.0, "": 1.0}[match[2]]
        return years if years <= 130 else None
    try:
        born, studied = (
            datetime.strptime(text(header, name) or "", "%Y%m%d")
            for name in ("PatientBirthDate", "StudyDate")
        )
    except ValueError:
        return None
    years = (studied - born).days / 365.25
    return float(int(years * 10) / 10) if 0 <= years <= 130 else None


def _spacing(header: Header) -> tuple[float, float] | None:
    for name in ("PixelSpacing", "ImagerPixelSpacing", "NominalScannedPixelSpacing"):
        values = decimals(header, name)
        if len(values) >= 2 and all(value is not None and 0 < value < 100 for value in values[:2]):
            return values[0], values[1]  # type: ignore[return-value]
    return None


def pixel_aspect(header: Header) -> float | None:
    """Return height by width of a pixel, from its spacing, else Pixel Aspect Ratio (C.7.6.3.1.7).

    None if both are absent.
    """
    spacing = _spacing(header)
    if spacing is not None:
        return spacing[0] / spacing[1]
    ratio = decimals(header, "PixelAspectRatio")
    if len(ratio) == 2 and ratio[0] and ratio[1]:
        return ratio[0] / ratio[1]
    return None
