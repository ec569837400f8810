"""Photograph radiographs for `scripts/photographs.mjs`.

    python photographs.py OUT COUNT [DATA [FOLD]]

Simulates 2 x COUNT photographs at severity 1. Writes OUT/N.jpg, OUT/N.png (the radiograph itself)
and OUT/expected.json with the corners. DATA is a folder with labels.csv. The photographs for the
fit are of native radiographs of training patients of the packaged model. Those for the
measurement are of patients that it never saw (FOLD, 1 by default, of `nanoray crossvalidate`).
Without DATA, drawn radiographs are photographed.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from nanoray.datasets.folder import read_folder, select
from nanoray.datasets.phantom import draw
from nanoray.datasets.photographs import photograph
from nanoray.datasets.splits import split_into_folds

PARTS = ("fit", "measure")


def radiographs(
    count: int, data: Path | None, fold: int
) -> dict[str, list[NDArray[np.float32] | Path]]:
    """Return the radiographs of both parts; no patient is in both."""
    if data is None:
        drawn = [draw(seed, size=512, opacity=seed % 2 == 1).pixels for seed in range(2 * count)]
        return {"fit": drawn[:count], "measure": drawn[count:]}
    cases = read_folder(data)
    judged = select(cases, "publisher", "challenge-mix")
    split = split_into_folds(cases, judged)[fold - 1]
    natives = set(judged).intersection(split.train)
    rng = np.random.default_rng(0)
    chosen = {}
    for part, indices in zip(PARTS, (sorted(natives), split.validation), strict=True):
        if len(indices) < count:
            sys.exit(f"{data}: {len(indices)} radiographs to {part} on, {count} wanted")
        chosen[part] = [cases[at].path for at in rng.choice(indices, count, replace=False)]
    return chosen


def main(out: Path, count: int, data: Path | None, fold: int) -> None:
    expected = []
    for part, sources in radiographs(count, data, fold).items():
        for source in sources:
            number = len(expected)
            grey = source
            if isinstance(source, Path):
                grey = np.asarray(Image.open(source).convert("L"), np.float32) / np.float32(255)
            taken = photograph(grey, np.random.default_rng(number), size=(1000, 750))
            (out / f"{number}.jpg").write_bytes(taken.jpeg())
            Image.fromarray(np.rint(grey * 255).astype(np.uint8)).save(out / f"{number}.png")
            corners = taken.corners.tolist()
            expected.append({"part": part, "scene": taken.scene, "corners": corners})
    (out / "expected.json").write_text(json.dumps(expected))


if __name__ == "__main__":
    main(
        Path(sys.argv[1]),
        int(sys.argv[2]),
        Path(sys.argv[3]) if len(sys.argv) > 3 else None,
        int(sys.argv[4]) if len(sys.argv) > 4 else 1,
    )
