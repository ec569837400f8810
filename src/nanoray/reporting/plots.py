"""Plots of the results."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from nanoray.detecting.model_file import NOTICE
from nanoray.evaluating.calibration import prior_weights, reliability_curve
from nanoray.evaluating.evaluation import Evaluation
from nanoray.evaluating.resampling import Floats

# Okabe and Ito's colours, which differ also with impaired colour vision.
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#5b4a9e", "#7f7f7f")
_GREY = "#c4c9cf"
_DPI = 130
RELIABILITY_BINS = 8


def draw_all(evaluation: Evaluation, folder: Path) -> dict[str, Path]:
    """Write every possible picture of the results as PNG to the folder, by name."""
    drawn = {}
    for name, draw in PICTURES.items():
        figure = draw(evaluation)
        if figure is None:
            continue
        path = folder / f"{name}.png"
        save_figure(figure, path)
        drawn[name] = path
    return drawn


def save_figure(figure: Any, path: Path) -> None:
    """Write a figure as PNG, with the notice in its metadata."""
    figure.savefig(path, dpi=_DPI, metadata={"Comment": NOTICE})
    _plt().close(figure)


def _plt() -> Any:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    return plt


def new_figure(width: float, height: float, rows: int = 1, columns: int = 1) -> tuple[Any, Any]:
    """Return a figure of a size in inches, and its axes [rows, columns]."""
    plt = _plt()
    with plt.rc_context({"font.size": 9}):
        figure, axes = plt.subplots(
            rows, columns, figsize=(width, height), layout="constrained", squeeze=False
        )
    for one in axes.ravel():
        one.spines[["top", "right"]].set_visible(False)
    return figure, axes


def colour(number: int) -> str:
    """Return the colour of a model or recipe by its number from 0."""
    return _COLOURS[number % len(_COLOURS)]


def curves(evaluation: Evaluation) -> Any:
    """Draw ROC, precision-recall and reliability of all models."""
    from sklearn.metrics import precision_recall_curve, roc_curve

    figure, ((roc, pr, reliability),) = new_figure(13, 4.7, 1, 3)
    targets = evaluation.targets
    for number, model in enumerate(evaluation.models):
        style = {"color": colour(number), "linewidth": 1.6}
        false_positive, true_positive, _ = roc_curve(targets, model.scores.logits)
        area = model.metrics["auroc"][0]
        roc.plot(false_positive, true_positive, label=f"{model.label}  {area:.3f}", **style)
        precision, recall, _ = precision_recall_curve(targets, model.scores.logits)
        area = model.metrics["average precision"][0]
        pr.step(recall, precision, where="post", label=f"{model.label}  {area:.3f}", **style)
        predicted, observed = reliability_curve(
            model.probabilities,
            targets,
            prior_weights(targets, model.card.prevalence),
            bins=RELIABILITY_BINS,
        )
        slope = model.metrics["calibration slope"][0]
        reliability.plot(
            predicted, observed, "o-", markersize=4, label=f"{model.label}  {slope:.2f}", **style
        )
    last = evaluation.models[-1]
    for point in last.card.operating_points:
        called = last.judged.calls[point.name]
        x, y = called[targets == 0].mean(), called[targets == 1].mean()
        roc.plot(x, y, "k.", markersize=8)
        roc.annotate(point.name, (x, y), (6, -10), textcoords="offset points", fontsize=8)
    prevalence = float(targets.mean())
    pr.axhline(prevalence, color=_GREY, linewidth=1, zorder=0)
    roc.plot([0, 1], [0, 1], color=_GREY, linewidth=1, zorder=0)
    reliability.plot([0, 1], [0, 1], color=_GREY, linewidth=1, zorder=0)
    for axes, title, x_label, y_label, place in (
        (roc, "ROC (AUROC)", "1 - specificity", "sensitivity", "lower right"),
        (pr, "Precision and recall (AUPRC)", "recall (sensitivity)", "precision", "best"),
        (
            reliability,
            "Reliability (calibration slope)",
            "predicted probability",
            "observed share with an opacity",
            "upper left",
        ),
    ):
        axes.set(xlabel=x_label, ylabel=y_label, xlim=(0, 1), ylim=(0, 1.01), aspect="equal")
        axes.set_title(title, fontsize=10, loc="left")
        axes.legend(frameon=False, fontsize=8, loc=place)
    _title(figure, evaluation)
    return figure


def confusion(evaluation: Evaluation) -> Any:
    """Draw the counts at each model's default operating point."""
    columns = min(4, len(evaluation.models))
    rows = -(-len(evaluation.models) // columns)
    figure, axes = new_figure(3.1 * columns, 3.2 * rows, rows, columns)
    for place in axes.ravel()[len(evaluation.models) :]:
        place.set_visible(False)
    for place, model in zip(axes.ravel(), evaluation.models, strict=False):
        counts = np.array(model.confusion(evaluation.targets)).reshape(2, 2)
        shares = counts / counts.sum(1, keepdims=True)
        place.imshow(shares, cmap="Blues", vmin=0, vmax=1)
        for row in range(2):
            for column in range(2):
                place.text(
                    column,
                    row,
                    f"{counts[row, column]}\n{shares[row, column]:.0%}",
                    ha="center",
                    va="center",
                    color="white" if shares[row, column] > 0.55 else "black",
                )
        place.set_xticks([0, 1], ["not suspected", "suspected"])
        place.set_yticks([0, 1], ["no opacity", "opacity"], rotation=90, va="center")
        place.tick_params(length=0)
        place.spines[:].set_visible(False)
        place.set_title(f"{model.label}, {model.card.default_operating_point}", fontsize=9)
    return figure


def decision(evaluation: Evaluation) -> Any:
    """Draw the net benefit over the threshold probability (Vickers and Elkin 2006)."""
    figure, ((axes,),) = new_figure(7, 4.4)
    targets = evaluation.targets
    prevalence = float(targets.mean())
    thresholds = np.linspace(0.01, 0.8, 159)
    odds = thresholds / (1 - thresholds)
    for number, model in enumerate(evaluation.models):
        benefit = net_benefit(model.probabilities, targets, thresholds)
        axes.plot(thresholds, benefit, color=colour(number), linewidth=1.6, label=model.label)
    everyone = prevalence - (1 - prevalence) * odds
    axes.plot(thresholds, everyone, color="0.45", linewidth=1, linestyle="--", label="mark all")
    axes.axhline(0, color="0.45", linewidth=1, label="mark none")
    top = max(prevalence, 0.05)
    axes.set(
        xlabel="threshold probability",
        ylabel="net benefit, true positives per radiograph",
        xlim=(0, 0.8),
        ylim=(-0.15 * top, 1.08 * top),
    )
    axes.legend(frameon=False, fontsize=8)
    return figure


def net_benefit(probabilities: Floats, targets: NDArray[np.integer], thresholds: Floats) -> Floats:
    """Weigh true against false positives at the threshold's odds, per image, float64 [T]."""
    called = probabilities[None] >= thresholds[:, None]
    hits = (called & (targets == 1)).mean(1)
    alarms = (called & (targets == 0)).mean(1)
    benefit: Floats = hits - alarms * thresholds / (1 - thresholds)
    return benefit


def pareto(evaluation: Evaluation) -> Any:
    """Draw AUROC against size and against latency; a line joins the Pareto-optimal models."""
    models = evaluation.models
    timed = all(model.latency for model in models)
    figure, axes = new_figure(11 if timed else 5.8, 4.4, 1, 2 if timed else 1)
    costs: list[tuple[str, list[float]]] = [
        ("file size, MB", [model.size / 1e6 for model in models])
    ]
    if timed:
        ratios = [model.latency.ratio[0] for model in models if model.latency]
        costs.append((f"latency, {models[0].label} = 1", ratios))
    low = min(model.metrics["auroc"][1] for model in models)
    high = max(model.metrics["auroc"][2] for model in models)
    for place, (name, values) in zip(axes.ravel(), costs, strict=True):
        quality = [model.metrics["auroc"][0] for model in models]
        front = pareto_front(values, quality)
        place.step(
            [values[i] for i in front],
            [quality[i] for i in front],
            where="post",
            color=_GREY,
            linewidth=1.4,
            zorder=0,
        )
        for number, model in enumerate(models):
            value, lower, upper = model.metrics["auroc"]
            place.errorbar(
                values[number],
                value,
                [[value - lower], [upper - value]],
                fmt="o",
                color=colour(number),
                # The area follows the size of the file.
                markersize=5 + 2.2 * np.sqrt(model.size / 1e6),
                elinewidth=1,
                label=f"{model.label}, {model.size / 1e6:.2f} MB",
                alpha=0.85,
            )
        place.margins(x=0.25)
        place.set(xlabel=name, ylabel="AUROC", ylim=(low - 0.01, high + 0.01))
        if max(values) < 3 * min(values):
            continue
        place.set_xscale("log")
        place.xaxis.set_major_formatter(lambda x, _: f"{x:g}")
        # Between the powers of ten, 2 and 5 are labelled if there is room.
        named = "25" if max(values) < 50 * min(values) else ""
        place.xaxis.set_minor_formatter(
            lambda x, _, named=named: f"{x:g}" if f"{x:.0e}"[0] in named else ""
        )
    axes.ravel()[-1].legend(
        frameon=False, fontsize=8, loc="upper left", bbox_to_anchor=(1.01, 1), markerscale=0.6
    )
    return figure


def pareto_front(costs: Sequence[float], quality: Sequence[float]) -> list[int]:
    """Find the Pareto-optimal models: indices by rising cost."""
    order = sorted(range(len(costs)), key=lambda i: (costs[i], -quality[i]))
    front: list[int] = []
    for index in order:
        if not front or quality[index] > quality[front[-1]]:
            front.append(index)
    return front


def groups(evaluation: Evaluation) -> Any:
    """Draw AUROC, sensitivity and specificity of every group, with intervals."""
    found = evaluation.models[0].groups
    count, models = len(found), evaluation.models
    figure, (axes,) = new_figure(12, 1.1 + count * (0.24 + 0.11 * len(models)), 1, 3)
    for number, model in enumerate(models):
        point = model.card.default_operating_point
        shift = 0.7 * ((number + 0.5) / len(models) - 0.5)
        columns = (
            [group.auroc for group in model.groups],
            [group.sensitivity[point] for group in model.groups],
            [group.specificity[point] for group in model.groups],
        )
        for place, values in zip(axes, columns, strict=True):
            for row, figure_ in enumerate(values):
                if figure_ is None or not np.isfinite(figure_).all():
                    continue
                value, low, high = figure_
                place.errorbar(
                    value,
                    row + shift,
                    xerr=[[value - low], [high - value]],
                    fmt="o",
                    color=colour(number),
                    markersize=3.5,
                    elinewidth=1.2,
                    label=model.label if row == 0 and place is axes[0] else None,
                )
    names = [f"{group.kind}: {group.name}  ({group.positive}/{group.images})" for group in found]
    for place, title in zip(axes, ("AUROC", "sensitivity", "specificity"), strict=True):
        place.set_yticks(range(count), names if place is axes[0] else [""] * count)
        place.set_ylim(count - 0.5, -0.5)
        place.set_title(title, fontsize=10, loc="left")
        place.grid(axis="x", color="#e6e9ed")
        place.set_axisbelow(True)
        for row in range(1, count):
            if found[row].kind != found[row - 1].kind:
                place.axhline(row - 0.5, color=_GREY, linewidth=0.8)
    handles = [
        _plt().Line2D([], [], marker="o", color=colour(number), label=model.label, linewidth=1.2)
        for number, model in enumerate(models)
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=4, frameon=False, fontsize=8)
    return figure


def robustness(evaluation: Evaluation) -> Any:
    """Draw the AUROC under each change."""
    models = [model for model in evaluation.models if model.robustness]
    if not models:
        return None
    kinds: dict[str, list[int]] = {}
    for number, result in enumerate(models[0].robustness):
        if result.change is not None:
            kinds.setdefault(result.change.kind, []).append(number)
    figure, (axes,) = new_figure(13, 3.4, 1, len(kinds))
    lowest = min(result.auroc[0] for model in models for result in model.robustness)
    highest = max(result.auroc[0] for model in models for result in model.robustness)
    for place, (kind, numbers) in zip(axes, kinds.items(), strict=True):
        for index, model in enumerate(models):
            shown = [model.robustness[number] for number in numbers]
            names = [f"{result.change.level:g}" for result in shown if result.change]
            place.plot(
                range(len(shown)),
                [result.auroc[0] for result in shown],
                "o-",
                color=colour(index),
                markersize=4,
                linewidth=1.4,
                label=model.label,
            )
            place.axhline(
                model.robustness[0].auroc[0], color=colour(index), linewidth=0.8, linestyle=":"
            )
            place.set_xticks(range(len(shown)), names)
        change = models[0].robustness[numbers[0]].change
        place.set_xlabel(change.unit if change else "")
        place.set_title(kind, fontsize=10, loc="left")
        place.set_ylim(lowest - 0.02, highest + 0.02)
        place.margins(x=0.15)
        if place is not axes[0]:
            place.tick_params(labelleft=False)
    axes[0].set_ylabel("AUROC (dotted: unchanged)")
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4, frameon=False, fontsize=8)
    return figure


