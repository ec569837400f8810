"""The display shutter (PS3.3 C.7.6.11), which hides the surroundings of the image."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from nanoray.reading.dicom.values import decimals

Mask = NDArray[np.bool_]


def inside(header: Any, rows: int, columns: int, shape: tuple[int, int]) -> Mask | None:
    """Return a mask of `shape`, True in the open area; it may be smaller than rows x columns.

    Several shapes are combined: a pixel must be open in all of them. None without a shutter, if it
    is malformed or hides nothing, and if it would leave less than a hundredth of the image.
    """
    shapes = {text.strip(" \0").upper() for text in header.texts("ShutterShape") or []}
    mask = np.ones(shape, bool)
    scale = (shape[0] / rows, shape[1] / columns)
    for name, draw in (
        ("RECTANGULAR", _rectangle),
        ("CIRCULAR", _circle),
        ("POLYGONAL", _polygon),
    ):
        if name in shapes:
            opened = draw(header, shape, scale)
            if opened is not None:
                mask &= opened
    share = float(mask.mean())
    return mask if 0.01 < share < 1.0 else None


def _numbers(header: Any, keyword: str, count: int) -> list[float] | None:
    values = [value for value in decimals(header, keyword) if value is not None]
    return values if len(values) >= count else None


def _rectangle(header: Any, shape: tuple[int, int], scale: tuple[float, float]) -> Mask | None:
    edges = []
    for side in ("UpperHorizontal", "LowerHorizontal", "LeftVertical", "RightVertical"):
        edge = _numbers(header, f"Shutter{side}Edge", 1)
        if edge is None:
            return None
        edges.append(edge[0])
    upper, lower, left, right = edges
    # Rows and columns count from 1; the edges are inside the shutter.
    y, x = _centres(shape, scale)
    opened: Mask = (y >= upper) & (y <= lower) & (x >= left) & (x <= right)
    return opened


def _circle(header: Any, shape: tuple[int, int], scale: tuple[float, float]) -> Mask | None:
    centre = _numbers(header, "CenterOfCircularShutter", 2)
    radius = _numbers(header, "RadiusOfCircularShutter", 1)
    if centre is None or radius is None or radius[0] <= 0:
        return None
    y, x = _centres(shape, scale)
    opened: Mask = (y - centre[0]) ** 2 + (x - centre[1]) ** 2 <= radius[0] ** 2
    return opened


def _polygon(header: Any, shape: tuple[int, int], scale: tuple[float, float]) -> Mask | None:
    values = _numbers(header, "VerticesOfThePolygonalShutter", 6)
    if values is None or len(values) % 2 or len(values) > 2000:
        return None
    corners = [
        ((column - 0.5) * scale[1] - 0.5, (row - 0.5) * scale[0] - 0.5)
        for row, column in zip(values[::2], values[1::2], strict=True)
    ]
    image = Image.new("1", (shape[1], shape[0]))
    ImageDraw.Draw(image).polygon(corners, fill=1, outline=1)
    return np.asarray(image, bool)


def _centres(shape: tuple[int, int], scale: tuple[float, float]) -> tuple[Any, Any]:
    """Return rows and columns, from 1, of the stored pixels at the centres of the mask's pixels."""
    y = (np.arange(shape[0]) + 0.5) / scale[0] + 0.5
    x = (np.arange(shape[1]) + 0.5) / scale[1] + 0.5
    return y[:, np.newaxis], x[np.newaxis]
