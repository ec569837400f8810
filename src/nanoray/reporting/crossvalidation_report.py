"""Cross-validated recipes in Markdown, as JSON and as a picture."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from nanoray.datasets.folder import read_folder
from nanoray.detecting.model_file import NOTICE
from nanoray.evaluating.crossvalidation import (
    CrossValidation,
    RecipeResult,
    crossvalidation,
    read_scores,
)
from nanoray.evaluating.poststratification import read_population
from nanoray.evaluating.resampling import Interval
from nanoray.files import written_whole
from nanoray.reporting.plots import colour, new_figure, save_figure
from nanoray.version import __version__


def write_crossvalidation(found: CrossValidation, folder: Path) -> list[Path]:
    """Write `report.md`, `results.json`, and the pictures `figures.png` and `gains.png`.

    Returns:
        The files; there is no picture of gains for one recipe.
    """
    folder.mkdir(parents=True, exist_ok=True)
    pictures = {"figures.png": _picture(found, gains=False)}
    if len(found.recipes) > 1:
        pictures["gains.png"] = _picture(found, gains=True)
    for name, figure in pictures.items():
        save_figure(figure, folder / name)
    text = markdown(found) + "".join(f"\n![{Path(name).stem}]({name})\n" for name in pictures)
    with written_whole(folder / "report.md") as file:
        file.write(text)
    document = {"notice": NOTICE, "nanoray": __version__, **asdict(found)}
    with written_whole(folder / "results.json") as file:
        file.write(json.dumps(_plain(document), indent=1, allow_nan=False) + "\n")
    return [folder / name for name in ("report.md", "results.json", *pictures)]


def _plain(value: Any) -> Any:
    """Replace undefined figures by null, since JSON has no NaN."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _picture(found: CrossValidation, *, gains: bool) -> Any:
    """Draw AUROCs, or their gains over the first recipe, as points with intervals."""

    def of(result: RecipeResult) -> dict[str, Interval]:
        return result.gains if gains else result.figures

    shown = found.recipes[1:] if gains else found.recipes
    names = [name for name in of(shown[0]) if name.startswith("AUROC")]
    names = [name for name in names if any(math.isfinite(of(one)[name][0]) for one in shown)]
    height = 1.2 + len(names) * (0.22 + 0.13 * len(shown))
    figure, ((axis,),) = new_figure(8, height)
    for number, result in enumerate(shown):
        offset = 0.6 * ((number + 0.5) / len(shown) - 0.5)
        for row, name in enumerate(names):
            value, low, high = of(result)[name]
            axis.plot([low, high], [row + offset] * 2, color=colour(number + gains), linewidth=1.6)
            axis.plot(
                value,
                row + offset,
                "o",
                markersize=4,
                color=colour(number + gains),
                label=None if row else result.recipe,
            )
    axis.set_yticks(
        range(len(names)), [name.removeprefix("AUROC").strip() or "raw" for name in names]
    )
    axis.invert_yaxis()
    axis.grid(axis="x", linewidth=0.4)
    if gains:
        axis.axvline(0, color="black", linewidth=0.8)
    axis.set_xlabel(
        f"AUROC minus that of {found.recipes[0].recipe}, paired"
        if gains
        else "AUROC, cross-validated"
    )
    axis.legend(frameon=False, fontsize=8, loc="best")
    return figure


def report(
    tables: Sequence[Path],
    labels: Path,
    challenge_mix: Path,
    *,
    draws: int = 2000,
) -> str:
    """Write Markdown of the recipes in tables of scores; gains are over the first one.

    Args:
        tables: see `read_scores`.
        labels: the data set's folder, or its labels.csv.
        challenge_mix: see `read_population`.

    Raises:
        DataSetError: see `read_scores`, `read_population` and `crossvalidation`.
    """
    scores = [one for path in tables for one in read_scores(path)]
    cases = read_folder(labels.parent if labels.is_file() else labels)
    return markdown(crossvalidation(scores, cases, read_population(challenge_mix), draws=draws))


def markdown(found: CrossValidation) -> str:
    """Write all tables, with an explanation of each."""
    names = list(found.recipes[0].figures)
    ranks = [name for name in names if name.startswith("AUROC") and "boxes" not in name]
    sizes = [name for name in names if "boxes" in name]
    others = ["AUPRC", "F1 balanced", "calibration slope", "calibration intercept"]
    points = [name for name in names if name.startswith(("sensitivity", "specificity"))]
    prevalence = f"{100 * found.prevalence:.1f} %"
    parts = [
        f"{found.images} images of {found.patients} patients, {found.positive} with an opacity, "
        "each scored by a network trained without its patient. All figures but the first AUROC "
        f"are weighted to the challenge (class x view x box area, {prevalence} positive). "
        f"Means over seeds; 95 % intervals from {found.draws} draws of patients."
    ]
    if found.left_out:
        parts.append(
            f"{found.left_out} images are left out: not every recipe and seed has scored them."
        )
    parts += [
        _table(found, ranks),
        "Small and large opacities, against all negatives:",
        _table(found, sizes),
        f"At {prevalence} positive; calibration of the logits as they are:",
        _table(found, others),
        "At thresholds chosen on the other folds (screening: sensitivity 95 %; balanced: greatest "
        "Youden index; confirm: specificity 95 %):",
        _table(found, points, as_percent=True),
    ]
    if len(found.recipes) > 1:
        first = found.recipes[0].recipe
        parts += [
            f"Paired difference from {first}, same draws of patients:",
            _table(found, [*ranks, *sizes, "AUPRC"], gains=True),
        ]
    if max(len(result.seeds) for result in found.recipes) > 1:
        parts += ["By seed:", _seeds(found, ["AUROC", "AUROC challenge"])]
    return "\n\n".join(parts) + "\n"


def _table(
    found: CrossValidation, names: Sequence[str], *, as_percent: bool = False, gains: bool = False
) -> str:
    lines = [["recipe", *names], ["---"] * (len(names) + 1)]
    for result in found.recipes[1:] if gains else found.recipes:
        figures = result.gains if gains else result.figures
        cells = [_cell(figures[name], as_percent=as_percent, signed=gains) for name in names]
        lines.append([result.recipe, *cells])
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _seeds(found: CrossValidation, names: Sequence[str]) -> str:
    lines = [["recipe", "seed", *names], ["---"] * (len(names) + 2)]
    for result in found.recipes:
        for seed, values in result.by_seed.items():
            lines.append([result.recipe, str(seed), *(f"{values[name]:.3f}" for name in names)])
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _cell(figure: Interval, *, as_percent: bool, signed: bool) -> str:
    if not math.isfinite(figure[0]):
        return "n/a"
    digits, scale, unit = (1, 100, " %") if as_percent else (3, 1, "")
    sign = "+" if signed else ""
    value, low, high = (f"{scale * number:{sign}.{digits}f}" for number in figure)
    return f"{value}{unit} ({low} to {high})"
