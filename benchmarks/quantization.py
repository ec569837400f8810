"""Ways to quantize a network, side by side: what each costs and saves.

    python benchmarks/quantization.py MODEL... --data DATA [--split FILE] [--part validation] \\
        [--output DIR]

Each MODEL is an FP32 model file. Ranges of activations come from the training part. All files are
compared on `--part` and timed in turns in one thread. Writes quantization.md and quantization.json.

Rows: the naive way (every operator, one scale a tensor, ONNX Runtime's defaults), the original
recipe's way (dynamic quantization), `nanoray quantize` with integer arithmetic and each method for
the ranges of activations, with a scale for each tensor and for each output channel of the weights,
and `nanoray quantize --arithmetic float`. The last column shows how far logits move if all pixels
change at random by 0.0001, which is what readers and runtimes differ by.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
from pathlib import Path
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray
from onnxruntime.quantization import QuantFormat, QuantType, quantize_dynamic, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process
from rich.progress import Progress

from nanoray.datasets.images import load_squares
from nanoray.datasets.labelled import open_labelled
from nanoray.detecting.model_file import INPUT, read_card
from nanoray.evaluating.latency import summarise, time_rounds
from nanoray.evaluating.metrics import auroc
from nanoray.evaluating.resampling import Resampling, draw_patients
from nanoray.evaluating.scores import open_session, score
from nanoray.exporting.quantize import (
    Calibration,
    CalibrationSquares,
    prepared,
    quantize,
    store_compactly,
)

METHODS: tuple[Calibration, ...] = get_args(Calibration)


def naive(
    fp32: Path, target: Path, calibration: NDArray[np.uint8], *, equalized: bool = False
) -> None:
    """ONNX Runtime's static quantization as it comes: every operator, one scale a tensor."""
    quantize_static(
        str(fp32),
        str(target),
        CalibrationSquares(calibration, equalized=equalized),
        quant_format=QuantFormat.QDQ,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
    )


def dynamic(fp32: Path, target: Path) -> None:
    """Ranges of activations found anew for every image; here of convolutions too."""
    quantize_dynamic(str(fp32), str(target), weight_type=QuantType.QUInt8)


def variants(fp32: Path, calibration: NDArray[np.uint8], folder: Path) -> dict[str, Path]:
    """All quantized files of one FP32 file, by what tables call them."""
    equalized = read_card(fp32).equalize
    simplified = folder / f"{fp32.stem}-simplified.onnx"
    quant_pre_process(fp32, simplified, skip_symbolic_shape=True)
    made = {
        "FP32": fp32,
        "naive static, per tensor": folder / f"{fp32.stem}-naive.onnx",
        "dynamic": folder / f"{fp32.stem}-dynamic.onnx",
    }
    naive(simplified, made["naive static, per tensor"], calibration, equalized=equalized)
    dynamic(simplified, made["dynamic"])
    for per_channel in (False, True):
        for method in METHODS:
            name = f"static, {method}, per {'channel' if per_channel else 'tensor'}"
            made[name] = folder / f"{fp32.stem}-{method}-{per_channel}.onnx"
            quantize(
                fp32,
                made[name],
                calibration,
                method=method,
                per_channel=per_channel,
                equalized=equalized,
            )
            store_compactly(made[name])
    made["INT8 weights, FP32 arithmetic"] = folder / f"{fp32.stem}-weights.onnx"
    shutil.copyfile(fp32, made["INT8 weights, FP32 arithmetic"])
    store_compactly(made["INT8 weights, FP32 arithmetic"])
    return made


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="+", type=Path, help="FP32 model files")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--split", type=Path, help="split.csv; default: that of the data set")
    parser.add_argument("--part", default="test", choices=("validation", "test"))
    parser.add_argument("--output", type=Path, default=Path("results/quantization"))
    parser.add_argument("--cache", type=Path, default=Path("cache"))
    parser.add_argument("--rounds", type=int, default=200)
    arguments = parser.parse_args()
    tables = []
    with tempfile.TemporaryDirectory() as scratch, Progress() as progress:
        for model in arguments.models:
            task = progress.add_task(str(model), total=None)
            tables.append(compare(model, arguments, Path(scratch)))
            progress.update(task, total=1, completed=1)
    arguments.output.mkdir(parents=True, exist_ok=True)
    (arguments.output / "quantization.json").write_text(json.dumps(tables, indent=1) + "\n")
    text = "\n\n".join(as_markdown(table) for table in tables) + "\n"
    (arguments.output / "quantization.md").write_text(text)
    print(text)


