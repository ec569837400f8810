"""Read one file of every transfer syntax, to compare the decoders of two machines.

    python scripts/syntaxes.py --write here.npz         on each machine
    python scripts/syntaxes.py --compare here.npz there.npz

The files are those of pydicom and pydicom-data, of each syntax the smallest that is read, and the
drawings of tests/support/codec_samples.py. The comparison prints a table. Exit status 1 where the
pictures are not the same in 12 bits, or a syntax is read on one machine only.
"""

from __future__ import annotations

import argparse
import io
import sys
from importlib.metadata import files
from pathlib import Path

import numpy as np
import pydicom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import UID, DigitalXRayImageStorageForPresentation

from nanoray.errors import UnreadableError
from nanoray.reading import read

sys.path.append(str(Path(__file__).parents[1] / "tests" / "support"))
import codec_samples

LARGEST = 300_000
TOLERANCE = 1 / 4096


def main() -> None:
    """Write the results of this machine, or compare two machines."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--write", type=Path, metavar="NPZ")
    parser.add_argument("--compare", type=Path, nargs=2, metavar="NPZ")
    options = parser.parse_args()
    if options.write is not None:
        np.savez_compressed(options.write, **pictures())  # type: ignore[arg-type]
    if options.compare is not None:
        here, there = (dict(np.load(path)) for path in options.compare)
        sys.exit(not compare(here, there))


def pictures() -> dict[str, np.ndarray]:
    """Grey values float32 [rows, columns] by "syntax, file"."""
    found: dict[str, np.ndarray] = {}
    done: set[UID] = set()
    for path in sorted(samples(), key=lambda one: one.stat().st_size):
        try:
            meta = pydicom.filereader.read_file_meta_info(path)
            syntax = UID(meta.TransferSyntaxUID)
            if syntax not in done:
                found[f"{syntax.name}, {path.name}"] = read(path).pixels
                done.add(syntax)
        except (UnreadableError, AttributeError, pydicom.errors.InvalidDicomError):
            continue
    for uid, name in codec_samples.SYNTAXES.items():
        stream = drawn(UID(uid), getattr(codec_samples, name))
        found[f"{UID(uid).name}, a drawing"] = read(stream).pixels
    return found


def drawn(syntax: UID, stream: bytes) -> bytes:
    """Return a DICOM file around a compressed 12-bit picture of 20 x 24 pixels."""
    item = Dataset()
    item.file_meta = FileMetaDataset()
    item.file_meta.TransferSyntaxUID = syntax
    item.SOPClassUID = DigitalXRayImageStorageForPresentation
    item.SOPInstanceUID = "1.2.3"
    item.Rows, item.Columns = 24, 20
    item.BitsAllocated, item.BitsStored, item.HighBit = 16, 12, 11
    item.PixelRepresentation, item.SamplesPerPixel = 0, 1
    item.PhotometricInterpretation = "MONOCHROME2"
    item.PixelData = encapsulate([stream])
    item["PixelData"].is_undefined_length = True
    buffer = io.BytesIO()
    item.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def samples() -> list[Path]:
    """Small files of pydicom and pydicom-data."""
    own = Path(pydicom.__file__).parent / "data" / "test_files"
    every = [*own.rglob("*"), *(Path(str(file.locate())) for file in files("pydicom-data") or ())]
    return [path for path in every if path.is_file() and path.stat().st_size <= LARGEST]


def compare(here: dict[str, np.ndarray], there: dict[str, np.ndarray]) -> bool:
    """Print a row for each syntax; whether all are the same."""
    print("| transfer syntax | file | pixels | largest difference of grey values (of 1) |")
    print("|---|---|---|---|")
    same = here.keys() == there.keys() and bool(here)
    for name in sorted(here.keys() | there.keys()):
        syntax, file = name.rsplit(", ", 1)
        if name not in here or name not in there:
            print(f"| {syntax} | {file} | | read on one machine only |")
            continue
        equal = here[name].shape == there[name].shape
        moved = float(np.abs(here[name] - there[name]).max()) if equal else 1.0
        same = same and moved <= TOLERANCE
        rows, columns = here[name].shape
        print(f"| {syntax} | {file} | {columns} x {rows} | {moved:.1e} |")
    return same


if __name__ == "__main__":
    main()
