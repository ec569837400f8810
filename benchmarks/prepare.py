"""Prepare a data set of the RSNA challenge's size: memory, resuming, and how fast it then streams.

    python benchmarks/prepare.py --count 26684

Draws phantoms as DICOM of 1024 x 1024 pixels (JPEG, as the challenge's files), gives each many
names in Kaggle's layout, stops `nanoray prepare rsna` by SIGKILL on the way, lets it go on, checks
the manifest, and times reading: original files, prepared files, and the memory-mapped array that
training uses, beside what the model needs.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from io import BytesIO
from pathlib import Path

import numpy as np
import pydicom
from PIL import Image
from processes import family, pss
from pydicom.encaps import encapsulate
from pydicom.uid import JPEGBaseline8Bit

import nanoray
from nanoray.datasets.folder import read_folder
from nanoray.datasets.images import load_squares
from nanoray.datasets.phantom import draw, write_dicom
from nanoray.errors import NanoRayError
from nanoray.reading.pool import read_many

SHARES = (("Lung Opacity", 0.225), ("No Lung Opacity / Not Normal", 0.443), ("Normal", 0.332))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=2000, help="files (the challenge: 26684)")
    parser.add_argument("--drawings", type=int, default=16, help="different phantoms")
    parser.add_argument("--size", type=int, default=512, help="of the prepared images")
    parser.add_argument("--folder", type=Path, help="working folder; default: a temporary one")
    options = parser.parse_args()
    folder = options.folder or Path(tempfile.mkdtemp(prefix="nanoray-prepare-"))
    try:
        measure(folder, options.count, options.drawings, options.size)
    finally:
        if options.folder is None:
            shutil.rmtree(folder)


def measure(folder: Path, count: int, drawings: int, size: int) -> None:
    kaggle, output = folder / "kaggle", folder / "prepared"
    write_kaggle(kaggle, count, drawings)
    command = [sys.executable, "-m", "nanoray", "prepare", "rsna", str(kaggle), "-o", str(output)]
    command += ["--size", str(size), "--split", "recipe"]
    start = time.perf_counter()
    first = run(command, stop_at=count // 3, images=output / "images")
    made = sum(1 for _ in (output / "images").glob("*.png"))
    print(f"killed after {made} of {count} files; peak memory of all processes {first:.0f} MB")
    second = run(command)
    seconds = time.perf_counter() - start
    about = json.loads((output / "dataset.json").read_text())
    print(f"resumed and finished; peak {second:.0f} MB; {count / seconds:.1f} files/s in all")
    print(f"{about['images']} images, {about['unreadable']} unreadable, parts {about['parts']}")
    checked = subprocess.run(
        [sys.executable, "-m", "nanoray", "prepare", "verify", str(output)],
        check=True,
        capture_output=True,
        text=True,
    )
    print(checked.stdout.strip().removeprefix(f"{output}: "))
    stream(kaggle, output, folder / "cache", min(count, 400))


def write_kaggle(folder: Path, count: int, drawings: int) -> None:
    """Kaggle's layout, `count` files that are links to a few drawings, and two corrupt ones."""
    images = folder / "stage_2_train_images"
    images.mkdir(parents=True, exist_ok=True)
    originals = []
    for seed in range(drawings):
        path = folder / f"drawing-{seed}.dcm"
        if not path.is_file():
            write_jpeg_dicom(seed, path)
        originals.append(path)
    rng = np.random.default_rng(0)
    names = [f"{rng.integers(16**8):08x}-{i:06d}" for i in range(count)]
    classes = rng.choice(len(SHARES), count, p=[share for _, share in SHARES])
    with (
        (folder / "stage_2_train_labels.csv").open("w", newline="") as labels,
        (folder / "stage_2_detailed_class_info.csv").open("w", newline="") as details,
    ):
        label_rows, class_rows = csv.writer(labels), csv.writer(details)
        label_rows.writerow(["patientId", "x", "y", "width", "height", "Target"])
        class_rows.writerow(["patientId", "class"])
        for index, name in enumerate(names):
            target = images / f"{name}.dcm"
            if not target.exists():
                if index in (7, count - 3):
                    target.write_bytes(originals[0].read_bytes()[:20_000])
                else:
                    os.link(originals[index % drawings], target)
            opacity = classes[index] == 0
            for _ in range(1 + bool(opacity and index % 2)):
                box = [264.0, 152.0, 213.0, 379.0] if opacity else [""] * 4
                label_rows.writerow([name, *box, int(opacity)])
            class_rows.writerow([name, SHARES[classes[index]][0]])


