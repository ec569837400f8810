"""Finding the radiographs in paths, folders and patterns."""

from __future__ import annotations

import errno
import glob
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypeAlias

from nanoray.errors import NanoRayError
from nanoray.files import natural, printable
from nanoray.reading.file_kind import HEAD_BYTES, is_image, kind_of
from nanoray.reading.unpacking import (
    STANDARD_INPUT,
    Unpacked,
    directory_files,
    standard_input,
    unpack,
)

EXTENSIONS: Final = frozenset(
    (
        *(".dcm", ".dicom", ".png", ".jpg", ".jpeg", ".tif", ".tiff"),
        *(".jp2", ".j2k", ".webp", ".avif", ".heic", ".heif"),
    )
)
"""Files with these extensions are taken from a folder whatever they hold."""

HEATMAP_SUFFIX: Final = ".heatmap.png"
"""End of the names of written heat maps, which a later run over the same folder passes over."""

Source: TypeAlias = Path | Unpacked


@dataclass(frozen=True, slots=True)
class Found:
    """Files to screen.

    Attributes:
        paths: in the order given, folders in natural order of their names, each file once.
        passed_over: how many files of the folders were passed over, by the reason.
        unlisted: folders that may not be listed, so that nothing in them is screened.
    """

    paths: tuple[Source, ...]
    passed_over: dict[str, int] = field(default_factory=dict)
    unlisted: tuple[Path, ...] = ()

    def words(self) -> str:
        """Describe what was passed over and why, as one line; empty if nothing was."""
        return ", ".join(f"{count} {reason}" for reason, count in self.passed_over.items())


@dataclass(slots=True)
class _Search:
    chosen: dict[str, Source] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)
    unlisted: list[Path] = field(default_factory=list)
    counted: Counter[str] = field(default_factory=Counter)

    def take(self, path: Path) -> None:
        """Take a file, unless it was taken before."""
        self.chosen.setdefault(os.path.realpath(path), path)

    def consider(self, path: Path) -> None:
        """Take a file of a folder if it may be an image, else note why not."""
        reason = why_not(path)
        if reason is None:
            self.take(path)
        else:
            self.skipped.setdefault(os.path.realpath(path), reason)

    def passed_over(self) -> dict[str, int]:
        """Count by reason the files that were not taken by another name."""
        counts = Counter(self.counted)
        counts.update(reason for real, reason in self.skipped.items() if real not in self.chosen)
        return dict(sorted(counts.items()))


def find(
    sources: Iterable[str | os.PathLike[str]], unpacked: Callable[[], Path] | None = None
) -> Found:
    """Files named by paths, folders (with all folders below) and patterns such as "in/**/*.dcm".

    A file that is named is always taken; of a ZIP or tar file the images in it, of a DICOMDIR the
    files that it lists, and "-" is the standard input. From a folder or a pattern come the files
    that have an image's extension, or begin like an image (DICOM files often have no extension);
    hidden files, archives, DICOMDIR and heat maps of an earlier run are passed over.

    Args:
        sources: paths and patterns.
        unpacked: gives a folder for what is unpacked, and is called only if something is; None
            takes archives as files, and no standard input.

    Raises:
        NanoRayError: a path that does not exist, a pattern without match, a damaged archive,
            nothing to read.
    """
    names = [os.fspath(source) for source in sources]
    search = _Search()
    for name in names:
        path = Path(name)
        if unpacked is not None and name in STANDARD_INPUT:
            taken = standard_input(unpacked())
            if not _unpack(taken, unpacked, search):
                search.chosen.setdefault(name, Unpacked(taken, name))
        elif path.is_file():
            if unpacked is None or not _unpack(path, unpacked, search):
                search.take(path)
        elif path.is_dir():
            for candidate in _walk(path, search):
                search.consider(candidate)
        elif glob.has_magic(name):
            _match(name, search)
        else:
            raise NanoRayError(f"{printable(name)}: {_why_absent(path)}")
    if not search.chosen:
        for folder in search.unlisted:
            raise NanoRayError(f"{printable(str(folder))}: listing the folder is not permitted")
        where = ", ".join(printable(name) for name in names) or "nothing given"
        raise NanoRayError(f"no images to read: {where}: {_nothing(search)}")
    return Found(tuple(search.chosen.values()), search.passed_over(), tuple(search.unlisted))


