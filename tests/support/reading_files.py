"""Files for the tests of reading: DICOM written element by element, so that it can lie."""

from __future__ import annotations

import io
import struct
import zlib
from importlib.metadata import files
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pydicom
from numpy.typing import NDArray
from PIL import Image
from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.encaps import encapsulate

SECRET = "ZZSECRET^NAME"
"""A patient's name that must never come out again."""

UNDEFINED = 0xFFFFFFFF
IMPLICIT = "1.2.840.10008.1.2"
EXPLICIT = "1.2.840.10008.1.2.1"
DEFLATED = "1.2.840.10008.1.2.1.99"
BIG_ENDIAN = "1.2.840.10008.1.2.2"
JPEG_BASELINE = "1.2.840.10008.1.2.4.50"
JPEG_EXTENDED = "1.2.840.10008.1.2.4.51"
JPEG_LS = "1.2.840.10008.1.2.4.80"
JPEG2000_LOSSLESS = "1.2.840.10008.1.2.4.90"
JPEG2000 = "1.2.840.10008.1.2.4.91"
RLE = "1.2.840.10008.1.2.5"

COMPUTED_RADIOGRAPHY = "1.2.840.10008.5.1.4.1.1.1"

_LONG = ("OB", "OW", "OF", "OD", "SQ", "UN", "UT")


def pydicom_data(name: str) -> Path:
    """Return a file of the package pydicom-data."""
    for file in files("pydicom-data") or ():
        if file.name == name:
            return Path(str(file.locate()))
    raise FileNotFoundError(name)


def pydicom_test_file(name: str) -> Path:
    """Return a test file that comes with pydicom."""
    return Path(pydicom.__file__).parent / "data" / "test_files" / name


def element(
    tag: int,
    vr: str,
    value: bytes,
    *,
    length: int | None = None,
    order: str = "<",
    implicit: bool = False,
) -> bytes:
    """One data element (PS3.5 7.1), its length true unless given."""
    value += b"\0" * (len(value) % 2) if length is None else b""
    size = len(value) if length is None else length
    head = struct.pack(f"{order}HH", tag >> 16, tag & 0xFFFF)
    if implicit:
        return head + struct.pack(f"{order}I", size) + value
    if vr in _LONG:
        return head + vr.encode() + struct.pack(f"{order}HI", 0, size) + value
    return head + vr.encode() + struct.pack(f"{order}H", size) + value


def item(content: bytes) -> bytes:
    """One item of a sequence (PS3.5 7.5)."""
    return struct.pack("<HHI", 0xFFFE, 0xE000, len(content)) + content


def encoded(vr: str, value: Any, order: str = "<") -> bytes:
    """Return a value as the VR stores it; bytes are taken as they are."""
    if isinstance(value, bytes):
        return value
    if isinstance(value, str):
        data = value.encode()
        return data + (b"\0" if vr == "UI" else b" ") * (len(data) % 2)
    values = value if isinstance(value, (list, tuple)) else [value]
    if vr in ("DS", "IS"):
        return encoded(vr, "\\".join(str(v) for v in values))
    return b"".join(struct.pack(order + {"US": "H", "SS": "h", "UL": "I"}[vr], v) for v in values)


def data_set(elements: dict[str, Any], order: str = "<", implicit: bool = False) -> bytes:
    """Elements by keyword, in the order of their tags.

    A value may be a pair (VR, value); None leaves the element out.
    """
    parts: dict[int, bytes] = {}
    for keyword, given in elements.items():
        if given is None:
            continue
        tag = tag_for_keyword(keyword)
        assert tag is not None, keyword
        vr, value = given if isinstance(given, tuple) else (dictionary_VR(keyword), given)
        vr = {"US or SS": "US", "US or OW": "US", "OB or OW": "OW", "US or SS or OW": "US"}.get(
            str(vr), str(vr)
        )
        parts[tag] = element(tag, vr, encoded(vr, value, order), order=order, implicit=implicit)
    return b"".join(parts[tag] for tag in sorted(parts))


