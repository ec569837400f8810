"""The Grayscale Softcopy Presentation State: the result drawn over the original image.

An alternative to the Secondary Capture: the viewer shows the original image in full resolution,
with an outline and the result as annotations that can be hidden.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from pydicom import Dataset

from nanoray.serving.dicom.findings import Finding, evidence_of
from nanoray.serving.dicom.secondary_capture import words
from nanoray.serving.dicom.source import header, plain
from nanoray.version import __version__

SERIES_NUMBER: Final = 9704
_GREY: Final = (
    "PhotometricInterpretation",
    "RescaleIntercept",
    "RescaleSlope",
    "RescaleType",
    "ModalityLUTSequence",
    "WindowCenter",
    "WindowWidth",
    "WindowCenterWidthExplanation",
    "VOILUTFunction",
    "VOILUTSequence",
)


def presentation_state(
    finding: Finding, source: Dataset, *, uid: str, series_uid: str, number: int, localise: bool
) -> Dataset | None:
    """Make the presentation state of one image with a decision; None for a coloured image.

    Args:
        finding: of the image.
        source: its header.
        uid, series_uid, number: of the object.
        localise: whether to outline the regions of the evidence.
    """
    from highdicom import pr

    if _is_coloured(finding):
        return None
    image = _greyscale(finding, plain(source))
    layer = pr.GraphicLayer(layer_name="NANORAY", order=1, description="NanoRay, research use only")
    outlines = []
    if finding.suspected and localise:
        outlines = [
            pr.GraphicObject(
                graphic_type=pr.GraphicTypeValues.POLYLINE,
                graphic_data=np.clip(region.outline(), 1, [int(image.Columns), int(image.Rows)]),
                units=pr.AnnotationUnitsValues.PIXEL,
            )
            for region in evidence_of(finding, source, localise)
        ]
    text = pr.TextObject(
        text_value="\r\n".join(words(finding)),
        units=pr.AnnotationUnitsValues.DISPLAY,
        bounding_box=(0.01, 0.84, 0.99, 0.99),
    )
    annotation = pr.GraphicAnnotation(
        referenced_images=[image],
        graphic_layer=layer,
        graphic_objects=outlines,
        text_objects=[text],
    )
    state = pr.GrayscaleSoftcopyPresentationState(
        referenced_images=[image],
        series_instance_uid=series_uid,
        series_number=SERIES_NUMBER,
        sop_instance_uid=uid,
        instance_number=number,
        manufacturer="NanoRay",
        manufacturer_model_name=finding.model.name,
        software_versions=f"NanoRay {__version__}",
        device_serial_number=finding.model.sha256[:16],
        content_label="NANORAY",
        content_description="Result, research use only",
        graphic_annotations=[annotation],
        graphic_layers=[layer],
        series_description="NanoRay annotation, research use only",
    )
    # An unpaired part of the body without Laterality (PS3.3 C.7.3.1).
    state.BodyPartExamined = "CHEST"
    # Low values are bright in such images, and in a negative (PS3.3 C.11.6).
    low_is_bright = image.get("PhotometricInterpretation") == "MONOCHROME1"
    inverse = low_is_bright != finding.inverted
    state.PresentationLUTShape = "INVERSE" if inverse else "IDENTITY"
    return state


def _greyscale(finding: Finding, image: Dataset) -> Dataset:
    """Copy the greyscale attributes of an image, so that its appearance does not change."""
    read = header(finding.path, _GREY)
    for keyword in _GREY:
        if keyword in read and read[keyword].value not in (None, ""):
            image[keyword] = read[keyword]
    image.SamplesPerPixel = 1
    return image


def _is_coloured(finding: Finding) -> bool:
    samples = header(finding.path, ("SamplesPerPixel",)).get("SamplesPerPixel")
    return isinstance(samples, int) and samples > 1
