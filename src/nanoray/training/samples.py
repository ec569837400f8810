"""Batches out of the cached squares of one or several data sets."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import lightning
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from nanoray.datasets.folder import Case, class_names
from nanoray.datasets.images import Squares, grid_masks
from nanoray.errors import DataSetError
from nanoray.training.learner import Batch
from nanoray.training.settings import Settings

GRID = 32


@dataclass(frozen=True, slots=True)
class TeacherOutputs:
    """What a teacher says of N cases.

    Attributes:
        logit: float32 [N].
        features: float16 [N, F], pooled.
        cam: float16 [N, GRID, GRID], the class-activation map.
    """

    logit: NDArray[np.float32]
    features: NDArray[np.float16]
    cam: NDArray[np.float16]


@dataclass(frozen=True, slots=True)
class Collection:
    """Cases and their images: the indices `chosen` of `cases` are used.

    `teacher`: a teacher's outputs for the chosen cases, if there is one. `classes`: the detailed
    classes of the data set; by default those that occur.
    """

    cases: Sequence[Case]
    squares: Squares
    chosen: Sequence[int]
    teacher: TeacherOutputs | None = None
    classes: tuple[str, ...] = ()


class Samples(Dataset[int]):
    """All chosen cases of several data sets, one after the other; all have a teacher, or none."""

    def __init__(self, collections: Sequence[Collection]) -> None:
        names = [
            (number, name)
            for number, collection in enumerate(collections)
            for name in collection.classes or class_names(collection.cases)
        ]
        class_index = {pair: index for index, pair in enumerate(names)}
        self.allowed = torch.zeros(len(collections), len(names), dtype=torch.bool)
        for (number, _), index in class_index.items():
            self.allowed[number, index] = True
        self.squares = [collection.squares for collection in collections]
        rows: list[tuple[int, int]] = []
        target, classes, masks, sizes = [], [], [], []
        for number, collection in enumerate(collections):
            cases = [collection.cases[index] for index in collection.chosen]
            rows += [(number, index) for index in collection.chosen]
            target += [float("nan") if case.target is None else case.target for case in cases]
            classes += [class_index[number, case.class_name] for case in cases]
            grid = grid_masks(cases, GRID).astype(np.float16)
            grid[[case.boxes is None for case in cases]] = np.nan
            masks.append(grid)
            sizes.append(len(cases))
        self.rows = np.array(rows)
        self.target = torch.tensor(target, dtype=torch.float32)
        self.classes = torch.tensor(classes)
        self.masks = np.concatenate(masks)
        self.sizes = sizes
        self.teacher = _joined([collection.teacher for collection in collections], len(rows))
        self.teacher_width = self.teacher.features.shape[1]

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> int:
        return index

    def length(self, settings: Settings) -> int:
        return epoch_length(self.sizes, settings.extra_per_epoch)

    def loader(
        self, settings: Settings, batch_size: int, trainer: lightning.Trainer
    ) -> DataLoader[int]:
        sampler = EpochSampler(
            self.sizes,
            settings.extra_per_epoch,
            settings.seed,
            batch_size,
            rank=trainer.global_rank,
            processes=trainer.world_size,
        )
        return DataLoader(
            self,
            batch_size // trainer.world_size,
            sampler=sampler,
            collate_fn=self.batch,
            drop_last=True,
        )

    def batch(self, indices: list[int]) -> Batch:
        """Gather a batch of cases; `PADDING` becomes one whose target is unknown."""
        known = np.array(indices) != PADDING
        indices = [index if index != PADDING else 0 for index in indices]
        rows = self.rows[indices]
        images = np.stack([self.squares[folder][row] for folder, row in rows])
        target = self.target[indices]
        target[~known] = float("nan")
        maps = self.teacher.cam[indices]
        return Batch(
            images=torch.from_numpy(images)[:, None],
            masks=torch.from_numpy(self.masks[indices].astype(np.float32))[:, None],
            target=target,
            classes=self.classes[indices],
            folder=torch.from_numpy(rows[:, 0]),
            teacher=torch.from_numpy(self.teacher.logit[indices]),
            teacher_features=torch.from_numpy(self.teacher.features[indices].astype(np.float32)),
            teacher_cam=torch.from_numpy(maps.astype(np.float32)),
        )


def _joined(teachers: Sequence[TeacherOutputs | None], count: int) -> TeacherOutputs:
    """Outputs for all cases; without a teacher logits are NaN and the rest is empty."""
    there = [teacher for teacher in teachers if teacher is not None]
    if len(there) < len(teachers):
        return TeacherOutputs(
            np.full(count, np.nan, np.float32),
            np.zeros((count, 0), np.float16),
            np.zeros((count, 0, GRID, GRID), np.float16),
        )
    return TeacherOutputs(
        np.concatenate([teacher.logit for teacher in there]),
        np.concatenate([teacher.features for teacher in there]),
        np.concatenate([teacher.cam for teacher in there])[:, None],
    )


PADDING = -1
"""Stands for no case, so that all processes have equally many batches."""


class EpochSampler(Sampler[int]):
    """Every case of the first data set and at most `extra` random ones of each other, shuffled.

    The order depends on the seed and the epoch alone, so that a resumed run sees what an
    uninterrupted one would. Several processes take turns within each batch: whatever their number,
    the batches are the same.
    """

    def __init__(
        self,
        sizes: Sequence[int],
        extra: int,
        seed: int,
        batch_size: int,
        *,
        rank: int = 0,
        processes: int = 1,
    ) -> None:
        self.sizes, self.extra, self.seed, self.epoch = sizes, extra, seed, 0
        self.batch_size, self.rank, self.processes = batch_size, rank, processes

    def set_epoch(self, epoch: int) -> None:
        """Called by Lightning at the start of each epoch."""
        self.epoch = epoch

    def __len__(self) -> int:
        return len(range(self.rank, _steps(self) * self.batch_size, self.processes))

    def __iter__(self) -> Iterator[int]:
        rng = np.random.default_rng((self.seed, self.epoch))
        chosen = [np.arange(self.sizes[0])]
        first = self.sizes[0]
        for size in self.sizes[1:]:
            chosen.append(first + rng.permutation(size)[: self.extra])
            first += size
        order = rng.permutation(np.concatenate(chosen))[: _steps(self) * self.batch_size]
        yield from order[self.rank :: self.processes].tolist()


def _steps(sampler: EpochSampler) -> int:
    return epoch_length(sampler.sizes, sampler.extra) // sampler.batch_size


def epoch_length(sizes: Sequence[int], extra: int) -> int:
    """How many cases an epoch has, of data sets of these sizes."""
    return sizes[0] + sum(min(size, extra) for size in sizes[1:])


class Training(Protocol):
    """What is trained on: batches for a process, and what the network must know beforehand.

    Attributes:
        allowed: bool [data sets, classes], which classes a data set has.
        teacher_width: features of the teacher; 0 without one.
    """

    allowed: Tensor
    teacher_width: int

    def length(self, settings: Settings) -> int:
        """How many cases an epoch has."""

    def loader(
        self, settings: Settings, batch_size: int, trainer: lightning.Trainer
    ) -> DataLoader[Any]:
        """Batches of this process; `batch_size` is that of all processes together."""


class Batches(lightning.LightningDataModule):
    """Batches of this process, of all that train together.

    A small data set gets smaller batches, so that an epoch has at least eight; the last incomplete
    one is dropped. Processes share a batch: its size is that of all together.
    """

    def __init__(
        self, training: Training, validation: Samples, settings: Settings, processes: int
    ) -> None:
        super().__init__()
        self.training, self.validation, self.settings = training, validation, settings
        length = training.length(settings)
        shared = max(2, min(settings.batch_size, length // 8) // processes)
        self.batch_size = shared * processes
        self.steps = length // self.batch_size
        if not self.steps:
            raise DataSetError(f"{length} radiographs are too few to train on")

    def train_dataloader(self) -> DataLoader[Any]:
        assert self.trainer is not None
        return self.training.loader(self.settings, self.batch_size, self.trainer)

    def val_dataloader(self) -> DataLoader[int]:
        assert self.trainer is not None
        count, processes = len(self.validation), self.trainer.world_size
        padded = [*range(count), *[PADDING] * (-count % processes)]
        return DataLoader(
            self.validation,
            self.settings.batch_size,
            sampler=padded[self.trainer.global_rank :: processes],
            collate_fn=self.validation.batch,
        )
