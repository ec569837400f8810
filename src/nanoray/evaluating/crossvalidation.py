"""Figures of out-of-fold scores, and paired differences between recipes.

Every image is scored by a network that was trained without its patient. Each fold has a separate
network, so AUROC and average precision compare only images of the same fold. Pooled over folds,
they would also depend on the scales of the networks (Forman and Scholz 2010). A figure of a recipe
is the mean over its seeds, so it describes one network, not an ensemble. Intervals draw patients
with replacement, with the same draws for all recipes.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nanoray.datasets.folder import Case
from nanoray.datasets.tables import open_table
from nanoray.errors import DataSetError
from nanoray.evaluating.calibration import calibration_line, sigmoid
from nanoray.evaluating.metrics import at_point, average_precision, concordant_pairs
from nanoray.evaluating.operating_points import choose_operating_points
from nanoray.evaluating.poststratification import (
    AREAS,
    Population,
    area_band,
    box_share,
    poststratify,
)
from nanoray.evaluating.resampling import Floats, Interval, draw_patients, interval

Targets = NDArray[np.integer]
Members = NDArray[np.bool_]

POINTS = ("screening", "balanced", "confirm")
"""Sensitivity 95 %, greatest Youden index, specificity 95 %: on the images of the other folds."""


@dataclass(frozen=True, slots=True)
class FoldScores:
    """Out-of-fold logits of one recipe with one seed.

    Attributes:
        fold: by image, the fold in which it was held out.
        logit: by image.
    """

    recipe: str
    seed: int
    fold: dict[str, str]
    logit: dict[str, float]


def read_scores(path: Path) -> list[FoldScores]:
    """Read a CSV with `patientId`, `fold`, `seed` and `logit`, and `recipe` (default: file name).

    Raises:
        DataSetError: not such a table, an image scored twice, or a logit that is not finite.
    """
    found: dict[tuple[str, int], FoldScores] = {}
    try:
        with open_table(path) as rows:
            for number, row in enumerate(rows, start=2):
                recipe, seed = row.get("recipe") or path.stem, int(row["seed"])
                scores = found.setdefault((recipe, seed), FoldScores(recipe, seed, {}, {}))
                image, logit = row["patientId"], float(row["logit"])
                if image in scores.logit:
                    raise DataSetError(f"{path}, line {number}: scored twice with seed {seed}")
                if not math.isfinite(logit):
                    raise DataSetError(f"{path}, line {number}: the logit is not a finite number")
                scores.fold[image], scores.logit[image] = row["fold"], logit
    except FileNotFoundError:
        raise DataSetError(f"{path}: not found") from None
    except KeyError as error:
        raise DataSetError(f"{path}: no column {error}") from None
    except (TypeError, ValueError):
        raise DataSetError(f"{path}, line {number}: seed and logit must be numbers") from None
    if not found:
        raise DataSetError(f"{path}: no scores")
    return list(found.values())


def restricted(scores: Sequence[FoldScores], images: Collection[str]) -> list[FoldScores]:
    """Return the scores of these images alone."""
    return [
        replace(
            one,
            fold={image: fold for image, fold in one.fold.items() if image in images},
            logit={image: logit for image, logit in one.logit.items() if image in images},
        )
        for one in scores
    ]


@dataclass(frozen=True, slots=True)
class RecipeResult:
    """Figures of one recipe.

    Attributes:
        seeds: number of seeds.
        figures: by the names of `CrossValidation.figures`, (value, low, high).
        by_seed: the values without intervals, seed to name to value.
        gains: this recipe minus the first one, paired; empty for the first.
    """

    recipe: str
    seeds: tuple[int, ...]
    figures: dict[str, Interval]
    by_seed: dict[int, dict[str, float]]
    gains: dict[str, Interval]


@dataclass(frozen=True, slots=True)
class CrossValidation:
    """Recipes compared on the same images.

    Attributes:
        images, patients, positive: numbers of images, patients and positive images.
        left_out: number of images that a recipe or seed has not scored.
        prevalence: of the population.
        draws: of the bootstrap.
    """

    recipes: list[RecipeResult]
    images: int
    patients: int
    positive: int
    left_out: int
    prevalence: float
    draws: int


@dataclass(frozen=True, slots=True)
class _Arrays:
    """One recipe with one seed as arrays of the N images."""

    logits: Floats
    folds: tuple[NDArray[np.intp], ...]
    called: dict[str, Members]


def crossvalidation(
    scores: Sequence[FoldScores],
    cases: Sequence[Case],
    population: Population,
    *,
    draws: int = 2000,
) -> CrossValidation:
    """Compare recipes on the images that all of them scored; gains are over the first recipe.

    Raises:
        DataSetError: no image that all recipes and seeds scored, a scored image that is not among
            the cases, or images that do not represent the population.
    """
    known = {case.path.stem: case for case in cases}
    scored: set[str] = set().union(*(one.logit for one in scores))
    common = sorted(scored.intersection(*(one.logit for one in scores)))
    unknown = scored - known.keys()
    if unknown:
        raise DataSetError(f"{len(unknown)} scored images are not in the data set")
    chosen = [known[name] for name in common]
    targets = np.array([int(case.target or 0) for case in chosen], np.int64)
    if min((targets == 1).sum(), (targets == 0).sum()) < 2:
        raise DataSetError("too few images that all recipes and seeds scored: need both classes")
    patients = [case.patient for case in chosen]
    resampling = draw_patients(patients, targets, samples=draws)
    strata = poststratify(chosen, population)
    groups = _groups(chosen, targets)
    arrays = [_arrays(one, common, targets) for one in scores]
    pieces: list[list[dict[str, Floats]]] = [[] for _ in scores]
    ones = np.ones((1, len(chosen)))
    # The first "draw" is the sample itself.
    for weights in (ones, *resampling.weights()):
        weighted = strata.weights(weights)
        for one, piece in zip(arrays, pieces, strict=True):
            piece.append(_figures(one, targets, groups, weights, weighted))
    values = [
        {name: np.concatenate([part[name] for part in piece]) for name in piece[0]}
        for piece in pieces
    ]
    by_recipe: dict[str, dict[int, dict[str, Floats]]] = {}
    for scored_by, value in zip(scores, values, strict=True):
        by_recipe.setdefault(scored_by.recipe, {})[scored_by.seed] = value
    means = {
        recipe: {
            name: np.mean([of_seed[name] for of_seed in seeds.values()], axis=0)
            for name in values[0]
        }
        for recipe, seeds in by_recipe.items()
    }
    first = next(iter(means.values()))
    results = []
    for recipe, mean in means.items():
        gains = {} if mean is first else {n: _interval(mean[n] - first[n]) for n in mean}
        results.append(
            RecipeResult(
                recipe,
                tuple(by_recipe[recipe]),
                {name: _interval(draw) for name, draw in mean.items()},
                {
                    seed: {name: float(draw[0]) for name, draw in of_seed.items()}
                    for seed, of_seed in by_recipe[recipe].items()
                },
                gains,
            )
        )
    return CrossValidation(
        results,
        len(chosen),
        len(set(patients)),
        int(targets.sum()),
        len(scored) - len(common),
        population.prevalence,
        draws,
    )


def _interval(values: Floats) -> Interval:
    return interval(float(values[0]), values[1:])


def _arrays(scores: FoldScores, images: Sequence[str], targets: Targets) -> _Arrays:
    logits = np.array([scores.logit[image] for image in images])
    fold = np.array([scores.fold[image] for image in images])
    names = sorted(set(fold.tolist()))
    called = {point: np.zeros(len(images), bool) for point in POINTS}
    for name in names:
        inside = fold == name
        others = inside if len(names) == 1 else ~inside
        if len(set(targets[others].tolist())) < 2:
            raise DataSetError(f"{scores.recipe}: the folds other than {name} have one class only")
        points = choose_operating_points(sigmoid(logits[others]), targets[others])
        for point in points:
            called[point.name][inside] = sigmoid(logits[inside]) >= point.threshold
    return _Arrays(logits, tuple(np.flatnonzero(fold == name) for name in names), called)


def _groups(cases: Sequence[Case], targets: Targets) -> dict[str, Members]:
    """Return the images of each AUROC, by its name."""
    positive = targets == 1
    groups = {"AUROC challenge": np.ones(len(cases), bool)}
    views = np.array([case.view or "" for case in cases])
    for view in sorted({view for view in views.tolist() if view}):
        groups[f"AUROC within {view}"] = views == view
    classes = np.array([case.class_name for case in cases])
    for name in sorted(set(classes[~positive].tolist())):
        groups[f"AUROC against {name}"] = positive | (classes == name)
    bands = np.array(
        [area_band(box_share(case.boxes or ())) if case.target == 1 else "" for case in cases]
    )
    for band in AREAS:
        groups[f"AUROC boxes {band}"] = ~positive | (bands == band)
    return groups


def _figures(
    one: _Arrays,
    targets: Targets,
    groups: dict[str, Members],
    weights: Floats,
    weighted: Floats,
) -> dict[str, Floats]:
    """Compute all figures of B draws, each float64 [B].

    Args:
        weights: of the draws, [B, N].
        weighted: the same, post-stratified.
    """
    figures = {"AUROC": _within_folds(one, targets, weights)}
    for name, members in groups.items():
        figures[name] = _within_folds(one, targets, weighted * members)
    figures["AUPRC"] = _average_precision(one, targets, weighted)
    figures["F1 balanced"] = at_point("f1", one.called["balanced"], targets, weighted)
    for point in POINTS:
        for name in ("sensitivity", "specificity"):
            figures[f"{name} {point}"] = at_point(name, one.called[point], targets, weighted)
    slope, intercept = calibration_line(one.logits, targets, weighted)
    return {**figures, "calibration slope": slope, "calibration intercept": intercept}


def _within_folds(one: _Arrays, targets: Targets, weights: Floats) -> Floats:
    """Compute the AUROC over the pairs of images of the same fold."""
    right, pairs = np.zeros(len(weights)), np.zeros(len(weights))
    for fold in one.folds:
        concordant, all_pairs = concordant_pairs(one.logits[fold], targets[fold], weights[:, fold])
        right += concordant
        pairs += all_pairs
    area: Floats = np.divide(right, pairs, out=np.full(len(pairs), np.nan), where=pairs > 0)
    return area


def _average_precision(one: _Arrays, targets: Targets, weights: Floats) -> Floats:
    """Average the folds' average precision, weighted by their positive images."""
    total, weight = np.zeros(len(weights)), np.zeros(len(weights))
    for fold in one.folds:
        of_fold = (weights[:, fold] * (targets[fold] == 1)).sum(1)
        value = average_precision(one.logits[fold], targets[fold], weights[:, fold])
        total += np.where(of_fold > 0, of_fold * value, 0)
        weight += of_fold
    mean: Floats = np.divide(total, weight, out=np.full(len(weight), np.nan), where=weight > 0)
    return mean
