"""Arrays, and fitting them into the model's square."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from nanoray.errors import UnreadableError
from nanoray.reading import from_array, letterbox, placement
from reading_files import chest


def test_floats_in_0_to_1_are_taken_as_they_are() -> None:
    for kind in (np.float16, np.float32, np.float64):
        pixels = np.linspace(0.1, 0.7, 12).reshape(3, 4).astype(kind)
        radiograph = from_array(pixels)
        np.testing.assert_allclose(radiograph.pixels, pixels, atol=1e-6)
        assert radiograph.pixels.dtype == np.float32
        assert radiograph.facts.format == "array"
        assert (radiograph.facts.rows, radiograph.facts.columns) == (3, 4)


def test_8_bits_and_truth_values_keep_their_range() -> None:
    grey = chest(20, 10, bits=8)
    np.testing.assert_allclose(from_array(grey).pixels, grey / 255, atol=1e-6)
    np.testing.assert_allclose(from_array(grey[..., None]).pixels, grey / 255, atol=1e-6)
    assert np.array_equal(from_array(grey > 9).pixels, grey > 9)
    signed = (grey.astype(np.int16) - 128).astype(np.int8)
    np.testing.assert_allclose(from_array(signed).pixels, grey / 255, atol=1e-6)


@pytest.mark.parametrize("kind", ["u2", "i2", "u4", "i4", "i8", ">u2", "f4", "f8"])
def test_anything_deeper_takes_the_scale_that_it_fills(kind: str) -> None:
    deep = chest(40, 30, bits=12).astype(kind)
    expected = deep.astype(float) / 4095
    if deep.dtype.kind == "f":
        # Real numbers have no scale of their own.
        low, high = np.percentile(expected, (0.5, 99.5))
        expected = ((expected - low) / (high - low)).clip(0, 1)
    np.testing.assert_allclose(from_array(deep).pixels, expected, atol=1e-5)


def test_colour() -> None:
    colours = np.array([[[255, 0, 0], [0, 255, 0], [51, 51, 51]]], np.uint8)
    expected = [[0.299, 0.587, 0.2]]
    opaque = np.full((1, 3, 1), 255, np.uint8)
    for pixels in (colours, np.concatenate([colours, opaque], axis=2), colours / 255):
        radiograph = from_array(pixels)
        np.testing.assert_allclose(radiograph.pixels, expected, atol=1e-6)
        assert radiograph.facts.colour
    grey = np.repeat(chest(bits=8)[..., None], 3, axis=2)
    assert not from_array(grey).facts.colour


def test_what_is_not_finite_is_black() -> None:
    pixels = np.array([[0.5, np.nan, np.inf, -np.inf]])
    assert from_array(pixels).pixels.tolist() == [[0.5, 0, 0, 0]]
    wide = np.concatenate([np.linspace(0, 100, 50), [np.nan]])[None]
    assert from_array(wide).pixels[0, -1] == 0


@pytest.mark.parametrize(
    ("array", "code"),
    [
        (np.zeros(5), "array-shape"),
        (np.zeros((2, 2, 2)), "array-shape"),
        (np.zeros((1, 2, 2, 3)), "array-shape"),
        (np.float32(1), "array-shape"),
        (np.zeros((0, 5)), "size-zero"),
        (np.zeros((2, 2), complex), "array-type"),
        (np.array([["a"]]), "array-type"),
        (np.array([[None]]), "array-type"),
        (np.full((3, 3), np.nan), "not-finite"),
        (np.broadcast_to(np.uint8(1), (20_000, 5_001)), "too-many-pixels"),
    ],
)
def test_refused_arrays(array: Any, code: str) -> None:
    with pytest.raises(UnreadableError) as caught:
        from_array(array)
    assert caught.value.code == code
    assert caught.value.source == "<array>"


@pytest.mark.parametrize(
    ("rows", "columns", "expected"),
    [
        (100, 100, (0, 0, 64, 64)),
        (200, 100, (0, 16, 64, 32)),
        (100, 200, (16, 0, 32, 64)),
        (1, 5000, (31, 0, 1, 64)),
        (128, 127, (0, 0, 64, 64)),  # 63.5 rounds up
    ],
)
def test_placement(rows: int, columns: int, expected: tuple[int, ...]) -> None:
    place = placement(rows, columns, 64)
    assert (place.top, place.left, place.height, place.width) == expected


def test_letterbox_keeps_proportions_and_averages() -> None:
    # Fine stripes vanish into their mean instead of turning into coarse ones.
    stripes = np.zeros((400, 200), np.float32)
    stripes[:, ::2] = 1
    square, place = letterbox(stripes, 50)
    assert (place.top, place.left, place.height, place.width) == (0, 12, 50, 25)
    inside = square[:, 13:36]
    np.testing.assert_allclose(inside, 0.5, atol=0.02)
    assert not square[:, :12].any()
    assert not square[:, 37:].any()


def test_letterbox_leaves_a_fitting_image_alone() -> None:
    pixels = np.random.default_rng(0).random((32, 32)).astype(np.float32)
    square, _ = letterbox(pixels, 32)
    assert np.array_equal(square, pixels)
