"""Training runs of a recipe: data, starting weights and teachers."""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from filelock import FileLock
from torch import Tensor

from nanoray.datasets.folder import Case, read_folder
from nanoray.datasets.images import load_squares, on_squares
from nanoray.datasets.labelled import SPLIT, LabelledData, check_trainable
from nanoray.datasets.splits import save_split, without_patients
from nanoray.errors import DataSetError
from nanoray.training.answers import read_answers
from nanoray.training.fit import Hardware, first_process, fit
from nanoray.training.narrowing import narrowed
from nanoray.training.networks import (
    Head,
    Network,
    build,
    check_architecture,
    is_minimal,
    load_weights,
    simplified,
    width_of,
)
from nanoray.training.record import describe_folder, record_session
from nanoray.training.run_folder import WEIGHTS, saved_score
from nanoray.training.samples import Collection, Samples, TeacherOutputs
from nanoray.training.settings import Settings
from nanoray.training.teachers import Teachers, refuse_leaks, teacher_outputs


@dataclass(frozen=True, slots=True)
class Sources:
    """The inputs of a run besides its data set.

    Attributes:
        weights: ImageNet weights as a file; without it they come from the model hub.
        pretrained: False starts from random weights.
        start: a finished run or an FP32 model file (`.onnx`) with the starting weights, instead of
            ImageNet weights.
        extras: further data sets to train on; images of patients in the validation or test part are
            omitted.
        apart: names of extras with another target, or with an appearance that reveals the target;
            only their detailed classes, boxes and answers are learned.
        shares: of each data set in every batch, the main one first; see
            `nanoray.training.samples.Samples`.
        answers: table of findings from other networks and reports.
        teachers: finished runs or FP32 model files; the student learns the mean of their logits.
        untaught: names of extras whose appearance is unfamiliar to the teachers; they are learned
            without a teacher.
        cache: folder of prepared images.
    """

    weights: Path | None = None
    pretrained: bool = True
    start: Path | None = None
    extras: Sequence[Path] = ()
    apart: Sequence[str] = ()
    shares: Sequence[float] = ()
    answers: Path | None = None
    teachers: Sequence[Path] = ()
    untaught: Sequence[str] = ()
    cache: Path = Path("cache")


def train(
    settings: Settings,
    data: LabelledData,
    output: Path,
    sources: Sources,
    *,
    hardware: Hardware | None = None,
    loggers: Sequence[str] = (),
    show_progress: bool = True,
) -> float:
    """Run one training from folders to weights; see `nanoray.training.fit.fit`.

    Returns:
        The validation AUROC of the saved weights; a finished run is not trained again.

    Raises:
        DataSetError: see `saved_score`, `refuse_leaks`, or an unknown architecture.
    """
    check_architecture(settings.architecture)
    finished = saved_score(output, settings)
    if finished is not None:
        return finished
    check_trainable(data)
    refuse_leaks([*sources.teachers, *([sources.start] if sources.start else [])], data)
    output.mkdir(parents=True, exist_ok=True)
    cache = sources.cache
    cache.mkdir(parents=True, exist_ok=True)
    held_out = [data.cases[index] for index in data.split.validation + data.split.test]
    training = []
    taught: TeacherOutputs | None = None
    present = settings.teacher_view == "augmented" and len(sources.teachers) > 0
    teachers = Teachers(sources.teachers, equalized=settings.equalize) if present else None
    # One of several processes prepares the images; the others read them.
    with FileLock(cache / "preparing.lock"):
        if first_process():
            save_split(output / SPLIT, data.cases, data.split)
            described = [describe_folder(data.folder, data.split)]
            described += [describe_folder(folder) for folder in sources.extras]
            record_session(output, described, start=sources.start, teachers=sources.teachers)
        for name, cases, chosen in _parts(data, sources.extras, held_out):
            images = load_squares(cases, settings.size, cache, show_progress=show_progress)
            if sources.teachers and name in sources.untaught and taught is not None:
                taught = taught.silent(len(chosen))
            elif teachers is not None:
                taught = teachers.placeholder(len(chosen))
            elif sources.teachers:
                taught = teacher_outputs(
                    sources.teachers, cases, chosen, name, cache, show_progress=show_progress
                )
            boxed = on_squares(cases, settings.size, cache)
            training.append(Collection(boxed, images, chosen, taught, apart=name in sources.apart))
        squares = load_squares(data.cases, settings.size, cache, show_progress=show_progress)
        boxed = on_squares(data.cases, settings.size, cache)
    answers = read_answers(sources.answers) if sources.answers is not None else None
    samples = Samples(training, shares=sources.shares, answers=answers)
    some = samples.batch(list(range(min(64, len(samples))))).images
    return fit(
        _first_network(settings, sources, some),
        settings,
        samples,
        Samples([Collection(boxed, squares, data.split.validation)]),
        output,
        hardware=hardware,
        teachers=teachers,
        loggers=loggers,
        show_progress=show_progress,
    )


