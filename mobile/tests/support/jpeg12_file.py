"""Write JPEG files of 12 bits of a drawn radiograph, and what Python decodes.

    python jpeg12_file.py FOLDER

For `tests/pure/jpeg.test.ts`. Writes FOLDER/N.jpg (extended sequential, Huffman coded, one
component), FOLDER/N.python.u16 and FOLDER/N.exact.u16 (the inverse transform in float64). The
quantization steps are 1 to 40, with and without restart intervals. No library that is installed
here encodes 12 bits, so the file is written by hand, after ITU-T T.81.
"""

from __future__ import annotations

import json
import struct
import sys
from pathlib import Path

import numpy as np
from libjpeg import decode
from numpy.typing import NDArray
from scipy.fft import dctn, idctn

from nanoray.datasets.phantom import draw

LEVELS = 4096
ZIGZAG = sorted(
    ((row, column) for row in range(8) for column in range(8)),
    key=lambda at: (sum(at), at[0] if sum(at) % 2 else at[1]),
)
# Codes of one length are as good as any here: the decoder reads the tables from the file.
DC_BITS, DC_SYMBOLS = 5, list(range(16))
END, ZEROS = 0x00, 0xF0
AC_BITS = 9
AC_SYMBOLS = [END, ZEROS, *(16 * run + size for run in range(16) for size in range(1, 15))]


def encode(
    pixels: NDArray[np.uint16], step: int, restart: int
) -> tuple[bytes, NDArray[np.float64]]:
    """Encode rows and columns that are multiples of 8; returns what is decoded exactly, too."""
    exact = np.empty(pixels.shape)
    rows, columns = pixels.shape
    bits: list[str] = []
    scan = bytearray()
    before = 0
    blocks = [(y, x) for y in range(0, rows, 8) for x in range(0, columns, 8)]
    for number, (y, x) in enumerate(blocks):
        if restart and number and number % restart == 0:
            scan += packed(bits) + bytes([0xFF, 0xD0 + (number // restart - 1) % 8])
            bits, before = [], 0
        block = pixels[y : y + 8, x : x + 8].astype(float) - LEVELS / 2
        quantized = np.rint(dctn(block, norm="ortho") / step).astype(int)
        exact[y : y + 8, x : x + 8] = idctn(quantized * step, norm="ortho") + LEVELS / 2
        first, *rest = (int(quantized[at]) for at in ZIGZAG)
        bits += [
            format(DC_SYMBOLS.index(size(first - before)), f"0{DC_BITS}b"),
            tail(first - before),
        ]
        before = first
        run = 0
        last = max((at for at, value in enumerate(rest) if value), default=-1)
        for value in rest[: last + 1]:
            if value == 0:
                run += 1
                continue
            bits += [code(ZEROS)] * (run // 16)
            bits += [code(16 * (run % 16) + size(value)), tail(value)]
            run = 0
        if last < 62:
            bits.append(code(END))
    scan += packed(bits)
    tables = (
        bytes([0x00]) + lengths(DC_BITS, DC_SYMBOLS) + bytes([0x10]) + lengths(AC_BITS, AC_SYMBOLS)
    )
    parts = [b"\xff\xd8", segment(0xDB, bytes([0]) + bytes([step]) * 64)]
    parts.append(segment(0xC1, struct.pack(">BHHB3B", 12, rows, columns, 1, 1, 0x11, 0)))
    parts.append(segment(0xC4, tables))
    if restart:
        parts.append(segment(0xDD, struct.pack(">H", restart)))
    parts.append(segment(0xDA, bytes([1, 1, 0x00, 0, 63, 0])))
    return b"".join([*parts, bytes(scan), b"\xff\xd9"]), exact


def size(value: int) -> int:
    return abs(value).bit_length()


def tail(value: int) -> str:
    """Return the bits of a value after its size."""
    if value == 0:
        return ""
    return format(value if value > 0 else value + (1 << size(value)) - 1, f"0{size(value)}b")


def code(symbol: int) -> str:
    return format(AC_SYMBOLS.index(symbol), f"0{AC_BITS}b")


def lengths(bits: int, symbols: list[int]) -> bytes:
    """Return a Huffman table whose codes all have one length."""
    return bytes(len(symbols) if at == bits else 0 for at in range(1, 17)) + bytes(symbols)


def packed(bits: list[str]) -> bytes:
    text = "".join(bits)
    text += "1" * (-len(text) % 8)
    whole = int(text, 2).to_bytes(len(text) // 8, "big")
    return whole.replace(b"\xff", b"\xff\x00")


def segment(marker: int, content: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(content) + 2) + content


def main(folder: Path) -> None:
    expected = []
    for number, (step, restart) in enumerate([(1, 0), (4, 0), (12, 7), (40, 0)]):
        drawn = draw(number, size=96).pixels
        rows, columns = (8 * (side // 8) for side in drawn.shape)
        pixels = np.rint(drawn[:rows, :columns] * (LEVELS - 1)).astype(np.uint16)
        file, exact = encode(pixels, step, restart)
        (folder / f"{number}.jpg").write_bytes(file)
        decoded = {
            "python": decode(file).squeeze(),
            "exact": np.clip(np.rint(exact), 0, LEVELS - 1),
        }
        for name, levels in decoded.items():
            levels.astype("<u2").tofile(folder / f"{number}.{name}.u16")
        expected.append({"step": step, "levels": int(np.ptp(pixels))})
    (folder / "expected.json").write_text(json.dumps(expected))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
