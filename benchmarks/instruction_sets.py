"""Time of model files in OpenVINO with the processor's vector instructions limited.

    pip install openvino
    python benchmarks/instruction_sets.py MODEL.onnx ... [--rounds 200]

oneDNN, which OpenVINO computes with, takes the limit from ONEDNN_MAX_CPU_ISA; a level that the
processor lacks has no effect. VNNI multiplies four pairs of 8-bit integers at once. Each level runs
in a process of its own, in one thread, the model files in turns. ONNX Runtime has no such switch:
see benchmarks/instructions.py for its kernels without VNNI.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from nanoray.evaluating.resampling import interval

LEVELS = ("AVX2", "AVX512_CORE", "AVX512_CORE_VNNI", "ALL")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", type=Path, nargs="+", help="ratios are to the first")
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--timing", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.timing:
        print(json.dumps(timed(options.models, options.rounds)))
        return
    print("| instructions | model file | ms | by the first |")
    print("| --- | --- | ---: | ---: |")
    for level in LEVELS:
        done = subprocess.run(
            [sys.executable, __file__, "--timing", "--rounds", str(options.rounds)]
            + [str(model) for model in options.models],
            env={**os.environ, "ONEDNN_MAX_CPU_ISA": level},
            capture_output=True,
            text=True,
            check=True,
        )
        times = np.array(json.loads(done.stdout.splitlines()[-1]))
        rng = np.random.default_rng(0)
        rounds = rng.integers(0, times.shape[1], (1000, times.shape[1]))
        for model, own in zip(options.models, times, strict=True):
            ratios = own / times[0]
            value = float(np.median(ratios))
            _, low, high = interval(value, np.median(ratios[rounds], axis=1))
            print(
                f"| {level} | {model.name} | {1000 * np.median(own):.2f} | "
                f"{value:.2f} ({low:.2f} to {high:.2f}) |"
            )


def timed(models: list[Path], rounds: int) -> list[list[float]]:
    """Seconds of each model in each round, in turns."""
    import openvino

    core = openvino.Core()
    hints = {"INFERENCE_NUM_THREADS": 1, "INFERENCE_PRECISION_HINT": "f32"}
    runs = []
    for model in models:
        compiled = core.compile_model(core.read_model(model), "CPU", hints)
        sides = compiled.inputs[0].partial_shape
        shape = [side.get_length() if side.is_static else 1 for side in sides]
        square = np.random.default_rng(0).random(shape, np.float32)
        runs.append((compiled.create_infer_request(), square))
    times: list[list[float]] = [[] for _ in models]
    for number in range(rounds + 10):
        for own, (request, square) in zip(times, runs, strict=True):
            start = time.perf_counter()
            request.infer({0: square})
            if number >= 10:
                own.append(time.perf_counter() - start)
    return times


if __name__ == "__main__":
    main()
