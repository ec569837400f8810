"""Comparison of model files on the same images, for tables and pictures."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nanoray.datasets.folder import Case
from nanoray.datasets.framing import framed_square
from nanoray.detecting.model_file import ModelCard, read_card
from nanoray.detecting.views import VIEWS
from nanoray.errors import DataSetError
from nanoray.evaluating.comparison import Comparison, compare
from nanoray.evaluating.groups import GroupResult, find_groups, measure_groups
from nanoray.evaluating.latency import Latency, summarise, time_rounds
from nanoray.evaluating.localisation import Localisation, localise
from nanoray.evaluating.metrics import measure
from nanoray.evaluating.resampling import Interval, draw_patients
from nanoray.evaluating.robustness import (
    CHANGES,
    SIDE,
    STRESSES,
    Change,
    Picture,
    RobustnessResult,
    measure_robustness,
)
from nanoray.evaluating.scores import Judgement, Scores, judge, open_session, score
from nanoray.evaluating.stress import Shortcuts, find_shortcuts
from nanoray.reading.geometry import Box
from nanoray.reading.pool import read_many
from nanoray.reading.resize import Placement, to_uint8

Progress = Callable[[str, int], Callable[[], None]]
"""Called with the name and the number of steps of a stage; returns a function for each step."""


@dataclass(frozen=True, slots=True)
class Outcomes:
    """Answers of a detector to the radiographs of a part, the indeterminate ones too.

    After STARD 2015, items 15 and 16. Each attribute is (without, with an opacity).

    Attributes:
        level: the bound on missed opacities (see `nanoray.detecting.guarantee`); None without one.
        suspected: at or above the threshold of the default operating point.
        clear: below it, and below the limit of the bound if there is one.
        unsure: between the two.
        abstained: novelty above the model's limit.
    """

    level: float | None
    suspected: tuple[int, int]
    clear: tuple[int, int]
    unsure: tuple[int, int]
    abstained: tuple[int, int]


@dataclass(slots=True)
class ModelResult:
    """One model file on the test images.

    Attributes:
        label: name of the model in tables.
        size: bytes on disk.
        sha256: of the file.
        metrics: name to (value, low, high), see `nanoray.evaluating.metrics.measure`.
        refused: share of the test radiographs on which the detector abstains.
        localisation, latency, robustness, stress: None or empty if not measured.
    """

    label: str
    card: ModelCard
    size: int
    sha256: str
    scores: Scores
    judged: Judgement
    metrics: dict[str, Interval]
    refused: float
    groups: list[GroupResult]
    localisation: Localisation | None = None
    latency: Latency | None = None
    robustness: list[RobustnessResult] = field(default_factory=list)
    stress: list[RobustnessResult] = field(default_factory=list)

    @property
    def probabilities(self) -> NDArray[np.floating]:
        """Calibrated probabilities, float64 [N]."""
        return self.judged.probabilities

    @property
    def called(self) -> NDArray[np.bool_]:
        """Decisions at the default operating point, bool [N]."""
        return self.judged.calls[self.card.default_operating_point]

    def confusion(self, targets: NDArray[np.integer]) -> tuple[int, int, int, int]:
        """Count true negatives, false positives, false negatives, true positives, as `called`."""
        counts = np.bincount(2 * (targets == 1) + self.called, minlength=4)
        return tuple(counts.tolist())

    def outcomes(self, targets: NDArray[np.integer], views: Sequence[str | None]) -> list[Outcomes]:
        """Count the answers without a bound on missed opacities, and with each of the card's."""
        novelty = self.scores.novelty.astype(np.float64)
        # A novelty that is not a number abstains, too.
        abstained = ~(novelty <= self.card.novelty_limit)
        suspected = ~abstained & self.called
        rest = ~abstained & ~self.called
        found = []
        for guarantee in (None, *self.card.guarantees):
            clear = rest.copy()
            if guarantee is not None:
                known = [view if view in VIEWS else None for view in views]
                clear &= np.array(
                    [
                        guarantee.clear(float(probability), float(new), view)
                        for probability, new, view in zip(
                            self.probabilities, novelty, known, strict=True
                        )
                    ],
                    bool,
                )
            answers = (suspected, clear, rest & ~clear, abstained)
            found.append(
                Outcomes(
                    None if guarantee is None else guarantee.level,
                    *(
                        (int((a & (targets == 0)).sum()), int((a & (targets == 1)).sum()))
                        for a in answers
                    ),
                )
            )
        return found

    def at_default(self, name: str) -> Interval:
        """Return a metric at the default operating point, for example "sensitivity"."""
        return self.metrics[f"{self.card.default_operating_point} {name}"]


@dataclass(slots=True)
class Evaluation:
    """All models on the N images of one part of a data set.

    Attributes:
        data, part: names, for titles.
        sample: indices of the images for robustness.
        rounds: of the latency.
        draws: of the bootstrap.
        shortcuts: None without `stress`.
    """

    data: str
    part: str
    cases: list[Case]
    targets: NDArray[np.int64]
    models: list[ModelResult]
    pairs: list[Comparison]
    sample: list[int]
    rounds: int
    draws: int
    shortcuts: Shortcuts | None = None

    @property
    def patients(self) -> int:
        """Number of patients."""
        return len({case.patient for case in self.cases})


