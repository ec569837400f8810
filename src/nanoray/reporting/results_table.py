"""The results as tables: Markdown for readers, JSON and CSV for programs."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nanoray.detecting.model_file import NOTICE, ModelCard
from nanoray.errors import DataSetError
from nanoray.evaluating.comparison import Comparison, p_value
from nanoray.evaluating.evaluation import Evaluation, ModelResult
from nanoray.evaluating.groups import FEWEST
from nanoray.evaluating.localisation import LEVEL
from nanoray.evaluating.resampling import Interval
from nanoray.evaluating.robustness import SIDE, RobustnessResult
from nanoray.version import __version__

Rows = list[list[str]]
"""A table: the first row has the headings."""


def markdown(evaluation: Evaluation) -> str:
    """Return the tables for a README, with a 95 % interval for every figure."""
    parts = [introduction(evaluation), _markdown(main_table(evaluation)), main_note(evaluation)]
    if evaluation.pairs:
        parts.append(pairs_markdown(evaluation.pairs).strip())
    parts.append("All operating points (thresholds chosen on validation):")
    parts.append(_markdown(points_table(evaluation)))
    if len(localisation_table(evaluation)) > 1:
        parts += [localisation_note(evaluation), _markdown(localisation_table(evaluation))]
    return "\n\n".join(parts) + "\n"


def pairs_markdown(pairs: Sequence[Comparison]) -> str:
    """Write the verdicts of the tests of the pairs, and their table."""
    verdicts = "\n".join(f"- {pair.verdict()}" for pair in pairs)
    words = "Differences are first minus second, over the same patients:"
    return "\n\n".join([verdicts, words, _markdown(pairs_table(pairs))]) + "\n"


def details(evaluation: Evaluation) -> str:
    """Write calibration, groups, robustness and stress in Markdown."""
    parts = [
        "Calibration before and after temperature scaling:",
        _markdown(calibration_table(evaluation)),
        OUTCOMES_NOTE,
        _markdown(outcomes_table(evaluation)),
        groups_note(evaluation),
        _markdown(groups_table(evaluation)),
    ]
    if len(robustness_table(evaluation)) > 1:
        parts += [robustness_note(evaluation), _markdown(robustness_table(evaluation))]
    if evaluation.shortcuts is not None:
        parts += [stress_note(evaluation), _markdown(stress_table(evaluation))]
    return "\n\n".join(parts) + "\n"


def _markdown(rows: Rows) -> str:
    head, *body = [[cell.replace("|", "\\|") for cell in row] for row in rows]
    lines = ["| " + " | ".join(row) + " |" for row in (head, ["---"] * len(head), *body)]
    return "\n".join(lines)


def introduction(evaluation: Evaluation) -> str:
    """Describe the data and the intervals in words."""
    count, positive = len(evaluation.targets), int(evaluation.targets.sum())
    return (
        f"{count} radiographs of {evaluation.patients} patients, {positive} with an opacity "
        f"({percent(positive / count)}); 95 % bootstrap intervals over patients. "
        f"Always answering no would be {percent(1 - positive / count)} accurate."
        + (f" {few}" if (few := few_images(evaluation.targets)) else "")
    )


ENOUGH = 100
"""Least numbers of positive and negative images for a validation (Collins et al. 2016)."""


def few_images(targets: NDArray[np.integer]) -> str:
    """Return a warning if there are too few images for reliable figures, else an empty text."""
    positive, negative = int((targets == 1).sum()), int((targets == 0).sum())
    if min(positive, negative) >= ENOUGH:
        return ""
    return (
        f"Only {positive} positive and {negative} negative images: fewer than {ENOUGH} of each are "
        "too few to rely on (Collins et al. 2016)."
    )


def main_table(evaluation: Evaluation) -> Rows:
    """Write one row per model."""
    timed = any(model.latency for model in evaluation.models)
    head = ["model", "size", "AUROC", "AUPRC", "accuracy", "sensitivity", "specificity", "F1"]
    head += ["calibration slope", "intercept", *(["latency"] if timed else [])]
    rows = [head]
    for model in evaluation.models:
        row = [model.label, f"{model.size / 1e6:.2f} MB"]
        row += [cell(model.metrics[name]) for name in ("auroc", "average precision")]
        row += [
            cell(model.at_default(name), as_percent=True)
            for name in ("accuracy", "sensitivity", "specificity")
        ]
        row.append(cell(model.at_default("f1")))
        row.append(cell(model.metrics["calibration slope"]))
        row.append(cell(model.metrics["calibration intercept"], signed=True))
        if model.latency:
            row.append(f"{model.latency.ratio[0]:.2f} x")
        rows.append(row)
    return rows


def main_note(evaluation: Evaluation) -> str:
    """Explain the main table."""
    names = {model.card.default_operating_point for model in evaluation.models}
    words = (
        "Accuracy, sensitivity, specificity and F1 at the operating point "
        + " or ".join(f"*{name}*" for name in sorted(names))
        + f". {prevalence_note(evaluation)} Calibration of the logits: a slope below 1 is "
        "overconfident, an intercept below 0 gives probabilities that are too high. Size is the "
        "file's, in millions of bytes."
    )
    first = evaluation.models[0]
    if first.latency:
        words += (
            f" Latency at batch 1, CPU time of one thread, as a ratio to {first.label} "
            f"({first.latency.milliseconds:.3g} ms here), the models in turn, "
            f"median of {evaluation.rounds} rounds."
        )
    return words


def prevalence_note(evaluation: Evaluation) -> str:
    """State the share of positive images of AUPRC, accuracy, precision and F1."""
    shares = {model.card.prevalence for model in evaluation.models}
    own = float(np.mean(evaluation.targets == 1))
    named = sorted({percent(own if share is None else share) for share in shares})
    return (
        "AUPRC, accuracy, precision, F1 and calibration are for "
        + " or ".join(named)
        + " of images with an opacity"
        + (", to which the images are weighted." if shares != {None} else ", as they are here.")
    )


def points_table(evaluation: Evaluation) -> Rows:
    """Write every operating point of every model."""
    head = ["model", "operating point", "threshold", "sensitivity", "specificity", "accuracy"]
    rows = [[*head, "precision", "F1"]]
    for model in evaluation.models:
        for point in model.card.operating_points:
            row = [model.label, point.name, _thresholds(model.card, point.name)]
            row += [
                cell(model.metrics[f"{point.name} {name}"], as_percent=True)
                for name in ("sensitivity", "specificity", "accuracy", "precision")
            ]
            rows.append([*row, cell(model.metrics[f"{point.name} f1"])])
    return rows


OUTCOMES_NOTE = (
    "Answers at the default operating point, the indeterminate ones too (STARD 2015, items 15 and "
    "16): radiographs with an opacity / without one. Without a bound on missed opacities, clear is "
    "no opacity suspected; with one, what is neither suspected nor clear is unsure. The figures of "
    "other tables decide every radiograph."
)


def outcomes_table(evaluation: Evaluation) -> Rows:
    """One row a model and bound on missed opacities."""
    rows = [["model", "bound", "suspected", "clear", "unsure", "abstained", "decided"]]
    views = [case.view for case in evaluation.cases]
    for model in evaluation.models:
        for found in model.outcomes(evaluation.targets, views):
            answers = (found.suspected, found.clear, found.unsure, found.abstained)
            decided = sum(found.suspected) + sum(found.clear)
            rows.append(
                [
                    model.label,
                    "none" if found.level is None else percent(found.level, 0),
                    *(f"{positive} / {negative}" for negative, positive in answers),
                    percent(decided / len(evaluation.targets)),
                ]
            )
    return rows


def _thresholds(card: ModelCard, point: str) -> str:
    """Return an operating point's threshold in words, or those of the views if they differ."""
    if not card.views:
        return f"{card.operating_point(point).threshold:.3f}"
    return ", ".join(f"{one.view} {one.operating_point(point).threshold:.3f}" for one in card.views)


