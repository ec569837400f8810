"""Small archives for the tests of screening them."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, DigitalXRayImageStorageForPresentation, ExplicitVRLittleEndian

from nanoray.archives.run_folder import RunFolder, RunSettings
from nanoray.detecting.model_file import read_card

PRIVATE = ("Roe", "Richard", "PID-4711", "ACC-0815", "19580722", "1.2.826.0.1.3680043.99")


def write_pictures(folder: Path, count: int, *, side: int = 64) -> list[Path]:
    """PNGs, each of another content; the tiny model suspects those that are mostly white."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for number in range(count):
        pixels = np.zeros((side, side), np.uint8)
        pixels[: side * (number % 10 + 1) // 11] = 255
        pixels[-1, :8] = [number >> shift & 15 for shift in range(0, 32, 4)]
        paths.append(folder / f"im{number}.png")
        Image.fromarray(pixels).save(paths[-1], compress_level=1)
    return paths


def write_dicom(path: Path, **changes: Any) -> Path:
    """Return a chest radiograph whose header is full of identifiers."""
    item = Dataset()
    item.file_meta = FileMetaDataset()
    item.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    item.file_meta.MediaStorageSOPClassUID = DigitalXRayImageStorageForPresentation
    item.file_meta.MediaStorageSOPInstanceUID = UID("1.2.826.0.1.3680043.99.1")
    item.SOPClassUID = DigitalXRayImageStorageForPresentation
    item.SOPInstanceUID = UID("1.2.826.0.1.3680043.99.1")
    item.StudyInstanceUID = "1.2.826.0.1.3680043.99.2"
    item.PatientName = "Roe^Richard"
    item.PatientID = "PID-4711"
    item.AccessionNumber = "ACC-0815"
    item.PatientBirthDate = item.StudyDate = "19580722"
    item.PatientAge, item.PatientSex = "097Y", "F"
    item.BodyPartExamined, item.ViewPosition, item.Modality = "CHEST", "PA", "DX"
    item.Rows = item.Columns = 64
    item.BitsAllocated, item.BitsStored, item.HighBit = 16, 12, 11
    item.PixelRepresentation, item.SamplesPerPixel = 0, 1
    item.PhotometricInterpretation = "MONOCHROME2"
    pixels = np.zeros((64, 64), np.uint16)
    pixels[:48] = 4095
    item.PixelData = pixels.tobytes()
    for keyword, value in changes.items():
        setattr(item, keyword, value)
    path.parent.mkdir(parents=True, exist_ok=True)
    item.save_as(path, enforce_file_format=True)
    return path


def begin_run(place: str, source: str, model: Path, **changes: Any) -> RunFolder:
    """Return a new run over a source."""
    content = model.read_bytes()
    card = read_card(model)
    values: dict[str, Any] = dict(
        source=source,
        model=card.name,
        model_version=card.version,
        model_digest=hashlib.sha256(content).hexdigest(),
        threshold=0.5,
        operating_point="balanced",
        part_size=500,
        heatmaps="none",
        key_check=None,
    )
    run = RunFolder(place)
    run.begin(RunSettings(**values | changes), content)
    return run


def rows(place: str | Path) -> list[dict[str, Any]]:
    """All rows of a run, in the order of its listing."""
    return [row for table in RunFolder(str(place)).tables() for row in table.to_pylist()]


def command(*arguments: object) -> list[str]:
    """Return the command line of `nanoray`."""
    return [sys.executable, "-m", "nanoray", *map(str, arguments)]


def start(*arguments: object) -> subprocess.Popen[bytes]:
    """Start `nanoray` in a process group of its own."""
    return subprocess.Popen(
        command(*arguments),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def wait_for(condition: Any, *, seconds: float = 240.0) -> bool:
    """Wait until a condition holds, for a long time at most: machines that test are slow."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.02)
    return bool(condition())


def group_is_gone(group: int) -> bool:
    """Whether no process of a group is left."""
    try:
        os.killpg(group, 0)
    except (ProcessLookupError, PermissionError):
        return True
    return False
