"""Measure the boxes of a model's maps against those of radiologists, and choose their two numbers.

    python benchmarks/boxes.py DATA [--model FILE] [--publisher challenge-mix,nih-sample]

Half of the patients choose how far a box reaches below its peak and how much a peak must stand out;
the figures are of the other half. The baseline are the best fixed boxes, chosen on the first half,
with the radiograph's probability as their score. Nothing is claimed beyond these images.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from nanoray import Prediction, load
from nanoray.datasets.folder import Case, read_folder
from nanoray.detecting.boxes import Box, find_boxes
from nanoray.evaluating.detection import (
    Detection,
    Frame,
    best_fixed,
    image_precision,
    measure_boxes,
)
from nanoray.evaluating.resampling import draw_patients
from nanoray.reading.geometry import turned_box

DROPS = (1.5, 2.0, 2.5, 3.0, 4.0, 5.0)
PROMINENCES = (0.3, 0.8, 1.5)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--model", type=Path)
    parser.add_argument("--publisher", default="challenge-mix,nih-sample")
    arguments = parser.parse_args()
    cases = _cases(arguments.data, set(arguments.publisher.split(",")))
    detector = load(arguments.model)
    results = list(detector.predict_many(case.path for case in cases))
    kept = [
        (case, one)
        for case, one in zip(cases, results, strict=True)
        if isinstance(one, Prediction) and not one.abstained
    ]
    cases, predictions = [case for case, _ in kept], [one for _, one in kept]
    targets = np.array([int(case.target or 0) for case in cases])
    patients = sorted({case.patient for case in cases})
    first = set(np.random.default_rng(0).permutation(patients)[: len(patients) // 2].tolist())
    fitted = np.array([case.patient in first for case in cases])
    # Maps cover the whole upright picture.
    true = [
        [turned_box(box, one.facts.orientation) for box in case.boxes or ()]
        for case, one in zip(cases, predictions, strict=True)
    ]
    drop, prominence = _choose(predictions, true, np.flatnonzero(fitted & (targets == 1)))
    judged = np.flatnonzero(~fitted)
    fixed = best_fixed([true[i] for i in np.flatnonzero(fitted)])
    resampling = draw_patients([cases[i].patient for i in judged], targets[judged], samples=1000)
    called = np.array([predictions[i].suspected for i in judged])
    print(
        f"{len(judged)} radiographs, {int(targets[judged].sum())} with an opacity; "
        f"drop {drop:g}, prominence {prominence:g}, chosen on {int(fitted.sum())} of other "
        f"patients; map {' x '.join(map(str, predictions[0].heatmap.shape))}\n"
    )
    print("| boxes | mAP 0.4 to 0.75 | FROC at 0.125, 0.25, 0.5, 1 false | best overlap |")
    print("| --- | --- | --- | --- |")
    own = [
        find_boxes(predictions[i].heatmap, 0.05, drop=drop, prominence=prominence) for i in judged
    ]
    flat = [
        tuple(Box(b.left, b.top, b.width, b.height, predictions[i].probability) for b in fixed)
        for i in judged
    ]
    for name, boxes in (("of the map", own), ("best fixed", flat)):
        print(
            _row(name, measure_boxes(boxes, [true[i] for i in judged], resampling, called=called))
        )


def _cases(data: Path, publishers: set[str]) -> list[Case]:
    with (data / "labels.csv").open(newline="") as stream:
        wanted = {
            row["patientId"]
            for row in csv.DictReader(stream)
            if row.get("publisher", "") in publishers or publishers == {""}
        }
    return [case for case in read_folder(data) if case.path.stem in wanted]


def _choose(
    predictions: Sequence[Prediction], true: Sequence[Sequence[Frame]], chosen: np.ndarray
) -> tuple[float, float]:
    def precision(drop: float, prominence: float) -> float:
        values = []
        for i in chosen:
            heatmap = predictions[i].heatmap
            boxes = find_boxes(heatmap, 0.05, drop=drop, prominence=prominence)
            frames = [(b.left, b.top, b.width, b.height) for b in boxes]
            values.append(image_precision(frames, true[i]))
        return float(np.mean(values))

    return max(((d, p) for d in DROPS for p in PROMINENCES), key=lambda pair: precision(*pair))


def _row(name: str, found: Detection) -> str:
    precision = "{:.3f} ({:.3f} to {:.3f})".format(*found.precision)
    froc = ", ".join(f"{value:.2f}" for value in found.froc.values())
    return f"| {name} | {precision} | {froc} | " + "{:.2f} ({:.2f} to {:.2f}) |".format(
        *found.overlap
    )


if __name__ == "__main__":
    main()
