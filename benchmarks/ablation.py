"""Which way of distilling teaches most? Every method with the same seeds, data and start.

    python benchmarks/ablation.py DATA --teacher RUN --from RUN [--output runs/ablation]

Runs differ only in the method. A seed determines the random numbers of all of them, so differences
are taken by seed. The same command resumes a stopped run. After each run it writes `ablation.md`,
`ablation.json` and `ablation.png` again into the output folder. By default 5 epochs
at 160 px with 3 seeds: with 2,400 radiographs and the small network about 25 minutes on two cores.
"""

from __future__ import annotations

import argparse
import json
import statistics
from dataclasses import dataclass, replace
from pathlib import Path

import matplotlib as mpl
import numpy as np
import torch
from rich.progress import track

from nanoray.datasets.images import load_squares, on_squares
from nanoray.datasets.labelled import LabelledData, open_labelled
from nanoray.training.distillation import METHODS
from nanoray.training.recipe import Sources, train
from nanoray.training.run_folder import load_run
from nanoray.training.settings import Settings

WITHOUT = "none"


@dataclass(frozen=True)
class Run:
    """A finished run: the validation AUROC, and how often the map's peak lies in a box."""

    method: str
    seed: int
    auroc: float
    pointing: float | None


def pointing(folder: Path, data: LabelledData, cache: Path) -> float | None:
    """Share of the validation images with boxes whose map's greatest cell has its middle in one.

    None without boxes.
    """
    chosen = [index for index in data.split.validation if data.cases[index].boxes]
    if not chosen:
        return None
    network, settings = load_run(folder)
    squares = load_squares(data.cases, settings.size, cache, show_progress=False)
    boxed = on_squares(data.cases, settings.size, cache)
    hits = []
    with torch.inference_mode():
        for index in chosen:
            cam = network(torch.from_numpy(squares[[index]])[None] / 255).cam[0, 0]
            row, column = divmod(int(cam.argmax()), cam.shape[1])
            x, y = (column + 0.5) / cam.shape[1], (row + 0.5) / cam.shape[0]
            boxes = boxed[index].boxes or ()
            hits.append(any(a <= x < a + w and b <= y < b + h for a, b, w, h in boxes))
    return float(np.mean(hits))


def markdown(runs: list[Run]) -> str:
    """Write a row a method: mean and deviation over seeds, difference from `none`."""
    by_method: dict[str, dict[int, Run]] = {}
    for run in runs:
        by_method.setdefault(run.method, {})[run.seed] = run
    first = next(iter(by_method))
    lines = [
        f"| method | seeds | validation AUROC | minus {first}, same seed | peak in a box |",
        "| --- | --- | --- | --- | --- |",
    ]
    for method, of_seed in by_method.items():
        shared = [seed for seed in of_seed if seed in by_method[first]]
        differences = [of_seed[seed].auroc - by_method[first][seed].auroc for seed in shared]
        peaks = [run.pointing for run in of_seed.values() if run.pointing is not None]
        lines.append(
            f"| {method} | {len(of_seed)} | {_spread([run.auroc for run in of_seed.values()])} | "
            f"{'' if method == first else _spread(differences, signed=True)} | {_spread(peaks)} |"
        )
    return "\n".join(lines) + "\n\nMean ± standard deviation over the seeds.\n"


def _spread(values: list[float], *, signed: bool = False) -> str:
    if not values:
        return ""
    mean = f"{statistics.fmean(values):{'+' if signed else ''}.4f}"
    return f"{mean} ± {statistics.stdev(values):.4f}" if len(values) > 1 else mean


def draw(runs: list[Run], path: Path) -> None:
    """Draw a dot for each run, seeds of one colour, and a bar at each method's mean."""
    mpl.use("Agg")
    from matplotlib import pyplot

    methods = list(dict.fromkeys(run.method for run in runs))
    figure, axes = pyplot.subplots(figsize=(7, 3.2), layout="constrained")
    for seed in sorted({run.seed for run in runs}):
        mine = [run for run in runs if run.seed == seed]
        axes.plot([methods.index(r.method) for r in mine], [r.auroc for r in mine], "o", alpha=0.7)
    for place, method in enumerate(methods):
        mean = statistics.fmean(run.auroc for run in runs if run.method == method)
        axes.hlines(mean, place - 0.3, place + 0.3, colors="black")
    axes.set_xticks(range(len(methods)), methods)
    axes.set_ylabel("validation AUROC")
    axes.set_title("A dot a seed, a line the mean", fontsize=10)
    figure.savefig(path, dpi=130)
    pyplot.close(figure)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--teacher", type=Path, action="append", required=True, help="its run")
    parser.add_argument("--from", dest="start", type=Path, help="run or FP32 file to begin with")
    parser.add_argument("--output", type=Path, default=Path("runs/ablation"))
    parser.add_argument("--split", type=Path, help="CSV; default: the teacher's")
    parser.add_argument("--methods", nargs="+", default=[WITHOUT, *METHODS])
    parser.add_argument("--architecture", default="mobilenet_v3_small")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--size", type=int, default=160)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--attention-weight", type=float, default=0.0)
    parser.add_argument("--precision", default="32-true")
    parser.add_argument("--cache", type=Path, default=Path("cache"))
    options = parser.parse_args()
    data = open_labelled(options.data, split=options.split or options.teacher[0] / "split.csv")
    base = Settings(
        role="student",
        architecture=options.architecture,
        size=options.size,
        epochs=options.epochs,
        batch_size=options.batch_size,
        learning_rate=5e-4,
        attention_weight=options.attention_weight,
        precision=options.precision,
    )
    taught = Sources(start=options.start, teachers=options.teacher, cache=options.cache)
    alone = replace(taught, teachers=())
    runs: list[Run] = []
    # Seed by seed, so that what is there at any time compares all methods.
    every = [(method, seed) for seed in range(options.seeds) for method in options.methods]
    for method, seed in track(every, "Training"):
        folder = options.output / method / f"seed-{seed}"
        settings = replace(base, seed=seed)
        if method != WITHOUT:
            settings = replace(settings, distillation_method=method)
        sources = alone if method == WITHOUT else taught
        auroc = train(settings, data, folder, sources, show_progress=False)
        runs.append(Run(method, seed, auroc, pointing(folder, data, options.cache)))
        table = markdown(runs)
        (options.output / "ablation.md").write_text(table)
        (options.output / "ablation.json").write_text(
            json.dumps([vars(run) for run in runs], indent=1) + "\n"
        )
        draw(runs, options.output / "ablation.png")
    print(table)


if __name__ == "__main__":
    main()
