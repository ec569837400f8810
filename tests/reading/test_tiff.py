"""TIFF layouts that Pillow misreads or refuses."""

from __future__ import annotations

import io
import zlib
from typing import Any

import numpy as np
import pytest
import tifffile

from nanoray.errors import UnreadableError
from nanoray.reading import read
from reading_files import chest, lzw, packed, picture, tiff_of

GREY = chest(40, 30, bits=8)
DEEP = (GREY.astype(np.uint16) * 257).astype(np.uint16)


def tiff(pixels: np.ndarray, **options: Any) -> bytes:
    stream = io.BytesIO()
    opening = {name: options.pop(name) for name in ("bigtiff", "byteorder") if name in options}
    with tifffile.TiffWriter(stream, **opening) as file:
        file.write(pixels, **({"photometric": "minisblack"} | options))
    return stream.getvalue()


@pytest.mark.parametrize("byteorder", ["<", ">"])
@pytest.mark.parametrize("bigtiff", [False, True])
def test_byte_orders_and_big_tiff(byteorder: str, bigtiff: bool) -> None:
    for pixels in (GREY, DEEP):
        found = read(tiff(pixels, byteorder=byteorder, bigtiff=bigtiff))
        np.testing.assert_allclose(found.pixels, GREY / 255, atol=1e-4)


@pytest.mark.parametrize("byteorder", ["<", ">"])
@pytest.mark.parametrize("planar", ["contig", "separate"])
@pytest.mark.parametrize("bits", [8, 16])
def test_colour_planes(byteorder: str, planar: str, bits: int) -> None:
    one = GREY if bits == 8 else DEEP
    colour = np.stack([one, one, one], axis=0 if planar == "separate" else 2)
    file = tiff(colour, photometric="rgb", planarconfig=planar, byteorder=byteorder)
    np.testing.assert_allclose(read(file).pixels, GREY / 255, atol=0.005)


@pytest.mark.parametrize("planar", ["contig", "separate"])
def test_deep_colour_keeps_its_16_bits(planar: str) -> None:
    fine = (DEEP & 0xFF00) | (np.arange(DEEP.size, dtype=np.uint16).reshape(DEEP.shape) % 256)
    colour = np.stack([fine, fine, fine], axis=0 if planar == "separate" else 2)
    found = read(tiff(colour, photometric="rgb", planarconfig=planar)).pixels
    np.testing.assert_allclose(found, read(tiff(fine)).pixels, atol=1e-5)


def test_signed_and_wide_samples() -> None:
    signed = (GREY.astype(np.int16) - 128).astype(np.int8)
    np.testing.assert_allclose(read(tiff(signed)).pixels, GREY / 255, atol=1e-6)
    wide = GREY.astype(np.uint32) * np.uint32(0x01010101)
    np.testing.assert_allclose(read(tiff(wide)).pixels, GREY / 255, atol=1e-4)


@pytest.mark.parametrize(("kind", "below"), [("i2", 32_768), ("i4", 32_768), ("i1", 128)])
def test_signed_samples_of_the_whole_range(kind: str, below: int) -> None:
    wide = DEEP if below == 32_768 else GREY
    signed = (wide.astype(np.int64) - below) * (65_536 if kind == "i4" else 1)
    found = read(tiff(signed.astype(kind))).pixels
    np.testing.assert_allclose(found, GREY / 255, atol=1e-4)


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("colours", [1, 3])
def test_an_extra_sample_that_is_no_opacity(bits: int, colours: int) -> None:
    one = GREY if bits == 8 else DEEP
    stacked = np.dstack([one] * colours + [np.zeros_like(one)])
    photometric = "minisblack" if colours == 1 else "rgb"
    options = {"photometric": photometric, "planarconfig": "contig"}
    unspecified = tiff(stacked, extrasamples=["unspecified"], **options)
    np.testing.assert_allclose(read(unspecified).pixels, GREY / 255, atol=1e-4)
    transparent = tiff(stacked, extrasamples=["unassalpha"], **options)
    assert not read(transparent).pixels.any()


def test_grey_beside_an_extra_sample_takes_the_scale_that_it_fills() -> None:
    dark = DEEP >> 4
    file = tiff(np.dstack([dark, dark]), extrasamples=["unspecified"], planarconfig="contig")
    np.testing.assert_allclose(read(file).pixels, read(tiff(dark)).pixels, atol=1e-6)


