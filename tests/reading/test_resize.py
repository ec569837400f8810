"""Fitting a radiograph into the square."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from nanoray.reading.resize import fit

SHAPES = [
    ((512, 512), (256, 256)),
    ((1024, 887), (256, 222)),
    ((2500, 2244), (256, 230)),
    ((520, 4000), (33, 256)),
    ((513, 700), (188, 256)),
    ((300, 300), (256, 256)),
    ((90, 180), (128, 256)),
    ((7, 2000), (1, 256)),
]


@pytest.mark.parametrize(("shape", "target"), SHAPES)
def test_the_filter_is_that_of_pillow(shape: tuple[int, int], target: tuple[int, int]) -> None:
    pixels = np.random.default_rng(0).random(shape, np.float32)
    image = Image.fromarray(pixels).resize(target[::-1], Image.Resampling.BILINEAR)
    found = fit(pixels, *target)
    assert found.shape == target
    assert found.dtype == np.float32
    assert found.flags.c_contiguous
    np.testing.assert_allclose(found, np.asarray(image), atol=1e-6)


def test_what_fits_stays_as_it_is() -> None:
    pixels = np.random.default_rng(0).random((256, 200), np.float32)
    np.testing.assert_array_equal(fit(pixels, 256, 200), pixels)
