"""Write the small files of the kinds that others read, and the grey values that each must give.

python tests/vectors/make_kinds.py

`kinds/<name>.dcm`, `.png` or `.jpg` is the file, `kinds/<name>.u16` uint16 [rows, columns],
little-endian, 65535 = 1, of the upright picture with square pixels; `kinds.json` has its size,
orientation, view and flags.
"""

from __future__ import annotations

import json
import struct
import sys
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

HERE = Path(__file__).parent
KINDS = HERE / "kinds"
sys.path.insert(0, str(HERE.parent / "support"))

import codec_samples  # noqa: E402
from nanoray.detecting import flags  # noqa: E402
from nanoray.reading import read  # noqa: E402
from nanoray.reading.prepared import contrast_of  # noqa: E402
from reading_files import (  # noqa: E402
    BIG_ENDIAN,
    DEFLATED,
    EXPLICIT,
    IMPLICIT,
    JPEG2000_LOSSLESS,
    JPEG_BASELINE,
    JPEG_EXTENDED,
    JPEG_LS,
    chest,
    compressed,
    data_set,
    dicom,
    element,
    encapsulated,
    image_elements,
    item,
    meta,
    picture,
    png,
    png_chunk,
    two_fragments,
    with_comment,
)

TWELVE = {"BitsStored": 12, "HighBit": 11}
BEFORE_PATIENT = ("SOPClassUID", "StudyDate", "Modality")
WINDOW = TWELVE | {"WindowCenter": 2048, "WindowWidth": 4096}


def table(entries: int, bits: int, count: int = 4096) -> Any:
    """Return a VOI LUT Sequence with so many of 4,096 rising entries."""
    data = np.arange(entries, dtype="<u2").tobytes()
    return (
        "SQ",
        item(data_set({"LUTDescriptor": ("US", [count, 0, bits]), "LUTData": ("OW", data)})),
    )


def constant(value: int, count: int = 4096) -> Any:
    """Return a LUT Sequence whose entries are all the same."""
    data = np.full(count, value, "<u2").tobytes()
    return (
        "SQ",
        item(data_set({"LUTDescriptor": ("US", [count, 0, 16]), "LUTData": ("OW", data)})),
    )


def png_of_16_bits(samples: np.ndarray, colour: int, clear: int | None = None) -> bytes:
    """Return a PNG of samples [H, W, channels]; `clear` is the grey that means transparency."""
    rows, columns, count = samples.shape
    lines = b"".join(b"\0" + line.astype(">u2").tobytes() for line in samples)
    chunk = b""
    if clear is not None:
        chunk = png_chunk(b"tRNS", struct.pack(f">{count}H", *[clear] * count))
    return png(columns, rows, lines, depth=16, colour=colour, extra=chunk)


def interlaced_png_of_16_bits(samples: np.ndarray, colour: int) -> bytes:
    """Return a PNG of samples [H, W, channels] in the seven passes of Adam7."""
    passes = ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2))
    lines = b"".join(
        b"\0" + line.astype(">u2").tobytes()
        for top, left, down, across in (*passes, (1, 0, 2, 1))
        for line in samples[top::down, left::across]
    )
    rows, columns = samples.shape[:2]
    return png(columns, rows, lines, depth=16, colour=colour, interlaced=True)