def pairs_table(pairs: Sequence[Comparison]) -> Rows:
    """Write every pair of models with its tests."""
    head = ["pair", "AUROC difference", "DeLong p", "Holm", "accuracy difference", "right alone"]
    rows = [[*head, "McNemar p"]]
    for pair in pairs:
        rows.append(
            [
                f"{pair.first} - {pair.second}",
                cell(pair.auroc, signed=True),
                p_value(pair.delong_p),
                p_value(pair.delong_p_holm),
                cell(pair.accuracy, as_percent=True, signed=True),
                f"{pair.only_first} : {pair.only_second}",
                p_value(pair.mcnemar_p),
            ]
        )
    return rows


def calibration_table(evaluation: Evaluation) -> Rows:
    """Write slope, intercept and Brier score with a temperature of 1 and with the card's."""
    names = ("calibration slope", "calibration intercept", "brier")
    rows = [["model", "temperature"]]
    rows[0] += [
        f"{one} {when}" for one in ("slope", "intercept", "Brier") for when in ("before", "after")
    ]
    for model in evaluation.models:
        figures = [
            cell(model.metrics[f"{name}{suffix}"])
            for name in names
            for suffix in (" uncalibrated", "")
        ]
        rows.append([model.label, f"{model.card.temperature:.2f}", *figures])
    return rows


