"""Shared by tests of training: a few phantoms, quick settings, commands in other processes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from typer.testing import CliRunner

from nanoray.commands.app import app
from nanoray.datasets.phantom import write_data_set

ROOT = Path(__file__).parents[2]
START = ROOT / "models" / "nanoray-student-fp32.onnx"
QUICK = ("--from", START, "--size", 64, "--batch-size", 8, "--quiet", "--learning-rate", 1e-3)
"""From weights that know radiographs, so that a few steps change little for the worse."""


def draw_phantoms(folder: Path, count: int, size: int = 64) -> Path:
    list(write_data_set(folder, count=count, seed=3, size=size))
    return folder


def nanoray(*arguments: object, fails: bool = False) -> str:
    """Run a command in this process; its output."""
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert (result.exit_code != 0) == fails, f"{result.output}{result.exception!r}"
    return result.output


def python(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run Python with one thread a process; the tests' time-out ends what hangs."""
    return subprocess.run(
        [sys.executable, *[str(argument) for argument in arguments]],
        env=os.environ
        | {"PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}
        | environment,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )


KILLED_AT = """
import os, signal, sys
from nanoray.commands.app import app
from nanoray.training.learner import Learner

rank, step = int(os.environ.get("KILL_RANK", "0")), int(os.environ["KILL_STEP"])
trained = Learner.training_step

def training_step(self, batch, index):
    first = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0") == "0"
    if first and (self.global_rank, self.global_step) == (rank, step):
        os.kill(os.getpid(), signal.SIGKILL)
    return trained(self, batch, index)

Learner.training_step = training_step
app(sys.argv[1:])
"""
"""A program that is `nanoray` until a step at which one of its processes kills itself."""
