"""What NanoRay's pages share: head and foot, the histogram of probabilities, the model card.

A page holds no script and asks the network for nothing (its Content-Security-Policy forbids both).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from html import escape
from importlib.resources import files
from typing import Final

import numpy as np

from nanoray.detecting import heatmap
from nanoray.detecting.detector import Detector
from nanoray.detecting.guarantee import Guarantee
from nanoray.detecting.model_file import NOTICE, ModelCard
from nanoray.detecting.operating_point import OperatingPoint
from nanoray.files import printable
from nanoray.version import __version__

BINS: Final = 25
"""Of the histograms."""

_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; form-action 'none'"
_MARK = (
    '<svg width="22" height="22" viewBox="0 0 22 22" aria-hidden="true">'
    '<rect x="1" y="1" width="20" height="20" rx="5" fill="none" stroke="currentColor" '
    'stroke-width="1.6"/><path d="M11 5v12M11 8c-3-2-6 1-6 5 0 3 4 4 6 1m0-6c3-2 6 1 6 5 0 3-4 4-6 '
    '1" fill="none" stroke="currentColor" stroke-width="1.4" stroke-linecap="round"/></svg>'
)


def text(value: object) -> str:
    """A value as HTML text in which nothing is markup."""
    return escape(printable(str(value)), quote=True)


def percent(value: float) -> str:
    """A share as a percentage."""
    return f"{100.0 * value:.1f}\u202f%"


def interval(low: float, high: float) -> str:
    """Two shares as a range of percentages."""
    return f"{100.0 * low:.1f} to {100.0 * high:.1f}"


def run_words(card: ModelCard, count: int, when: datetime) -> str:
    """How many files, when and by which model."""
    return (
        f"{count:,} {plural(count, 'file')}, {when:%d %B %Y, %H:%M}. Model "
        f"{text(card.name)} {text(card.version)}."
    )


def head(title: str, words: str) -> str:
    """Everything down to the notice; `words` in HTML say what the page is about."""
    legend = ", ".join(
        f"rgb({red} {green} {blue})"
        for red, green, blue in heatmap.colours(np.linspace(0, 1, 9, dtype=np.float32)).tolist()
    )
    css = (
        (files("nanoray.reporting") / "prediction_report.css")
        .read_text("utf-8")
        .replace("LEGEND", legend)
    )
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{_POLICY}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<meta name="generator" content="NanoRay {__version__}">
<title>NanoRay {title[0].lower()}{title[1:]}</title>
<style>
{css}</style>
</head>
<body>
<a class="skip" href="#results">Skip to the results</a>
<header class="wrap head">
<p class="brand">{_MARK} NanoRay</p>
<h1>{title}</h1>
<p class="muted">{words}</p>
<p class="notice" role="note"><strong>{text(NOTICE)}</strong></p>
</header>
"""


def plural(count: int, noun: str) -> str:
    """The noun, with an s unless there is one of it."""
    return noun if count == 1 else noun + "s"


def decision(detector: Detector) -> str:
    """The threshold in words, and what it gave on the validation images."""
    point = detector.operating_point
    target = text(detector.card.target)
    if detector.guarantee is not None:
        return _threshold_words(detector, point, target) + _guarantee_words(detector.guarantee)
    return _threshold_words(detector, point, target)


def _guarantee_words(guarantee: Guarantee) -> str:
    return (
        f"<p>Below it, a radiograph is called clear only where the guarantee allows it: with "
        f"{percent(guarantee.confidence)} confidence, at most {percent(guarantee.level)} of "
        "patients with an opacity are called clear. All others are <strong>unsure</strong>. The "
        f"guarantee comes from {guarantee.patients} patients with an opacity and holds for "
        "radiographs like theirs.</p>"
    )


