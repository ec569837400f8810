"""Sizes stated in a compressed frame, read before any decoder opens it."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, TypeAlias

Codestream: TypeAlias = bytes | memoryview
"""A compressed frame, possibly a view of the file's bytes: a copy takes megabytes."""

_SOF = frozenset((*range(0xC0, 0xD0), 0xF7)) - {0xC4, 0xC8, 0xCC}
_PROGRESSIVE = 0xC2
_END = b"\xff\xd9"
_TILE: Final = b"\xff\x90"
_ENDS: Final = re.compile(re.escape(_END))
_MARKER: Final = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]", re.DOTALL)
"""A marker other than those within coded data: RST, and FF00 for the byte FF."""
_DATA: Final = re.compile(rb"\xff\x93")
"""SOD, which precedes the data of a tile-part."""
_STANDALONE = frozenset((0x01, *range(0xD0, 0xD9)))


@dataclass(frozen=True, slots=True)
class Layout:
    """Size of a compressed frame: rows and columns in pixels, samples per pixel, bits a sample.

    `marker` is the low byte of a JPEG's start-of-frame marker, and 0 for JPEG 2000. `signed` is for
    JPEG 2000.
    """

    rows: int
    columns: int
    samples: int
    precision: int
    marker: int = 0
    signed: bool = False


def jpeg_segments(frame: Codestream) -> Iterator[tuple[int, bytes]]:
    """Yield the marker and the content of the segments of a JPEG before its first scan."""
    offset = 2 if frame[:2] == b"\xff\xd8" else len(frame)
    while offset + 4 <= len(frame) and frame[offset] == 0xFF:
        marker = frame[offset + 1]
        if marker == 0xFF or marker in _STANDALONE:
            offset += 1 if marker == 0xFF else 2
            continue
        (length,) = struct.unpack_from(">H", frame, offset + 2)
        if length < 2 or marker in (0xD9, 0xDA):
            return
        yield marker, bytes(frame[offset + 4 : offset + 2 + length])
        offset += 2 + length


def jpeg_layout(frame: Codestream) -> Layout | None:
    """Read the layout of a JPEG (ITU-T T.81 B.2.2) or JPEG-LS (T.87 C.2.2); None for others."""
    if frame[:2] != b"\xff\xd8":
        return None
    offset = 2
    while offset + 4 <= len(frame):
        if frame[offset] != 0xFF:
            return None
        marker = frame[offset + 1]
        if marker == 0xFF:  # fill byte
            offset += 1
            continue
        if marker in _STANDALONE:
            offset += 2
            continue
        (length,) = struct.unpack_from(">H", frame, offset + 2)
        if marker in _SOF:
            if offset + 10 > len(frame):
                return None
            precision, rows, columns, samples = struct.unpack_from(">BHHB", frame, offset + 4)
            return Layout(rows, columns, samples, precision, marker)
        if length < 2 or marker in (0xD9, 0xDA):
            return None
        offset += 2 + length
    return None


def jpeg2000_layout(frame: Codestream) -> Layout | None:
    """Read the layout of a JPEG 2000 or HTJ2K codestream (ITU-T T.800 A.5.1), bare or in JP2.

    None if it is neither, or if its components differ in size.
    """
    start = _codestream_start(frame)
    if start is None or frame[start : start + 4] != b"\xff\x4f\xff\x51":
        return None
    try:
        width, height, left, top = struct.unpack_from(">4I", frame, start + 8)
        (samples,) = struct.unpack_from(">H", frame, start + 40)
        components = [struct.unpack_from("3B", frame, start + 42 + 3 * i) for i in range(samples)]
    except struct.error:
        return None
    if not components or width <= left or height <= top or samples > 4:
        return None
    depths = {ssiz for ssiz, _, _ in components}
    if any(across != 1 or down != 1 for _, across, down in components) or len(depths) != 1:
        return None
    depth = depths.pop()
    return Layout(
        height - top, width - left, samples, (depth & 0x7F) + 1, signed=bool(depth & 0x80)
    )


