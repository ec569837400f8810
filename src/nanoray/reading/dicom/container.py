"""The container of a DICOM file (PS3.10): from its bytes to the elements and the pixel data."""

from __future__ import annotations

import io
import re
import struct
import zlib
from typing import Any, Final, NamedTuple

from pydicom import Dataset, dcmread
from pydicom.dataelem import RawDataElement
from pydicom.filereader import data_element_generator, read_dataset
from pydicom.tag import Tag
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from nanoray.reading import limits
from nanoray.reading.dicom.header import Header
from nanoray.reading.dicom.values import text
from nanoray.reading.file_kind import VRS
from nanoray.reading.refusals import Refusal

_PREFIX_AT: Final = 128


UNDEFINED: Final = 0xFFFFFFFF


PIXEL_TAGS: Final = {
    0x7FE00010: "PixelData",
    0x7FE00009: "DoubleFloatPixelData",
    0x7FE00008: "FloatPixelData",
}


# The elements that are read from a header. Dates are used for an age. Of free text only the words
# of views, body parts and children are used (`view`).
ELEMENTS: Final = [
    "SOPClassUID",
    "Modality",
    "StudyDate",
    "SeriesDate",
    "AcquisitionDate",
    "ContentDate",
    "PatientBirthDate",
    "PatientSex",
    "PatientAge",
    "BodyPartExamined",
    "ViewPosition",
    "ViewCodeSequence",
    "StudyDescription",
    "SeriesDescription",
    "RequestedProcedureDescription",
    "PerformedProcedureStepDescription",
    "ProtocolName",
    "AcquisitionDeviceProcessingDescription",
    "AnatomicRegionSequence",
    "PatientOrientation",
    "PresentationIntentType",
    "PresentationLUTShape",
    "PixelAspectRatio",
    "ShutterShape",
    "ShutterLeftVerticalEdge",
    "ShutterRightVerticalEdge",
    "ShutterUpperHorizontalEdge",
    "ShutterLowerHorizontalEdge",
    "CenterOfCircularShutter",
    "RadiusOfCircularShutter",
    "VerticesOfThePolygonalShutter",
    "PixelSpacing",
    "ImagerPixelSpacing",
    "NominalScannedPixelSpacing",
    "SamplesPerPixel",
    "PhotometricInterpretation",
    "PlanarConfiguration",
    "NumberOfFrames",
    "Rows",
    "Columns",
    "BitsAllocated",
    "BitsStored",
    "HighBit",
    "PixelRepresentation",
    "PixelPaddingValue",
    "PixelPaddingRangeLimit",
    "RescaleSlope",
    "RescaleIntercept",
    "ModalityLUTSequence",
    "VOILUTSequence",
    "VOILUTFunction",
    "WindowCenter",
    "WindowWidth",
    "RedPaletteColorLookupTableDescriptor",
    "GreenPaletteColorLookupTableDescriptor",
    "BluePaletteColorLookupTableDescriptor",
    "RedPaletteColorLookupTableData",
    "GreenPaletteColorLookupTableData",
    "BluePaletteColorLookupTableData",
    "SegmentedRedPaletteColorLookupTableData",
    "SegmentedGreenPaletteColorLookupTableData",
    "SegmentedBluePaletteColorLookupTableData",
    "ExtendedOffsetTable",
]


_TAGS: Final = [Tag(keyword) for keyword in ELEMENTS]


_KEYWORDS: Final = {int(tag): keyword for tag, keyword in zip(_TAGS, ELEMENTS, strict=True)}


# SOP classes of objects without an image (PS3.4 B.5), by the prefix of their UID.
_STORAGE: Final = "1.2.840.10008.5.1.4.1.1."


_NOT_IMAGES: Final = (
    ("1.2.840.10008.1.3.10", "dicomdir"),
    (_STORAGE + "88.", "structured-report"),
    (_STORAGE + "104.", "encapsulated-document"),
    (_STORAGE + "11.", "presentation-state"),
    (_STORAGE + "9.", "waveform"),
    (_STORAGE + "481.", "radiotherapy"),
)


_IMAGE_CLASSES: Final = re.compile(
    re.escape(_STORAGE) + r"(1|1\.1|1\.2|1\.3|1\.1\.1|1\.2\.1|1\.3\.1|2|4|6\.1|7|12\.1|12\.2|20)"
)


# Another DICOM file begins: preamble, prefix and a transfer syntax (PS3.10 7.1).
_EXPLICIT_FILE: Final = (
    bytes(_PREFIX_AT)
    + b"DICM"
    + struct.pack("<HH2sH", 0x0002, 0x0010, b"UI", 20)
    + b"1.2.840.10008.1.2.1\x00"
)


class DataSet(NamedTuple):
    """A DICOM file before its data set is read.

    Attributes:
        stream: the file, never deflated.
        syntax: its transfer syntax, if stated.
        meta: the File Meta Information (PS3.10 7.1).
        begin: offset of the data set in the stream.
    """

    stream: io.BytesIO
    syntax: UID | None
    meta: Dataset
    begin: int


def data_set(data: bytes) -> DataSet:
    """Find the data set in a file's bytes."""
    stream = io.BytesIO(data)
    stream.seek(_PREFIX_AT + 4 if data[_PREFIX_AT : _PREFIX_AT + 4] == b"DICM" else 0)
    try:
        meta = read_dataset(stream, False, True, stop_when=lambda tag, *_: tag >> 16 != 2)
        syntax = meta.get("TransferSyntaxUID")
    except (MemoryError, RecursionError):
        raise
    except Exception:
        raise Refusal("malformed-dicom") from None
    if not syntax:
        return DataSet(stream, None, meta, 0)
    uid, begin = UID(str(syntax)), stream.tell()
    uid = _explicit_syntax(data, begin) or uid if uid in _UNCOMPRESSED else uid
    if uid != DeflatedExplicitVRLittleEndian:
        return DataSet(stream, uid, meta, begin)
    inflated = _inflated(data[begin:])
    return DataSet(io.BytesIO(_EXPLICIT_FILE + inflated), uid, meta, len(_EXPLICIT_FILE))


