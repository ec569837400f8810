"""PNG, JPEG and TIFF in every depth and colour."""

from __future__ import annotations

import io
import struct
import sys
from typing import Any

import numpy as np
import pytest
from PIL import Image, features

from nanoray.errors import UnreadableError
from nanoray.reading import fit, read
from reading_files import chest, picture, png, png_chunk

GREY = chest(40, 30, bits=8)
DEEP = chest(40, 30, bits=14)


def saved(image: Image.Image, form: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def on_their_scale(values: np.ndarray) -> np.ndarray:
    return values / 16_383


@pytest.mark.parametrize("form", ["PNG", "TIFF"])
def test_8_bits_keep_their_whole_range(form: str) -> None:
    reading = read(picture(GREY, form))
    np.testing.assert_allclose(reading.pixels, GREY / 255, atol=1e-6)
    facts = reading.facts
    assert (facts.format, facts.rows, facts.columns, facts.bits_stored) == (form, 40, 30, 8)
    assert facts.photometric is None
    assert not facts.colour


@pytest.mark.parametrize("form", ["PNG", "TIFF"])
def test_16_bits_take_the_scale_that_they_fill(form: str) -> None:
    reading = read(picture(DEEP, form))
    np.testing.assert_allclose(reading.pixels, on_their_scale(DEEP), atol=2e-6)
    assert reading.facts.bits_stored == 16


def test_tiff_of_either_byte_order_and_of_wide_samples() -> None:
    big = Image.fromarray(DEEP.astype(">u2"))
    assert big.mode == "I;16B"
    np.testing.assert_allclose(read(saved(big, "TIFF")).pixels, on_their_scale(DEEP), atol=2e-6)
    whole = DEEP.astype(np.int32) * 65_536
    np.testing.assert_allclose(read(picture(whole, "TIFF")).pixels, on_their_scale(DEEP), atol=1e-4)
    real = DEEP.astype(np.float32) / 3 - 50
    real[0, 0] = np.nan
    found = read(picture(real, "TIFF"))
    low, high = np.nanpercentile(real, (0.5, 99.5))
    expected = np.nan_to_num(((real - low) / (high - low)).clip(0, 1))
    np.testing.assert_allclose(found.pixels, expected, atol=1e-5)
    assert found.facts.bits_stored == 32


@pytest.mark.parametrize(
    "compression", ["tiff_lzw", "tiff_adobe_deflate", "packbits", "tiff_ccitt"]
)
def test_compressed_tiff(compression: str) -> None:
    if compression == "tiff_ccitt":
        image = Image.fromarray(GREY > 120)
        assert np.array_equal(read(saved(image, "TIFF", compression=compression)).pixels, image)
        return
    found = read(picture(GREY, "TIFF", compression=compression)).pixels
    np.testing.assert_allclose(found, GREY / 255, atol=1e-6)


@pytest.mark.parametrize("bits", [1, 8, 16])
def test_white_is_zero(bits: int) -> None:
    image = {1: Image.fromarray(GREY > 120), 8: Image.fromarray(GREY), 16: Image.fromarray(DEEP)}
    plain = read(saved(image[bits], "TIFF")).pixels
    inverted = bytearray(saved(image[bits], "TIFF"))
    entry = inverted.index(b"\x06\x01\x03\x00\x01\x00\x00\x00")  # tag 262, one short
    inverted[entry + 8 : entry + 10] = b"\0\0"
    np.testing.assert_allclose(read(bytes(inverted)).pixels, 1 - plain, atol=1e-6)


def test_one_bit_and_few_bits() -> None:
    image = Image.fromarray(GREY > 120)
    for form in ("PNG", "TIFF"):
        reading = read(saved(image, form))
        assert np.array_equal(reading.pixels, np.asarray(image))
        assert reading.facts.bits_stored == 1
    # Two bits a sample: 0, 1, 2, 3 in one byte.
    few = png(4, 1, b"\x00\x1b", depth=2)
    np.testing.assert_allclose(read(few).pixels, [[0, 1 / 3, 2 / 3, 1]], atol=0.01)
    assert read(few).facts.bits_stored == 2


def test_colour_becomes_luma() -> None:
    colours = np.array([[[255, 0, 0], [0, 255, 0], [0, 0, 255], [51, 51, 51]]], np.uint8)
    for form in ("PNG", "TIFF"):
        reading = read(picture(colours, form))
        np.testing.assert_allclose(reading.pixels[0], [0.299, 0.587, 0.114, 0.2], atol=1e-6)
        assert reading.facts.colour


@pytest.mark.parametrize("form", ["PNG", "TIFF", "JPEG"])
def test_grey_stored_as_colour_is_no_colour(form: str) -> None:
    reading = read(picture(np.repeat(GREY[..., None], 3, axis=2), form))
    assert not reading.facts.colour
    np.testing.assert_allclose(reading.pixels, GREY / 255, atol=0.3 if form == "JPEG" else 1e-6)


def test_16_bit_colour() -> None:
    # Red 0x8000, green 0x4000, blue 0x2000, big-endian.
    reading = read(png(1, 1, b"\x00\x80\x00\x40\x00\x20\x00", depth=16, colour=2))
    expected = (0.299 * 0x80 + 0.587 * 0x40 + 0.114 * 0x20) / 255
    np.testing.assert_allclose(reading.pixels, [[expected]], atol=0.005)
    assert reading.facts.bits_stored == 16
    assert reading.facts.colour


def test_palette() -> None:
    image = Image.fromarray(np.array([[0, 1, 2]], np.uint8), "P")
    image.putpalette([0, 0, 0, 255, 0, 0, 255, 255, 255])
    reading = read(saved(image, "PNG"))
    np.testing.assert_allclose(reading.pixels, [[0, 0.299, 1]], atol=1e-6)
    assert reading.facts.colour


def test_transparent_pixels_are_black() -> None:
    opaque = np.full_like(GREY, 255)
    opaque[:10] = 0
    opaque[10:20] = 51
    expected = GREY / 255 * (opaque / 255)
    layers = {
        "LA": np.dstack([GREY, opaque]),
        "RGBA": np.dstack([GREY, GREY, GREY, opaque]),
    }
    for pixels in layers.values():
        reading = read(picture(pixels, "PNG"))
        np.testing.assert_allclose(reading.pixels, expected, atol=1e-6)
        assert not reading.facts.colour
    keyed = Image.fromarray(np.array([[7, 200, 255]], np.uint8))
    reading = read(saved(keyed, "PNG", transparency=255))
    np.testing.assert_allclose(reading.pixels, [[7 / 255, 200 / 255, 0]], atol=1e-6)


def test_cmyk_jpeg() -> None:
    image = Image.fromarray(np.repeat(GREY[..., None], 3, axis=2)).convert("CMYK")
    found = read(saved(image, "JPEG", quality=95)).pixels
    assert np.abs(found - GREY / 255).mean() < 0.02


ORIENTED = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.T,
    6: lambda a: np.rot90(a, -1),
    7: lambda a: a[::-1, ::-1].T,
    8: np.rot90,
}


