"""Simulated photographs of radiographs: of a film on a light box, or of a screen.

Radiographs are photographed with phones and sent as photographs. The effects are drawn in the order
of the light's path: reflections of the room (haze, glare), the pattern of the screen's and the
sensor's grids (moire), the lens (vignette, blur), the sensor (noise), the tone curve and JPEG. A
generator of random numbers determines the photograph, so a seed reproduces it. `photograph` draws
the whole picture with its surroundings and returns the corners of the radiograph. `rephotograph`
returns a square as if from a straightened photograph, for training.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from io import BytesIO
from typing import Final, Literal, get_args

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from nanoray.reading.resize import to_uint8

Array = NDArray[np.float32]
Scene = Literal["screen", "lightbox"]
SCENES: Final[tuple[Scene, ...]] = get_args(Scene)

DISPLAY_GAMMA: Final = 2.2
"""Light of a screen is the grey level to this power; a camera applies the inverse."""


@dataclass(frozen=True, slots=True)
class Glare:
    """A lamp or window mirrored in the glass: a Gaussian spot of light.

    Attributes:
        x, y, radius: in parts of the picture's width and height, and of its longer side.
        light: brightness in its middle; 1 is white of the screen.
    """

    x: float
    y: float
    radius: float
    light: float


@dataclass(frozen=True, slots=True)
class Moire:
    """Stripes from the interference of a screen's grid and a sensor's grid.

    Attributes:
        waves: periods along the longer side.
        angle: direction in radians.
        bend: change of the period across the picture.
        phase: at the upper left corner, in radians.
        depth: share of the light that the stripes remove or add.
    """

    waves: float
    angle: float
    bend: float
    phase: float
    depth: float


@dataclass(frozen=True, slots=True)
class Conditions:
    """Conditions of a photograph.

    Attributes:
        gamma: exponent of the camera's tone curve, in addition to `DISPLAY_GAMMA`.
        exposure: factor of the light.
        haze: light of the room that the surface reflects everywhere; 1 is white of the screen.
        glare, moire: spots and stripes.
        vignette: share of the light lost in the corners.
        blur: standard deviation in thousandths of the longer side.
        noise: standard deviation of the sensor's noise at white; shot noise, so less in the dark.
        quality: of the JPEG file, 1 to 95.
        cast: factors on red, green and blue.
        misplaced: standard deviation of the corners' error after straightening, in parts of the
            side.
        surroundings: grey level, 0..1, beyond the radiograph's edges.
    """

    gamma: float
    exposure: float
    haze: float
    glare: tuple[Glare, ...]
    moire: tuple[Moire, ...]
    vignette: float
    blur: float
    noise: float
    quality: int
    cast: tuple[float, float, float]
    misplaced: float
    surroundings: float


@dataclass(frozen=True, slots=True)
class Photograph:
    """A simulated photograph.

    Attributes:
        pixels: uint8 [H, W, 3].
        corners: float64 [4, 2], (x, y) in pixels of the radiograph's upper left, upper right, lower
            right and lower left corner. They are the outer edges of its pixels; (0, 0) is the upper
            left corner of the photograph.
        scene: the photographed scene.
        conditions: of the photograph.
    """

    pixels: NDArray[np.uint8]
    corners: NDArray[np.float64]
    scene: Scene
    conditions: Conditions

    def jpeg(self) -> bytes:
        """Return the photograph as a JPEG file of the conditions' quality."""
        buffer = BytesIO()
        Image.fromarray(self.pixels).save(buffer, "JPEG", quality=self.conditions.quality)
        return buffer.getvalue()


def draw_conditions(
    rng: np.random.Generator, scene: Scene = "screen", severity: float = 1.0
) -> Conditions:
    """Draw conditions; 1 is a careful photograph, 2 a hasty one, 0 an ideal camera."""
    spread = max(0.0, severity)
    glare = tuple(
        Glare(
            float(rng.uniform(0, 1)),
            float(rng.uniform(0, 1)),
            float(rng.uniform(0.06, 0.25)),
            float(rng.uniform(0.02, 0.15)) * spread,
        )
        for _ in range(int(rng.integers(0, 3)))
    )
    waves = rng.uniform(15, 110)
    angle = rng.uniform(0, math.pi)
    # The three colours of a screen's pixel are side by side, and so are the three patterns.
    depth = rng.uniform(0.01, 0.05) * spread if scene == "screen" else 0.0
    moire = tuple(
        Moire(
            float(waves * rng.uniform(0.97, 1.03)),
            float(angle + turn),
            float(rng.uniform(-0.3, 0.3)),
            float(rng.uniform(0, 2 * math.pi)),
            float(depth),
        )
        for turn in (0.0, math.pi / 2)
        if depth
    )
    cast = 0.06 * spread
    surroundings = rng.uniform(0, 0.08) if scene == "screen" else rng.uniform(0.85, 1.0)
    return Conditions(
        gamma=_about_one(rng, 0.12 * spread),
        exposure=_about_one(rng, 0.12 * spread),
        haze=float(rng.uniform(0.002, 0.035) * spread),
        glare=glare,
        moire=moire,
        vignette=float(rng.uniform(0, 0.25) * min(spread, 2.5)),
        blur=float(rng.uniform(0.3, 1.6) * spread),
        noise=float(rng.uniform(0.005, 0.03) * spread),
        quality=int(np.clip(rng.uniform(60, 95) - 12 * (spread - 1), 20, 95)),
        cast=(_about_one(rng, cast), _about_one(rng, cast), _about_one(rng, cast)),
        misplaced=float(rng.uniform(0, 0.012) * spread),
        surroundings=float(surroundings),
    )