_UNCOMPRESSED: Final = (
    ExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    DeflatedExplicitVRLittleEndian,
)


def _explicit_syntax(data: bytes, begin: int) -> UID | None:
    """Return the native syntax of a data set by its first element; None if it has no explicit VR.

    Writers state another byte order, or Deflate for a data set that is not deflated. The first
    element is of group 0008, or of one soon after it.
    """
    head = data[begin : begin + 8]
    if len(head) < 8 or head[4:6].decode("latin-1") not in VRS:
        return None
    little, big = (int.from_bytes(head[:2], order) for order in ("little", "big"))
    if min(little, big) > _LAST_FIRST_GROUP:
        return None
    return ExplicitVRLittleEndian if little < big else ExplicitVRBigEndian


_LAST_FIRST_GROUP: Final = 0x0028

# Raw Deflate (PS3.5 A.5); some writers add the header of zlib or gzip.
_RAW, _WITH_HEADER = -zlib.MAX_WBITS, 32 + zlib.MAX_WBITS


def _inflated(deflated: bytes) -> bytes:
    for form in (_RAW, _WITH_HEADER):
        inflater = zlib.decompressobj(form)
        try:
            inflated = inflater.decompress(deflated, limits.MAX_INFLATED_BYTES + 1)
        except zlib.error:
            continue
        if len(inflated) > limits.MAX_INFLATED_BYTES:
            raise Refusal("deflate-bomb")
        if not inflater.eof:
            raise Refusal("deflate-truncated")
        return inflated
    raise Refusal("deflate-damaged")


def read_header(found: DataSet) -> Header:
    """Read the needed elements before the pixel data, and leave the stream there."""
    stream, syntax, meta, begin = found
    stream.seek(begin)
    try:
        if syntax is None:
            # pydicom detects the encoding, and skips bytes before the data set.
            header = dcmread(stream, stop_before_pixels=True, force=True, specific_tags=[*_TAGS])
            return Header(header, header.file_meta, _KEYWORDS)
        implicit, little = syntax == ImplicitVRLittleEndian, syntax != ExplicitVRBigEndian
        elements = read_dataset(
            stream,
            implicit,
            little,
            stop_when=lambda tag, *_: tag in PIXEL_TAGS,
            specific_tags=[*_TAGS],
        )
        return Header(elements, meta, _KEYWORDS)
    except RecursionError:
        raise Refusal("nested-too-deep") from None
    except MemoryError:
        raise
    except Exception as error:
        # pydicom converts a RecursionError at an item's beginning to an OSError.
        nested = isinstance(error.__context__, RecursionError)
        raise Refusal("nested-too-deep" if nested else "malformed-dicom") from None


def pixel_element(stream: io.BytesIO, header: Any, sop_class: str) -> RawDataElement:
    """Read the pixel data element at the stream's position, without decoding it.

    The value is a view of the stream's bytes, since a copy would take megabytes.
    """
    sop_class = sop_class or text(header, "SOPClassUID") or ""
    at = stream.tell()
    size = stream.seek(0, io.SEEK_END)
    stream.seek(at)
    if at >= size:
        raise Refusal(_without_pixels(sop_class, truncated=at > size))
    implicit, little_endian = header.original_encoding
    data = stream.getvalue()
    begin = at + (8 if implicit else 12)
    if data[begin - 4 : begin] == b"\xff\xff\xff\xff":
        # Compressed: the items end at a delimiter or at the end of the file.
        group, number = struct.unpack_from("<HH", data, at)
        tag = group << 16 | number
        if tag in PIXEL_TAGS:
            vr = None if implicit else "OB"
            value = memoryview(data)[begin:]
            return RawDataElement(Tag(tag), vr, UNDEFINED, value, begin, implicit, True)  # type: ignore[arg-type]
    try:
        elements = data_element_generator(stream, implicit, little_endian, defer_size=0)
        element = next(elements, None)
    except EOFError:
        raise Refusal("truncated") from None
    except (MemoryError, RecursionError):
        raise
    except Exception:
        raise Refusal("malformed-dicom") from None
    if element is None:
        raise Refusal("truncated")
    if not isinstance(element, RawDataElement) or int(element.tag) not in PIXEL_TAGS:
        raise Refusal(_without_pixels(sop_class, truncated=False))
    if element.value is None and element.length != UNDEFINED:
        begin = element.value_tell
        value = memoryview(data)[begin : begin + element.length]
        element = element._replace(value=value)  # type: ignore[arg-type]
    if element.length not in (UNDEFINED, len(element.value or b"")):
        raise Refusal("truncated" if element.value else "empty-pixel-data")
    return element


def _without_pixels(sop_class: str, *, truncated: bool) -> str:
    for beginning, code in _NOT_IMAGES:
        if sop_class.startswith(beginning):
            return code
    if truncated:
        return "truncated"
    if not sop_class or _IMAGE_CLASSES.fullmatch(sop_class):
        return "no-pixel-data"
    return "non-image"


def assumed_syntax(header: Any, element: RawDataElement) -> UID:
    """Return the detected native syntax of a data set without a transfer syntax."""
    if element.length == UNDEFINED:
        raise Refusal("transfer-syntax-missing")
    implicit, little_endian = header.original_encoding
    if implicit:
        return ImplicitVRLittleEndian
    return ExplicitVRLittleEndian if little_endian else ExplicitVRBigEndian
