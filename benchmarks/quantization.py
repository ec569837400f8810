"""Ways to quantize a trained network, side by side: what each costs and saves.

    python benchmarks/quantization.py RUN... --data DATA [--aware RUN] [--output DIR]

Each RUN is a finished training run; with `--aware`, a run that went on from it with
`--quantization-aware`. All model files are made from the training part, compared on the test part,
and timed in turn in one thread. Writes quantization.md and quantization.json.

Rows: the naive way (every operator, one scale a tensor, ONNX Runtime's defaults), the original
recipe's way (dynamic quantization), and `nanoray quantize`'s with each method of finding the ranges
of activations, with a scale for each tensor and for each output channel of the weights.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray
from onnxruntime.quantization import QuantFormat, QuantType, quantize_dynamic, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process
from rich.progress import Progress

from nanoray.datasets.images import load_squares
from nanoray.datasets.labelled import SPLIT, open_labelled
from nanoray.evaluating.latency import summarise, time_rounds
from nanoray.evaluating.metrics import auroc
from nanoray.evaluating.resampling import Resampling, draw_patients
from nanoray.evaluating.scores import score
from nanoray.exporting.novelty import fit_novelty, pooled_features
from nanoray.exporting.onnx_graph import export
from nanoray.exporting.quantize import Calibration, CalibrationSquares, quantize, store_compactly
from nanoray.training.run_folder import load_run

METHODS: tuple[Calibration, ...] = get_args(Calibration)


def naive(fp32: Path, target: Path, calibration: NDArray[np.uint8]) -> None:
    """ONNX Runtime's static quantization as it comes: every operator, one scale a tensor."""
    quantize_static(
        str(fp32),
        str(target),
        CalibrationSquares(calibration),
        quant_format=QuantFormat.QDQ,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
    )


def dynamic(fp32: Path, target: Path, _: NDArray[np.uint8]) -> None:
    """Ranges of activations found anew for every image; here of convolutions too."""
    quantize_dynamic(str(fp32), str(target), weight_type=QuantType.QUInt8)


def variants(fp32: Path, calibration: NDArray[np.uint8], folder: Path) -> dict[str, Path]:
    """All quantized files of one FP32 file, by what tables call them."""
    prepared = folder / f"{fp32.stem}-prepared.onnx"
    quant_pre_process(fp32, prepared, skip_symbolic_shape=True)
    made = {"FP32": fp32}
    for name, way in (("naive static, per tensor", naive), ("dynamic", dynamic)):
        made[name] = folder / f"{fp32.stem}-{way.__name__}.onnx"
        way(prepared, made[name], calibration)
    for per_channel in (False, True):
        for method in METHODS:
            name = f"static, {method}, per {'channel' if per_channel else 'tensor'}"
            made[name] = folder / f"{fp32.stem}-{method}-{per_channel}.onnx"
            quantize(fp32, made[name], calibration, method=method, per_channel=per_channel)
            store_compactly(made[name])
    return made


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", nargs="+", type=Path)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--aware", type=Path, help="run trained quantization-aware")
    parser.add_argument("--output", type=Path, default=Path("results/quantization"))
    parser.add_argument("--cache", type=Path, default=Path("cache"))
    parser.add_argument("--rounds", type=int, default=200)
    arguments = parser.parse_args()
    tables = []
    with tempfile.TemporaryDirectory() as scratch, Progress() as progress:
        for run in arguments.runs:
            aware = arguments.aware if run == arguments.runs[-1] else None
            task = progress.add_task(str(run), total=None)
            tables.append(compare(run, aware, arguments, Path(scratch)))
            progress.update(task, total=1, completed=1)
    arguments.output.mkdir(parents=True, exist_ok=True)
    (arguments.output / "quantization.json").write_text(json.dumps(tables, indent=1) + "\n")
    text = "\n\n".join(as_markdown(table) for table in tables) + "\n"
    (arguments.output / "quantization.md").write_text(text)
    print(text)


