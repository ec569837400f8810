"""How far the logit of a model file moves when the pixels move by almost nothing, in Python alone.

An 8-bit network rounds at every layer: a change in the last bit of an input turns some of those
roundings over. No two runtimes can agree better than this.

    python mobile/scripts/int8_noise.py [MODEL.onnx]
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

import nanoray
from nanoray.reading import letterbox, read

INPUTS = Path(__file__).parents[2] / "tests/vectors/inputs"
TRIALS = 8


def main(model: str | None) -> None:
    """Print the largest change of the logit for each vector and size of the noise."""
    detector = nanoray.load(model)
    rng = np.random.default_rng(0)
    for path in sorted(INPUTS.iterdir()):
        square, _ = letterbox(read(path).pixels, detector.card.input_size)
        logit = detector.infer(square[None, None]).logit[0]
        cells = []
        for size in (1e-7, 1e-5, 1e-3):
            moved = [
                detector.infer(
                    np.clip(square + rng.normal(0, size, square.shape), 0, 1).astype(np.float32)[
                        None, None
                    ]
                ).logit[0]
                for _ in range(TRIALS)
            ]
            cells.append(f"{size:g}: {np.abs(np.array(moved) - logit).max():.3f}")
        print(f"{path.name:24} {'  '.join(cells)}")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else None)
