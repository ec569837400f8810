"""Rules for the files of folders and archives: which may be images, and why others are skipped."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import PurePath
from typing import Final

from nanoray.reading.file_kind import is_image, kind_of

EXTENSIONS: Final = frozenset(
    (
        *(".dcm", ".dicom", ".png", ".jpg", ".jpeg", ".tif", ".tiff"),
        *(".jp2", ".j2k", ".webp", ".avif", ".heic", ".heif"),
    )
)
"""Files with these extensions are taken from a folder regardless of their contents."""

HEATMAP_SUFFIX: Final = ".heatmap.png"
"""Suffix of written heat maps, which a later run over the same folder skips."""


def reason_to_skip(path: PurePath, head: Callable[[], bytes | None]) -> str | None:
    """Return the reason for skipping a file of a folder or an archive; None if it is taken.

    The extension decides, else the first bytes.

    Args:
        path: of the file.
        head: returns its first bytes, or None if it cannot be read; called only if needed.
    """
    name = path.name.lower()
    if name.startswith("."):
        return "hidden"
    if is_dicomdir(name):
        return "DICOMDIR"
    if name.endswith(HEATMAP_SUFFIX):
        return "heat map of an earlier run"
    if path.suffix.lower() in EXTENSIONS:
        return None
    first = head()
    # A file that cannot be opened may be an image: the reader will report the reason.
    kind = "DICOM" if first is None else kind_of(first)
    if is_image(kind):
        return None
    return "archive" if kind == "archive" else "not an image"


def is_hidden_folder(name: str) -> bool:
    """Return whether a folder is skipped with all its files."""
    return name.startswith((".", "__MACOSX"))


def is_dicomdir(name: str) -> bool:
    """Return whether a file is named DICOMDIR, in any case and with any version."""
    return plain_name(name) == "dicomdir"


def plain_name(name: str) -> str:
    """Return a name of a CD (ISO 9660) in lower case, without the version, as in "IM1.;1"."""
    return re.sub(r"\.?(;[0-9]+)?$", "", name.lower())
