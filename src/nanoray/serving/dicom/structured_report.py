"""The structured report: TID 1500 "Measurement Report" (DICOM PS3.16), as an Enhanced SR.

It has a group of measurements (TID 1410) for the study and for each image, with the probability and
whether the opacity is present, and a group for each region of the evidence. Like cleared software
for triage, the report raises a flag for the study or no flag; it never lowers a priority.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

from highdicom import sr
from highdicom.coding_schemes import CodingSchemeIdentificationItem
from pydicom import Dataset
from pydicom.sr.codedict import codes

from nanoray.detecting.model_file import NOTICE
from nanoray.serving.dicom.contents import OPACITY, PROCEDURE
from nanoray.serving.dicom.findings import (
    DEVICE_UID,
    SCHEME,
    Finding,
    Model,
    Prior,
    evidence_of,
    worst,
)
from nanoray.serving.dicom.regions import Region, whole
from nanoray.serving.dicom.source import plain
from nanoray.serving.dicom.uids import uid_of
from nanoray.version import __version__

SERIES_NUMBER: Final = 9701


def structured_report(
    findings: Sequence[Finding],
    sources: Sequence[Dataset],
    *,
    uid: str,
    series_uid: str,
    tracking_uids: Sequence[str],
    predecessor: Dataset | None = None,
    localise: bool = True,
) -> Dataset:
    """Write the report on a study.

    Args:
        findings: of the study's images, at least one.
        sources: results of `nanoray.serving.dicom.source.source` for each.
        uid, series_uid: of the report.
        tracking_uids: of the study and of each image, equal in every report on the study.
        predecessor: header of the report that this one replaces.
        localise: whether to add the regions of the evidence.
    """
    case = worst(findings)
    groups: list[Any] = []
    if case is not None:
        of = sources[findings.index(case)]
        groups.append(_case_group(tracking_uids[0], case, of))
    for number, (finding, source) in enumerate(zip(findings, sources, strict=True), 1):
        name = f"Image {number}"
        tracking = tracking_uids[number]
        if finding.excluded is None:
            groups += _image_groups(name, tracking, finding, source, localise)
        else:
            groups.append(_not_judged(name, tracking, finding, source))
    model = (case or findings[0]).model
    content = sr.MeasurementReport(
        observation_context=sr.ObservationContext(observer_device_context=_observer(model)),
        procedure_reported=sr.CodedConcept(*PROCEDURE),
        imaging_measurements=groups,
        title=codes.DCM.ImagingMeasurementReport,
    )
    document = sr.EnhancedSR(
        evidence=[plain(source) for source in sources],
        content=content[0],
        series_instance_uid=series_uid,
        series_number=SERIES_NUMBER,
        sop_instance_uid=uid,
        instance_number=1,
        manufacturer="NanoRay",
        manufacturer_model_name=model.name,
        software_versions=f"NanoRay {__version__}",
        device_serial_number=model.sha256[:16],
        series_description="NanoRay triage flag, research use only"
        if case is not None
        else "NanoRay: not processed, research use only",
        is_complete=True,
        is_final=False,
        coding_schemes=[
            CodingSchemeIdentificationItem(
                SCHEME, name="NanoRay codes", responsible_organization="NanoRay"
            )
        ],
    )
    if requests := _requests(sources):
        document.ReferencedRequestSequence = requests
    if predecessor is not None:
        document.PredecessorDocumentsSequence = [_reference(predecessor)]
    return document


def _observer(model: Model) -> Any:
    return sr.ObserverContext(
        observer_type=codes.DCM.Device,
        observer_identifying_attributes=sr.DeviceObserverIdentifyingAttributes(
            uid=DEVICE_UID,
            name="NanoRay",
            manufacturer_name="NanoRay",
            model_name=model.name,
            serial_number=model.sha256[:16],
        ),
    )


def _algorithm(model: Model) -> Any:
    return sr.AlgorithmIdentification(
        name=model.name,
        version=model.version,
        parameters=[
            f"operating point: {model.operating_point or 'own threshold'}",
            f"threshold: {model.threshold:.6g}",
            f"model file SHA-256: {model.sha256}",
            f"software: NanoRay {__version__}",
            NOTICE,
        ],
    )


def _evaluation(name: tuple[str, str], value: tuple[str, str]) -> Any:
    return sr.QualitativeEvaluation(
        name=sr.CodedConcept(name[0], SCHEME, name[1]),
        value=sr.CodedConcept(value[0], SCHEME, value[1]),
    )


_USE: Final = (("use", "Intended use"), ("research", "Research use only; not for diagnosis"))


def _case_group(uid: str, finding: Finding, source: Dataset) -> Any:
    """Return the group of the study, with the result on its most suspicious image."""
    flag = ("triage-flag", "Triage flag of the case")
    group = _group("Case", uid, finding, source, flag)
    for prior in finding.priors:
        group[0].ContentSequence.append(_comparison(finding, prior))
    return group


def _image_groups(
    name: str, uid: str, finding: Finding, source: Dataset, localise: bool
) -> Iterator[Any]:
    """Return the group of an image, and a group for each region of the evidence.

    The probability is that of the whole image. TID 1410 allows one region in a group, and OHIF 3.13
    takes over regions only from groups without a measurement.
    """
    yield _group(name, uid, finding, source, ("image-flag", "Triage flag of the image"))
    for number, region in enumerate(evidence_of(finding, source, localise), 1):
        yield sr.PlanarROIMeasurementsAndQualitativeEvaluations(
            tracking_identifier=sr.TrackingIdentifier(
                uid=uid_of(uid, f"region-{number}"), identifier=f"{name}, region {number}"
            ),
            referenced_region=_image_region(region, source),
            finding_type=codes.DCM.AbnormalOpacity,
            algorithm_id=_algorithm(finding.model),
            qualitative_evaluations=[_evaluation(*_USE)],
        )


def _group(name: str, uid: str, finding: Finding, source: Dataset, flag: tuple[str, str]) -> Any:
    """Return a group with the result on an image; its region is the whole image."""
    raised = ("flagged", "Flagged: opacity suspected")
    none = ("not-flagged", "No flag raised; priority is unchanged")
    present = codes.cid240.Present if finding.suspected else codes.cid240.Absent
    if finding.unsure:
        present = codes.SCT.Indeterminate
    return sr.PlanarROIMeasurementsAndQualitativeEvaluations(
        tracking_identifier=sr.TrackingIdentifier(uid=uid, identifier=name),
        referenced_region=_whole_image(source),
        # The finding is coded only if present, so readers that ignore qualifiers remain correct.
        finding_type=codes.DCM.AbnormalOpacity if finding.suspected else None,
        algorithm_id=_algorithm(finding.model),
        finding_sites=[sr.FindingSite(codes.SCT.Lung)],
        measurements=[
            sr.Measurement(
                name=codes.DCM.Probability,
                value=round(finding.probability, 6),
                unit=codes.UCUM.NoUnits,
            )
        ],
        qualitative_evaluations=[
            sr.QualitativeEvaluation(
                name=sr.CodedConcept(*OPACITY),
                value=sr.CodedConcept(present.value, present.scheme_designator, present.meaning),
            ),
            _evaluation(flag, raised if finding.suspected else none),
            _evaluation(*_USE),
        ],
    )


def _comparison(finding: Finding, prior: Prior) -> Any:
    """Return a comment on the change since an earlier radiograph."""
    when = f"Prior of {prior.date}" if prior.date else "Prior"
    view = f" ({prior.view})" if prior.view else ""
    change = finding.probability - prior.probability
    return sr.TextContentItem(
        name=sr.CodedConcept("121106", "DCM", "Comment"),
        value=f"{when}{view}: probability {prior.probability:.2f}, threshold "
        f"{prior.threshold:.2f}; change to this study {change:+.2f}. Scores of one model for two "
        "radiographs, no comparison of the images.",
        relationship_type=sr.RelationshipTypeValues.CONTAINS,
    )


def _not_judged(name: str, uid: str, finding: Finding, source: Dataset) -> Any:
    """Return the group of an image without a decision, with the reason."""
    return sr.PlanarROIMeasurementsAndQualitativeEvaluations(
        tracking_identifier=sr.TrackingIdentifier(uid=uid, identifier=name),
        referenced_region=_whole_image(source),
        algorithm_id=_algorithm(finding.model),
        qualitative_evaluations=[
            _evaluation(
                ("status", "Processing status"),
                ("not-judged", f"Not processed: {finding.excluded}"[:64]),
            ),
            _evaluation(*_USE),
        ],
    )


def _whole_image(source: Dataset) -> Any:
    return _image_region(whole(int(source.Rows or 1), int(source.Columns or 1)), source)


def _image_region(region: Region, source: Dataset) -> Any:
    return sr.ImageRegion(
        graphic_type=sr.GraphicTypeValues.POLYLINE,
        graphic_data=region.outline(),
        source_image=sr.SourceImageForRegion(source.SOPClassUID, source.SOPInstanceUID),
    )


def _requests(sources: Sequence[Dataset]) -> list[Dataset]:
    """Return the requests of the images (PS3.3 C.17.2), each once."""
    found: dict[tuple[str, ...], Dataset] = {}
    for source in sources:
        for item in source.get("RequestAttributesSequence", ()):
            request = Dataset()
            request.StudyInstanceUID = item.get("StudyInstanceUID") or source.StudyInstanceUID
            request.ReferencedStudySequence = []
            request.AccessionNumber = item.get("AccessionNumber") or source.AccessionNumber
            for keyword in (
                "PlacerOrderNumberImagingServiceRequest",
                "FillerOrderNumberImagingServiceRequest",
                "RequestedProcedureID",
                "RequestedProcedureDescription",
            ):
                setattr(request, keyword, item.get(keyword, ""))
            request.RequestedProcedureCodeSequence = []
            key = (str(request.AccessionNumber), str(request.RequestedProcedureID))
            found.setdefault(key, request)
    return list(found.values())


def _reference(document: Dataset) -> Dataset:
    """Return a hierarchical reference to a document (PS3.3 C.17.2.1)."""
    instance, series, study = Dataset(), Dataset(), Dataset()
    instance.ReferencedSOPClassUID = document.SOPClassUID
    instance.ReferencedSOPInstanceUID = document.SOPInstanceUID
    series.SeriesInstanceUID = document.SeriesInstanceUID
    series.ReferencedSOPSequence = [instance]
    study.StudyInstanceUID = document.StudyInstanceUID
    study.ReferencedSeriesSequence = [series]
    return study
