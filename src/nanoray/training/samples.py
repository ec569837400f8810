"""Batches of the cached squares of one or several data sets."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import lightning
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from nanoray.datasets.folder import Case, class_names
from nanoray.datasets.images import Squares, grid_masks
from nanoray.errors import DataSetError
from nanoray.training.answers import Answers, opacity_logits
from nanoray.training.settings import Settings

GRID = 32


class Batch(NamedTuple):
    """A batch of cases.

    Attributes:
        images: uint8 [N, 1, S, S].
        masks: float32 [N, 1, G, G], share of each cell that boxes cover; NaN where unknown.
        target: float32 [N], 1 lung opacity, 0 none; NaN where unknown.
        classes: int64 [N], index into the detailed classes of all data sets together.
        folder: int64 [N], index of the case's data set.
        teacher: float32 [N], the teacher's logit; NaN without a teacher.
        teacher_features: float32 [N, F], its pooled features; F is 0 without a teacher.
        teacher_cam: float32 [N, 1, G, G], its class-activation map; [N, 0, G, G] without a teacher.
        answer: float32 [N], logit for the target from other networks' answers; NaN where unknown.
        findings: float32 [N, F], labels of findings from reports; NaN where unknown.
        answers: float32 [N, F], other networks' logits on findings; NaN where unknown.
    """

    images: Tensor
    masks: Tensor
    target: Tensor
    classes: Tensor
    folder: Tensor
    teacher: Tensor
    teacher_features: Tensor
    teacher_cam: Tensor
    answer: Tensor
    findings: Tensor
    answers: Tensor


@dataclass(frozen=True, slots=True)
class TeacherOutputs:
    """The outputs of a teacher for N cases.

    Attributes:
        logit: float32 [N].
        features: float16 [N, F], pooled.
        cam: float16 [N, GRID, GRID], the class-activation map.
    """

    logit: NDArray[np.float32]
    features: NDArray[np.float16]
    cam: NDArray[np.float16]

    @classmethod
    def empty(cls, count: int, width: int, logit: float) -> TeacherOutputs:
        """Return outputs with one logit and without features and maps."""
        return cls(
            np.full(count, logit, np.float32),
            np.zeros((count, width), np.float16),
            np.zeros((count, GRID, GRID), np.float16),
        )

    def silent(self, count: int) -> TeacherOutputs:
        """Return empty outputs of the same widths for `count` cases without a teacher."""
        return self.empty(count, self.features.shape[1], np.nan)


@dataclass(frozen=True, slots=True)
class Collection:
    """Cases and their images: the indices `chosen` of `cases` are used.

    Attributes:
        cases: with boxes as fractions of the squares (`nanoray.datasets.images.on_squares`).
        teacher: a teacher's outputs for the chosen cases, if there is one.
        classes: the detailed classes of the data set; by default those that occur.
        apart: the target differs from that of the other data sets and is not learned; only the
            detailed classes and boxes are.
    """

    cases: Sequence[Case]
    squares: Squares
    chosen: Sequence[int]
    teacher: TeacherOutputs | None = None
    classes: tuple[str, ...] = ()
    apart: bool = False


class Samples(Dataset[int]):
    """All chosen cases of several data sets, one after the other; all have a teacher, or none."""

    def __init__(
        self,
        collections: Sequence[Collection],
        *,
        shares: Sequence[float] = (),
        answers: Answers | None = None,
    ) -> None:
        """Gather the targets of the cases.

        Args:
            shares: of each data set in every batch; default: each case of the first once an epoch,
                and at most `Settings.extra_per_epoch` of each other.
            answers: of other networks and reports.

        Raises:
            DataSetError: not a share for each data set.
        """
        if shares and (len(shares) != len(collections) or min(shares) <= 0):
            raise DataSetError(
                f"shares must name a positive share for {len(collections)} data sets"
            )
        self.shares = shares
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
            unknown = [collection.apart or case.target is None for case in cases]
            target += [
                float("nan") if hidden else float(case.target or 0)
                for case, hidden in zip(cases, unknown, strict=True)
            ]
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
        every = [one.cases[index] for one in collections for index in one.chosen]
        if answers is None:
            self.findings = self.answers = torch.zeros(len(rows), 0)
            self.answer = torch.full((len(rows),), float("nan"))
        else:
            labels, logits = answers.of(every)
            domain = [case.source == "native" for case in every]
            self.findings, self.answers = torch.from_numpy(labels), torch.from_numpy(logits)
            self.answer = torch.from_numpy(opacity_logits(every, logits, domain))
        self.findings_count = self.findings.shape[1]

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> int:
        return index

    def length(self, settings: Settings) -> int:
        if self.shares:
            return round(self.sizes[0] * sum(self.shares) / self.shares[0])
        return epoch_length(self.sizes, settings.extra_per_epoch)

    def loader(
        self, settings: Settings, batch_size: int, trainer: lightning.Trainer
    ) -> DataLoader[int]:
        rank, processes = trainer.global_rank, trainer.world_size
        sampler: Sampler[int]
        if self.shares:
            steps = self.length(settings) // batch_size
            sampler = ShareSampler(
                self.sizes, self.shares, settings.seed, batch_size, steps, rank, processes
            )
        else:
            sampler = EpochSampler(
                self.sizes,
                settings.extra_per_epoch,
                settings.seed,
                batch_size,
                rank=rank,
                processes=processes,
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
            answer=self.answer[indices],
            findings=self.findings[indices],
            answers=self.answers[indices],
        )


def _joined(teachers: Sequence[TeacherOutputs | None], count: int) -> TeacherOutputs:
    """Gather outputs for all cases; without a teacher logits are NaN, the rest is empty."""
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
"""The index of an empty case, which gives all processes the same number of batches."""


class EpochSampler(Sampler[int]):
    """Every case of the first data set and at most `extra` random ones of each other, shuffled.

    The order depends only on the seed and the epoch, so a resumed run sees the same batches as an
    uninterrupted one. Several processes take turns within each batch; the batches do not depend on
    their number.
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
        """Begin an epoch; Lightning calls it."""
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


