"""Training on shards that are streamed: memory does not grow with the data set."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import lightning
import numpy as np
import torch
import webdataset
from numpy.typing import NDArray
from torch.utils.data import DataLoader, IterableDataset

from nanoray.datasets.folder import Case
from nanoray.datasets.framing import framed_square
from nanoray.datasets.shards import Describe, ShardCase, Shards, read_shard
from nanoray.errors import DataSetError
from nanoray.reading.pool import read_many
from nanoray.training.run_folder import load_run
from nanoray.training.samples import Batch, Collection, Samples, TeacherOutputs
from nanoray.training.settings import Settings
from nanoray.training.teachers import joined, run_network

TEACHER_ARRAYS = ("logit", "features", "cam")

SHUFFLED = 2000
"""Radiographs in memory, from which the next is drawn."""


def describe_by(teachers: Sequence[Path]) -> Describe:
    """Return a function for `write_shards`: the outputs of teachers for some cases."""
    loaded = [load_run(teacher) for teacher in teachers]

    def describe(cases: Sequence[Case]) -> list[dict[str, NDArray[Any]]]:
        found = []
        for network, settings in loaded:
            squares = np.zeros((len(cases), settings.size, settings.size), np.uint8)
            readings = read_many([case.path for case in cases], settings.size)
            for square, case, reading in zip(squares, cases, readings, strict=True):
                # An unreadable radiograph is omitted from the shard.
                if reading.square is not None:
                    square[:] = np.rint(framed_square(reading, case.aspect)[0] * 255)
            found.append(
                run_network(network, squares, range(len(cases)), precision=settings.precision)
            )
        outputs = joined(found)
        return [
            {name: getattr(outputs, name)[index] for name in TEACHER_ARRAYS}
            for index in range(len(cases))
        ]

    return describe


class ShardedTraining:
    """The training part of a sharded data set; see `nanoray.training.samples.Training`."""

    def __init__(self, shards: Shards) -> None:
        self.shards = shards
        self.allowed = torch.ones(1, len(shards.classes), dtype=torch.bool)
        first = self.some(1)[0]
        self.teacher_width = len(first.arrays["features"]) if first.arrays else 0
        # Shards contain no answers.
        self.findings_count = 0

    def some(self, count: int) -> list[ShardCase]:
        """Return at most `count` radiographs of the first shard."""
        return list(itertools.islice(read_shard(self.shards, self.shards.parts["train"][0]), count))

    def length(self, settings: Settings) -> int:
        return self.shards.count("train")

    def loader(
        self, settings: Settings, batch_size: int, trainer: lightning.Trainer
    ) -> DataLoader[Any]:
        if len(self.shards.parts["train"]) < trainer.world_size:
            raise DataSetError(
                f"{self.shards.url}: {trainer.world_size} processes need as many shards; "
                "write smaller ones (--per-shard)"
            )
        stream = Stream(
            self.shards,
            settings.seed,
            batch_size // trainer.world_size,
            self.length(settings) // batch_size,
            epoch=lambda: trainer.current_epoch,
            rank=trainer.global_rank,
            processes=trainer.world_size,
        )
        return DataLoader(stream, batch_size=None)


class Stream(IterableDataset[Batch]):
    """Batches of one process: its shards in the epoch's order, shuffled in a buffer.

    The order depends only on seed, epoch, rank and number of processes, so a resumed run sees the
    same batches as an uninterrupted one. Every process yields the same number of batches; one with
    fewer radiographs repeats its shards.
    """

    def __init__(
        self,
        shards: Shards,
        seed: int,
        batch_size: int,
        steps: int,
        *,
        epoch: Callable[[], int],
        rank: int = 0,
        processes: int = 1,
    ) -> None:
        self.shards, self.seed, self.epoch = shards, seed, epoch
        self.batch_size, self.steps = batch_size, steps
        self.rank, self.processes = rank, processes

    def __len__(self) -> int:
        return self.steps

    def __iter__(self) -> Iterator[Batch]:
        order = np.random.default_rng((self.seed, self.epoch())).permutation(
            len(self.shards.parts["train"])
        )
        numbers = np.random.SeedSequence((self.seed, self.epoch(), self.rank)).generate_state(1)
        mine = [int(number) for number in order[self.rank :: self.processes]]
        passing = self._rounds(mine, random.Random(int(numbers[0])))
        for _ in range(self.steps):
            yield gather(list(itertools.islice(passing, self.batch_size)), self.shards.classes)

    def _rounds(self, mine: Sequence[int], rng: random.Random) -> Iterator[ShardCase]:
        """Yield the radiographs of some shards in endless rounds, each once in a round."""
        shuffled = webdataset.filters.shuffle(SHUFFLED, initial=SHUFFLED, rng=rng)
        shards = [self.shards.parts["train"][number] for number in mine]
        while True:
            yield from shuffled(
                itertools.chain.from_iterable(read_shard(self.shards, shard) for shard in shards)
            )


def gather(found: Sequence[ShardCase], classes: tuple[str, ...]) -> Batch:
    """Return a batch of streamed radiographs."""
    return _samples(found, classes).batch(list(range(len(found))))


def validation_samples(shards: Shards) -> Samples:
    """Return the validation part, in memory."""
    found = [case for shard in shards.parts["validation"] for case in read_shard(shards, shard)]
    return _samples(found, shards.classes)


def _samples(found: Sequence[ShardCase], classes: tuple[str, ...]) -> Samples:
    teacher = None
    if found[0].arrays:
        teacher = TeacherOutputs(
            *(np.stack([one.arrays[name] for one in found]) for name in TEACHER_ARRAYS)
        )
    squares = np.stack([one.square for one in found])
    cases = [one.case for one in found]
    return Samples([Collection(cases, squares, range(len(found)), teacher, classes)])
