"""Thresholds by view and guarantees as tables and a picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from nanoray.detecting.guarantee import ANY_VIEW
from nanoray.detecting.model_file import NOTICE
from nanoray.detecting.views import VIEWS
from nanoray.evaluating.conformal import Coverage
from nanoray.evaluating.resampling import Interval
from nanoray.exporting.guarantee import GuaranteeFit
from nanoray.files import written_whole

_NAMES = {ANY_VIEW: "all", "AP": "AP", "PA": "PA"}


def markdown(found: GuaranteeFit) -> str:
    """Write all tables, with an explanation of each."""
    fit, card = found.fit, found.fit.card
    mix = f", weighted to {found.population}" if found.population else ""
    parts = [
        f"{found.images} radiographs of {found.patients} patients, {found.positive} with an "
        f"opacity, scored by networks that were trained without their patients. Intervals (95 %) "
        f"draw patients. Median score {found.scored_median:.2f}; median logit of the model file "
        f"on the same images {found.own_median:.2f}.",
        "## Operating points by view",
        "A name has the same sensitivity in each view. Before: one calibration and one threshold "
        "for all views.",
        _points_table(found),
        f"AUROC of the logits: {_areas(found)}; of the probabilities calibrated by view, "
        f"all views together: {_interval(fit.areas['calibrated'])}.",
    ]
    if not card.guarantees:
        parts += ["## Guarantees", "No guarantee: too few patients with an opacity."]
    else:
        parts += [
            "## Guarantees",
            "With 95 % confidence, at most the share *level* of patients with an opacity is called "
            f"clear. Decided: called clear, or suspected at "
            f"*{card.default_operating_point}*{mix}; the rest is unsure.",
            _guarantee_table(found),
        ]
    if fit.coverage:
        parts += [
            "## Coverage",
            "Everything is calibrated anew on one half of the patients and measured on the other. "
            "Held: share of the re-splits in which the share missed in the other half is at most "
            "the level. A small half varies by chance, so a view with few opacities is below 95 % "
            "at times. *One threshold* leaves the views out of account.",
            _coverage_table(found),
        ]
    if found.gaps:
        parts += [
            "## Gaps between groups",
            f"At *{card.default_operating_point}*: the groups with the greatest and the least "
            "value. Within the bound: the whole interval is; beyond: none of it is.",
            _gaps_table(found),
        ]
    return "\n\n".join(parts) + "\n"


def _gaps_table(found: GuaranteeFit) -> str:
    rows = [["groups", "figure", "greatest", "least", "gap", "bound", "verdict"]]
    for gap in found.gaps:
        rows.append(
            [
                gap.kind,
                gap.measure,
                f"{gap.high} {gap.values[0]:.3f}",
                f"{gap.low} {gap.values[1]:.3f}",
                _interval(gap.gap),
                f"{gap.bound:g}",
                gap.verdict,
            ]
        )
    return _table(rows)


def _points_table(found: GuaranteeFit) -> str:
    fit = found.fit
    rows = [
        ["operating point", "view", "threshold", "sensitivity", "before", "specificity", "before"]
    ]
    for point in fit.sensitivity:
        for view in (ANY_VIEW, *VIEWS):
            if view not in fit.sensitivity[point]:
                continue
            threshold = "by view"
            if view != ANY_VIEW or not fit.card.views:
                calibration = fit.card.calibration(None if view == ANY_VIEW else view)
                threshold = f"{calibration.operating_point(point).threshold:.3f}"
            rows.append(
                [
                    point,
                    _NAMES[view],
                    threshold,
                    _percent(fit.sensitivity[point][view]),
                    f"{100 * fit.before[0][point][view][0]:.1f} %",
                    _percent(fit.specificity[point][view]),
                    f"{100 * fit.before[1][point][view][0]:.1f} %",
                ]
            )
    return _table(rows)


def _guarantee_table(found: GuaranteeFit) -> str:
    rows = [["level", "view", "clear below", "missed", "decided", "patients"]]
    for guarantee in found.fit.card.guarantees:
        for view in guarantee.missed:
            below = "by view" if view == ANY_VIEW else f"{guarantee.threshold(view):.3f}"
            rows.append(
                [
                    f"{100 * guarantee.level:g} %",
                    _NAMES[view],
                    below,
                    _percent(guarantee.missed[view]),
                    f"{100 * guarantee.decided[view]:.1f} %",
                    str(guarantee.patients) if view == ANY_VIEW else "",
                ]
            )
    return _table(rows)


def _coverage_table(found: GuaranteeFit) -> str:
    rows = [["level", "rule", "view", "held", "missed (95 % of the re-splits)", "decided"]]
    for level in found.fit.coverage:
        for rule, coverage in (
            ("by view", found.fit.coverage[level]),
            ("one threshold", found.fit.coverage_any[level]),
        ):
            rows += [_coverage_row(level, rule, one) for one in coverage]
    return _table(rows)


def _coverage_row(level: float, rule: str, one: Coverage) -> list[str]:
    if not np.isfinite(one.held):
        words = "refused: half of the patients are too few"
        return [f"{100 * level:g} %", rule, _NAMES[one.name], words, "", ""]
    return [
        f"{100 * level:g} %",
        rule,
        _NAMES[one.name],
        f"{100 * one.held:.1f} %",
        _percent(one.missed),
        f"{100 * one.decided:.1f} %",
    ]


def _areas(found: GuaranteeFit) -> str:
    return ", ".join(
        f"{_NAMES[name]} {_interval(area)}"
        for name, area in found.fit.areas.items()
        if name in _NAMES
    )


def _interval(values: Interval) -> str:
    value, low, high = (f"{part:.3f}" for part in values)
    return f"{value} ({low} to {high})"


def _percent(values: Interval) -> str:
    value, low, high = (f"{100 * part:.1f}" for part in values)
    return f"{value} % ({low} to {high})"


def _table(rows: Sequence[Sequence[str]]) -> str:
    head, *body = rows
    lines = [head, ["---"] * len(head), *body]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def write_guarantee(found: GuaranteeFit, folder: Path) -> list[Path]:
    """Write `guarantee.md` and `guarantee.png` to a folder, and return their paths."""
    table, picture = folder / "guarantee.md", folder / "guarantee.png"
    with written_whole(table, encoding="utf-8") as stream:
        stream.write(f"# Thresholds by view and guarantees\n\n{markdown(found)}\n{NOTICE}\n")
    _draw(found, picture)
    return [table, picture]


def _draw(found: GuaranteeFit, path: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    fit, scored = found.fit, found.scored
    known: list[str] = [view for view in VIEWS if view in fit.sensitivity["balanced"]]
    views = known or [ANY_VIEW]
    figure, axes = plt.subplots(1, len(views), figsize=(5.4 * len(views), 3.6), sharey=True)
    for axis, view in zip(np.atleast_1d(axes), views, strict=True):
        calibration = fit.card.calibration(None if view == ANY_VIEW else view)
        members = scored.members(view) if view != ANY_VIEW else np.ones(len(scored.targets), bool)
        logits = scored.logits[members] + fit.shift
        targets = scored.targets[members]
        bins = np.linspace(logits.min(), logits.max(), 36)
        for target, colour, label in ((0, "#0072b2", "no opacity"), (1, "#d55e00", "opacity")):
            axis.hist(
                logits[targets == target],
                bins,
                density=True,
                histtype="stepfilled",
                alpha=0.45,
                color=colour,
                label=f"{label} ({(targets == target).sum()})",
            )

        def logit(probability: float) -> float:
            value = np.log(probability / (1 - probability))
            return float(value * calibration.temperature - calibration.shift)  # noqa: B023

        point = calibration.operating_point(fit.card.default_operating_point)
        axis.axvline(logit(point.threshold), color="#d55e00", lw=1.5)
        axis.annotate(
            " suspected",
            (logit(point.threshold), 0.98),
            xycoords=("data", "axes fraction"),
            va="top",
            fontsize=8,
        )
        for guarantee in fit.card.guarantees:
            below = logit(guarantee.clear_below.get(view, guarantee.clear_below[ANY_VIEW]))
            axis.axvline(below, color="#0072b2", lw=1, ls="--")
            axis.annotate(
                f"clear {100 * guarantee.level:g} % ",
                (below, 0.9),
                xycoords=("data", "axes fraction"),
                ha="right",
                rotation=90,
                va="top",
                fontsize=8,
            )
        axis.set_title("all views" if view == ANY_VIEW else view)
        axis.set_xlabel("logit (held out)")
        axis.legend(fontsize=8, loc="upper right")
    figure.tight_layout()
    figure.savefig(path, dpi=130, metadata={"Comment": NOTICE})
    plt.close(figure)
