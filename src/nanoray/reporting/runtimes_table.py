"""The benchmark of runtimes as a Markdown table and a picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from nanoray.detecting.model_file import NOTICE
from nanoray.exporting.benchmark import DECISION_BAR, LOGIT_BAR, Row

_GOOD, _OTHER = "#0072b2", "#d55e00"


def markdown(rows: Sequence[Row], about: str) -> str:
    """Return the table, with the text `about` above it."""
    labelled = any(row.auroc is not None for row in rows)
    heads = ["runtime", "MB", "time by the first", "ms", "peak MB"]
    heads += ["largest difference of logits", "mean", "equal decisions", "equal"]
    heads += ["AUROC"] if labelled else []
    lines = [about, "", f"| {' | '.join(heads)} |", f"| --- |{' ---: |' * (len(heads) - 1)}"]
    for row in rows:
        middle, low, high = row.ratio
        cells = [
            f"{row.name} {row.version}".strip(),
            f"{row.size / 1e6:.2f}",
            f"{middle:.2f} ({low:.2f} to {high:.2f})",
            f"{row.milliseconds:.2f}",
            "" if row.peak is None else f"{row.peak / 1e6:.0f}",
            f"{row.largest:.1e}",
            f"{row.mean:.1e}",
            f"{100 * row.equal:.1f} %",
            "yes" if row.passes else "no",
        ]
        if labelled:
            cells.append("" if row.auroc is None else f"{row.auroc:.4f}")
        lines.append(f"| {' | '.join(cells)} |")
    lines += [
        "",
        f"Equal: logits within {LOGIT_BAR} and at least {100 * DECISION_BAR:.1f} % equal "
        "decisions. Peak memory is that of a process with Python and the runtime.",
    ]
    return "\n".join(lines) + "\n"


def draw(rows: Sequence[Row], path: Path) -> None:
    """Draw time, peak memory and difference of every runtime as a PNG."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    names = [row.name for row in rows]
    with plt.rc_context({"font.size": 9}):
        figure, axes = plt.subplots(
            1, 3, figsize=(11, 0.9 + 0.4 * len(rows)), layout="constrained", sharey=True
        )
        colours = [_GOOD if row.passes else _OTHER for row in rows]
        ratios = [row.ratio for row in rows]
        errors = [[m - low for m, low, _ in ratios], [high - m for m, _, high in ratios]]
        axes[0].barh(names, [ratio[0] for ratio in ratios], xerr=errors, color=colours)
        axes[0].axvline(1, color="black", linewidth=0.8)
        axes[0].set_xlabel("time, the model file in ONNX Runtime = 1")
        axes[1].barh(names, [(row.peak or 0) / 1e6 for row in rows], color=colours)
        axes[1].set_xlabel("peak memory of the process, MB")
        # A logarithmic axis cannot show a difference of 0.
        axes[2].barh(names, [max(row.largest, 1e-7) for row in rows], color=colours)
        axes[2].set_xscale("log")
        axes[2].axvline(LOGIT_BAR, color="black", linewidth=0.8, linestyle="--")
        axes[2].set_xlabel(f"largest difference of logits (dashed: {LOGIT_BAR})")
        for one in axes:
            one.spines[["top", "right"]].set_visible(False)
        axes[0].invert_yaxis()
        figure.savefig(path, dpi=130, metadata={"Comment": NOTICE})
        plt.close(figure)
