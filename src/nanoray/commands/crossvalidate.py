"""`nanoray crossvalidate`: comparison of recipes by patients held out from training."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

import typer

from nanoray.datasets.folder import Case, read_folder, select
from nanoray.errors import DataSetError
from nanoray.evaluating.crossvalidation import crossvalidation, restricted
from nanoray.evaluating.poststratification import population_of, read_population
from nanoray.reporting.crossvalidation_report import markdown, write_crossvalidation
from nanoray.training.folds import Plan, folds_of, gather, save_scores, train_folds
from nanoray.training.recipe_file import Places, check_places, read_recipe

POPULATION = "challenge_mix.csv"


def _images(flag: str, text: str) -> Any:
    """Return an option that chooses images by columns of labels.csv."""
    return typer.Option(flag, metavar="COLUMN=VALUE", help=f"{text} May be repeated. Default: all.")


def crossvalidate(
    recipes: Annotated[
        list[Path],
        typer.Argument(help="Recipe files (YAML); gains are over the first.", show_default=False),
    ],
    data: Annotated[Path, typer.Option(help="Folder of the data sets.", show_default=False)],
    weights: Annotated[Path, typer.Option(help="Folder of the recipes' ImageNet weights.")] = Path(
        "weights"
    ),
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder of runs and report; resumes.")
    ] = Path("runs/crossvalidation"),
    validate_on: Annotated[
        list[str],
        _images(
            "--validate-on",
            "Evaluate images with this value in labels.csv, for example "
            "publisher=challenge-mix; all others only train.",
        ),
    ] = [],  # noqa: B006
    report_on: Annotated[
        list[str],
        _images(
            "--report-on",
            "Report on these of the validated images alone, for example if others betray their "
            "source.",
        ),
    ] = [],  # noqa: B006
    population: Annotated[
        Path | None,
        typer.Option(
            help="CSV of class_name, view, box_area and images to weight the figures to; default: "
            f"{POPULATION} of the data set, or the images as they are."
        ),
    ] = None,
    folds: Annotated[int, typer.Option(help="Parts by patient.", min=2)] = 5,
    seeds: Annotated[int, typer.Option(help="Runs of each fold, with seeds from 0.", min=1)] = 2,
    size: Annotated[
        int | None,
        typer.Option(help="Short form: largest input size, for example 160.", min=32),
    ] = None,
    jobs: Annotated[int, typer.Option(help="Folds at a time; 0: one for two cores.", min=0)] = 0,
    report: Annotated[
        bool, typer.Option("--report", help="Report on the finished folds without training.")
    ] = False,
    draws: Annotated[
        int, typer.Option(help="Draws of the bootstrap over patients.", min=100)
    ] = 2000,
    cache: Annotated[Path, typer.Option(help="Folder of prepared images.")] = Path("cache"),
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress bars.")] = False,
) -> None:
    """Cross-validate recipes by patient, and compare them with paired intervals.

    The runs of a fold train without its patients, also in further data sets. Finished runs are
    kept. The same command resumes, and accepts further recipes.
    """
    chosen = [read_recipe(path) for path in recipes]
    if size is not None:
        chosen = [recipe.resized(size) for recipe in chosen]
    if len({recipe.name for recipe in chosen}) < len(chosen):
        raise DataSetError("two recipes have the same name")
    if len({recipe.data for recipe in chosen}) > 1:
        raise DataSetError("recipes are compared on one data set; these name several")
    places = Places(data, weights, cache)
    for recipe in chosen:
        check_places(recipe, places)
    folder = data / chosen[0].data
    cases = read_folder(folder)
    judged = _judged(cases, validate_on, "--validate-on")
    validated = set(judged)
    reported = [i for i in _judged(cases, report_on, "--report-on") if i in validated]
    if not reported:
        raise DataSetError(f"--report-on {', '.join(report_on)}: no image of --validate-on")
    if population is None and (folder / POPULATION).is_file():
        population = folder / POPULATION
    weighted_to = (
        read_population(population)
        if population is not None
        else population_of([cases[index] for index in reported])
    )
    plan = Plan(
        chosen, folder, cases, judged, places, output, folds=folds, seeds=tuple(range(seeds))
    )
    every = folds_of(plan)
    done = sum(fold.finished for fold in every)
    typer.echo(f"{len(every)} folds to train, {done} finished before", err=True)
    if not report:
        jobs = jobs or max(1, (os.cpu_count() or 1) // 2)
        for fold in train_folds(every, jobs=jobs, show_progress=not quiet):
            done += 1
            typer.echo(
                f"[{done}/{len(every)}] {fold.recipe.name}, seed {fold.seed}, fold {fold.number}",
                err=True,
            )
    scores = gather(every)
    if not scores:
        raise DataSetError(f"{output}: no fold is finished")
    tables = save_scores(scores, output / "scores")
    scores = restricted(scores, {cases[index].path.stem for index in reported})
    found = crossvalidation(scores, cases, weighted_to, draws=draws)
    written = write_crossvalidation(found, output)
    typer.echo(markdown(found))
    typer.echo(f"written: {', '.join(str(path) for path in (*written, *tables))}")


def _judged(cases: list[Case], conditions: list[str], option: str) -> list[int]:
    if not conditions:
        return list(range(len(cases)))
    found: set[int] = set()
    for condition in conditions:
        column, equals, value = condition.partition("=")
        if not equals:
            raise typer.BadParameter("expected COLUMN=VALUE", param_hint=option)
        found.update(select(cases, column, value))
    return sorted(found)