def evaluate_models(
    paths: Sequence[Path],
    squares: Callable[[int], NDArray[np.uint8]],
    cases: Sequence[Case],
    *,
    data: str,
    part: str,
    draws: int = 2000,
    robustness_images: int = 300,
    stress: bool = False,
    rounds: int = 50,
    progress: Progress,
) -> Evaluation:
    """Evaluate model files on the cases.

    Args:
        squares: returns the cases' images, uint8 [N, S, S], for a model's input size S.
        draws: of the bootstrap over patients.
        robustness_images: largest number of random images for robustness; 0: none.
        stress: grey out parts of the radiographs; see `nanoray.evaluating.stress`.
        rounds: of the measurement of latency; 0: none.

    Raises:
        DataSetError: the cases lack positives or negatives, or a file is no longer readable.
    """
    targets = np.array([int(case.target or 0) for case in cases], np.int64)
    positive = int((targets == 1).sum())
    if min(positive, len(targets) - positive) < 2:
        raise DataSetError(
            f"{data}: {positive} radiographs with and {len(targets) - positive} without an opacity "
            f"(part: {part}); at least 2 of each are needed. Check the labels, or choose another "
            "part with --part"
        )
    resampling = draw_patients([case.patient for case in cases], targets, samples=draws)
    groups = find_groups(cases)
    views = [case.view for case in cases]
    labels = unique_labels(paths)
    models = []
    step = progress("Judging", 2 * len(paths))
    for path, label in zip(paths, labels, strict=True):
        card = read_card(path)
        scores = score(path, squares(card.input_size))
        judged = judge(scores.logits, card, views)
        step()
        models.append(
            ModelResult(
                label,
                card,
                path.stat().st_size,
                hashlib.sha256(path.read_bytes()).hexdigest(),
                scores,
                judged,
                measure(scores, judged, targets, card, resampling),
                float(np.mean(scores.novelty > card.novelty_limit)),
                measure_groups(groups, scores.logits, judged.calls, targets, resampling),
            )
        )
        step()
    pairs = compare(
        labels,
        [model.scores.logits for model in models],
        [model.called for model in models],
        targets,
        resampling,
    )
    order = np.random.default_rng(0).permutation(len(cases))
    sample = sorted(int(index) for index in order[:robustness_images])
    wanted = (
        list(range(len(cases)))
        if stress
        else sorted({*sample, *(i for i, case in enumerate(cases) if case.boxes)})
    )
    shown = dict(zip(wanted, read_pictures([cases[i] for i in wanted], progress), strict=True))
    boxes = [shown[i].boxes if i in shown else () for i in range(len(cases))]
    places = [shown[i].place if i in shown else None for i in range(len(cases))]
    for model in models:
        model.localisation = localise(boxes, places, model.scores.cam, model.called, resampling)
    chosen = {index: one.picture for index, one in shown.items()}
    changed = []
    if sample:
        changed.append((sample, CHANGES, [model.robustness for model in models]))
    if stress:
        changed.append((wanted, STRESSES, [model.stress for model in models]))
    for indices, changes, results in changed:
        _change(models, paths, cases, chosen, indices, changes, results, draws, progress)
    if rounds:
        step = progress("Timing", rounds)
        seconds = []
        for one in time_rounds(paths, rounds):
            seconds.append(one)
            step()
        for model, latency in zip(models, summarise(np.stack(seconds)), strict=True):
            model.latency = latency
    shortcuts = find_shortcuts(cases, boxes, targets, resampling) if stress else None
    return Evaluation(
        data, part, list(cases), targets, models, pairs, sample, rounds, draws, shortcuts
    )


def _change(
    models: Sequence[ModelResult],
    paths: Sequence[Path],
    cases: Sequence[Case],
    pictures: Mapping[int, Picture],
    sample: Sequence[int],
    changes: Sequence[Change],
    found: Sequence[list[RobustnessResult]],
    draws: int,
    progress: Progress,
) -> None:
    """Judge the changed pictures of the sample, and append each model's results to `found`."""
    targets = np.array([int(cases[i].target or 0) for i in sample], np.int64)
    if len(set(targets.tolist())) < 2:
        return
    resampling = draw_patients([cases[i].patient for i in sample], targets, samples=draws)
    sessions = [(open_session(path), model.card) for path, model in zip(paths, models, strict=True)]
    views = [cases[i].view for i in sample]
    step = progress("Changing pictures", 1 + len(changes))
    chosen = [pictures[i] for i in sample]
    for results in measure_robustness(
        sessions, chosen, targets, views, resampling, changes=changes
    ):
        for listed, result in zip(found, results, strict=True):
            listed.append(result)
        step()


@dataclass(frozen=True, slots=True)
class Shown:
    """A radiograph as a network sees it.

    Attributes:
        picture: without padding, longer side `SIDE`.
        place: in the square.
        boxes: of radiologists, fractions of the picture.
    """

    picture: Picture
    place: Placement
    boxes: tuple[Box, ...]


def read_pictures(cases: Sequence[Case], progress: Progress) -> list[Shown]:
    """Read radiographs as pictures with their boxes.

    Raises:
        DataSetError: an unreadable file.
    """
    shown = []
    step = progress("Reading radiographs", len(cases))
    for case, reading in zip(cases, read_many((case.path for case in cases), SIDE), strict=True):
        if reading.square is None:
            raise DataSetError(str(reading.error))
        square, place, framing = framed_square(reading, case.aspect)
        boxes = framing.in_content(case.boxes or ())
        shown.append(Shown(to_uint8(place.crop(square)), place, boxes))
        step()
    return shown


def unique_labels(paths: Sequence[Path]) -> list[str]:
    """Return short names of the models from their cards, or the files' names if those are equal."""
    cards = [read_card(path) for path in paths]
    labels = [f"{card.name.removeprefix('nanoray-')} {card.precision.upper()}" for card in cards]
    if len(set(labels)) < len(labels):
        labels = [
            label if labels.count(label) == 1 else f"{label} ({path.stem})"
            for label, path in zip(labels, paths, strict=True)
        ]
    if len(set(labels)) < len(labels):
        labels = [f"{label} #{number}" for number, label in enumerate(labels, 1)]
    return labels
