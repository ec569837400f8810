"""Files that are wrong, each in its own way."""

from __future__ import annotations

import gzip
import io
import struct
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
from PIL import Image

from nanoray.reading import limits
from reading_files import (
    BIG_ENDIAN,
    DEFLATED,
    EXPLICIT,
    JPEG2000_LOSSLESS,
    JPEG_BASELINE,
    JPEG_LS,
    RLE,
    SECRET,
    UNDEFINED,
    chest,
    compressed,
    data_set,
    dicom,
    element,
    encapsulated,
    item,
    meta,
    picture,
    png,
    png_chunk,
    pydicom_test_file,
)

GOOD = chest(32, 32)
GREY = chest(32, 32, bits=8)
JPEG = picture(GREY, "JPEG", quality=90)
J2K = picture(GREY, "JPEG2000", no_jp2=True)
PNG = picture(GREY, "PNG")
TIFF = picture(GREY, "TIFF")
STORAGE = "1.2.840.10008.5.1.4.1.1."


def without_image(sop_class: str, **elements: Any) -> bytes:
    """Return a DICOM object without an image."""
    return meta(EXPLICIT, sop_class) + data_set(
        {"SOPClassUID": sop_class, "PatientName": SECRET, "PatientID": SECRET} | elements
    )


def nested(levels: int) -> bytes:
    """Return a sequence in a sequence in a sequence, all of undefined length."""
    opened = element(0x00081115, "SQ", b"", length=UNDEFINED) + struct.pack(
        "<HHI", 0xFFFE, 0xE000, UNDEFINED
    )
    return meta(EXPLICIT) + opened * levels + dicom(GOOD, prefix=b"")


def deflated(body: bytes) -> bytes:
    """Return a DICOM file whose deflated data set is given."""
    return meta(DEFLATED) + body


def raw_deflate(content: bytes) -> bytes:
    deflater = zlib.compressobj(9, wbits=-15)
    return deflater.compress(content) + deflater.flush()


def zeros_deflated(blocks: int) -> bytes:
    """`blocks` times 16 MiB of zeros, as a deflate stream that is made quickly."""
    deflater = zlib.compressobj(9, wbits=-15)
    block = deflater.compress(bytes(16 * limits.MIB)) + deflater.flush(zlib.Z_FULL_FLUSH)
    return block * blocks + deflater.flush()


