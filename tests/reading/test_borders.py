"""Bars, frames and padding around a radiograph are found, and a radiograph's own edges are not."""

from __future__ import annotations

import numpy as np
import pytest

from nanoray.datasets.phantom import draw
from nanoray.reading import letterbox
from nanoray.reading.borders import Crop, find_crop, framed

FILM = draw(31, size=240).pixels.astype(np.float32)


def padded(value: float, top: int, bottom: int, left: int, right: int) -> np.ndarray:
    return np.pad(FILM, ((top, bottom), (left, right)), constant_values=np.float32(value))


def test_a_film_fills_its_picture() -> None:
    assert find_crop(FILM) is None
    square, place, crop = framed(FILM, 64)
    assert crop is None
    expected, there = letterbox(FILM, 64)
    assert place == there
    np.testing.assert_array_equal(square, expected)


@pytest.mark.parametrize("value", [1.0, 0.95, 0.5, 0.0])
@pytest.mark.parametrize(
    "sides", [(0, 0, 0, 40), (30, 0, 0, 0), (20, 20, 20, 20), (120, 120, 120, 120)]
)
def test_what_lies_around_it_is_cut_off(value: float, sides: tuple[int, int, int, int]) -> None:
    picture = padded(value, *sides)
    if value == 0 and max(sides) < 120:
        # So much black is ordinary beside a film.
        assert find_crop(picture) is None
        return
    square, _, crop = framed(picture, 64)
    assert crop is not None
    # To the line, although the search uses a picture of 64 pixels.
    rows, columns = picture.shape
    assert crop.top * rows == pytest.approx(sides[0])
    assert crop.left * columns == pytest.approx(sides[2])
    assert crop.height * rows == pytest.approx(FILM.shape[0])
    assert crop.width * columns == pytest.approx(FILM.shape[1])
    alone, _ = letterbox(FILM, 64)
    np.testing.assert_allclose(square, alone, atol=1e-6)


def test_black_within_a_white_frame() -> None:
    framed_film = np.pad(padded(0.0, 100, 100, 100, 100), 30, constant_values=1.0)
    crop = find_crop(framed_film)
    assert crop is not None
    assert crop.height * framed_film.shape[0] == pytest.approx(FILM.shape[0], abs=6)


@pytest.mark.parametrize("value", [0.0, 0.3, 1.0])
def test_a_flat_picture_is_left_alone(value: float) -> None:
    assert find_crop(np.full((40, 30), value, np.float32)) is None


def test_a_part_turns_with_its_picture() -> None:
    part = Crop(0.1, 0.2, 0.5, 0.6)
    assert part.turned(4) == part
    turned = part.turned(1)
    assert (turned.height, turned.width) == (0.6, 0.5)
    mask = np.zeros((10, 20), bool)
    mask[1:6, 4:16] = True
    there = np.rot90(mask, -1)
    rows, columns = np.flatnonzero(there.any(1)), np.flatnonzero(there.any(0))
    assert rows[0] / 20 == pytest.approx(turned.top)
    assert columns[0] / 10 == pytest.approx(turned.left)
