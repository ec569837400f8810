"""The contents of a structured report from `documents`, for interfaces beside DICOM."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from pydicom import Dataset

from nanoray.detecting.model_file import NOTICE

PROBABILITY: Final = ("122157", "DCM", "Probability")
OPACITY: Final = ("112033", "DCM", "Abnormal opacity")
PROCEDURE: Final = ("399208008", "SCT", "Plain X-ray of chest")
_GROUP, _TRACKING, _COMMENT = "125007", "112039", "121106"
_PRESENT: Final = "52101004"


@dataclass(frozen=True, slots=True)
class Observed:
    """The result on the study or on an image.

    Attributes:
        name: "Case", or "Image" with its number.
        presence: code, coding scheme and meaning of the presence of an opacity.
        probability: calibrated, 0..1.
        comments: on earlier radiographs.
    """

    name: str
    presence: tuple[str, str, str]
    probability: float
    comments: tuple[str, ...] = ()

    @property
    def present(self) -> bool:
        """Return whether an opacity is suspected."""
        return self.presence[0] == _PRESENT


def observed(document: Dataset) -> list[Observed]:
    """Return the results of a structured report, that on the study first."""
    found = []
    for group in _groups(document):
        items = {_code(item): item for item in group.ContentSequence}
        if PROBABILITY[0] not in items or OPACITY[0] not in items:
            continue
        presence = items[OPACITY[0]].ConceptCodeSequence[0]
        found.append(
            Observed(
                name=str(items[_TRACKING].TextValue),
                presence=(
                    str(presence.CodeValue),
                    str(presence.CodingSchemeDesignator),
                    str(presence.CodeMeaning),
                ),
                probability=float(items[PROBABILITY[0]].MeasuredValueSequence[0].NumericValue),
                comments=tuple(
                    str(item.TextValue) for item in group.ContentSequence if _code(item) == _COMMENT
                ),
            )
        )
    return found


def conclusion(document: Dataset) -> str:
    """Return the result on the study in a sentence, with the notice on research use."""
    found = observed(document)
    words = "Not processed"
    if found:
        words = f"Opacity on chest radiograph: {found[0].presence[2].lower()}"
    return f"{words}. {NOTICE}"


def moment(document: Dataset) -> datetime:
    """Return the time of the report; its zone is this machine's if the report names none."""
    offset = str(document.get("TimezoneOffsetFromUTC") or "")
    text = f"{document.ContentDate}{str(document.ContentTime)[:6]}"
    if offset:
        return datetime.strptime(text + offset, "%Y%m%d%H%M%S%z")
    return datetime.strptime(text, "%Y%m%d%H%M%S").astimezone()


def _groups(document: Dataset) -> list[Dataset]:
    return [
        group
        for container in document.ContentSequence
        if "ContentSequence" in container
        for group in container.ContentSequence
        if _code(group) == _GROUP
    ]


def _code(item: Dataset) -> str:
    name = item.get("ConceptNameCodeSequence")
    return str(name[0].CodeValue) if name else ""