def deflate_bomb() -> bytes:
    """Half a megabyte that inflates to more than is allowed."""
    return deflated(zeros_deflated(limits.MAX_INFLATED_BYTES // (16 * limits.MIB) + 1))


def patched(data: bytes, old: bytes, new: bytes) -> bytes:
    assert old in data
    return data.replace(old, new, 1)


def jpeg_of_size(rows: int, columns: int) -> bytes:
    """Return a JPEG whose start of frame lies about its size."""
    start = JPEG.index(b"\xff\xc0") + 5
    return JPEG[:start] + struct.pack(">HH", rows, columns) + JPEG[start + 4 :]


def j2k_of_size(rows: int, columns: int) -> bytes:
    """Return a JPEG 2000 codestream whose SIZ marker lies about its size."""
    start = J2K.index(b"\xff\x51") + 6
    return J2K[:start] + struct.pack(">II", columns, rows) + J2K[start + 8 :]


def rle(*offsets: int, body: bytes = b"\x00" * 20, count: int | None = None) -> bytes:
    """Return an RLE frame with a header of these offsets."""
    numbers = [len(offsets) if count is None else count, *offsets]
    numbers += [0] * (16 - len(numbers))
    return struct.pack("<16I", *numbers) + body


def lut_item(count: int, entries: int) -> Any:
    content = data_set(
        {"LUTDescriptor": ("US", [count, 0, 16]), "LUTData": ("US", list(range(entries)))}
    )
    return ("SQ", item(content))


def palette(**changes: Any) -> dict[str, Any]:
    """Return a palette of 4 entries."""
    elements: dict[str, Any] = {"PhotometricInterpretation": "PALETTE COLOR"}
    for colour in ("Red", "Green", "Blue"):
        elements[f"{colour}PaletteColorLookupTableDescriptor"] = ("US", [4, 0, 16])
        elements[f"{colour}PaletteColorLookupTableData"] = ("OW", bytes(range(8)))
    return elements | changes


def animated() -> bytes:
    frames = [Image.fromarray(GREY), Image.fromarray(GREY[::-1].copy())]
    buffer = io.BytesIO()
    frames[0].save(buffer, "PNG", save_all=True, append_images=frames[1:])
    return buffer.getvalue()


def pages() -> bytes:
    frames = [Image.fromarray(GREY), Image.fromarray(GREY[::-1].copy())]
    buffer = io.BytesIO()
    frames[0].save(buffer, "TIFF", save_all=True, append_images=frames[1:])
    return buffer.getvalue()


def huge_png() -> bytes:
    """Return a real PNG of 16384 x 16384 RGB: 768 MiB of pixels in under a megabyte."""
    side = 16_384
    length = side * (1 + 3 * side)
    blocks = length // (16 * limits.MIB)
    deflater = zlib.compressobj(9, wbits=-15)
    rest = deflater.compress(bytes(length - blocks * 16 * limits.MIB)) + deflater.flush()
    # The checksum of n zeros is n and 1 (RFC 1950).
    checksum = struct.pack(">HH", length % 65_521, 1)
    packed = b"\x78\x9c" + zeros_deflated(blocks)[:-2] + rest + checksum
    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + png_chunk(b"IHDR", header)
        + png_chunk(b"IDAT", packed)
        + png_chunk(b"IEND", b"")
    )


def text_bomb() -> bytes:
    text = b"Comment\0\0" + zlib.compress(SECRET.encode() * 4_000_000, 9)
    return png(8, 8, bytes(9) * 8, extra=png_chunk(b"zTXt", text))


def unknown_tiff() -> bytes:
    """Return a TIFF of 7 samples of 5 bits."""
    return patched(TIFF, struct.pack("<HHII", 258, 3, 1, 8), struct.pack("<HHII", 258, 3, 1, 5))


DISTINCT_FRAMES = encapsulated(JPEG, JPEG)

# name: (contents, code)
MALFORMED: dict[str, tuple[Callable[[], bytes] | bytes, str]] = {
    # Not an image at all.
    "empty": (b"", "empty-file"),
    "text": (f"Patient: {SECRET}\n".encode() * 20, "not-an-image"),
    "noise": (np.random.default_rng(3).bytes(4000), "not-an-image"),
    "zeros": (bytes(4096), "not-an-image"),
    "pdf": (b"%PDF-1.7\n" + SECRET.encode() * 30, "document"),
    "7z": (b"7z\xbc\xaf\x27\x1c" + SECRET.encode() * 30, "archive"),
    "gzip": (gzip.compress(b"a" * 90), "archive"),
    "gif": (picture(GREY, "GIF"), "unsupported-format"),
    "bmp": (picture(GREY, "BMP"), "unsupported-format"),
    "text-like-bmp": (b"BMI of the patient\n" * 9, "not-an-image"),
    "wav": (b"RIFF\x24\x08\0\0WAVEfmt " + bytes(64), "not-an-image"),
    "mp4": (b"\0\0\0\x20ftypisom" + bytes(64), "not-an-image"),
    "canon-raw": (b"\0\0\0\x18ftypcrx " + bytes(64), "unsupported-format"),
    "cms": (
        bytes.fromhex("30820400 06092a864886f70d010703 a0820300".replace(" ", "")) + bytes(300),
        "encrypted",
    ),
    # DICOM without an image.
    "report": (without_image(STORAGE + "88.11"), "structured-report"),
    "key-objects": (without_image(STORAGE + "88.59"), "structured-report"),
    "pdf-in-dicom": (
        without_image(STORAGE + "104.1", EncapsulatedDocument=b"%PDF" + SECRET.encode()),
        "encapsulated-document",
    ),
    "presentation": (without_image(STORAGE + "11.1"), "presentation-state"),
    "waveform": (without_image(STORAGE + "9.1.1"), "waveform"),
    "plan": (without_image(STORAGE + "481.5"), "radiotherapy"),
    "raw": (without_image(STORAGE + "66"), "non-image"),
    "dicomdir": (without_image("1.2.840.10008.1.3.10"), "dicomdir"),
    "real-dicomdir": (
        (pydicom_test_file("dicomdirtests") / "DICOMDIR").read_bytes,
        "dicomdir",
    ),
    "no-pixels": (without_image(STORAGE + "1", Rows=5, Columns=5), "no-pixel-data"),
    "only-meta": (meta(EXPLICIT), "no-pixel-data"),
    # The structure of DICOM.
    "nested-300": (nested(300), "nested-too-deep"),
    "nested-20000": (nested(20_000), "nested-too-deep"),
    "deflate-damaged": (deflated(b"\xff" * 200), "deflate-damaged"),
    "deflate-cut": (
        lambda: deflated(raw_deflate(dicom(GOOD, prefix=b""))[:-300]),
        "deflate-truncated",
    ),
    "deflate-bomb": (deflate_bomb, "deflate-bomb"),
    "unknown-syntax": (dicom(GOOD, syntax="1.2.3.4.5"), "transfer-syntax"),
    "mpeg": (dicom(GOOD, syntax="1.2.840.10008.1.2.4.102"), "video"),
    "no-syntax": (
        dicom(GREY, prefix=b"", pixel_element=encapsulated(JPEG)),
        "transfer-syntax-missing",
    ),
    "cut-pixels": (dicom(GOOD)[:-200], "truncated"),
    "cut-after-header": (
        dicom(GOOD, pixel_element=element(0x7FE00010, "OW", b"")[:10]),
        "malformed-dicom",
    ),
    "cut-in-header": (
        meta(EXPLICIT)
        + data_set({"SOPClassUID": STORAGE + "1"})
        + element(0x00080070, "LO", b"abc", length=9000),
        "truncated",
    ),
    "length-4-gb": (
        dicom(GOOD, pixel_element=element(0x7FE00010, "OW", b"abcd", length=0xFFFFFFFE)),
        "truncated",
    ),
    "cut-fragments": (compressed(GREY, JPEG_BASELINE, JPEG)[:-400], "truncated"),
    "empty-pixels": (dicom(GOOD, data=b""), "empty-pixel-data"),
    "no-fragments": (
        dicom(GREY, syntax=JPEG_BASELINE, pixel_element=encapsulated(raw=item(b""))),
        "empty-pixel-data",
    ),
    "garbage-after-meta": (meta(EXPLICIT) + b"\xff" * 600, "truncated"),
    # The image pixel module.
    "no-rows": (dicom(GOOD, Rows=None), "size-missing"),
    "rows-text": (dicom(GOOD, Rows=("US", b"abc")), "size-missing"),
    "two-rows": (dicom(GOOD, Rows=[32, 31]), "size-missing"),
    "zero-rows": (dicom(GOOD, Rows=0), "size-zero"),
    "zero-columns": (dicom(GOOD, Columns=0), "size-zero"),
    "rows-too-many": (dicom(GOOD, Rows=33), "size-mismatch"),
    "rows-too-few": (dicom(GOOD, Rows=31), "size-mismatch"),
    "columns-lie": (dicom(GOOD, Columns=30), "size-mismatch"),
    "allocated-lies": (dicom(GREY, BitsAllocated=16), "size-mismatch"),
    "megapixels": (dicom(GOOD, Rows=20_000, Columns=20_000), "too-many-pixels"),
    "largest-header": (dicom(GOOD, Rows=65_535, Columns=65_535), "too-many-pixels"),
    "two-samples": (dicom(GOOD, SamplesPerPixel=2), "samples"),
    "no-samples": (dicom(GOOD, SamplesPerPixel=0), "samples"),
    "12-allocated": (dicom(GOOD, BitsAllocated=12), "bits-packed"),
    "0-allocated": (dicom(GOOD, BitsAllocated=0), "bits-allocated"),
    "stored-above": (dicom(GOOD, BitsStored=17), "bits"),
    "stored-zero": (dicom(GOOD, BitsStored=0), "bits"),
    "representation": (dicom(GOOD, PixelRepresentation=2), "pixel-representation"),
    "planar": (
        dicom(np.zeros((8, 8, 3), np.uint8), PlanarConfiguration=7),
        "planar-configuration",
    ),
    "hsv": (
        dicom(np.zeros((8, 8, 3), np.uint8), PhotometricInterpretation="HSV"),
        "photometric",
    ),
    "photometric-name": (dicom(GOOD, PhotometricInterpretation=SECRET), "photometric"),
    "rgb-of-one": (dicom(GOOD, PhotometricInterpretation="RGB"), "photometric-samples"),
    "mono-of-three": (
        dicom(np.zeros((8, 8, 3), np.uint8), PhotometricInterpretation="MONOCHROME2"),
        "photometric-samples",
    ),
    "three-frames": (dicom(GOOD, NumberOfFrames=3, data=GOOD.tobytes() * 3), "multi-frame"),
    "compressed-frames": (
        dicom(GREY, syntax=JPEG_BASELINE, NumberOfFrames=2, pixel_element=DISTINCT_FRAMES),
        "multi-frame",
    ),
    "frames-promised": (dicom(GOOD, NumberOfFrames=9), "frames-mismatch"),
    "frames-hidden": (dicom(GOOD, data=GOOD.tobytes() * 2), "frames-mismatch"),
    "fragments-promised": (
        compressed(GREY, JPEG_BASELINE, JPEG, NumberOfFrames=5),
        "frames-mismatch",
    ),
    "fragments-hidden": (
        dicom(GREY, syntax=JPEG_BASELINE, pixel_element=DISTINCT_FRAMES),
        "frames-mismatch",
    ),
    "offsets-hidden": (
        dicom(
            GREY,
            syntax=JPEG_BASELINE,
            pixel_element=encapsulated(JPEG, JPEG, has_bot=True),
        ),
        "frames-mismatch",
    ),
    "frames-negative": (
        dicom(GOOD, NumberOfFrames=-4, data=GOOD.tobytes() * 2),
        "frames-malformed",
    ),
    "frames-text": (
        dicom(GOOD, NumberOfFrames="1A", data=GOOD.tobytes() * 2),
        "frames-malformed",
    ),
    "no-palette": (dicom(GREY, PhotometricInterpretation="PALETTE COLOR"), "palette"),
    "palette-short": (
        dicom(GREY, **palette(BluePaletteColorLookupTableData=("OW", b"\0\0"))),
        "palette",
    ),
    "palette-all-short": (
        dicom(
            GREY,
            **{  # type: ignore[arg-type]
                f"{colour}PaletteColorLookupTable{part}": value
                for colour in ("Red", "Green", "Blue")
                for part, value in (("Descriptor", ("US", [256, 0, 16])), ("Data", bytes(8)))
            }
            | {"PhotometricInterpretation": "PALETTE COLOR"},
        ),
        "palette",
    ),
    "palette-odd-bits": (
        dicom(GREY, **palette(RedPaletteColorLookupTableDescriptor=("US", [4, 0, 9]))),
        "palette",
    ),
    "slope": (dicom(GOOD, RescaleSlope=SECRET, RescaleIntercept="0"), "rescale"),
    # Compressed frames.
    "not-encapsulated": (dicom(GREY, syntax=JPEG_BASELINE), "encapsulation"),
    "undefined-native": (
        dicom(GREY, pixel_element=encapsulated(JPEG)),
        "native-but-compressed",
    ),
    "fragment-undefined": (
        dicom(
            GREY,
            syntax=JPEG_BASELINE,
            pixel_element=encapsulated(
                raw=item(b"") + struct.pack("<HHI", 0xFFFE, 0xE000, UNDEFINED) + JPEG
            ),
        ),
        "encapsulation",
    ),
    "jpeg-is-text": (compressed(GREY, JPEG_BASELINE, SECRET.encode() * 9), "codestream"),
    "jpeg-is-rle": (compressed(GREY, JPEG_BASELINE, rle(64)), "codestream"),
    "j2k-is-rle": (compressed(GREY, JPEG2000_LOSSLESS, rle(64)), "codestream"),
    "jls-is-rle": (compressed(GREY, JPEG_LS, rle(64)), "codestream"),
    "endless-boxes": (
        compressed(GREY, JPEG2000_LOSSLESS, b"\0\0\0\x0cjP  \r\n\x87\n" + bytes(64)),
        "codestream",
    ),
    "jpeg-size": (compressed(GREY, JPEG_BASELINE, jpeg_of_size(64, 32)), "codestream-size"),
    "jpeg-huge": (
        compressed(GREY, JPEG_BASELINE, jpeg_of_size(65_500, 65_500)),
        "codestream-size",
    ),
    "j2k-huge": (
        compressed(GREY, JPEG2000_LOSSLESS, j2k_of_size(2**31, 2**31)),
        "codestream-size",
    ),
    "header-lies": (compressed(GREY, JPEG_BASELINE, JPEG, Rows=16), "codestream-size"),
    "j2k-16-in-8": (
        compressed(GREY, JPEG2000_LOSSLESS, picture(GOOD, "JPEG2000", no_jp2=True)),
        "codestream-bits",
    ),
    "jpeg-cut": (compressed(GREY, JPEG_BASELINE, JPEG[:-40]), "codestream-truncated"),
    "j2k-cut": (compressed(GREY, JPEG2000_LOSSLESS, J2K[:-40]), "codestream-truncated"),
    "j2k-zero-filled": (
        compressed(GREY, JPEG2000_LOSSLESS, J2K[:-40] + bytes(40)),
        "codestream-truncated",
    ),
    "rle-short": (compressed(GREY, RLE, b"\x01\0\0\0"), "codestream-truncated"),
    "rle-outside": (compressed(GREY, RLE, rle(5000)), "codestream-truncated"),
    "rle-segments": (compressed(GOOD, RLE, rle(64)), "codestream-samples"),
    "rle-many": (compressed(GREY, RLE, rle(64, count=99)), "codestream"),
    "rle-backwards": (compressed(GOOD, RLE, rle(70, 64)), "codestream"),
    "rle-little": (compressed(GREY, RLE, rle(64)), "decoder"),
    # The first segment has more bytes than pixels: the decoder panics, which is no Exception.
    "rle-overrun": (
        compressed(GOOD, RLE, rle(64, 82, body=b"\x81\7" * 17)),
        "decoder",
    ),
    "jpeg-no-scan": (
        compressed(GREY, JPEG_BASELINE, JPEG[: JPEG.index(b"\xff\xda")] + b"\xff\xd9"),
        "codestream-truncated",
    ),
    "jpeg-no-tables": (
        compressed(
            GREY,
            JPEG_BASELINE,
            JPEG[:2] + JPEG[JPEG.index(b"\xff\xc0") :].replace(b"\xff\xc4", b"\xff\xfe"),
        ),
        "decoder",
    ),
    "j2k-no-body": (
        compressed(GREY, JPEG2000_LOSSLESS, J2K[: J2K.index(b"\xff\x90")] + b"\xff\xd9"),
        "codestream-truncated",
    ),
    "j2k-no-quantisation": (
        compressed(GREY, JPEG2000_LOSSLESS, J2K.replace(b"\xff\x5c", b"\xff\x64", 1)),
        "decoder",
    ),
    # PNG, JPEG and TIFF.
    "png-signature": (PNG[:8], "raster-header"),
    "png-cut": (PNG[: len(PNG) // 2], "raster-truncated"),
    "png-768-mb": (huge_png, "too-many-pixels"),
    "png-side-2-31": (png(2**31 - 1, 1, b""), "too-many-pixels"),
    "png-zero": (png(0, 8, b""), "size-zero"),
    "png-text-bomb": (text_bomb, "metadata-bomb"),
    "png-checksum": (PNG[:29] + b"\0\0\0\0" + PNG[33:], "raster-header"),
    "png-not-deflated": (PNG[:41] + b"\x55" + PNG[42:], "raster-damaged"),
    "png-bad-filter": (png(8, 8, b"\x09" * 72), "raster-damaged"),
    "png-few-rows": (png(8, 8, b"\x00" * 30), "raster-truncated"),
    "png-animated": (animated, "multi-frame"),
    "jpeg-start": (JPEG[:20], "raster-header"),
    "jpeg-half": (JPEG[:-60], "raster-truncated"),
    "jpeg-4-gp": (jpeg_of_size(65_500, 65_500), "too-many-pixels"),
    "tiff-start": (TIFF[:6], "raster-header"),
    "tiff-cut": (TIFF[:200], "raster-truncated"),
    "tiff-pages": (pages, "multi-frame"),
    "tiff-unknown": (unknown_tiff, "raster-header"),
    "big-endian-cut": (dicom(GOOD, syntax=BIG_ENDIAN)[:-9], "truncated"),
}


def contents(name: str) -> bytes:
    """Return the malformed file of that name."""
    given = MALFORMED[name][0]
    return given if isinstance(given, bytes) else given()
