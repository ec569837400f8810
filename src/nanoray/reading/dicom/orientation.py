"""Patient Orientation (PS3.3 C.7.6.1.1.1): the orientation of a stored radiograph."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

# The direction of the rows (to the right) and of the columns (down), and the EXIF orientation
# (Exif 2.32, tag 0x0112) that shows the patient upright with their left on the viewer's right.
_UPRIGHT: Final = {
    ("L", "F"): 1,
    ("R", "F"): 2,
    ("R", "H"): 3,
    ("L", "H"): 4,
    ("F", "L"): 5,
    ("F", "R"): 6,
    ("H", "R"): 7,
    ("H", "L"): 8,
}


def directions(values: Sequence[str] | None) -> tuple[str, str] | None:
    """Return the main directions of rows and columns, each one of L, R, A, P, H and F.

    None if the values of the element are absent or malformed. The first letter of a value is the
    main direction.
    """
    if values is None or len(values) != 2:
        return None
    row, column = (value.strip(" \0").upper()[:1] for value in values)
    if not row or not column or not {row, column} <= set("LRAPHF"):
        return None
    return row, column


def upright(found: tuple[str, str] | None) -> int:
    """Return the EXIF orientation that turns a frontal radiograph upright; 1 if unknown."""
    return 1 if found is None else _UPRIGHT.get(found, 1)


def is_lateral(found: tuple[str, str] | None) -> bool:
    """Return whether the picture is a lateral view: front to back, and head to feet."""
    axes = set(found or ())
    return bool(axes & set("AP")) and bool(axes & set("HF"))
