"""Fill a folder with radiographs to screen: a real one in four encodings, and synthetic ones.

The real one is RG1 of the package pydicom-data, a chest radiograph published with the DICOM
standard's compression samples. Everything called synthetic is drawn by nanoray. One file is damaged
on purpose, to show what a batch does about it.

    python scripts/demo_radiographs.py FOLDER
"""

from __future__ import annotations

import shutil
import sys
from importlib.metadata import files
from pathlib import Path

import numpy as np
from PIL import Image

from nanoray.datasets.decoys import draw_decoy
from nanoray.datasets.phantom import draw, write_dicom

ENCODINGS = {
    "UNCI": "lossy-uncompressed",
    "UNCR": "uncompressed",
    "J2KI": "lossy-jpeg2000",
    "J2KR": "lossless-jpeg2000",
}


def main(folder: Path) -> None:
    """Write the files again."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for file in files("pydicom-data") or ():
        name, _, encoding = Path(file.name).stem.partition("_")
        if name == "RG1" and encoding in ENCODINGS:
            shutil.copy(str(file.locate()), folder / f"real-chest-{ENCODINGS[encoding]}.dcm")
    for seed in (1, 2, 3):
        write_dicom(draw(seed, opacity=True), folder / f"synthetic-opacity-{seed}.dcm")
        write_dicom(
            draw(seed + 10), folder / f"synthetic-clear-{seed}.dcm", photometric="MONOCHROME1"
        )
    save_picture(draw(4, opacity=True).pixels, folder / "synthetic-opacity-4.png")
    save_picture(draw(14).pixels, folder / "synthetic-clear-4.jpg")
    save_picture(draw_decoy("limb", 3), folder / "synthetic-not-a-chest.png")
    whole = (folder / "synthetic-clear-1.dcm").read_bytes()
    (folder / "synthetic-damaged.dcm").write_bytes(whole[: len(whole) // 2])


def save_picture(pixels: np.ndarray, path: Path) -> None:
    """Save float32 [H, W] in 0..1 with 8 bits."""
    Image.fromarray(np.rint(pixels * 255).astype(np.uint8)).save(path)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