def _about_one(rng: np.random.Generator, spread: float) -> float:
    return float(np.exp(rng.normal(0, spread)))


def rephotograph(
    square: Array,
    rng: np.random.Generator,
    severity: float = 1.0,
    *,
    conditions: Conditions | None = None,
) -> Array:
    """Return a square as if from a straightened photograph.

    Black rows and columns at the border (a letterbox) stay black. About 5 ms for 224 x 224.

    Args:
        square: float32 [S, S] in 0..1.
        rng: the same state gives the same photograph.
        severity: see `draw_conditions`; draw it too, for example uniformly from 0.3 to 2.
        conditions: drawn when None, for a screen or a light box.

    Returns:
        float32 [S, S] in 0..1.
    """
    if conditions is None:
        conditions = draw_conditions(rng, SCENES[int(rng.integers(len(SCENES)))], severity)
    filled = np.flatnonzero(square.any(axis=1)), np.flatnonzero(square.any(axis=0))
    if not filled[0].size:
        return square.astype(np.float32)
    place = tuple(slice(int(at[0]), int(at[-1]) + 1) for at in filled)
    photographed = np.zeros(square.shape, np.float32)
    photographed[place] = _rephotograph(square[place], conditions, rng)
    return photographed


def _rephotograph(grey: Array, conditions: Conditions, rng: np.random.Generator) -> Array:
    rows, columns = grey.shape
    margin = max(2, round(0.06 * max(rows, columns)))
    framed = np.pad(grey, margin, constant_values=conditions.surroundings)
    straight = _rectangle(margin, margin, columns, rows)
    errors = rng.normal(0, conditions.misplaced, (4, 2)) * max(rows, columns)
    seen = straight + np.clip(errors, -margin, margin)
    out = _rectangle(0, 0, columns, rows)
    moved = Image.fromarray(framed).transform(
        (columns, rows),
        Image.Transform.PERSPECTIVE,
        tuple(projection(out, seen)),
        Image.Resampling.BILINEAR,
    )
    # A camera's picture is larger than the square, so most of the noise is averaged away.
    quieter = replace(conditions, noise=conditions.noise / 2, cast=(1.0, 1.0, 1.0))
    taken = _take(np.asarray(moved, np.float32)[..., np.newaxis], quieter, rng)[..., 0]
    buffer = BytesIO()
    Image.fromarray(to_uint8(taken)).save(buffer, "JPEG", quality=conditions.quality)
    decoded: Array = np.asarray(Image.open(buffer), np.float32) / np.float32(255)
    return decoded


def photograph(
    radiograph: Array,
    rng: np.random.Generator,
    *,
    severity: float = 1.0,
    scene: Scene | None = None,
    size: tuple[int, int] = (1600, 1200),
) -> Photograph:
    """Photograph a radiograph on a screen or light box, with what is around it.

    Args:
        radiograph: float32 [h, w] in 0..1, bright bone on dark, of any size.
        rng: the same state gives the same photograph.
        severity: see `draw_conditions`; the camera is also tilted more.
        scene: drawn when None.
        size: rows and columns of the photograph.
    """
    scene = scene or SCENES[int(rng.integers(len(SCENES)))]
    conditions = draw_conditions(rng, scene, severity)
    plane, flat = _surroundings(radiograph, scene, conditions, rng)
    corners = _hold(radiograph.shape, size, severity, rng)
    warped = Image.fromarray(plane).transform(
        (size[1], size[0]),
        Image.Transform.PERSPECTIVE,
        tuple(projection(corners, flat)),
        Image.Resampling.BICUBIC,
    )
    seen = np.asarray(warped, np.float32) / np.float32(255)
    taken = _take(seen, conditions, rng)
    return Photograph(to_uint8(taken), corners, scene, conditions)