def groups_note(evaluation: Evaluation) -> str:
    """Explain the table of groups."""
    points = {model.card.default_operating_point for model in evaluation.models}
    return (
        "By group, at the operating point "
        + " or ".join(f"*{name}*" for name in sorted(points))
        + ". The AUROC of a class of negatives is that of all positives against this class alone; "
        f"n/a: fewer than {FEWEST} images to judge by:"
    )


def groups_table(evaluation: Evaluation) -> Rows:
    """Write every group of every model."""
    rows = [["group", "images", "positive", "model", "AUROC", "sensitivity", "specificity"]]
    for number, group in enumerate(evaluation.models[0].groups):
        for model in evaluation.models:
            result = model.groups[number]
            point = model.card.default_operating_point
            rows.append(
                [
                    f"{group.kind} {group.name}",
                    str(group.images),
                    str(group.positive),
                    model.label,
                    cell(result.auroc),
                    cell(result.sensitivity[point], as_percent=True),
                    cell(result.specificity[point], as_percent=True),
                ]
            )
    return rows


def localisation_note(evaluation: Evaluation) -> str:
    """Explain the table of localisation."""
    found = evaluation.models[0].localisation
    if found is None:
        return ""
    return (
        f"Class-activation map against the boxes of {found.images} images. Pointing game: the "
        f"map's greatest value lies in a box. IoU of the boxes with the region above "
        f"{percent(LEVEL, 0)} of the map's range. A random place would be right in "
        f"{percent(found.chance)}, the best place that is the same for all images in "
        f"{percent(found.fixed)}:"
    )


def localisation_table(evaluation: Evaluation) -> Rows:
    """Write pointing game and IoU of every model."""
    rows = [["model", "pointing game", "where called positive", "IoU"]]
    for model in evaluation.models:
        if model.localisation:
            found = model.localisation
            rows.append(
                [
                    model.label,
                    cell(found.pointing, as_percent=True),
                    percent(found.pointing_called),
                    cell(found.iou),
                ]
            )
    return rows


def robustness_note(evaluation: Evaluation) -> str:
    """Explain the table of robustness."""
    return (
        f"AUROC lost when {len(evaluation.sample)} of the pictures (of {SIDE} pixels) are made "
        "worse, with the paired interval; share of decisions that change; share refused:"
    )


