"""The view, the body part and the kind of patient that a header states."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from nanoray.reading.dicom import orientation, vocabulary
from nanoray.reading.dicom.header import Header
from nanoray.reading.dicom.values import code, text, words
from nanoray.reading.dicom.vocabulary import (
    is_chest,
    is_lateral,
    is_oblique,
    known_view,
    says_lateral,
)

# DX View (PS3.16 CID 4010), in SNOMED CT and in the SRT codes before it.
_VIEWS: Final = {
    "399348003": "AP",
    "R-10206": "AP",
    "272479007": "PA",
    "R-10214": "PA",
    "R-40888": "PA",
    "399173006": "LL",
    "R-10236": "LL",
    "399198007": "RL",
    "R-10232": "RL",
    "399067008": "LATERAL",
    "R-102CD": "LATERAL",
}
# Chest (PS3.16 CID 4009), in SNOMED CT and in the SRT code before it.
_CHEST: Final = ("51185008", "816094009", "T-D3000")
_DESCRIPTIONS: Final = (
    "SeriesDescription",
    "ProtocolName",
    "AcquisitionDeviceProcessingDescription",
)

_CHILD: Final = (
    *_DESCRIPTIONS,
    "StudyDescription",
    "RequestedProcedureDescription",
    "PerformedProcedureStepDescription",
    "BodyPartExamined",
)


def view(header: Header) -> str | None:
    """Find the view: View Position, its code, Patient Orientation, or a description.

    Patient Orientation from front to back rules over AP and PA, which are defaults of many devices.
    Of free text only the words of views are used.
    """
    written = _meant(header, "ViewPosition", lambda read: is_lateral(read) or is_oblique(read))
    stated = (code(written) or known_view(written)) if written else None
    stated = stated or _coded_view(header)
    if is_lateral(stated) or is_oblique(stated):
        return stated
    if orientation.is_lateral(orientation.directions(header.texts("PatientOrientation"))):
        return "LATERAL"
    if stated:
        return stated
    described = any(
        says_lateral(read) for keyword in _DESCRIPTIONS for read in _readings(header, keyword)
    )
    return "LATERAL" if described else None


def means_child(header: Header) -> bool:
    """Return whether a description of the study or series, or the body part, means a child."""
    texts = (read for keyword in _CHILD for read in _readings(header, keyword))
    region = header.coded("AnatomicRegionSequence")
    meaning = None if region is None else text(region, "CodeMeaning")
    return any(map(vocabulary.means_child, texts)) or vocabulary.means_child(meaning)


def body_part(header: Header) -> str | None:
    """Return Body Part Examined, else the Anatomic Region; None if both are absent."""
    written = _meant(header, "BodyPartExamined", is_chest)
    if not written:
        region = header.coded("AnatomicRegionSequence")
        if region is None:
            return None
        if text(region, "CodeValue") in _CHEST:
            return "CHEST"
        written = text(region, "CodeMeaning")
    if code(written):
        return written
    if is_chest(written):
        return "CHEST"
    short = _short(words(written))
    # The words that do not fit say which bone.
    return "SPINE OR STERNUM" if is_chest(short) else short


def _meant(header: Header, keyword: str, means: Callable[[str], bool]) -> str | None:
    """Return a text, in a code page that is not stated if only there it has a known meaning."""
    readings = list(_readings(header, keyword))
    return next(filter(means, readings), readings[0] if readings else None)


def _readings(header: Header, keyword: str) -> Iterator[str]:
    """Yield a text as its header states it, then in code pages that are not stated."""
    written = text(header, keyword)
    if written is not None:
        yield written
        yield from header.legacy_readings(keyword)


def _short(tokens: list[str]) -> str | None:
    """Return as many whole words as fit into a code string; a longer first word is cut."""
    kept = ""
    for token in tokens:
        longer = f"{kept} {token}".strip()
        if len(longer) > 16:
            break
        kept = longer
    return kept or (tokens[0][:16] if tokens else None)


def _coded_view(header: Header) -> str | None:
    """Return the view by View Code Sequence (PS3.3 C.8.11.5.1.1)."""
    item = header.coded("ViewCodeSequence")
    if item is None:
        return None
    known = _VIEWS.get(text(item, "CodeValue") or "")
    return known or ("LATERAL" if says_lateral(text(item, "CodeMeaning")) else None)
