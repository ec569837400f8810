"""Reading one radiograph from a DICOM file (PS3.10), distrusting everything it says.

The header is read first, only the elements that are needed, and checked; the pixel data is touched
once its size is known to be bounded and to agree with the header.
"""

from __future__ import annotations

import io
import itertools
import re
import struct
import zlib
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydicom import Dataset, dcmread
from pydicom.dataelem import RawDataElement
from pydicom.encaps import encapsulate, generate_fragments, parse_basic_offsets
from pydicom.filereader import data_element_generator, read_dataset
from pydicom.pixels.decoders.base import get_decoder
from pydicom.pixels.processing import apply_color_lut
from pydicom.tag import Tag
from pydicom.uid import (
    HTJ2K,
    JPEG2000,
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    HTJ2KLossless,
    HTJ2KLosslessRPCL,
    ImplicitVRLittleEndian,
    JPEG2000TransferSyntaxes,
    JPEGBaseline8Bit,
    JPEGLSTransferSyntaxes,
    JPEGTransferSyntaxes,
    MPEGTransferSyntaxes,
    RLELossless,
)

from nanoray.reading import greyscale, limits
from nanoray.reading.dicom import codestream
from nanoray.reading.dicom.header import Header
from nanoray.reading.radiograph import Facts, Grey, Radiograph
from nanoray.reading.raster import load_reduced, reduced_scale
from nanoray.reading.refusals import Refusal

Stored = NDArray[Any]

_PREFIX_AT: Final = 128
_UNDEFINED: Final = 0xFFFFFFFF
_PIXEL_TAGS: Final = {
    0x7FE00010: "PixelData",
    0x7FE00009: "DoubleFloatPixelData",
    0x7FE00008: "FloatPixelData",
}
_NATIVE: Final = (
    ImplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    DeflatedExplicitVRLittleEndian,
)
_JPEG2000: Final = (*JPEG2000TransferSyntaxes, HTJ2K, HTJ2KLossless, HTJ2KLosslessRPCL)
_JPEG: Final = (*JPEGTransferSyntaxes, *JPEGLSTransferSyntaxes)

