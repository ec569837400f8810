"""Read each kind of file over and over in one process, and report how its memory grows.

    python scripts/reading_memory.py [--count 10000] [--side 300] [KIND ...]

Resident memory is taken after a tenth of the readings, when caches and pools are filled, and after
all. Exit code 1 if a kind grows by more than 1 MiB in 1,000 files.
"""

from __future__ import annotations

import argparse
import io
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image
from pydicom.uid import (
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    RLELossless,
)

from nanoray.datasets.phantom import Phantom, draw, write_dicom
from nanoray.reading import keep_memory, needed_side, read
from nanoray.reading.prepared import prepared

GROWTH = 1.0
SYNTAXES = {
    "native": ExplicitVRLittleEndian,
    "rle": RLELossless,
    "jpeg-ls": JPEGLSLossless,
    "jpeg2000": JPEG2000Lossless,
}
PICTURES = {"png": "PNG", "jpeg": "JPEG", "tiff": "TIFF", "jp2": "JPEG2000", "webp": "WEBP"}


def dicom(syntax: str) -> Callable[[Phantom, Path], bytes]:
    def made(phantom: Phantom, folder: Path) -> bytes:
        write_dicom(phantom, folder / "film.dcm", transfer_syntax=syntax)
        return (folder / "film.dcm").read_bytes()

    return made


def picture(name: str) -> Callable[[Phantom, Path], bytes]:
    def made(phantom: Phantom, _: Path) -> bytes:
        buffer = io.BytesIO()
        Image.fromarray(np.rint(phantom.pixels * 255).astype(np.uint8)).save(buffer, name)
        return buffer.getvalue()

    return made


def jpeg_dicom(_: Phantom, folder: Path) -> bytes:
    sys.path.insert(0, str(Path(__file__).parent.parent / "benchmarks"))
    from prepare import write_jpeg_dicom

    write_jpeg_dicom(1, folder / "film.dcm")
    return (folder / "film.dcm").read_bytes()


KINDS = (
    {"jpeg dicom": jpeg_dicom}
    | {f"{name} dicom": dicom(syntax) for name, syntax in SYNTAXES.items()}
    | {name: picture(form) for name, form in PICTURES.items()}
)


def resident() -> float:
    """Return this process's resident memory, MiB (Linux)."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 2**20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("kinds", nargs="*", metavar="KIND", help=", ".join(KINDS))
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--side", type=int, default=300, help="of the drawn radiograph, pixels")
    options = parser.parse_args()
    keep_memory()
    print("| file | after a tenth, MiB | after all, MiB | MiB in 1,000 files |")
    print("|---|---|---|---|")
    grown = False
    with tempfile.TemporaryDirectory() as folder:
        phantom = draw(3, size=options.side)
        for kind in options.kinds or KINDS:
            data = KINDS[kind](phantom, Path(folder))
            early = 0.0
            for number in range(options.count):
                prepared(kind, read(data, min_side=needed_side(256)), 256, thumbnail=False)
                if number == options.count // 10:
                    early = resident()
            growth = (resident() - early) / (0.9 * options.count) * 1000
            grown |= growth > GROWTH
            print(f"| {kind} | {early:.1f} | {resident():.1f} | {growth:+.3f} |", flush=True)
    sys.exit(int(grown))


if __name__ == "__main__":
    main()