def _threshold_words(detector: Detector, point: OperatingPoint | None, target: str) -> str:
    if point is None:
        return (
            f"<p>A radiograph is marked where the probability of {target} is at least "
            f'<strong class="number">{detector.threshold:.3f}</strong>, a threshold chosen for '
            "this run. Its sensitivity and specificity were not measured; the model card below "
            "has operating points for which they were.</p>"
        )
    if detector.card.views:
        return _by_view_words(detector, point, target)
    caught, alarms = round(100 * point.sensitivity), round(100 * (1 - point.specificity))
    return (
        f"<p>A radiograph is marked where the probability of {target} is at least "
        f'<strong class="number">{point.threshold:.3f}</strong>, the operating point '
        f"<strong>{text(point.name)}</strong>. On the model's validation images this had a "
        f"sensitivity of <strong>{percent(point.sensitivity)}</strong> (95 % interval "
        f"{interval(*point.sensitivity_interval)}) and a specificity of "
        f"<strong>{percent(point.specificity)}</strong> "
        f"({interval(*point.specificity_interval)}).</p>"
        f'<p class="muted small">In words: of 100 radiographs with an opacity about {caught} were '
        f"marked, and of 100 without about {alarms} were marked too. Other hospitals, devices and "
        "patients give other numbers.</p>"
    )


def _by_view_words(detector: Detector, point: OperatingPoint, target: str) -> str:
    parts = []
    for calibration in detector.card.views:
        own = calibration.operating_point(point.name)
        parts.append(
            f"<li>{calibration.view}: at least "
            f'<strong class="number">{own.threshold:.3f}</strong>; '
            f"sensitivity <strong>{percent(own.sensitivity)}</strong> "
            f"({interval(*own.sensitivity_interval)}), specificity "
            f"<strong>{percent(own.specificity)}</strong> "
            f"({interval(*own.specificity_interval)})</li>"
        )
    return (
        f"<p>A radiograph is marked where the probability of {target} reaches the threshold of its "
        f"view at the operating point <strong>{text(point.name)}</strong>:</p>"
        f"<ul>{''.join(parts)}</ul>"
        f'<p class="muted small">Where the view is unknown: at least {point.threshold:.3f}. Other '
        "hospitals, devices and patients give other numbers.</p>"
    )


def histogram(
    below: Sequence[int],
    above: Sequence[int],
    threshold: float,
    reference: Sequence[float] | None = None,
) -> str:
    """Bars of how many probabilities below and above the threshold are in each of equal bins.

    Args:
        reference: shares of other radiographs in the bins, drawn as an outline.
    """
    count = sum(below) + sum(above)
    if not count:
        return '<p class="muted">No radiograph was given a probability.</p>'
    bins, width, height = len(below), 500, 110
    step = width / bins
    outline = [count * share for share in reference or ()]
    tallest = max(low + high for low, high in zip(below, above, strict=True))
    scale = height / max(tallest, *outline, 1)
    bars = []
    for index, counts in enumerate(zip(below, above, strict=True)):
        base = float(height)
        for side, count in zip(("below", "above"), counts, strict=True):
            if count:
                # A single radiograph among thousands is still seen.
                tall = max(3.0, scale * count)
                base -= tall
                bars.append(
                    f'<rect class="{side}" x="{index * step + 1:.1f}" y="{base:.1f}" '
                    f'width="{step - 2:.1f}" height="{tall:.1f}"/>'
                )
    cut = threshold * width
    anchor, shift = ("end", -5) if threshold > 0.6 else ("start", 5)
    return (
        f'<svg class="histogram" viewBox="-4 -14 {width + 8} {height + 34}" role="img" '
        f'aria-label="Histogram of the probability of {count} '
        f'{plural(count, "radiograph")}">'
        + "".join(bars)
        + _steps(outline, step, scale, height)
        + f'<line class="axis" x1="0" y1="{height}" x2="{width}" y2="{height}"/>'
        f'<line class="cut" x1="{cut:.1f}" y1="-10" x2="{cut:.1f}" y2="{height}"/>'
        f'<text x="{cut + shift:.1f}" y="-3" text-anchor="{anchor}">threshold '
        f"{threshold:.2f}</text>"
        f'<text x="0" y="{height + 15}">0</text>'
        f'<text x="{width / 2}" y="{height + 15}" text-anchor="middle">probability</text>'
        f'<text x="{width}" y="{height + 15}" text-anchor="end">1</text></svg>'
    )


def _steps(outline: Sequence[float], step: float, scale: float, height: int) -> str:
    if not outline:
        return ""
    corners = [f"0,{height}"]
    for index, value in enumerate(outline):
        y = height - scale * value
        corners += [f"{index * step:.1f},{y:.1f}", f"{(index + 1) * step:.1f},{y:.1f}"]
    corners.append(f"{len(outline) * step:.1f},{height}")
    return f'<polyline class="outline" points="{" ".join(corners)}"/>'


