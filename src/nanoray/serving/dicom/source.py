"""The attributes of an image's header for a report, normalised and in UTF-8."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from hashlib import sha256
from pathlib import Path
from typing import Any, Final
from uuid import UUID, uuid5

from pydicom import Dataset, config, dcmread
from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataelem import RawDataElement

from nanoray.reading.quiet import quiet
from nanoray.serving.dicom.text import age_text, date_text, decode, encodings, time_text
from nanoray.serving.dicom.uids import is_uid

IDENTITY: Final = (
    "PatientName",
    "PatientID",
    "IssuerOfPatientID",
    "PatientBirthDate",
    "PatientSex",
    "PatientAge",
    "AccessionNumber",
    "StudyID",
    "StudyDate",
    "StudyTime",
    "StudyDescription",
    "ReferringPhysicianName",
)
"""Attributes of the patient and the study, repeated in every object of the study."""

SPACING: Final = ("PixelSpacing", "ImagerPixelSpacing", "NominalScannedPixelSpacing")
_COPIED: Final = (
    "SOPClassUID",
    "SOPInstanceUID",
    "StudyInstanceUID",
    "SeriesInstanceUID",
    *IDENTITY,
    "Modality",
    "TimezoneOffsetFromUTC",
    "PatientOrientation",
    "LossyImageCompression",
    "LossyImageCompressionRatio",
    "LossyImageCompressionMethod",
    *SPACING,
    "PixelSpacingCalibrationType",
)
_NUMBERS: Final = ("Rows", "Columns")
_SEQUENCES: Final = ("RequestAttributesSequence", "ReferencedRequestSequence")
# Identifiers keep all their values, since a part of an identifier is another identifier.
_WHOLE: Final = ("PatientName", "PatientID", "IssuerOfPatientID", "AccessionNumber", "StudyID")
_SEVERAL: Final = (
    *_WHOLE,
    "PatientOrientation",
    *SPACING,
    "LossyImageCompressionRatio",
    "LossyImageCompressionMethod",
)
_EMPTY_IF_ABSENT: Final = (
    "PatientName",
    "PatientID",
    "PatientBirthDate",
    "PatientSex",
    "AccessionNumber",
    "StudyID",
    "StudyDate",
    "StudyTime",
    "ReferringPhysicianName",
)
_LOSSY: Final = tuple(f"1.2.840.10008.1.2.4.{number}" for number in (50, 51, 81))
_TEXT_VRS: Final = ("LO", "LT", "PN", "SH", "ST", "UC", "UT")
# Name space of UIDs for images without a series.
_SERIES: Final = UUID("7c0ea2a5-54f1-49f9-9b5e-3f1c9b3c3a37")
_REQUEST: Final = (
    "StudyInstanceUID",
    "AccessionNumber",
    "RequestedProcedureID",
    "RequestedProcedureDescription",
    "ScheduledProcedureStepID",
    "PlacerOrderNumberImagingServiceRequest",
    "FillerOrderNumberImagingServiceRequest",
)


def header(path: str | Path, keywords: Iterable[str] = (*_COPIED, *_NUMBERS, *_SEQUENCES)) -> Any:
    """Read some attributes of a DICOM file's header, undecoded; the file meta information too."""
    from nanoray.reading.dicom.container import data_set

    with quiet():
        # Deflated data sets are inflated within the reader's limits.
        given = data_set(Path(path).read_bytes())
        given.stream.seek(0)
        read = dcmread(
            given.stream,
            stop_before_pixels=True,
            force=True,
            specific_tags=["SpecificCharacterSet", *keywords],
        )
        read.file_meta.TransferSyntaxUID = given.syntax or read.file_meta.get("TransferSyntaxUID")
    return read