def train_shards(
    settings: Settings,
    url: str,
    output: Path,
    sources: Sources,
    *,
    hardware: Hardware | None = None,
    loggers: Sequence[str] = (),
    show_progress: bool = True,
) -> float:
    """Train like `train`, on a sharded data set that is streamed.

    A teacher's outputs are in the shards; of `sources` only the starting weights are used.
    """
    from nanoray.datasets.shards import fingerprint, open_shards, read_split
    from nanoray.training.streaming import ShardedTraining, gather, validation_samples

    check_architecture(settings.architecture)
    finished = saved_score(output, settings)
    if finished is not None:
        return finished
    shards = open_shards(url)
    if shards.size != settings.size:
        raise DataSetError(f"{url}: has squares of {shards.size} pixels, not {settings.size}")
    if settings.teacher_view != "fixed":
        raise DataSetError(f"{url}: has a teacher's outputs; --teacher-view must be fixed")
    training = ShardedTraining(shards)
    if settings.role == "student" and not training.teacher_width:
        raise DataSetError(f"{url}: has no teacher's outputs; write it with --teacher")
    output.mkdir(parents=True, exist_ok=True)
    if first_process():
        (output / SPLIT).write_text(read_split(shards))
        described = {
            "name": url,
            "fingerprint": fingerprint(shards),
            "parts": {part: shards.count(part) for part in shards.parts},
        }
        record_session(output, [described], start=sources.start)
    some = gather(training.some(64), shards.classes).images
    return fit(
        _first_network(settings, sources, some),
        settings,
        training,
        validation_samples(shards),
        output,
        hardware=hardware,
        loggers=loggers,
        show_progress=show_progress,
    )


def _first_network(settings: Settings, sources: Sources, some: Tensor) -> Network:
    """Return the initial network of a run; `some` radiographs uint8 [N, 1, S, S]."""
    # The seed also determines random initial weights, at least those of the last layer.
    torch.manual_seed(settings.seed)
    options = Head(
        settings.equalize, settings.fine_map, settings.pooling, settings.pooling_sharpness
    )
    if sources.start is not None:
        return _started(sources.start, settings.architecture, options, some)
    if is_minimal(settings.architecture) and (sources.weights or sources.pretrained):
        network = build("mobilenet_v3_small", weights=sources.weights, options=options)
        minimal = simplified(network, network.prepare(some))
        if width_of(settings.architecture) is None:
            return minimal
        return narrowed(minimal, settings.architecture, network.prepare(some))
    return build(
        settings.architecture,
        weights=sources.weights,
        pretrained=sources.pretrained,
        options=options,
    )


def start_file(start: Path) -> Path:
    """Return the weights file of a run folder; return a file unchanged."""
    return start / WEIGHTS if start.is_dir() else start


def _started(start: Path, architecture: str, options: Head, some: Tensor) -> Network:
    """Return the network of a run or a model file, ready for further training."""
    network = load_weights(start_file(start))
    network.configure(options)
    if architecture == f"{network.architecture}_minimal":
        return simplified(network, network.prepare(some))
    if is_minimal(network.architecture) and width_of(architecture) is not None:
        if (width_of(network.architecture) or 1) < (width_of(architecture) or 1):
            raise DataSetError(f"{start}: is narrower than {architecture}")
        return narrowed(network, architecture, network.prepare(some))
    if network.architecture != architecture:
        raise DataSetError(f"{start}: has the architecture {network.architecture}")
    return network.train()


def _parts(
    data: LabelledData, extras: Sequence[Path], held_out: Sequence[Case]
) -> Iterator[tuple[str, list[Case], list[int]]]:
    """Yield every training data set: its name, its cases and the indices of the used ones."""
    yield data.folder.name, data.cases, list(data.split.train)
    for folder in extras:
        cases = read_folder(folder)
        allowed = {case.path for case in without_patients(cases, held_out)}
        yield (
            folder.name,
            cases,
            [index for index, case in enumerate(cases) if case.path in allowed],
        )


@dataclass(frozen=True, slots=True)
class Spread:
    """Validation AUROCs of runs that differ in their seeds alone, by seed."""

    scores: dict[int, float]

    @property
    def mean(self) -> float:
        return statistics.fmean(self.scores.values())

    @property
    def deviation(self) -> float:
        """Standard deviation of the runs; NaN of one."""
        values = list(self.scores.values())
        return statistics.stdev(values) if len(values) > 1 else math.nan


def train_seeds(
    run: Callable[[Settings, Path], float], settings: Settings, count: int, output: Path
) -> Spread:
    """Train `count` runs in folders `seed-<seed>` of `output`, and write `seeds.json`.

    A second call resumes unfinished runs.

    Args:
        run: trains with the given settings into a folder, and returns the validation AUROC.
        settings: of the first run; the others have the following seeds.
    """
    scores = {
        seed: run(replace(settings, seed=seed), output / f"seed-{seed}")
        for seed in range(settings.seed, settings.seed + count)
    }
    spread = Spread(scores)
    if first_process():
        document = {
            "validation_auroc": {str(seed): score for seed, score in scores.items()},
            "mean": spread.mean,
            "standard_deviation": spread.deviation if count > 1 else None,
        }
        (output / "seeds.json").write_text(json.dumps(document, indent=1) + "\n")
    return spread
