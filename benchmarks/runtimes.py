"""Latency of model files in ONNX Runtime and OpenVINO, as ratios to one of them.

    pip install openvino
    python benchmarks/runtimes.py MODEL.onnx ... [--baseline MODEL.onnx] [--output table.md]

Batch 1, one thread, the model alone: no reading of files. All files in all runtimes take turns in
one process, in an order that changes with every round. A figure is the median over the rounds; a
ratio is the median of the ratios to the baseline in the same runtime and round, with the 95 %
bootstrap interval of that median. The last column is the ratio of the faster runtime to the
baseline's faster runtime.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

import numpy as np
import onnxruntime
from end_to_end import interval, processor, words

from nanoray.detecting.model_file import INPUT, read_card
from nanoray.evaluating.scores import open_session

WARM_UP = 20
BURST = 4
"""Runs of one file in a row; the first warms the caches that the file before has filled."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", type=Path, nargs="+", help="model files")
    parser.add_argument("--baseline", type=Path, help="one of them; default: the first")
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument(
        "--cpu-time", action="store_true", help="of the process, for a machine that is busy"
    )
    parser.add_argument("--output", type=Path, help="write the table here too (Markdown)")
    options = parser.parse_args()
    models: list[Path] = options.models
    baseline: Path = options.baseline or models[0]
    if baseline not in models:
        models.insert(0, baseline)
    table = measure(models, baseline, options.rounds, process_time if options.cpu_time else None)
    print(table)
    if options.output is not None:
        options.output.write_text(table)


def measure(
    models: list[Path], baseline: Path, rounds: int, clock: Callable[[], float] | None
) -> str:
    """Return the table, of rounds in which every file runs in every runtime."""
    clock = clock or perf_counter
    runs: dict[tuple[str, Path], Callable[[], object]] = {}
    for model in models:
        side = read_card(model).input_size
        square = np.random.default_rng(0).random((1, 1, side, side), np.float32)
        runs["ONNX Runtime", model] = in_onnx_runtime(model, square)
        try:
            runs["OpenVINO", model] = in_openvino(model, square)
        except ImportError:
            print("OpenVINO is not installed: left out")
    keys = list(runs)
    seconds = np.zeros((rounds, len(keys)))
    rng = np.random.default_rng(0)
    for run in runs.values():
        for _ in range(WARM_UP):
            run()
    for number in range(rounds):
        for index in rng.permutation(len(keys)):
            run = runs[keys[index]]
            run()
            start = clock()
            for _ in range(BURST):
                run()
            seconds[number, index] = (clock() - start) / BURST
    return markdown({key: seconds[:, i] for i, key in enumerate(keys)}, models, baseline)


def in_onnx_runtime(model: Path, square: Any) -> Callable[[], object]:
    """As NanoRay runs it, one thread."""
    session = open_session(model, threads=1)
    return lambda: session.run(["logit", "cam", "novelty"], {INPUT: square})


def in_openvino(model: Path, square: Any) -> Callable[[], object]:
    """In one thread, on the CPU, of one core."""
    import openvino

    core = openvino.Core()
    settings = {"INFERENCE_NUM_THREADS": 1, "NUM_STREAMS": 1, "PERFORMANCE_HINT": "LATENCY"}
    graph = core.read_model(str(model))
    graph.reshape({INPUT: list(square.shape)})
    request = core.compile_model(graph, "CPU", settings).create_infer_request()
    return lambda: request.infer({INPUT: square})


def markdown(seconds: dict[tuple[str, Path], Any], models: list[Path], baseline: Path) -> str:
    """Write the table: a row a file, two columns a runtime, and the better runtimes."""
    runtimes = list(dict.fromkeys(runtime for runtime, _ in seconds))
    heads = [f"{runtime}, ms | by the baseline" for runtime in runtimes]
    rounds = len(next(iter(seconds.values())))
    versions = [f"ONNX Runtime {onnxruntime.__version__}"]
    if "OpenVINO" in runtimes:
        import openvino

        versions.append(f"OpenVINO {openvino.__version__.split('-')[0]}")
    lines = [
        f"{processor()}, of which one is used; {', '.join(versions)}; {rounds} rounds; "
        f"baseline {baseline.name}.",
        "",
        f"| model file | MB | {' | '.join(heads)} | better by the baseline's better |",
        "|---|---|" + "---|" * (2 * len(runtimes) + 1),
    ]
    best = {model: _faster(seconds, runtimes, model) for model in models}
    for model in models:
        cells = []
        for runtime in runtimes:
            own = seconds[runtime, model]
            cells += [f"{1000 * np.median(own):.2f}"]
            cells += [words(interval(own / seconds[runtime, baseline]))]
        ratio = words(interval(best[model] / best[baseline]))
        size = model.stat().st_size / 1e6
        lines.append(f"| {model.name} | {size:.2f} | {' | '.join(cells)} | {ratio} |")
    return "\n".join(lines) + "\n"


def _faster(seconds: dict[tuple[str, Path], Any], runtimes: list[str], model: Path) -> Any:
    return min((seconds[runtime, model] for runtime in runtimes), key=lambda s: float(np.median(s)))


if __name__ == "__main__":
    main()
