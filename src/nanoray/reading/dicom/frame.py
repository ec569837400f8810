"""The frame of a radiograph: image pixel module (PS3.3 C.7.6.3) and pixel data."""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray
from pydicom.uid import UID, ExplicitVRBigEndian

from nanoray.reading import limits
from nanoray.reading.codestream import jpeg2000_layout, jpeg_layout
from nanoray.reading.dicom.container import UNDEFINED
from nanoray.reading.dicom.values import integer, text
from nanoray.reading.refusals import Refusal

Stored: TypeAlias = NDArray[Any]


@dataclass(frozen=True, slots=True)
class Frame:
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
    negative: bool = False

    @property
    def native_bytes(self) -> int:
        """Bytes of the frame in a native transfer syntax, before padding to an even length."""
        bits = self.rows * self.columns * self.samples * self.allocated
        if self.photometric == "YBR_FULL_422":
            bits = bits // 3 * 2
        return (bits + 7) // 8


def image_pixel_module(header: Any, keyword: str) -> Frame:
    rows, columns = integer(header, "Rows"), integer(header, "Columns")
    if rows is None or columns is None or rows < 0 or columns < 0:
        raise Refusal("size-missing")
    if not rows or not columns:
        raise Refusal("size-zero")
    if rows * columns > limits.MAX_PIXELS:
        raise Refusal("too-many-pixels")
    samples = integer(header, "SamplesPerPixel", 1)
    if samples not in (1, 3):
        raise Refusal("samples")
    photometric = _photometric(header, samples)
    single = photometric in ("MONOCHROME1", "MONOCHROME2", "PALETTE COLOR")
    several = photometric in ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT")
    if not single and not several:
        raise Refusal("photometric")
    if single != (samples == 1):
        raise Refusal("photometric-samples")
    is_float = keyword != "PixelData"
    allocated = integer(
        header, "BitsAllocated", {"FloatPixelData": 32}.get(keyword, 64 if is_float else None)
    )
    if allocated == 12:
        raise Refusal("bits-packed")
    if allocated not in (1, 8, 16, 32, 64) or (allocated == 1 and samples != 1):
        raise Refusal("bits-allocated")
    stored = allocated if is_float else integer(header, "BitsStored", allocated)
    if stored is None or not 1 <= stored <= allocated:
        raise Refusal("bits")
    representation = integer(header, "PixelRepresentation", 0)
    if representation not in (0, 1):
        raise Refusal("pixel-representation")
    planar = integer(header, "PlanarConfiguration", 0)
    if samples > 1 and planar not in (0, 1):
        raise Refusal("planar-configuration")
    high_bit = integer(header, "HighBit", stored - 1)
    if high_bit is None or not stored - 1 <= high_bit < allocated:
        high_bit = stored - 1
    return Frame(
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
        # MONOCHROME1 requires INVERSE (C.8.11.3.1.2); with MONOCHROME2 it inverts the image.
        negative=photometric == "MONOCHROME1"
        or (
            photometric == "MONOCHROME2"
            and (text(header, "PresentationLUTShape") or "").startswith("INVERSE")
        ),
    )


_PHOTOMETRICS: Final = {
    re.sub("[ _]", "", name): name
    for name in (
        *("MONOCHROME1", "MONOCHROME2", "PALETTE COLOR"),
        *("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT"),
    )
}


def _photometric(header: Any, samples: int) -> str:
    """Read the photometric interpretation, regardless of spaces and underscores."""
    written = text(header, "PhotometricInterpretation")
    if not written:
        return ("MONOCHROME2", "RGB")[samples > 1]
    return _PHOTOMETRICS.get(re.sub(r"[\W_]", "", written), written)


def number_of_frames(header: Any) -> int | None:
    """Read Number of Frames, 1 by default; None if malformed, so the data decide."""
    frames = integer(header, "NumberOfFrames", 1)
    if frames is None or frames < 0:
        return None
    return frames or 1


def check_native(frame: Frame, frames: int | None, value: bytes | memoryview) -> None:
    """Compare the length of native pixel data with the header.

    Excess padding is accepted (PS3.5 8.1.1), zero or not. Other excess bytes could be rows or
    columns that the header does not count.
    """
    expected, actual = frame.native_bytes, len(value)
    if frames is not None and frames > 1:
        raise Refusal("multi-frame" if actual >= frames * expected else "frames-mismatch")
    if actual < expected:
        compressed = jpeg_layout(value) or jpeg2000_layout(value)
        raise Refusal("native-but-compressed" if compressed else "size-mismatch")
    if actual >= 2 * expected and actual > 2:
        multiple = actual % expected in (0, 1)
        if frames is None:
            raise Refusal("frames-malformed")
        raise Refusal("frames-mismatch" if multiple else "size-mismatch")
    if not _is_padding(frame, bytes(value[expected + expected % 2 :])):
        raise Refusal("size-mismatch")


