"""The chunks of a PNG file (PNG 1.2): what Pillow does not check, or checks too strictly."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from typing import Final

_SIGNATURE: Final = 8
_CHANNELS: Final = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
"""Samples in a pixel by colour type."""
_PASSES: Final = (
    *((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4)),
    *((2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1)),
)
"""First row and column, and steps down and across, of each pass of Adam7."""
_STEP: Final = 1 << 20


def chunks(data: bytes) -> Iterator[tuple[int, bytes, int]]:
    """Yield the offset, the kind and the length of the content of each whole chunk."""
    offset = _SIGNATURE
    while offset + 12 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, offset)
        if offset + 12 + length > len(data):
            return
        yield offset, kind, length
        offset += 12 + length


def with_checksums(data: bytes) -> bytes:
    """Return a PNG with the checksums of its ancillary chunks, such as texts, computed anew.

    Viewers ignore wrong ones. The names of ancillary chunks begin with a small letter.
    """
    mended = bytearray(data)
    for offset, kind, length in chunks(data):
        if kind[:1].islower():
            end = offset + 8 + length
            struct.pack_into(">I", mended, end, zlib.crc32(data[offset + 4 : end]))
    return bytes(mended)


def has_all_rows(data: bytes) -> bool:
    """Return whether the image data is as long as the header states; Pillow fills up with black."""
    columns, rows, depth, colour, _, _, interlaced = struct.unpack_from(">IIBBBBB", data, 16)
    bits = depth * _CHANNELS.get(colour, 1)
    expected = 0
    for top, left, down, across in _PASSES if interlaced else ((0, 0, 1, 1),):
        width, height = -(-(columns - left) // across), -(-(rows - top) // down)
        if width > 0 and height > 0:
            expected += height * (1 + (width * bits + 7) // 8)
    inflater, found = zlib.decompressobj(), 0
    try:
        for offset, kind, length in chunks(data):
            if kind != b"IDAT":
                continue
            part = data[offset + 8 : offset + 8 + length]
            while part and not inflater.eof and found < expected:
                found += len(inflater.decompress(part, _STEP))
                part = inflater.unconsumed_tail
        found += len(inflater.flush()) if found < expected else 0
    except zlib.error:
        return True  # whether the data is damaged is for the decoder to tell
    return found >= expected
