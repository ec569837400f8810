"""Histogram equalisation of the network's square."""

from __future__ import annotations

import numpy as np
import pytest

from nanoray.reading.equalize import BLACK, LEVELS, equalize, equalize_batch


def some_square(seed: int = 0, side: int = 64) -> np.ndarray:
    """Return grey values 0.1 to 0.9 with a black bar, float32 [side, side]."""
    square = np.random.default_rng(seed).beta(2, 5, (side, side)).astype(np.float32) * 0.8 + 0.1
    square[:, :8] = 0
    return square


def test_values_become_uniform_and_padding_stays_black() -> None:
    found = equalize(some_square())
    assert (found[:, :8] == 0).all()
    seen = np.sort(found[:, 8:].ravel())
    assert np.abs(seen - (np.arange(seen.size) + 0.5) / seen.size).max() < 0.002
    assert found.dtype == np.float32


@pytest.mark.parametrize("gamma", [0.5, 2.0])
def test_exposure_does_not_matter(gamma: float) -> None:
    square = some_square()
    changed = np.where(square > 0, square**gamma * 0.9 + 0.05, 0).astype(np.float32)
    assert np.abs(equalize(square) - equalize(changed)).max() < 0.02


def test_padding_does_not_weigh() -> None:
    square = some_square()
    wide = np.zeros((64, 128), np.float32)
    wide[:, 32:96] = square
    assert np.array_equal(equalize(wide)[:, 32:96], equalize(square))


def test_few_and_many_grey_levels_have_the_same_mean() -> None:
    square = some_square(side=256)
    coarse = np.rint(square * 255).astype(np.float32) / 255
    difference = equalize(coarse) - equalize(square)
    assert abs(difference.mean()) < 1e-4
    assert np.abs(difference).max() < 0.01


def test_equalised_pictures_stay_as_they_are() -> None:
    once = equalize(some_square(side=256))
    again = equalize(once)
    # What lies below the black level of the equalised picture is taken for black.
    kept = once * (LEVELS - 1) + 0.5 >= BLACK
    assert np.abs((again - once)[kept]).max() < 0.03


def test_black_squares_and_batches() -> None:
    black = np.zeros((8, 8), np.float32)
    assert (equalize(black) == 0).all()
    batch = np.stack([some_square(1)[None], some_square(2)[None]])
    assert np.array_equal(equalize_batch(batch)[1, 0], equalize(some_square(2)))


def test_tensors_are_equalised_alike() -> None:
    torch = pytest.importorskip("torch")
    from nanoray.training.equalize import equalize as equalize_tensors

    batch = np.stack([some_square(seed)[None] for seed in range(3)])
    found = equalize_tensors(torch.from_numpy(batch)).numpy()
    assert np.abs(found - equalize_batch(batch)).max() < 1e-6
