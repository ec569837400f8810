"""Finding the radiographs in paths, folders and patterns."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from nanoray.errors import NanoRayError
from nanoray.files import natural, printable

EXTENSIONS: Final = frozenset({".dcm", ".dicom", ".dic", ".png", ".jpg", ".jpeg", ".tif", ".tiff"})
"""Files with these extensions are taken from a folder whatever they hold."""

HEATMAP_SUFFIX: Final = ".heatmap.png"
"""End of the names of written heat maps, which a later run over the same folder passes over."""

_MAGIC = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"II*\x00", b"MM\x00*", b"II+\x00", b"MM\x00+")


@dataclass(frozen=True, slots=True)
class Found:
    """Files to screen.

    Attributes:
        paths: in the order given, folders in natural order of their names, each file once.
        skipped: how many files of the folders were passed over as not being images.
    """

    paths: tuple[Path, ...]
    skipped: int


def find(sources: Iterable[str | os.PathLike[str]]) -> Found:
    """Files named by paths, folders (with all folders below) and patterns such as "in/**/*.dcm".

    A file that is named is always taken. From a folder or a pattern come the files that have an
    image's extension, or begin like an image (DICOM files often have no extension); hidden files,
    DICOMDIR and heat maps of an earlier run are passed over.

    Raises:
        NanoRayError: a path that does not exist, a pattern without match, nothing to read.
    """
    names = [os.fspath(source) for source in sources]
    chosen: dict[str, Path] = {}
    skipped: set[str] = set()
    for name in names:
        path = Path(name)
        if path.is_file():
            candidates: Iterable[Path] = [path]
        elif path.is_dir():
            candidates = _walk(path)
        elif glob.has_magic(name):
            candidates = _match(name)
        else:
            raise NanoRayError(f"{printable(name)}: no such file or folder")
        count = 0
        for candidate in candidates:
            count += 1
            real = os.path.realpath(candidate)
            if candidate is path or is_candidate(candidate):
                chosen.setdefault(real, candidate)
            else:
                skipped.add(real)
        if not count and glob.has_magic(name) and not path.is_dir():
            raise NanoRayError(f"{printable(name)}: no file matches this pattern")
    if not chosen:
        where = ", ".join(printable(name) for name in names) or "nothing given"
        raise NanoRayError(f"no images to read: {where}")
    return Found(tuple(chosen.values()), len(skipped - chosen.keys()))


def is_candidate(path: Path) -> bool:
    """Whether a file met in a folder is taken: by its extension, else by its first bytes."""
    name = path.name.lower()
    if name.startswith(".") or name == "dicomdir" or name.endswith(HEATMAP_SUFFIX):
        return False
    if path.suffix.lower() in EXTENSIONS:
        return True
    try:
        with path.open("rb") as stream:
            head = stream.read(132)
    except OSError:
        # It may be an image: the reader will say why it cannot be read.
        return True
    return _begins_like_an_image(head)


def _begins_like_an_image(head: bytes) -> bool:
    if head[128:132] == b"DICM" or head.startswith(_MAGIC):
        return True
    # DICOM without preamble (PS3.10 7.1): the data set begins with an element of group 0002 or
    # 0008 in little endian, or 0008 in big endian, whose number is small.
    group, element = head[:2], head[2:4]
    if group in (b"\x02\x00", b"\x08\x00"):
        return len(head) > 8 and element[1:] == b"\x00"
    return group == b"\x00\x08" and len(head) > 8 and element[:1] == b"\x00"


def _walk(folder: Path) -> Iterator[Path]:
    """Files of a folder and of those below it, in natural order; links to folders not followed."""
    for here, folders, names in os.walk(folder):
        folders[:] = sorted(
            (name for name in folders if not name.startswith((".", "__MACOSX"))), key=natural
        )
        for name in sorted(names, key=natural):
            if not name.startswith("."):
                yield Path(here, name)


def _match(pattern: str) -> Iterator[Path]:
    # Path.glob knows no pattern that begins at the root, and finds hidden files.
    for name in sorted(glob.glob(pattern, recursive=True), key=natural):  # noqa: PTH207
        path = Path(name)
        if path.is_dir():
            yield from _walk(path)
        elif path.is_file():
            yield path
