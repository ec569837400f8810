"""The DICOM files that come with pydicom and pydicom-data, and what NanoRay makes of them."""

from __future__ import annotations

import io
import warnings
from importlib.metadata import files
from pathlib import Path

import numpy as np
import pydicom
from pydicom.pixels.processing import apply_modality_lut

from nanoray.errors import UnreadableError
from nanoray.reading import read
from nanoray.reading.file_kind import kind_of

LARGEST = 300_000
"""Larger files take more time than the suite has."""


def corpus() -> dict[str, Path]:
    """Files by name: pydicom's own, and those of pydicom-data."""
    found: dict[str, Path] = {}
    own = Path(pydicom.__file__).parent / "data" / "test_files"
    for path in sorted(own.rglob("*")):
        if _taken(path):
            found[f"pydicom/{path.relative_to(own).as_posix()}"] = path
    for file in files("pydicom-data") or ():
        path = Path(str(file.locate()))
        if _taken(path):
            found[f"pydicom-data/{path.name}"] = path
    return dict(sorted(found.items()))


def _taken(path: Path) -> bool:
    if not path.is_file() or path.stat().st_size > LARGEST or path.suffix in (".py", ".pyc"):
        return False
    with path.open("rb") as stream:
        return kind_of(stream.read(512)) == "DICOM"


def outcome(path: Path) -> str:
    """ "read", or the code of the reason why not."""
    try:
        read(path)
    except UnreadableError as error:
        return error.code
    return "read"


def agrees_with_pydicom(path: Path) -> bool | None:
    """Whether the grey values are a monotonic function of pydicom's modality values.

    So are they after any window or table, and in no other case: a wrong decoder, sign, byte order
    or number of bits would give one value two grey values, or another order. None where the two
    do not show the same: colour, turned or covered images, and what pydicom cannot decode.
    """
    radiograph = read(path)
    if radiograph.facts.orientation != 1:
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            dataset = pydicom.dcmread(io.BytesIO(path.read_bytes()), force=True)
            values = apply_modality_lut(dataset.pixel_array, dataset).astype(np.float64)
    except Exception:
        return None
    grey = radiograph.pixels
    grey_scale = str(dataset.PhotometricInterpretation).startswith("MONOCHROME")
    special = "PixelPaddingValue" in dataset or "VOILUTSequence" in dataset
    if values.shape != grey.shape or special or not grey_scale:
        return None
    levels, index = np.unique(values, return_inverse=True)
    lowest, highest = np.full(levels.size, np.inf), np.full(levels.size, -np.inf)
    np.minimum.at(lowest, index.ravel(), grey.ravel())
    np.maximum.at(highest, index.ravel(), grey.ravel())
    steps = np.diff(highest)
    monotonic = bool((steps >= -1e-6).all() or (steps <= 1e-6).all())
    return bool((highest - lowest <= 1e-6).all()) and monotonic
