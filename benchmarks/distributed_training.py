"""Do several processes train what one trains, and does a killed one come back?

    python benchmarks/distributed_training.py --from models/nanoray-student-fp32.onnx

On drawn radiographs, for each seed: one process; two under torchrun, which share the batches; two,
one of which kills itself in the midst of an epoch, so that torchrun starts both again
(`--max-restarts`) and they go on from the last checkpoint. It writes a table of the validation
AUROCs, and of how far the weights are apart: rank by rank the same numbers are drawn whether a run
was restarted or not, so the killed run should end with the weights of the one that was not.

Two processes are not bit for bit one: each augments its half of a batch with numbers of its own.
What one seed differs from the next is the measure for that.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

import numpy as np
from rich.progress import track
from safetensors.numpy import load_file

from nanoray.datasets.phantom import write_data_set

SOURCE = Path(__file__).parents[1] / "src"
KILLED = """
import os, signal, sys
from nanoray.commands.app import app
from nanoray.training.learner import Learner

trained = Learner.training_step

def training_step(self, batch, index):
    first = os.environ["TORCHELASTIC_RESTART_COUNT"] == "0"
    if first and self.global_rank == 1 and self.global_step == int(os.environ["KILL_STEP"]):
        os.kill(os.getpid(), signal.SIGKILL)
    return trained(self, batch, index)

Learner.training_step = training_step
app(sys.argv[1:])
"""
TORCHRUN = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")
WAYS = ("one process", "two processes", "two, one killed")


def run(way: str, command: list[str], output: Path, kill_step: int) -> float:
    """Train in one of the `WAYS`; the validation AUROC. A finished run is not repeated."""
    result = output / "result.json"
    program = output.parent / "killed.py"
    program.write_text(KILLED)
    start = {
        WAYS[0]: ["-m", "nanoray"],
        WAYS[1]: [*TORCHRUN, "-m", "nanoray"],
        WAYS[2]: [*TORCHRUN, "--max-restarts", "1", str(program)],
    }[way]
    if not result.is_file():
        environment = os.environ | {
            "PYTHONPATH": str(SOURCE),
            "OMP_NUM_THREADS": "1",
            "GLOO_SOCKET_IFNAME": "lo",
            # See docs/guides/training.md, "Several GPUs, several machines".
            "TORCH_DISABLE_SHARE_RDZV_TCP_STORE": "1",
            "KILL_STEP": str(kill_step),
        }
        done = subprocess.run(
            [sys.executable, *start, *command, "--output", str(output)],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise SystemExit(done.stderr)
    return float(json.loads(result.read_text())["validation_auroc"])


def apart(first: Path, second: Path) -> float:
    """Return the greatest difference of any weight of two runs."""
    ours, theirs = (load_file(folder / "weights.safetensors") for folder in (first, second))
    return max(float(np.abs(ours[name] - theirs[name]).max()) for name in theirs)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--from", dest="start", type=Path, required=True)
    parser.add_argument("--output", type=Path, default=Path("runs/distributed"))
    parser.add_argument("--phantoms", type=int, default=240)
    parser.add_argument("--size", type=int, default=96)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    data = options.output / "data"
    if not (data / "labels.csv").is_file():
        list(write_data_set(data, count=options.phantoms, seed=3, size=options.size))
    scores: dict[str, list[float]] = {way: [] for way in WAYS}
    distances = []
    every = [(seed, way) for seed in range(options.seeds) for way in WAYS]
    for seed, way in track(every, "Training"):
        command = ["train", "baseline", str(data), "--from", str(options.start), "--quiet"]
        command += ["--size", str(options.size), "--epochs", str(options.epochs)]
        command += ["--batch-size", "16", "--learning-rate", "1e-3", "--average-decay", "0.9"]
        command += ["--seed", str(seed), "--split", str(split_of(data))]
        command += ["--cache", str(options.output / "cache")]
        folder = options.output / way.replace(" ", "-").replace(",", "") / f"seed-{seed}"
        folder.mkdir(parents=True, exist_ok=True)
        # In the second epoch; a step is a batch of 16 of three fifths of the phantoms.
        kill_step = round(1.5 * 0.6 * options.phantoms / 16)
        scores[way].append(run(way, command, folder, kill_step))
        if way == WAYS[2]:
            distances.append(apart(folder, folder.parents[1] / "two-processes" / folder.name))
    table = markdown(scores, distances)
    (options.output / "distributed.md").write_text(table)
    print(table)


def split_of(data: Path) -> Path:
    """One split for all seeds, written once."""
    from nanoray.datasets.labelled import open_labelled
    from nanoray.datasets.splits import save_split

    path = data / "split.csv"
    if not path.is_file():
        labelled = open_labelled(data)
        save_split(path, labelled.cases, labelled.split)
    return path


def markdown(scores: dict[str, list[float]], distances: list[float]) -> str:
    """Return a row for each way."""
    seeds = range(len(scores[WAYS[0]]))
    lines = [
        f"| trained by | {' | '.join(f'seed {seed}' for seed in seeds)} | mean | deviation |",
        f"| --- | {'--- | ' * len(seeds)}--- | --- |",
    ]
    for way, values in scores.items():
        spread = f"{statistics.stdev(values):.4f}" if len(values) > 1 else ""
        cells = " | ".join(f"{value:.4f}" for value in values)
        lines.append(f"| {way} | {cells} | {statistics.fmean(values):.4f} | {spread} |")
    lines.append("")
    lines.append(
        "Greatest difference of a weight between two processes of which one was killed, and two "
        f"that were not: {max(distances):.2g}."
    )
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