def projection(source: NDArray[np.float64], target: NDArray[np.float64]) -> NDArray[np.float64]:
    """Find the projective transform that takes four points to four others.

    Args:
        source, target: float64 [4, 2], (x, y).

    Returns:
        float64 [8], a to h of x' = (a x + b y + c) / (g x + h y + 1) and
        y' = (d x + e y + f) / (g x + h y + 1).
    """
    equations, values = [], []
    for (x, y), (u, v) in zip(source, target, strict=True):
        equations.append([x, y, 1, 0, 0, 0, -u * x, -u * y])
        equations.append([0, 0, 0, x, y, 1, -v * x, -v * y])
        values += [u, v]
    return np.linalg.solve(np.asarray(equations, np.float64), np.asarray(values, np.float64))


def _rectangle(left: float, top: float, width: float, height: float) -> NDArray[np.float64]:
    right, bottom = left + width, top + height
    return np.array([(left, top), (right, top), (right, bottom), (left, bottom)], np.float64)


def _hold(
    shape: tuple[int, ...], size: tuple[int, int], severity: float, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Place the radiograph's corners as seen by a hand-held camera; all within the picture."""
    rows, columns = shape[0] / max(shape), shape[1] / max(shape)
    flat = _rectangle(-columns / 2, -rows / 2, columns, rows)
    roll, *tilt = np.radians(rng.normal(0, (3.5, 5, 5)) * min(severity, 2.5))
    turned = flat @ np.array([[math.cos(roll), math.sin(roll)], [-math.sin(roll), math.cos(roll)]])
    x, y = turned.T
    # Rotation about the vertical, then the horizontal axis, seen from three times the height.
    x, z = x * math.cos(tilt[0]), x * math.sin(tilt[0])
    y, z = (
        y * math.cos(tilt[1]) - z * math.sin(tilt[1]),
        y * math.sin(tilt[1]) + z * math.cos(tilt[1]),
    )
    depth = 1 + z / 3
    seen = np.stack([x / depth, y / depth], axis=1)
    low, high = seen.min(axis=0), seen.max(axis=0)
    frame = np.array([size[1], size[0]], np.float64)
    scale = rng.uniform(0.62, 0.94) * float((frame / (high - low)).min())
    room = frame - (high - low) * scale
    offset = room * rng.uniform(0.25, 0.75, 2)
    corners: NDArray[np.float64] = (seen - low) * scale + offset
    return corners


def _surroundings(
    radiograph: Array, scene: Scene, conditions: Conditions, rng: np.random.Generator
) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    """Draw the photographed plane, uint8 [h, w, 3], and the radiograph's corners on it."""
    rows, columns = radiograph.shape
    longest = max(rows, columns)
    side = 3 * longest
    draw_grey = radiograph if scene == "screen" else 0.03 + 0.97 * radiograph
    wall = rng.uniform(0.1, 0.75) * np.array([1, rng.uniform(0.75, 1), rng.uniform(0.5, 1)])
    ramp = np.linspace(0, 1, side, dtype=np.float32)
    light = (
        1
        + rng.uniform(-0.35, 0.35) * (ramp - 0.5)[:, None]
        + rng.uniform(-0.35, 0.35) * (ramp - 0.5)
    )
    texture = rng.normal(1, 0.02, (side, side)).astype(np.float32)
    plane = Image.fromarray(
        np.clip(wall * (light * texture)[..., np.newaxis] * 255, 0, 255).astype(np.uint8)
    )
    pen = ImageDraw.Draw(plane)
    left, top = (side - columns) // 2, (side - rows) // 2
    box = (left, top, left + columns, top + rows)

    _clutter(pen, side, rng)

    def around(*by: float) -> tuple[float, float, float, float]:
        west, north, east, south = (share * longest for share in by)
        return (box[0] - west, box[1] - north, box[2] + east, box[3] + south)

    if scene == "screen":
        inner = rng.uniform(0.02, 0.2, 4)
        bezel = rng.uniform(0.03, 0.09)
        frame = int(rng.uniform(5, 60))
        pen.rectangle(around(*(inner + bezel)), fill=(frame, frame, frame))
        black = round(conditions.surroundings * 255)
        pen.rectangle(around(*inner), fill=(black, black, black))
        words = ("PACS VIEWER", f"W:{rng.integers(800, 4096)} L:{rng.integers(400, 2048)}")
        place = around(*(inner - 0.01))
        font = max(8, longest // 45)
        if inner[1] > 0.05:
            pen.text(place[:2], "  ".join(words), fill=(170, 170, 170), font_size=font)
        if inner[0] > 0.12 and rng.random() < 0.6:
            # A strip of earlier pictures beside the radiograph.
            width = round((inner[0] - 0.03) * longest)
            small = Image.fromarray(to_uint8(radiograph)).resize((width, width))
            for step in range(int(rng.integers(1, 5))):
                at = (round(place[0]), round(top + step * 1.15 * width))
                plane.paste(small.convert("RGB"), at)
    else:
        panel = np.clip(
            conditions.surroundings
            * 255
            * np.array([1, rng.uniform(0.95, 1), rng.uniform(0.88, 1)]),
            0,
            255,
        )
        pen.rectangle(around(*rng.uniform(0.06, 0.6, 4)), fill=tuple(int(v) for v in panel))
        if rng.random() < 0.5:
            # The rail and the clips that hold the film.
            rail = around(1.0, 0.3, 1.0, 0)
            pen.rectangle((rail[0], rail[1], rail[2], box[1] - 0.04 * longest), fill=(90, 90, 92))
    plane.paste(Image.fromarray(to_uint8(draw_grey)).convert("RGB"), box[:2])
    return np.asarray(plane), _rectangle(left, top, columns, rows)


def _clutter(pen: ImageDraw.ImageDraw, side: int, rng: np.random.Generator) -> None:
    """Draw objects on the wall or table, without a radiograph."""
    for _ in range(int(rng.integers(0, 7))):
        grey = rng.uniform(10, 235)
        colour = tuple(int(v) for v in np.clip(grey * rng.uniform(0.6, 1.2, 3), 0, 255))
        x, y = rng.uniform(0, side, 2)
        width, height = side * rng.uniform(0.02, 0.35, 2)
        if rng.random() < 0.3:
            pen.ellipse((x, y, x + width, y + height), fill=colour)
        else:
            slant = rng.uniform(-0.3, 0.3) * width
            pen.polygon(
                [
                    (x, y),
                    (x + width, y + slant),
                    (x + width - slant, y + height),
                    (x - slant, y + height),
                ],
                fill=colour,
            )


def _take(seen: Array, conditions: Conditions, rng: np.random.Generator) -> Array:
    """Photograph a scene; scene and result are float32 [h, w, channels] in 0..1."""
    rows, columns, channels = seen.shape
    longest = max(rows, columns)
    y = ((np.arange(rows, dtype=np.float32) + np.float32(0.5)) / np.float32(longest))[:, np.newaxis]
    x = (np.arange(columns, dtype=np.float32) + np.float32(0.5)) / np.float32(longest)
    light = seen ** np.float32(DISPLAY_GAMMA)
    for stripes in conditions.moire:
        along = x * math.cos(stripes.angle) + y * math.sin(stripes.angle)
        turns = (2 * math.pi * stripes.waves) * (along + stripes.bend * along * along)
        for channel in range(channels):
            # A third of a period between the colours, unless the picture is grey.
            shift = stripes.phase + channel * 2 * math.pi / 3
            light[..., channel] *= 1 + stripes.depth * np.sin(turns + shift)
    added = np.full((rows, columns), conditions.haze, np.float32)
    for spot in conditions.glare:
        across = (x - spot.x * columns / longest) ** 2 + (y - spot.y * rows / longest) ** 2
        added += spot.light * np.exp(-across / np.float32(2 * spot.radius**2))
    light += added[..., np.newaxis]
    away = (x - columns / longest / 2) ** 2 + (y - rows / longest / 2) ** 2
    light *= (1 - conditions.vignette * away / away.max())[..., np.newaxis] * conditions.exposure
    light *= np.asarray(conditions.cast[:channels], np.float32)
    light = _blur(light, conditions.blur * longest / 1000)
    light += (
        rng.standard_normal(light.shape, np.float32)
        * np.float32(conditions.noise)
        * np.sqrt(np.maximum(light, np.float32(0.01)))
    )
    tone = np.float32(conditions.gamma / DISPLAY_GAMMA)
    taken: Array = np.clip(light, 0, 1) ** tone
    return taken


def _blur(light: Array, sigma: float) -> Array:
    """Blur along rows and columns with a Gaussian; the border is repeated."""
    if sigma < 0.2:
        return light
    reach = math.ceil(2.5 * sigma)
    weights = np.exp(-(np.arange(-reach, reach + 1) ** 2) / (2 * sigma**2))
    weights = (weights / weights.sum()).astype(np.float32)
    for axis in (0, 1):
        widths = [(0, 0)] * light.ndim
        widths[axis] = (reach, reach)
        padded = np.pad(light, widths, mode="edge")
        count = light.shape[axis]
        light = np.zeros_like(light)
        for offset, weight in enumerate(weights):
            part = slice(offset, offset + count)
            light += weight * (padded[part] if axis == 0 else padded[:, part])
    return light
