"""Batches out of the cached squares of one or several data sets."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Dataset, Sampler

from nanoray.datasets.folder import Case, class_names
from nanoray.datasets.images import Squares, grid_masks
from nanoray.training.learner import Batch

GRID = 32


@dataclass(frozen=True, slots=True)
class Collection:
    """Cases and their images: the indices `chosen` of `cases` are used.

    `teacher` float32 [len(cases)] are a teacher's logits of the cases, if there is one.
    """

    cases: Sequence[Case]
    squares: Squares
    chosen: Sequence[int]
    teacher: NDArray[np.float32] | None = None


class Samples(Dataset[int]):
    """All chosen cases of several data sets, one after the other."""

    def __init__(self, collections: Sequence[Collection]) -> None:
        names = [
            (number, name)
            for number, collection in enumerate(collections)
            for name in class_names(collection.cases)
        ]
        class_index = {pair: index for index, pair in enumerate(names)}
        self.allowed = torch.zeros(len(collections), len(names), dtype=torch.bool)
        for (number, _), index in class_index.items():
            self.allowed[number, index] = True
        self.squares = [collection.squares for collection in collections]
        rows: list[tuple[int, int]] = []
        target, classes, teacher, masks, sizes = [], [], [], [], []
        for number, collection in enumerate(collections):
            cases = [collection.cases[index] for index in collection.chosen]
            rows += [(number, index) for index in collection.chosen]
            target += [float("nan") if case.target is None else case.target for case in cases]
            classes += [class_index[number, case.class_name] for case in cases]
            logits = collection.teacher
            teacher += [float("nan") if logits is None else logits[i] for i in collection.chosen]
            grid = grid_masks(cases, GRID).astype(np.float16)
            grid[[case.boxes is None for case in cases]] = np.nan
            masks.append(grid)
            sizes.append(len(cases))
        self.rows = np.array(rows)
        self.target = torch.tensor(target, dtype=torch.float32)
        self.classes = torch.tensor(classes)
        self.teacher = torch.tensor(np.array(teacher), dtype=torch.float32)
        self.masks = np.concatenate(masks)
        self.sizes = sizes

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> int:
        return index

    def batch(self, indices: list[int]) -> Batch:
        """Gather a batch of cases."""
        rows = self.rows[indices]
        images = np.stack([self.squares[folder][row] for folder, row in rows])
        return Batch(
            images=torch.from_numpy(images)[:, None],
            masks=torch.from_numpy(self.masks[indices].astype(np.float32))[:, None],
            target=self.target[indices],
            classes=self.classes[indices],
            folder=torch.from_numpy(rows[:, 0]),
            teacher=self.teacher[indices],
        )


class EpochSampler(Sampler[int]):
    """Every case of the first data set and at most `extra` random ones of each other, shuffled.

    The order depends on the seed and the epoch alone, so that a resumed run sees what an
    uninterrupted one would.
    """

    def __init__(self, sizes: Sequence[int], extra: int, seed: int) -> None:
        self.sizes, self.extra, self.seed, self.epoch = sizes, extra, seed, 0

    def set_epoch(self, epoch: int) -> None:
        """Called by Lightning at the start of each epoch."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self.sizes[0] + sum(min(size, self.extra) for size in self.sizes[1:])

    def __iter__(self) -> Iterator[int]:
        rng = np.random.default_rng((self.seed, self.epoch))
        chosen = [np.arange(self.sizes[0])]
        first = self.sizes[0]
        for size in self.sizes[1:]:
            chosen.append(first + rng.permutation(size)[: self.extra])
            first += size
        yield from rng.permutation(np.concatenate(chosen)).tolist()


def training_batches(samples: Samples, batch_size: int, extra: int, seed: int) -> DataLoader[int]:
    """Shuffled batches; the last incomplete one is dropped.

    A small data set gets smaller batches, so that an epoch has at least eight.
    """
    sampler = EpochSampler(samples.sizes, extra, seed)
    return DataLoader(
        samples,
        max(2, min(batch_size, len(sampler) // 8)),
        sampler=sampler,
        collate_fn=samples.batch,
        drop_last=True,
    )


def validation_batches(samples: Samples, batch_size: int) -> DataLoader[int]:
    """Batches in order."""
    return DataLoader(samples, batch_size, collate_fn=samples.batch)
