"""What a network leans on: its ranking with parts of the radiographs greyed out.

A part is filled with the picture's mean grey. A network that reads the lungs should fall to chance
without them, and lose nothing without the borders. The view alone ranks well, since ill patients
are imaged in bed: what remains without the lungs is compared with it (after DeGrave et al. 2021,
"AI for radiographic COVID-19 detection selects shortcuts over signal").
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from nanoray.datasets.folder import Case
from nanoray.evaluating.metrics import auroc
from nanoray.evaluating.resampling import Interval, Resampling
from nanoray.reading.geometry import Box

Picture = NDArray[np.uint8]

# Centre and half axes of both lungs, in parts of the picture's width and height. They cover 94 % of
# the area of the challenge's opacity boxes, and half of the picture.
LUNGS = ((0.28, 0.51, 0.21, 0.38), (0.72, 0.51, 0.21, 0.38))
BORDER, CORNER = 0.08, 0.2
"""Width of the border, and side of the corners, in parts of the picture."""


def _grid(shape: tuple[int, ...]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    rows, columns = shape
    return (np.arange(rows) + 0.5)[:, None] / rows, (np.arange(columns) + 0.5)[None] / columns


def lungs(shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Return where the lungs lie in most frontal radiographs: two ellipses, bool [h, w]."""
    y, x = _grid(shape)
    inside = np.zeros(shape, bool)
    for centre_x, centre_y, half_x, half_y in LUNGS:
        inside |= ((x - centre_x) / half_x) ** 2 + ((y - centre_y) / half_y) ** 2 <= 1
    return inside


def borders(shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Return the outer frame, bool [h, w]."""
    y, x = _grid(shape)
    near: NDArray[np.bool_] = np.minimum(np.minimum(x, 1 - x), np.minimum(y, 1 - y)) < BORDER
    return near


def corners(shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Return the corners, where side markers and annotations stand, bool [h, w]."""
    y, x = _grid(shape)
    both: NDArray[np.bool_] = (np.minimum(x, 1 - x) < CORNER) & (np.minimum(y, 1 - y) < CORNER)
    return both


def below(shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Return what lies below the lungs' middle, bool [h, w]."""
    y, x = _grid(shape)
    lower: NDArray[np.bool_] = (y > LUNGS[0][1]) & (x >= 0)
    return lower


PARTS: dict[str, Callable[[tuple[int, ...]], NDArray[np.bool_]]] = {
    "lungs": lungs,
    "all but the lungs": lambda shape: ~lungs(shape),
    "borders": borders,
    "corners": corners,
    "lower half": below,
    "upper half": lambda shape: ~below(shape),
}
"""Parts that are greyed out, by name."""


def grey_out(picture: Picture, part: str) -> Picture:
    """Fill a part of `PARTS` of a radiograph, uint8 [h, w], with its mean grey."""
    changed: Picture = picture.copy()
    seen = picture[picture > 0]
    changed[PARTS[part](picture.shape)] = max(1, round(float(seen.mean()))) if len(seen) else 1
    return changed


@dataclass(frozen=True, slots=True)
class Shortcuts:
    """What ranks the images without a network, and how the lungs' ellipses fit.

    Attributes:
        view: AUROC of the view alone, AP above PA; not a number if only one view occurs.
        covered: share of the area of all opacity boxes in the ellipses.
    """

    view: Interval
    covered: float


def find_shortcuts(
    cases: Sequence[Case],
    boxes: Sequence[Sequence[Box]],
    targets: NDArray[np.integer],
    resampling: Resampling,
) -> Shortcuts:
    """Measure the view's AUROC and the share of the boxes that the ellipses cover.

    Args:
        boxes: of each case, fractions of the radiograph in the square.
    """
    portable = np.array([{"AP": 1.0, "PA": 0.0}.get(case.view or "", 0.5) for case in cases])
    view = (float("nan"),) * 3
    if len(set(portable.tolist())) > 1:
        view = resampling.interval(lambda w: auroc(portable, targets, w))
    inside = total = 0.0
    mask = lungs((512, 512))
    for x, y, width, height in chain.from_iterable(boxes):
        left, top, right, bottom = (round(512 * edge) for edge in (x, y, x + width, y + height))
        area = mask[top:bottom, left:right]
        inside, total = inside + float(area.sum()), total + float(area.size)
    return Shortcuts(view, inside / total if total else float("nan"))
