"""Uploads that are wrong, each in its own way, and what the service must answer."""

from __future__ import annotations

import gzip
import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np

from hostile_files import MALFORMED, contents, palette, rle
from reading_files import (
    EXPLICIT,
    SECRET,
    chest,
    compressed,
    data_set,
    dicom,
    element,
    encapsulated,
    meta,
    picture,
    pydicom_test_file,
)

JPEG_BASELINE = "1.2.840.10008.1.2.4.50"
RLE = "1.2.840.10008.1.2.5"
GOOD = chest(96, 80)
GREY = chest(96, 80, bits=8)


@dataclass(frozen=True)
class Upload:
    """A request: a name for messages, the body, its headers, and whether it may succeed."""

    name: str
    body: bytes
    headers: dict[str, str] = field(
        default_factory=lambda: {"Content-Type": "application/octet-stream"}
    )
    may_succeed: bool = False


def bases() -> dict[str, bytes]:
    """Files that are read, of many encodings."""
    jpeg = picture(GREY, "JPEG", quality=90)
    return {
        "dicom": dicom(GOOD, WindowCenter=2048, WindowWidth=4096),
        "dicom-implicit": dicom(GOOD, syntax="1.2.840.10008.1.2"),
        "dicom-deflated": dicom(GOOD, syntax="1.2.840.10008.1.2.1.99"),
        "dicom-jpeg": compressed(GREY, JPEG_BASELINE, jpeg),
        "dicom-rle": compressed(chest(16, 16, bits=8), RLE, rle(64, body=b"\x81\x07" * 40)),
        "dicom-palette": dicom(GREY % 4, **palette()),
        "png": picture(GREY, "PNG"),
        "jpeg": jpeg,
        "tiff": picture(GREY, "TIFF"),
    }


def mutated(count: int, seed: int = 20260101) -> Iterator[Upload]:
    """`count` damaged files: bytes changed, cut out, doubled or swapped, by chance."""
    rng = np.random.default_rng(seed)
    names, files = zip(*bases().items(), strict=True)
    for number in range(count):
        which = number % len(files)
        data = bytearray(files[which])
        for _ in range(int(rng.integers(1, 6))):
            kind = rng.integers(5)
            # Most of what is interpreted stands at the beginning.
            at = int(rng.integers(min(len(data), 1200 if rng.random() < 0.8 else len(data))))
            if kind <= 1:
                data[at] = int(rng.integers(256))
            elif kind == 2:
                del data[at : at + int(rng.integers(1, 64))]
            elif kind == 3:
                data[at:at] = data[at : at + int(rng.integers(1, 64))]
            else:
                data[at : at + 4] = struct.pack(
                    "<I", int(rng.choice([0, 1, 0x7FFFFFFF, 2**32 - 1]))
                )
        yield Upload(f"{names[which]}-{number}", bytes(data), may_succeed=True)


def malformed() -> Iterator[Upload]:
    """Every malformed file of the tests of reading."""
    for name in MALFORMED:
        yield Upload(name, contents(name))


def wrong_requests() -> Iterator[Upload]:
    """List requests that are wrong by themselves."""
    good = picture(GREY, "PNG")
    for kind in (
        "application/zip",
        "application/json",
        "text/html",
        "image/svg+xml",
        "multipart/form-data",
        "multipart/form-data; boundary=",
        'multipart/form-data; boundary="' + "b" * 200 + '"',
        "multipart/mixed; boundary=b",
        "multipart/related; boundary=b",
        "application/x-www-form-urlencoded",
        "",
        "\xff\xfe",
        "a" * 4000,
    ):
        yield Upload(f"type {kind[:30]!r}", good, {"Content-Type": kind})
    for encoding in ("gzip", "deflate", "br", "gzip, gzip", "x"):
        yield Upload(
            f"encoding {encoding}",
            gzip.compress(good),
            {"Content-Type": "image/png", "Content-Encoding": encoding},
        )
    form = {"Content-Type": "multipart/form-data; boundary=b"}
    part = b'--b\r\nContent-Disposition: form-data; name="files"; filename="f"\r\n\r\n'
    for name, body in {
        "nothing": b"",
        "only the end": b"--b--\r\n",
        "no end": part + good,
        "half a boundary": part + good + b"\r\n--",
        "no header end": b"--b\r\nContent-Disposition: form-data",
        "empty file": part + b"\r\n--b--\r\n",
        "no such file": b"--b\r\n\r\n\r\n--b--\r\n",
        "no line ends": b"--b" * 500,
        "other boundary": part.replace(b"--b", b"--c") + good + b"\r\n--c--\r\n",
        "headers without end": b"--b\r\n" + b"X-A: b\r\n" * 2000,
        "nul in a header": b'--b\r\nContent-Disposition: form-data; name="\0"\r\n\r\n\r\n--b--\r\n',
        "long name": b'--b\r\nContent-Disposition: form-data; name="' + b"n" * 9000 + b'"\r\n\r\n',
    }.items():
        yield Upload(f"form: {name}", body, form)


