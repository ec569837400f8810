"""A Ray cluster of two raylets on this machine: one is killed, then the driver is.

    python benchmarks/cluster.py --count 2000

The rows must be those of a run without any engine, bit for bit, whatever is killed.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
# Ray's workers otherwise give way to all else: beside a training run they do not come to work.
os.environ.setdefault("RAY_worker_niceness", "0")

import ray
from archive import rows, write_archive
from ray.cluster_utils import Cluster

from nanoray.archives.run_folder import RunFolder

PART = 16


@contextmanager
def cluster() -> Iterator[tuple[Any, Any]]:
    """Provide a head and a second raylet, one core each."""
    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    try:
        second = made.add_node(num_cpus=1)
        made.wait_for_nodes(timeout=600)
        yield made, second
    finally:
        ray.shutdown()
        made.shutdown()


def start(arguments: list[str], out: Path, *options: str) -> subprocess.Popen[bytes]:
    """Start a screening into `out`."""
    command = [sys.executable, "-m", "nanoray", "screen", *arguments, "--out", str(out)]
    return subprocess.Popen([*command, "--part-size", str(PART), "--quiet", *options])


def wait_for_parts(run: RunFolder, process: subprocess.Popen[bytes], parts: int) -> None:
    """Wait until so many parts are finished."""
    while len(run.finished()) < parts:
        if process.poll() is not None:
            raise SystemExit(f"the screening ended early, with exit code {process.returncode}")
        time.sleep(0.2)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--drawings", type=int, default=50)
    parser.add_argument("--folder", type=Path, default=Path("runs/cluster"))
    parser.add_argument("--model", type=Path, help="default: the packaged model")
    arguments = parser.parse_args()
    source = arguments.folder / "source"
    write_archive(source, arguments.count, arguments.drawings)
    common = [str(source), *(["--model", str(arguments.model)] if arguments.model else [])]
    for name in ("local", "raylet", "driver"):
        shutil.rmtree(arguments.folder / name, ignore_errors=True)

    assert start(common, arguments.folder / "local", "--workers", "1").wait() == 0
    expected = rows(arguments.folder / "local")
    assert len({row["content"] for row in expected}) == len(expected) == arguments.count

    for victim in ("raylet", "driver"):
        with cluster() as (made, second):
            out = arguments.folder / victim
            options = ("--engine", "ray", "--address", made.address)
            process = start(common, out, *options)
            run = RunFolder(str(out))
            wait_for_parts(run, process, 4)
            if victim == "raylet":
                made.remove_node(second, allow_graceful=False)
            else:
                os.kill(process.pid, signal.SIGKILL)
                process.wait()
            done, parts = len(run.finished()), len(run.listed())
            assert done < parts, "finished before the kill: a larger --count is needed"
            if victim == "driver":
                process = start(common, out, *options)
            assert process.wait() == 0
            assert rows(out) == expected
            print(f"{victim} killed after {done} of {parts} parts: the same rows", flush=True)


if __name__ == "__main__":
    main()