# All that is read of a header: nothing here but dates, used for an age, could name a patient.
_ELEMENTS: Final = [
    "SOPClassUID",
    "Modality",
    "StudyDate",
    "PatientBirthDate",
    "PatientSex",
    "PatientAge",
    "BodyPartExamined",
    "ViewPosition",
    "ViewCodeSequence",
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

_TAGS: Final = [Tag(keyword) for keyword in _ELEMENTS]
_KEYWORDS: Final = {int(tag): keyword for tag, keyword in zip(_TAGS, _ELEMENTS, strict=True)}

# SOP classes of objects that hold no image (PS3.4 B.5), by the beginning of their UID.
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

# DX View (PS3.16 CID 4010), in SNOMED CT and in the SRT codes before it.
_VIEWS: Final = {
    "399348003": "AP",
    "R-10206": "AP",
    "272479007": "PA",
    "R-10214": "PA",
    "R-40888": "PA",
    "399173006": "LL",
    "R-10236": "LL",
    "399198007": "RL",
    "R-10232": "RL",
    "399067008": "LATERAL",
    "R-102CD": "LATERAL",
}

# A data set of its own begins: preamble, prefix and a transfer syntax (PS3.10 7.1).
_EXPLICIT_FILE: Final = (
    bytes(_PREFIX_AT)
    + b"DICM"
    + struct.pack("<HH2sH", 0x0002, 0x0010, b"UI", 20)
    + b"1.2.840.10008.1.2.1\x00"
)


@dataclass(frozen=True, slots=True)
class _Frame:
    """The image pixel module (PS3.3 C.7.6.3), checked."""

    rows: int
    columns: int
    samples: int
    photometric: str
    planar: int
    allocated: int
    stored: int
    high_bit: int
    signed: bool
    keyword: str

    @property
    def native_bytes(self) -> int:
        """Length of the frame in a native transfer syntax, before padding to an even length."""
        bits = self.rows * self.columns * self.samples * self.allocated
        if self.photometric == "YBR_FULL_422":
            bits = bits // 3 * 2
        return (bits + 7) // 8


def looks_like_dicom(data: bytes) -> bool:
    """Whether data begins as DICOM does: with the prefix, or with a plausible first element."""
    if data[_PREFIX_AT : _PREFIX_AT + 4] == b"DICM":
        return True
    if len(data) < 12:
        return False
    for order in "<>":
        group, element, vr, _ = struct.unpack_from(f"{order}HH2sH", data)
        (length,) = struct.unpack_from(f"{order}I", data, 4)
        if group not in (0x0002, 0x0008):
            continue
        explicit = re.fullmatch(rb"[A-Z]{2}", vr) is not None
        if explicit or (order == "<" and element <= 0x3000 and length <= 1024):
            return True
    return False


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
    header = _header(found)
    sop_class = _text(header.file_meta, "MediaStorageSOPClassUID") or ""
    if sop_class == "1.2.840.10008.1.3.10":
        raise Refusal("dicomdir")
    element = _pixel_element(stream, header, sop_class)
    if syntax is None:
        syntax = _assumed_syntax(header, element)
    if syntax in MPEGTransferSyntaxes:
        raise Refusal("video")
    if syntax not in (*_NATIVE, *_JPEG, *_JPEG2000, RLELossless):
        raise Refusal("transfer-syntax")
    frame = _image_pixel_module(header, _PIXEL_TAGS[int(element.tag)])
    frames = _number_of_frames(header)
    value = element.value
    if not value:
        raise Refusal("empty-pixel-data")
    unused = 0
    if syntax not in _NATIVE:
        compressed = _single_frame(bytes(value), frames)
        _check_codestream(frame, syntax, compressed)
        stored, photometric = _decode_compressed(frame, syntax, compressed, header, min_side)
    else:
        _check_native(frame, frames, value, declared=element.length)
        if _is_plain(frame, syntax):
            stored, photometric = _samples(frame, value), frame.photometric
            unused = frame.allocated - frame.stored
        else:
            stored, photometric = _decode(frame, syntax, bytes(value), vr=element.VR or "OW")
    grey, colour = _grey(stored, photometric, frame, syntax, header, unused)
    return Radiograph(grey, _facts(header, frame, syntax, colour))


class DataSet(NamedTuple):
    """A file whose data set has not been read.

    Attributes:
        stream: the file, never deflated.
        syntax: its transfer syntax, if it names one.
        meta: the File Meta Information (PS3.10 7.1).
        begin: where in the stream the data set begins.
    """

    stream: io.BytesIO
    syntax: UID | None
    meta: Dataset
    begin: int


def data_set(data: bytes) -> DataSet:
    """The data set in a file's bytes."""
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
    uid = UID(str(syntax))
    if uid != DeflatedExplicitVRLittleEndian:
        return DataSet(stream, uid, meta, stream.tell())
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        inflated = inflater.decompress(data[stream.tell() :], limits.MAX_INFLATED_BYTES + 1)
    except zlib.error:
        raise Refusal("deflate-damaged") from None
    if len(inflated) > limits.MAX_INFLATED_BYTES:
        raise Refusal("deflate-bomb")
    if not inflater.eof:
        raise Refusal("deflate-truncated")
    return DataSet(io.BytesIO(_EXPLICIT_FILE + inflated), uid, meta, len(_EXPLICIT_FILE))


def _header(found: DataSet) -> Header:
    """The elements needed that come before the pixel data, at which the stream is left."""
    stream, syntax, meta, begin = found
    stream.seek(begin)
    try:
        if syntax is None:
            # pydicom finds out the encoding, and passes over what may come before the data set.
            header = dcmread(stream, stop_before_pixels=True, force=True, specific_tags=[*_TAGS])
            return Header(header, header.file_meta, _KEYWORDS)
        implicit, little = syntax == ImplicitVRLittleEndian, syntax != ExplicitVRBigEndian
        elements = read_dataset(
            stream,
            implicit,
            little,
            stop_when=lambda tag, *_: tag in _PIXEL_TAGS,
            specific_tags=[*_TAGS],
        )
        return Header(elements, meta, _KEYWORDS)
    except RecursionError:
        raise Refusal("nested-too-deep") from None
    except MemoryError:
        raise
    except Exception as error:
        # pydicom turns a RecursionError met at an item's beginning into an OSError.
        nested = isinstance(error.__context__, RecursionError)
        raise Refusal("nested-too-deep" if nested else "malformed-dicom") from None


def _pixel_element(stream: io.BytesIO, header: Any, sop_class: str) -> RawDataElement:
    """The pixel data element at which the stream stands, not decoded.

    A value of defined length is a view of the stream's bytes: native frames have megabytes, and
    need no copy.
    """
    sop_class = sop_class or _text(header, "SOPClassUID") or ""
    at = stream.tell()
    size = stream.seek(0, io.SEEK_END)
    stream.seek(at)
    if at >= size:
        raise Refusal(_without_pixels(sop_class, truncated=at > size))
    implicit, little_endian = header.original_encoding
    data = stream.getvalue()
    undefined = b"\xff\xff\xff\xff" in (data[at + 4 : at + 8], data[at + 8 : at + 12])
    defer_size = None if undefined else 0
    try:
        elements = data_element_generator(stream, implicit, little_endian, defer_size=defer_size)
        element = next(elements, None)
    except EOFError:
        raise Refusal("truncated") from None
    except (MemoryError, RecursionError):
        raise
    except Exception:
        raise Refusal("malformed-dicom") from None
    if element is None:
        raise Refusal("truncated")
    if not isinstance(element, RawDataElement) or int(element.tag) not in _PIXEL_TAGS:
        raise Refusal(_without_pixels(sop_class, truncated=False))
    if element.value is None and not undefined:
        begin = element.value_tell
        value = memoryview(data)[begin : begin + element.length]
        element = element._replace(value=value)  # type: ignore[arg-type]
    if element.length not in (_UNDEFINED, len(element.value or b"")):
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


def _assumed_syntax(header: Any, element: RawDataElement) -> UID:
    """The native syntax that a data set without a transfer syntax turned out to have."""
    if element.length == _UNDEFINED:
        raise Refusal("transfer-syntax-missing")
    implicit, little_endian = header.original_encoding
    if implicit:
        return ImplicitVRLittleEndian
    return ExplicitVRLittleEndian if little_endian else ExplicitVRBigEndian


def _image_pixel_module(header: Any, keyword: str) -> _Frame:
    rows, columns = _integer(header, "Rows"), _integer(header, "Columns")
    if rows is None or columns is None or rows < 0 or columns < 0:
        raise Refusal("size-missing")
    if not rows or not columns:
        raise Refusal("size-zero")
    if rows * columns > limits.MAX_PIXELS:
        raise Refusal("too-many-pixels")
    samples = _integer(header, "SamplesPerPixel", 1)
    if samples not in (1, 3):
        raise Refusal("samples")
    photometric = _text(header, "PhotometricInterpretation") or ("MONOCHROME2", "RGB")[samples > 1]
    single = photometric in ("MONOCHROME1", "MONOCHROME2", "PALETTE COLOR")
    several = photometric in ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT")
    if not single and not several:
        raise Refusal("photometric")
    if single != (samples == 1):
        raise Refusal("photometric-samples")
    is_float = keyword != "PixelData"
    allocated = _integer(
        header, "BitsAllocated", {"FloatPixelData": 32}.get(keyword, 64 if is_float else None)
    )
    if allocated not in (1, 8, 16, 32, 64) or (allocated == 1 and samples != 1):
        raise Refusal("bits")
    stored = allocated if is_float else _integer(header, "BitsStored", allocated)
    if stored is None or not 1 <= stored <= allocated:
        raise Refusal("bits")
    representation = _integer(header, "PixelRepresentation", 0)
    if representation not in (0, 1):
        raise Refusal("pixel-representation")
    planar = _integer(header, "PlanarConfiguration", 0)
    if samples > 1 and planar not in (0, 1):
        raise Refusal("planar-configuration")
    high_bit = _integer(header, "HighBit", stored - 1)
    if high_bit is None or not stored - 1 <= high_bit < allocated:
        high_bit = stored - 1
    return _Frame(
        rows,
        columns,
        samples,
        photometric,
        planar or 0,
        allocated,
        stored,
        high_bit,
        signed=representation == 1 and not is_float and allocated > 1,
        keyword=keyword,
    )


def _number_of_frames(header: Any) -> int:
    frames = _integer(header, "NumberOfFrames", 1)
    if frames is None or frames < 0:
        raise Refusal("frames-malformed")
    return frames or 1


def _check_native(frame: _Frame, frames: int, value: bytes | memoryview, declared: int) -> None:
    if declared == _UNDEFINED:
        raise Refusal("encapsulation")
    expected, actual = frame.native_bytes, len(value)
    if frames > 1:
        raise Refusal("multi-frame" if actual >= frames * expected else "frames-mismatch")
    if actual < expected:
        raise Refusal("size-mismatch")
    if actual >= 2 * expected and actual > 2:
        raise Refusal("frames-mismatch" if actual % expected in (0, 1) else "size-mismatch")
    if bytes(value[expected + expected % 2 :]).strip(b"\x00"):
        # More than padding: with these Rows and Columns the image would be cut or skewed.
        raise Refusal("size-mismatch")


def _is_plain(frame: _Frame, syntax: UID) -> bool:
    """Whether a native frame's bytes are its samples, the significant bits lowest."""
    return (
        syntax != ExplicitVRBigEndian
        and frame.samples == 1
        and frame.keyword == "PixelData"
        and frame.allocated in (8, 16)
        and frame.high_bit == frame.stored - 1
        and frame.photometric != "PALETTE COLOR"
    )


def _samples(frame: _Frame, value: bytes | memoryview) -> Stored:
    """The samples [H, W] of a plain native frame: a view of its bytes, unused bits and all."""
    kind = f"<{'i' if frame.signed else 'u'}{frame.allocated // 8}"
    samples = np.frombuffer(value, kind, frame.rows * frame.columns)
    return samples.reshape(frame.rows, frame.columns)


def _single_frame(value: bytes, frames: int) -> bytes:
    """The compressed frame: all fragments joined (PS3.5 A.4).

    The offset table is not followed, since a single frame needs none, but its length tells how
    many frames there are.
    """
    stream = io.BytesIO(value)
    try:
        offsets = parse_basic_offsets(stream)
        fragments = list(generate_fragments(stream))
    except Exception:
        raise Refusal("encapsulation") from None
    fragments = [fragment for fragment in fragments if fragment]
    if not fragments:
        raise Refusal("empty-pixel-data")
    if frames > 1:
        enough = len(fragments) >= frames
        raise Refusal("multi-frame" if enough else "frames-mismatch")
    starts = sum(fragment[:3] in (b"\xff\xd8\xff", b"\xff\x4f\xff") for fragment in fragments)
    if len(offsets) > 1 or starts > 1:
        raise Refusal("frames-mismatch")
    return b"".join(fragments)


def _check_codestream(frame: _Frame, syntax: UID, data: bytes) -> None:
    """Compare the header with what the compressed frame says of itself, before decoding it."""
    if syntax == RLELossless:
        _check_rle(frame, data)
        return
    is_jpeg = syntax in _JPEG
    layout = codestream.jpeg_layout(data) if is_jpeg else codestream.jpeg2000_layout(data)
    if layout is None or (
        is_jpeg and (layout.marker == 0xF7) != (syntax in JPEGLSTransferSyntaxes)
    ):
        raise Refusal("codestream")
    if (layout.rows, layout.columns) != (frame.rows, frame.columns):
        raise Refusal("codestream-size")
    if layout.samples != frame.samples:
        raise Refusal("codestream-samples")
    if not 0 < layout.precision <= frame.allocated:
        raise Refusal("codestream-bits")
    if not codestream.complete(data, jpeg=is_jpeg):
        raise Refusal("codestream-truncated")


def _check_rle(frame: _Frame, data: bytes) -> None:
    """The RLE header (PS3.5 G.5): the number of segments, then 15 offsets that ascend."""
    if len(data) < 64:
        raise Refusal("codestream-truncated")
    count, *offsets = struct.unpack_from("<16I", data)
    if not 1 <= count <= 15:
        raise Refusal("codestream")
    if frame.allocated % 8 or count != frame.samples * frame.allocated // 8:
        raise Refusal("codestream-samples")
    used = offsets[:count]
    if used[0] < 64 or any(b <= a for a, b in itertools.pairwise(used)):
        raise Refusal("codestream")
    if used[-1] >= len(data):
        raise Refusal("codestream-truncated")


def _decode_compressed(
    frame: _Frame, syntax: UID, data: bytes, header: Any, min_side: int | None
) -> tuple[Stored, str]:
    scale = 1
    # Averages of padding and image would be neither, so padding needs the full scale.
    if min_side is not None and frame.samples == 1 and "PixelPaddingValue" not in header:
        scale = reduced_scale(frame.rows, frame.columns, min_side)
    if syntax == JPEGBaseline8Bit and frame.samples == 1 and frame.stored == 8:
        try:
            with Image.open(io.BytesIO(data), formats=("JPEG",)) as image:
                loaded = load_reduced(image, scale)
                grey = loaded if loaded.mode == "L" else loaded.convert("L")
                return np.asarray(grey), frame.photometric
        except MemoryError:
            raise
        except Exception:
            raise Refusal("decoder") from None
    # What is stored without loss is read without loss: the same probability in every encoding.
    if scale > 1 and syntax == JPEG2000 and not frame.signed:
        # Twice the scale, since wavelets' low frequencies are sharper than a resized image.
        assert min_side is not None
        scale = reduced_scale(frame.rows, frame.columns, 2 * min_side)
        reduced = _reduced_jpeg2000(data, scale) if scale > 1 else None
        if reduced is not None:
            return reduced, frame.photometric
    if syntax in JPEGTransferSyntaxes:
        # The decoder fills as many bytes a sample as the codestream's precision needs, which may
        # be fewer than the header allocates.
        layout = codestream.jpeg_layout(data)
        container = 8 if layout is not None and layout.precision <= 8 else 16
        if container != frame.allocated:
            stored = min(frame.stored, container)
            frame = replace(frame, allocated=container, stored=stored, high_bit=stored - 1)
    encapsulated = encapsulate([data + b"\x00" * (len(data) % 2)], has_bot=False)
    return _decode(frame, syntax, encapsulated, vr="OB")


def _reduced_jpeg2000(data: bytes, scale: int) -> Stored | None:
    """Unsigned samples at 1/`scale`, or less reduced; None where only the whole can be decoded."""
    layout, levels = codestream.jpeg2000_layout(data), codestream.jpeg2000_levels(data)
    if layout is None:
        return None
    scale = min(scale, 1 << levels)
    # Pillow rounds the reduced size, and the decoder rounds it up: where they differ, it refuses.
    while any(0 < side % scale < scale // 2 for side in (layout.rows, layout.columns)):
        scale //= 2
    if layout.signed or not 8 <= layout.precision <= 16 or scale == 1:
        return None
    try:
        with Image.open(io.BytesIO(data), formats=("JPEG2000",)) as image:
            samples = np.asarray(load_reduced(image, scale))
    except MemoryError:
        raise
    except Exception:
        # Tiles may have fewer levels than the main header says.
        return None
    if samples.ndim != 2 or samples.dtype.itemsize != (1 if layout.precision == 8 else 2):
        return None
    # Pillow fills the 16 bits from the top.
    return samples >> (8 * samples.dtype.itemsize - layout.precision)


def _decode(frame: _Frame, syntax: UID, value: bytes, vr: str) -> tuple[Stored, str]:
    """Stored values [H, W] or [H, W, 3], and the photometric interpretation they have."""
    left_aligned = frame.high_bit >= frame.stored
    options: dict[str, Any] = {
        "rows": frame.rows,
        "columns": frame.columns,
        "samples_per_pixel": frame.samples,
        "photometric_interpretation": frame.photometric,
        "planar_configuration": frame.planar,
        "bits_allocated": frame.allocated,
        "bits_stored": frame.stored,
        "pixel_representation": int(frame.signed),
        "number_of_frames": 1,
        "pixel_keyword": frame.keyword,
        "pixel_vr": vr,
    }
    aligned = syntax not in _JPEG2000 and syntax not in JPEGLSTransferSyntaxes
    if aligned and left_aligned:
        options["correct_unused_bits"] = False
    plugin = "" if syntax in _NATIVE else "pylibjpeg"
    try:
        stored, properties = get_decoder(syntax).as_array(
            value, index=0, raw=True, decoding_plugin=plugin, **options
        )
    except (MemoryError, KeyboardInterrupt, SystemExit, GeneratorExit):
        raise
    except BaseException:
        # Not Exception: what a decoder written in Rust raises in a panic is no subclass of it.
        raise Refusal("decoder") from None
    if aligned and left_aligned:
        # An old encoding that keeps the significant bits on top (retired from PS3.5 8.1.1).
        native = stored.astype(stored.dtype.newbyteorder("="))
        above = frame.allocated - 1 - frame.high_bit
        stored = (native << above) >> (frame.allocated - frame.stored)
    if frame.signed and not aligned:
        stored = _signed(stored, frame.stored)
    return stored, str(properties["photometric_interpretation"])


def _signed(stored: Stored, bits: int) -> Stored:
    """Signed samples whose codestream held them as unsigned ones of more than `bits` bits.

    pydicom corrects the sign by the codestream's precision, which may exceed Bits Stored. Such
    samples show: none is negative, and some are more than `bits` bits with a sign can hold.
    """
    half = 1 << (bits - 1)
    if stored.min() >= 0 and half <= stored.max() < 2 * half:
        wide = stored.astype(np.int64)
        return np.where(wide >= half, wide - 2 * half, wide).astype(stored.dtype)
    return stored


def _grey(
    stored: Stored, photometric: str, frame: _Frame, syntax: UID, header: Any, unused: int
) -> tuple[Grey, bool]:
    little_endian = syntax != ExplicitVRBigEndian
    if photometric == "PALETTE COLOR":
        return _palette(stored, frame, header, little_endian)
    if frame.samples == 3:
        full_scale = float((1 << min(frame.stored, 8 * stored.dtype.itemsize)) - 1)
        if photometric.startswith("YBR"):
            pixels, colour = greyscale.luma_of_ybr(stored, full_scale)
        else:
            pixels, colour = greyscale.luma(stored, full_scale)
        deep = frame.stored > 8
        return greyscale.render(pixels, bits=frame.stored) if deep else pixels, colour
    modality = greyscale.modality_curve(header, little_endian=little_endian, signed=frame.signed)
    voi = greyscale.voi_curve(
        header, little_endian=little_endian, signed=_can_be_negative(frame, modality)
    )
    grey = greyscale.render(
        stored,
        bits=frame.stored,
        modality=modality,
        voi=voi,
        inverted=frame.photometric == "MONOCHROME1",
        padding=_padding(header, frame),
        low=-(1 << (frame.stored - 1)) if frame.signed else 0,
        unused=unused,
    )
    return grey, False


def _can_be_negative(frame: _Frame, modality: greyscale.Curve | None) -> bool:
    low = -(1 << (frame.stored - 1)) if frame.signed else 0
    ends = np.array([low, low + (1 << frame.stored) - 1], np.float64)
    return bool((ends if modality is None else modality(ends)).min() < 0)


def _padding(header: Any, frame: _Frame) -> tuple[float, float] | None:
    """Inclusive range of padding (PS3.3 C.7.5.1.1.2), in the sample's own sign."""
    first = _integer(header, "PixelPaddingValue")
    if first is None or frame.keyword != "PixelData":
        return None
    last = _integer(header, "PixelPaddingRangeLimit", first)
    ends = []
    for end in (first, first if last is None else last):
        # Written as unsigned where the samples are signed, or the other way round.
        wrapped = end & ((1 << frame.allocated) - 1)
        if frame.signed and wrapped >= 1 << (frame.allocated - 1):
            wrapped -= 1 << frame.allocated
        ends.append(float(wrapped))
    return min(ends), max(ends)


def _palette(stored: Stored, frame: _Frame, header: Any, little_endian: bool) -> tuple[Grey, bool]:
    """Luma of palette colours (PS3.3 C.7.6.3.1.5); values outside the palette take its ends."""
    tables = Dataset()
    try:
        for name in _ELEMENTS:
            if "Palette" in name and name in header:
                tables[name] = header[name]
        descriptors = [
            [int(value) for value in tables[f"{colour}PaletteColorLookupTableDescriptor"].value]
            for colour in ("Red", "Green", "Blue")
        ]
        count, first, bits = descriptors[0]
        count = (count & 0xFFFF) or 65_536
        if any(other != descriptors[0] for other in descriptors) or bits not in (8, 16):
            raise Refusal("palette")
        if frame.allocated > 16:
            raise Refusal("palette")
        tables.set_original_encoding(False, little_endian)
        for colour in ("Red", "Green", "Blue"):
            data = f"{colour}PaletteColorLookupTableData"
            if data in tables:
                # pydicom takes plain entries for little-endian ones, and any byte more than they
                # need, such as padding, for a wider type.
                words = _little_endian(bytes(tables[data].value), little_endian)
                tables[data].value = words[:-1] if len(words) == count + 1 else words
        index = np.clip(stored.astype(np.int32), first, first + count - 1) - first
        for colour in ("Red", "Green", "Blue"):
            tables[f"{colour}PaletteColorLookupTableDescriptor"].value = [count & 0xFFFF, 0, bits]
        # One look-up per entry; pixels then take their entry's grey value.
        entries = np.arange(count, dtype=np.int32)[np.newaxis]
        rgb = apply_color_lut(entries, tables)
    except (Refusal, MemoryError):
        raise
    except Exception:
        raise Refusal("palette") from None
    # Entries of 8 bits may be stored in 16.
    narrow = rgb.dtype.itemsize == 1 or (bits == 8 and int(rgb.max()) <= 255)
    full_scale = 255.0 if narrow else 65_535.0
    grey, _ = greyscale.luma(rgb, full_scale)
    # The colours that pixels use decide, not those that the palette offers.
    spread = rgb[0, :, :3].max(axis=1).astype(np.int64) - rgb[0, :, :3].min(axis=1)
    coloured = np.count_nonzero((spread > greyscale.COLOUR_SPREAD * full_scale)[index])
    return grey[0][index], bool(coloured > greyscale.COLOUR_SHARE * index.size)


def _little_endian(words: bytes, already: bool) -> bytes:
    if already or len(words) % 2:
        return words
    return np.frombuffer(words, ">u2").astype("<u2").tobytes()


def _facts(header: Any, frame: _Frame, syntax: UID, colour: bool) -> Facts:
    sex = _text(header, "PatientSex")
    return Facts(
        format="DICOM",
        rows=frame.rows,
        columns=frame.columns,
        bits_stored=frame.stored,
        photometric=frame.photometric,
        transfer_syntax=syntax.name,
        modality=_code(header, "Modality"),
        body_part=_code(header, "BodyPartExamined"),
        view=_code(header, "ViewPosition") or _coded_view(header),
        sex=sex if sex in ("M", "F", "O") else None,
        age_years=_age(header),
        pixel_spacing_mm=_spacing(header),
        colour=colour,
    )


def _coded_view(header: Any) -> str | None:
    """The view by View Code Sequence (PS3.3 C.8.11.5.1.1), where View Position is empty."""
    try:
        return _VIEWS.get(str(header["ViewCodeSequence"].value[0].CodeValue).strip())
    except Exception:
        return None


def _age(header: Any) -> float | None:
    """Age in years from Patient's Age (VR AS), else from the dates of birth and study."""
    match = re.fullmatch(r"(\d{1,3})([DWMY]?)", _text(header, "PatientAge") or "")
    if match:
        years = int(match[1]) / {"D": 365.25, "W": 52.18, "M": 12.0, "Y": 1.0, "": 1.0}[match[2]]
        return years if years <= 130 else None
    try:
        born, studied = (
            datetime.strptime(_text(header, name) or "", "%Y%m%d")
            for name in ("PatientBirthDate", "StudyDate")
        )
    except ValueError:
        return None
    years = (studied - born).days / 365.25
    return float(int(years * 10) / 10) if 0 <= years <= 130 else None


def _spacing(header: Any) -> tuple[float, float] | None:
    for name in ("PixelSpacing", "ImagerPixelSpacing", "NominalScannedPixelSpacing"):
        try:
            down, across = (float(value) for value in header[name].value)
        except Exception:
            continue
        if 0 < down < 100 and 0 < across < 100:
            return down, across
    return None


def _text(header: Any, keyword: str) -> str | None:
    try:
        value = header.get(keyword)
        return None if value is None else str(value).strip("\x00 ").upper() or None
    except Exception:
        return None


def _code(header: Any, keyword: str) -> str | None:
    """A code string (VR CS): capitals, digits, space and underscore, at most 16 characters."""
    text = _text(header, keyword)
    return text if text and re.fullmatch(r"[A-Z0-9 _]{1,16}", text) else None


def _integer(header: Any, keyword: str, default: int | None = None) -> int | None:
    """An integer element; the default if it is absent or empty, None if it is malformed."""
    try:
        value = header.get(keyword)
        return default if value is None or value == "" else int(value)
    except Exception:
        return None
