"""Finding the radiographs in paths, folders and patterns."""

from __future__ import annotations

import errno
import glob
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from nanoray.errors import NanoRayError
from nanoray.files import natural, printable
from nanoray.reading.candidates import is_hidden_folder, reason_to_skip
from nanoray.reading.file_kind import HEAD_BYTES, kind_of
from nanoray.reading.unpacking import (
    STANDARD_INPUT,
    Unpacked,
    directory_files,
    standard_input,
    unpack,
)

Source: TypeAlias = Path | Unpacked


@dataclass(frozen=True, slots=True)
class Found:
    """Files to screen.

    Attributes:
        paths: in the order given, folders in natural order of their names, each file once.
        passed_over: number of skipped files in the folders, by reason.
        unlisted: folders without permission to list, so their files are not screened.
    """

    paths: tuple[Source, ...]
    passed_over: dict[str, int] = field(default_factory=dict)
    unlisted: tuple[Path, ...] = ()

    def words(self) -> str:
        """Describe the skipped files with their reasons, in one line; empty if there are none."""
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
        """Take a file of a folder if it may be an image, else record the reason."""
        reason = why_not(path)
        if reason is None:
            self.take(path)
        else:
            self.skipped.setdefault(os.path.realpath(path), reason)

    def passed_over(self) -> dict[str, int]:
        """Count the skipped files by reason, without those taken by another name."""
        counts = Counter(self.counted)
        counts.update(reason for real, reason in self.skipped.items() if real not in self.chosen)
        return dict(sorted(counts.items()))


def find(
    sources: Iterable[str | os.PathLike[str]], unpacked: Callable[[], Path] | None = None
) -> Found:
    """Find files by paths, folders (with all folders below) and patterns such as "in/**/*.dcm".

    A named file is always taken. A ZIP or tar file stands for its images, a DICOMDIR for its listed
    files, and "-" for the standard input. From a folder or a pattern, files with an image's
    extension are taken, and files that begin like an image (DICOM files often have no extension).
    Hidden files, archives, DICOMDIR and heat maps of an earlier run are skipped.

    Args:
        sources: paths and patterns.
        unpacked: returns a folder for unpacked files, and is called only if needed. None takes
            archives as files, and refuses standard input.

    Raises:
        NanoRayError: a path that does not exist, a pattern without match, an archive of too many
            files, or no file to read.
    """
    names = [os.fspath(source) for source in sources]
    search = _Search()
    for name in names:
        path = Path(name)
        if unpacked is not None and name in STANDARD_INPUT:
            taken = standard_input(unpacked())
            if not _unpack(taken, unpacked, search, name):
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
    """Return the reason for an empty result, with the remedy."""
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


def _unpack(path: Path, folder: Callable[[], Path], search: _Search, label: str = "") -> bool:
    """Take the files of an archive or a DICOMDIR; return whether it is one."""
    listed = directory_files(path)
    if listed is not None:
        for file in listed:
            search.take(file)
        return True
    if kind_of(_head(path) or b"") != "archive":
        return False
    members = unpack(path, folder(), search.counted, label)
    for member in members or ():
        search.chosen.setdefault(str(member.path), member)
    return members is not None


def why_not(path: Path) -> str | None:
    """Return the reason for skipping a file of a folder; None if it is taken.

    See `nanoray.reading.candidates`.
    """
    return reason_to_skip(path, lambda: _head(path))


def is_candidate(path: Path) -> bool:
    """Return whether a file of a folder is taken; see `why_not`."""
    return why_not(path) is None


def _head(path: Path) -> bytes | None:
    try:
        with path.open("rb") as stream:
            return stream.read(HEAD_BYTES)
    except OSError:
        return None


def _walk(folder: Path, search: _Search) -> Iterator[Path]:
    """List files of a folder and those below in natural order; do not follow links to folders."""

    def unlisted(error: OSError) -> None:
        search.unlisted.append(Path(error.filename))

    for here, folders, names in os.walk(folder, onerror=unlisted):
        seen = [name for name in folders if not is_hidden_folder(name)]
        search.counted["hidden folder"] += len(folders) - len(seen)
        folders[:] = sorted(seen, key=natural)
        for name in sorted(names, key=natural):
            yield Path(here, name)
    if not search.counted["hidden folder"]:
        del search.counted["hidden folder"]


def _match(pattern: str, search: _Search) -> None:
    # Path.glob refuses patterns that begin at the root, and finds hidden files.
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
