"""Where boxes lie after a picture was read: turned upright, without borders, in a square."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from nanoray.reading import geometry
from nanoray.reading.borders import Crop
from nanoray.reading.geometry import Box
from nanoray.reading.radiograph import Pixels
from nanoray.reading.resize import Placement, letterbox
from nanoray.reading.worker import Reading


@dataclass(frozen=True, slots=True)
class Framing:
    """What the reading of a picture did to its frame.

    Attributes:
        orientation: EXIF orientation by which the stored picture was turned upright.
        crop: part of the upright picture that was kept; None for the whole.
        aspect: width divided by height of the radiograph in the square.
    """

    orientation: int
    crop: Crop | None
    aspect: float

    def in_content(self, boxes: Sequence[Box]) -> tuple[Box, ...]:
        """Map boxes from fractions of the stored picture to those of the square's radiograph.

        What lies in a border that was cut off is lost.
        """
        upright = [geometry.turned_box(box, self.orientation) for box in boxes]
        if self.crop is None:
            return tuple(upright)
        kept = (self.crop.within(box) for box in upright)
        return tuple(box for box in kept if box is not None)

    def in_square(self, boxes: Sequence[Box]) -> tuple[Box, ...]:
        """Map boxes from fractions of the stored picture to those of the square."""
        across, down = min(1.0, self.aspect), min(1.0, 1 / self.aspect)
        return tuple(
            (
                (1 - across) / 2 + x * across,
                (1 - down) / 2 + y * down,
                width * across,
                height * down,
            )
            for x, y, width, height in self.in_content(boxes)
        )

    def numbers(self) -> tuple[float, ...]:
        """Return the framing as six numbers, for a cache."""
        crop = self.crop or Crop(0, 0, 1, 1)
        return (self.orientation, crop.top, crop.left, crop.height, crop.width, self.aspect)

    @classmethod
    def from_numbers(cls, numbers: Sequence[float]) -> Framing:
        """Build from `numbers`."""
        orientation, *sides, aspect = map(float, numbers)
        crop = Crop(*sides)
        return cls(int(orientation), None if crop == Crop(0, 0, 1, 1) else crop, aspect)


def framed_square(
    reading: Reading, aspect: float | None = None
) -> tuple[Pixels, Placement, Framing]:
    """Return the square of a readable file, the radiograph's placement in it, and its framing.

    Args:
        aspect: width divided by height of the stored picture, if its publisher stretched it (see
            `nanoray.datasets.folder.Case.aspect`). It is restored.
    """
    square, place, facts, crop = reading.square, reading.placement, reading.facts, reading.crop
    assert square is not None
    assert place is not None
    assert facts is not None
    shown = place.width / place.height
    if aspect is None:
        return square, place, Framing(facts.orientation, crop, shown)
    if geometry.swaps(facts.orientation):
        aspect = 1 / aspect
    if crop is not None:
        aspect *= crop.width / crop.height
    if abs(aspect / shown - 1) >= 0.01:
        square, place = _restored(place.crop(square), place.size, aspect)
    return square, place, Framing(facts.orientation, crop, aspect)


def _restored(content: NDArray[np.float32], size: int, aspect: float) -> tuple[Pixels, Placement]:
    """Give a stretched radiograph [h, w] its aspect ratio, in a square of a size."""
    rows, columns = (size, max(1, round(size * aspect)))
    if aspect > 1:
        rows, columns = max(1, round(size / aspect)), size
    resized = Image.fromarray(np.ascontiguousarray(content)).resize(
        (columns, rows), Image.Resampling.BILINEAR
    )
    return letterbox(np.asarray(resized, np.float32), size)
