"""Processor time of model files with the processor's vector instructions limited.

    apt-get install gcc binutils                      for ONNX Runtime
    pip install openvino                              for OpenVINO
    python benchmarks/instruction_sets.py MODEL.onnx ... [--runtime openvino] [--rounds 200]

VNNI multiplies four pairs of 8-bit integers at once. oneDNN, which OpenVINO computes with, takes a
limit from ONEDNN_MAX_CPU_ISA. ONNX Runtime has no such switch. A copy of its library is patched:
each CPUID becomes an illegal instruction, which hidden_cpuid.c answers without the hidden bits. A
level that the processor lacks has no effect. Each level runs in a process of its own, in one
thread, the model files in turns.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, Literal, get_args

import numpy as np

from nanoray.evaluating.resampling import interval

Runtime = Literal["onnxruntime", "openvino"]
Run = Callable[[], object]

# CPUID, leaf 7: AMD64 Architecture Programmer's Manual, volume 3, appendix E.
AVX512: Final = sum(1 << bit for bit in (16, 17, 21, 26, 27, 28, 30, 31))  # of EBX
AVX512_LATER: Final = sum(1 << bit for bit in (1, 6, 12, 14))  # of ECX: VBMI and others
VNNI: Final = 1 << 11  # of ECX
AVX512_LAST: Final = sum(1 << bit for bit in (2, 3, 8, 23))  # of EDX
AMX: Final = sum(1 << bit for bit in (22, 24, 25))  # of EDX
AVX_VNNI: Final = sum(1 << bit for bit in (4, 5))  # of EAX in the second part, with BFLOAT16

HIDDEN: Final = {
    "AVX2": (AVX512, AVX512_LATER | VNNI, AVX512_LAST | AMX, AVX_VNNI),
    "AVX512_CORE": (0, VNNI, AMX, AVX_VNNI),
    "AVX512_CORE_VNNI": (0, 0, AMX, AVX_VNNI),
    "ALL": (0, 0, 0, 0),
}
"""Levels by oneDNN's names, with the bits of EBX, ECX, EDX and EAX that each hides."""

CPUID: Final = b"\x0f\xa2"
ILLEGAL: Final = b"\x0f\x0b"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", type=Path, nargs="+", help="ratios are to the first")
    parser.add_argument("--runtime", choices=get_args(Runtime), default="onnxruntime")
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--timing", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.timing:
        print(json.dumps(timed(options.models, options.runtime, options.rounds)))
        return
    print("| instructions | model file | ms | by the first | by the one before |")
    print("| --- | --- | ---: | ---: | ---: |")
    with tempfile.TemporaryDirectory() as folder:
        shared = patched(Path(folder)) if options.runtime == "onnxruntime" else {}
        for level, bits in HIDDEN.items():
            done = subprocess.run(
                [sys.executable, __file__, *sys.argv[1:], "--timing"],
                env={
                    **os.environ,
                    **shared,
                    "ONEDNN_MAX_CPU_ISA": level,
                    "HIDDEN_CPUID": ",".join(f"{mask:x}" for mask in bits),
                },
                stdout=subprocess.PIPE,
                text=True,
                check=True,
            )
            times = np.array(json.loads(done.stdout.splitlines()[-1]))
            for place, (model, own) in enumerate(zip(options.models, times, strict=True)):
                # A model file without a predecessor has itself, by which it is 1.
                before = times[max(place - 1, 0)]
                print(
                    f"| {level} | {model.name} | {1000 * np.median(own):.2f} | "
                    f"{ratio(own, times[0])} | {ratio(own, before)} |"
                )


def ratio(own: np.ndarray, other: np.ndarray) -> str:
    """Median of the rounds' ratios, with its 95 % interval by bootstrap."""
    ratios = own / other
    rounds = np.random.default_rng(0).integers(0, len(ratios), (1000, len(ratios)))
    value, low, high = interval(float(np.median(ratios)), np.median(ratios[rounds], axis=1))
    return f"{value:.2f} ({low:.2f} to {high:.2f})"


def patched(folder: Path) -> dict[str, str]:
    """Copy ONNX Runtime with its CPUID instructions replaced.

    Returns:
        Environment variables with which Python imports the copy.
    """
    import onnxruntime

    source = Path(onnxruntime.__file__).parent
    shutil.copytree(source, folder / "onnxruntime", copy_function=os.symlink)
    (library,) = (folder / "onnxruntime" / "capi").glob("onnxruntime_pybind11_state*.so")
    content = bytearray(library.read_bytes())
    library.unlink()
    for place in instructions(source / "capi" / library.name):
        assert content[place : place + 2] == CPUID
        content[place : place + 2] = ILLEGAL
    library.write_bytes(content)
    helper = folder / "hidden_cpuid.so"
    code = Path(__file__).with_name("hidden_cpuid.c")
    subprocess.run(["gcc", "-O2", "-shared", "-fPIC", "-o", helper, code], check=True)
    paths = [str(folder), os.environ.get("PYTHONPATH", "")]
    return {"PYTHONPATH": os.pathsep.join(filter(None, paths)), "LD_PRELOAD": str(helper)}


def instructions(library: Path) -> list[int]:
    """Places in the file of a library's CPUID instructions."""
    # The same two bytes occur inside other instructions: only a disassembler tells them apart.
    command = ["objdump", "--disassemble", "--no-show-raw-insn", "--file-offsets", str(library)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as listing:
        assert listing.stdout is not None
        addresses = [
            int(found[1], 16)
            for line in listing.stdout
            if (found := re.match(r" *([0-9a-f]+):\tcpuid", line))
        ]
    if listing.returncode or not addresses:
        sys.exit(f"{library.name}: no CPUID instruction was found; the library has changed")
    headers = subprocess.run(
        ["objdump", "--section-headers", str(library)], capture_output=True, text=True, check=True
    ).stdout
    found = re.search(r" \.text +[0-9a-f]+ +([0-9a-f]+) +[0-9a-f]+ +([0-9a-f]+)", headers)
    assert found is not None
    address, offset = (int(number, 16) for number in found.groups())
    return [one - address + offset for one in addresses]


def timed(models: list[Path], runtime: Runtime, rounds: int) -> list[list[float]]:
    """Seconds of processor time of each model in each round, in turns."""
    runs = [RUNTIMES[runtime](model) for model in models]
    times: list[list[float]] = [[] for _ in models]
    for number in range(rounds + 10):
        for own, run in zip(times, runs, strict=True):
            start = time.process_time()
            run()
            if number >= 10:
                own.append(time.process_time() - start)
    return times


def onnx_runtime(model: Path) -> Run:
    """Load a model file into ONNX Runtime."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    entry = session.get_inputs()[0]
    shape = [side if isinstance(side, int) else 1 for side in entry.shape]
    square = np.random.default_rng(0).random(shape, np.float32)
    return lambda: session.run(None, {entry.name: square})


def openvino(model: Path) -> Run:
    """Load a model file into OpenVINO."""
    import openvino

    core = openvino.Core()
    hints = {"INFERENCE_NUM_THREADS": 1, "INFERENCE_PRECISION_HINT": "f32"}
    compiled = core.compile_model(core.read_model(model), "CPU", hints)
    sides = compiled.inputs[0].partial_shape
    shape = [side.get_length() if side.is_static else 1 for side in sides]
    square = np.random.default_rng(0).random(shape, np.float32)
    request = compiled.create_infer_request()
    return lambda: request.infer({0: square})


RUNTIMES: Final[dict[Runtime, Callable[[Path], Run]]] = {
    "onnxruntime": onnx_runtime,
    "openvino": openvino,
}


if __name__ == "__main__":
    main()