def curves(old: Sequence[float], new: Sequence[float], levels: Sequence[float]) -> str:
    """Two cumulative distributions from their quantiles at `levels`: old dashed, new solid."""
    width, height = 500, 110
    low, high = min(old[0], new[0]), max(old[-1], new[-1])
    scale = width / ((high - low) or 1.0)

    def line(quantiles: Sequence[float], kind: str) -> str:
        corners = " ".join(
            f"{(value - low) * scale:.1f},{height - level * height:.1f}"
            for value, level in zip(quantiles, levels, strict=True)
        )
        return f'<polyline class="outline {kind}" points="{corners}"/>'

    return (
        f'<svg class="histogram" viewBox="-4 -6 {width + 8} {height + 26}" role="img" '
        'aria-label="Two cumulative distributions">'
        f'<line class="axis" x1="0" y1="{height}" x2="{width}" y2="{height}"/>'
        f"{line(old, 'dashed')}{line(new, 'solid')}"
        f'<text x="0" y="{height + 15}">{low:.3g}</text>'
        f'<text x="{width}" y="{height + 15}" text-anchor="end">{high:.3g}</text></svg>'
    )


def _point_row(point: OperatingPoint, used: bool) -> str:
    return (
        f'<tr{" class=used" if used else ""}><th scope="row">{text(point.name)}</th>'
        f'<td class="number">{point.threshold:.3f}</td>'
        f'<td class="number">{percent(point.sensitivity)} '
        f'<span class="muted">({interval(*point.sensitivity_interval)})</span></td>'
        f'<td class="number">{percent(point.specificity)} '
        f'<span class="muted">({interval(*point.specificity_interval)})</span></td></tr>'
    )


def model_card(detector: Detector) -> str:
    """What the model file says of itself, as the last section."""
    card = detector.card
    pairs = "".join(
        f"<dt>{label}</dt><dd>{text(value)}</dd>"
        for label, value in (
            ("Model", f"{card.name} {card.version}"),
            ("Date", card.date),
            ("Looks for", card.target),
            ("Network", f"{card.architecture}, {card.precision}"),
            ("Input", f"{card.input_size} × {card.input_size} pixels"),
            ("Trained on", card.training_data),
            ("Abstains above", f"novelty {card.novelty_limit:.4g}"),
            ("Licence", card.licence),
            ("NanoRay", __version__),
        )
    )
    points = "".join(
        _point_row(point, point == detector.operating_point) for point in card.operating_points
    )
    metrics = "".join(
        f'<tr><th scope="row">{text(name)}</th><td class="number">{value:.3f} '
        f'<span class="muted">({low:.3f} to {high:.3f})</span></td></tr>'
        for name, (value, low, high) in card.metrics.items()
    )
    tests = (
        '<div class="panel half scroll"><h2>On its test images</h2><table><thead><tr>'
        '<th scope="col">Metric</th><th scope="col">Value (95 % interval)</th></tr></thead>'
        f"<tbody>{metrics}</tbody></table></div>"
        if metrics
        else ""
    )
    return (
        "<section><h2>Model card</h2>"
        '<p class="muted small">What the model file says of itself.</p>'
        f'<div class="modelcard"><div class="panel half"><h2>The model</h2>'
        f'<dl class="pairs">{pairs}</dl></div>'
        '<div class="panel half scroll"><h2>Operating points</h2><table><thead><tr>'
        '<th scope="col">Name</th><th scope="col">Threshold</th>'
        '<th scope="col">Sensitivity (95 %)</th><th scope="col">Specificity (95 %)</th></tr>'
        f"</thead><tbody>{points}</tbody></table></div>{tests}</div></section>"
    )


def foot(holds: str = "pictures of radiographs and the names of their files") -> str:
    """The end of the page; `holds` says what makes it confidential."""
    return (
        f'<footer class="wrap"><p><strong>{text(NOTICE)}</strong></p>'
        "<p>This page is complete in itself: it runs no script and loads nothing from a network. "
        f"It holds {holds}; keep it as you keep "
        "those.</p></footer>\n</body>\n</html>\n"
    )
