"""DICOM objects with the detector's results, made in the reading processes.

A setting selects them: a structured report on the study, and for each image a Secondary Capture, a
Segmentation of the region and a presentation state. All belong to the study of the images.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from pydicom import Dataset, dcmread

from nanoray.errors import UnreadableError
from nanoray.reading.quiet import quiet
from nanoray.serving.dicom.findings import Finding
from nanoray.serving.dicom.settings import KINDS, Kind
from nanoray.serving.dicom.source import as_it_is, first, header, patient_key, repeat, source
from nanoray.serving.dicom.uids import is_uid, uid_of

_PIXELS: Final = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")


@dataclass(frozen=True, slots=True)
class Identified:
    """Identity of an image and its patient; `error` is a short code if unknown."""

    study_uid: str = ""
    sop_uid: str = ""
    sop_class: str = ""
    patient_key: str = ""
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Identify:
    """A task for a reading process: the UIDs of a DICOM file, and its patient."""

    path: str
    timeout: float

    def run(self) -> Identified:
        """Read the UIDs."""
        try:
            read = header(
                self.path,
                (
                    "StudyInstanceUID",
                    "SOPInstanceUID",
                    "SOPClassUID",
                    "PatientID",
                    "IssuerOfPatientID",
                    "PatientName",
                    "PatientBirthDate",
                ),
            )
            uids = [
                first(read, keyword)
                for keyword in ("StudyInstanceUID", "SOPInstanceUID", "SOPClassUID")
            ]
            if not all(is_uid(uid) for uid in uids):
                return Identified(error="uid")
            study, sop, sop_class = uids
            return Identified(study, sop, sop_class, patient_key(read))
        except Exception:
            # Any error; its message may quote the header.
            return Identified(error="malformed-dicom")


@dataclass(frozen=True, slots=True)
class Compare:
    """A task for a reading process: whether two DICOM files are the same image.

    Attributes:
        old, new: the files, with one SOP Instance UID.
    """

    old: str
    new: str
    timeout: float

    def run(self) -> str:
        """Compare them.

        Returns:
            "same"; "pixels" or "header" if the new one corrects the old one; "other" if it is of
            another patient or study; "gone" if the old one is unreadable.
        """
        try:
            before = _content(self.old)
        except Exception:
            return "gone"
        after = _content(self.new)
        if before[:2] != after[:2]:
            return "other"
        if before[2] != after[2]:
            return "pixels"
        return "same" if before[3] == after[3] else "header"


def _content(path: str) -> tuple[str, str, object, object]:
    """Return patient, study, picture and the other parts of a DICOM file's identity."""
    with quiet():
        read = header(path)
        whole = dcmread(io.BytesIO(Path(path).read_bytes()), force=True)
        picture = (
            tuple(whole[keyword].value for keyword in _PIXELS if keyword in whole),
            tuple(str(whole.get(keyword)) for keyword in ("Rows", "Columns", "BitsStored")),
        )
        own = source(path)
    identity = {
        keyword: str(own.get(keyword, ""))
        for keyword in ("PatientName", "PatientBirthDate", "PatientSex", "AccessionNumber")
    }
    return patient_key(read), first(read, "StudyInstanceUID"), picture, identity


@dataclass(frozen=True, slots=True)
class Written:
    """DICOM files, the report first; `error` is a short code if they could not be made."""

    files: list[bytes] = field(default_factory=list)
    error: str | None = None


@dataclass(frozen=True, slots=True)
class WriteReport:
    """A task for a reading process: the objects of the report on a study.

    Attributes:
        report: id of the report, from which its UIDs are derived: a repeated report has the same.
        case: name of the study and its patient, for UIDs that are equal in all its reports.
        findings: of the study's images, at least one.
        kinds: objects to make.
        localise: whether they show the location of the evidence.
        plane: whether a Segmentation has a nominal plane.
        predecessor: file of the report that this one replaces.
        made: when.
        timeout: largest duration in seconds.
    """

    report: str
    case: str
    findings: tuple[Finding, ...]
    made: datetime
    timeout: float
    kinds: tuple[Kind, ...] = KINDS
    localise: bool = True
    plane: bool = False
    predecessor: str | None = None

    def run(self) -> Written:
        """Write the objects."""
        try:
            with quiet(), as_it_is():
                return Written([_encoded(item) for item in self._write()])
        except UnreadableError as error:
            return Written(error=error.code)
        except Exception:
            # Messages of the libraries may quote the header.
            return Written(error="document")

    def _write(self) -> list[Dataset]:
        sources = [source(finding.path) for finding in self.findings]
        made: list[tuple[Dataset, Dataset]] = []
        if "sr" in self.kinds:
            made.append((sources[0], self._report(sources)))
        for number, (finding, of) in enumerate(zip(self.findings, sources, strict=True), 1):
            # The objects of images in the previous report have not changed.
            if finding.excluded is None and finding.new:
                made += [(of, item) for item in self._of_image(finding, of, number)]
            elif finding.new and "sc" in self.kinds and "sr" not in self.kinds:
                made.append((of, self._status_note(finding, of, number)))
        for of, item in made:
            repeat(of, item, self.made)
        return [item for _, item in made]

    def _report(self, sources: Sequence[Dataset]) -> Dataset:
        from nanoray.serving.dicom.structured_report import structured_report

        before = None
        if self.predecessor is not None:
            before = header(self.predecessor)
        tracking = [uid_of(str(of.SOPInstanceUID), "tracking") for of in sources]
        return structured_report(
            self.findings,
            sources,
            uid=self._uid("sr"),
            series_uid=self._uid("sr-series"),
            tracking_uids=[uid_of(self.case, "case"), *tracking],
            predecessor=before,
            localise=self.localise,
        )

    def _status_note(self, finding: Finding, of: Dataset, number: int) -> Dataset:
        """Return the note on an image without a decision, if no report mentions it."""
        from nanoray.serving.dicom.secondary_capture import status_note

        return status_note(
            finding,
            of,
            uid=self._uid("sc", str(of.SOPInstanceUID)),
            series_uid=self._uid("sc-series"),
            number=number,
        )

    def _of_image(self, finding: Finding, of: Dataset, number: int) -> list[Dataset]:
        found = []
        name = str(of.SOPInstanceUID)
        # A result from a time without maps has none.
        localise = self.localise and bool(finding.heatmap)
        if "sc" in self.kinds:
            from nanoray.serving.dicom.secondary_capture import secondary_capture

            found.append(
                secondary_capture(
                    finding,
                    of,
                    uid=self._uid("sc", name),
                    series_uid=self._uid("sc-series"),
                    number=number,
                    localise=localise,
                    timeout=self.timeout,
                )
            )
        if "seg" in self.kinds and finding.suspected and localise:
            from nanoray.serving.dicom.segmentation import segmentation

            found.append(
                segmentation(
                    finding,
                    of,
                    uid=self._uid("seg", name),
                    series_uid=self._uid("seg-series"),
                    number=number,
                    plane=self.plane,
                )
            )
        if "gsps" in self.kinds:
            from nanoray.serving.dicom.presentation_state import presentation_state

            state = presentation_state(
                finding,
                of,
                uid=self._uid("gsps", name),
                series_uid=self._uid("gsps-series"),
                number=number,
                localise=localise,
            )
            if state is not None:
                found.append(state)
        return found

    def _uid(self, *parts: str) -> str:
        return uid_of(self.report, *parts)


def _encoded(document: Any) -> bytes:
    buffer = io.BytesIO()
    document.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()