def values(data_set: Any, keyword: str, declared: list[str] | None = None) -> list[str]:
    """Return an attribute's values as text, an empty list if it is absent or empty.

    Args:
        data_set: from `header`.
        keyword: of an attribute with text as value representation.
        declared: its encodings; the default is the data set's.
    """
    tag = tag_for_keyword(keyword)
    if tag is None or tag not in data_set:
        return []
    if declared is None:
        declared = character_sets(data_set)
    element: Any = data_set.get_item(tag)
    try:
        raw = element.value
        if isinstance(element, RawDataElement) and isinstance(raw, bytes):
            text = decode(raw, declared if dictionary_VR(tag) in _TEXT_VRS else ["ascii"])
        elif raw is None:
            return []
        else:
            several = hasattr(raw, "__iter__") and not isinstance(raw, str | bytes)
            text = "\\".join(map(str, raw)) if several and keyword != "PatientName" else str(raw)
    except Exception:
        # Any error in the value: it is omitted.
        return []
    parts = [part.strip() for part in text.split("\\")]
    return parts if any(parts) else []


def first(data_set: Any, keyword: str) -> str:
    """Return an attribute's first non-empty value, or ""."""
    return next((value for value in values(data_set, keyword) if value), "")


def character_sets(data_set: Any) -> list[str]:
    """Return the declared Python encodings of a data set."""
    tag = tag_for_keyword("SpecificCharacterSet")
    element: Any = data_set.get_item(tag) if tag in data_set else None
    raw = None if element is None else element.value
    if raw is None:
        return ["ascii"]
    if isinstance(raw, bytes):
        raw = raw.decode("latin-1").split("\\")
    return encodings([raw] if isinstance(raw, str) else [str(term) for term in raw])


def patient_key(data_set: Any) -> str:
    """Return a digest of the image's patient, which is only compared and never shown.

    It is of the identifier with its issuer; without one, of the name and the date of birth.
    """
    parts = [*values(data_set, "PatientID"), "@", *values(data_set, "IssuerOfPatientID")]
    if not values(data_set, "PatientID"):
        name = first(data_set, "PatientName").upper()
        parts = ["name", name, date_text(first(data_set, "PatientBirthDate"))]
    return sha256("\0".join(parts).encode()).hexdigest()


def source(path: str | Path) -> Dataset:
    """Read the attributes for a report on an image, as a data set in UTF-8.

    Invalid values (an impossible date, a malformed age) are empty or omitted.
    """
    with as_it_is():
        return _source(header(path))


def _source(read: Any) -> Dataset:
    found = Dataset()
    found.SpecificCharacterSet = "ISO_IR 192"
    for keyword in _COPIED:
        given = [value for value in values(read, keyword) if value or keyword in _SEVERAL]
        if given:
            setattr(found, keyword, given if keyword in _SEVERAL and len(given) > 1 else given[0])
    for keyword in _EMPTY_IF_ABSENT:
        if keyword not in found:
            setattr(found, keyword, "")
    for keyword in _NUMBERS:
        number = read.get(keyword)
        setattr(found, keyword, number if isinstance(number, int) and number > 0 else 0)
    if str(read.file_meta.get("TransferSyntaxUID", "")) in _LOSSY:
        found.LossyImageCompression = "01"
    _mend_times(found)
    _mend_geometry(found)
    if found.PatientSex not in ("M", "F", "O", ""):
        found.PatientSex = ""
    if not is_uid(str(found.get("SeriesInstanceUID", ""))):
        # References need a series. Its UID is derived from the image's, so it is always the same.
        made = uuid5(_SERIES, str(found.get("SOPInstanceUID", "")))
        found.SeriesInstanceUID = f"2.25.{made.int}"
    requests = [
        request
        for keyword in _SEQUENCES
        for item in (read.get(keyword) or ())
        if (request := _request(item, character_sets(read)))
    ]
    if requests:
        found.RequestAttributesSequence = requests
    return found


