"""Looking samples up while they shrink gives what looking them all up first gives."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from nanoray.reading import fit, letterbox
from nanoray.reading.greyscale import render
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


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("inverted", [False, True])
@pytest.mark.parametrize("unused", [0, 4])
def test_a_window_is_a_line_that_gives_the_means_of_its_table(
    signed: bool, inverted: bool, unused: int
) -> None:
    rng = np.random.default_rng(4)
    bits = 16 - unused
    stored = rng.integers(0, 1 << bits, (1200, 1100)).astype(np.uint16)
    dirty = stored | (rng.integers(0, 16, stored.shape).astype(np.uint16) << 12) * bool(unused)
    if signed:
        dirty = dirty.view(np.int16)
    low, high = (-300.0, 1500.0) if signed else (700.0, 3000.0)
    grey = render(
        dirty,
        bits=bits,
        voi=lambda values: np.clip((values - low) / (high - low), 0, 1),
        inverted=inverted,
        low=-(1 << (bits - 1)) if signed else 0,
        unused=unused,
    )
    assert isinstance(grey, Samples)
    assert grey.line is not None
    looked_up = fit(replace(grey, line=None), 100, 90)
    np.testing.assert_allclose(fit(grey, 100, 90), looked_up, atol=1e-6)


def test_black_stays_black_in_a_line() -> None:
    stored = np.full((1100, 1000), 200, np.uint16)
    stored[:, 500:] = 2000
    grey = render(stored, bits=12, voi=lambda values: np.clip((values - 1000.3) / 2000, 0, 1))
    assert isinstance(grey, Samples)
    assert grey.line is not None
    assert not fit(grey, 110, 100)[:, :49].any()


def test_a_curve_that_bends_is_no_line() -> None:
    stored = np.arange(1100 * 1000, dtype=np.uint32).reshape(1100, 1000).astype(np.uint16)
    grey = render(stored, bits=16, voi=lambda values: np.sqrt(values / 65_535))
    assert isinstance(grey, Samples)
    assert grey.line is None


@pytest.mark.parametrize("size", [(6, 8), (512, 460)])
def test_bytes_are_halved_as_by_the_filter(size: tuple[int, int]) -> None:
    stored = np.random.default_rng(5).integers(0, 256, size).astype(np.uint8)
    height, width = size[0] // 2, size[1] // 2
    image = Image.fromarray(stored.astype(np.float32) / 255)
    expected = np.asarray(image.resize((width, height), Image.Resampling.BILINEAR))
    np.testing.assert_allclose(fit(Samples(stored, None), height, width), expected, atol=1e-6)