@pytest.mark.parametrize("form", ["PNG", "TIFF", "JPEG"])
@pytest.mark.parametrize("orientation", [*ORIENTED, 0, 9])
def test_exif_orientation(form: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    options: dict[str, Any] = {"exif": exif}
    if form == "JPEG":
        options["quality"] = 98
    if form == "TIFF":
        options = {"tiffinfo": {0x0112: orientation}}
    reading = read(picture(GREY, form, **options))
    upright = ORIENTED.get(orientation, ORIENTED[1])(GREY / 255)
    assert reading.pixels.shape == upright.shape
    assert (reading.facts.rows, reading.facts.columns) == upright.shape
    assert np.abs(reading.pixels - upright).mean() < (0.02 if form == "JPEG" else 1e-6)
    assert reading.pixels.flags.c_contiguous


def test_a_turned_jpeg_at_a_reduced_scale() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    reading = read(picture(chest(800, 400, bits=8), "JPEG", exif=exif), min_side=100)
    assert (reading.facts.rows, reading.facts.columns) == (400, 800)
    assert reading.pixels.shape == (100, 200)


def test_damaged_exif_says_nothing() -> None:
    whole = picture(GREY, "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff")
    assert read(whole).pixels.shape == GREY.shape


def test_a_photograph_with_a_preview_is_one_picture() -> None:
    # Telephones append a second picture (MPO); the first is the photograph.
    buffer = io.BytesIO()
    first, second = Image.fromarray(GREY), Image.fromarray(GREY[:8, :8].copy())
    first.save(buffer, "MPO", save_all=True, append_images=[second])
    reading = read(buffer.getvalue())
    assert reading.pixels.shape == GREY.shape
    assert reading.facts.format == "JPEG"


def test_lab_and_strange_modes_are_read_or_refused() -> None:
    lab = Image.fromarray(np.repeat(GREY[..., None], 3, axis=2)).convert("YCbCr")
    found = read(saved(lab, "TIFF")).pixels
    assert np.abs(found - GREY / 255).mean() < 0.01


def test_more_than_100_megapixels_are_refused_without_decoding() -> None:
    with pytest.raises(UnreadableError) as caught:
        read(png(20_000, 5_001, b""))
    assert caught.value.code == "too-many-pixels"


@pytest.mark.parametrize(
    ("name", "options", "off"),
    [
        ("JPEG2000", {}, 0.0),
        ("WEBP", {"lossless": True}, 0.003),
        ("AVIF", {"quality": 95}, 0.02),
        ("HEIF", {"quality": 95}, 0.02),
    ],
)
def test_newer_formats(name: str, options: dict[str, Any], off: float) -> None:
    if name == "HEIF":
        pytest.importorskip("pillow_heif", reason="needs the extra heif").register_heif_opener()
    smooth = np.add.outer(np.arange(240), np.arange(320)) // 3
    grey = smooth.astype(np.uint8)
    buffer = io.BytesIO()
    image = Image.fromarray(grey)
    (image if name == "JPEG2000" else image.convert("RGB")).save(buffer, name, **options)
    reading = read(buffer.getvalue())
    assert reading.facts.format == {"JPEG2000": "JPEG 2000", "WEBP": "WebP"}.get(name, name)
    assert (reading.facts.rows, reading.facts.columns) == grey.shape
    assert not reading.facts.colour
    assert np.abs(reading.pixels - grey / 255).mean() <= off + 1e-6


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_turned_avif_is_turned_once(orientation: int) -> None:
    if not features.check("avif"):
        pytest.skip("needs Pillow with AVIF")
    image = Image.fromarray(chest(160, 240, bits=8)).convert("RGB")
    exif = Image.Exif()
    exif[0x0112] = orientation
    file = saved(image, "AVIF", exif=exif, quality=95)
    upright = ORIENTED[orientation](chest(160, 240, bits=8) / 255)
    found = read(file)
    assert found.pixels.shape == (found.facts.rows, found.facts.columns) == upright.shape
    assert np.abs(found.pixels - upright).mean() < 0.02


def test_a_turned_heic_is_turned_once() -> None:
    heif = pytest.importorskip("pillow_heif", reason="needs the extra heif")
    heif.register_heif_opener()
    grey = np.zeros((160, 240), np.uint8)
    grey[:, :60] = 230  # bright at the left as stored
    buffer = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = 6  # to be shown turned clockwise: bright at the top
    Image.fromarray(grey).convert("RGB").save(buffer, "HEIF", exif=exif.tobytes(), quality=95)
    pixels = read(buffer.getvalue()).pixels
    assert pixels.shape == (240, 160)
    assert pixels[:40].mean() > 0.8
    assert pixels[-100:].mean() < 0.1


def test_heic_without_its_package_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    with pytest.raises(UnreadableError) as caught:
        read(b"\0\0\0\x18ftypheic" + bytes(64))
    assert caught.value.code == "heif"
    assert "nanoray[heif]" in caught.value.reason


@pytest.mark.parametrize("mode", ["L", "RGB"])
@pytest.mark.parametrize("shape", [(1024, 1100), (1023, 1099)])
def test_wavelet_levels_lie_where_the_picture_lies(shape: tuple[int, int], mode: str) -> None:
    along = np.add.outer(np.arange(shape[0]), np.arange(shape[1]))
    waves = 0.5 + 0.4 * np.sin(along * (2 * np.pi / 64))
    buffer = io.BytesIO()
    Image.fromarray(np.rint(waves * 255).astype(np.uint8)).convert(mode).save(buffer, "JPEG2000")
    reduced = read(buffer.getvalue(), min_side=180)
    assert reduced.pixels.shape == (512, 550)
    # Uncentred, half a pixel off, they differ by 0.025 on average.
    error = np.abs(fit(reduced.grey, 256, 275) - fit(waves.astype(np.float32), 256, 275))
    assert error.mean() < 0.005
    # The last rows and columns of odd sides too.
    assert error[-64:, -64:].mean() < 0.005


@pytest.mark.parametrize("colour", [0, 2, 4, 6])
@pytest.mark.parametrize("used", [10, 12, 14, 16])
def test_fewer_bits_in_a_png_of_16_have_one_answer(used: int, colour: int) -> None:
    levels = chest(40, 30, bits=used)
    stacked = [levels] * (3 if colour in (2, 6) else 1)
    stacked += [np.full_like(levels, 65_535)] * (colour in (4, 6))
    found = read(deep_png(np.dstack(stacked), colour))
    np.testing.assert_allclose(found.pixels, levels / ((1 << used) - 1), atol=1e-5)
    assert (found.facts.bits_stored, found.facts.colour) == (16, False)


@pytest.mark.parametrize("used", [10, 12, 14, 16])
def test_colour_of_fewer_bits_in_a_jpeg_2000_of_16(used: int) -> None:
    from openjpeg.utils import encode_array

    levels = chest(64, 48, bits=used)
    colour = np.dstack([levels] * 3)
    file = encode_array(colour, photometric_interpretation=1, bits_stored=16, codec_format=1)
    found = read(bytes(file))
    np.testing.assert_allclose(found.pixels, levels / ((1 << used) - 1), atol=1e-4)
    assert (found.facts.bits_stored, found.facts.colour) == (16, False)
    with pytest.raises(UnreadableError):
        read(bytes(file)[: len(file) // 2])


@pytest.mark.parametrize("colour", [4, 6])
@pytest.mark.parametrize("used", [12, 16])
def test_transparent_pixels_of_16_bits_are_black_and_have_no_part_in_the_range(
    used: int, colour: int
) -> None:
    levels = chest(40, 30, bits=used)
    whole = read(deep_png(levels[8:, :, np.newaxis], 0)).pixels
    opaque = np.full_like(levels, (1 << used) - 1)
    opaque[:8], levels[:8] = 0, 65_535
    found = read(deep_png(np.dstack([levels] * (3 if colour == 6 else 1) + [opaque]), colour))
    assert not found.pixels[:8].any()
    np.testing.assert_allclose(found.pixels[8:], whole, atol=1e-5)


@pytest.mark.parametrize("colour", [0, 2])
@pytest.mark.parametrize("used", [12, 16])
def test_the_transparent_colour_of_a_png_of_16_bits(used: int, colour: int) -> None:
    levels = chest(40, 30, bits=used)
    whole = read(deep_png(levels[8:, :, np.newaxis], 0)).pixels
    # Differs from the grey of the image in the low byte only.
    clear = 0x0101 if used == 16 else 0xFFFE
    levels[levels == clear] += 1
    levels[:8] = clear
    count = 3 if colour == 2 else 1
    chunk = png_chunk(b"tRNS", struct.pack(f">{count}H", *[clear] * count))
    found = read(deep_png(np.dstack([levels] * count), colour, chunk))
    assert not found.pixels[:8].any()
    np.testing.assert_allclose(found.pixels[8:], whole, atol=1e-4)


def deep_png(samples: np.ndarray, colour: int, extra: bytes = b"") -> bytes:
    rows, columns = samples.shape[:2]
    lines = b"".join(b"\0" + line.astype(">u2").tobytes() for line in samples)
    return png(columns, rows, lines, depth=16, colour=colour, extra=extra)


@pytest.mark.parametrize("depth", [8, 16])
@pytest.mark.parametrize("missing", [1, 20])
def test_a_png_without_its_last_rows_is_refused(missing: int, depth: int) -> None:
    kind = ">u2" if depth == 16 else "u1"
    lines = [b"\0" + line.astype(kind).tobytes() for line in GREY]
    assert read(png(30, 40, b"".join(lines), depth=depth)).pixels.any()
    with pytest.raises(UnreadableError) as caught:
        read(png(30, 40, b"".join(lines[:-missing]), depth=depth))
    assert caught.value.code == "raster-truncated"
    # Black rows at the end are no missing ones.
    black = [*lines[:-missing], *[bytes(len(lines[0]))] * missing]
    assert not read(png(30, 40, b"".join(black), depth=depth)).pixels[-missing:].any()


def test_a_png_with_a_wrong_checksum_beside_the_image() -> None:
    lines = b"".join(b"\0" + line.tobytes() for line in GREY)
    comment = png_chunk(b"tEXt", b"Comment\0none")
    for extra in (comment[:-1] + b"\xff", png_chunk(b"abCd", b"unknown")[:-4] + b"none"):
        np.testing.assert_allclose(read(png(30, 40, lines, extra=extra)).pixels, GREY / 255)


JPEGS: dict[str, tuple[str, dict[str, Any]]] = {
    "grey": ("L", {}),
    "optimised": ("L", {"optimize": True}),
    "progressive": ("L", {"progressive": True}),
    "restarts": ("L", {"restart_marker_rows": 1}),
    "colour": ("RGB", {"subsampling": 2}),
    "progressive colour": ("RGB", {"progressive": True}),
}


@pytest.mark.parametrize("min_side", [None, 16])
@pytest.mark.parametrize("kind", JPEGS)
def test_a_jpeg_file_without_its_end_marker(kind: str, min_side: int | None) -> None:
    mode, options = JPEGS[kind]
    picture = Image.fromarray(chest(150, 133, bits=8)).convert(mode)
    whole = saved(picture, "JPEG", quality=90, **options)
    wanted = read(whole, min_side=min_side).pixels
    for end in (b"", b"\xff", b"\0\0"):
        found = read(whole[:-2] + end, min_side=min_side)
        np.testing.assert_array_equal(found.pixels, wanted)


@pytest.mark.parametrize("kind", JPEGS)
def test_a_jpeg_file_without_its_last_rows_or_scans_is_refused(kind: str) -> None:
    mode, options = JPEGS[kind]
    picture = Image.fromarray(chest(150, 133, bits=8)).convert(mode)
    whole = saved(picture, "JPEG", quality=90, **options)
    scans = [at for at in range(len(whole)) if whole[at : at + 2] in (b"\xff\xda", b"\xff\xc4")]
    for kept in (*scans[1:], len(whole) // 2, 3 * len(whole) // 4, len(whole) - 40):
        with pytest.raises(UnreadableError) as caught:
            read(whole[:kept])
        assert caught.value.code in ("raster-truncated", "raster-damaged", "raster-header")