def meta(syntax: str | None, sop_class: str = COMPUTED_RADIOGRAPHY) -> bytes:
    """Preamble, prefix and file meta information (PS3.10 7.1)."""
    elements = {"MediaStorageSOPClassUID": sop_class, "TransferSyntaxUID": syntax}
    return bytes(128) + b"DICM" + data_set(elements)


def image_elements(pixels: np.ndarray, **changes: Any) -> dict[str, Any]:
    """Return the elements of a radiograph of integers [H, W] or [H, W, 3], without pixels."""
    bits = 8 * pixels.dtype.itemsize
    several = pixels.ndim == 3
    return {
        "SOPClassUID": COMPUTED_RADIOGRAPHY,
        "StudyDate": "20200102",
        "Modality": "CR",
        "PatientName": SECRET,
        "PatientID": SECRET,
        "PatientBirthDate": "19580203",
        "SamplesPerPixel": 3 if several else 1,
        "PhotometricInterpretation": "RGB" if several else "MONOCHROME2",
        "PlanarConfiguration": 0 if several else None,
        "Rows": pixels.shape[0],
        "Columns": pixels.shape[1],
        "BitsAllocated": bits,
        "BitsStored": bits,
        "HighBit": bits - 1,
        "PixelRepresentation": int(pixels.dtype.kind == "i"),
    } | changes


def dicom(
    pixels: np.ndarray,
    *,
    syntax: str | None = EXPLICIT,
    data: bytes | None = None,
    pixel_element: bytes | None = None,
    prefix: bytes | None = None,
    **changes: Any,
) -> bytes:
    """Return a DICOM file of the pixels.

    Args:
        syntax: transfer syntax; native ones are encoded accordingly.
        data: the value of the pixel data instead of the pixels'.
        pixel_element: the whole pixel data element instead.
        prefix: what comes before the data set, instead of `meta(syntax)`.
        changes: elements to set, or to leave out (None).
    """
    order: Literal[">", "<"] = ">" if syntax == BIG_ENDIAN else "<"
    implicit = syntax == IMPLICIT
    body = data_set(image_elements(pixels, **changes), order, implicit)
    if data is None:
        data = pixels.astype(pixels.dtype.newbyteorder(order)).tobytes()
    if pixel_element is None:
        vr = "OB" if pixels.dtype.itemsize == 1 else "OW"
        pixel_element = element(0x7FE00010, vr, data, order=order, implicit=implicit)
    body += pixel_element
    if syntax == DEFLATED:
        deflater = zlib.compressobj(wbits=-15)
        body = deflater.compress(body) + deflater.flush()
    return (meta(syntax) if prefix is None else prefix) + body


def encapsulated(*frames: bytes, raw: bytes | None = None, has_bot: bool = False) -> bytes:
    """Return a compressed pixel data element of undefined length (PS3.5 A.4)."""
    if raw is None:
        padded = [frame + b"\0" * (len(frame) % 2) for frame in frames]
        raw = encapsulate(padded, has_bot=has_bot)
    end = struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)
    return element(0x7FE00010, "OB", raw + end, length=UNDEFINED)


def two_fragments(frame: bytes) -> bytes:
    """Return items of a frame in two fragments, with an offset for each in the table."""
    half = len(frame) // 4 * 2
    rest = frame[half:] + b"\0" * (len(frame) % 2)
    return item(struct.pack("<2I", 0, 8 + half)) + item(frame[:half]) + item(rest)


def with_comment(frame: bytes, comment: bytes) -> bytes:
    """Return a JPEG 2000 codestream of one tile-part with a comment in its header (T.800 A.9.2)."""
    part, data = frame.index(b"\xff\x90"), frame.index(b"\xff\x93")
    segment = struct.pack(">HHH", 0xFF64, 4 + len(comment), 0) + comment
    (length,) = struct.unpack_from(">I", frame, part + 6)
    header = frame[: part + 6] + struct.pack(">I", length + len(segment)) + frame[part + 10 : data]
    return header + segment + frame[data:]


