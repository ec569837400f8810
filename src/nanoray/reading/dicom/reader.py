"""Reading one radiograph from a DICOM file (PS3.10), distrusting everything it says.

The header is read first, only the elements that are needed, and checked; the pixel data is touched
once its size is known to be bounded and to agree with the header.
"""

from __future__ import annotations

from pydicom.uid import MPEGTransferSyntaxes, RLELossless

from nanoray.reading.dicom.container import (
    PIXEL_TAGS,
    assumed_syntax,
    data_set,
    pixel_element,
    read_header,
)
from nanoray.reading.dicom.decoding import (
    JPEG2000_FAMILY,
    JPEG_FAMILY,
    NATIVE,
    check_codestream,
    decode,
    decode_compressed,
)
from nanoray.reading.dicom.facts import facts_of
from nanoray.reading.dicom.frame import (
    check_native,
    image_pixel_module,
    is_plain,
    number_of_frames,
    samples,
    single_frame,
)
from nanoray.reading.dicom.grey import grey_values
from nanoray.reading.dicom.values import text
from nanoray.reading.radiograph import Radiograph
from nanoray.reading.refusals import Refusal


def read_dicom(data: bytes, min_side: int | None = None) -> Radiograph:
    """Read the radiograph in a DICOM file.

    Args:
        data: the whole file.
        min_side: see `nanoray.reading.read`.

    Raises:
        Refusal: the file holds no single readable image.
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
    if syntax not in (*NATIVE, *JPEG_FAMILY, *JPEG2000_FAMILY, RLELossless):
        raise Refusal("transfer-syntax")
    frame = image_pixel_module(header, PIXEL_TAGS[int(element.tag)])
    frames = number_of_frames(header)
    value = element.value
    if not value:
        raise Refusal("empty-pixel-data")
    unused = 0
    if syntax not in NATIVE:
        compressed = single_frame(bytes(value), frames)
        check_codestream(frame, syntax, compressed)
        stored, photometric = decode_compressed(frame, syntax, compressed, header, min_side)
    else:
        check_native(frame, frames, value, declared=element.length)
        if is_plain(frame, syntax):
            stored, photometric = samples(frame, value), frame.photometric
            unused = frame.allocated - frame.stored
        else:
            stored, photometric = decode(frame, syntax, bytes(value), vr=element.VR or "OW")
    grey, colour = grey_values(stored, photometric, frame, syntax, header, unused)
    return Radiograph(grey, facts_of(header, frame, syntax, colour))
