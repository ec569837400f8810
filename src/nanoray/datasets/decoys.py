"""Drawn images that are not frontal chest radiographs, to test the abstain rule."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image, ImageDraw

Array = NDArray[np.float32]


def draw_decoy(kind: str, seed: int, *, size: int = 256) -> Array:
    """Draw a picture of one of `KINDS`, float32 [size, size] in 0..1, determined by the seed.

    Raises:
        ValueError: unknown kind.
    """
    if kind not in _DRAWINGS:
        raise ValueError(f"no decoy {kind!r}; choose from {', '.join(KINDS)}")
    rng = np.random.default_rng((seed, KINDS.index(kind)))
    picture = _DRAWINGS[kind](rng, size)
    return np.clip(picture, 0, 1).astype(np.float32)


def _float32(values: ArrayLike | Image.Image) -> Array:
    return np.asarray(values, np.float32)


def _coordinates(size: int) -> tuple[Array, Array]:
    axis = np.linspace(-1, 1, size, dtype=np.float32)
    y, x = np.meshgrid(axis, axis, indexing="ij")
    return x, y


def _smooth(rng: np.random.Generator, size: int, cells: int) -> Array:
    """Draw smooth noise from 0 to 1 with `cells` bumps along a side."""
    coarse = Image.fromarray(rng.random((cells, cells)).astype(np.float32))
    return np.asarray(coarse.resize((size, size), Image.Resampling.BICUBIC), np.float32)


def _noise(rng: np.random.Generator, size: int) -> Array:
    fine = rng.normal(rng.uniform(0.3, 0.7), rng.uniform(0.05, 0.3), (size, size))
    return _float32(fine) * (1 - (mix := rng.uniform(0, 0.6))) + _smooth(rng, size, 9) * mix


def _gradient(rng: np.random.Generator, size: int) -> Array:
    x, y = _coordinates(size)
    angle = rng.uniform(0, 2 * np.pi)
    ramp = 0.5 + 0.35 * (np.cos(angle) * x + np.sin(angle) * y)
    return _float32(ramp + rng.normal(0, 0.01, (size, size)))


def _pattern(rng: np.random.Generator, size: int) -> Array:
    x, y = _coordinates(size)
    cells = rng.uniform(3, 24)
    if rng.random() < 0.5:
        return _float32((np.sin(cells * x) * np.sin(cells * y) > 0) * rng.uniform(0.5, 1))
    return _float32(0.5 + 0.5 * np.sin(cells * 2 * (x * np.cos(cells) + y * np.sin(cells))))


def _page(rng: np.random.Generator, size: int) -> Array:
    dark = rng.random() < 0.3
    image = Image.new("L", (size, size), 15 if dark else 245)
    pen, line = ImageDraw.Draw(image), int(rng.integers(size // 26, size // 14))
    for top in range(size // 16, size - 2 * line, round(line * 1.5)):
        left = size // 14
        while left < size * rng.uniform(0.6, 0.95):
            word = int(rng.integers(line, 6 * line))
            for letter in range(left, min(left + word, size - line), max(3, line // 2)):
                box = (letter, top + int(rng.integers(0, 3)), letter + line // 3, top + line)
                pen.rectangle(box, fill=220 if dark else 30)
            left += word + line
    return _float32(np.asarray(image) / 255)


def _scene(rng: np.random.Generator, size: int) -> Array:
    """Draw a landscape-like field with the 1/f spectrum of photographs, and objects in front."""
    frequency = np.hypot(np.fft.fftfreq(size)[:, None], np.fft.rfftfreq(size)[None])
    spectrum = np.fft.rfft2(rng.standard_normal((size, size)))
    field = np.fft.irfft2(spectrum / (frequency + 1 / size) ** rng.uniform(0.9, 1.4), (size, size))
    low, high = np.quantile(field, [0.02, 0.98])
    image = Image.fromarray(np.uint8(np.clip((field - low) / (high - low), 0, 1) * 255))
    pen = ImageDraw.Draw(image)
    for _ in range(int(rng.integers(2, 12))):
        x, y = rng.integers(0, size, 2)
        width, height = rng.integers(size // 16, size // 2, 2)
        shape = rng.choice(["ellipse", "rectangle"])
        getattr(pen, shape)((x, y, x + width, y + height), fill=int(rng.integers(0, 256)))
    return _float32(np.asarray(image) / 255)


def _limb(rng: np.random.Generator, size: int) -> Array:
    """Draw long bones in soft tissue, as of a forearm or a lower leg."""
    x, y = _coordinates(size)
    if rng.random() < 0.4:
        x, y = y, x
    bow, width = rng.normal(0, 0.1), rng.uniform(0.28, 0.55)
    axis = x - bow * y * y - rng.normal(0, 0.1)
    tissue = np.clip(1 - (axis / (width * (1 - 0.25 * y))) ** 2, 0, 1) ** 0.5
    picture = 0.42 * tissue
    for offset in (-0.35, 0.35)[: int(rng.integers(1, 3))]:
        thickness = width * rng.uniform(0.16, 0.3) * (1 + 0.7 * np.abs(y) ** 4)
        inside = np.clip(1 - ((axis - offset * width) / thickness) ** 2, 0, 1)
        picture = picture + 0.45 * (inside > 0) * (1 - 0.5 * inside)
    return _float32(picture + rng.normal(0, 0.015, (size, size)))


def _skull(rng: np.random.Generator, size: int) -> Array:
    x, y = _coordinates(size)
    long = rng.uniform(0.7, 0.9)
    radius = np.hypot(x / rng.uniform(0.55, 0.75), (y + 0.1) / long)
    picture = 0.35 * (radius < 1) + 0.6 * np.exp(-(((radius - 0.96) / 0.05) ** 2))
    for side in (-1, 1):
        orbit = np.hypot((x - side * 0.25) / 0.16, (y - 0.15) / 0.13)
        picture = picture - 0.2 * (orbit < 1) + 0.25 * np.exp(-(((orbit - 1) / 0.15) ** 2))
    teeth = (np.abs(y - 0.62) < 0.1) & (np.abs(x) < 0.3)
    picture = picture + teeth * (0.25 + 0.15 * np.sin(60 * x))
    return _float32(picture + 0.1 * _smooth(rng, size, 12) * (radius < 1))


def _slice(rng: np.random.Generator, size: int) -> Array:
    """Draw an axial slice as of a CT: a round body, organs, a spine, air around it."""
    x, y = _coordinates(size)
    radius = np.hypot(x / rng.uniform(0.7, 0.95), y / rng.uniform(0.5, 0.75))
    picture = (radius < 1) * rng.uniform(0.35, 0.5) + 0.12 * (np.abs(radius - 0.95) < 0.05)
    for _ in range(int(rng.integers(3, 9))):
        centre = rng.uniform(-0.45, 0.45, 2)
        organ = np.hypot((x - centre[0]) / rng.uniform(0.1, 0.3), (y - centre[1]) / 0.2) < 1
        picture = np.where(organ & (radius < 0.85), rng.uniform(0.1, 0.8), picture)
    spine = np.hypot(x / 0.13, (y - 0.38) / 0.12) < 1
    picture = np.where(spine, 0.95, picture) + 0.04 * _smooth(rng, size, 20) * (radius < 1)
    return _float32(picture + rng.normal(0, 0.02, (size, size)) * (radius < 1))


def _sector(rng: np.random.Generator, size: int) -> Array:
    """Draw an ultrasound sector: speckle in a fan, black around it."""
    x, y = _coordinates(size)
    depth, angle = np.hypot(x, y + 1.0), np.arctan2(x, y + 1.0)
    fan = (np.abs(angle) < rng.uniform(0.5, 0.8)) & (depth > 0.15) & (depth < 1.85)
    speckle = rng.exponential(0.35, (size, size)) * (0.3 + _smooth(rng, size, 7))
    return _float32(speckle * fan * np.exp(-0.5 * depth))


_DRAWINGS: dict[str, Callable[[np.random.Generator, int], Array]] = {
    "noise": _noise,
    "gradient": _gradient,
    "pattern": _pattern,
    "page": _page,
    "scene": _scene,
    "limb": _limb,
    "skull": _skull,
    "slice": _slice,
    "sector": _sector,
}
KINDS = tuple(_DRAWINGS)
