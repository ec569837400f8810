"""The kinds of files that others read, drawn by code (docs/reference/file-kinds.md)."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom.encaps import get_frame

import codec_samples
from nanoray.errors import UnreadableError
from nanoray.reading import codestream, read
from nanoray.reading.file_kind import HEAD_BYTES, kind_of
from reading_files import (
    BIG_ENDIAN,
    DEFLATED,
    EXPLICIT,
    IMPLICIT,
    JPEG2000_LOSSLESS,
    JPEG_BASELINE,
    JPEG_EXTENDED,
    JPEG_LS,
    RLE,
    UNDEFINED,
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
    two_fragments,
    with_comment,
)

TWELVE = {"BitsStored": 12, "HighBit": 11, "WindowCenter": 2048, "WindowWidth": 4096}
GREY = chest(96, 80, bits=8)
DEEP = codec_samples.picture_12_bit()


def jpeg_ls(pixels: np.ndarray) -> bytes:
    from jpeg_ls import encode_array

    return bytes(encode_array(pixels))


FRAMES: dict[str, tuple[str, np.ndarray, bytes, dict[str, Any]]] = {
    "JPEG": (JPEG_BASELINE, GREY, picture(GREY, "JPEG", quality=92), {}),
    "JPEG-LS": (JPEG_LS, DEEP, codec_samples.JPEG_LS, TWELVE),
    "JPEG 2000": (
        JPEG2000_LOSSLESS,
        GREY,
        picture(GREY, "JPEG2000", no_jp2=True, irreversible=False),
        {},
    ),
}


def refused(data: bytes) -> str:
    with pytest.raises(UnreadableError) as caught:
        read(data)
    return caught.value.code


# Where a frame ends.


@pytest.mark.parametrize("name", FRAMES)
@pytest.mark.parametrize(
    "padding",
    [b" ", b"  \r\n", b"\0" * 5001, b"\xff" * 9, b"\0\xff\0", b"LEADTOOLS", b"\xaa" * 6001],
)
def test_what_follows_the_end_of_a_frame_is_padding(name: str, padding: bytes) -> None:
    syntax, pixels, frame, form = FRAMES[name]
    expected = read(compressed(pixels, syntax, frame, **form)).pixels
    found = read(compressed(pixels, syntax, frame + padding, **form)).pixels
    assert np.array_equal(found, expected)


@pytest.mark.parametrize("name", FRAMES)
@pytest.mark.parametrize(
    "padding", [b"", b"\0", b" ", b"\xff", b"\0\0", b"  ", b"\0\xff", b"\0" * 5001]
)
def test_a_missing_end_marker_is_no_missing_pixel(name: str, padding: bytes) -> None:
    syntax, pixels, frame, form = FRAMES[name]
    expected = read(compressed(pixels, syntax, frame, **form)).pixels
    raw = item(b"") + item(frame[:-2] + padding)
    file = dicom(pixels, syntax=syntax, pixel_element=encapsulated(raw=raw), **form)
    assert np.array_equal(read(file).pixels, expected)


@pytest.mark.parametrize("comment", [b"\xff\xd9", b"\xff\xd9ab", b"\xff\x93\xff\xd9"])
@pytest.mark.parametrize("ended", [True, False])
def test_an_end_marker_in_a_tile_header_is_no_end(comment: bytes, ended: bool) -> None:
    syntax, pixels, frame, _ = FRAMES["JPEG 2000"]
    expected = read(compressed(pixels, syntax, frame)).pixels
    longer = with_comment(frame, comment)
    found = read(compressed(pixels, syntax, longer if ended else longer[:-2] + b"\0\0")).pixels
    assert np.array_equal(found, expected)


def test_an_end_marker_in_the_length_of_a_tile_part_is_no_end() -> None:
    syntax, pixels, frame, _ = FRAMES["JPEG 2000"]
    (length,) = struct.unpack_from(">I", frame, frame.index(b"\xff\x90") + 6)
    longer = with_comment(frame, bytes(0xFFD9 - length - 6))
    assert struct.unpack_from(">I", longer, longer.index(b"\xff\x90") + 6) == (0xFFD9,)
    expected = read(compressed(pixels, syntax, frame)).pixels
    assert np.array_equal(read(compressed(pixels, syntax, longer)).pixels, expected)


@pytest.mark.parametrize("length", [0, 14, 1000, 1 << 20])
def test_a_wrong_length_of_a_tile_part(length: int) -> None:
    frame = FRAMES["JPEG 2000"][2]
    place = frame.index(b"\xff\x90") + 6
    wrong = frame[:place] + struct.pack(">I", length) + frame[place + 4 :]
    found, ended = codestream.cut(wrong + b"\0\0", jpeg=False) or (b"", False)
    assert (found, ended) == (wrong, True)


@pytest.mark.parametrize("name", FRAMES)
@pytest.mark.parametrize("share", [0.3, 0.6, 0.95])
def test_missing_pixels_are_missed(name: str, share: float) -> None:
    syntax, pixels, frame, form = FRAMES[name]
    cut = frame[: int(share * len(frame)) // 2 * 2]
    for end in (b"", b"\0" * 40, b"  "):
        assert refused(compressed(pixels, syntax, cut + end, **form)) == "codestream-truncated"


@pytest.mark.parametrize("name", FRAMES)
def test_a_missing_sequence_delimiter(name: str) -> None:
    syntax, pixels, frame, form = FRAMES[name]
    file = compressed(pixels, syntax, frame, **form)
    assert file.endswith(struct.pack("<HHI", 0xFFFE, 0xE0DD, 0))
    for end in (8, 6, 2):
        found = read(file[:-end]).pixels
        assert np.array_equal(found, read(file).pixels)
    # Of a byte of the item less, the frame is not whole.
    assert refused(file[:-12]) in ("truncated", "codestream-truncated")


def test_jpeg_extended_with_a_scan_that_ends_at_0() -> None:
    frame = codec_samples.JPEG_12_BIT
    scan = frame.index(b"\xff\xda")
    end = scan + 5 + 2 * frame[scan + 4] + 1
    assert frame[end] == 63
    broken = frame[:end] + b"\0" + frame[end + 1 :]
    expected = read(compressed(DEEP, JPEG_EXTENDED, frame, **TWELVE)).pixels
    found = read(compressed(DEEP, JPEG_EXTENDED, broken, **TWELVE)).pixels
    assert np.array_equal(found, expected)


# Padding after native pixels.


@pytest.mark.parametrize(
    "tail", [b"\xff" * 128, b"\x20" * 130, b"\x01\x02" * 300, b"ABCDEFGH", b"\0" * 4000]
)
def test_excess_padding_is_accepted(tail: bytes) -> None:
    stored = chest(96, 80)
    expected = read(dicom(stored, **TWELVE)).pixels
    found = read(dicom(stored, data=stored.tobytes() + tail, **TWELVE))
    assert np.array_equal(found.pixels, expected)
    assert any("padding" in step.detail for step in found.steps)


def test_rows_or_columns_that_the_header_leaves_out_are_no_padding() -> None:
    stored = chest(96, 80)
    for rows, columns in ((95, 80), (90, 80), (96, 79), (96, 78)):
        assert refused(dicom(stored, Rows=rows, Columns=columns, **TWELVE)) == "size-mismatch"


# Bits above Bits Stored.


@pytest.mark.parametrize("name", ["JPEG-LS", "JPEG 2000"])
@pytest.mark.parametrize("garbage", [0xF000, 0x8000, 0x5000])
def test_unused_bits_are_masked(name: str, garbage: int) -> None:
    stored = chest(96, 80)
    dirty = stored | np.uint16(garbage)
    expected = read(dicom(stored, **TWELVE)).pixels
    if name == "JPEG-LS":
        file = compressed(dirty, JPEG_LS, jpeg_ls(dirty), **TWELVE)
    else:
        frame = picture(dirty, "JPEG2000", no_jp2=True, irreversible=False)
        file = compressed(dirty, JPEG2000_LOSSLESS, frame, **TWELVE)
    assert np.array_equal(read(file).pixels, expected)
    assert np.array_equal(read(file, min_side=16).pixels, expected)


# Headers that lie and that others read through.


@pytest.mark.parametrize("frames", ["1A", "one", "-3", "1 frame"])
def test_a_malformed_number_of_frames_beside_one_frame(frames: str) -> None:
    stored = chest()
    assert np.array_equal(
        read(dicom(stored, NumberOfFrames=frames)).pixels, read(dicom(stored)).pixels
    )
    two = dicom(stored, NumberOfFrames=frames, data=stored.tobytes() * 2)
    assert refused(two) == "frames-malformed"


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_a_grey_picture_in_a_colour_jpeg_under_a_grey_header(photometric: str) -> None:
    form = {"PhotometricInterpretation": photometric}
    frame = picture(np.repeat(GREY[..., None], 3, axis=2), "JPEG", quality=95)
    expected = read(compressed(GREY, JPEG_BASELINE, picture(GREY, "JPEG", quality=95), **form))
    found = read(compressed(GREY, JPEG_BASELINE, frame, **form))
    assert not found.facts.colour
    np.testing.assert_allclose(found.pixels, expected.pixels, atol=0.02)


@pytest.mark.parametrize("first", ["PatientName", "PatientID", "StudyInstanceUID", "Modality"])
def test_a_data_set_that_begins_late(first: str) -> None:
    stored = chest()
    tag = pydicom.tag.Tag(first)
    names = [name for name in image_names() if pydicom.tag.Tag(name) >= tag]
    left_out = {name: None for name in image_names() if name not in names}
    form = TWELVE | {"StudyInstanceUID": "1.2.3"} | left_out
    file = dicom(stored, prefix=b"", **form)
    assert np.array_equal(read(file).pixels, read(dicom(stored, **TWELVE)).pixels)


@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT, BIG_ENDIAN])
@pytest.mark.parametrize("first", ["PatientName", "PatientID", "KVP", "SamplesPerPixel"])
def test_a_data_set_that_begins_late_in_any_encoding(syntax: str, first: str) -> None:
    stored = chest()
    tag = pydicom.tag.Tag(first)
    left_out = {name: None for name in image_names() if pydicom.tag.Tag(name) < tag}
    form = TWELVE | {"KVP": 120 if first != "SamplesPerPixel" else None} | left_out
    file = dicom(stored, prefix=b"", syntax=syntax, **form)
    assert kind_of(file[:HEAD_BYTES]) == "DICOM"
    assert np.array_equal(read(file).pixels, read(dicom(stored, **TWELVE)).pixels)


def test_what_only_looks_like_elements_is_no_dicom() -> None:
    ascending = struct.pack("<HHI4xHHI4x", 0x10, 0x10, 4, 0x10, 0x20, 4)
    for head in (bytes(512), ascending, b"\x10\x00" * 256, bytes(range(256)) * 2):
        assert kind_of(head) is None


def image_names() -> list[str]:
    return ["SOPClassUID", "StudyDate", "Modality", "PatientName", "PatientID", "PatientBirthDate"]


def test_compressed_pixels_that_are_said_to_be_native() -> None:
    frame = picture(GREY, "JPEG")
    file = dicom(GREY, syntax=EXPLICIT, pixel_element=encapsulated(frame))
    assert refused(file) == "native-but-compressed"


# Which way up, and with what proportions.


@pytest.mark.parametrize(
    ("orientation", "stored"),
    [
        ("L\\F", lambda upright: upright),
        ("R\\F", lambda upright: upright[:, ::-1]),
        ("R\\H", lambda upright: upright[::-1, ::-1]),
        ("L\\H", lambda upright: upright[::-1]),
        ("F\\L", lambda upright: upright.T),
        ("F\\R", lambda upright: np.rot90(upright, 1)),
        ("H\\L", lambda upright: np.rot90(upright, -1)),
        ("H\\R", lambda upright: np.rot90(upright, 2).T),
        ("LF\\FL", lambda upright: upright),
        ("", lambda upright: upright),
        ("L", lambda upright: upright),
        ("X\\Y", lambda upright: upright),
    ],
)
def test_patient_orientation_is_turned_upright(orientation: str, stored: Any) -> None:
    upright = chest(60, 40)
    pixels = np.ascontiguousarray(stored(upright))
    found = read(dicom(pixels, PatientOrientation=orientation, **TWELVE))
    assert np.array_equal(found.pixels, read(dicom(upright, **TWELVE)).pixels)
    assert (found.facts.rows, found.facts.columns) == (60, 40)


@pytest.mark.parametrize(
    ("orientation", "spacing"), [("R\\F", (0.1, 0.2)), ("F\\R", (0.2, 0.1)), ("H\\L", (0.2, 0.1))]
)
def test_the_spacing_turns_with_the_image(orientation: str, spacing: tuple[float, float]) -> None:
    changes = {"PixelSpacing": [0.1, 0.2], "PatientOrientation": orientation}
    facts = read(dicom(chest(60, 40), **TWELVE, **changes)).facts
    assert facts.pixel_spacing_mm == spacing
    # The film has 6 by 8 mm, however it lies.
    height, width = facts.rows * spacing[0], facts.columns * spacing[1]
    assert {round(height, 6), round(width, 6)} == {6.0, 8.0}


@pytest.mark.parametrize(
    ("changes", "shape"),
    [
        ({"PixelSpacing": [0.4, 0.2]}, (120, 40)),
        ({"ImagerPixelSpacing": [0.2, 0.4]}, (60, 80)),
        ({"PixelAspectRatio": [2, 1]}, (120, 40)),
        ({"PixelSpacing": ("DS", "0,4\\0,2")}, (120, 40)),
        # The spacing counts more than the ratio.
        ({"PixelSpacing": [0.2, 0.2], "PixelAspectRatio": [2, 1]}, (60, 40)),
        ({"PixelSpacing": [0.2, 0.2001]}, (60, 40)),
        ({"PixelSpacing": [0.2, 20]}, (60, 40)),
        ({"PixelAspectRatio": [0, 1]}, (60, 40)),
        # Turned with the image.
        ({"PixelSpacing": [0.4, 0.2], "PatientOrientation": "F\\R"}, (40, 120)),
    ],
)
def test_pixels_that_are_not_square(changes: dict[str, Any], shape: tuple[int, int]) -> None:
    assert read(dicom(chest(60, 40), **TWELVE, **changes)).pixels.shape == shape


@pytest.mark.parametrize(
    ("shutter", "opened"),
    [
        (
            {
                "ShutterShape": "RECTANGULAR",
                "ShutterUpperHorizontalEdge": 11,
                "ShutterLowerHorizontalEdge": 50,
                "ShutterLeftVerticalEdge": 6,
                "ShutterRightVerticalEdge": 35,
            },
            lambda y, x: (y >= 10) & (y < 50) & (x >= 5) & (x < 35),
        ),
        (
            {
                "ShutterShape": "CIRCULAR",
                "CenterOfCircularShutter": [31, 21],
                "RadiusOfCircularShutter": 15,
            },
            lambda y, x: (y - 30) ** 2 + (x - 20) ** 2 <= 225,
        ),
        (
            {
                "ShutterShape": "POLYGONAL",
                "VerticesOfThePolygonalShutter": [11, 6, 11, 35, 50, 35, 50, 6],
            },
            lambda y, x: (y >= 10) & (y < 50) & (x >= 5) & (x < 35),
        ),
    ],
)
def test_what_a_shutter_covers_is_black(shutter: dict[str, Any], opened: Any) -> None:
    stored = chest(60, 40)
    y, x = np.mgrid[0:60, 0:40]
    inside = opened(y, x)
    plain = read(dicom(stored, **TWELVE)).pixels
    found = read(dicom(stored, **TWELVE, **shutter)).pixels
    assert np.array_equal(found, np.where(inside, plain, 0))


def test_what_a_shutter_covers_does_not_stretch_the_image() -> None:
    stored = chest(60, 40, bits=10)
    framed = np.full((80, 60), 4095, "u2")
    framed[10:70, 10:50] = stored
    shutter = {
        "ShutterShape": "RECTANGULAR",
        "ShutterUpperHorizontalEdge": 11,
        "ShutterLowerHorizontalEdge": 70,
        "ShutterLeftVerticalEdge": 11,
        "ShutterRightVerticalEdge": 50,
    }
    found = read(dicom(framed, BitsStored=12, HighBit=11, **shutter)).pixels
    assert np.array_equal(found[10:70, 10:50], read(dicom(stored)).pixels)


# What the header tells of the view and the body part.


@pytest.mark.parametrize(
    ("changes", "view"),
    [
        ({"ViewPosition": "PA"}, "PA"),
        ({"ViewPosition": "XTABLE LATERAL"}, "XTABLE LATERAL"),
        ({"ViewPosition": "Lateral, left (SMITH)"}, "LATERAL LEFT"),
        ({"ViewPosition": "", "PatientOrientation": "A\\F"}, "LATERAL"),
        ({"PatientOrientation": "P\\F"}, "LATERAL"),
        ({"PatientOrientation": "L\\F"}, None),
        ({"SeriesDescription": "Chest LAT"}, "LATERAL"),
        ({"SeriesDescription": "Chest PA and LAT"}, None),
        ({"ProtocolName": "Thorax seitlich"}, "LATERAL"),
        ({"SeriesDescription": "LATERAL DECUBITUS"}, None),
        ({"SeriesDescription": "SMITH JOHN"}, None),
    ],
)
def test_views(changes: dict[str, Any], view: str | None) -> None:
    assert read(dicom(chest(), **changes)).facts.view == view


def region(code: str, meaning: str) -> Any:
    return ("SQ", item(data_set({"CodeValue": code, "CodeMeaning": meaning})))


@pytest.mark.parametrize(
    ("changes", "part"),
    [
        ({"BodyPartExamined": "CHEST"}, "CHEST"),
        ({"BodyPartExamined": "Hip, left"}, "HIP LEFT"),
        ({"AnatomicRegionSequence": region("T-D3000", "Thoracic region")}, "CHEST"),
        ({"AnatomicRegionSequence": region("T-15710", "Hip joint")}, "HIP JOINT"),
        ({}, None),
    ],
)
def test_body_parts(changes: dict[str, Any], part: str | None) -> None:
    assert read(dicom(chest(), **changes)).facts.body_part == part


def test_presentation_intent_and_unknown_ages() -> None:
    for written in ("FOR PROCESSING", "FOR_PROCESSING"):
        assert read(dicom(chest(), PresentationIntentType=written)).facts.for_processing
    assert not read(dicom(chest(), PresentationIntentType="FOR PRESENTATION")).facts.for_processing
    unknown = {"PatientBirthDate": None}
    assert read(dicom(chest(), PatientAge="000Y", **unknown)).facts.age_years is None
    assert read(dicom(chest(), PatientAge="000D", **unknown)).facts.age_years == 0


def test_steps_identify_nobody() -> None:
    found = read(dicom(chest(), **TWELVE))
    text = io.StringIO()
    for step in found.steps:
        print(*step, file=text)
    assert "ZZSECRET" not in text.getvalue()
    assert "window 2048 / 4096" in text.getvalue()


def test_an_item_longer_than_the_file() -> None:
    frame = picture(GREY, "JPEG")
    raw = item(b"") + struct.pack("<HHI", 0xFFFE, 0xE000, 2 * len(frame)) + frame
    whole = element(0x7FE00010, "OB", raw, length=UNDEFINED)
    assert refused(dicom(GREY, syntax=JPEG_BASELINE, pixel_element=whole)) == "truncated"


def test_offsets_of_the_fragments_of_one_frame() -> None:
    for name in ("JPEG", "JPEG-LS", "JPEG 2000"):
        syntax, pixels, frame, form = FRAMES[name]
        element = encapsulated(raw=two_fragments(frame))
        whole = read(compressed(pixels, syntax, frame, **form)).pixels
        for frames in (None, 1, "one"):
            file = dicom(
                pixels, syntax=syntax, pixel_element=element, NumberOfFrames=frames, **form
            )
            assert np.array_equal(read(file).pixels, whole)
        raw = item(struct.pack("<2I", 0, 8 + len(frame))) + 2 * item(frame + bytes(len(frame) % 2))
        two = dicom(pixels, syntax=syntax, pixel_element=encapsulated(raw=raw), **form)
        assert refused(two) == "frames-mismatch"


def test_pydicom_agrees_on_a_frame_in_fragments() -> None:
    frame = picture(GREY, "JPEG", quality=92)
    half = len(frame) // 4 * 2
    file = compressed(GREY, JPEG_BASELINE, frame[:half], frame[half:])
    assert (
        get_frame(pydicom.dcmread(io.BytesIO(file)).PixelData, 0, number_of_frames=1)[: len(frame)]
        == frame
    )
    whole = read(compressed(GREY, JPEG_BASELINE, frame)).pixels
    assert np.array_equal(read(file).pixels, whole)


# Frames that differ from the transfer syntax, and items that differ from PS3.5.

JPEG_LOSSLESS = "1.2.840.10008.1.2.4.57"
JPEG_RETIRED = "1.2.840.10008.1.2.4.55"
ENCAPSULATED_NATIVE = "1.2.840.10008.1.2.1.98"
STREAMS: dict[str, tuple[str, np.ndarray, bytes, dict[str, Any]]] = {
    "baseline": (JPEG_BASELINE, GREY, picture(GREY, "JPEG", quality=92), {}),
    "progressive": (
        JPEG_BASELINE,
        GREY,
        picture(GREY, "JPEG", quality=92, progressive=True),
        {},
    ),
    "extended": (JPEG_EXTENDED, DEEP, codec_samples.JPEG_12_BIT, TWELVE),
    "lossless": (JPEG_LOSSLESS, DEEP, codec_samples.JPEG_LOSSLESS, TWELVE),
    "JPEG-LS": (JPEG_LS, DEEP, codec_samples.JPEG_LS, TWELVE),
    "JPEG 2000": FRAMES["JPEG 2000"],
    "HTJ2K": ("1.2.840.10008.1.2.4.201", DEEP, codec_samples.HTJ2K, TWELVE),
}


@pytest.mark.parametrize("stream", STREAMS)
@pytest.mark.parametrize(
    "stated",
    [
        *(JPEG_BASELINE, JPEG_EXTENDED, JPEG_LOSSLESS, JPEG_RETIRED),
        *(JPEG_LS, JPEG2000_LOSSLESS, "1.2.840.10008.1.2.4.201"),
        "1.2.840.10008.1.2.4.92",
    ],
)
def test_a_frame_is_read_by_its_own_header(stream: str, stated: str) -> None:
    true, pixels, frame, form = STREAMS[stream]
    wanted = read(compressed(pixels, true, frame, **form)).pixels
    found = read(compressed(pixels, stated, frame, **form)).pixels
    # Two decoders of lossy JPEG may round a level apart.
    lossy = 2 / 255 if stream in ("baseline", "progressive") else 0
    np.testing.assert_allclose(found, wanted, atol=lossy)


@pytest.mark.parametrize("stream", STREAMS)
def test_a_compressed_stream_under_a_native_syntax_is_named(stream: str) -> None:
    _, pixels, frame, form = STREAMS[stream]
    assert refused(dicom(pixels, data=frame, **form)) == "native-but-compressed"


@pytest.mark.parametrize("stream", STREAMS)
@pytest.mark.parametrize("fragments", [1, 2])
def test_items_without_an_offset_table(stream: str, fragments: int) -> None:
    syntax, pixels, frame, form = STREAMS[stream]
    wanted = read(compressed(pixels, syntax, frame, **form)).pixels
    cut = len(frame) // 4 * 2 if fragments == 2 else len(frame)
    raw = item(frame[:cut]) + (item(frame[cut:]) if fragments == 2 else b"")
    found = read(dicom(pixels, syntax=syntax, pixel_element=encapsulated(raw=raw), **form))
    np.testing.assert_array_equal(found.pixels, wanted)


def test_rle_without_an_offset_table() -> None:
    packed = b"".join(b"\x4f" + row.tobytes() for row in GREY)
    frame = struct.pack("<16I", 1, 64, *[0] * 14) + packed
    raw = item(frame)
    found = read(dicom(GREY, syntax=RLE, pixel_element=encapsulated(raw=raw)))
    np.testing.assert_array_equal(found.pixels, read(dicom(GREY)).pixels)


@pytest.mark.parametrize("padding", [b"\0\0", b"\xff\xff", b"  ", bytes(100)])
@pytest.mark.parametrize("stream", STREAMS)
def test_padding_before_a_frame(stream: str, padding: bytes) -> None:
    syntax, pixels, frame, form = STREAMS[stream]
    wanted = read(compressed(pixels, syntax, frame, **form)).pixels
    found = read(compressed(pixels, syntax, padding + frame, **form)).pixels
    np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize("table", [True, False])
@pytest.mark.parametrize("fragments", [1, 2])
def test_encapsulated_pixels_that_are_not_compressed(fragments: int, table: bool) -> None:
    wanted = read(dicom(DEEP, **TWELVE)).pixels
    whole = DEEP.tobytes()
    cut = len(whole) // fragments
    raw = b"".join(item(whole[at : at + cut]) for at in range(0, len(whole), cut))
    if table or fragments > 1:
        raw = item(b"") + raw
    file = dicom(DEEP, syntax=ENCAPSULATED_NATIVE, pixel_element=encapsulated(raw=raw), **TWELVE)
    np.testing.assert_array_equal(read(file).pixels, wanted)
    short = encapsulated(raw=item(b"") + item(whole[:-2]))
    file = dicom(DEEP, syntax=ENCAPSULATED_NATIVE, pixel_element=short, **TWELVE)
    assert refused(file) == "size-mismatch"


def test_a_jpeg_that_no_decoder_knows_is_named() -> None:
    # Hierarchical, by its start of frame marker.
    frame = picture(GREY, "JPEG").replace(b"\xff\xc0", b"\xff\xc5")
    assert refused(compressed(GREY, JPEG_RETIRED, frame)) == "transfer-syntax"
    assert refused(compressed(GREY, JPEG_BASELINE, frame)) == "transfer-syntax"


@pytest.mark.parametrize("value", [[96, 96], [96, 0], [0, 96]])
def test_rows_in_two_equal_values_or_in_four_bytes(value: list[int]) -> None:
    wanted = read(dicom(GREY)).pixels
    np.testing.assert_array_equal(read(dicom(GREY, Rows=value)).pixels, wanted)
    across = [80 if each else 0 for each in value]
    np.testing.assert_array_equal(read(dicom(GREY, Columns=across)).pixels, wanted)


@pytest.mark.parametrize("true", [EXPLICIT, BIG_ENDIAN])
@pytest.mark.parametrize("stated", [EXPLICIT, BIG_ENDIAN, DEFLATED])
def test_a_native_data_set_is_read_by_its_first_element(true: str, stated: str) -> None:
    wanted = read(dicom(DEEP, **TWELVE)).pixels
    found = read(dicom(DEEP, prefix=meta(stated), syntax=true, **TWELVE))
    np.testing.assert_array_equal(found.pixels, wanted)


@pytest.mark.parametrize("form", [15, 31])
def test_deflate_with_the_header_of_zlib_or_gzip(form: int) -> None:
    body = data_set(image_elements(DEEP, **TWELVE)) + element(0x7FE00010, "OW", DEEP.tobytes())
    deflater = zlib.compressobj(wbits=form)
    deflated = deflater.compress(body) + deflater.flush()
    wanted = read(dicom(DEEP, **TWELVE)).pixels
    np.testing.assert_array_equal(read(meta(DEFLATED) + deflated).pixels, wanted)
    assert refused(meta(DEFLATED) + deflated[:-40]) == "deflate-truncated"
    assert refused(meta(DEFLATED) + b"\x78" + deflated[2:]) == "deflate-damaged"