def test_associated_alpha_is_applied_once() -> None:
    half = np.full_like(DEEP, 32_768)
    file = tiff(np.dstack([DEEP // 2, half]), extrasamples=["assocalpha"], planarconfig="contig")
    np.testing.assert_allclose(read(file).pixels, GREY / 255 / 2, atol=1e-4)


def test_grey_with_alpha_of_16_bits() -> None:
    opaque = np.dstack([DEEP, np.full_like(DEEP, 65_535)])
    file = tiff(opaque, extrasamples=["unassalpha"], planarconfig="contig")
    np.testing.assert_allclose(read(file).pixels, GREY / 255, atol=1e-4)


@pytest.mark.parametrize(
    "pixels", [GREY, DEEP, np.dstack([DEEP] * 3)], ids=["grey", "deep", "deep colour"]
)
def test_a_reduced_copy_is_no_second_image(pixels: np.ndarray) -> None:
    photometric = "rgb" if pixels.ndim == 3 else "minisblack"
    small = np.ascontiguousarray(pixels[::4, ::4])
    for first, second in ((pixels, small), (small, pixels)):
        stream = io.BytesIO()
        with tifffile.TiffWriter(stream) as file:
            for page in (first, second):
                kind = 1 if page is small else 0
                file.write(page, photometric=photometric, subfiletype=kind)
        found = read(stream.getvalue())
        assert (found.facts.rows, found.facts.columns) == GREY.shape
        np.testing.assert_allclose(found.pixels, GREY / 255, atol=1e-4)
    only = tiff(pixels, photometric=photometric, subfiletype=1)
    np.testing.assert_allclose(read(only).pixels, GREY / 255, atol=1e-4)
    stream = io.BytesIO()
    with tifffile.TiffWriter(stream) as file:
        file.write(pixels, photometric=photometric)
        file.write(pixels, photometric=photometric)
    with pytest.raises(UnreadableError) as caught:
        read(stream.getvalue())
    assert caught.value.code == "multi-frame"


@pytest.mark.parametrize(
    ("form", "options"),
    [("PNG", {"dpi": (200, 100)}), ("JPEG", {"dpi": (200, 100)}), ("TIFF", {"dpi": (200, 100)})],
)
def test_density_that_is_not_square(form: str, options: dict[str, Any]) -> None:
    assert read(picture(GREY, form, **options)).pixels.shape == (80, 30)
    assert read(picture(GREY, form, dpi=(100, 100))).pixels.shape == (40, 30)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("deep_colour", [False, True])
def test_density_that_is_not_square_of_a_turned_tiff(orientation: int, deep_colour: bool) -> None:
    pixels = np.dstack([DEEP] * 3) if deep_colour else GREY
    file = tiff(
        pixels,
        photometric="rgb" if deep_colour else "minisblack",
        resolution=(200, 100),
        extratags=[(274, 3, 1, orientation, True)],
    )
    found = read(file)
    # 80 x 30 as stored.
    assert found.pixels.shape == ((30, 80) if orientation >= 5 else (80, 30))
    assert (found.facts.rows, found.facts.columns) == ((30, 40) if orientation >= 5 else (40, 30))


@pytest.mark.parametrize(
    ("form", "name"), [("WEBP", "WebP"), ("AVIF", "AVIF"), ("JPEG2000", "JPEG 2000")]
)
def test_other_formats(form: str, name: str) -> None:
    lossless = {"WEBP": {"lossless": True}, "AVIF": {"quality": 95}, "JPEG2000": {}}[form]
    found = read(picture(GREY, form, **lossless))
    assert found.facts.format == name
    np.testing.assert_allclose(found.pixels, GREY / 255, atol=0.06)


# As they are, and compressed without loss.
COMPRESSIONS = {1: bytes, 5: lzw, 8: zlib.compress}


@pytest.mark.parametrize("compression", COMPRESSIONS)
@pytest.mark.parametrize("bits", [2, 4, 10, 12, 14])
def test_packed_samples(bits: int, compression: int) -> None:
    levels = chest(40, 31, bits=bits)
    strip = COMPRESSIONS[compression](packed(levels, bits))
    found = read(tiff_of(strip, 40, 31, bits, t259=compression))
    np.testing.assert_allclose(found.pixels, levels / ((1 << bits) - 1), atol=1e-6)
    assert found.facts.bits_stored == bits
    turned = read(tiff_of(strip, 40, 31, bits, t259=compression, t262=0))
    np.testing.assert_allclose(turned.pixels, 1 - found.pixels, atol=1e-6)


@pytest.mark.parametrize("compression", COMPRESSIONS)
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("kind", ["i1", "i2", "i4", "u2", "u4"])
@pytest.mark.parametrize("predictor", [1, 2])
def test_samples_of_either_sign_and_order(
    kind: str, order: str, compression: int, predictor: int
) -> None:
    size = int(kind[1])
    whole = GREY.astype(np.int64) * (((1 << 8 * size) - 1) // 255)
    stored = (whole - (1 << (8 * size - 1)) if kind[0] == "i" else whole).astype(kind)
    if predictor == 2 and compression != 1:
        # As in libtiff, samples that are not compressed have no predictor.
        stored = np.diff(stored, axis=1, prepend=np.zeros((40, 1), kind)).astype(kind)
    strip = COMPRESSIONS[compression](stored.astype(f"{order}{kind}").tobytes())
    sign = 2 if kind[0] == "i" else 1
    file = tiff_of(
        strip,
        *(40, 30, 8 * size),
        order=order,
        t259=compression,
        t317=predictor,
        t339=sign,
    )
    np.testing.assert_allclose(read(file).pixels, GREY / 255, atol=1e-4)


@pytest.mark.parametrize("compression", COMPRESSIONS)
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("extra", [0, 1])
@pytest.mark.parametrize("colours", [1, 3])
@pytest.mark.parametrize("used", [10, 12, 14, 16])
def test_fewer_bits_in_16_have_one_answer(
    used: int, colours: int, extra: int, order: str, compression: int
) -> None:
    levels = chest(40, 30, bits=used)
    opaque = [np.full_like(levels, 65_535)] * extra
    stacked = np.dstack([levels] * colours + opaque).astype(f"{order}u2")
    count = colours + extra
    file = tiff_of(
        COMPRESSIONS[compression](stacked.tobytes()),
        *(40, 30, 16 if count == 1 else [16] * count),
        order=order,
        t259=compression,
        t262=1 if colours == 1 else 2,
        t277=count,
        **({"t338": 2} if extra else {}),
    )
    np.testing.assert_allclose(read(file).pixels, levels / ((1 << used) - 1), atol=1e-5)


@pytest.mark.parametrize("tags", [{"t277": 0}, {"t277": 1, "t338": [2, 2]}, {"t277": 9}])
def test_numbers_of_samples_that_cannot_be(tags: dict[str, Any]) -> None:
    with pytest.raises(UnreadableError) as caught:
        read(tiff_of(DEEP.tobytes(), 40, 30, 16, t339=2, **tags))
    assert caught.value.code in ("raster-mode", "raster-header", "raster-truncated")


def test_separate_planes_of_grey_and_opacity() -> None:
    opaque = np.stack([GREY, np.full_like(GREY, 255)])
    file = tiff(opaque, planarconfig="separate", extrasamples=["unassalpha"])
    np.testing.assert_allclose(read(file).pixels, GREY / 255, atol=1e-6)


def test_tiles_of_packed_samples_and_reversed_bits() -> None:
    levels = chest(32, 32, bits=12)
    tiles = [levels[top : top + 16, left : left + 16] for top in (0, 16) for left in (0, 16)]
    strip = b"".join(packed(tile, 12) for tile in tiles)
    starts = [8 + 384 * number for number in range(4)]
    tags = {"t322": 16, "t323": 16, "t324": starts, "t325": [384] * 4}
    np.testing.assert_allclose(
        read(tiff_of(strip, 32, 32, 12, **tags)).pixels, levels / 4095, atol=1e-6
    )
    reverse = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))
    turned = tiff_of(packed(levels, 12).translate(reverse), 32, 32, 12, t266=2)
    np.testing.assert_allclose(read(turned).pixels, levels / 4095, atol=1e-6)


@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_a_strip_that_ends_early_is_refused(compression: int) -> None:
    strip = COMPRESSIONS[compression](packed(chest(40, 30), 12))
    whole = tiff_of(strip, 40, 30, 12, t259=compression)
    for kept in (0, 1, len(strip) // 2):
        # The directory stays in its place, and the rest of the strip is missing from the file.
        cut = tiff_of(strip[:kept], 40, 30, 12, t259=compression, t279=len(strip))
        for file in (cut, whole[: 8 + kept]):
            with pytest.raises(UnreadableError) as caught:
                read(file)
            assert caught.value.code in ("raster-truncated", "raster-damaged", "raster-header")
