"""Gather images that are no chest radiographs, to judge the abstain rule with.

Real ones come out of installed packages: photographs, micrographs and scans from scikit-image,
scikit-learn and matplotlib, each whole and as its four quarters, and the CT, MR, ultrasound,
nuclear-medicine and extremity images of pydicom-data. Drawn ones are `nanoray.datasets.decoys`.

    pip install scikit-image scikit-learn matplotlib pydicom-data
    python benchmarks/other_images.py FOLDER
    nanoray evaluate MODEL... --data DATA --others FOLDER
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, files
from pathlib import Path

import numpy as np
from PIL import Image

from nanoray.datasets.decoys import KINDS, draw_decoy

PHOTOGRAPHS = ("scikit-image", "scikit-learn", "matplotlib")
SMALLEST = 200
# One file of each image: pydicom-data repeats most of them in several encodings.
SCANS = (
    "693_UNCR.dcm",
    "JPEG2000_UNC.dcm",
    "JPGLosslessP14SV1_1s_1f_8b.dcm",
    "MR-SIEMENS-DICOM-WithOverlays.dcm",
    "MR2_UNCR.dcm",
    "OBXXXX1A.dcm",
    "OT-PAL-8-face.dcm",
    "RG3_UNCR.dcm",
    "US1_UNCR.dcm",
    "bad_sequence.dcm",
    "color-pl.dcm",
    "explicit_VR-UN.dcm",
    "gdcm-US-ALOKA-16.dcm",
)
DRAWN_OF_EACH_KIND = 30


def main(folder: Path) -> None:
    """Write the images again and print their number."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for package in PHOTOGRAPHS:
        for path in _pictures(package):
            with Image.open(path) as image:
                grey = image.convert("L")
            if min(grey.size) < SMALLEST:
                continue
            for number, box in enumerate(_whole_and_quarters(*grey.size)):
                grey.crop(box).save(folder / f"real-{path.stem}-{number}.png")
    for path in _files("pydicom-data"):
        if path.name in SCANS:
            shutil.copy(path, folder / f"real-{path.name}")
    for kind in KINDS:
        for seed in range(DRAWN_OF_EACH_KIND):
            pixels = np.rint(draw_decoy(kind, 1000 + seed) * 255).astype(np.uint8)
            Image.fromarray(pixels).save(folder / f"drawn-{kind}-{seed}.png")
    real, drawn = (len(list(folder.glob(f"{name}-*"))) for name in ("real", "drawn"))
    print(f"{folder}: {real} real images, {drawn} drawn")


def _files(package: str) -> Iterator[Path]:
    try:
        yield from (Path(str(file.locate())) for file in files(package) or ())
    except PackageNotFoundError:
        print(f"{package} is not installed: left out", file=sys.stderr)


def _pictures(package: str) -> Iterator[Path]:
    for path in _files(package):
        # A package's own figures and icons are no pictures of anything.
        if path.suffix in (".png", ".jpg") and path.parent.name in (
            "data",
            "images",
            "sample_data",
        ):
            yield path


def _whole_and_quarters(width: int, height: int) -> list[tuple[int, int, int, int]]:
    x, y = width // 2, height // 2
    return [
        (0, 0, width, height),
        (0, 0, x, y),
        (x, 0, width, y),
        (0, y, x, height),
        (x, y, width, height),
    ]


if __name__ == "__main__":
    main(Path(sys.argv[1]))
