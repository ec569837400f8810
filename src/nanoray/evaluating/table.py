"""The results table and its picture."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nanoray.detecting.modelfile import NOTICE, ModelCard
from nanoray.evaluating.metrics import Interval


@dataclass(frozen=True, slots=True)
class Row:
    """One model on the test images.

    Attributes:
        label: what the table calls the model.
        size: bytes on disk.
        metrics: name to (value, low, high), see `nanoray.evaluating.metrics.measure`.
        refused: share of the test radiographs on which the detector abstains.
        probabilities: calibrated, float64 [N], of every test image.
    """

    label: str
    card: ModelCard
    size: int
    metrics: dict[str, Interval]
    refused: float
    probabilities: NDArray[np.floating]


def markdown(rows: Sequence[Row], targets: NDArray[np.integer], patients: int) -> str:
    """The table in Markdown, every figure with its 95 % interval."""
    count, positive = len(targets), int(targets.sum())
    lines = [
        f"{count} radiographs of {patients} patients, {positive} with an opacity "
        f"({positive / count:.1%}); 95 % bootstrap intervals over patients. "
        f"Always answering no would be {1 - positive / count:.1%} accurate.",
        "",
        "| model | size | AUROC | accuracy | sensitivity | specificity | ECE |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for row in rows:
        cells = [row.label, f"{row.size / 1e6:.2f} MB", _cell(row.metrics["auroc"], 3)]
        cells += [
            _cell(row.metrics[f"balanced {name}"], 1, percent=True)
            for name in ("accuracy", "sensitivity", "specificity")
        ]
        lines.append("| " + " | ".join([*cells, _cell(row.metrics["ece"], 3)]) + " |")
    lines += [
        "",
        "Accuracy, sensitivity and specificity at the operating point *balanced*. "
        "All operating points (thresholds chosen on validation):",
        "",
        "| model | operating point | threshold | sensitivity | specificity | accuracy |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for row in rows:
        for point in row.card.operating_points:
            cells = [row.label, point.name, f"{point.threshold:.3f}"]
            cells += [
                _cell(row.metrics[f"{point.name} {name}"], 1, percent=True)
                for name in ("sensitivity", "specificity", "accuracy")
            ]
            lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _cell(interval: Interval, digits: int, *, percent: bool = False) -> str:
    if percent:
        value, low, high = (f"{100 * x:.{digits}f}" for x in interval)
        return f"{value} % ({low} to {high})"
    value, low, high = (f"{x:.{digits}f}" for x in interval)
    return f"{value} ({low} to {high})"


def save_results(rows: Sequence[Row], targets: NDArray[np.integer], path: Path) -> None:
    """All figures as JSON."""
    document = {
        "notice": NOTICE,
        "images": len(targets),
        "positive": int(targets.sum()),
        "models": [
            {
                "label": row.label,
                "bytes": row.size,
                "refused": row.refused,
                "metrics": row.metrics,
                "operating_points": [asdict(point) for point in row.card.operating_points],
            }
            for row in rows
        ],
    }
    path.write_text(json.dumps(document, indent=1) + "\n")


def draw(rows: Sequence[Row], targets: NDArray[np.integer], path: Path) -> None:
    """ROC and reliability curves of all models as one picture."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt
    from sklearn.calibration import calibration_curve
    from sklearn.metrics import roc_curve

    figure, (roc, reliability) = plt.subplots(1, 2, figsize=(10, 4.8), layout="constrained")
    for row in rows:
        false_positive, true_positive, _ = roc_curve(targets, row.probabilities)
        label = f"{row.label}  AUROC {row.metrics['auroc'][0]:.3f}"
        (line,) = roc.plot(false_positive, true_positive, label=label, linewidth=1.6)
        observed, predicted = calibration_curve(
            targets, row.probabilities, n_bins=8, strategy="quantile"
        )
        reliability.plot(predicted, observed, "o-", color=line.get_color(), markersize=4)
    last = rows[-1]
    for point in last.card.operating_points:
        called = last.probabilities >= point.threshold
        x, y = called[targets == 0].mean(), called[targets == 1].mean()
        roc.plot(x, y, "k.", markersize=9)
        roc.annotate(point.name, (x, y), (6, -10), textcoords="offset points", fontsize=9)
    for axes, x, y in (
        (roc, "1 - specificity", "sensitivity"),
        (reliability, "predicted probability", "observed share with an opacity"),
    ):
        axes.plot([0, 1], [0, 1], color="0.8", linewidth=1, zorder=0)
        axes.set(xlabel=x, ylabel=y, xlim=(0, 1), ylim=(0, 1.01), aspect="equal")
        axes.spines[["top", "right"]].set_visible(False)
    roc.legend(frameon=False, fontsize=9, loc="lower right")
    figure.suptitle(f"{len(targets)} test radiographs. {NOTICE}", fontsize=9)
    figure.savefig(path, dpi=130)
    plt.close(figure)
