"""Run a trunk of 8-bit integers in LiteRT Micro: is it the same there, and how much memory?

    pip install tflite-micro
    python benchmarks/arena.py exports/nanoray-student-fp32-int8.tflite ...

The input is noise. LiteRT's reference kernels compute what LiteRT Micro's do; those of XNNPACK,
which LiteRT takes otherwise, round products in another place. The arena holds all maps that are
alive at once and what the interpreter needs; weights are read where they lie, in flash memory. It
is the smallest in which the file runs.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from ai_edge_litert.interpreter import Interpreter, OpResolverType
from tflite_micro.python.tflite_micro import runtime

LARGEST = 16 * 1024 * 1024
STEP = 1024


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("trunks", type=Path, nargs="+", metavar="TFLITE")
    options = parser.parse_args()
    print("| file | kB | arena, kB | levels that differ from LiteRT's reference kernels |")
    print("| --- | ---: | ---: | ---: |")
    for path in options.trunks:
        size, least = path.stat().st_size / 1000, arena(path)
        print(f"| {path.name} | {size:.0f} | {least / 1000:.0f} | {differing(path, least)} |")


def differing(path: Path, arena_size: int) -> int:
    """Count the levels of all maps that differ, run in an arena of so many bytes."""
    whole = Interpreter(str(path), experimental_op_resolver_type=OpResolverType.BUILTIN_REF)
    whole.allocate_tensors()
    entry = whole.get_input_details()[0]
    levels = np.random.default_rng(0).integers(-128, 128, entry["shape"]).astype(np.int8)
    whole.set_tensor(entry["index"], levels)
    whole.invoke()
    micro = runtime.Interpreter.from_file(str(path), arena_size=arena_size)
    micro.set_input(levels, 0)
    micro.invoke()
    return sum(
        int((micro.get_output(number) != whole.get_tensor(output["index"])).sum())
        for number, output in enumerate(whole.get_output_details())
    )


def arena(path: Path) -> int:
    """Find the smallest arena, in bytes, with which the interpreter allocates its tensors."""
    low, high = 0, LARGEST
    while high - low > STEP:
        middle = (low + high) // 2
        try:
            runtime.Interpreter.from_file(str(path), arena_size=middle)
            high = middle
        except RuntimeError:
            low = middle
    return high


if __name__ == "__main__":
    main()
