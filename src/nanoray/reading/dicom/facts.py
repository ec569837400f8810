"""Facts of a header, none of which identifies a patient."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Final

from pydicom.uid import UID

from nanoray.reading.dicom import view
from nanoray.reading.dicom.frame import Frame
from nanoray.reading.dicom.header import Header
from nanoray.reading.dicom.values import code, decimals, text, words
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
        child=view.means_child(header),
        for_processing=words(text(header, "PresentationIntentType")) == ["FOR", "PROCESSING"],
    )


# A number and a unit, also as words, with spaces or as ISO 8601 writes a duration. "J" alone is not
# read: it stands for years in German and for days in French.
_AGE: Final = re.compile(r"P?(\d{1,5}(?:[.,]\d+)?)\s*([^\d\W]*)\.?")
_UNITS: Final = {
    **dict.fromkeys(("D", "DAY", "DAYS", "TAGE", "JOURS", "DIAS", "GIORNI"), 365.25),
    **dict.fromkeys(("W", "WK", "WKS", "WEEK", "WEEKS", "WOCHEN"), 52.18),
    **dict.fromkeys(("M", "MO", "MON", "MOS", "MONTH", "MONTHS", "MONATE", "MOIS", "MESES"), 12.0),
    **dict.fromkeys(("", "Y", "YO", "YR", "YRS", "YEAR", "YEARS", "JAHR", "JAHRE"), 1.0),
    **dict.fromkeys(("A", "AN", "ANS", "ANNI", "ANOS", "AÑOS"), 1.0),
}
"""Units in a year, by the words for them."""
_DATES: Final = ("StudyDate", "SeriesDate", "AcquisitionDate", "ContentDate")


def _age(header: Header) -> float | None:
    """Return the age in years from Patient's Age (VR AS), else from dates of birth and study."""
    match = _AGE.fullmatch(text(header, "PatientAge") or "")
    per_year = _UNITS.get(match[2]) if match else None
    if match and per_year:
        number = float(match[1].replace(",", "."))
        # Systems write 000Y for an unknown age.
        if number or per_year > 100:
            return number / per_year if number / per_year <= 130 else None
    born = _date(text(header, "PatientBirthDate"))
    studied = next(filter(None, (_date(text(header, name)) for name in _DATES)), None)
    if born is None or studied is None:
        return None
    years = (studied - born).days / 365.25
    return float(int(years * 10) / 10) if 0 <= years <= 130 else None


def _date(written: str | None) -> datetime | None:
    """Read a date (VR DA), also in the form of ACR-NEMA (2015.03.01) or ISO 8601."""
    match = re.fullmatch(r"(\d{4})([.-]?)(\d{2})\2(\d{2})", written or "")
    try:
        return datetime(int(match[1]), int(match[3]), int(match[4])) if match else None
    except ValueError:
        return None


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
