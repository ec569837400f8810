"""The kind of a file from its first bytes."""

from __future__ import annotations

import re
import struct
from typing import Final, Literal, TypeAlias, get_args

Raster: TypeAlias = Literal["PNG", "JPEG", "TIFF", "JPEG 2000", "WebP", "AVIF", "HEIF"]
FileKind: TypeAlias = (
    Raster | Literal["DICOM", "archive", "document", "unsupported-format", "encrypted"]
)
RASTERS: Final[tuple[Raster, ...]] = get_args(Raster)

HEAD_BYTES: Final = 512
"""Number of first bytes that identify a file's kind."""

_PREFIX_AT: Final = 128
_TAR_AT: Final = 257
_CMS_ENVELOPED: Final = bytes.fromhex("06092a864886f70d0107")  # OID 1.2.840.113549.1.7.x
_MAGIC: Final[tuple[tuple[bytes, FileKind], ...]] = (
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"\xff\xd8\xff", "JPEG"),
    (b"II*\x00", "TIFF"),
    (b"MM\x00*", "TIFF"),
    (b"II+\x00", "TIFF"),
    (b"MM\x00+", "TIFF"),
    (b"\x00\x00\x00\x0cjP  ", "JPEG 2000"),
    (b"\xff\x4f\xff\x51", "JPEG 2000"),
    (b"%PDF", "document"),
    (b"PK\x03\x04", "archive"),
    (b"PK\x05\x06", "archive"),
    (b"\x1f\x8b", "archive"),  # gzip
    (b"BZh", "archive"),
    (b"\xfd7zXZ\x00", "archive"),
    (b"\x28\xb5\x2f\xfd", "archive"),  # Zstandard
    (b"7z\xbc\xaf\x27\x1c", "archive"),
    (b"Rar!\x1a\x07", "archive"),
    (b"GIF8", "unsupported-format"),
)
_BITMAP_HEADERS: Final = frozenset((12, 16, 40, 52, 56, 64, 108, 124))  # sizes of the versions
_HEIF_BRANDS: Final = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"mif1", b"msf1")

VRS: Final = frozenset(
    (
        *("AE", "AS", "AT", "CS", "DA", "DS", "DT", "FD", "FL", "IS", "LO", "LT", "OB", "OD"),
        *("OF", "OL", "OV", "OW", "PN", "SH", "SL", "SQ", "SS", "ST", "SV", "TM", "UC", "UI"),
        *("UL", "UN", "UR", "US", "UT", "UV"),
    )
)
"""Value representations (PS3.5 6.2)."""
_LONG_VRS: Final = frozenset(
    ("OB", "OD", "OF", "OL", "OV", "OW", "SQ", "SV", "UC", "UN", "UR", "UT", "UV")
)


def kind_of(head: bytes) -> FileKind | None:
    """Return the kind of a file from its first `HEAD_BYTES` bytes or more; None if unknown."""
    if head[_PREFIX_AT : _PREFIX_AT + 4] == b"DICM":
        return "DICOM"
    for beginning, kind in _MAGIC:
        if head.startswith(beginning):
            return kind
    other = "unsupported-format" if _is_bitmap(head) else _boxed(head)
    if other is not None:
        return other
    if is_tar(head):
        return "archive"
    if head[:1] == b"\x30" and _CMS_ENVELOPED in head[:64]:
        return "encrypted"
    return "DICOM" if _begins_with_element(head) or _begins_later(head) else None


def _boxed(head: bytes) -> FileKind | None:
    """Return the kind of a RIFF file, or of an ISO base media file (ISO 14496-12)."""
    if head[:4] == b"RIFF":
        return "WebP" if head[8:12] == b"WEBP" else None  # else WAV or AVI
    if head[4:8] != b"ftyp":
        return None
    brand, others = head[8:12], [head[at : at + 4] for at in range(16, 64, 4)]
    if brand in (b"avif", b"avis") or (brand == b"mif1" and b"avif" in others):
        return "AVIF"
    if brand in _HEIF_BRANDS:
        return "HEIF"
    # Canon's raw pictures; the other brands are videos.
    return "unsupported-format" if brand == b"crx " else None


def _is_bitmap(head: bytes) -> bool:
    """Return whether a Windows bitmap begins; a text may begin with "BM" too."""
    if head[:2] != b"BM" or len(head) < 18:
        return False
    return int.from_bytes(head[14:18], "little") in _BITMAP_HEADERS


def is_tar(head: bytes) -> bool:
    """Return whether a file begins like an uncompressed tar file."""
    return head[_TAR_AT : _TAR_AT + 5] == b"ustar"


def is_image(kind: FileKind | None) -> bool:
    """Return whether files of a kind may contain a radiograph."""
    return kind == "DICOM" or kind in RASTERS


def _begins_with_element(head: bytes) -> bool:
    """Return whether a DICOM file without prefix begins: an element of group 0002 or 0008."""
    if len(head) < 12:
        return False
    for order in "<>":
        group, element, vr, _ = struct.unpack_from(f"{order}HH2sH", head)
        (length,) = struct.unpack_from(f"{order}I", head, 4)
        if group not in (0x0002, 0x0008):
            continue
        explicit = re.fullmatch(rb"[A-Z]{2}", vr) is not None
        if explicit or (order == "<" and element <= 0x3000 and length <= 1024):
            return True
    return False


def _begins_later(head: bytes) -> bool:
    """Return whether elements of groups above 0008 come first, in the order of their tags.

    Implicit elements have no VR to check, so three must follow each other instead of two.
    """
    return _ascend(head, "<") or _ascend(head, ">") or _ascend_implicit(head)


def _ascend(head: bytes, order: str) -> bool:
    """Return whether two explicit elements come first."""
    offset, last = 0, 0
    for _ in range(2):
        if offset + 12 > len(head):
            return offset > 0
        group, number, vr, length = struct.unpack_from(f"{order}HH2sH", head, offset)
        tag = group << 16 | number
        name = vr.decode("latin-1")
        if not 0x0004 <= group <= 0x0028 or group % 2 or tag <= last or name not in VRS:
            return False
        begin = 8
        if name in _LONG_VRS:
            (length,) = struct.unpack_from(f"{order}I", head, offset + 8)
            begin = 12
        if length > 0xFFFF:
            return False
        offset, last = offset + begin + length, tag
    return True


def _ascend_implicit(head: bytes) -> bool:
    """Return whether three implicit elements of even length come first."""
    offset, last = 0, 0
    for _ in range(3):
        if offset + 8 > len(head):
            return False
        group, number, length = struct.unpack_from("<HHI", head, offset)
        tag = group << 16 | number
        if not 0x0004 <= group <= 0x0028 or group % 2 or tag <= last or length % 2:
            return False
        offset, last = offset + 8 + length, tag
    return True
