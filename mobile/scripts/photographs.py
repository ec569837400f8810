"""Photograph radiographs for `scripts/photographs.mjs`.

python photographs.py OUT COUNT RADIOGRAPH ...: simulates COUNT photographs of the files given, at
severity 1, and writes OUT/N.jpg, OUT/N.png (the radiograph itself) and OUT/expected.json with the
corners. Without files, drawn radiographs are photographed.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
from PIL import Image

from nanoray.datasets.phantom import draw
from nanoray.datasets.photographs import photograph


def main(out: Path, count: int, files: list[Path]) -> None:
    expected = []
    for number in range(count):
        if files:
            grey = np.asarray(Image.open(files[number % len(files)]).convert("L"), np.float32) / 255
        else:
            grey = draw(number, size=512, opacity=number % 2 == 1).pixels
        taken = photograph(grey, np.random.default_rng(number), size=(1000, 750))
        (out / f"{number}.jpg").write_bytes(taken.jpeg())
        Image.fromarray(np.rint(grey * 255).astype(np.uint8)).save(out / f"{number}.png")
        expected.append({"scene": taken.scene, "corners": taken.corners.tolist()})
    (out / "expected.json").write_text(json.dumps(expected))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), [Path(name) for name in sys.argv[3:]])
