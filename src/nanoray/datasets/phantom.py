"""Synthetic frontal chest radiographs, for tests and tutorials without real ones.

A drawn body is projected: thickness times attenuation along each ray, exposure, detector noise and
a display curve. A seed determines the image. The phantoms resemble radiographs, but are no medical
training data.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import (
    UID,
    DigitalXRayImageStorageForPresentation,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    generate_uid,
)

from nanoray.datasets.folder import BOX_FRAME

Array = NDArray[np.float32]
COLUMNS = (
    "patientId",
    "class_name",
    "Target",
    "source_patient",
    "sex",
    "age",
    "view",
    "pixel_spacing",
    "boxes",
    "source",
)


@dataclass(frozen=True, slots=True)
class Phantom:
    """A synthetic radiograph.

    Attributes:
        seed: of the drawing.
        pixels: float32 [H, W] in 0..1, bright bone on dark.
        boxes: opacities as (x, y, width, height) in pixels of this image.
        view: "PA" or "AP".
        sex, age: "M" or "F", years; they change the drawing a little.
    """

    seed: int
    pixels: Array
    boxes: tuple[tuple[int, int, int, int], ...]
    view: str
    sex: str
    age: int


@dataclass(frozen=True, slots=True)
class _Grid:
    """Return the coordinates of the pixels: x from -1 to 1 across, y from -1 (top) to 1."""

    x: Array
    y: Array
    rows: int
    columns: int

    def blurred(self, image: Array, radius: float) -> Array:
        """Blur twice with a box, close to a Gaussian; the radius is a share of the height."""
        reach = max(1, round(radius * self.rows))
        for axis in (0, 1, 0, 1):
            image = _box_mean(image, reach, axis)
        return image

    def strokes(self, lines: Sequence[tuple[NDArray[np.floating], float]]) -> Array:
        """Draw polylines, each an array [P, 2] of (x, y) and a width as share of the height."""
        canvas = Image.new("F", (self.columns, self.rows), 0.0)
        pen = ImageDraw.Draw(canvas)
        scale = np.array([self.columns / 2, self.rows / 2])
        for points, width in lines:
            pixels = ((points + 1) * scale).astype(np.float64)
            pen.line(
                [tuple(point) for point in pixels], 1.0, max(1, round(width * self.rows)), "curve"
            )
        return np.asarray(canvas, np.float32)


def draw(seed: int, *, size: int = 512, opacity: bool = False) -> Phantom:
    """Draw a phantom whose longer side has `size` pixels.

    The same seed gives the same body and exposure with and without `opacity`, so the opacity is the
    only difference between the classes.
    """
    rng = np.random.default_rng((seed, 1))
    view = "AP" if rng.random() < 0.45 else "PA"
    sex, age = str(rng.choice(["F", "M"])), int(rng.integers(19, 91))
    ratio = float(rng.uniform(0.84, 1.12))
    rows, columns = (size, round(size * ratio)) if ratio < 1 else (round(size / ratio), size)
    grid = _grid(rows, columns, rng)
    lungs, sides = _lungs(grid, rng, view)
    attenuation = _body(grid, rng, sex)
    attenuation = attenuation - 0.62 * lungs * rng.uniform(0.85, 1.1)
    attenuation += _mediastinum(grid, rng, view) + _skeleton(grid, rng, lungs, view, age)
    attenuation += _vessels(grid, rng, sides) * grid.blurred(lungs, 0.01)
    if view == "AP":
        attenuation += _lines(grid, rng)
    exposure = rng.integers(2**32)
    boxes: tuple[tuple[int, int, int, int], ...] = ()
    if opacity:
        shadow, boxes = _opacity(grid, np.random.default_rng((seed, 2)), sides)
        attenuation = attenuation + shadow
    pixels = _expose(grid, attenuation, np.random.default_rng(exposure))
    return Phantom(seed, pixels, boxes, view, sex, age)


def _grid(rows: int, columns: int, rng: np.random.Generator) -> _Grid:
    y, x = np.meshgrid(
        np.linspace(-1, 1, rows, dtype=np.float32),
        np.linspace(-1, 1, columns, dtype=np.float32),
        indexing="ij",
    )
    tilt, zoom = rng.normal(0, 0.03), rng.uniform(0.92, 1.1)
    shift_x, shift_y = rng.normal(0, 0.04, 2)
    turned_x = (np.cos(tilt) * x - np.sin(tilt) * y) * zoom + shift_x
    turned_y = (np.sin(tilt) * x + np.cos(tilt) * y) * zoom + shift_y
    return _Grid(turned_x.astype(np.float32), turned_y.astype(np.float32), rows, columns)


def _box_mean(image: Array, reach: int, axis: int) -> Array:
    widths = [(0, 0), (0, 0)]
    widths[axis] = (reach + 1, reach)
    sums = np.cumsum(np.pad(image, widths, "edge"), axis, dtype=np.float64)
    window = 2 * reach + 1
    length = sums.shape[axis]
    upper = np.take(sums, range(window, length), axis)
    lower = np.take(sums, range(length - window), axis)
    return ((upper - lower) / window).astype(np.float32)


def _step(distance: NDArray[np.floating], softness: float) -> Array:
    """Return 1 where `distance` is negative, 0 where positive, with a soft edge."""
    edge: Array = (0.5 - 0.5 * np.tanh(distance / softness)).astype(np.float32)
    return edge


def _body(grid: _Grid, rng: np.random.Generator, sex: str) -> Array:
    x, y = grid.x, grid.y
    # Neck, shoulders that run out of the frame, chest wall.
    half = 0.3 + 0.95 / (1 + np.exp(-(y + rng.uniform(0.78, 0.9)) * 14)) - 0.16 * (y + 0.4) ** 2
    inside = np.clip(1 - (x / half) ** 2, 0, 1)
    thickness = np.sqrt(inside) * (0.86 + 0.16 * y)
    if sex == "F":
        for side in (-1, 1):
            distance = np.hypot((x - side * 0.48) / 0.36, (y - rng.uniform(0.3, 0.5)) / 0.34)
            thickness = thickness + 0.11 * np.clip(1 - distance**2, 0, 1)
    fat = _noise(grid, rng, 6) * 0.03
    body: Array = (thickness + fat * inside).astype(np.float32)
    return body


def _lungs(grid: _Grid, rng: np.random.Generator, view: str) -> tuple[Array, list[Array]]:
    """Return the relative air along each ray, and the two lungs separately."""
    x, y = grid.x, grid.y
    breath = rng.uniform(0.82, 1.08) * (0.92 if view == "AP" else 1.0)
    sides = []
    for side in (-1, 1):
        middle = side * rng.uniform(0.4, 0.45)
        apex, base = rng.uniform(-0.78, -0.7), rng.uniform(0.48, 0.58) * breath
        height = (y - apex) / (base - apex)
        width = rng.uniform(0.3, 0.34) * np.clip(np.sin(np.clip(height * 1.9 + 0.28, 0, 2.2)), 0, 1)
        lateral = np.abs(x - middle - side * 0.06 * height) - width
        dome = y - (base - 0.13 * np.cos(np.clip((x - middle) * 3.4, -1.5, 1.5)))
        if side == 1:
            # The heart reduces the left lung, which is on the right of the image.
            notch = np.hypot((x - 0.16) / 0.3, (y - 0.3) / 0.36) - 1
            lateral = np.maximum(lateral, -0.22 * notch)
        outline = np.maximum(np.maximum(lateral, dome), (apex - y) * 0.8)
        sides.append(_step(outline, 0.022))
    return np.clip(sides[0] + sides[1], 0, 1).astype(np.float32), sides


def _mediastinum(grid: _Grid, rng: np.random.Generator, view: str) -> Array:
    x, y = grid.x, grid.y
    heart = rng.uniform(0.26, 0.34) * (1.18 if view == "AP" else 1.0)
    distance = np.hypot((x - 0.11) / heart, (y - 0.3) / 0.32)
    shadow = 0.25 * _step(distance - 1, 0.07)
    column = 0.10 + 0.05 * np.clip(-y - 0.1, 0, 1) + 0.02 * np.sin(y * 5 + rng.uniform(0, 6))
    shadow = np.maximum(shadow, 0.32 * _step(np.abs(x - 0.01) - column, 0.03))
    knob = np.hypot((x - 0.12) / 0.085, (y + 0.26) / 0.1)
    shadow = np.maximum(shadow, 0.28 * _step(knob - 1, 0.15))
    windpipe = _step(np.abs(x + 0.01) - 0.035, 0.012) * _step(y + 0.22, 0.05)
    belly = 0.2 * _step(0.62 - y, 0.06)
    total: Array = (shadow - 0.14 * windpipe + belly).astype(np.float32)
    return total


def _skeleton(grid: _Grid, rng: np.random.Generator, lungs: Array, view: str, age: int) -> Array:
    x, y = grid.x, grid.y
    bone = np.float32(1.1 - 0.004 * age)
    spacing, first = rng.uniform(0.118, 0.134), rng.uniform(-0.84, -0.78)
    steep, bend = rng.uniform(0.28, 0.42), rng.uniform(0.55, 0.8)
    across = np.abs(x)
    total = np.zeros_like(x)
    cage = _step(across - 0.86 - 0.08 * y, 0.02)
    for rib in range(10):
        start = first + spacing * rib
        # Posterior: rising from the spine, then falling to the side. Anterior: falling to the
        # middle.
        behind = start - 0.18 * across + steep * bend * 2 * np.clip(across - 0.18, 0, 1) ** 2
        half = 0.019 + 0.002 * rib / 10
        distance = np.abs(y - behind) - half
        tube = _step(distance, 0.006)
        rim = np.exp(-((distance / 0.007) ** 2)) * 0.5
        total += 0.12 * (tube + rim) * cage * _step(0.05 - across, 0.01)
        if 1 <= rib <= 7:
            front = start + 0.3 + steep * 1.1 * (0.75 - across)
            tube = _step(np.abs(y - front) - half * 1.15, 0.008)
            total += 0.08 * tube * cage * _step(0.3 - across, 0.06)
    spine = _step(np.abs(x) - 0.075, 0.015)
    vertebrae = 0.6 + 0.4 * np.cos((y + rng.uniform(0, 1)) * 2 * np.pi / 0.115)
    total += spine * (0.1 + 0.03 * vertebrae)
    slope = rng.uniform(0.05, 0.22)
    for side in (-1, 1):
        along = side * x
        centre = -0.66 - slope * along + 0.05 * np.sin(along * 6 + rng.uniform(-0.5, 0.5))
        collar = _step(np.abs(y - centre) - 0.024, 0.008) * _step(0.07 - along, 0.02)
        total += 0.14 * collar * _step(along - 0.85, 0.03)
        blade = np.hypot((along - (0.72 if view == "AP" else 0.86)) / 0.16, (y + 0.28) / 0.34)
        total += 0.05 * _step(blade - 1, 0.08)
    seen: Array = (total * bone * (0.75 + 0.25 * lungs)).astype(np.float32)
    return seen


def _vessels(grid: _Grid, rng: np.random.Generator, sides: list[Array]) -> Array:
    """Draw branches from each hilum outwards, with decreasing width."""
    layers = np.zeros_like(grid.x)
    for thickness in (0.010, 0.005):
        lines = []
        for side in (-1, 1):
            for _ in range(16 if thickness > 0.006 else 34):
                angle, point = (
                    rng.uniform(-1.35, 1.35),
                    np.array([side * 0.17, rng.normal(0.0, 0.05)]),
                )
                points = [point]
                for _ in range(7):
                    angle += rng.normal(0, 0.22)
                    point = point + 0.06 * np.array([side * np.cos(angle), np.sin(angle)])
                    points.append(point)
                lines.append((np.array(points), thickness))
        layers = layers + grid.blurred(grid.strokes(lines), 0.004) * 9 * thickness
    hilum = sum(
        np.exp(-(((grid.x - side * 0.2) / 0.09) ** 2) - ((grid.y / 0.16) ** 2)) for side in (-1, 1)
    )
    texture = np.abs(_noise(grid, rng, 40)) * 0.035
    found: Array = (layers + 0.09 * hilum + texture).astype(np.float32)
    return found


def _lines(grid: _Grid, rng: np.random.Generator) -> Array:
    """Draw leads and tubes of a patient in bed."""
    lines = []
    for _ in range(int(rng.integers(0, 4))):
        start, end = rng.uniform(-0.9, 0.9, 2), rng.uniform(-0.6, 0.6, 2)
        t = np.linspace(0, 1, 12)[:, None]
        bow = rng.normal(0, 0.15, 2)
        lines.append((start + (end - start) * t + np.sin(np.pi * t) * bow, 0.006))
    if rng.random() < 0.4:
        down = np.linspace(-1, rng.uniform(-0.3, 0.0), 10)
        lines.append((np.stack([0.01 + rng.normal(0, 0.006, 10), down], 1), 0.014))
    return grid.strokes(lines) * 0.16 if lines else np.zeros_like(grid.x)


def _opacity(
    grid: _Grid, rng: np.random.Generator, sides: list[Array]
) -> tuple[Array, tuple[tuple[int, int, int, int], ...]]:
    """Draw one or two soft-edged consolidations inside the lungs."""
    shadow = np.zeros_like(grid.x)
    boxes = []
    both = rng.random() < 0.35
    for lung in sides if both else [sides[int(rng.integers(2))]]:
        rows, columns = np.nonzero(lung > 0.8)
        weight = np.exp(1.2 * rows / grid.rows)
        pick = rng.choice(len(rows), p=weight / weight.sum())
        centre_x, centre_y = grid.x[rows[pick], columns[pick]], grid.y[rows[pick], columns[pick]]
        radius_x, radius_y = rng.uniform(0.13, 0.26), rng.uniform(0.13, 0.3)
        ragged = _noise(grid, rng, 9) * 0.35 + _noise(grid, rng, 22) * 0.2
        distance = np.hypot((grid.x - centre_x) / radius_x, (grid.y - centre_y) / radius_y)
        blob = _step(distance + ragged - 0.85, 0.28) * lung
        shadow += blob * rng.uniform(0.2, 0.34) * (0.9 + 0.3 * _noise(grid, rng, 30))
        rows, columns = np.nonzero(blob > 0.35)
        if len(rows):
            left, top = int(columns.min()), int(rows.min())
            boxes.append((left, top, int(columns.max()) - left + 1, int(rows.max()) - top + 1))
    return np.maximum(shadow, 0).astype(np.float32), tuple(boxes)


def _noise(grid: _Grid, rng: np.random.Generator, cells: int) -> Array:
    """Draw smooth noise of unit variance with `cells` bumps along a side."""
    coarse = Image.fromarray(rng.standard_normal((cells, cells)).astype(np.float32))
    smooth = np.asarray(coarse.resize((grid.columns, grid.rows), Image.Resampling.BICUBIC))
    scaled: Array = (smooth / 0.75).astype(np.float32)
    return scaled


def _expose(grid: _Grid, attenuation: Array, rng: np.random.Generator) -> Array:
    """Apply Beer-Lambert, scatter, quantum noise, and the display curve."""
    absorbed = grid.blurred(attenuation, 0.0015) * rng.uniform(2.3, 2.9)
    photons = np.exp(-absorbed)
    photons = photons + rng.uniform(0.02, 0.06) * grid.blurred(photons, 0.08)
    dose = rng.uniform(2500, 12000)
    photons = photons + np.sqrt(photons / dose) * rng.standard_normal(photons.shape)
    density = -np.log(np.clip(photons, 1e-3, None))
    low, high = np.quantile(density, [0.01, 0.99])
    display = (density - low) / (high - low)
    # An S-shaped curve like that of film, with a random exposure.
    gamma, centre = rng.uniform(0.85, 1.25), rng.uniform(0.42, 0.56)
    display = 1 / (1 + np.exp(-5.2 * (np.clip(display, -0.2, 1.2) ** 1.0 - centre) * gamma))
    display = _mark(grid, display.astype(np.float32), rng)
    return np.clip(display, 0, 1).astype(np.float32)


def _mark(grid: _Grid, image: Array, rng: np.random.Generator) -> Array:
    """Draw a side marker, and sometimes the black borders of the collimator."""
    picture = Image.fromarray(image)
    if rng.random() < 0.6:
        place = (
            round(grid.columns * rng.uniform(0.04, 0.1)),
            round(grid.rows * rng.uniform(0.03, 0.1)),
        )
        ImageDraw.Draw(picture).text(place, "R", 0.98, font_size=max(8, grid.rows // 18))
    marked = np.array(picture, np.float32)
    if rng.random() < 0.35:
        top, bottom = (round(grid.rows * share) for share in rng.uniform(0, 0.05, 2))
        left, right = (round(grid.columns * share) for share in rng.uniform(0, 0.06, 2))
        inner = np.zeros_like(marked)
        window = (slice(top, grid.rows - bottom), slice(left, grid.columns - right))
        inner[window] = marked[window]
        marked = inner
    return marked


def write_dicom(
    phantom: Phantom,
    path: Path,
    *,
    photometric: str = "MONOCHROME2",
    bits: int = 12,
    transfer_syntax: str = ExplicitVRLittleEndian,
) -> None:
    """Write a phantom as a DX image for presentation (DICOM PS3.3 A.26), marked as synthetic.

    Args:
        photometric: "MONOCHROME2", or "MONOCHROME1" with inverted samples.
        bits: stored bits, 8 to 16.
        transfer_syntax: an uncompressed one, or one that pydicom has an encoder for here.
    """
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = DigitalXRayImageStorageForPresentation
    meta.MediaStorageSOPInstanceUID = generate_uid(entropy_srcs=["nanoray", str(phantom.seed)])
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dicom = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
    dicom.SOPClassUID = meta.MediaStorageSOPClassUID
    dicom.SOPInstanceUID = meta.MediaStorageSOPInstanceUID
    dicom.StudyInstanceUID = generate_uid(entropy_srcs=["nanoray study", str(phantom.seed)])
    dicom.SeriesInstanceUID = generate_uid(entropy_srcs=["nanoray series", str(phantom.seed)])
    dicom.PatientName = "Phantom^Synthetic"
    dicom.PatientID = f"PHANTOM-{phantom.seed}"
    dicom.PatientSex, dicom.PatientAge = phantom.sex, f"{phantom.age:03d}Y"
    dicom.ImageComments = "SYNTHETIC: drawn by nanoray, not of a person"
    dicom.Modality, dicom.BodyPartExamined, dicom.ViewPosition = "DX", "CHEST", phantom.view
    dicom.BurnedInAnnotation, dicom.PresentationLUTShape = "YES", "IDENTITY"
    dicom.ImageType = ["DERIVED", "SECONDARY"]
    dicom.Rows, dicom.Columns = phantom.pixels.shape
    dicom.SamplesPerPixel, dicom.PhotometricInterpretation = 1, photometric
    dicom.BitsAllocated = 8 if bits == 8 else 16
    dicom.BitsStored, dicom.HighBit, dicom.PixelRepresentation = bits, bits - 1, 0
    top = 2**bits - 1
    dicom.WindowCenter, dicom.WindowWidth = (top + 1) / 2, top + 1
    dicom.RescaleIntercept, dicom.RescaleSlope, dicom.RescaleType = 0, 1, "US"
    spacing = round(430 / max(phantom.pixels.shape), 4)
    dicom.PixelSpacing = dicom.ImagerPixelSpacing = [spacing, spacing]
    samples = np.rint(phantom.pixels * top).astype(np.uint8 if bits == 8 else np.uint16)
    if photometric == "MONOCHROME1":
        samples = (top - samples).astype(samples.dtype)
        dicom.PresentationLUTShape = "INVERSE"
    dicom.PixelData = samples.tobytes()
    if transfer_syntax != ExplicitVRLittleEndian:
        if transfer_syntax == ImplicitVRLittleEndian:
            meta.TransferSyntaxUID = UID(transfer_syntax)
        else:
            dicom.compress(transfer_syntax, generate_instance_uid=False)
    dicom.save_as(path, enforce_file_format=True)


def write_data_set(
    folder: Path,
    *,
    count: int,
    seed: int = 0,
    prevalence: float = 0.5,
    size: int = 256,
) -> Iterator[Path]:
    """Write `count` phantoms as `images/<name>.dcm` and, at the end, `labels.csv`.

    The table has the columns of the prepared RSNA data sets, boxes in pixels of a 1024 x 1024
    frame. About one patient in ten has two images. The function yields each written file, for a
    progress bar. The generator must be run to its end.
    """
    (folder / "images").mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    positive = rng.permutation(count) < round(count * prevalence)
    table = []
    person = 0
    for index in range(count):
        if index == 0 or rng.random() > 0.1:
            person += 1
        phantom = draw(seed * 1_000_003 + index, size=size, opacity=bool(positive[index]))
        name = f"phantom-{seed}-{index:05d}"
        write_dicom(phantom, folder / "images" / f"{name}.dcm")
        rows, columns = phantom.pixels.shape
        boxes = [
            [
                round(BOX_FRAME * x / columns, 1),
                round(BOX_FRAME * y / rows, 1),
                round(BOX_FRAME * width / columns, 1),
                round(BOX_FRAME * height / rows, 1),
            ]
            for x, y, width, height in phantom.boxes
        ]
        table.append(
            [
                name,
                "Lung Opacity" if positive[index] else "Normal",
                int(positive[index]),
                f"phantom-{seed}-person-{person:05d}",
                phantom.sex,
                phantom.age,
                phantom.view,
                round(430 / max(rows, columns), 4),
                json.dumps(boxes),
                "phantom",
            ]
        )
        yield folder / "images" / f"{name}.dcm"
    partial = folder / "labels.csv.partial"
    with partial.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        writer.writerows(table)
    partial.replace(folder / "labels.csv")