def robustness_table(evaluation: Evaluation) -> Rows:
    """Write every change of every model."""
    head = ["change", "model", "AUROC", "lost", "decisions changed", "refused"]
    return [head, *_changes([(m.label, m.robustness) for m in evaluation.models], "none")]


def _changes(
    models: Sequence[tuple[str, Sequence[RobustnessResult]]], unchanged: str, *, moved: bool = False
) -> Iterator[list[str]]:
    """Write a row for each change of each model, the models beside each other."""
    for results in zip(*(found for _, found in models), strict=True):
        for (label, _), result in zip(models, results, strict=True):
            yield [
                result.change.name if result.change else unchanged,
                label,
                cell(result.auroc),
                cell(result.loss, signed=True) if result.change else "",
                percent(result.decisions_changed),
                percent(result.refused),
                *([f"{result.moved:.2f}"] if moved else []),
            ]


def stress_note(evaluation: Evaluation) -> str:
    """Explain the table of parts that are greyed out, with the view's AUROC."""
    found = evaluation.shortcuts
    assert found is not None
    return (
        f"What the models lean on: all {len(evaluation.cases)} radiographs with a part filled "
        "with their mean grey. The lungs are two ellipses, the same for all images; they cover "
        f"{percent(found.covered)} of the area of the opacity boxes. The view alone, AP above PA, "
        f"has AUROC {cell(found.view)}. Without the lungs a model should rank no better."
    )


def stress_table(evaluation: Evaluation) -> Rows:
    """Write every greyed part of every model, and how far the logit moved."""
    head = ["greyed out", "model", "AUROC", "lost", "decisions changed", "refused", "logit moved"]
    models = [(m.label, m.stress) for m in evaluation.models]
    return [head, *_changes(models, "nothing", moved=True)]


def percent(share: float, digits: int = 1) -> str:
    """Return a share as "12.3 %"."""
    return f"{100 * share:.{digits}f} %" if math.isfinite(share) else "n/a"


def cell(figure: Interval | None, *, as_percent: bool = False, signed: bool = False) -> str:
    """Return a figure with its interval, as "0.812 (0.771 to 0.850)" or in per cent."""
    if figure is None or not math.isfinite(figure[0]):
        return "n/a"
    digits, scale, unit = (1, 100, " %") if as_percent else (3, 1, "")
    sign = "+" if signed else ""
    value, low, high = (f"{scale * number:{sign}.{digits}f}" for number in figure)
    return f"{value}{unit} ({low} to {high})"


def save_results(evaluation: Evaluation, path: Path) -> None:
    """Write all figures as JSON; undefined ones are null, or missing in a model's metrics."""
    document = {
        "notice": NOTICE,
        "nanoray": __version__,
        "data": evaluation.data,
        "part": evaluation.part,
        "images": len(evaluation.targets),
        "patients": evaluation.patients,
        "positive": int(evaluation.targets.sum()),
        "bootstrap_draws": evaluation.draws,
        "latency_rounds": evaluation.rounds,
        "robustness_images": len(evaluation.sample),
        "shortcuts": asdict(evaluation.shortcuts) if evaluation.shortcuts else None,
        "models": [_model(model, evaluation) for model in evaluation.models],
        "pairs": [{**asdict(pair), "verdict": pair.verdict()} for pair in evaluation.pairs],
    }
    path.write_text(json.dumps(_plain(document), indent=1, allow_nan=False) + "\n")


def _model(model: ModelResult, evaluation: Evaluation) -> dict[str, Any]:
    return {
        "label": model.label,
        "architecture": model.card.architecture,
        "precision": model.card.precision,
        "input_size": model.card.input_size,
        "bytes": model.size,
        "sha256": model.sha256,
        "temperature": model.card.temperature,
        "refused": model.refused,
        "metrics": defined(model.metrics),
        "confusion": dict(
            zip(
                ("true_negative", "false_positive", "false_negative", "true_positive"),
                model.confusion(evaluation.targets),
                strict=True,
            )
        ),
        "outcomes": [
            asdict(found)
            for found in model.outcomes(
                evaluation.targets, [case.view for case in evaluation.cases]
            )
        ],
        "default_operating_point": model.card.default_operating_point,
        "operating_points": [asdict(point) for point in model.card.operating_points],
        "groups": [asdict(group) for group in model.groups],
        "localisation": asdict(model.localisation) if model.localisation else None,
        "latency": asdict(model.latency) if model.latency else None,
        "robustness": [asdict(result) for result in model.robustness],
        "stress": [asdict(result) for result in model.stress],
    }


