"""Decisions on radiographs that are turned, inverted, framed and padded, beside the upright ones.

    python benchmarks/poses_and_borders.py DATA/rsna [--column publisher --value challenge-mix
        --folds 5] [--model MODEL] [--count N] [--output FILE]

Takes the native radiographs that a recipe holds out (`split` in recipes/packaged.yaml: the first
fold of the images with that value in the column), or those of all folds with `--folds 0`, and
judges each as it is and changed:

- turned by 90, 180 and 270 degrees, and inverted. *Uncorrected*: there is a decision, although the
  radiograph was not set right. Aims: at most 2 % of turned, 5 % of inverted ones.
- with a white bar of a tenth of the width beside it (left, right) or of the height above it, and
  in a white frame. *Changed*: the decision is another one than that of the radiograph alone. Aim:
  below 2 %.
- on black of double the size. Aim: abstains on fewer than 5 %.
- with black at both sides, in a format of 16 to 9.

`--upright` and `--sure` try other limits of the card's `pose`. Shares have the exact 95 % interval
(Clopper and Pearson).
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.stats import beta

import nanoray
from nanoray.datasets.folder import read_folder, select
from nanoray.datasets.splits import split_into_folds
from nanoray.detecting.detector import Detector
from nanoray.detecting.pose import PoseLimits
from nanoray.detecting.prediction import ABSTAINED, Prediction
from nanoray.reading import from_array
from nanoray.reading.prepared import prepared

Pixels = NDArray[np.uint8]
Change = Callable[[Pixels], Pixels]


def bar(side: str) -> Change:
    axis = 1 if side in ("left", "right") else 0

    def change(pixels: Pixels) -> Pixels:
        width = pixels.shape[axis] // 10
        pads = [(0, 0), (0, 0)]
        pads[axis] = (width, 0) if side in ("left", "top") else (0, width)
        return np.pad(pixels, pads, constant_values=255)

    return change


def framed(pixels: Pixels) -> Pixels:
    return np.pad(pixels, max(pixels.shape) // 12, constant_values=255)


def doubled(pixels: Pixels) -> Pixels:
    rows, columns = pixels.shape
    return np.pad(pixels, ((rows // 2, rows // 2), (columns // 2, columns // 2)))


def widened(pixels: Pixels) -> Pixels:
    rows, columns = pixels.shape
    side = max(0, (16 * rows // 9 - columns) // 2)
    return np.pad(pixels, ((0, 0), (side, side)))


TURNS: dict[str, Change] = {
    "turned by 90": lambda pixels: np.rot90(pixels, 1),
    "turned by 180": lambda pixels: np.rot90(pixels, 2),
    "turned by 270": lambda pixels: np.rot90(pixels, 3),
}
INVERTED: dict[str, Change] = {"inverted": lambda pixels: 255 - pixels}
BORDERS: dict[str, Change] = {
    **{f"white bar {side}": bar(side) for side in ("left", "right", "top")},
    "white frame": framed,
    "black to double size": doubled,
    "black to 16:9": widened,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, help="folder with labels.csv and images")
    parser.add_argument("--column", default="publisher")
    parser.add_argument("--value", default="challenge-mix")
    parser.add_argument("--folds", type=int, default=5, help="0 takes every image of the value")
    parser.add_argument("--count", type=int, help="only the first so many images")
    parser.add_argument("--model", type=Path, help="default: the packaged one")
    parser.add_argument("--upright", type=float, help="limit of the card's pose")
    parser.add_argument("--sure", type=float, help="limit of the card's pose")
    parser.add_argument("--output", type=Path, help="write the tables here too (Markdown)")
    options = parser.parse_args()
    cases = read_folder(options.data)
    chosen = select(cases, options.column, options.value)
    if options.folds:
        split = split_into_folds(cases, chosen, folds=options.folds)[0]
        chosen = list(split.validation)
    detector = nanoray.load(options.model)
    limits = detector.card.pose or PoseLimits()
    limits = PoseLimits(options.upright or limits.upright, options.sure or limits.sure)
    detector = WithLimits(limits, options.model)
    paths = [cases[index].path for index in chosen[: options.count]]
    text = table(paths, detector, limits)
    print(text)
    if options.output is not None:
        options.output.write_text(text)


class WithLimits(Detector):
    """A detector with other limits of the pose than its card has."""

    def __init__(self, limits: PoseLimits, path: Path | None) -> None:
        super().__init__(path)
        self.card = replace(self.card, pose=limits)
        self._pose_limits = limits


def judged(detector: Detector, pixels: Pixels) -> Prediction:
    reading = prepared(
        "<array>",
        from_array(np.ascontiguousarray(pixels)),
        detector.card.input_size,
        thumbnail=False,
    )
    (result,) = detector.judge([reading])
    assert isinstance(result, Prediction)
    return result


def table(paths: list[Path], detector: Detector, limits: PoseLimits) -> str:
    changes = TURNS | INVERTED | BORDERS
    plain: list[Prediction] = []
    found: dict[str, list[Prediction]] = {name: [] for name in changes}
    for path in paths:
        with Image.open(path) as image:
            pixels = np.asarray(image.convert("L"))
        plain.append(judged(detector, pixels))
        for name, change in changes.items():
            found[name].append(judged(detector, change(pixels)))
    upright = [p.decision != ABSTAINED for p in plain]
    lines = [
        f"{len(paths)} radiographs; model {detector.card.name} {detector.card.version}; limits of "
        f"the pose: upright {limits.upright:g}, sure {limits.sure:g}. As they are, "
        f"{share(sum(not u for u in upright), len(paths))} abstain, "
        f"{share(sum(map(is_set_right, plain)), len(paths))} are set right.",
        "",
        "| change | set right | abstained | uncorrected decision | decision changed | "
        "probability moves, median | largest |",
        "|---|---|---|---|---|---|---|",
    ]
    lines += list(rows(found, plain))
    return "\n".join(lines) + "\n"


def rows(found: dict[str, list[Prediction]], plain: list[Prediction]) -> Iterator[str]:
    for name, results in found.items():
        right = [is_set_right(p) for p in results]
        abstained = [p.decision == ABSTAINED for p in results]
        posed = name in TURNS or name in INVERTED
        wrong = [not r and not a for r, a in zip(right, abstained, strict=True)]
        pairs = [
            (p, q)
            for p, q in zip(results, plain, strict=True)
            if ABSTAINED not in (p.decision, q.decision)
        ]
        moves = [abs(p.probability - q.probability) for p, q in pairs] or [0.0]
        changed = sum(p.decision != q.decision for p, q in zip(results, plain, strict=True))
        total = len(results)
        yield (
            f"| {name} | {share(sum(right), total)} | {share(sum(abstained), total)} | "
            f"{share(sum(wrong), total) if posed else ''} | {share(changed, total)} | "
            f"{np.median(moves):.4f} | {max(moves):.3f} |"
        )


def is_set_right(result: Prediction) -> bool:
    return bool({"turned", "inverted"} & set(result.flags))


def share(count: int, total: int) -> str:
    low = beta.ppf(0.025, count, total - count + 1) if count else 0.0
    high = beta.ppf(0.975, count + 1, total - count) if count < total else 1.0
    return f"{count} ({100 * count / total:.1f} %, {100 * low:.1f} to {100 * high:.1f})"


if __name__ == "__main__":
    main()