def write_jpeg_dicom(seed: int, path: Path) -> None:
    phantom = draw(seed, size=1024, opacity=bool(seed % 2))
    write_dicom(phantom, path)
    dataset = pydicom.dcmread(path)
    buffer = BytesIO()
    pixels = Image.fromarray(np.rint(phantom.pixels * 255).astype(np.uint8)).resize((1024, 1024))
    pixels.save(buffer, "JPEG", quality=92)
    dataset.PixelData = encapsulate([buffer.getvalue()])
    dataset["PixelData"].is_undefined_length = True
    dataset.Rows = dataset.Columns = 1024
    dataset.BitsAllocated = dataset.BitsStored = 8
    dataset.HighBit, dataset.PixelRepresentation = 7, 0
    dataset.PhotometricInterpretation = "MONOCHROME2"
    for keyword in (
        "WindowCenter",
        "WindowWidth",
        "RescaleSlope",
        "RescaleIntercept",
        "PixelPaddingValue",
        "VOILUTFunction",
        "PresentationLUTShape",
    ):
        if keyword in dataset:
            del dataset[keyword]
    dataset.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
    dataset.save_as(path, enforce_file_format=True)


def run(command: list[str], stop_at: int | None = None, images: Path | None = None) -> float:
    """Run a command; its peak memory with all its processes, in MiB. Kill it at some count."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    peak = 0.0
    while process.poll() is None:
        peak = max(peak, sum(pss(pid) for pid in family(process.pid)))
        if stop_at is not None and images is not None and images.is_dir():
            with os.scandir(images) as entries:
                if sum(1 for _ in entries) >= stop_at:
                    process.send_signal(signal.SIGKILL)
                    process.wait()
        time.sleep(0.5)
    return peak


def stream(kaggle: Path, output: Path, cache: Path, count: int) -> None:
    """Measure what a core reads from each kind of store, and what the model takes of it."""
    cases = read_folder(output)[:count]
    count = len(cases)
    originals = [kaggle / "stage_2_train_images" / f"{case.path.stem}.dcm" for case in cases]
    prepared = [case.path for case in cases]
    rates = {
        "original DICOM": rate(lambda: read_many(originals, 256, workers=1), count),
        "prepared PNG": rate(lambda: read_many(prepared, 256, workers=1), count),
    }
    squares = load_squares(cases, 256, cache, show_progress=False)
    rates["memory-mapped array"] = rate(
        lambda: (np.array(squares[i], np.float32) / 255 for i in range(count)), count
    )
    try:
        detector = nanoray.load()
        side = detector.card.input_size
        batch = np.random.default_rng(0).random((1, 1, side, side), np.float32)
        rates["the packaged model, one thread"] = rate(
            lambda: (detector.infer(batch) for _ in range(100)), 100
        )
    except NanoRayError:
        print("no packaged model to compare with")
    slowest = rates["original DICOM"]
    for name, value in rates.items():
        print(f"{name}: {value:.0f} images/s of one core, {value / slowest:.1f} x original DICOM")


def rate(make: Callable[[], Iterable[object]], count: int) -> float:
    """Images a second of CPU time, child processes included: what one idle core would do."""
    start = sum(os.times()[:4])
    for _ in make():
        pass
    return count / max(sum(os.times()[:4]) - start, 1e-6)


if __name__ == "__main__":
    main()
