"""Flow of images through a preparation: listed, excluded by reason, by part and class.

CLAIM 2024 and STARD ask for such a diagram. The counts are also written as JSON.
"""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TypedDict
from xml.sax.saxutils import escape

from nanoray.datasets.sources import Source
from nanoray.datasets.splits import PARTS

NO_PART = "in no part"


class Group(TypedDict):
    """Images and patients of a part, and images by class, the largest class first."""

    images: int
    patients: int
    classes: dict[str, int]


class Flow(TypedDict):
    """Counts of a preparation.

    Attributes:
        listed, listed_patients: images and patients of the original data set.
        excluded: images that were left out, by reason, the most frequent reason first.
        kept: the data set.
        parts: train, validation, test, and the images in no part; empty ones are omitted.
    """

    listed: int
    listed_patients: int
    excluded: dict[str, int]
    kept: Group
    parts: dict[str, Group]


def count_flow(
    kept: Sequence[Source], excluded: Sequence[tuple[Source, str]], parts: Mapping[str, str]
) -> Flow:
    """Count the images of a preparation.

    Args:
        excluded: with the reason.
        parts: name of an image to its part, for images in a part.
    """
    by_part: dict[str, list[Source]] = {part: [] for part in (*PARTS, NO_PART)}
    for source in kept:
        by_part[parts.get(source.name, NO_PART)].append(source)
    reasons = Counter(reason for _, reason in excluded)
    patients = {source.patient for source in kept} | {source.patient for source, _ in excluded}
    return {
        "listed": len(kept) + len(excluded),
        "listed_patients": len(patients),
        "excluded": dict(reasons.most_common()),
        "kept": _group(kept),
        "parts": {part: _group(group) for part, group in by_part.items() if group},
    }


def _group(sources: Sequence[Source]) -> Group:
    classes = Counter(source.class_name or "no class" for source in sources)
    return {
        "images": len(sources),
        "patients": len({source.patient for source in sources}),
        "classes": dict(classes.most_common()),
    }


# In pixels. A character of the 13 px font is 7 wide on average.
_WIDTH, _MARGIN, _GAP, _LINE, _PAD, _CHARACTER = 1000, 20, 40, 18, 10, 7.0
# Reasons and classes that a box lists; flow.json has all.
_LISTED = 6


def draw_flow(flow: Flow) -> str:
    """Draw a flow diagram of images as SVG: listed, excluded, kept, parts."""
    half = (_WIDTH - 2 * _MARGIN - _GAP) // 2
    middle = _MARGIN + half // 2
    drawn: list[str] = []
    lines = ["Listed", _size(flow["listed"], flow["listed_patients"])]
    bottom = _box(drawn, _MARGIN, _MARGIN, half, lines)
    left_out = sum(flow["excluded"].values())
    if left_out:
        lines = [f"Excluded: {_images(left_out)}", *_list(flow["excluded"])]
        across = _MARGIN + half + _GAP
        level = bottom + _GAP // 2 + _PAD
        lower = _box(drawn, across, bottom + _GAP // 2, half, lines)
        _arrow(drawn, (middle, level), (across, level))
    else:
        lower = bottom
    kept = flow["kept"]
    top = lower + _GAP // 2 if left_out else bottom + _GAP
    _arrow(drawn, (middle, bottom), (middle, top))
    lines = ["Prepared data set", _size(kept["images"], kept["patients"])]
    bottom = _box(drawn, _MARGIN, top, half, lines)
    count = len(flow["parts"])
    width = (_WIDTH - 2 * _MARGIN - (count - 1) * _PAD) // max(count, 1)
    lower = bottom
    for number, (part, group) in enumerate(flow["parts"].items()):
        across = _MARGIN + number * (width + _PAD)
        rail, centre = bottom + _GAP // 2, across + width // 2
        drawn.append(f'<path d="M{middle} {bottom}V{rail}H{centre}" class="line"/>')
        _arrow(drawn, (centre, rail), (centre, bottom + _GAP))
        lines = [part.capitalize(), _size(group["images"], group["patients"])]
        lines += _list(group["classes"])
        lower = max(lower, _box(drawn, across, bottom + _GAP, width, lines))
    height = lower + _MARGIN
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" '
            f'width="{_WIDTH}" height="{height}" role="img" font-family="sans-serif" '
            'font-size="13">',
            "<title>Flow of images</title>",
            "<style>rect{fill:#fff;stroke:#333}.line{fill:none;stroke:#333}</style>",
            '<defs><marker id="tip" markerWidth="8" markerHeight="8" refX="7" refY="4" '
            'orient="auto"><path d="M0 0L8 4L0 8z" fill="#333"/></marker></defs>',
            f'<path d="M0 0H{_WIDTH}V{height}H0z" fill="#fff"/>',
            *drawn,
            "</svg>\n",
        ]
    )


def _images(count: int) -> str:
    return f"{count} image" if count == 1 else f"{count} images"


def _size(images: int, patients: int) -> str:
    return f"{_images(images)}, {patients} {'patient' if patients == 1 else 'patients'}"


def _list(counts: Mapping[str, int]) -> list[str]:
    """Return lines of the largest counts; the others are one line."""
    found = list(counts.items())
    rest = found[_LISTED:]
    lines = [f"{count} {name}" for name, count in found[:_LISTED]]
    return lines + ([f"{sum(n for _, n in rest)} others ({len(rest)} kinds)"] if rest else [])


def _box(drawn: list[str], left: int, top: int, width: int, lines: Sequence[str]) -> int:
    """Draw a box with a bold first line; long lines are wrapped. Return its lower edge."""
    fits = max(8, int((width - 2 * _PAD) / _CHARACTER))
    wrapped = [piece for line in lines for piece in textwrap.wrap(_printable(line), fits)]
    height = 2 * _PAD + _LINE * len(wrapped)
    drawn.append(f'<rect x="{left}" y="{top}" width="{width}" height="{height}"/>')
    for number, line in enumerate(wrapped):
        weight = ' font-weight="bold"' if number == 0 else ""
        level = top + _PAD + _LINE * number + 13
        drawn.append(f'<text x="{left + _PAD}" y="{level}"{weight}>{escape(line)}</text>')
    return top + height


def _arrow(drawn: list[str], start: tuple[int, int], end: tuple[int, int]) -> None:
    drawn.append(
        f'<path d="M{start[0]} {start[1]}L{end[0]} {end[1]}" class="line" marker-end="url(#tip)"/>'
    )


def _printable(text: str) -> str:
    """Replace control characters, which XML forbids, by spaces."""
    return "".join(letter if letter.isprintable() else " " for letter in text)
