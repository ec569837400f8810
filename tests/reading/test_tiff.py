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


def test_grey_with_alpha_of_16_bits() -> None:
    opaque = np.dstack([DEEP, np.full_like(DEEP, 65_535)])
    file = tiff(opaque, extrasamples=["unassalpha"], planarconfig="contig")
    np.testing.assert_allclose(read(file).pixels, GREY / 255, atol=1e-4)


@pytest.mark.parametrize("pixels", [GREY, DEEP])
def test_a_reduced_copy_is_no_second_image(pixels: np.ndarray) -> None:
    stream = io.BytesIO()
    with tifffile.TiffWriter(stream) as file:
        file.write(pixels, photometric="minisblack")
        file.write(pixels[::4, ::4], photometric="minisblack", subfiletype=1)
    np.testing.assert_allclose(read(stream.getvalue()).pixels, GREY / 255, atol=1e-4)
    stream = io.BytesIO()
    with tifffile.TiffWriter(stream) as file:
        file.write(pixels, photometric="minisblack")
        file.write(pixels, photometric="minisblack")
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


@pytest.mark.parametrize(
    ("form", "name"), [("WEBP", "WebP"), ("AVIF", "AVIF"), ("JPEG2000", "JPEG 2000")]
)
def test_other_formats(form: str, name: str) -> None:
    lossless = {"WEBP": {"lossless": True}, "AVIF": {"quality": 95}, "JPEG2000": {}}[form]
    found = read(picture(GREY, form, **lossless))
    assert found.facts.format == name
    np.testing.assert_allclose(found.pixels, GREY / 255, atol=0.06)
