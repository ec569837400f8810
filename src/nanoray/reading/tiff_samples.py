"""The samples of a TIFF page without loss: strips and tiles, packed bits, predictor, byte order.

libtiff decompresses each strip or tile to bytes; NumPy does the rest. Pillow itself misreads or
refuses many layouts, and tifffile has no decoder for LZW without a further package.
"""

from __future__ import annotations

import io
import struct
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from nanoray.reading.refusals import Refusal

LOSSLESS: Final = frozenset((1, 5, 8, 32946, 32773, 34925, 50000))
"""None, LZW, Deflate, PackBits, LZMA and Zstandard (TIFF 6.0, and the registered ones)."""
_KINDS: Final = {1: "u", 2: "i", 3: "f"}
"""NumPy's kind of a SampleFormat (TIFF 6.0)."""
_WHOLE: Final = (8, 16, 32, 64)
_PACKED: Final = (1, 2, 4, 10, 12, 14)
"""Bits of samples that are packed without gaps; other sizes are likelier a damaged header."""
_REVERSED: Final = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))
_BAND: Final = 1 << 20  # samples per step, since unpacked bits take a byte each


class _Layout(NamedTuple):
    """Layout of a page: size of a strip or tile, samples in a pixel of it, bits and kind."""

    rows: int
    columns: int
    samples: int
    bits: int
    kind: str
    order: str

    @property
    def row_bytes(self) -> int:
        return (self.columns * self.samples * self.bits + 7) // 8


def samples(page: Any, data: bytes) -> NDArray[Any]:
    """Return the samples [H, W, samples] of a page of tifffile's, in this machine's byte order.

    Args:
        page: its `compression` is one of `LOSSLESS`.
        data: the whole file.

    Raises:
        Refusal: the image ends too early, is damaged, or has an unsupported layout.
    """
    height, width, count = page.imagelength, page.imagewidth, page.samplesperpixel
    planar = page.planarconfig == 2 and count > 1
    bits, kind = page.bitspersample, _KINDS.get(int(page.sampleformat))
    # As in libtiff, samples that are not compressed have no predictor.
    predictor = 1 if int(page.compression) == 1 else int(page.predictor)
    if bits not in (*_WHOLE, *_PACKED):
        raise Refusal("raster-header")
    if kind is None or predictor not in (1, 2):
        raise Refusal("raster-mode")
    if bits in _PACKED and (kind != "u" or predictor != 1):
        raise Refusal("raster-mode")
    down = page.tilelength if page.is_tiled else min(page.rowsperstrip, height)
    across = page.tilewidth if page.is_tiled else width
    order = page.parent.byteorder
    layout = _Layout(down, across, 1 if planar else count, bits, kind, order)
    stored = np.zeros((height, width, count), f"{kind}{-(-bits // 8)}")
    rows, columns = -(-height // down), -(-width // across)
    planes = count if planar else 1
    if len(page.dataoffsets) < planes * rows * columns:
        raise Refusal("raster-truncated")
    places = (
        (plane, row * down, column * across)
        for plane in range(planes)
        for row in range(rows)
        for column in range(columns)
    )
    segments = zip(page.dataoffsets, page.databytecounts, places, strict=False)
    for offset, length, (plane, top, left) in segments:
        used = layout if page.is_tiled else layout._replace(rows=min(down, height - top))
        raw = _bytes(data, offset, length, page, used)
        values = _values(raw, used, predictor)
        chosen = slice(plane, plane + 1) if planar else slice(None)
        part = stored[top : top + used.rows, left : left + used.columns, chosen]
        part[...] = values[: part.shape[0], : part.shape[1]]
    return stored


def _bytes(data: bytes, offset: int, length: int, page: Any, layout: _Layout) -> bytes:
    """Return the bytes of a strip or tile, decompressed."""
    size = layout.rows * layout.row_bytes
    plain = int(page.compression) == 1
    # Some writers state no length, or a wrong one, for samples that are not compressed.
    end = offset + (size if plain else length)
    if end > len(data):
        raise Refusal("raster-truncated")
    found: bytes = data[offset:end]
    if int(page.fillorder) == 2:
        found = found.translate(_REVERSED)
    return found if plain else _decompressed(found, int(page.compression), layout)


def _decompressed(segment: bytes, compression: int, layout: _Layout) -> bytes:
    """Decompress a strip or tile as a TIFF file of its own, of 8-bit samples."""
    tags = {
        256: layout.row_bytes,
        257: layout.rows,
        258: 8,
        259: compression,
        262: 1,
        273: 8,
        277: 1,
        278: layout.rows,
        279: len(segment),
    }
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
    body = segment + b"\0" * (len(segment) % 2)
    directory = struct.pack("<H", len(tags)) + entries + bytes(4)
    file = struct.pack("<2sHI", b"II", 42, 8 + len(body)) + body + directory
    try:
        with Image.open(io.BytesIO(file), formats=("TIFF",)) as image:
            return bytes(image.tobytes())
    except Image.DecompressionBombError:
        raise Refusal("memory") from None
    except (MemoryError, RecursionError):
        raise
    except Exception:
        raise Refusal("raster-damaged") from None


def _values(raw: bytes, layout: _Layout, predictor: int) -> NDArray[Any]:
    """Return the values [rows, columns, samples] of a strip or tile."""
    rows, columns, count, bits, kind, order = layout
    if bits not in _WHOLE:
        return _unpacked(raw, layout).reshape(rows, columns, count)
    stored = np.frombuffer(raw, f"{order}{kind}{bits // 8}", rows * columns * count)
    values = stored.reshape(rows, columns, count)
    if predictor == 2 and kind != "f":
        native = values.astype(f"{kind}{bits // 8}").view(f"u{bits // 8}")
        values = np.cumsum(native, axis=1, dtype=native.dtype).view(f"{kind}{bits // 8}")
    return values


def _unpacked(raw: bytes, layout: _Layout) -> NDArray[Any]:
    """Unpack samples whose bits follow each other, each row from a new byte."""
    per_row, bits = layout.columns * layout.samples, layout.bits
    lines = np.frombuffer(raw, np.uint8, layout.rows * layout.row_bytes)
    lines = lines.reshape(layout.rows, layout.row_bytes)
    values = np.zeros((layout.rows, per_row), f"u{-(-bits // 8)}")
    step = max(1, _BAND // max(1, per_row))
    for top in range(0, layout.rows, step):
        band = np.unpackbits(lines[top : top + step], axis=1)[:, : per_row * bits]
        band = band.reshape(len(band), per_row, bits)
        for bit in range(bits):
            values[top : top + step] = (values[top : top + step] << 1) | band[..., bit]
    return values
