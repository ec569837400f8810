"""Cross-validation of recipes: every fold is trained without its patients, then scores them.

A fold's images are the validation part of its runs; their AUROC is recorded after each epoch. They
must not influence a choice, so a recipe must keep the last epoch's weights. A run's name contains a
hash of its dependencies. Recipes with the same teacher therefore train it once, and a finished run
is reused.
"""

from __future__ import annotations

import csv
import multiprocessing
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field
from pathlib import Path

import torch

from nanoray.datasets.folder import Case
from nanoray.datasets.labelled import LabelledData
from nanoray.datasets.splits import split_into_folds
from nanoray.errors import DataSetError
from nanoray.evaluating.crossvalidation import FoldScores
from nanoray.files import written_whole
from nanoray.training.recipe_file import Places, Recipe, Step, run_steps, step_keys
from nanoray.training.teachers import teacher_outputs

SCORES = "fold-scores.csv"


@dataclass(frozen=True, slots=True)
class Plan:
    """The data and the folders of a cross-validation.

    Attributes:
        cases: of the data set `folder`.
        judged: indices of the evaluated cases; all others only train.
        output: gets a folder for each seed and fold.
    """

    recipes: Sequence[Recipe]
    folder: Path
    cases: Sequence[Case]
    judged: Sequence[int]
    places: Places
    output: Path
    folds: int = 5
    seeds: Sequence[int] = (0, 1)


@dataclass(frozen=True, slots=True)
class Fold:
    """One fold of one recipe with one seed.

    Attributes:
        number: from 1.
        runs: folder of each step.
    """

    recipe: Recipe
    seed: int
    number: int
    data: LabelledData
    places: Places
    runs: dict[str, Path] = field(default_factory=dict)

    @property
    def scored(self) -> list[Step]:
        """Return the evaluated steps: those that learn only the target, and the final one."""
        final = self.recipe.final
        return [s for s in self.recipe.steps if s is final or s.settings.role != "pretrain"]

    @property
    def finished(self) -> bool:
        return all((self.runs[step.name] / SCORES).is_file() for step in self.scored)


def folds_of(plan: Plan) -> list[Fold]:
    """List every fold, recipe by recipe within a seed.

    Raises:
        DataSetError: a recipe chooses an epoch by validation, or there are too few patients.
    """
    for recipe in plan.recipes:
        for step in recipe.steps:
            if step.settings.keep != "last" or step.settings.patience:
                raise DataSetError(
                    f"recipe {recipe.name}: {step.name}: cross-validation needs keep: last and "
                    "patience: 0; else the images that judge a run would choose its epoch"
                )
    splits = split_into_folds(plan.cases, plan.judged, folds=plan.folds)
    found = []
    for seed in plan.seeds:
        for recipe in plan.recipes:
            for number, split in enumerate(splits, 1):
                names = [plan.cases[index].path.stem for index in split.validation]
                below = plan.output / f"seed-{seed}" / f"fold-{number}"
                runs = {
                    step: below / f"{step}-{key}"
                    for step, key in step_keys(recipe, seed, names).items()
                }
                data = LabelledData(plan.folder, list(plan.cases), split)
                found.append(Fold(recipe, seed, number, data, plan.places, runs))
    return found


def train_folds(
    folds: Sequence[Fold], *, jobs: int = 1, show_progress: bool = True
) -> Iterator[Fold]:
    """Train and score the folds that are not finished, and yield each when it is.

    Args:
        jobs: folds at a time, in separate processes that share the processor's cores.
    """
    waiting = [fold for fold in folds if not fold.finished]
    if jobs == 1 or len(waiting) < 2:
        for fold in waiting:
            train_fold(fold, show_progress=show_progress)
            yield fold
        return
    # One process trains the runs that two recipes share: folds of a seed stay together.
    together: dict[tuple[int, int], list[Fold]] = {}
    for fold in waiting:
        together.setdefault((fold.seed, fold.number), []).append(fold)
    threads = max(1, (os.cpu_count() or 1) // jobs)
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(jobs, mp_context=context) as processes:
        running = {
            processes.submit(_train_together, group, threads): group for group in together.values()
        }
        try:
            for done in as_completed(running):
                done.result()
                yield from running[done]
        except BaseException:
            processes.shutdown(wait=False, cancel_futures=True)
            for process in multiprocessing.active_children():
                process.terminate()
            raise


def _train_together(folds: Sequence[Fold], threads: int) -> None:
    torch.set_num_threads(threads)
    for fold in folds:
        train_fold(fold, show_progress=False)


def train_fold(fold: Fold, *, show_progress: bool = True) -> None:
    """Train the steps of a fold, and write the logits of its images to the run folders."""
    run_steps(
        fold.recipe,
        fold.data,
        fold.places,
        fold.runs.__getitem__,
        seed=fold.seed,
        show_progress=show_progress,
    )
    held_out = fold.data.split.validation
    for step in fold.scored:
        run = fold.runs[step.name]
        outputs = teacher_outputs(
            [run],
            fold.data.cases,
            held_out,
            fold.data.folder.name,
            fold.places.cache,
            show_progress=show_progress,
        )
        with written_whole(run / SCORES, newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["patientId", "logit"])
            for index, logit in zip(held_out, outputs.logit, strict=True):
                writer.writerow([fold.data.cases[index].path.stem, f"{logit:.6g}"])


def gather(folds: Sequence[Fold]) -> list[FoldScores]:
    """Read the scores of the finished folds: one entry for each recipe or further step, and seed.

    A recipe and seed with unfinished folds is omitted, unless nothing is complete. A step of
    several recipes appears once, with the first of them.
    """
    finished = [fold for fold in folds if fold.finished]
    partial = {(fold.recipe.name, fold.seed) for fold in folds if not fold.finished}
    complete = [fold for fold in finished if (fold.recipe.name, fold.seed) not in partial]
    found: dict[tuple[str, int], FoldScores] = {}
    seen: set[Path] = set()
    for fold in complete or finished:
        final = fold.recipe.final.name
        for step in sorted(fold.scored, key=lambda one: one.name != final):
            if fold.runs[step.name] in seen:
                continue
            seen.add(fold.runs[step.name])
            name = fold.recipe.name if step.name == final else f"{fold.recipe.name}/{step.name}"
            scores = found.setdefault((name, fold.seed), FoldScores(name, fold.seed, {}, {}))
            with (fold.runs[step.name] / SCORES).open(newline="") as file:
                for row in csv.DictReader(file):
                    scores.fold[row["patientId"]] = str(fold.number)
                    scores.logit[row["patientId"]] = float(row["logit"])
    return list(found.values())


def save_scores(scores: Sequence[FoldScores], folder: Path) -> list[Path]:
    """Write a table for each recipe or further step, in the form that `read_scores` reads.

    Returns:
        The tables, in the order of the recipes.
    """
    folder.mkdir(parents=True, exist_ok=True)
    tables: dict[Path, list[FoldScores]] = {}
    for one in scores:
        tables.setdefault(folder / f"{one.recipe.replace('/', '-')}.csv", []).append(one)
    for path, seeds in tables.items():
        with written_whole(path, newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["recipe", "patientId", "fold", "seed", "logit"])
            for one in seeds:
                for image, logit in one.logit.items():
                    writer.writerow([one.recipe, image, one.fold[image], one.seed, f"{logit:.6g}"])
    return list(tables)
