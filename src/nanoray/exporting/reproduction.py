"""From a recipe to model files: its training runs in order, then the export."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

from nanoray.errors import DataSetError
from nanoray.exporting.package import package_run
from nanoray.training.recipe_file import (
    Places,
    Recipe,
    check_places,
    open_data,
    read_recipe,
    run_steps,
)

# Arguments of `package_run` that a recipe does not choose.
_GIVEN = {"run", "data", "output", "command", "crossvalidation", "recipe", "cache"}


def reproduce_recipe(
    file: Path,
    places: Places,
    output: Path,
    *,
    crossvalidation: Path | None = None,
    command: str = "",
    show_progress: bool = True,
    announce: Callable[[str], None] = lambda line: None,
) -> list[Path]:
    """Run a recipe's steps and export the one that it packages.

    Finished steps are skipped, an interrupted one is resumed.

    Args:
        file: the recipe (YAML).
        places: data sets, weights and cache.
        output: gets a folder for each step, and `models`.
        crossvalidation: has this recipe; see `nanoray.exporting.package.crossvalidated_metrics`.
        command: for the card.
        announce: called with a line for each step.

    Returns:
        The model files; none if the recipe packages nothing.

    Raises:
        DataSetError: an invalid recipe, or data or weights that are not found; before any training.
    """
    recipe = read_recipe(file)
    check_places(recipe, places)
    arguments = _package_arguments(recipe, file, places.data)
    runs = run_steps(
        recipe,
        open_data(recipe, places),
        places,
        lambda step: output / step,
        show_progress=show_progress,
        announce=announce,
    )
    if recipe.package is None:
        return []
    return package_run(
        runs[recipe.package.step],
        places.data / recipe.data,
        output / "models",
        command=command,
        crossvalidation=crossvalidation,
        recipe=recipe.name,
        cache=places.cache,
        **arguments,
    )


def _package_arguments(recipe: Recipe, file: Path, data: Path) -> dict[str, Any]:
    arguments = dict(recipe.package.quantize) if recipe.package else {}
    known = inspect.signature(package_run).parameters.keys() - _GIVEN
    unknown = arguments.keys() - known
    if unknown:
        raise DataSetError(f"{file}: package: quantize: unknown key {', '.join(sorted(unknown))}")
    arguments["extras"] = [data / name for name in arguments.get("extras", ())]
    for folder in arguments["extras"]:
        if not folder.is_dir():
            raise DataSetError(f"{file}: package: quantize: {folder} is not found")
    return arguments
