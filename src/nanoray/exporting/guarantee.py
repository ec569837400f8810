"""From scores of a cross-validation to a card with thresholds by view and guarantees."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nanoray.datasets.folder import read_folder
from nanoray.detecting.detector import Detector
from nanoray.detecting.prediction import Prediction, Result
from nanoray.errors import DataSetError
from nanoray.evaluating.crossvalidation import read_scores
from nanoray.evaluating.poststratification import poststratify, read_population
from nanoray.evaluating.view_calibration import LEVELS, Scored, ViewFit, fit_card


@dataclass(frozen=True, slots=True)
class GuaranteeFit:
    """What was fitted, and to what.

    Attributes:
        images, positive, patients: of the scores.
        population: name of the table that the figures are weighted to; None for none.
        scored_median, own_median: medians of the scores and of the file's own logits on the same
            images. Far apart, they tell that the scores are on another scale.
    """

    fit: ViewFit
    scored: Scored
    images: int
    positive: int
    patients: int
    population: str | None
    scored_median: float
    own_median: float


def parse_levels(text: str) -> tuple[float, ...]:
    """Read levels separated by commas.

    Raises:
        ValueError: a level that is not a number between 0 and 0.5.
    """
    try:
        levels = tuple(sorted({float(part) for part in text.split(",")}))
    except ValueError:
        raise ValueError(f"{text!r}: give numbers separated by commas, such as 0.05,0.1") from None
    if not all(0.0 < level < 0.5 for level in levels):
        raise ValueError(f"{text}: a level is a share of missed patients, above 0 and below 0.5")
    return levels


def fit_guarantee(
    detector: Detector,
    scores: Path,
    data: Path,
    *,
    mix: Path | None = None,
    levels: Sequence[float] = LEVELS,
    seed: int | None = None,
    offset: float = 0.0,
    splits: int = 1000,
) -> GuaranteeFit:
    """Fit a card's calibrations, thresholds and guarantees to out-of-fold scores.

    The networks of the folds stand for the packaged one, which was trained on all images: it can
    only be as good or better, and its logits are taken to be on the same scale.

    Args:
        scores: see `nanoray.evaluating.crossvalidation.read_scores`.
        data: the labelled data set that the scores are of.
        mix: see `nanoray.evaluating.poststratification.read_population`.
        seed: of the scores; the lowest by default.
        offset: added to the scores.
        splits: re-splits by patient that coverage is measured on.

    Raises:
        DataSetError: a scored image that the data set lacks, an image that cannot be read, scores
            of another seed only, or too few images.
    """
    runs = {run.seed: run for run in read_scores(scores)}
    chosen = min(runs) if seed is None else seed
    if chosen not in runs:
        raise DataSetError(f"{scores}: no scores of seed {chosen}; seeds are {sorted(runs)}")
    known = {case.path.stem: case for case in read_folder(data)}
    names = sorted(runs[chosen].logit)
    missing = [name for name in names if name not in known]
    if missing:
        raise DataSetError(f"{scores}: {len(missing)} scored images are not in {data}")
    cases = [known[name] for name in names]
    if any(case.target is None for case in cases):
        raise DataSetError(f"{data}: every scored image needs a Target")
    ones = np.ones((1, len(cases)))
    weights = ones[0]
    if mix is not None:
        weights = poststratify(cases, read_population(mix)).weights(ones)[0]
    scored = Scored(
        np.array([runs[chosen].logit[name] for name in names]) + offset,
        np.array([int(case.target or 0) for case in cases], np.int64),
        [case.view for case in cases],
        [case.patient for case in cases],
        weights,
    )
    novelty, logits = [], []
    for result in _watched(detector, [case.path for case in cases]):
        if not isinstance(result, Prediction):
            raise DataSetError(str(result.error))
        novelty.append(result.novelty)
        logits.append(result.logit)
    fit = fit_card(scored, detector.card, np.array(novelty), levels=levels, splits=splits)
    return GuaranteeFit(
        fit,
        scored,
        len(cases),
        int(scored.targets.sum()),
        len(set(scored.patients)),
        mix.name if mix is not None else None,
        float(np.median(scored.logits)),
        float(np.median(logits)),
    )


def _watched(detector: Detector, paths: Sequence[Path]) -> Iterable[Result]:
    from rich.console import Console
    from rich.progress import track

    console = Console(stderr=True, highlight=False)
    return track(
        detector.predict_many(paths),
        "Judging",
        total=len(paths),
        console=console,
        transient=True,
        disable=not sys.stderr.isatty(),
    )
