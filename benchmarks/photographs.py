"""Measure which effect of a photograph changes the logit, with one effect after the other left out.

Held-out native radiographs are photographed as squares of the network's size, judged, and compared
with themselves. Each effect in turn is left out, with everything else equal; then each is left
alone. The whole chain, with the corners that the app finds, is `mobile/scripts/photographs.mjs`.

    python benchmarks/photographs.py DATA [--count 100] [--fold 1]
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import nanoray
from nanoray.datasets.folder import read_folder, select
from nanoray.datasets.photographs import SCENES, draw_conditions, rephotograph
from nanoray.datasets.splits import split_into_folds
from nanoray.reading import letterbox, read

EFFECTS: dict[str, dict[str, Any]] = {
    "glare": {"glare": ()},
    "moire": {"moire": ()},
    "vignette": {"vignette": 0.0},
    "blur": {"blur": 0.0},
    "noise": {"noise": 0.0},
    "JPEG": {"quality": 95},
    "haze": {"haze": 0.0},
    "gamma and exposure": {"gamma": 1.0, "exposure": 1.0},
    "misplaced corners": {"misplaced": 0.0},
}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--fold", type=int, default=1, help="held out by the packaged model")
    options = parser.parse_args()
    cases = read_folder(options.data)
    judged = select(cases, "publisher", "challenge-mix")
    split = split_into_folds(cases, judged)[options.fold - 1]
    detector = nanoray.load()
    size = detector.card.input_size
    paths = [cases[index].path for index in split.validation[: options.count]]
    squares = [letterbox(read(path).pixels, size)[0] for path in paths]

    ideal = {key: value for changed in EFFECTS.values() for key, value in changed.items()}
    ways: dict[str, dict[str, Any]] = {"every effect": {}, "no effect": ideal}
    for name, changed in EFFECTS.items():
        ways[f"without {name}"] = changed
        ways[f"only {name}"] = {key: value for key, value in ideal.items() if key not in changed}
    own = _logits(detector, squares)
    threshold = np.median(own)
    print(f"{len(squares)} radiographs, fold {options.fold}; sd of the logit {own.std():.2f}")
    print("| effects | mean absolute change of the logit | mean change | crossing the median |")
    print("|---|---|---|---|")
    for name, changed in ways.items():
        photographs = [_photograph(square, i, changed) for i, square in enumerate(squares)]
        logits = _logits(detector, photographs)
        change = logits - own
        crossed = np.mean((logits >= threshold) != (own >= threshold))
        print(f"| {name} | {np.abs(change).mean():.3f} | {change.mean():+.3f} | {crossed:.1%} |")


def _photograph(square: NDArray[np.float32], seed: int, changed: dict[str, Any]) -> Any:
    drawn = draw_conditions(np.random.default_rng([seed, 0]), SCENES[seed % len(SCENES)])
    return rephotograph(
        square, np.random.default_rng([seed, 1]), conditions=replace(drawn, **changed)
    )


def _logits(detector: nanoray.Detector, squares: list[NDArray[np.float32]]) -> NDArray[np.float32]:
    batches = [
        detector.infer(np.stack(squares[start : start + 16])[:, None]).logit
        for start in range(0, len(squares), 16)
    ]
    return np.concatenate(batches)


if __name__ == "__main__":
    main()
