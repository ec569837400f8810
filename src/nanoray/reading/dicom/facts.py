"""Facts of a header that identify nobody."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any

from pydicom.uid import UID

from nanoray.reading.dicom import view
from nanoray.reading.dicom.frame import Frame
from nanoray.reading.dicom.values import code, text
from nanoray.reading.radiograph import Facts


def facts_of(header: Any, frame: Frame, syntax: UID, colour: bool) -> Facts:
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
    )


def _age(header: Any) -> float | None:
    """Age in years from Patient's Age (VR AS), else from the dates of birth and study."""
    match = re.fullmatch(r"(\d{1,3})([DWMY]?)", text(header, "PatientAge") or "")
    if match:
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


def _spacing(header: Any) -> tuple[float, float] | None:
    for name in ("PixelSpacing", "ImagerPixelSpacing", "NominalScannedPixelSpacing"):
        try:
            down, across = (float(value) for value in header[name].value)
        except Exception:
            continue
        if 0 < down < 100 and 0 < across < 100:
            return down, across
    return None