def pictures() -> dict[str, bytes]:
    """Return the files of the kinds that are no DICOM, by name with suffix."""
    deep = chest(40, 32)[..., np.newaxis]
    full = np.full_like(deep, 65_535)
    framed = np.where(np.arange(40)[:, np.newaxis, np.newaxis] < 4, 60_000, deep)
    covered = np.where(framed == 60_000, 0, full)
    grey = chest(40, 32, bits=8)
    jpeg, progressive = (picture(grey, "JPEG", quality=92, progressive=way) for way in (0, 1))
    turned = Image.Exif()
    turned[0x0112] = 6
    red = np.dstack([deep, deep // 2, deep // 2])
    return {
        "jpeg-file.jpg": jpeg,
        "jpeg-file-12-bits.jpg": codec_samples.JPEG_12_BIT,
        "jpeg-file-12-bits-without-end.jpg": codec_samples.JPEG_12_BIT[:-2],
        "jpeg-file-lossless.jpg": codec_samples.JPEG_LOSSLESS,
        "jpeg-file-jpeg-ls.jpg": codec_samples.JPEG_LS,
        "jpeg-file-not-square.jpg": picture(grey, "JPEG", quality=92, dpi=(200, 100)),
        "jpeg-file-not-square-turned.jpg": picture(
            grey, "JPEG", quality=92, dpi=(200, 100), exif=turned
        ),
        "png-not-square.png": picture(grey, "PNG", dpi=(100, 200)),
        "jpeg-file-without-end.jpg": jpeg[:-2],
        "jpeg-file-progressive-without-end.jpg": progressive[:-2],
        "jpeg-file-with-trailer.jpg": jpeg + b"a trailer" * 1000,
        "png-12-in-16-grey.png": png_of_16_bits(deep, 0),
        "png-12-in-16-grey-opacity.png": png_of_16_bits(np.dstack([deep, full]), 4),
        "png-12-in-16-colour.png": png_of_16_bits(np.dstack([deep] * 3), 2),
        "png-12-in-16-colour-opacity.png": png_of_16_bits(np.dstack([deep] * 3 + [full]), 6),
        "png-12-in-16-colour-interlaced.png": interlaced_png_of_16_bits(np.dstack([deep] * 3), 2),
        "png-12-in-16-grey-opacity-interlaced.png": interlaced_png_of_16_bits(
            np.dstack([deep, full]), 4
        ),
        "png-12-in-16-red.png": png_of_16_bits(red, 2),
        "png-16-transparent.png": png_of_16_bits(np.dstack([framed, covered]), 4),
        "png-16-transparent-grey.png": png_of_16_bits(framed, 0, 60_000),
        "png-16-transparent-colour.png": png_of_16_bits(np.dstack([framed] * 3), 2, 60_000),
    }


def files() -> dict[str, bytes]:
    """Return the DICOM file of every kind."""
    deep, grey, small = chest(40, 32), chest(40, 32, bits=8), codec_samples.picture_12_bit()
    jpeg = picture(grey, "JPEG", quality=92)
    padded = jpeg + b"\0" * (len(jpeg) % 2)
    wavelets = picture(deep, "JPEG2000", no_jp2=True, irreversible=False)
    turned = np.ascontiguousarray(np.rot90(deep))
    extended = bytearray(codec_samples.JPEG_12_BIT)
    scan = extended.index(b"\xff\xda")
    extended[scan + 6 + 2 * extended[scan + 4]] = 0
    framed = np.full((60, 52), 65_535, np.uint16)
    framed[10:50, 10:42] = deep
    empty = ("SQ", item(b""))
    outside = deep.copy()
    outside[:8] = 65_535
    # 3 % of dark noise, which a window of a CT shows, beside 97 % that it does not.
    noisy = chest(64, 48) // 2 + np.uint16(2000)
    noisy[:2] = 2 * np.arange(96, dtype=np.uint16).reshape(2, 48)
    return {
        "frame-end-spaces": compressed(grey, JPEG_BASELINE, jpeg + b"  "),
        "frame-end-zeros": compressed(grey, JPEG_BASELINE, jpeg + bytes(5001)),
        "frame-without-end": compressed(grey, JPEG_BASELINE, jpeg[:-2]),
        "frame-without-end-jpeg-ls": compressed(
            small, JPEG_LS, codec_samples.JPEG_LS[:-2] + bytes(4), **WINDOW
        ),
        "frame-without-end-jpeg-2000": compressed(
            deep, JPEG2000_LOSSLESS, wavelets[:-2] + b"\0\0", **WINDOW
        ),
        "frame-end-in-a-tile-header": compressed(
            deep, JPEG2000_LOSSLESS, with_comment(wavelets, b"\xff\xd9"), **WINDOW
        ),
        "frame-offsets-of-fragments": dicom(
            grey, syntax=JPEG_BASELINE, pixel_element=encapsulated(raw=two_fragments(jpeg))
        ),
        "frame-jpeg-under-jpeg-2000": compressed(grey, JPEG2000_LOSSLESS, jpeg),
        "frame-jpeg-under-retired": compressed(grey, "1.2.840.10008.1.2.4.55", jpeg),
        "frame-jpeg-2000-under-jpeg": compressed(deep, JPEG_BASELINE, wavelets, **WINDOW),
        "frame-jpeg-ls-under-lossless": compressed(
            small, "1.2.840.10008.1.2.4.70", codec_samples.JPEG_LS, **WINDOW
        ),
        "frame-lossless-under-baseline": compressed(
            small, JPEG_BASELINE, codec_samples.JPEG_LOSSLESS, **WINDOW
        ),
        "frame-without-offset-table": dicom(
            grey, syntax=JPEG_BASELINE, pixel_element=encapsulated(raw=item(padded))
        ),
        "frame-after-padding": compressed(grey, JPEG_BASELINE, b"\0\0\xff" + jpeg),
        "encapsulated-not-compressed": dicom(
            deep,
            syntax="1.2.840.10008.1.2.1.98",
            pixel_element=encapsulated(raw=item(b"") + item(deep.tobytes())),
            **WINDOW,
        ),
        "rows-in-two-values": dicom(deep, Rows=[40, 40], Columns=[0, 32], **WINDOW),
        "big-endian-said-little": dicom(deep, prefix=meta(EXPLICIT), syntax=BIG_ENDIAN, **WINDOW),
        "little-endian-said-big": dicom(deep, prefix=meta(BIG_ENDIAN), **WINDOW),
        "plain-said-deflated": dicom(deep, prefix=meta(DEFLATED), **WINDOW),
        "deflated-with-zlib-header": meta(DEFLATED)
        + zlib.compress(
            data_set(image_elements(deep, **WINDOW)) + element(0x7FE00010, "OW", deep.tobytes())
        ),
        "frame-end-jpeg-ls": compressed(small, JPEG_LS, codec_samples.JPEG_LS + b" ", **WINDOW),
        "jpeg-extended-scan-end-0": compressed(small, JPEG_EXTENDED, bytes(extended), **WINDOW),
        "sequence-without-end": dicom(
            grey, syntax=JPEG_BASELINE, pixel_element=encapsulated(jpeg)[:-8]
        ),
        "excess-padding": dicom(deep, data=deep.tobytes() + b"\xff" * 128, **WINDOW),
        "empty-lookup-tables": dicom(
            deep, ModalityLUTSequence=empty, VOILUTSequence=empty, **WINDOW
        ),
        "voi-lut-says-16": dicom(deep, VOILUTSequence=table(4096, 16), **TWELVE),
        "voi-lut-says-8": dicom(deep, VOILUTSequence=table(4096, 8), **TWELVE),
        "voi-lut-one-short": dicom(deep, VOILUTSequence=table(4095, 12), **TWELVE),
        "decimal-comma": dicom(
            deep, WindowCenter=("DS", "2047,5"), WindowWidth=("DS", "4095,0"), **TWELVE
        ),
        "unit-after-number": dicom(
            deep, WindowCenter=("DS", "2047 HU"), WindowWidth=("DS", "4095 HU"), **TWELVE
        ),
        "padding-above-bits-stored": dicom(outside, PixelPaddingValue=("US", 65_535), **WINDOW),
        "padding-above-bits-stored-signed": dicom(
            np.where(outside == 65_535, -32_768, outside.astype(np.int32) - 2048).astype(np.int16),
            PixelPaddingValue=("SS", -32_768),
            **WINDOW | {"WindowCenter": 0},
        ),
        "constant-modality-lut": dicom(deep, ModalityLUTSequence=constant(0), **WINDOW),
        "spacing-with-decimal-commas": dicom(
            np.ascontiguousarray(deep[::2]), PixelSpacing=("DS", "0,400\\0,200"), **WINDOW
        ),
        "slope-with-decimal-comma": dicom(
            deep, RescaleSlope=("DS", "0,500"), **TWELVE, WindowCenter=1024, WindowWidth=2048
        ),
        "window-of-a-ct": dicom(noisy, WindowCenter=40, WindowWidth=400, **TWELVE),
        "without-window-of-a-ct": dicom(noisy, **TWELVE),
        "window-shows-nothing": dicom(deep, WindowCenter=-3000, WindowWidth=400, **TWELVE),
        "saturated-border": dicom(framed),
        "patient-on-the-side": dicom(turned, PatientOrientation="F\\R", **WINDOW),
        "mirrored": dicom(np.ascontiguousarray(deep[:, ::-1]), PatientOrientation="R\\F", **WINDOW),
        "pixels-not-square": dicom(
            np.ascontiguousarray(deep[::2]), ImagerPixelSpacing=[0.4, 0.2], **WINDOW
        ),
        "pixels-not-square-as-scanned": dicom(
            np.ascontiguousarray(deep[::2]), NominalScannedPixelSpacing=[0.4, 0.2], **WINDOW
        ),
        "shutter": dicom(
            deep,
            ShutterShape="CIRCULAR",
            CenterOfCircularShutter=[21, 17],
            RadiusOfCircularShutter=12,
            **WINDOW,
        ),
        "presentation-inverse": dicom(deep, PresentationLUTShape="INVERSE", **WINDOW),
        "lateral-by-orientation": dicom(deep, PatientOrientation="A\\F", **WINDOW),
        "lateral-by-words": dicom(deep, ViewPosition="XTABLE LATERAL", **WINDOW),
        "hip": dicom(deep, BodyPartExamined="HIP", **WINDOW),
        "chest-in-dutch": dicom(deep, BodyPartExamined="BORST", **WINDOW),
        "for-processing": dicom(deep, PresentationIntentType="FOR PROCESSING", **WINDOW),
        "frames-malformed": dicom(deep, NumberOfFrames="1A", **WINDOW),
        "no-group-0008": dicom(
            deep,
            prefix=b"",
            **dict.fromkeys(("SOPClassUID", "StudyDate", "Modality")),
            **WINDOW,
        ),
        "begins-late-implicit": dicom(
            deep, prefix=b"", syntax=IMPLICIT, **WINDOW | dict.fromkeys(BEFORE_PATIENT)
        ),
        "begins-late-big-endian": dicom(
            deep, prefix=b"", syntax=BIG_ENDIAN, **WINDOW | dict.fromkeys(BEFORE_PATIENT)
        ),
        "same-in-8-bits": dicom((deep >> 4).astype(np.uint8)),
        "same-in-12-bits": dicom(deep, **TWELVE),
        "same-in-16-bits-signed": dicom((deep.astype(np.int32) - 2048).astype(np.int16)),
        "same-in-12-bits-colour": dicom(np.dstack([deep] * 3), **TWELVE),
        "same-in-12-of-16-bits-colour": dicom(np.dstack([deep] * 3)),
        "same-in-16-bits": dicom((deep << 4) | (deep >> 8)),
    }


def values(path: Path) -> dict[str, object]:
    """Return what reading a file must give, less its grey values."""
    radiograph = read(path)
    facts = radiograph.facts
    rows, columns = radiograph.pixels.shape
    return {
        "file": path.name,
        "rows": rows,
        "columns": columns,
        "orientation": facts.orientation,
        "view": facts.view,
        "body_part": facts.body_part,
        "flags": list(flags.find(facts, contrast_of(radiograph.pixels))),
        "tolerance": 0.02 if path.stem.startswith(("frame-", "sequence-", "jpeg-")) else 1e-4,
    }


def main() -> None:
    KINDS.mkdir(exist_ok=True)
    contents = {f"{name}.dcm": content for name, content in files().items()} | pictures()
    found = {}
    for name, content in sorted(contents.items()):
        path = KINDS / name
        path.write_bytes(content)
        found[path.stem] = values(path)
        levels = np.rint(read(path).pixels * 65_535).astype("<u2")
        levels.tofile(path.with_suffix(".u16"))
    (HERE / "kinds.json").write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
