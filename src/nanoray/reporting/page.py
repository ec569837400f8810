"""Shared parts of NanoRay's pages: the templates, their filters, and the geometry of the charts.

A page requests nothing from the network and has no script (its Content-Security-Policy forbids
both). The page of `nanoray evaluate` has one script, which the policy allows by its hash.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from nanoray.detecting import heatmap
from nanoray.detecting.model_file import NOTICE
from nanoray.files import printable
from nanoray.version import __version__

if TYPE_CHECKING:
    from nanoray.detecting.detector import Detector

BINS: Final = 25
"""Of the histograms."""

_WIDTH, _HEIGHT = 500, 110


@cache
def templates() -> Environment:
    """Open the templates; values are escaped and made printable."""
    environment = Environment(
        loader=PackageLoader("nanoray.reporting"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_printable,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"percent": percent, "interval": interval, "plural": plural}
    environment.globals |= {"version": __version__, "notice": NOTICE}
    return environment


def _printable(value: Any) -> Any:
    return printable(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def style(*names: str) -> Markup:
    """Join style sheets of the templates, with the colour of heat maps for the legend."""
    colour = "rgb({} {} {})".format(*heatmap.COLOUR)
    loader = templates().loader
    assert loader is not None
    sheets = [loader.get_source(templates(), name)[0] for name in names]
    # A trusted constant.
    return Markup("\n".join(sheets).replace("LEGEND", colour))


def percent(value: float) -> str:
    """Write a share as a percentage."""
    return f"{100.0 * value:.1f}\u202f%"


def interval(ends: tuple[float, float]) -> str:
    """Write two shares as a range of percentages."""
    low, high = ends
    return f"{100.0 * low:.1f} to {100.0 * high:.1f}"


def plural(noun: str, count: int) -> str:
    """Add an s to a noun unless the number is one."""
    return noun if count == 1 else noun + "s"


@dataclass(frozen=True, slots=True)
class Bar:
    """A bar of a histogram in drawing units; `side`: below or above the threshold of its view."""

    side: str
    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True, slots=True)
class Histogram:
    """Probabilities in equal bins, drawn.

    Attributes:
        cuts: label and value of each threshold.
        outline: corners of the reference's steps; empty without a reference.
    """

    count: int
    cuts: tuple[tuple[str, float], ...]
    bars: tuple[Bar, ...]
    outline: str = ""
    width: int = _WIDTH
    height: int = _HEIGHT


def thresholds(detector: Detector) -> list[tuple[str, float]]:
    """Return label and value of a detector's thresholds: one for each view, or a single one."""
    point = detector.operating_point
    if point is None or not detector.card.views:
        return [("threshold", detector.threshold)]
    return [(str(v.view), v.operating_point(point.name).threshold) for v in detector.card.views]


def histogram(
    below: Sequence[int],
    above: Sequence[int],
    cuts: Sequence[tuple[str, float]],
    reference: Sequence[float] | None = None,
) -> Histogram:
    """Draw the numbers of probabilities below and above their thresholds in equal bins.

    Args:
        cuts: of `thresholds`.
        reference: shares of other radiographs in the bins, drawn as an outline.
    """
    total = sum(below) + sum(above)
    step = _WIDTH / len(below)
    outline = [total * share for share in reference or ()]
    tallest = max(low + high for low, high in zip(below, above, strict=True))
    scale = _HEIGHT / max(tallest, *outline, 1)
    bars = []
    for index, counts in enumerate(zip(below, above, strict=True)):
        base = float(_HEIGHT)
        for side, count in zip(("below", "above"), counts, strict=True):
            if count:
                # A single radiograph among thousands remains visible.
                tall = max(3.0, scale * count)
                base -= tall
                bars.append(Bar(side, index * step + 1, base, step - 2, tall))
    return Histogram(total, tuple(cuts), tuple(bars), _steps(outline, step, scale))


def _steps(outline: Sequence[float], step: float, scale: float) -> str:
    if not outline:
        return ""
    corners = [f"0,{_HEIGHT}"]
    for index, value in enumerate(outline):
        y = _HEIGHT - scale * value
        corners += [f"{index * step:.1f},{y:.1f}", f"{(index + 1) * step:.1f},{y:.1f}"]
    corners.append(f"{len(outline) * step:.1f},{_HEIGHT}")
    return " ".join(corners)


@dataclass(frozen=True, slots=True)
class Curves:
    """Two cumulative distributions, drawn: the corners of their lines, and the ends of the axis."""

    title: str
    old: str
    new: str
    low: float
    high: float
    width: int = _WIDTH
    height: int = _HEIGHT


def curves(
    title: str, old: Sequence[float], new: Sequence[float], levels: Sequence[float]
) -> Curves:
    """Draw two cumulative distributions from their quantiles at `levels`."""
    low, high = min(old[0], new[0]), max(old[-1], new[-1])
    scale = _WIDTH / ((high - low) or 1.0)

    def corners(quantiles: Sequence[float]) -> str:
        return " ".join(
            f"{(value - low) * scale:.1f},{_HEIGHT - level * _HEIGHT:.1f}"
            for value, level in zip(quantiles, levels, strict=True)
        )

    return Curves(title, corners(old), corners(new), low, high)
