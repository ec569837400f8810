"""DICOM objects that say what the detector found, made in the reading processes.

A structured report by TID 1500 "Measurement Report" (DICOM PS3.16), and for each image a Secondary
Capture of its heat map, in the study that the images came from. As cleared software for triage
does, the report raises a flag for the case or raises none; it diagnoses nothing, and says nothing
that could lower the priority that a study has.
"""

from __future__ import annotations

import io
import re
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

import numpy as np

from nanoray.detecting import heatmap
from nanoray.detecting.model_file import NOTICE
from nanoray.errors import UnreadableError
from nanoray.reading.quiet import quiet
from nanoray.version import __version__

INELIGIBLE: Final = frozenset(
    {"lateral-view", "oblique-view", "other-body-part", "other-modality", "child"}
)
"""Flags of images that no result is returned for: the model knows adults' frontal radiographs."""

SCHEME: Final = "99NANORAY"
DEVICE_UID: Final = "2.25.133817208365926487913067203586187331843"
"""UID of this software as an observer; made once by chance (PS3.5 B.2)."""
HEATMAP_SIDE: Final = 1024
SR_SERIES, HEATMAP_SERIES = 9701, 9702

_UID: Final = re.compile(r"[0-9]+(\.[0-9]+)*")
_COPIED: Final = (
    "SpecificCharacterSet",
    "SOPClassUID",
    "SOPInstanceUID",
    "StudyInstanceUID",
    "SeriesInstanceUID",
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
    "PatientOrientation",
    "Rows",
    "Columns",
    "Modality",
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


def is_uid(text: str) -> bool:
    """Whether a text is a DICOM UID (PS3.5 9.1), leading zeros allowed as they are met."""
    return 0 < len(text) <= 64 and _UID.fullmatch(text) is not None


@dataclass(frozen=True, slots=True)
class Identified:
    """What an image says it is; `error` is a short code if that cannot be told."""

    study_uid: str = ""
    sop_uid: str = ""
    sop_class: str = ""
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Identify:
    """A task for a reading process: the UIDs of a DICOM file."""

    path: str
    timeout: float

    def run(self) -> Identified:
        """Read the UIDs."""
        try:
            header = _header(self.path)
            found = Identified(
                str(header.get("StudyInstanceUID", "")),
                str(header.get("SOPInstanceUID", "")),
                str(header.get("SOPClassUID", "")),
            )
        except Exception:
            # Whatever is wrong with it, and no word of it.
            return Identified(error="malformed-dicom")
        if not all(is_uid(uid) for uid in (found.study_uid, found.sop_uid, found.sop_class)):
            return Identified(error="uid")
        return found


@dataclass(frozen=True, slots=True)
class Finding:
    """What the detector says of one image.

    Attributes:
        path: the DICOM file.
        probability: calibrated, 0..1.
        suspected: whether it reaches the threshold.
        heatmap, heatmap_rows, heatmap_columns: float32 values, little endian.
    """

    path: str
    probability: float
    suspected: bool
    heatmap: bytes
    heatmap_rows: int
    heatmap_columns: int


@dataclass(frozen=True, slots=True)
class Written:
    """DICOM files, the report first; `error` is a short code if there are none."""

    files: list[bytes] = field(default_factory=list)
    error: str | None = None


@dataclass(frozen=True, slots=True)
class WriteReport:
    """A task for a reading process: the report on a study, and the heat maps.

    Attributes:
        findings: of the study's images that the model may judge; at least one.
        uids: of the report, of its series, of the heat maps' series, of the case's and the images'
            tracking, and of the heat maps.
        model, model_version, model_sha256, operating_point, threshold: the detector.
        target: what the probability is of.
        made: when.
    """

    findings: tuple[Finding, ...]
    uids: tuple[str, ...]
    model: str
    model_version: str
    model_sha256: str
    operating_point: str | None
    threshold: float
    made: datetime
    timeout: float

    def run(self) -> Written:
        """Write the objects."""
        try:
            with quiet():
                return Written(self._write())
        except UnreadableError as error:
            return Written(error=error.code)
        except Exception:
            # Messages of the libraries underneath may quote the header.
            return Written(error="document")

    def _write(self) -> list[bytes]:
        sources = [_source(finding.path) for finding in self.findings]
        count = len(sources)
        report, series, pictures, case, *rest = self.uids
        files = [self._report(sources, report, series, case, rest[:count])]
        for number, (finding, source) in enumerate(zip(self.findings, sources, strict=True)):
            files.append(self._heatmap(finding, source, rest[count + number], pictures, number + 1))
        return files

    def _report(
        self, sources: list[Any], uid: str, series: str, case: str, tracking: list[str]
    ) -> bytes:
        from highdicom import sr
        from highdicom.coding_schemes import CodingSchemeIdentificationItem
        from pydicom.sr.codedict import codes

        algorithm = sr.AlgorithmIdentification(
            name=self.model,
            version=self.model_version,
            parameters=[
                f"operating point: {self.operating_point or 'own threshold'}",
                f"threshold: {self.threshold:.6g}",
                f"model file SHA-256: {self.model_sha256}",
                f"software: NanoRay {__version__}",
                NOTICE,
            ],
        )
        groups = [
            self._group(sr, codes, algorithm, case, "Case", max(self.findings, key=_rank), None)
        ]
        for number, (finding, source) in enumerate(zip(self.findings, sources, strict=True)):
            name = f"Image {number + 1}"
            groups.append(
                self._group(sr, codes, algorithm, tracking[number], name, finding, source)
            )
        device = sr.DeviceObserverIdentifyingAttributes(
            uid=DEVICE_UID,
            name="NanoRay",
            manufacturer_name="NanoRay",
            model_name=self.model,
            serial_number=self.model_sha256[:16],
        )
        content = sr.MeasurementReport(
            observation_context=sr.ObservationContext(
                observer_device_context=sr.ObserverContext(
                    observer_type=codes.DCM.Device, observer_identifying_attributes=device
                )
            ),
            procedure_reported=sr.CodedConcept("399208008", "SCT", "Plain X-ray of chest"),
            imaging_measurements=groups,
            title=codes.DCM.ImagingMeasurementReport,
        )
        document = sr.EnhancedSR(
            evidence=sources,
            content=content[0],
            series_instance_uid=series,
            series_number=SR_SERIES,
            sop_instance_uid=uid,
            instance_number=1,
            manufacturer="NanoRay",
            manufacturer_model_name=self.model,
            software_versions=f"NanoRay {__version__}",
            device_serial_number=self.model_sha256[:16],
            series_description="NanoRay triage flag, research use only",
            is_complete=True,
            is_final=False,
            coding_schemes=[
                CodingSchemeIdentificationItem(
                    SCHEME, name="NanoRay codes", responsible_organization="NanoRay"
                )
            ],
        )
        _dated(document, self.made)
        return _encoded(document)

    def _group(
        self, sr: Any, codes: Any, algorithm: Any, uid: str, name: str, finding: Finding, of: Any
    ) -> Any:
        """TID 1501: of one image, or of the case, which is as suspicious as its worst image."""
        images = None
        if of is not None:
            images = [sr.SourceImageForMeasurementGroup(of.SOPClassUID, of.SOPInstanceUID)]
        raised = sr.CodedConcept("flagged", SCHEME, "Flagged: opacity suspected")
        none = sr.CodedConcept("not-flagged", SCHEME, "No flag raised; priority is unchanged")
        return sr.MeasurementsAndQualitativeEvaluations(
            tracking_identifier=sr.TrackingIdentifier(uid=uid, identifier=name),
            finding_type=codes.DCM.AbnormalOpacity,
            algorithm_id=algorithm,
            finding_sites=[sr.FindingSite(codes.SCT.Lung)],
            source_images=images,
            measurements=[
                sr.Measurement(
                    name=codes.DCM.Probability,
                    value=round(finding.probability, 6),
                    unit=codes.UCUM.NoUnits,
                )
            ],
            qualitative_evaluations=[
                sr.QualitativeEvaluation(
                    name=sr.CodedConcept("triage-flag", SCHEME, "Triage flag of the case")
                    if of is None
                    else sr.CodedConcept("image-flag", SCHEME, "Triage flag of the image"),
                    value=raised if finding.suspected else none,
                ),
                sr.QualitativeEvaluation(
                    name=sr.CodedConcept("use", SCHEME, "Intended use"),
                    value=sr.CodedConcept(
                        "research", SCHEME, "Research use only; not for diagnosis"
                    ),
                ),
            ],
        )

    def _heatmap(self, finding: Finding, source: Any, uid: str, series: str, number: int) -> bytes:
        from highdicom.sc import SCImage
        from pydicom import Dataset
        from pydicom.uid import ExplicitVRLittleEndian

        from nanoray.serving.pictures import MakePicture

        picture = MakePicture(finding.path, HEATMAP_SIDE, self.timeout).run()
        if picture.error is not None:
            raise picture.error
        values = np.frombuffer(finding.heatmap, "<f4").reshape(
            finding.heatmap_rows, finding.heatmap_columns
        )
        image = SCImage(
            pixel_array=heatmap.overlay(picture.array(), values.astype(np.float32)),
            photometric_interpretation="RGB",
            bits_allocated=8,
            coordinate_system="PATIENT",
            study_instance_uid=source.StudyInstanceUID,
            series_instance_uid=series,
            series_number=HEATMAP_SERIES,
            sop_instance_uid=uid,
            instance_number=number,
            manufacturer="NanoRay",
            patient_id=source.PatientID,
            patient_name=source.PatientName,
            patient_birth_date=source.PatientBirthDate,
            patient_sex=source.PatientSex,
            accession_number=source.AccessionNumber,
            study_id=source.StudyID,
            study_date=source.StudyDate or None,
            study_time=source.StudyTime or None,
            referring_physician_name=source.ReferringPhysicianName,
            patient_orientation=("L", "F"),
            transfer_syntax_uid=ExplicitVRLittleEndian,
            manufacturer_model_name=self.model,
            software_versions=f"NanoRay {__version__}",
            device_serial_number=self.model_sha256[:16],
            series_description="NanoRay heat map, research use only",
            specific_character_set=source.get("SpecificCharacterSet"),
        )
        # The image is turned as its source is, where that says how.
        orientation: Any = source.get("PatientOrientation") or None
        image.PatientOrientation = orientation
        # An unpaired part of the body, which has no Laterality (PS3.3 C.7.3.1).
        image.BodyPartExamined = "CHEST"
        for keyword in ("PatientAge", "StudyDescription", "IssuerOfPatientID"):
            if keyword in source:
                image[keyword] = source[keyword]
        image.ConversionType = "WSD"
        image.ImageType = ["DERIVED", "SECONDARY"]
        image.BurnedInAnnotation = "NO"
        image.DerivationDescription = "Class-activation map of a detector over the source image"
        reference = Dataset()
        reference.ReferencedSOPClassUID = source.SOPClassUID
        reference.ReferencedSOPInstanceUID = source.SOPInstanceUID
        image.SourceImageSequence = [reference]
        _dated(image, self.made)
        return _encoded(image)


def _rank(finding: Finding) -> float:
    return finding.probability


def _header(path: str) -> Any:
    """The header of a DICOM file, as far as it is copied."""
    from pydicom import dcmread

    with quiet():
        return dcmread(
            _inflated(path), stop_before_pixels=True, force=True, specific_tags=[*_COPIED]
        )


def _inflated(path: str) -> Any:
    """The file, or what a deflated data set in it inflates to, within the reader's bounds."""
    from nanoray.reading.dicom.container import data_set

    with open(path, "rb") as file:  # noqa: PTH123
        stream = data_set(file.read()).stream
    stream.seek(0)
    return stream


def _source(path: str) -> Any:
    """What of an image's header a report needs, as a data set that can be written."""
    from pydicom import Dataset

    header = _header(path)
    source = Dataset()
    for keyword in _COPIED:
        if keyword in header:
            try:
                # Decoded here: a value that cannot be is left out.
                source[keyword] = header[keyword]
                str(source[keyword].value)
            except Exception:
                source.pop(keyword, None)
    for keyword in _EMPTY_IF_ABSENT:
        if keyword not in source:
            setattr(source, keyword, "")
    if str(source.PatientSex) not in ("M", "F", "O", ""):
        source.PatientSex = ""
    for keyword, pattern in (
        ("PatientBirthDate", r"\d{8}"),
        ("StudyDate", r"\d{8}"),
        ("StudyTime", r"\d{2}(\d{2}(\d{2}(\.\d{1,6})?)?)?"),
    ):
        if not re.fullmatch(pattern, str(source[keyword].value or "").strip()):
            setattr(source, keyword, "")
    return source


def _dated(document: Any, made: datetime) -> None:
    """Date a document; the same report made again after a failure is the same."""
    for keyword, text in (
        ("ContentDate", made.strftime("%Y%m%d")),
        ("ContentTime", made.strftime("%H%M%S")),
        ("InstanceCreationDate", made.strftime("%Y%m%d")),
        ("InstanceCreationTime", made.strftime("%H%M%S")),
        ("SeriesDate", made.strftime("%Y%m%d")),
        ("SeriesTime", made.strftime("%H%M%S")),
    ):
        setattr(document, keyword, text)
    document.TimezoneOffsetFromUTC = "+0000"


def _encoded(document: Any) -> bytes:
    buffer = io.BytesIO()
    document.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()
