"""Measure training steps and the loader on this machine's accelerator, or on its processor.

    python benchmarks/training_speed.py [--steps 40] [--output training-speed.md]

Squares and targets are random, since only time is measured. Batches are of 32. Each row takes its
precisions in turns: the median over `--steps` steps after ten to warm up, a step with loading,
augmentation, both passes and the optimiser. The last column is the loader alone.
"""

from __future__ import annotations

import argparse
import logging
import platform
import statistics
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import lightning
import numpy as np
import torch
from rich.progress import Progress

from nanoray.datasets.folder import Case
from nanoray.training.learner import Learner
from nanoray.training.networks import Head, build
from nanoray.training.samples import Batches, Collection, Samples
from nanoray.training.settings import Settings

CASES, BATCH, WARMING = 512, 32, 10
PRECISIONS = ("32-true", "bf16-mixed", "16-mixed")
NETWORKS = (
    ("mobilenet_v3_small_minimal", 256),
    ("resnet50", 224),
    ("vit_small_patch14_dinov2", 224),
)


def random_samples(size: int) -> Samples:
    """Return samples of random squares, half of them with a box."""
    rng = np.random.default_rng(0)
    squares = rng.integers(0, 256, (CASES, size, size), np.uint8)
    box = (0.2, 0.3, 0.2, 0.2)
    cases = [
        Case(Path(f"{n}.png"), f"{n}", "Opacity" if n % 2 else "Normal", n % 2, (box,) * (n % 2))
        for n in range(CASES)
    ]
    return Samples([Collection(cases, squares, range(CASES))])


class Clock(lightning.Callback):
    """Record when each step ends, with the accelerator's work done."""

    def __init__(self) -> None:
        self.ends: list[float] = []

    def on_train_batch_end(self, *_: Any) -> None:
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        self.ends.append(time.perf_counter())


def step_time(settings: Settings, samples: Samples, steps: int) -> float:
    """Return the median seconds of a training step."""
    network = build(settings.architecture, pretrained=False, options=Head(settings.equalize))
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    clock = Clock()
    trainer = lightning.Trainer(
        precision=settings.precision,  # type: ignore[arg-type]
        devices=1,
        max_steps=WARMING + steps,
        callbacks=[clock],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        limit_val_batches=0,
        use_distributed_sampler=False,
        gradient_clip_val=1.0,
    )
    learner = Learner(network, settings, samples.allowed, WARMING + steps + 1)
    learner.train()
    trainer.fit(learner, Batches(samples, samples, settings, 1))
    return float(np.median(np.diff(clock.ends)[WARMING - 1 :]))


def loading_time(samples: Samples) -> float:
    """Return the median seconds in which a batch is gathered."""
    taken = []
    for first in range(0, CASES, BATCH):
        begun = time.perf_counter()
        samples.batch(list(range(first, first + BATCH)))
        taken.append(time.perf_counter() - begun)
    return statistics.median(taken)


def rows(steps: int) -> Iterator[str]:
    """Measure network by network, and yield the rows of the table."""
    for architecture, size in NETWORKS:
        samples = random_samples(size)
        times: dict[str, list[float]] = {precision: [] for precision in PRECISIONS}
        # In turns, so a drift of the machine's speed meets all of them.
        for _ in range(2):
            for precision in PRECISIONS:
                settings = Settings(
                    "teacher",
                    architecture,
                    size=size,
                    epochs=100,
                    batch_size=BATCH,
                    equalize=True,
                    precision=precision,  # type: ignore[arg-type]
                )
                times[precision].append(step_time(settings, samples, steps // 2))
        least = [min(times[precision]) for precision in PRECISIONS]
        cells = [f"{1000 * value:.1f} ms ({least[0] / value:.2f})" for value in least]
        loading = f"{1000 * loading_time(samples):.1f} ms"
        yield f"| {architecture} | {size} | {' | '.join(cells)} | {loading} |"


def machine() -> str:
    """Name the accelerator, or the processor's kind."""
    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    return f"processor ({platform.machine()}), {torch.get_num_threads()} threads"


def main() -> None:
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--output", type=Path, default=Path("training-speed.md"))
    options = parser.parse_args()
    header = ["network", "input", *PRECISIONS, "loader alone"]
    lines = [
        f"{machine()}, PyTorch {torch.__version__}, batches of {BATCH}. In brackets the speed as a "
        f"ratio to {PRECISIONS[0]}.",
        "",
        f"| {' | '.join(header)} |",
        f"| {' | '.join(['---'] * len(header))} |",
    ]
    with Progress() as progress:
        task = progress.add_task("Measuring", total=len(NETWORKS))
        for row in rows(options.steps):
            lines.append(row)
            progress.advance(task)
            options.output.write_text("\n".join(lines) + "\n")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
