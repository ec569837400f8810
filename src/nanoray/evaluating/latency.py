"""Latency on the CPU, with a fair comparison of models on a busy machine."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import get_clock_info, perf_counter, thread_time

import numpy as np
from numpy.typing import NDArray

from nanoray.detecting.model_file import INPUT, OUTPUTS
from nanoray.evaluating.scores import open_session

WARM_UP = 3

# The CPU time of the computing thread equals the time on an idle machine, and does not grow with
# other load. If its resolution is too coarse, the clock is used.
_now = thread_time if get_clock_info("thread_time").resolution < 1e-4 else perf_counter


@dataclass(frozen=True, slots=True)
class Latency:
    """CPU time of one model for one radiograph, in one thread.

    Attributes:
        milliseconds: median over the rounds.
        ratio: median over the rounds of this model's time by the reference model's in the same
            round, with the quartiles: (median, lower, upper).
    """

    milliseconds: float
    ratio: tuple[float, float, float]


def time_rounds(paths: Sequence[Path], rounds: int) -> Iterator[NDArray[np.float64]]:
    """Run all models in turn, `rounds` times, and yield the seconds [models] of each round.

    Batch 1, CPU time of one thread, without reading of files. The order changes with every round,
    so no model always follows the same one.
    """
    sessions = [open_session(path, threads=1) for path in paths]
    rng = np.random.default_rng(0)
    inputs = []
    for session in sessions:
        side = session.get_inputs()[0].shape[-1]
        inputs.append({INPUT: rng.random((1, 1, side, side), np.float32)})
    for number in range(-WARM_UP, rounds):
        seconds = np.zeros(len(paths))
        for index in rng.permutation(len(paths)):
            start = _now()
            sessions[index].run(list(OUTPUTS), inputs[index])
            seconds[index] = _now() - start
        if number >= 0:
            yield seconds


def summarise(seconds: NDArray[np.float64], reference: int = 0) -> list[Latency]:
    """Compute medians and ratios of [rounds, models] seconds."""
    ratios = seconds / seconds[:, [reference]]
    lower, middle, upper = np.quantile(ratios, [0.25, 0.5, 0.75], axis=0)
    return [
        Latency(1000 * float(median), (float(middle[i]), float(lower[i]), float(upper[i])))
        for i, median in enumerate(np.median(seconds, axis=0))
    ]
