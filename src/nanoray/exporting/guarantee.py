"""A card with thresholds by view and guarantees, from scores of a cross-validation."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nanoray.datasets.folder import read_folder
from nanoray.datasets.splits import load_split
from nanoray.detecting.detector import Detector
from nanoray.detecting.prediction import Prediction, Result
from nanoray.errors import DataSetError
from nanoray.evaluating.calibration import fit_platt
from nanoray.evaluating.crossvalidation import read_scores
from nanoray.evaluating.fairness import Gap, find_gaps
from nanoray.evaluating.groups import find_groups
from nanoray.evaluating.poststratification import poststratify, read_population
from nanoray.evaluating.resampling import draw_patients
from nanoray.evaluating.view_calibration import (
    FEWEST,
    LEVELS,
    Scored,
    ViewFit,
    called,
    fit_card,
)


@dataclass(frozen=True, slots=True)
class GuaranteeFit:
    """The fit, with its data.

    Attributes:
        images, positive, patients: of the scores.
        population: name of the table for the weights of the figures; None without weights.
        scored_median, own_median: medians of the scores and of the file's logits on the same
            images. A large difference means that the scores are on another scale.
        gaps: between views, sexes and age bands, at the default operating point.
    """

    fit: ViewFit
    scored: Scored
    images: int
    positive: int
    patients: int
    population: str | None
    scored_median: float
    own_median: float
    gaps: list[Gap]


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
    recipe: str | None = None,
    offset: float = 0.0,
    split: Path | None = None,
    splits: int = 1000,
) -> GuaranteeFit:
    """Fit a card's calibrations, thresholds and guarantees to out-of-fold scores.

    The networks of the folds represent the packaged one. Its logits are assumed to be on their
    scale. If a split has images outside its training, the scores are converted to its scale by
    Platt's fit (Platt 1999) to both.

    Args:
        scores: see `nanoray.evaluating.crossvalidation.read_scores`.
        data: the labelled data set of the scores.
        mix: see `nanoray.evaluating.poststratification.read_population`.
        seed: of the scores; the lowest by default.
        recipe: of the scores, if they are of several.
        offset: added to the scores.
        split: CSV with image,part; the file was not trained on the images of `validation`.
        splits: number of re-splits by patient for the coverage.

    Raises:
        DataSetError: a scored image that is missing from the data set, an unreadable image, scores
            of another seed only, or too few images.
    """
    every = read_scores(scores)
    recipes = sorted({run.recipe for run in every})
    if recipe is None and len(recipes) > 1:
        raise DataSetError(f"{scores}: scores of {', '.join(recipes)}; name one by --recipe")
    if recipe is not None and recipe not in recipes:
        raise DataSetError(f"{scores}: no recipe {recipe!r}; there are {', '.join(recipes)}")
    runs = {run.seed: run for run in every if recipe in (None, run.recipe)}
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
    if split is not None:
        held_out = load_split(split, list(known.values())).validation
        inside = {list(known)[index] for index in held_out}
        apart = np.array([name in inside for name in names])
        scored = replace(scored, logits=rescaled(scored, np.array(logits), apart))
    fit = fit_card(scored, detector.card, np.array(novelty), levels=levels, splits=splits)
    shifted = replace(scored, logits=scored.logits + fit.shift)
    _, calls = called(shifted, fit.card)
    gaps = find_gaps(
        find_groups(cases),
        scored.logits,
        calls[fit.card.default_operating_point],
        scored.targets,
        draw_patients(scored.patients, scored.targets, samples=1000),
        weights=scored.weights,
    )
    return GuaranteeFit(
        fit,
        scored,
        len(cases),
        int(scored.targets.sum()),
        len(set(scored.patients)),
        mix.name if mix is not None else None,
        float(np.median(scored.logits)),
        float(np.median(logits)),
        gaps,
    )


def rescaled(
    scored: Scored, logits: NDArray[np.floating], apart: NDArray[np.bool_]
) -> NDArray[np.floating]:
    """Convert scores to the scale of a file's logits, so that both have the same calibration.

    Both are fitted on the same images, so that their chance composition cancels.

    Args:
        scored: out-of-fold scores of N images.
        logits: of the file, float [N].
        apart: bool [N], images outside the file's training.

    Returns:
        float64 [N].

    Raises:
        DataSetError: too few such images for a fit.
    """
    counts = np.bincount(scored.targets[apart], minlength=2)
    if counts.min() < FEWEST:
        raise DataSetError(
            f"the split has {counts[1]} scored images with and {counts[0]} without an opacity in "
            f"its validation part; at least {FEWEST} of each are needed"
        )
    targets = scored.targets[apart]
    temperature, shift = fit_platt(scored.logits[apart], targets)
    own_temperature, own_shift = fit_platt(logits[apart], targets)
    calibrated = (scored.logits + shift) / temperature
    found: NDArray[np.floating] = calibrated * own_temperature - own_shift
    return found


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
