"""Reading one radiograph from an untrusted DICOM file (PS3.10).

First the needed elements of the header are read and checked. The pixel data is read only if its
size is within the limits and agrees with the header.
"""

from __future__ import annotations

from typing import Final

from pydicom.uid import UID, ExplicitVRLittleEndian, MPEGTransferSyntaxes, RLELossless

from nanoray.reading import geometry
from nanoray.reading.dicom import orientation
from nanoray.reading.dicom.container import (
    PIXEL_TAGS,
    UNDEFINED,
    assumed_syntax,
    data_set,
    pixel_element,
    read_header,
)
from nanoray.reading.dicom.decoding import (
    ENCAPSULATED_NATIVE,
    JPEG2000_FAMILY,
    JPEG_FAMILY,
    NATIVE,
    RETIRED_JPEG,
    Decoded,
    actual_syntax,
    checked,
    decode,
    decode_compressed,
)
from nanoray.reading.dicom.facts import facts_of, pixel_aspect
from nanoray.reading.dicom.frame import (
    Frame,
    check_native,
    image_pixel_module,
    is_plain,
    number_of_frames,
    samples,
    single_frame,
)
from nanoray.reading.dicom.grey import grey_values
from nanoray.reading.dicom.header import Header
from nanoray.reading.dicom.values import text
from nanoray.reading.radiograph import Facts, Grey, Radiograph
from nanoray.reading.refusals import Refusal
from nanoray.reading.steps import Step, Steps

_READ: Final = frozenset(
    (
        *(*NATIVE, ENCAPSULATED_NATIVE, RLELossless),
        *(*JPEG_FAMILY, *RETIRED_JPEG, *JPEG2000_FAMILY),
    )
)


def read_dicom(data: bytes, min_side: int | None = None) -> Radiograph:
    """Read the radiograph in a DICOM file.

    Args:
        data: the whole file.
        min_side: see `nanoray.reading.read`.

    Raises:
        Refusal: the file does not contain a single readable image.
    """
    found = data_set(data)
    stream, syntax = found.stream, found.syntax
    header = read_header(found)
    sop_class = text(header.file_meta, "MediaStorageSOPClassUID") or ""
    if sop_class == "1.2.840.10008.1.3.10":
        raise Refusal("dicomdir")
    element = pixel_element(stream, header, sop_class)
    if syntax is None:
        syntax = assumed_syntax(header, element)
    if syntax in MPEGTransferSyntaxes:
        raise Refusal("video")
    if syntax not in _READ:
        raise Refusal("transfer-syntax")
    frame = image_pixel_module(header, PIXEL_TAGS[int(element.tag)])
    frames = number_of_frames(header)
    value: bytes | memoryview | None = element.value
    if not value:
        raise Refusal("empty-pixel-data")
    steps: Steps = [
        Step("file", f"DICOM, {frame.columns} x {frame.rows} pixels, {frame.stored} bits"),
        Step("transfer syntax", syntax.name),
    ]
    if frames is None:
        steps.append(Step("pixel data", "Number of Frames is malformed; there is one frame"))
    if syntax in (*NATIVE, ENCAPSULATED_NATIVE):
        if element.length == UNDEFINED:
            if syntax in NATIVE:
                raise Refusal("native-but-compressed")
            value = single_frame(value, frames, native_bytes=frame.native_bytes)
        decoded = _native(frame, frames, syntax, value, element.VR or "OW", steps)
    else:
        # Averages of padding and image would be neither, so images with padding need the full
        # scale.
        side = None if "PixelPaddingValue" in header else min_side
        frame, decoded = _compressed(frame, frames, syntax, value, side, steps)
    stored, photometric, unused = decoded
    grey, colour = grey_values(stored, photometric, frame, syntax, header, unused, steps)
    facts = facts_of(header, frame, syntax, colour)
    grey, facts = _upright(grey, facts, header, steps)
    return Radiograph(grey, facts, tuple(steps))


def _native(
    frame: Frame,
    frames: int | None,
    syntax: UID,
    value: bytes | memoryview,
    vr: str,
    steps: Steps,
) -> Decoded:
    """Return the stored values of pixel data that is not compressed."""
    check_native(frame, frames, value)
    if len(value) > frame.native_bytes + 1:
        excess = len(value) - frame.native_bytes
        steps.append(Step("pixel data", f"{excess} bytes of padding follow the pixels"))
    if is_plain(frame, syntax):
        unused = frame.allocated - frame.stored
        return Decoded(samples(frame, syntax, value), frame.photometric, unused)
    native = ExplicitVRLittleEndian if syntax == ENCAPSULATED_NATIVE else syntax
    return Decoded(*decode(frame, native, bytes(value), vr=vr))


def _compressed(
    frame: Frame,
    frames: int | None,
    syntax: UID,
    value: bytes | memoryview,
    min_side: int | None,
    steps: Steps,
) -> tuple[Frame, Decoded]:
    """Return the stored values of a compressed frame, and its image pixel module."""
    data = single_frame(value, frames)
    coding = actual_syntax(syntax, data)
    if coding != syntax:
        steps.append(Step("transfer syntax", f"the compressed frame is {coding.name}"))
    compressed = checked(frame, coding, data)
    if compressed.frame.samples != frame.samples:
        steps.append(Step("pixel data", "the samples per pixel are those of the compressed frame"))
    return compressed.frame, decode_compressed(compressed, coding, min_side, steps)


def _upright(grey: Grey, facts: Facts, header: Header, steps: Steps) -> tuple[Grey, Facts]:
    """Turn the image by Patient Orientation, and resample it to square pixels."""
    aspect = geometry.believed(pixel_aspect(header))
    code = orientation.upright(orientation.directions(header.texts("PatientOrientation")))
    if code != 1:
        grey = geometry.turned(grey, code)
        facts = geometry.turned_facts(facts, code)
        if geometry.swaps(code):
            aspect = 1 / aspect
        words = geometry.TURNS[code]
        steps.append(Step("orientation", f"{words}, by Patient Orientation"))
    if aspect != 1:
        steps.append(Step("aspect", f"pixels are {aspect:.3g} times as high as wide: squared"))
        grey = geometry.squared(grey, aspect)
    return grey, facts