def compare(
    run: Path, aware: Path | None, arguments: argparse.Namespace, scratch: Path
) -> dict[str, object]:
    """Return the rows of one run: size, AUROC, agreement with FP32 and time."""
    labelled = open_labelled(arguments.data, split=run / SPLIT)
    _, settings = load_run(run)
    squares = load_squares(labelled.cases, settings.size, arguments.cache)
    training = squares[list(labelled.split.train)]
    chosen = np.sort(np.random.default_rng(0).permutation(len(training))[:256])
    made = variants(exported(run, training, scratch), training[chosen], scratch)
    if aware is not None:
        fp32 = exported(aware, training, scratch)
        made["quantization-aware FP32"] = fp32
        made["quantization-aware, minmax, per channel"] = scratch / "aware-int8.onnx"
        quantize(fp32, scratch / "aware-int8.onnx", training[chosen])
        store_compactly(scratch / "aware-int8.onnx")
    test = [labelled.cases[index] for index in labelled.split.test]
    targets = np.array([int(case.target or 0) for case in test])
    resampling = draw_patients([case.patient for case in test], targets)
    logits = {
        name: score(path, squares[list(labelled.split.test)]).logits for name, path in made.items()
    }
    times = summarise(np.stack(list(time_rounds(list(made.values()), arguments.rounds))))
    parents = dict.fromkeys(made, "FP32")
    if aware is not None:
        parents["quantization-aware, minmax, per channel"] = "quantization-aware FP32"
    rows = []
    for (name, path), time in zip(made.items(), times, strict=True):
        parent = logits[parents[name]]
        # The threshold calls as many images in each file, as calibration apart would about do.
        share = (targets == 1).mean()
        called = logits[name] >= np.quantile(logits[name], 1 - share)
        rows.append(
            {
                "way": name,
                "bytes": path.stat().st_size,
                "auroc": interval(resampling, logits[name], targets),
                "difference": difference(resampling, logits[name], parent, targets),
                "agreement": float((called == (parent >= np.quantile(parent, 1 - share))).mean()),
                "correlation": float(np.corrcoef(logits[name], parent)[0, 1]),
                "time": time.ratio,
            }
        )
    return {"run": run.name, "architecture": settings.architecture, "rows": rows}


def exported(run: Path, training: NDArray[np.uint8], scratch: Path) -> Path:
    """Return the FP32 file of a run, with the card that timing needs."""
    network, settings = load_run(run)
    path = scratch / f"{run.name}-fp32.onnx"
    novelty = fit_novelty(pooled_features(network, training[:500]))
    export(network, novelty, settings.size, path)
    return path


def interval(
    resampling: Resampling, logits: NDArray[np.floating], targets: NDArray[np.integer]
) -> tuple[float, float, float]:
    return resampling.interval(lambda weights: auroc(logits, targets, weights))


def difference(
    resampling: Resampling,
    logits: NDArray[np.floating],
    parent: NDArray[np.floating],
    targets: NDArray[np.integer],
) -> tuple[float, float, float]:
    return resampling.interval(
        lambda weights: auroc(logits, targets, weights) - auroc(parent, targets, weights)
    )


def as_markdown(table: dict[str, Any]) -> str:
    lines = [
        f"{table['run']} ({table['architecture']})",
        "",
        "| way | MB | AUROC (95 %) | against FP32 (95 %) | same calls | correlation of logits "
        "| time, FP32 = 1 |",
        "| --- | ---: | --- | --- | ---: | ---: | ---: |",
    ]
    for row in table["rows"]:
        value, low, high = row["auroc"]
        change, least, most = row["difference"]
        lines.append(
            f"| {row['way']} | {row['bytes'] / 1e6:.2f} | {value:.3f} ({low:.3f} to {high:.3f}) "
            f"| {change:+.4f} ({least:+.4f} to {most:+.4f}) | {100 * row['agreement']:.1f} % "
            f"| {row['correlation']:.4f} | {row['time'][0]:.2f} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