class ShareSampler(Sampler[int]):
    """Batches with a fixed share of every data set; each draws its cases in separate rounds.

    As with `EpochSampler`, the order depends only on the seed and the epoch, and several
    processes take turns within each batch.
    """

    def __init__(
        self,
        sizes: Sequence[int],
        shares: Sequence[float],
        seed: int,
        batch_size: int,
        steps: int,
        rank: int = 0,
        processes: int = 1,
    ) -> None:
        self.sizes, self.seed, self.epoch, self.steps = sizes, seed, 0, steps
        self.counts = _whole_shares(shares, batch_size)
        self.rank, self.processes = rank, processes

    def set_epoch(self, epoch: int) -> None:
        """Begin an epoch; Lightning calls it."""
        self.epoch = epoch

    def __len__(self) -> int:
        return len(range(self.rank, self.steps * sum(self.counts), self.processes))

    def __iter__(self) -> Iterator[int]:
        drawn, first = [], 0
        for number, (size, count) in enumerate(zip(self.sizes, self.counts, strict=True)):
            # Rounds continue over epochs, so no case waits for more than one round.
            begin = self.epoch * self.steps * count
            places = np.arange(begin, begin + self.steps * count)
            orders = {
                turn: np.random.default_rng((self.seed, number, int(turn))).permutation(size)
                for turn in np.unique(places // size)
            }
            cases = [first + int(orders[place // size][place % size]) for place in places]
            drawn.append(np.array(cases, int).reshape(self.steps, count))
            first += size
        order = np.concatenate(drawn, 1).ravel()
        yield from order[self.rank :: self.processes].tolist()


def _whole_shares(shares: Sequence[float], total: int) -> list[int]:
    """Return integers of the sum `total`, as near to the shares as possible; at least 1 each."""
    exact = np.array(shares) / sum(shares) * total
    counts = np.maximum(1, np.floor(exact)).astype(int)
    while counts.sum() < total:
        counts[np.argmax(exact - counts)] += 1
    while counts.sum() > total:
        counts[np.argmax(counts - exact)] -= 1
    return [int(count) for count in counts]


def _steps(sampler: EpochSampler) -> int:
    return epoch_length(sampler.sizes, sampler.extra) // sampler.batch_size


def epoch_length(sizes: Sequence[int], extra: int) -> int:
    """Return the number of cases in an epoch, for data sets of these sizes."""
    return sizes[0] + sum(min(size, extra) for size in sizes[1:])


class Training(Protocol):
    """Training data: batches for a process, and the widths of the heads.

    Attributes:
        allowed: bool [data sets, classes], which classes a data set has.
        teacher_width: features of the teacher; 0 without one.
        findings_count: number of findings with answers; 0 without any.
    """

    allowed: Tensor
    teacher_width: int
    findings_count: int

    def length(self, settings: Settings) -> int:
        """Return the number of cases in an epoch."""

    def loader(
        self, settings: Settings, batch_size: int, trainer: lightning.Trainer
    ) -> DataLoader[Any]:
        """Return the batches of this process; `batch_size` is the total over all processes."""


class Batches(lightning.LightningDataModule):
    """Return the batches of this process.

    A small data set gets smaller batches, so that an epoch has at least eight. The last incomplete
    one is dropped. Processes share a batch: its size is the total over all processes.
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
