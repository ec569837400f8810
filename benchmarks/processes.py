"""What a process and those below it use: memory and processor time, as Linux tells it in /proc."""

from __future__ import annotations

import os
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")


def family(pid: int) -> list[int]:
    """Return a process and all below it; threads and processes may end meanwhile."""
    found = [pid]
    for parent in found:
        for children in Path(f"/proc/{parent}/task").glob("*/children"):
            try:
                found += [int(child) for child in children.read_text().split()]
            except OSError:
                continue
    return found


def pss(pid: int) -> float:
    """Memory of a process in MiB, pages shared with others counted in part."""
    return _field(pid, "smaps_rollup", "Pss")


def resident(pid: int) -> float:
    """Resident memory of a process in MiB."""
    return _field(pid, "status", "VmRSS")


def unshared(pid: int) -> float:
    """Memory of a process in MiB that is neither files nor libraries."""
    return _field(pid, "status", "RssAnon") + _field(pid, "status", "RssShmem")


def _field(pid: int, file: str, name: str) -> float:
    try:
        for line in Path(f"/proc/{pid}/{file}").read_text().splitlines():
            if line.startswith(f"{name}:"):
                return int(line.split()[1]) / 1024
    except OSError:
        pass
    return 0.0


def processor_seconds(pid: int) -> float:
    """Return what a process has used so far, in all its threads; 0 if it has ended."""
    try:
        words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(words[11]) + int(words[12])) / _TICKS


@dataclass
class Watch:
    """Samples a process and all below it, every so many seconds.

    Attributes:
        samples: (seconds, MiB of all by `pss`, resident MiB of the first process).
        processor: seconds that each process has used.
    """

    pid: int
    every: float
    samples: list[tuple[float, float, float]] = field(default_factory=list)
    processor: dict[int, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._end = threading.Event()
        self._begun = time.monotonic()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Take no further samples."""
        self._end.set()
        self._thread.join()

    @property
    def together(self) -> float:
        """The most that all held at once, in MiB."""
        return max((sample[1] for sample in self.samples), default=0.0)

    @property
    def resident(self) -> float:
        """The most that the first process held, in MiB."""
        return max((sample[2] for sample in self.samples), default=0.0)

    def _run(self) -> None:
        while not self._end.wait(self.every):
            pids = family(self.pid)
            together = round(sum(pss(pid) for pid in pids), 1)
            seconds = round(time.monotonic() - self._begun, 1)
            self.samples.append((seconds, together, round(resident(self.pid), 1)))
            self.processor |= {pid: used for pid in pids if (used := processor_seconds(pid))}