def compare(model: Path, arguments: argparse.Namespace, scratch: Path) -> dict[str, object]:
    """Return the rows of one file: size, AUROC, agreement with FP32, time and stability."""
    card = read_card(model)
    labelled = open_labelled(arguments.data, split=arguments.split)
    squares = load_squares(labelled.cases, card.input_size, arguments.cache)
    training = squares[list(labelled.split.train)]
    chosen = np.sort(np.random.default_rng(0).permutation(len(training))[:256])
    made = variants(model, training[chosen], scratch)
    part = getattr(labelled.split, arguments.part)
    judged = [labelled.cases[index] for index in part]
    targets = np.array([int(case.target or 0) for case in judged])
    resampling = draw_patients([case.patient for case in judged], targets)
    logits = {
        name: score(path, squares[list(part)], equalize=card.equalize).logits
        for name, path in made.items()
    }
    times = summarise(np.stack(list(time_rounds(list(made.values()), arguments.rounds))))
    rows = []
    for (name, path), time in zip(made.items(), times, strict=True):
        # The threshold calls as many images in each file, as calibration apart would about do.
        share = (targets == 1).mean()
        called, parent = (
            found >= np.quantile(found, 1 - share) for found in (logits[name], logits["FP32"])
        )
        moved = moves(path, squares[list(part)[:50]], card.equalize)
        rows.append(
            {
                "way": name,
                "bytes": path.stat().st_size,
                "auroc": interval(resampling, logits[name], targets),
                "difference": difference(resampling, logits[name], logits["FP32"], targets),
                "agreement": float((called == parent).mean()),
                "correlation": float(np.corrcoef(logits[name], logits["FP32"])[0, 1]),
                "time": time.ratio,
                "moves": [float(np.median(moved)), float(moved.max())],
            }
        )
    return {"model": card.name, "architecture": card.architecture, "rows": rows}


def moves(path: Path, squares: NDArray[np.uint8], equalized: bool) -> NDArray[np.floating]:
    """Return how far the logit of each square moves under random changes of 0.0001."""
    session = open_session(path)
    rng = np.random.default_rng(0)
    images = prepared(squares, equalized)
    noise = rng.normal(0, 1e-4, images.shape)
    # Black pixels are outside of the radiograph, and stay so.
    changed = np.where(images > 0, (images + noise).clip(1e-6, 1), 0).astype(np.float32)
    before, after = (
        np.array([session.run(["logit"], {INPUT: one[None]})[0].item() for one in some])
        for some in (images, changed)
    )
    found: NDArray[np.floating] = np.abs(after - before)
    return found


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
        f"{table['model']} ({table['architecture']})",
        "",
        "| way | MB | AUROC (95 %) | against FP32 (95 %) | same calls | correlation of logits "
        "| time, FP32 = 1 | moves: median, largest |",
        "| --- | ---: | --- | --- | ---: | ---: | ---: | --- |",
    ]
    for row in table["rows"]:
        value, low, high = row["auroc"]
        change, least, most = row["difference"]
        lines.append(
            f"| {row['way']} | {row['bytes'] / 1e6:.2f} | {value:.3f} ({low:.3f} to {high:.3f}) "
            f"| {change:+.4f} ({least:+.4f} to {most:+.4f}) | {100 * row['agreement']:.1f} % "
            f"| {row['correlation']:.4f} | {row['time'][0]:.2f} "
            f"| {row['moves'][0]:.4f}, {row['moves'][1]:.4f} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
