"""Benchmark of a model in every installed runtime: equality, time, memory and size.

All candidates take turns in one process, in an order that changes with every round. A ratio is the
median over the rounds of the ratio to the model file in ONNX Runtime in the same round. Peak memory
is that of a separate process, with Python and the runtime.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from nanoray.detecting.model_file import LOGIT, NOVELTY, ModelCard, read_card
from nanoray.errors import NanoRayError
from nanoray.evaluating.metrics import auroc
from nanoray.exporting.export import size_of
from nanoray.exporting.formats import Format
from nanoray.exporting.runtimes import RUNTIMES, Run, Runtime

LOGIT_BAR = 0.02
"""Largest difference of a logit for a runtime to count as equal, in floating point."""
DECISION_BAR = 0.995
"""Smallest share of equal decisions for a runtime to count as equal."""
WARM_UP = 5
BURST = 3
"""Consecutive runs of one candidate, after one more run to warm the caches."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A file in a runtime.

    Attributes:
        name: of the runtime, and of the file if it is not the model file.
        runtime: that opens the file.
        paths: of the file, the one to open first.
    """

    name: str
    runtime: Runtime
    paths: tuple[Path, ...]

    @property
    def size(self) -> int:
        """Size on the disk in bytes."""
        return sum(size_of(path) for path in self.paths)

    @property
    def exact(self) -> bool:
        """Whether it computes in floating point, and must equal the model file."""
        if self.runtime.form is Format.onnx:
            return read_card(self.paths[0]).precision != "int8"
        return self.runtime.form is not Format.litert_int8


@dataclass(frozen=True, slots=True)
class Row:
    """Measurements of a candidate.

    Attributes:
        name, version: of the runtime.
        exact: whether it computes in floating point.
        size: bytes on the disk.
        ratio: latency divided by that of the model file in ONNX Runtime, with its 95 % interval.
        milliseconds: median.
        peak: peak memory of a separate process in bytes; None if unknown.
        largest, mean: difference of the logits from the model file's.
        equal: share of equal decisions.
        auroc: on labelled radiographs; None without labels.
    """

    name: str
    version: str
    exact: bool
    size: int
    ratio: tuple[float, float, float]
    milliseconds: float
    peak: int | None
    largest: float
    mean: float
    equal: float
    auroc: float | None

    @property
    def passes(self) -> bool:
        """Whether it counts as equal to the model file."""
        return self.largest <= LOGIT_BAR and self.equal >= DECISION_BAR


def candidates(model: Path, exports: Path | None, others: Sequence[Path]) -> list[Candidate]:
    """List the candidates of the installed runtimes, the model file in ONNX Runtime first.

    Args:
        exports: a folder of `nanoray export`; exports of other model files are skipped.
        others: further model files, such as the INT8 one.

    Raises:
        NanoRayError: an export with a missing file.
    """
    by_name = {runtime.name: runtime for runtime in RUNTIMES if runtime.installed}
    first = by_name["ONNX Runtime"]
    found = [Candidate(first.name, first, (model,))]
    found += [Candidate(f"{first.name}, {path.name}", first, (path,)) for path in others]
    eager = by_name.get("PyTorch, eager")
    if eager is not None:
        found.append(Candidate(eager.name, eager, (model,)))
    for path in sorted(exports.glob("*.json")) if exports is not None else ():
        values = json.loads(path.read_text())
        if not isinstance(values, dict) or values.get("source", {}).get("file") != model.name:
            continue
        form = Format(values["format"])
        paths = tuple(path.parent / name for name in values["files"])
        for one in paths:
            if not one.exists():
                raise NanoRayError(
                    f"{one}: not found, but named in {path.name} names it; export again"
                )
        if form is not Format.onnx:
            found += [Candidate(r.name, r, paths) for r in by_name.values() if r.form is form]
    return found


def measure(
    found: Sequence[Candidate],
    squares: Sequence[NDArray[np.float32]],
    *,
    targets: NDArray[np.integer] | None = None,
    rounds: int = 40,
    clock: Callable[[], float] = perf_counter,
    watch: Callable[[Iterable[int]], Iterable[int]] = iter,
) -> list[Row]:
    """Measure candidates against the first of them.

    Args:
        squares: float32 [1, 1, S, S], the radiographs for differences and decisions.
        targets: 0 or 1 for each of `squares` from the front; None without labels.
        clock: seconds; `time.process_time` on a busy machine.
        watch: wraps the rounds, to show progress.
    """
    runs = [one.runtime.open(one.paths, 1) for one in found]
    seconds = _latencies(runs, squares[0], rounds, clock, watch)
    card = read_card(found[0].paths[0])
    outputs = [_judge(run, squares) for run in runs]
    rows = []
    for number, candidate in enumerate(found):
        logits = outputs[number][0]
        moved = np.abs(logits - outputs[0][0])
        labelled = None if targets is None else _auroc(logits[: len(targets)], targets)
        rows.append(
            Row(
                candidate.name,
                candidate.runtime.version,
                candidate.exact,
                candidate.size,
                _ratio(seconds[:, number] / seconds[:, 0]),
                1000 * float(np.median(seconds[:, number])),
                _peak(candidate),
                float(moved.max()),
                float(moved.mean()),
                float(np.mean(_decisions(*outputs[number], card) == _decisions(*outputs[0], card))),
                labelled,
            )
        )
    return rows


def _latencies(
    runs: Sequence[Run],
    square: NDArray[np.float32],
    rounds: int,
    clock: Callable[[], float],
    watch: Callable[[Iterable[int]], Iterable[int]],
) -> NDArray[np.float64]:
    """Measure the seconds of one run, [rounds, candidates]."""
    for run in runs:
        for _ in range(WARM_UP):
            run(square)
    seconds = np.zeros((rounds, len(runs)))
    order = np.random.default_rng(0)
    for number in watch(range(rounds)):
        for index in order.permutation(len(runs)):
            runs[index](square)
            begun = clock()
            for _ in range(BURST):
                runs[index](square)
            seconds[number, index] = (clock() - begun) / BURST
    return seconds


def _ratio(ratios: NDArray[np.float64]) -> tuple[float, float, float]:
    """Return the median with its 95 % bootstrap interval."""
    drawn = np.random.default_rng(0).choice(ratios, (1000, len(ratios)))
    low, high = np.quantile(np.median(drawn, 1), (0.025, 0.975))
    return float(np.median(ratios)), float(low), float(high)


def _judge(
    run: Run, squares: Sequence[NDArray[np.float32]]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Compute logits and novelty of squares, float64 [N]."""
    pairs = []
    for square in squares:
        found = run(square)
        pairs.append((float(found[LOGIT].ravel()[0]), float(found[NOVELTY].ravel()[0])))
    logits, novelty = np.array(pairs).T
    return logits, novelty


def _decisions(
    logits: NDArray[np.float64], novelty: NDArray[np.float64], card: ModelCard
) -> NDArray[np.int8]:
    """Decide: 0 no opacity suspected, 1 opacity suspected, 2 abstained."""
    probabilities = 1 / (1 + np.exp(-logits / card.temperature))
    suspected = (probabilities >= card.operating_point().threshold).astype(np.int8)
    return np.where(novelty <= card.novelty_limit, suspected, np.int8(2))


def _auroc(logits: NDArray[np.float64], targets: NDArray[np.integer]) -> float:
    return float(auroc(logits, targets, np.ones((1, len(logits))))[0])


def _peak(candidate: Candidate) -> int | None:
    """Measure the peak memory in bytes of a process that only runs the candidate."""
    index = next(n for n, runtime in enumerate(RUNTIMES) if runtime.name == candidate.runtime.name)
    command = [sys.executable, "-m", "nanoray.exporting.peak_memory", str(index)]
    command += [str(path) for path in candidate.paths]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    return int(found.stdout) if found.returncode == 0 and found.stdout.strip() else None