def defined(metrics: dict[str, Interval]) -> dict[str, Interval]:
    """Return the metrics with a value."""
    return {name: figure for name, figure in metrics.items() if all(map(math.isfinite, figure))}


def _plain(value: Any) -> Any:
    """Convert NaN, which JSON lacks, and NumPy's numbers."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value


def save_scores(evaluation: Evaluation, path: Path) -> None:
    """Write a row per image: name, patient's number, target, logits, probabilities, decisions.

    All figures can be recomputed from it, also together with models of another evaluation.
    """
    people: dict[str, int] = {}
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        labels: Sequence[str] = [model.label for model in evaluation.models]
        writer.writerow(
            ["image", "person", "target"]
            + [f"logit {label}" for label in labels]
            + [f"probability {label}" for label in labels]
            + [f"called {label}" for label in labels]
        )
        probabilities = [model.probabilities for model in evaluation.models]
        for index, case in enumerate(evaluation.cases):
            person = people.setdefault(case.patient, len(people))
            logits = [f"{model.scores.logits[index]:.6g}" for model in evaluation.models]
            calibrated = [f"{values[index]:.6g}" for values in probabilities]
            called = [int(model.called[index]) for model in evaluation.models]
            target = int(evaluation.targets[index])
            writer.writerow([case.path.stem, person, target, *logits, *calibrated, *called])


@dataclass(frozen=True, slots=True)
class Judged:
    """Combined scores of several evaluations.

    Attributes:
        people: of each image, a name for its patient.
        logits, called: [N] of each model by its label: logits, and decisions at its default
            operating point.
    """

    people: list[str]
    targets: NDArray[np.int64]
    logits: dict[str, NDArray[np.float64]]
    called: dict[str, NDArray[np.bool_]]


def read_scores(folders: Sequence[Path]) -> Judged:
    """Combine the files of `save_scores` and `save_results` from several folders.

    Raises:
        DataSetError: a folder without results, other images or targets than the first, or fewer
            than two models in total.
    """
    logits: dict[str, NDArray[np.float64]] = {}
    called: dict[str, NDArray[np.bool_]] = {}
    first: dict[str, tuple[str, str]] = {}
    for folder in folders:
        table, document = folder / "scores.csv", folder / "results.json"
        if not table.is_file() or not document.is_file():
            raise DataSetError(f"{folder}: no scores.csv and results.json of `nanoray evaluate`")
        with table.open(newline="") as file:
            rows = {row["image"]: row for row in csv.DictReader(file)}
        images = {name: (row["person"], row["target"]) for name, row in rows.items()}
        first = first or images
        if {name: target for name, (_, target) in images.items()} != {
            name: target for name, (_, target) in first.items()
        }:
            raise DataSetError(f"{folder}: other images or targets than {folders[0]}")
        for model in json.loads(document.read_text())["models"]:
            label = str(model["label"])
            shown = label if label not in logits else f"{label} ({folder.name})"
            logits[shown] = np.array([float(rows[name][f"logit {label}"]) for name in first])
            called[shown] = np.array([rows[name][f"called {label}"] == "1" for name in first])
    if len(logits) < 2:
        raise DataSetError("there are fewer than two models to compare")
    return Judged(
        [person for person, _ in first.values()],
        np.array([int(target) for _, target in first.values()], np.int64),
        logits,
        called,
    )