def _is_padding(frame: Frame, tail: bytes) -> bool:
    """Return whether the bytes after the pixels are padding: one repeated value, or few bytes.

    A column that the header does not count has one pixel per row, and would skew the image. A row
    has one pixel per column.
    """
    if len(set(tail)) <= 1 or len(set(zip(tail[::2], tail[1::2], strict=False))) <= 1:
        return True
    pixel = max(1, frame.samples * frame.allocated // 8)
    row, column = frame.columns * pixel, frame.rows * pixel
    return len(tail) < min(row, column)


def is_plain(frame: Frame, syntax: UID) -> bool:
    """Return whether a native frame's bytes are its samples, the significant bits lowest."""
    return (
        frame.samples == 1
        and frame.keyword == "PixelData"
        # The bytes of 8-bit samples in big-endian words are swapped.
        and frame.allocated in ((16,) if syntax == ExplicitVRBigEndian else (8, 16))
        and frame.high_bit == frame.stored - 1
        and frame.photometric != "PALETTE COLOR"
    )


def samples(frame: Frame, syntax: UID, value: bytes | memoryview) -> Stored:
    """Return the samples [H, W] of a plain native frame: a view of its bytes, with unused bits."""
    order = ">" if syntax == ExplicitVRBigEndian else "<"
    kind = f"{order}{'i' if frame.signed else 'u'}{frame.allocated // 8}"
    samples = np.frombuffer(value, kind, frame.rows * frame.columns)
    return samples.reshape(frame.rows, frame.columns)


_ITEM, _DELIMITER = 0xFFFEE000, 0xFFFEE0DD
_START: Final = re.compile(rb"\xff\xd8\xff|\xff\x4f\xff\x51|\x00\x00\x00\x0cjP  ")
"""The first bytes of a JPEG or JPEG 2000 frame."""
_BEGINNING: Final = re.compile(rb"[\x00\xff\x20]{0,4096}?(?=" + _START.pattern + rb")")
"""Padding before such a frame."""


def single_frame(
    value: bytes | memoryview, frames: int | None, native_bytes: int | None = None
) -> bytes | memoryview:
    """Return the frame in items: all fragments joined (PS3.5 A.4), a single one as it is.

    The offsets of the offset table are ignored, since a single frame needs none. Its length gives
    the number of frames, unless their beginnings do. The table and the delimiter after the last
    item may be missing, and padding may precede the frame.

    Args:
        value: the items.
        frames: number of frames, if stated.
        native_bytes: length of a frame that is not compressed; None if it is.
    """
    items = _items(value)
    if items and (_begins_frame(items[0]) or len(items[0]) == native_bytes):
        items.insert(0, b"")
    if not items:
        raise Refusal("encapsulation")
    table, *fragments = items
    fragments = [fragment for fragment in fragments if fragment]
    if not fragments:
        raise Refusal("encapsulation" if any(table[:4]) else "empty-pixel-data")
    if frames is not None and frames > 1:
        enough = len(fragments) >= frames
        raise Refusal("multi-frame" if enough else "frames-mismatch")
    if native_bytes is None:
        padding = _BEGINNING.match(fragments[0])
        fragments[0] = fragments[0][padding.end() if padding else 0 :]
        starts = [_START.match(fragment) is not None for fragment in fragments]
        # A table may have an offset for each fragment of one frame; then only the first is a
        # beginning.
        if sum(starts) > 1 or (len(table) > 4 and not starts[0]):
            raise Refusal("frames-malformed" if frames is None else "frames-mismatch")
    return fragments[0] if len(fragments) == 1 else b"".join(fragments)


def _items(value: bytes | memoryview) -> list[bytes | memoryview]:
    """Return the contents of the items (PS3.5 A.4) up to the delimiter."""
    items: list[bytes | memoryview] = []
    offset = 0
    while offset + 8 <= len(value):
        group, number, length = struct.unpack_from("<HHI", value, offset)
        tag = group << 16 | number
        if tag == _DELIMITER or (tag != _ITEM and items):
            break
        if tag != _ITEM or length == UNDEFINED:
            raise Refusal("encapsulation")
        if offset + 8 + length > len(value):
            raise Refusal("truncated")
        items.append(value[offset + 8 : offset + 8 + length])
        offset += 8 + length
    return items


def _begins_frame(item: bytes | memoryview) -> bool:
    """Return whether an item begins a compressed frame, so that it is no offset table.

    An RLE frame begins with the number of its segments and the first one's offset, 64 (PS3.5 G.5).
    The first offset in a table is 0.
    """
    if _BEGINNING.match(item):
        return True
    if len(item) <= _RLE_HEADER:
        return False
    segments, first = struct.unpack_from("<2I", item)
    return bool(1 <= segments <= 15 and first == _RLE_HEADER)


_RLE_HEADER: Final = 64
