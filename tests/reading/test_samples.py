"""Looking samples up while they shrink gives what looking them all up first gives."""

from __future__ import annotations

import numpy as np
import pytest

from nanoray.reading import letterbox
from nanoray.reading.radiograph import Samples


@pytest.mark.parametrize("shape", [(512, 512), (700, 511), (1500, 1337), (100, 60), (64, 64)])
@pytest.mark.parametrize(("bits", "curved"), [(8, False), (8, True), (16, True)])
def test_shrinking_samples(shape: tuple[int, int], bits: int, curved: bool) -> None:
    random = np.random.default_rng(7)
    stored = random.integers(0, 1 << bits, shape).astype(f"u{bits // 8}")
    curve = np.sqrt(np.linspace(0, 1, 1 << bits, dtype=np.float32)) if curved else None
    samples = Samples(stored, curve)
    expected = stored.astype(np.float32) / np.float32(255) if curve is None else curve[stored]
    assert samples.shape == shape
    np.testing.assert_array_equal(samples.pixels, expected)
    np.testing.assert_array_equal(samples[3:9], expected[3:9])
    square, place = letterbox(samples, 64)
    whole, there = letterbox(expected, 64)
    assert place == there
    np.testing.assert_allclose(square, whole, rtol=0, atol=1e-6)
