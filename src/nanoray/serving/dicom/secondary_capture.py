"""The Secondary Capture: the radiograph under its heat map, with the result burnt in.

Many viewers show only pictures, so the picture contains the result, the model, and the notice on
research use. The text is on a strip below the radiograph and does not cover it.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from pydicom import Dataset
from pydicom.uid import ExplicitVRLittleEndian

from nanoray.detecting import heatmap
from nanoray.detecting.model_file import NOTICE
from nanoray.reading.geometry import swaps
from nanoray.reading.resize import to_uint8
from nanoray.serving.dicom.findings import Finding, stated_orientation
from nanoray.serving.dicom.regions import regions
from nanoray.serving.dicom.source import SPACING, plain
from nanoray.serving.pictures import MakePicture
from nanoray.version import __version__

SERIES_NUMBER: Final = 9702
SIDE: Final = 1024
"""Longer side of the radiograph in pixels."""


def secondary_capture(
    finding: Finding,
    source: Dataset,
    *,
    uid: str,
    series_uid: str,
    number: int,
    localise: bool,
    timeout: float,
) -> Dataset:
    """Make the picture of one image.

    Args:
        finding: of an image with a decision.
        source: its header.
        uid, series_uid, number: of the picture.
        localise: whether to draw the heat map and the regions.
        timeout: seconds for reading the image.

    Raises:
        UnreadableError: the image is unreadable.
    """
    turned_by = finding.turned_by(source)
    made = MakePicture(finding.path, SIDE, timeout, turned_by, finding.inverted).run()
    if made.error is not None:
        raise made.error
    pixels = _with_words(_drawn(finding, made.array(), localise), words(finding))
    image = _captured(pixels, finding, source, uid=uid, series_uid=series_uid, number=number)
    image.PatientOrientation = _orientation(source, turned_by)
    shown = "source image, a negative, inverted" if finding.inverted else "source image"
    image.DerivationDescription = f"Result of a detector over the {shown}"
    _compression(source, image)
    _spacing(source, image, made.rows, made.columns, swapped=swaps(turned_by))
    return image


def status_note(
    finding: Finding, source: Dataset, *, uid: str, series_uid: str, number: int
) -> Dataset:
    """Make a picture with text only: the reason why the image has no decision.

    It does not show the radiograph, which may be unreadable.

    Args:
        finding: of an image without a decision.
        source: its header.
        uid, series_uid, number: of the picture.
    """
    lines = [f"Not processed: {finding.excluded}", *words(finding)[2:]]
    pixels = _with_words(np.zeros((SIDE // 4, SIDE, 3), np.uint8), lines)
    image = _captured(pixels, finding, source, uid=uid, series_uid=series_uid, number=number)
    image.PatientOrientation = None
    image.DerivationDescription = "Status of the source image"
    image.LossyImageCompression = "00"
    return image


def _captured(
    pixels: NDArray[np.uint8],
    finding: Finding,
    source: Dataset,
    *,
    uid: str,
    series_uid: str,
    number: int,
) -> Dataset:
    """Return a Secondary Capture of RGB pixels [h, w, 3] that refers to the source image."""
    from highdicom.sc import SCImage

    image = SCImage(
        pixel_array=pixels,
        photometric_interpretation="RGB",
        bits_allocated=8,
        coordinate_system="PATIENT",
        study_instance_uid=plain(source).StudyInstanceUID,
        series_instance_uid=series_uid,
        series_number=SERIES_NUMBER,
        sop_instance_uid=uid,
        instance_number=number,
        manufacturer="NanoRay",
        patient_orientation=("L", "F"),
        transfer_syntax_uid=ExplicitVRLittleEndian,
        manufacturer_model_name=finding.model.name,
        software_versions=f"NanoRay {__version__}",
        device_serial_number=finding.model.sha256[:16],
        series_description="NanoRay result, research use only",
    )
    # An unpaired part of the body without Laterality (PS3.3 C.7.3.1).
    image.BodyPartExamined = "CHEST"
    image.ConversionType = "WSD"
    image.ImageType = ["DERIVED", "SECONDARY"]
    image.BurnedInAnnotation = "YES"
    reference = Dataset()
    reference.ReferencedSOPClassUID = source.SOPClassUID
    reference.ReferencedSOPInstanceUID = source.SOPInstanceUID
    image.SourceImageSequence = [reference]
    if requests := [item for item in source.get("RequestAttributesSequence", ()) if len(item)]:
        image.RequestAttributesSequence = [_request(item) for item in requests]
    return image


def words(finding: Finding) -> list[str]:
    """Return the burnt-in lines: verdict, probability, a correction, model and notice."""
    model = finding.model
    point = f" ({model.operating_point})" if model.operating_point else ""
    return [
        "FLAGGED: opacity suspected"
        if finding.suspected
        else "Unsure: no flag raised by this image"
        if finding.unsure
        else "No flag raised by this image",
        f"Probability {finding.probability:.2f}, threshold {model.threshold:.2f}{point}",
        *(["The stored image is a negative; it is shown inverted"] if finding.inverted else []),
        f"NanoRay {__version__}, model {model.name} {model.version}",
        NOTICE,
    ]


def _drawn(finding: Finding, picture: NDArray[np.float32], localise: bool) -> NDArray[np.uint8]:
    if not localise:
        return np.repeat(to_uint8(picture)[..., None], 3, axis=2)
    pixels = heatmap.overlay(picture, finding.values(), finding.model.threshold)
    if not finding.suspected:
        return pixels
    image = Image.fromarray(pixels)
    draw = ImageDraw.Draw(image)
    for region in regions(finding.values(), finding.model.threshold, image.height, image.width):
        corners = (
            min(image.width - 2, round(region.left)),
            min(image.height - 2, round(region.top)),
            min(image.width - 1, round(region.right)),
            min(image.height - 1, round(region.bottom)),
        )
        draw.rectangle(corners, outline=(255, 255, 255), width=max(1, image.width // 340))
    return np.asarray(image, np.uint8)


def _with_words(pixels: NDArray[np.uint8], lines: list[str]) -> NDArray[np.uint8]:
    """Add a black strip with lines of text below a picture; the font size fits the width."""
    width = pixels.shape[1]
    size = max(8, round(width / 34))
    while size > 6 and max(_font(size).getlength(line) for line in lines) > width - 2 * size:
        size -= 1
    step = round(1.35 * size)
    strip = Image.new("RGB", (width, step * len(lines) + size))
    draw = ImageDraw.Draw(strip)
    for number, line in enumerate(lines):
        place = (size, size // 2 + number * step)
        draw.text(place, line, (255, 255, 255), font=_font(size))
    return np.concatenate([pixels, np.asarray(strip, np.uint8)])


def _font(size: int) -> Any:
    return ImageFont.load_default(size)


def _compression(source: Dataset, image: Dataset) -> None:
    lossy = source.get("LossyImageCompression") == "01"
    image.LossyImageCompression = "01" if lossy else "00"
    if lossy:
        for keyword in ("LossyImageCompressionRatio", "LossyImageCompressionMethod"):
            if keyword in source:
                image[keyword] = source[keyword]


def _orientation(source: Dataset, turned_by: int) -> Any:
    """Return the Patient Orientation of the picture; None if unknown.

    A picture turned by its header is upright. If the network turned it, the header was wrong or
    said nothing, so the sides are not known.
    """
    stated = stated_orientation(source)
    if turned_by != stated:
        return None
    return source.get("PatientOrientation") or None if stated == 1 else ["L", "F"]


def _spacing(source: Dataset, image: Dataset, rows: int, columns: int, *, swapped: bool) -> None:
    """Set the spacing of the picture's pixels, if the source has a spacing."""
    stored = (source.Columns, source.Rows) if swapped else (source.Rows, source.Columns)
    for keyword in SPACING:
        if keyword in source and source.Rows and source.Columns:
            down, across = (float(value) for value in source[keyword].value)
            down, across = (across, down) if swapped else (down, across)
            scaled = [down * stored[0] / rows, across * stored[1] / columns]
            # In the plane of the detector unless the source was calibrated (PS3.3 10.7).
            image.PixelSpacing = [f"{value:.8g}" for value in scaled]
            if keyword == "PixelSpacing" and "PixelSpacingCalibrationType" in source:
                image.PixelSpacingCalibrationType = source.PixelSpacingCalibrationType
            return


def _request(item: Dataset) -> Dataset:
    request = Dataset()
    for keyword in ("RequestedProcedureID", "ScheduledProcedureStepID", "AccessionNumber"):
        if keyword in item:
            request[keyword] = item[keyword]
    if "RequestedProcedureDescription" in item:
        request["RequestedProcedureDescription"] = item["RequestedProcedureDescription"]
    return request
