"""How far the probability moves where JPEG 2000 is decoded from fewer wavelet levels.

    python benchmarks/jpeg2000_levels.py DATA/rsna [--count 60] [--side 2048] [--output FILE]

Takes the radiographs that the packaged recipe holds out, as benchmarks/poses_and_borders.py does.
No public set at hand has radiographs of hospital size, so each is enlarged to `--side` pixels, with
noise of 1 % of the scale, which stands for what a detector's finest levels hold, and written as a
lossless JPEG 2000 DICOM of 12 bits by OpenJPEG (5-3 wavelets). Each is then judged twice: as by
default, from the levels that the square needs, and whole, as with `--exact`.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image
from pydicom.uid import JPEG2000Lossless

import nanoray
from nanoray.datasets.folder import read_folder, select
from nanoray.datasets.phantom import Phantom, write_dicom
from nanoray.datasets.splits import split_into_folds
from nanoray.detecting.prediction import ABSTAINED
from nanoray.reading import needed_side, read

LEVELS, RANDOM = "fewer levels", "random changes of 0.0001"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, help="folder with labels.csv and images")
    parser.add_argument("--count", type=int, default=60)
    parser.add_argument("--side", type=int, default=2048)
    parser.add_argument("--noise", type=float, default=0.01, help="standard deviation, of 1")
    parser.add_argument("--model", type=Path, help="default: the packaged one")
    parser.add_argument("--output", type=Path, help="write the table here too (Markdown)")
    options = parser.parse_args()
    cases = read_folder(options.data)
    split = split_into_folds(cases, select(cases, "publisher", "challenge-mix"))[0]
    paths = [cases[index].path for index in split.validation[: options.count]]
    default, exact = nanoray.load(options.model), nanoray.load(options.model, exact=True)
    moves: dict[str, list[tuple[float, float]]] = {LEVELS: [], RANDOM: []}
    decisions, scales = 0, set()
    with tempfile.TemporaryDirectory() as folder:
        for number, path in enumerate(paths):
            file = Path(folder) / "film.dcm"
            write_dicom(enlarged(path, number, options), file, transfer_syntax=JPEG2000Lossless)
            side = needed_side(default.card.input_size)
            scales.add(options.side // max(read(file, min_side=side).grey.shape))
            found, whole = default.predict(file), exact.predict(file)
            moves[LEVELS].append(difference(found, whole))
            pixels = read(file).pixels
            change = np.random.default_rng(number).uniform(-1e-4, 1e-4, pixels.shape)
            moved = np.clip(pixels + change.astype(np.float32) * (pixels > 0), 0, 1)
            moves[RANDOM].append(difference(exact.predict(moved), exact.predict(pixels)))
            judged = ABSTAINED not in (found.decision, whole.decision)
            decisions += judged and found.decision != whole.decision
    ranks = (50, 90, 99, 100)
    lines = [
        f"{len(paths)} radiographs of {options.side} pixels, decoded at "
        f"{' or '.join(f'1/{scale}' for scale in sorted(scales))} of the size; model "
        f"{default.card.name} {default.card.version}; {decisions} decisions changed.",
        "",
        "| moved by | median | 90 % below | 99 % below | largest |",
        "|---|---|---|---|---|",
        *(
            f"| {kind}: {name} | "
            f"{' | '.join(f'{np.percentile(values, rank):.5f}' for rank in ranks)} |"
            for kind, pairs in moves.items()
            for name, values in zip(("probability", "logit"), zip(*pairs, strict=True), strict=True)
        ),
    ]
    print("\n".join(lines))
    if options.output is not None:
        options.output.write_text("\n".join(lines) + "\n")


def difference(first: nanoray.Prediction, second: nanoray.Prediction) -> tuple[float, float]:
    return abs(first.probability - second.probability), abs(first.logit - second.logit)


def enlarged(path: Path, seed: int, options: argparse.Namespace) -> Phantom:
    with Image.open(path) as image:
        large = image.convert("F").resize((options.side,) * 2, Image.Resampling.BICUBIC)
    noise = np.random.default_rng(seed).normal(0, options.noise, (options.side,) * 2)
    pixels = np.clip(np.asarray(large) / 255 + noise, 0, 1).astype(np.float32)
    return Phantom(seed, pixels, (), "PA", "F", 50)


if __name__ == "__main__":
    main()
