"""The greyscale pipeline against values worked out by hand from PS3.3 C.11 and PS3.4 N.2."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from nanoray.errors import UnreadableError
from nanoray.reading import greyscale, read
from nanoray.reading.dicom.values import decimal
from reading_files import (
    BIG_ENDIAN,
    IMPLICIT,
    JPEG2000_LOSSLESS,
    JPEG_LS,
    RLE,
    chest,
    compressed,
    data_set,
    dicom,
    item,
    picture,
    pydicom_data,
)


def jpeg_ls(pixels: np.ndarray) -> bytes:
    from jpeg_ls import encode_array

    return bytes(encode_array(pixels))


def rle(pixels: np.ndarray) -> bytes:
    from rle import encode_pixel_data

    rows, columns = pixels.shape
    form = {"rows": rows, "columns": columns, "samples_per_pixel": 1, "bits_allocated": 16}
    return bytes(encode_pixel_data(pixels.tobytes(), byteorder="<", number_of_frames=1, **form))


def grey(values: list[int], dtype: str = "u2", **changes: Any) -> list[float]:
    """Grey values of one row of stored values."""
    pixels = np.array([values], dtype)
    syntax = changes.pop("syntax", None)
    file = dicom(pixels, **changes) if syntax is None else dicom(pixels, syntax=syntax, **changes)
    return [float(value) for value in read(file).pixels[0]]


def lut(first: int, entries: list[int], bits: int, vr: str = "US", **changes: Any) -> Any:
    """Return the value of a Modality or VOI LUT Sequence."""
    count = changes.get("count", len(entries))
    data = np.array(entries, changes.get("data_type", "<u2")).tobytes()
    content = data_set(
        {"LUTDescriptor": ("US", [count, first & 0xFFFF, bits]), "LUTData": (vr, data)}
    )
    return ("SQ", item(content))


def linear(x: float, centre: float, width: float) -> float:
    """LINEAR of C.11.2.1.2.1, onto 0..1."""
    if x <= centre - 0.5 - (width - 1) / 2:
        return 0.0
    if x > centre - 0.5 + (width - 1) / 2:
        return 1.0
    return (x - (centre - 0.5)) / (width - 1) + 0.5


@pytest.mark.parametrize(("centre", "width"), [(100, 101), (2048, 4096), (40, 400), (7.5, 3.5)])
def test_linear_window(centre: float, width: float) -> None:
    stored = [0, 1, 6, 7, 8, 9, 49, 50, 99, 100, 149, 150, 151, 240, 2048, 4095]
    found = grey(stored, BitsStored=12, HighBit=11, WindowCenter=centre, WindowWidth=width)
    assert found == pytest.approx([linear(x, centre, width) for x in stored], abs=1e-6)


@pytest.mark.parametrize(
    ("changes", "stored", "expected"),
    [
        # Worked by hand: ends at 49.5 and 149.5, slope 1 / 100.
        (
            {"WindowCenter": 100, "WindowWidth": 101},
            [49, 50, 99, 149, 150],
            [0.0, 0.005, 0.495, 0.995, 1.0],
        ),
        # Width 1 is a step between 99 and 100.
        ({"WindowCenter": 100, "WindowWidth": 1}, [98, 99, 100, 101], [0, 0, 1, 1]),
        # LINEAR_EXACT: ends at c -/+ w / 2 (C.11.2.1.3.2).
        (
            {"WindowCenter": 100, "WindowWidth": 100, "VOILUTFunction": "LINEAR_EXACT"},
            [50, 75, 100, 150, 151],
            [0.0, 0.25, 0.5, 1.0, 1.0],
        ),
        (
            {"WindowCenter": 10, "WindowWidth": 0.5, "VOILUTFunction": "LINEAR_EXACT"},
            [9, 10, 11],
            [0.0, 0.5, 1.0],
        ),
        # SIGMOID: 1 / (1 + exp(-4 (x - c) / w)) (C.11.2.1.3.1).
        (
            {"WindowCenter": 100, "WindowWidth": 200, "VOILUTFunction": "SIGMOID"},
            [0, 100, 150, 4000],
            [1 / (1 + math.exp(2)), 0.5, 1 / (1 + math.exp(-1)), 1.0],
        ),
        # The first of several windows counts, also where their numbers differ.
        (
            {"WindowCenter": [100, 5000], "WindowWidth": [101, 9]},
            [49, 99, 150],
            [0.0, 0.495, 1.0],
        ),
        ({"WindowCenter": [100, 5000], "WindowWidth": 101}, [49, 99, 150], [0.0, 0.495, 1.0]),
        # An unknown function is LINEAR, the default.
        (
            {"WindowCenter": 100, "WindowWidth": 101, "VOILUTFunction": "CUBIC"},
            [49, 99, 150],
            [0.0, 0.495, 1.0],
        ),
        # Rescaled first: 2 x - 100.
        (
            {"RescaleSlope": 2, "RescaleIntercept": -100, "WindowCenter": 0.5, "WindowWidth": 101},
            [25, 50, 60, 75],
            [0.0, 0.5, 0.7, 1.0],
        ),
        # A negative slope turns the order round, and once only.
        (
            {"RescaleSlope": -1, "RescaleIntercept": 0, "WindowCenter": -99.5, "WindowWidth": 101},
            [50, 100, 150],
            [1.0, 0.5, 0.0],
        ),
    ],
)
def test_windows(changes: dict[str, Any], stored: list[int], expected: list[float]) -> None:
    assert grey(stored, **changes) == pytest.approx(expected, abs=1e-6)
    inverted = grey(stored, PhotometricInterpretation="MONOCHROME1", **changes)
    assert inverted == pytest.approx([1 - value for value in expected], abs=1e-6)


@pytest.mark.parametrize(
    "window",
    [
        {"WindowCenter": 100, "WindowWidth": 0},
        {"WindowCenter": 100, "WindowWidth": 0.5},
        {"WindowCenter": 100, "WindowWidth": -50},
        {"WindowCenter": 100, "WindowWidth": 0, "VOILUTFunction": "LINEAR_EXACT"},
        {"WindowCenter": 100, "WindowWidth": -1, "VOILUTFunction": "SIGMOID"},
        {"WindowCenter": 100},
        {"WindowWidth": 100},
        {"WindowCenter": "", "WindowWidth": ""},
        {"WindowCenter": "abc", "WindowWidth": "def"},
        {"WindowCenter": "nan", "WindowWidth": "inf"},
    ],
)
def test_an_impossible_window_counts_as_none(window: dict[str, Any]) -> None:
    stored = list(range(1000, 1101))
    assert grey(stored, **window) == grey(stored)


def test_without_voi_8_bits_keep_their_whole_range() -> None:
    assert grey([0, 51, 102, 255], "u1") == pytest.approx([0, 0.2, 0.4, 1.0])
    # Also in fewer bits, in 16 allocated, and with a sign.
    assert grey([0, 3, 15], "u1", BitsStored=4, HighBit=3) == pytest.approx([0, 0.2, 1.0])
    assert grey([0, 51, 255], "u2", BitsStored=8, HighBit=7) == pytest.approx([0, 0.2, 1.0])
    assert grey([-128, -77, 127], "i1") == pytest.approx([0, 0.2, 1.0])
    assert grey([0, 51, 255], "u1", RescaleSlope=-3, RescaleIntercept=7) == pytest.approx(
        [1.0, 0.8, 0.0]
    )


@pytest.mark.parametrize("kind", ["u2", "i2", "u4", "i4"])
def test_without_voi_deep_images_are_stretched_between_percentiles(kind: str) -> None:
    rng = np.random.default_rng(5)
    stored = rng.normal(900, 120, (40, 50)).clip(100, 4000).astype(kind)
    stored[0, :3] = 30_000
    low, high = np.percentile(stored, (0.5, 99.5))
    expected = ((stored - low) / (high - low)).clip(0, 1)
    found = read(dicom(stored)).pixels
    np.testing.assert_allclose(found, expected, atol=2e-6)
    # A rescale of either sign changes nothing but the polarity.
    rescaled = read(dicom(stored, RescaleSlope="-0.25", RescaleIntercept="12.5")).pixels
    np.testing.assert_allclose(rescaled, 1 - expected, atol=2e-6)


@pytest.mark.parametrize("syntax", [None, IMPLICIT, BIG_ENDIAN])
def test_signed_samples(syntax: str | None) -> None:
    window = {"WindowCenter": 0.5, "WindowWidth": 2001}
    expected = [0.0, 0.25, 0.5, 0.75, 1.0]
    stored = [-1000, -500, 0, 500, 1000]
    assert grey(stored, "i2", syntax=syntax, **window) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("signed", [False, True])
def test_bits_above_bits_stored_are_ignored(signed: bool) -> None:
    values = np.array([[-2048, -1, 0, 1, 2047]] if signed else [[0, 1, 100, 2048, 4095]])
    clean = (values & 0x0FFF).astype("u2")
    junk = clean | np.array([[0xF000, 0x1000, 0xA000, 0x5000, 0x8000]], "u2")
    form = {"BitsStored": 12, "HighBit": 11, "PixelRepresentation": int(signed)}
    centre = 0 if signed else 2048
    window = {"WindowCenter": centre, "WindowWidth": 4096}
    expected = [linear(float(value), centre, 4096) for value in values[0]]
    for pixels in (clean, junk):
        found = read(dicom(pixels, **form, **window)).pixels[0]
        np.testing.assert_allclose(found, expected, atol=1e-6)


@pytest.mark.parametrize("signed", [False, True])
def test_left_aligned_samples(signed: bool) -> None:
    # High Bit 15 with 12 bits stored: the value is in the upper bits, junk below.
    values = np.array([[-2048, -5, 0, 2047]] if signed else [[0, 100, 2048, 4095]])
    pixels = (((values & 0xFFF) << 4) | 0x7).astype("u2")
    form = {"BitsStored": 12, "HighBit": 15, "PixelRepresentation": int(signed)}
    centre = 0 if signed else 2048
    found = read(dicom(pixels, **form, WindowCenter=centre, WindowWidth=4096)).pixels[0]
    np.testing.assert_allclose(
        found, [linear(float(value), centre, 4096) for value in values[0]], atol=1e-6
    )


def test_monochrome1_is_inverted_once() -> None:
    stored = [0, 51, 255]
    for photometric, shape in (
        ("MONOCHROME1", None),
        ("MONOCHROME1", "INVERSE"),
        ("MONOCHROME1", "IDENTITY"),
        ("MONOCHROME 1", None),
        ("MONOCHROME2", "INVERSE"),
    ):
        form = {"PhotometricInterpretation": photometric, "PresentationLUTShape": shape}
        assert grey(stored, "u1", **form) == pytest.approx([1.0, 0.8, 0.0])
    for photometric, shape in (("MONOCHROME2", "IDENTITY"), ("MONOCHROME 2", None)):
        form = {"PhotometricInterpretation": photometric, "PresentationLUTShape": shape}
        assert grey(stored, "u1", **form) == pytest.approx([0.0, 0.2, 1.0])


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_padding_is_black_and_no_part_of_the_statistics(photometric: str) -> None:
    stored = np.linspace(1000, 2000, 5000).astype("u2").reshape(50, 100)
    alone = read(dicom(stored, PhotometricInterpretation=photometric)).pixels
    framed = np.full((70, 140), 60_000, "u2")
    framed[10:60, 20:120] = stored
    framed[0, :] = 60_005
    found = read(
        dicom(
            framed,
            PhotometricInterpretation=photometric,
            PixelPaddingValue=60_000,
            PixelPaddingRangeLimit=60_005,
        )
    ).pixels
    np.testing.assert_allclose(found[10:60, 20:120], alone, atol=1e-6)
    found[10:60, 20:120] = 0
    assert not found.any()


def test_padding_is_compared_in_the_sign_of_the_samples() -> None:
    window = {"WindowCenter": 0.5, "WindowWidth": 2001}
    stored = [-2000, -500, 0, 1000]
    expected = [0.0, 1 - 0.25, 1 - 0.5, 1 - 1.0]
    # -2000 written as SS, and wrongly as US.
    for padding in (("SS", -2000), ("US", 63_536)):
        found = grey(
            stored,
            "i2",
            PhotometricInterpretation="MONOCHROME1",
            PixelPaddingValue=padding,
            **window,
        )
        assert found == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(
    ("kind", "padding"), [("u2", ("US", 65_535)), ("u2", ("US", 40_000)), ("i2", ("SS", -32_768))]
)
@pytest.mark.parametrize("coding", ["little", "big", "RLE", "JPEG-LS", "JPEG 2000"])
@pytest.mark.parametrize("window", [{}, {"WindowCenter": 1000, "WindowWidth": 2001}])
def test_padding_above_bits_stored(
    kind: str, padding: tuple[str, int], coding: str, window: dict[str, int]
) -> None:
    stored = chest(48, 40, bits=11).astype(kind)
    stored[0, :3] = 0, 1000, 2047
    form = {"BitsStored": 12, "HighBit": 11, "PixelPaddingValue": padding} | window
    alone = read(dicom(stored[8:], **form)).pixels
    stored[:8] = padding[1]
    files = {
        "little": lambda: dicom(stored, **form),
        "big": lambda: dicom(stored, syntax=BIG_ENDIAN, **form),
        "RLE": lambda: compressed(stored, RLE, rle(stored), **form),
        "JPEG-LS": lambda: compressed(stored, JPEG_LS, jpeg_ls(stored.view("u2")), **form),
        "JPEG 2000": lambda: compressed(
            stored,
            JPEG2000_LOSSLESS,
            picture(stored.view("u2"), "JPEG2000", no_jp2=True, irreversible=False),
            **form,
        ),
    }
    pixels = read(files[coding]()).pixels
    assert not pixels[:8].any()
    np.testing.assert_array_equal(pixels[8:], alone)


def test_saturated_samples_are_no_padding_above_bits_stored() -> None:
    stored = np.array([[0, 2048, 4095, 65_535]], "u2")
    form = {"BitsStored": 12, "HighBit": 11, "WindowCenter": 2048, "WindowWidth": 4096}
    found = read(dicom(stored, PixelPaddingValue=("US", 65_535), **form)).pixels
    assert found[0].tolist() == pytest.approx([0, 0.5, 1, 0], abs=1e-3)


def test_voi_lut_comes_before_the_window() -> None:
    table = lut(100, [0, 10_000, 20_000, 65_535], 16)
    found = grey([0, 100, 101, 102, 103, 500], VOILUTSequence=table, WindowCenter=1, WindowWidth=2)
    expected = [0, 0, 10_000 / 65_535, 20_000 / 65_535, 1, 1]
    assert found == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        # 12-bit entries; OW and US; a table of 8-bit entries, packed, and one a word each.
        (lut(0, [0, 1024, 4095], 12), [0, 1024 / 4095, 1, 1]),
        (lut(0, [0, 1024, 4095], 12, "OW"), [0, 1024 / 4095, 1, 1]),
        (lut(0, [0, 51, 255, 255], 8, "OW", data_type="u1"), [0, 0.2, 1, 1]),
        (lut(0, [0, 51, 255, 255], 8, "OW"), [0, 0.2, 1, 1]),
        # A first input value above most pixels: these take the first entry.
        (lut(2, [128, 255], 8), [128 / 255] * 3 + [1]),
    ],
)
def test_voi_luts(table: Any, expected: list[float]) -> None:
    assert grey([0, 1, 2, 3], VOILUTSequence=table) == pytest.approx(expected, abs=1e-6)


def test_voi_lut_of_8_bit_entries_may_be_long() -> None:
    # 1024 entries do not fit an index as narrow as the entries.
    entries = [value // 4 for value in range(1024)]
    found = grey([0, 255, 256, 1023, 5000], VOILUTSequence=lut(0, entries, 8))
    assert found == pytest.approx([0, 63 / 255, 64 / 255, 1, 1], abs=1e-6)


def test_modality_lut_then_voi_lut_with_a_negative_start() -> None:
    # The rescale gives -10..., which the table's first input value means, though stored unsigned.
    table = lut(-10, [0, 100, 200, 255], 8)
    found = grey([0, 1, 2, 3], RescaleSlope=1, RescaleIntercept=-10, VOILUTSequence=table)
    assert found == pytest.approx([0, 100 / 255, 200 / 255, 1], abs=1e-6)


def test_modality_lut_is_not_a_straight_line() -> None:
    table = lut(10, [1000, 3000, 2000], 16)
    found = grey(
        [0, 10, 11, 12, 900], ModalityLUTSequence=table, WindowCenter=2000.5, WindowWidth=2001
    )
    assert found == pytest.approx([0, 0, 1, 0.5, 0.5], abs=1e-6)


WINDOW = {"WindowCenter": 2, "WindowWidth": 5}


@pytest.mark.parametrize(
    "changes",
    [
        {"ModalityLUTSequence": lut(0, [1, 2], 16, count=9)},
        {"ModalityLUTSequence": ("SQ", item(b""))},
        {"ModalityLUTSequence": ("SQ", item(data_set({"LUTDescriptor": ("US", b"")})))},
        {"VOILUTSequence": lut(0, [1, 2], 16, count=0)},
        {"ModalityLUTSequence": lut(0, [0] * 4096, 16)},
        {"ModalityLUTSequence": lut(0, [700] * 4096, 16)},
        {"VOILUTSequence": lut(0, [0] * 4096, 16)},
        {"VOILUTSequence": ("SQ", b"")},
        {"VOILUTSequence": ("SQ", item(b""))},
        {"VOILUTSequence": ("SQ", item(data_set({"LUTDescriptor": ("US", [4096, 0, 12])})))},
        {"VOILUTSequence": ("SQ", item(data_set({"LUTData": ("OW", b"")})))},
        {"RescaleSlope": 0, "RescaleIntercept": 0},
        {"RescaleSlope": "", "RescaleIntercept": ""},
    ],
)
def test_tables_without_content_count_as_absent(changes: dict[str, Any]) -> None:
    stored = [0, 1, 2, 3, 4]
    assert grey(stored, **changes, **WINDOW) == grey(stored, **WINDOW)
    assert grey(stored, **changes) == grey(stored)


@pytest.mark.parametrize("bits", [0, 8, 10, 12, 16, 40])
@pytest.mark.parametrize("missing", [0, 1])
def test_the_depth_of_a_voi_lut_is_that_of_its_entries(bits: int, missing: int) -> None:
    entries = list(range(4096))[: 4096 - missing]
    found = grey([0, 1024, 4095], VOILUTSequence=lut(0, entries, bits, count=4096))
    assert found == pytest.approx([0, 1024 / 4095, 1], abs=1e-3)


@pytest.mark.parametrize(
    "changes",
    [
        {"RescaleSlope": "abc", "RescaleIntercept": 5},
        {"RescaleSlope": 1, "RescaleIntercept": "inf"},
        # 1.024 to one writer, 1024 to another.
        {"RescaleSlope": 1, "RescaleIntercept": "-1,024"},
    ],
)
def test_a_malformed_rescale_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(UnreadableError) as caught:
        grey([1, 2, 3], **changes)
    assert caught.value.code == "rescale"


@pytest.mark.parametrize(
    ("centre", "width"),
    [("99,5", "101"), ("99.5", "101,0"), ("99.5 HU", "101 HU"), (" 99,50", "1,01e2")],
)
def test_numbers_with_a_comma_or_a_unit(centre: str, width: str) -> None:
    stored = [0, 49, 99, 149, 4095]
    expected = grey(stored, WindowCenter=99.5, WindowWidth=101)
    assert grey(stored, WindowCenter=("DS", centre), WindowWidth=("DS", width)) == expected


@pytest.mark.parametrize("number", ["0,400", "-0,400", "000,400", "0,4"])
def test_no_group_of_thousands_begins_with_0(number: str) -> None:
    assert decimal(number) == pytest.approx(-0.4 if number[0] == "-" else 0.4)
    assert decimal("4,000") is decimal("40,000") is decimal("400,000") is None


@pytest.mark.parametrize("width", ["1,024", "10.000,5", "12 34", "--5", "wide"])
def test_a_window_of_unclear_numbers_is_left_out(width: str) -> None:
    stored = [0, 1024, 4095]
    assert grey(stored, WindowCenter=512, WindowWidth=("DS", width)) == grey(stored)
    # The next window stands in for it.
    both = grey(stored, WindowCenter=[512, 2048], WindowWidth=("DS", f"{width}\\4096"))
    assert both == grey(stored, WindowCenter=2048, WindowWidth=4096)


def test_a_window_that_shows_nothing_is_left_out() -> None:
    stored = np.linspace(1200, 4000, 6000).astype("u2").reshape(60, 100)
    alone = read(dicom(stored, BitsStored=12, HighBit=11)).pixels
    brain = {"WindowCenter": 40, "WindowWidth": 400}
    found = read(dicom(stored, BitsStored=12, HighBit=11, **brain))
    np.testing.assert_array_equal(found.pixels, alone)
    assert any("shows nothing" in step.detail for step in found.steps)


@pytest.mark.parametrize("share", [0.02, 0.05, 0.1])
def test_a_window_of_a_ct_is_left_out_despite_dark_noise(share: float) -> None:
    stored = np.linspace(1200, 4000, 6000).astype("u2")
    noise = round(share * stored.size)
    stored[:noise] = np.arange(noise) % 200
    stored = stored.reshape(60, 100)
    form = {"BitsStored": 12, "HighBit": 11}
    found = read(dicom(stored, WindowCenter=40, WindowWidth=400, **form)).pixels
    np.testing.assert_array_equal(found, read(dicom(stored, **form)).pixels)


@pytest.mark.parametrize("frame", [0, 4095])
def test_a_window_of_a_small_image_in_a_frame_is_kept(frame: int) -> None:
    stored = np.full((100, 100), frame, "u2")
    stored[30:60, 30:60] = np.linspace(1200, 4000, 900).reshape(30, 30)
    window = {"WindowCenter": 2600, "WindowWidth": 2800}
    steps = read(dicom(stored, BitsStored=12, HighBit=11, **window)).steps
    assert any(step.detail == "window 2600 / 2800, LINEAR" for step in steps)


@pytest.mark.parametrize("name", ["RG1_UNCI.dcm", "RG3_UNCI.dcm"])
def test_windows_of_radiographs_are_kept(name: str) -> None:
    steps = read(pydicom_data(name)).steps
    assert not any("left out" in step.detail for step in steps)


def test_a_saturated_border_does_not_darken_the_image() -> None:
    stored = np.linspace(100, 4000, 60 * 100).astype("u2").reshape(60, 100)
    framed = np.full((80, 120), 65_535, "u2")
    framed[10:70, 10:110] = stored
    found = read(dicom(framed)).pixels
    assert found[0, 0] == 1
    np.testing.assert_allclose(found[10:70, 10:110], read(dicom(stored)).pixels, atol=0.06)


@pytest.mark.parametrize("kind", ["u1", "u2", "u4", "i4"])
def test_a_picture_that_fills_its_scale_is_the_same_in_any_depth(kind: str) -> None:
    eight = np.linspace(0, 255, 5000).astype("u1").reshape(50, 100)
    deep = eight.astype(kind) * {1: 1, 2: 257, 4: 65_537 * 257 // 2}[np.dtype(kind).itemsize]
    np.testing.assert_allclose(read(dicom(deep)).pixels, eight / 255, atol=1e-3)


@pytest.mark.parametrize("kind", ["i2", "i4"])
@pytest.mark.parametrize("bits", [8, 10, 12, 14])
def test_a_signed_picture_that_fills_its_scale_is_the_same(kind: str, bits: int) -> None:
    # Of fewer bits than the header states, and without a window.
    plain = np.linspace(0, (1 << bits) - 1, 5000).astype(kind).reshape(50, 100)
    found = read(dicom((plain - (1 << (bits - 1))).astype(kind))).pixels
    np.testing.assert_allclose(found, plain / ((1 << bits) - 1), atol=1e-6)


def test_a_flat_image_is_black() -> None:
    assert grey([700, 700, 700]) == [0, 0, 0]


@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.int16, np.float32])
def test_samples_without_opacity_are_black(kind: Any) -> None:
    """What NumPy leaves out of a division would be whatever is in memory."""
    channels: NDArray[Any] = np.full((64, 64, 3), 40, kind)
    alpha = np.full((64, 64), 0.5, np.float32)
    alpha[::2] = 0
    for _ in range(5):
        # Freed memory that the next array may get.
        junk = np.full((64, 64, 3), np.nan, np.float64), np.full((64, 64, 3), np.nan, np.float32)
        del junk
        whole = greyscale.separated(channels, alpha)
        assert whole.dtype == kind
        assert (whole[::2] == 0).all()
        assert (whole[1::2] == 80).all()
