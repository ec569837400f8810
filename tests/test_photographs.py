"""Simulated photographs: repeatable, true to their corners, worse with severity."""

from __future__ import annotations

from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from nanoray.datasets.phantom import draw
from nanoray.datasets.photographs import (
    SCENES,
    Scene,
    draw_conditions,
    photograph,
    projection,
    rephotograph,
)

SIZE = (400, 300)


@pytest.fixture(scope="module")
def radiograph() -> np.ndarray:
    phantom = Image.fromarray(draw(3, size=256).pixels)
    return np.asarray(phantom.resize((256, 256)))


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.mark.parametrize("scene", SCENES)
def test_a_seed_gives_the_same_photograph_again(radiograph: np.ndarray, scene: Scene) -> None:
    first, again, other = (
        photograph(radiograph, rng(seed), scene=scene, size=SIZE) for seed in (1, 1, 2)
    )
    assert first.pixels.shape == (*SIZE, 3)
    assert first.pixels.dtype == np.uint8
    assert np.array_equal(first.pixels, again.pixels)
    assert np.array_equal(first.corners, again.corners)
    assert not np.array_equal(first.pixels, other.pixels)


@pytest.mark.parametrize("scene", SCENES)
@pytest.mark.parametrize("shape", [(256, 256), (256, 200), (180, 256)])
def test_the_radiograph_lies_between_the_corners(
    radiograph: np.ndarray, scene: Scene, shape: tuple[int, int]
) -> None:
    rows, columns = shape
    part = radiograph[:rows, :columns]
    for seed in range(4):
        taken = photograph(part, rng(seed), severity=0.3, scene=scene, size=SIZE)
        assert (taken.corners >= 0).all()
        assert (taken.corners <= (SIZE[1], SIZE[0])).all()
        straight = np.array([(0, 0), (columns, 0), (columns, rows), (0, rows)], np.float64)
        back = Image.fromarray(taken.pixels).transform(
            (columns, rows),
            Image.Transform.PERSPECTIVE,
            tuple(projection(straight, taken.corners)),
            Image.Resampling.BILINEAR,
        )
        grey = np.asarray(back.convert("L"), np.float32)
        assert np.corrcoef(grey.ravel(), part.ravel())[0, 1] > 0.95


def test_the_corners_go_clockwise_from_the_upper_left(radiograph: np.ndarray) -> None:
    for seed in range(20):
        corners = photograph(radiograph, rng(seed), severity=2, size=(120, 90)).corners
        sides = np.roll(corners, -1, axis=0) - corners
        following = np.roll(sides, -1, axis=0)
        assert (sides[:, 0] * following[:, 1] - sides[:, 1] * following[:, 0] > 0).all()
        assert corners[0].sum() == corners.sum(axis=1).min()


def test_the_file_is_a_jpeg_of_the_photograph(radiograph: np.ndarray) -> None:
    taken = photograph(radiograph, rng(), size=SIZE)
    decoded = np.asarray(Image.open(BytesIO(taken.jpeg())), np.float32)
    assert np.abs(decoded - taken.pixels).mean() < 8


def test_a_hasty_photograph_is_worse_than_a_careful_one(radiograph: np.ndarray) -> None:
    def error(severity: float) -> float:
        squares = (rephotograph(radiograph, rng(seed), severity) for seed in range(12))
        return float(
            np.mean([1 - np.corrcoef(s.ravel(), radiograph.ravel())[0, 1] for s in squares])
        )

    ideal, careful, hasty = error(0), error(1), error(2)
    assert ideal < 0.01
    assert ideal < careful < hasty < 0.5


def test_a_square_stays_a_square_in_range_and_its_letterbox_black(radiograph: np.ndarray) -> None:
    square = np.zeros((256, 256), np.float32)
    square[:, 28:228] = radiograph[:, 28:228] * 0.99 + 0.01
    before = square.copy()
    for seed in range(6):
        seen = rephotograph(square, rng(seed), 2)
        assert seen.shape == square.shape
        assert seen.dtype == np.float32
        assert 0 <= seen.min() <= seen.max() <= 1
        assert not seen[:, :28].any()
        assert not seen[:, 228:].any()
        assert np.array_equal(seen, rephotograph(square, rng(seed), 2))
    assert np.array_equal(square, before)


def test_an_empty_square_stays_empty() -> None:
    empty = np.zeros((64, 64), np.float32)
    assert not rephotograph(empty, rng()).any()


def test_only_a_screen_gives_moire() -> None:
    assert all(draw_conditions(rng(seed), "screen").moire for seed in range(5))
    assert not any(draw_conditions(rng(seed), "lightbox").moire for seed in range(5))