def compressed(pixels: np.ndarray, syntax: str, *frames: bytes, **changes: Any) -> bytes:
    """Return a DICOM file whose header describes the pixels and whose frames are given."""
    return dicom(pixels, syntax=syntax, pixel_element=encapsulated(*frames), **changes)


def picture(pixels: np.ndarray, form: str, **options: Any) -> bytes:
    """Return the pixels in a file format of Pillow's."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, form, **options)
    return buffer.getvalue()


def png_chunk(kind: bytes, content: bytes) -> bytes:
    """One chunk of a PNG file."""
    checksum = zlib.crc32(kind + content)
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)


def png(
    width: int,
    height: int,
    rows: bytes,
    *,
    depth: int = 8,
    colour: int = 0,
    extra: bytes = b"",
    interlaced: bool = False,
) -> bytes:
    """Return a PNG file of the filtered rows; `extra` are chunks before the image data."""
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlaced)
    return (
        b"\x89PNG\r\n\x1a\n"
        + png_chunk(b"IHDR", header)
        + extra
        + png_chunk(b"IDAT", zlib.compress(rows))
        + png_chunk(b"IEND", b"")
    )


def chest(rows: int = 96, columns: int = 80, bits: int = 12) -> NDArray[Any]:
    """Unsigned integers [rows, columns]: a smooth picture with detail, over most of the range."""
    y, x = np.mgrid[0:rows, 0:columns]
    waves = np.sin(x / 7) * np.cos(y / 9) + 0.5 * np.sin((x + 2 * y) / 23)
    top = (1 << bits) - 1
    levels: NDArray[Any] = np.round((waves + 1.5) / 3 * top)
    return levels.astype(np.uint8 if bits <= 8 else np.uint16)


def tiff_of(
    strip: bytes, rows: int, columns: int, bits: int, *, order: str = "<", **tags: int | list[int]
) -> bytes:
    """Return a TIFF file of one strip; `tags` are numbers behind a letter, such as t259=5."""
    entries: dict[int, int | list[int]] = {256: columns, 257: rows, 258: bits, 259: 1, 262: 1}
    entries |= {273: 8, 277: 1, 278: rows, 279: len(strip)}
    entries |= {int(tag[1:]): value for tag, value in tags.items()}
    body = strip + b"\0" * (len(strip) % 2)
    listed = b""
    for tag, value in sorted(entries.items()):
        values = value if isinstance(value, list) else [value]
        stored = struct.pack(f"{order}{len(values)}I", *values)
        if len(values) > 1:
            place = struct.pack(f"{order}I", 8 + len(body))
            body, stored = body + stored, place
        listed += struct.pack(f"{order}HHI", tag, 4, len(values)) + stored
    head = (b"II" if order == "<" else b"MM") + struct.pack(f"{order}HI", 42, 8 + len(body))
    return head + body + struct.pack(f"{order}H", len(entries)) + listed + bytes(4)


def packed(values: np.ndarray, bits: int) -> bytes:
    """Pack integers [H, W] of so many bits, each row from a new byte."""
    shifts = np.arange(bits - 1, -1, -1)
    each = (values[..., np.newaxis].astype(np.int64) >> shifts) & 1
    return np.packbits(each.reshape(len(values), -1).astype(np.uint8), axis=1).tobytes()


def lzw(data: bytes) -> bytes:
    """Compress as TIFF's LZW (TIFF 6.0, section 13), without ever using the table."""
    codes: list[int] = []
    for start in range(0, len(data), 200):
        # 256 clears the table, so the codes keep 9 bits.
        codes += [256, *data[start : start + 200]]
    return packed(np.array([[*codes, 257]]), 9)
