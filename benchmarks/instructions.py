"""Count the instructions of one run of model files, where time tells nothing.

    python benchmarks/instructions.py MODEL.onnx ... --include FOLDER [--arm LIBRARY]

FOLDER holds `onnxruntime_c_api.h` (Debian 13: libonnxruntime-dev). On x86-64 Valgrind counts; it
shows programs a processor with AVX2 and without AVX-512, VNNI and AMX, so that the figures are
those of ONNX Runtime's AVX2 kernels. With LIBRARY, `libonnxruntime.so` of the wheel for Linux on
ARM64, QEMU counts for a Cortex-A76 (Raspberry Pi 5: four products of 8-bit integers in one
instruction) and a Cortex-A72 (Raspberry Pi 4: without).

    apt-get install gcc valgrind qemu-user gcc-aarch64-linux-gnu libstdc++6-arm64-cross

A figure is half of what three runs take more than one. Instructions are not time: a load from
memory and a product of 16 numbers count as one each, and processors start several at once.
"""

from __future__ import annotations

import argparse
import platform
import re
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

import onnxruntime

from nanoray.detecting.model_file import read_card

HERE = Path(__file__).parent
CROSS = Path("/usr/aarch64-linux-gnu/lib")
# What the processor's library reads in place of this machine's file.
CPUINFO = """processor	: 0
Features	: fp asimd evtstrm aes pmull sha1 sha2 crc32 {features}
CPU implementer	: 0x41
CPU architecture: 8
CPU variant	: 0x0
CPU part	: {part}
CPU revision	: 1

"""
ARM = {
    "cortex-a76": ("0xd0b", "atomics fphp asimdhp cpuid asimdrdm lrcpc dcpop asimddp"),
    "cortex-a72": ("0xd08", "cpuid"),
}


@dataclass(frozen=True)
class Counter:
    """A way to count: the command before the program, and what its output looks like."""

    name: str
    command: list[str]
    pattern: str
    program: Path

    def count(self, model: Path, side: int, runs: int) -> int:
        """Count the instructions of the whole program."""
        command = [*self.command, str(self.program), str(model), str(side), str(runs)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        counted = re.search(self.pattern, done.stdout + done.stderr)
        if done.returncode or counted is None:
            raise SystemExit(f"{self.name}: {(done.stderr or done.stdout)[-500:]}")
        return int(counted[1])


def compiled(source: str, target: Path, *options: str, compiler: str = "cc") -> Path:
    """Compile a file of this folder."""
    command = [compiler, "-O2", "-std=c11", str(HERE / source), *options, "-o", str(target)]
    subprocess.run(command, check=True)
    return target


def counters(include: Path, arm: Path | None, folder: Path) -> list[Counter]:
    """Compile the program for each processor, and return what counts there."""
    found = []
    if platform.machine() == "x86_64":
        capi = Path(onnxruntime.__file__).parent / "capi"
        library = next(capi.glob("libonnxruntime.so.*"))
        (folder / "libonnxruntime.so.1").symlink_to(library)
        options = ("-I", str(include), str(library), f"-Wl,-rpath,{folder}")
        program = compiled("instructions.c", folder / "x86", *options)
        valgrind = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null"]
        found.append(Counter("x86-64, AVX2", valgrind, r"Collected : (\d+)", program))
    if arm is None:
        return found
    plugin = compiled("count_plugin.c", folder / "count.so", "-shared", "-fPIC")
    beside = folder / "arm"
    beside.mkdir()
    (beside / "libonnxruntime.so.1").symlink_to(arm.resolve())
    program = compiled(
        "instructions.c", beside / "program", "-I", str(include), str(arm),
        compiler="aarch64-linux-gnu-gcc",
    )  # fmt: skip
    for name, (part, features) in ARM.items():
        root = folder / name
        (root / "proc").mkdir(parents=True)
        (root / "lib").symlink_to(CROSS)
        (root / "proc" / "cpuinfo").write_text(CPUINFO.format(part=part, features=features))
        qemu = ["qemu-aarch64", "-L", str(root), "-E", f"LD_LIBRARY_PATH={beside}", "-cpu", name]
        qemu += ["-plugin", str(plugin), "-d", "plugin"]
        found.append(Counter(f"ARM64, {name}", qemu, r"instructions: (\d+)", program))
    return found


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", type=Path, nargs="+", help="ratios are to the first")
    parser.add_argument("--include", type=Path, required=True)
    parser.add_argument("--arm", type=Path, help="libonnxruntime.so for ARM64")
    options = parser.parse_args()
    print("| processor | model file | million instructions | by the first |")
    print("| --- | --- | ---: | ---: |")
    with tempfile.TemporaryDirectory() as scratch:
        for counter in counters(options.include, options.arm, Path(scratch)):
            first = 0.0
            for model in options.models:
                side = read_card(model).input_size
                once, thrice = (counter.count(model, side, runs) for runs in (1, 3))
                each = (thrice - once) / 2e6
                first = first or each
                row = [counter.name, model.name, f"{each:.1f}", f"{each / first:.2f}"]
                print(f"| {' | '.join(row)} |", flush=True)


if __name__ == "__main__":
    main()