def zeros(blocks: int) -> bytes:
    """`blocks` times 16 MiB of zeros as a deflate stream, made quickly."""
    packer = zlib.compressobj(9, wbits=-15)
    block = packer.compress(bytes(1 << 24)) + packer.flush(zlib.Z_FULL_FLUSH)
    return block * blocks + packer.flush()


def gzip_bomb() -> bytes:
    """Return a gzip stream (RFC 1952) of a gibibyte of zeros."""
    return b"\x1f\x8b\x08\0\0\0\0\0\0\xff" + zeros(64) + struct.pack("<II", 0, 1 << 30)


def zip_that_lies() -> bytes:
    """Return a ZIP whose directory says that its one file is small, and whose data is not."""
    packed = zeros(16)
    head = struct.pack("<IHHHHHIIIHH", 0x04034B50, 20, 0, 8, 0, 0, 0, len(packed), 10, 1, 0) + b"a"
    entry = struct.pack(
        "<IHHHHHHIIIHHHHHII",
        0x02014B50,
        20,
        20,
        0,
        8,
        0,
        0,
        0,
        len(packed),
        10,
        1,
        0,
        0,
        0,
        0,
        0,
        0,
    )
    directory = entry + b"a"
    end = struct.pack(
        "<IHHHHIIH", 0x06054B50, 0, 0, 1, 1, len(directory), len(head) + len(packed), 0
    )
    return head + packed + directory + end


def dicomdir_that_climbs() -> bytes:
    """Return a DICOMDIR whose record names a file outside of its folder."""
    record = element(0x00041500, "CS", b"..\\..\\..\\ETC\\PASSWD ")
    item = struct.pack("<HHI", 0xFFFE, 0xE000, len(record)) + record
    return meta(EXPLICIT, "1.2.840.10008.1.3.10") + element(0x00041220, "SQ", item)


ADVISORIES: dict[str, Callable[[], Upload]] = {
    # Orthanc, 2026: a compressed body is inflated without bound.
    "gzip-bomb": lambda: Upload(
        "gzip-bomb",
        gzip_bomb(),
        {"Content-Type": "application/dicom", "Content-Encoding": "gzip"},
    ),
    "gzip-bomb-as-file": lambda: Upload("gzip-bomb-as-file", gzip_bomb()),
    # The sizes in an archive's directory are believed.
    "zip-sizes": lambda: Upload("zip-sizes", zip_that_lies()),
    "zip-sizes-by-type": lambda: Upload(
        "zip-sizes-by-type", zip_that_lies(), {"Content-Type": "application/zip"}
    ),
    # Dimensions of 32 bits overflow when they are multiplied.
    "dimensions-ul": lambda: Upload(
        "dimensions-ul", dicom(GOOD, Rows=("UL", [65_537]), Columns=("UL", [65_537]))
    ),
    "dimensions-ul-largest": lambda: Upload(
        "dimensions-ul-largest", dicom(GOOD, Rows=("UL", [2**32 - 1]), Columns=("UL", [2**32 - 1]))
    ),
    "dimensions-us": lambda: Upload(
        "dimensions-us", dicom(GOOD, Rows=65_535, Columns=65_535, SamplesPerPixel=3)
    ),
    "frames": lambda: Upload("frames", dicom(GOOD, NumberOfFrames=2_147_483_647)),
    # Values of pixels point outside of the palette.
    "palette": lambda: Upload(
        "palette", dicom(np.full((96, 80), 255, np.uint8), **palette()), may_succeed=True
    ),
    "palette-truncated": lambda: Upload(
        "palette-truncated",
        dicom(
            GREY,
            **(
                palette()
                | {
                    f"{colour}PaletteColorLookupTable{part}": value
                    for colour in ("Red", "Green", "Blue")
                    for part, value in (("Descriptor", ("US", [0, 0, 16])), ("Data", bytes(8)))
                }
            ),
        ),
    ),
    # An RLE frame whose first segment has more bytes than the image has pixels.
    "rle-overrun": lambda: Upload(
        "rle-overrun",
        dicom(GOOD, syntax=RLE, pixel_element=encapsulated(rle(64, 82, body=b"\x81\7" * 17))),
    ),
    # pydicom: the records of a DICOMDIR lead to files outside of its folder.
    "dicomdir": lambda: Upload("dicomdir", dicomdir_that_climbs()),
    "real-dicomdir": lambda: Upload(
        "real-dicomdir", (pydicom_test_file("dicomdirtests") / "DICOMDIR").read_bytes()
    ),
    # pynetdicom: a path is made of a UID in the data set.
    "uid-path": lambda: Upload(
        "uid-path",
        meta(EXPLICIT)
        + data_set(
            {"SOPClassUID": "1.2", "SOPInstanceUID": "../../../tmp/evil", "PatientName": SECRET}
        ),
    ),
}
