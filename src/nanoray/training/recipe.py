"""The recipe's stages: which data, which start, which teacher."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from nanoray.datasets.folder import Case, read_folder
from nanoray.datasets.images import load_squares
from nanoray.datasets.labelled import SPLIT, LabelledData
from nanoray.datasets.splits import save_split, without_patients
from nanoray.errors import DataSetError
from nanoray.training.fit import WEIGHTS, fit, load_run, logits
from nanoray.training.networks import Network, build, load_weights, simplified
from nanoray.training.samples import Collection
from nanoray.training.settings import Settings


def train(
    settings: Settings,
    data: LabelledData,
    output: Path,
    cache: Path,
    *,
    weights: Path | None = None,
    start: Path | None = None,
    extras: Sequence[Path] = (),
    teachers: Sequence[Path] = (),
    pretrained: bool = True,
    show_progress: bool = True,
) -> float:
    """One training run from folders to weights; see `nanoray.training.fit.fit`.

    Args:
        weights: ImageNet weights as a file; without it they come from the model hub.
        start: a finished run, or an FP32 model file (`.onnx`), to go on from instead of ImageNet.
        extras: further data sets to train on; their images of persons in the validation or test
            part are left out.
        teachers: finished runs; the student learns the mean of their logits.

    Returns:
        The validation AUROC of the weights kept.
    """
    output.mkdir(parents=True, exist_ok=True)
    save_split(output / SPLIT, data.cases, data.split)
    held_out = [data.cases[index] for index in data.split.validation + data.split.test]
    training = []
    for name, cases, chosen in _parts(data, extras, held_out):
        soft = _teacher_logits(
            cases, chosen, f"logits-{name}.npy", teachers, cache, show_progress=show_progress
        )
        images = load_squares(cases, settings.size, cache, show_progress=show_progress)
        training.append(Collection(cases, images, chosen, soft))
    if start is not None:
        network = _started(start, settings.architecture, training[0])
    else:
        network = build(settings.architecture, weights=weights, pretrained=pretrained)
    squares = load_squares(data.cases, settings.size, cache, show_progress=show_progress)
    validation = Collection(data.cases, squares, data.split.validation)
    return fit(network, settings, training, validation, output, show_progress=show_progress)


def _started(start: Path, architecture: str, collection: Collection) -> Network:
    """The network of a run or a model file, ready to be trained on."""
    network = load_weights(start / WEIGHTS if start.is_dir() else start)
    if architecture == f"{network.architecture}_minimal":
        some = collection.squares[list(collection.chosen[:64])]
        return simplified(network, torch.from_numpy(some)[:, None] / 255)
    if network.architecture != architecture:
        raise DataSetError(f"{start}: has the architecture {network.architecture}")
    return network.train()


def _parts(
    data: LabelledData, extras: Sequence[Path], held_out: Sequence[Case]
) -> Iterator[tuple[str, list[Case], list[int]]]:
    """Every data set to train on: its name, its cases and the indices of those to be used."""
    yield data.folder.name, data.cases, list(data.split.train)
    for folder in extras:
        cases = read_folder(folder)
        allowed = {case.path for case in without_patients(cases, held_out)}
        yield (
            folder.name,
            cases,
            [index for index, case in enumerate(cases) if case.path in allowed],
        )


def _teacher_logits(
    cases: Sequence[Case],
    chosen: Sequence[int],
    name: str,
    teachers: Sequence[Path],
    cache: Path,
    *,
    show_progress: bool,
) -> NDArray[np.float32] | None:
    """Mean logits of the teachers, float32 [len(cases)]; None without teachers.

    Computed once, not in every epoch, and kept in each teacher's run folder as `name`. Cases that
    are not `chosen` get NaN: their logits are never needed.
    """
    if not teachers:
        return None
    total = np.zeros(len(chosen), np.float32)
    for teacher in teachers:
        saved = teacher / name
        network, settings = load_run(teacher)
        newer = (
            saved.is_file() and saved.stat().st_mtime > (teacher / "result.json").stat().st_mtime
        )
        if newer and len(found := np.load(saved)) == len(chosen):
            total += found
            continue
        squares = load_squares(cases, settings.size, cache, show_progress=show_progress)
        found = logits(network, squares, chosen, precision=settings.precision)
        np.save(saved, found)
        total += found
    soft = np.full(len(cases), np.nan, np.float32)
    soft[list(chosen)] = total / len(teachers)
    return soft
