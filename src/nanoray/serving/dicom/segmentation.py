"""The Segmentation: the region of the image in which the local evidence reaches the threshold."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from pydicom import Dataset

from nanoray.detecting import heatmap
from nanoray.serving.dicom.findings import Finding, stored_map
from nanoray.serving.dicom.source import SPACING, plain
from nanoray.serving.dicom.uids import uid_of
from nanoray.version import __version__

SERIES_NUMBER: Final = 9703


def segmentation(
    finding: Finding,
    source: Dataset,
    *,
    uid: str,
    series_uid: str,
    number: int,
    plane: bool = False,
) -> Dataset:
    """Make the segmentation of one image that raises a flag.

    It has one binary segment of the image's size: the area in which the enlarged heat map reaches
    the threshold, or the map's maximum if that is lower.

    Args:
        finding: of a suspected image.
        source: its header.
        uid, series_uid, number: of the object.
        plane: whether to give it a nominal plane.
    """
    from highdicom import AlgorithmIdentificationSequence, seg
    from highdicom.color import CIELabColor
    from pydicom.sr.codedict import codes

    image = _image(source)
    values = heatmap.enlarge(stored_map(finding, source), int(image.Rows), int(image.Columns))
    mask = values >= min(finding.model.threshold, float(values.max()))
    algorithm = AlgorithmIdentificationSequence(
        name=finding.model.name,
        version=finding.model.version,
        family=codes.DCM.ArtificialIntelligence,
        source="NanoRay",
    )
    segment = seg.SegmentDescription(
        segment_number=1,
        segment_label="Opacity suspected",
        segmented_property_category=codes.SCT.MorphologicallyAbnormalStructure,
        segmented_property_type=codes.DCM.AbnormalOpacity,
        algorithm_type=seg.SegmentAlgorithmTypeValues.AUTOMATIC,
        algorithm_identification=algorithm,
        tracking_uid=uid,
        tracking_id="Opacity suspected",
        display_color=CIELabColor.from_rgb(*heatmap.COLOUR),
    )
    found = seg.Segmentation(
        source_images=[image],
        pixel_array=mask[None].astype(np.uint8),
        segmentation_type=seg.SegmentationTypeValues.BINARY,
        segment_descriptions=[segment],
        series_instance_uid=series_uid,
        series_number=SERIES_NUMBER,
        sop_instance_uid=uid,
        instance_number=number,
        manufacturer="NanoRay",
        manufacturer_model_name=finding.model.name,
        software_versions=f"NanoRay {__version__}",
        device_serial_number=finding.model.sha256[:16],
        content_description="Local evidence, research use only",
        content_label="NANORAY",
        series_description="NanoRay region, research use only",
    )
    # The rows and columns are the source's (PS3.3 C.7.6.1); a projection has no position.
    orientation: Any = source.get("PatientOrientation") or None
    found.PatientOrientation = orientation
    if plane:
        _nominal_plane(source, found)
    return found


def _nominal_plane(source: Dataset, found: Dataset) -> None:
    """Place the pixels in a coordinate system of their own.

    A projection has no plane in the patient, and the standard requires none: each pixel belongs to
    a pixel of the source (PS3.3 A.51.5.1). OHIF 3.13 shows no Segmentation without a plane. It
    gives a radiograph this one, so they coincide. The UID of the coordinate system is used for
    nothing else.
    """
    from highdicom import PixelMeasuresSequence, PlaneOrientationSequence, PlanePositionSequence

    spacing = next((source[keyword].value for keyword in SPACING if keyword in source), (1.0, 1.0))
    shared = found.SharedFunctionalGroupsSequence[0]
    # A plane needs a thickness; a projection has none.
    shared.PixelMeasuresSequence = PixelMeasuresSequence([float(side) for side in spacing], 1.0)
    shared.PlanePositionSequence = PlanePositionSequence("PATIENT", [0.0, 0.0, 0.0])
    shared.PlaneOrientationSequence = PlaneOrientationSequence(
        "PATIENT", [1.0, 0.0, 0.0, 0.0, 1.0, 0.0]
    )
    found.FrameOfReferenceUID = uid_of(str(source.SOPInstanceUID), "plane")
    found.PositionReferenceIndicator = None


def _image(source: Dataset) -> Dataset:
    """Return the source attributes for highdicom; a single projection has no third dimension."""
    image = plain(source)
    image.ImageType = ["ORIGINAL", "PRIMARY"]
    image.InstanceNumber = 1
    return image
