"""TIFF layouts that Pillow misreads or refuses."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
import tifffile

from nanoray.errors import UnreadableError
from nanoray.reading import read
from reading_files import chest, picture

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