def _nothing(search: _Search) -> str:
    """Say why nothing was found, and what to do."""
    passed_over = search.passed_over()
    if not passed_over:
        return "the folder is empty; name a folder or file with DICOM files or pictures"
    words = ", ".join(f"{count} {reason}" for reason, count in passed_over.items())
    return f"all files were passed over ({words}); name a file itself to have it read"


def _why_absent(path: Path) -> str:
    try:
        path.stat()
    except OSError as error:
        if error.errno == errno.ELOOP:
            return "is a symbolic link that leads back to itself"
        if error.errno == errno.EACCES:
            return "is in a folder that may not be entered"
        if path.is_symlink():
            return "is a symbolic link to a file that does not exist"
    except ValueError:
        pass
    return "no such file or folder" if not os.path.lexists(path) else "is not a regular file"


def _unpack(path: Path, folder: Callable[[], Path], search: _Search) -> bool:
    """Take the files in an archive, or those that a DICOMDIR lists; whether there are any."""
    listed = directory_files(path)
    if listed is not None:
        for file in listed:
            search.take(file)
        return True
    if kind_of(_head(path) or b"") != "archive":
        return False
    members = unpack(path, folder(), search.counted)
    for member in members or ():
        search.chosen.setdefault(str(member.path), member)
    return bool(members)


def why_not(path: Path) -> str | None:
    """Why a file met in a folder is passed over; None if it is taken.

    It is taken by its extension, else by its first bytes.
    """
    name = path.name.lower()
    if name.startswith("."):
        return "hidden"
    if name == "dicomdir":
        return "DICOMDIR"
    if name.endswith(HEATMAP_SUFFIX):
        return "heat map of an earlier run"
    if path.suffix.lower() in EXTENSIONS:
        return None
    head = _head(path)
    # One that cannot be opened may be an image: the reader will say why it cannot be read.
    kind = "DICOM" if head is None else kind_of(head)
    if is_image(kind):
        return None
    return "archive" if kind == "archive" else "not an image"


def is_candidate(path: Path) -> bool:
    """Whether a file met in a folder is taken; see `why_not`."""
    return why_not(path) is None


def _head(path: Path) -> bytes | None:
    try:
        with path.open("rb") as stream:
            return stream.read(HEAD_BYTES)
    except OSError:
        return None


def _walk(folder: Path, search: _Search) -> Iterator[Path]:
    """Files of a folder and of those below it, in natural order; links to folders not followed."""

    def unlisted(error: OSError) -> None:
        search.unlisted.append(Path(error.filename))

    for here, folders, names in os.walk(folder, onerror=unlisted):
        seen = [name for name in folders if not name.startswith((".", "__MACOSX"))]
        search.counted["hidden folder"] += len(folders) - len(seen)
        folders[:] = sorted(seen, key=natural)
        for name in sorted(names, key=natural):
            yield Path(here, name)
    if not search.counted["hidden folder"]:
        del search.counted["hidden folder"]


def _match(pattern: str, search: _Search) -> None:
    # Path.glob knows no pattern that begins at the root, and finds hidden files.
    count = 0
    for name in sorted(glob.glob(pattern, recursive=True), key=natural):  # noqa: PTH207
        path = Path(name)
        if path.is_dir():
            files: Iterable[Path] = _walk(path, search)
        else:
            files = [path] if path.is_file() else []
        for file in files:
            count += 1
            search.consider(file)
    if not count:
        raise NanoRayError(f"{printable(pattern)}: no file matches this pattern")