def jpeg2000_levels(frame: Codestream) -> int:
    """Return the number of wavelet levels of a JPEG 2000 that may be skipped (T.800 A.6.1).

    Only levels of the reversible 5-3 transform may be skipped. Without the finest levels of the 9-7
    transform the probability of RG1 moves by 0.013, of the 5-3 by 0.001. 0 without levels.
    """
    start = _codestream_start(frame)
    offset = len(frame) if start is None else start + 2
    while offset + 4 <= len(frame):
        marker, length = struct.unpack_from(">HH", frame, offset)
        if marker == 0xFF52 and offset + 13 < len(frame):  # COD
            reversible = frame[offset + 13] == 1
            return min(frame[offset + 9], 32) if reversible else 0
        if marker == 0xFF90 or marker < 0xFF00 or length < 2:  # SOT: the main header is over
            break
        offset += 2 + length
    return 0


def _codestream_start(frame: Codestream) -> int | None:
    """Find the offset of the codestream: 0, or that of the jp2c box's contents (T.800 I.5.4)."""
    if frame[4:8] != b"jP  ":
        return 0
    offset = 0
    while offset + 8 <= len(frame):
        length, kind = struct.unpack_from(">I4s", frame, offset)
        if kind == b"jp2c":
            return offset + (16 if length == 1 else 8)
        if length < 8:
            return None
        offset += length
    return None


def cut(frame: Codestream, *, jpeg: bool) -> tuple[Codestream, bool] | None:
    """Return the codestream up to its end marker, and whether it has one.

    Items have an even length (DICOM PS3.5 A.4), which writers reach with 00, FF, spaces or more.
    EOI and EOC are both FFD9, which coded data cannot contain. None without any image data, and for
    a JPEG 2000 without end marker whose tile-parts are not whole.
    """
    if not jpeg:
        return _cut_jpeg2000(frame)
    begin = _scan_start(frame)
    if begin is None:
        return None
    layout = jpeg_layout(frame)
    if layout is not None and layout.marker <= _PROGRESSIVE:
        # Decoders of these stop at the first marker. It is nearly always at the end, and a search
        # of the whole takes a twentieth of their time.
        for end in (len(frame) - 2, len(frame) - 3):
            if frame[end : end + 2] == _END:
                return frame[: end + 2], True
    found = _ENDS.search(frame, begin)  # a view has no `find`
    return (frame[: found.end()], True) if found else (frame, False)


def _cut_jpeg2000(frame: Codestream) -> tuple[Codestream, bool] | None:
    """See `cut`. Tile-parts state their lengths (T.800 A.4.2); their headers may contain FFD9."""
    offset, whole = _tiles_start(frame), True
    if offset is None:
        return None
    while frame[offset : offset + 2] == _TILE and offset + 12 <= len(frame):
        (length,) = struct.unpack_from(">I", frame, offset + 6)
        if length < 14 or offset + length > len(frame):
            whole = False  # the last tile-part may state 0
            break
        # Not if the rest of it was filled with one value.
        whole = whole and len(set(frame[offset + length - 16 : offset + length])) > 1
        offset += length
    if frame[offset : offset + 2] == _END:
        return frame[: offset + 2], True
    if whole and not bytes(frame[offset:]).strip(b"\0\xff "):
        return frame[:offset], False
    # A length is wrong or missing.
    data = _DATA.search(frame, offset) or _DATA.search(frame, _tiles_start(frame) or 0)
    found = None if data is None else _ENDS.search(frame, data.end())
    return (frame[: found.end()], True) if found else None


# Possible continuations of a JPEG without end marker; if they change pixels, some were missing.
_CONTINUATIONS: Final = (b"", b"\xaa" * 64, b"\x55" * 64)


def completions(frame: bytes) -> list[bytes]:
    """Return a JPEG without end marker, completed in several ways.

    Only the end marker is missing if all of them decode to the same pixels. An empty list if a scan
    is missing.
    """
    if not has_all_scans(frame):
        return []
    return [frame.rstrip(b"\xff") + guess + _END for guess in _CONTINUATIONS]