def stress(evaluation: Evaluation) -> Any:
    """Draw the AUROC with each part greyed out."""
    if evaluation.shortcuts is None:
        return None
    results = evaluation.models[0].stress[1:]
    figure, ((axes,),) = new_figure(8, 1.2 + 0.5 * len(results), 1, 1)
    low, high = evaluation.shortcuts.view[1:]
    if math.isfinite(low):
        axes.axvspan(low, high, color="0.9", label="view alone")
    rows = np.arange(len(results))[::-1]
    width = 0.6 / len(evaluation.models)
    for index, model in enumerate(evaluation.models):
        shift = width * ((len(evaluation.models) - 1) / 2 - index)
        for row, result in zip(rows, model.stress[1:], strict=True):
            value, least, most = result.auroc
            axes.plot([least, most], [row + shift] * 2, color=colour(index), linewidth=1.4)
            axes.plot(value, row + shift, "o", color=colour(index), markersize=4)
        axes.plot([], [], "o-", color=colour(index), markersize=4, label=model.label)
        whole = model.stress[0].auroc[0]
        axes.axvline(whole, color=colour(index), linewidth=0.8, linestyle=":")
    axes.axvline(0.5, color="0.6", linewidth=0.8)
    names = [f"{result.change.name}" for result in results if result.change]
    axes.set_yticks(rows, names)
    axes.set_ylabel("greyed out")
    axes.set_xlabel("AUROC (dotted: nothing greyed out)")
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4, frameon=False, fontsize=8)
    return figure


def _title(figure: Any, evaluation: Evaluation) -> None:
    figure.suptitle(
        f"{len(evaluation.targets)} {evaluation.part} radiographs. {NOTICE}", fontsize=9
    )


PICTURES: Final[dict[str, Callable[[Evaluation], Any]]] = {
    "curves": curves,
    "confusion": confusion,
    "decision": decision,
    "pareto": pareto,
    "groups": groups,
    "robustness": robustness,
    "stress": stress,
}