def _mend_times(found: Dataset) -> None:
    """Remove invalid dates, times and ages."""
    for keyword in ("PatientBirthDate", "StudyDate"):
        setattr(found, keyword, date_text(str(found[keyword].value)))
    found.StudyTime = time_text(str(found.StudyTime))
    if age := age_text(str(found.get("PatientAge", ""))):
        found.PatientAge = age
    else:
        found.pop("PatientAge", None)
    if not re.fullmatch(r"[+-]\d{4}", str(found.get("TimezoneOffsetFromUTC", ""))):
        found.pop("TimezoneOffsetFromUTC", None)


def _mend_geometry(found: Dataset) -> None:
    """Remove invalid spacings and orientations."""
    for keyword in SPACING:
        if keyword in found:
            spacing = _spacing(found[keyword].value)
            if spacing is None:
                del found[keyword]
            else:
                setattr(found, keyword, spacing)
    if len(_several(found.get("PatientOrientation"))) != 2:
        found.pop("PatientOrientation", None)


def plain(source: Dataset) -> Dataset:
    """Return the attributes of an image for highdicom, without values that it would refuse.

    `repeat` adds the others to the resulting object.
    """
    found = Dataset()
    for keyword in ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID"):
        setattr(found, keyword, source[keyword].value)
    for keyword in _EMPTY_IF_ABSENT:
        setattr(found, keyword, "")
    found.Modality = source.get("Modality") or "DX"
    found.Rows, found.Columns = int(source.Rows or 1), int(source.Columns or 1)
    return found


def repeat(source: Dataset, document: Dataset, made: datetime) -> None:
    """Put the patient and the study of an image into an object, and date the object.

    The study's dates are local times of the department, and so are the object's. The time zone is
    the source's, if stated, else this machine's, without being stated.

    Args:
        source: from `source`.
        document: an object of the same study, which is modified.
        made: time, equal at each attempt.
    """
    for keyword in IDENTITY:
        if keyword in source:
            document[keyword] = source[keyword]
        elif keyword not in _EMPTY_IF_ABSENT:
            document.pop(keyword, None)
    document.SpecificCharacterSet = "ISO_IR 192"
    document.pop("TimezoneOffsetFromUTC", None)
    local = made.astimezone()
    offset = source.get("TimezoneOffsetFromUTC")
    if offset:
        minutes = int(offset[1:3]) * 60 + int(offset[3:5])
        minutes = -minutes if offset[0] == "-" else minutes
        local = made.astimezone(timezone(timedelta(minutes=minutes)))
        document.TimezoneOffsetFromUTC = offset
    names = ["InstanceCreation", "Series"]
    # A presentation state has a separate date (PS3.3 C.11.10).
    names.append("PresentationCreation" if document.Modality == "PR" else "Content")
    for name in names:
        setattr(document, f"{name}Date", local.strftime("%Y%m%d"))
        setattr(document, f"{name}Time", local.strftime("%H%M%S"))
    for item in document.get("ContributingEquipmentSequence", ()):
        item.ContributionDateTime = local.strftime("%Y%m%d%H%M%S")


@contextmanager
def as_it_is() -> Iterator[None]:
    """Let pydicom accept the sender's values, even if the standard does not allow them."""
    before = config.settings.writing_validation_mode
    config.settings.writing_validation_mode = config.IGNORE
    try:
        yield
    finally:
        config.settings.writing_validation_mode = before


def _several(value: Any) -> list[Any]:
    if value is None or value == "":
        return []
    return [value] if isinstance(value, str) or not hasattr(value, "__iter__") else list(value)


def _spacing(value: Any) -> list[float] | None:
    try:
        rows, columns = (float(part) for part in _several(value))
    except (TypeError, ValueError):
        return None
    if not (0 < rows < 1000 and 0 < columns < 1000):
        return None
    return [rows, columns]


def _request(item: Any, declared: list[str]) -> Dataset | None:
    """Return the reason for the examination from a request; None without one."""
    request = Dataset()
    if "SpecificCharacterSet" in item:
        declared = character_sets(item)
    for keyword in _REQUEST:
        if text := "\\".join(values(item, keyword, declared)):
            setattr(request, keyword, text)
    return request if len(request) else None
