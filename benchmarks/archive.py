"""Screen 50,000 generated radiographs, kill the run in the middle, go on, and look at the cost.

    python benchmarks/archive.py --count 50000 --folder ARCHIVE --output results.json

A few hundred phantoms are drawn and written over and over, each time with other
pixels in a corner, so that every file has a content of its own. What is
checked: every file has one row, no finished part is written twice, and memory does not grow. What
is measured: processor time a radiograph, and the memory of all processes together (PSS).
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from nanoray.datasets import phantom
from nanoray.screening.archive.folder import RunFolder

SIZE = 256
FOLDER_FILES = 1000


def write_archive(folder: Path, count: int, drawings: int) -> None:
    """Write what is missing of `count` DICOM files, 1000 in a folder."""
    finished = folder / f"{count}.complete"
    if finished.exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    kept = folder.parent / "drawings"
    kept.mkdir(exist_ok=True)
    templates = []
    for seed in range(min(drawings, count)):
        path = kept / f"{seed}.dcm"
        if not path.exists():
            drawn = phantom.draw(seed, size=SIZE, opacity=seed % 4 == 0)
            phantom.write_dicom(drawn, path, bits=8)
        templates.append(path.read_bytes())
    for number in range(count):
        data = bytearray(templates[number % len(templates)])
        # The last pixels, in a corner at the bottom, say which file it is, in base 16.
        digits = [number >> shift & 15 for shift in range(0, 32, 4)]
        data[-10:-2] = bytes(digits)
        path = folder / f"{number // FOLDER_FILES:03d}" / f"{number:06d}.dcm"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(data)
    finished.touch()


@dataclass
class Watch:
    """Samples the memory of a process and all below it.

    Attributes:
        samples: (seconds, MiB of all, MiB of the first process).
    """

    pid: int
    samples: list[tuple[float, float, float]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._end = threading.Event()
        self._begun = time.monotonic()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._end.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._end.wait(3.0):
            sizes = [pss(pid) for pid in tree(self.pid)]
            if sizes:
                now = time.monotonic() - self._begun
                self.samples.append((round(now, 1), round(sum(sizes), 1), round(sizes[0], 1)))


def tree(pid: int) -> list[int]:
    """A process and all below it."""
    found = [pid]
    for parent in found:
        try:
            for thread in Path(f"/proc/{parent}/task").iterdir():
                found += [int(child) for child in (thread / "children").read_text().split()]
        except OSError:
            continue
    return found


def pss(pid: int) -> float:
    """Memory of a process in MiB, pages shared with others counted in part."""
    try:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) / 1024
    except OSError:
        pass
    return 0.0


def run(
    command: list[str], folder: RunFolder, *, kill_after: int | None = None
) -> tuple[dict[str, float], list[tuple[float, float, float]], int]:
    """Run a screening, or kill it with all mercy denied once so many parts are finished."""
    begun = time.monotonic()
    process = subprocess.Popen(command)
    watch = Watch(process.pid)
    if kill_after is not None:
        while len(folder.finished()) < kill_after:
            time.sleep(1.0)
        os.kill(process.pid, signal.SIGKILL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    watch.stop()
    figures = {
        "wall_seconds": time.monotonic() - begun,
        "processor_seconds": usage.ru_utime + usage.ru_stime,
    }
    return figures, watch.samples, process.returncode


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=50_000)
    parser.add_argument("--drawings", type=int, default=300)
    parser.add_argument("--folder", type=Path, default=Path("runs/archive"))
    parser.add_argument("--output", type=Path, default=Path("runs/archive.json"))
    parser.add_argument("--model", type=Path, help="default: the packaged model")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--kill-after", type=int, help="finished parts; default: about a third")
    arguments = parser.parse_args()

    source, out = arguments.folder / "source", arguments.folder / "run"
    begun = time.monotonic()
    write_archive(source, arguments.count, arguments.drawings)
    print(f"archive: {time.monotonic() - begun:.0f} s", flush=True)
    command = [sys.executable, "-m", "nanoray", "screen", str(source), "--out", str(out)]
    command += ["--workers", str(arguments.workers), "--quiet"]
    if arguments.model:
        command += ["--model", str(arguments.model)]

    folder = RunFolder(str(out))
    # The first parts are small; from the 40th on they have 500 files.
    kill_after = arguments.kill_after or (
        40 + arguments.count // 1500 if arguments.count > 9000 else 12
    )
    _, before, code = run(command, folder, kill_after=kill_after)
    assert code == -signal.SIGKILL, code
    time.sleep(5.0)  # those left behind notice that their parent is gone
    kept = {number: modified(out, number) for number in folder.finished()}
    sizes = folder.sizes() or []
    done = sum(sizes[number] for number in kept)
    print(f"killed with {done} of {arguments.count} done", flush=True)

    figures, after, code = run(command, folder)
    assert code == 0, code
    again = [number for number, when in kept.items() if modified(out, number) != when]
    contents: list[str] = []
    errors = 0
    for table in folder.tables(["content", "code"]):
        contents += table.column("content").to_pylist()
        errors += table.num_rows - table.column("code").null_count
    rest = arguments.count - done
    quarter = max(1, len(after) // 4)
    results = {
        "files": arguments.count,
        "rows": len(contents),
        "different_contents": len(set(contents)),
        "errors": errors,
        "done_when_killed": done,
        "parts_written_twice": len(again),
        "workers": arguments.workers,
        "resumed_files": rest,
        **figures,
        "processor_milliseconds_a_radiograph": 1000 * figures["processor_seconds"] / rest,
        "memory_mib_second_quarter": median(after[quarter : 2 * quarter], 1),
        "memory_mib_last_quarter": median(after[3 * quarter :], 1),
        "driver_mib_second_quarter": median(after[quarter : 2 * quarter], 2),
        "driver_mib_last_quarter": median(after[3 * quarter :], 2),
        "memory_mib_most": max(sample[1] for sample in [*before, *after]),
        "samples_seconds_mib_all_mib_driver": after[:: max(1, len(after) // 60)],
    }
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    arguments.output.write_text(json.dumps(results, indent=2) + "\n")
    print(
        json.dumps({key: value for key, value in results.items() if "samples" not in key}, indent=2)
    )
    assert len(contents) == len(set(contents)) == arguments.count
    assert not again
    assert not errors


def modified(out: Path, number: int) -> int:
    return (out / RunFolder.result_name(number)).stat().st_mtime_ns


def median(samples: list[tuple[float, float, float]], column: int) -> float:
    return float(np.median([sample[column] for sample in samples])) if samples else 0.0


if __name__ == "__main__":
    main()