def sequential(frame: bytes) -> bytes:
    """Return a sequential DCT JPEG whose scans cover all coefficients, as T.81 B.2.3 requires.

    Some writers set the end of the spectral selection to 0 instead of 63.
    """
    layout = jpeg_layout(frame)
    begin = _scan_start(frame)
    if layout is None or layout.marker not in (0xC0, 0xC1) or begin is None:
        return frame
    offset = begin
    while offset >= 0 and offset + 5 <= len(frame):
        parameters = offset + 5 + 2 * frame[offset + 4]
        if parameters + 3 <= len(frame) and frame[parameters : parameters + 3] != _ALL:
            frame = frame[:parameters] + _ALL + frame[parameters + 3 :]
        if layout.samples == 1:
            break
        # Coded data contain no marker, so the next marker is another scan's.
        offset = frame.find(b"\xff\xda", parameters)
    return frame


_ALL = b"\x00\x3f\x00"
"""A scan's spectral selection and approximation: all coefficients, to the last bit."""


def has_all_scans(frame: Codestream) -> bool:
    """Return whether the scans of a JPEG cover all components and coefficients to the last bit.

    A file that ends between two scans of a progressive JPEG decodes, to a blurred picture.
    """
    layout, offset = jpeg_layout(frame), _scan_start(frame)
    if layout is None or offset is None:
        return False
    # The lowest bit that was sent of each coefficient of a component (T.81 G.1.1.1).
    sent: dict[int, dict[int, int]] = {}
    while offset is not None and offset + 5 <= len(frame):
        count = frame[offset + 4]
        end = offset + 5 + 2 * count
        if end + 3 > len(frame):
            return False
        first, last, bits = frame[end : end + 3]
        chosen = range(first, last + 1) if layout.marker == _PROGRESSIVE else range(64)
        for component in range(count):
            lowest = sent.setdefault(frame[offset + 5 + 2 * component], {})
            lowest.update(dict.fromkeys(chosen, bits & 15))
        offset = _next_scan(frame, end + 3)
    progressive = layout.marker == _PROGRESSIVE
    return len(sent) >= layout.samples and all(
        len(lowest) >= 64 and not (progressive and any(lowest.values())) for lowest in sent.values()
    )


def _next_scan(frame: Codestream, offset: int) -> int | None:
    """Find the next SOS marker, from within coded data; None without one."""
    found = _MARKER.search(frame, offset)
    while found is not None:
        at = found.start()
        if frame[at + 1] == 0xDA:
            return at
        if frame[at + 1] == 0xD9 or at + 4 > len(frame):
            return None
        (length,) = struct.unpack_from(">H", frame, at + 2)
        found = _MARKER.search(frame, at + 2 + length)
    return None


def jpeg_is_rgb(frame: bytes) -> bool:
    """Return whether a JPEG of three components contains red, green and blue, not YCbCr."""
    header = frame[: _scan_start(frame) or 0]
    adobe = header.find(b"\xff\xee\x00\x0eAdobe")
    if adobe >= 0 and len(header) > adobe + 15:
        return header[adobe + 15] == 0
    for marker in (0xC0, 0xC1, 0xC2, 0xC3, 0xF7):
        start = header.find(bytes((0xFF, marker)))
        if start >= 0 and len(header) >= start + 19:
            ids = bytes(header[start + 10 + 3 * component] for component in range(3))
            return ids == b"RGB" or marker in (0xC3, 0xF7)
    return False


def _scan_start(frame: Codestream) -> int | None:
    """Find a JPEG's first SOS marker after the application segments, which may have thumbnails."""
    offset = 2
    while offset + 4 <= len(frame) and frame[offset] == 0xFF:
        marker = frame[offset + 1]
        if marker == 0xFF:
            offset += 1
        elif marker in _STANDALONE:
            offset += 2
        elif marker == 0xDA:
            return offset
        else:
            (length,) = struct.unpack_from(">H", frame, offset + 2)
            if length < 2 or marker == 0xD9:
                return None
            offset += 2 + length
    return None


def _tiles_start(frame: Codestream) -> int | None:
    """Find a JPEG 2000 codestream's first tile-part (SOT); None without any data (SOD)."""
    start = _codestream_start(frame)
    offset = len(frame) if start is None else start + 2
    while offset + 4 <= len(frame):
        marker, length = struct.unpack_from(">HH", frame, offset)
        if marker == 0xFF90:
            return offset if _DATA.search(frame, offset) else None
        if marker < 0xFF00 or length < 2:
            return None
        offset += 2 + length
    return None
