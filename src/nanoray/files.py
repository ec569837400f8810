"""File names and files: natural order, printable names, atomic writing."""

from __future__ import annotations

import os
import re
import tempfile
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

# Unicode's control, format (such as right-to-left override), unassigned, private, line and
# paragraph separators.
_UNPRINTABLE = frozenset({"Cc", "Cf", "Cn", "Co", "Cs", "Zl", "Zp"})


def natural(name: str) -> tuple[tuple[tuple[bool, int, str], ...], str]:
    """Sort key that puts IM2 before IM10."""
    parts = re.split(r"([0-9]+)", name)
    key = tuple(
        (part.isdecimal(), int(part) if part.isdecimal() else 0, part.casefold()) for part in parts
    )
    return key, name


def exact(name: str) -> str:
    """Turn a file name into text that can be encoded: undecodable bytes as \\xNN."""
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        return os.fsencode(name).decode("utf-8", "backslashreplace")
    return name


def printable(name: str) -> str:
    """Make a file name safe to show: escape line breaks and control characters."""
    return "".join(
        char.encode("unicode_escape").decode("ascii")
        if unicodedata.category(char) in _UNPRINTABLE
        else char
        for char in exact(name)
    )


def csv_cell(value: Any, keep: str = "") -> Any:
    """Return a value for a CSV file, with escaped control characters.

    A terminal that shows the file would execute them. Line breaks would divide a row into two
    lines, unless `keep` has them.
    """
    if not isinstance(value, str):
        return value
    return "".join(
        char
        if char in keep or unicodedata.category(char) != "Cc"
        else char.encode("unicode_escape").decode("ascii")
        for char in exact(value)
    )


@contextmanager
def written_whole(path: Path, mode: str = "w", **options: Any) -> Iterator[IO[Any]]:
    """Open a file for atomic writing: it gets its name only when complete.

    After an error or an interrupt an earlier file of that name is unchanged.
    """
    try:
        handle, draft = tempfile.mkstemp(prefix=f".{path.name[:60]}.", dir=path.parent)
    except OSError as error:
        # Named after the requested file, not after the temporary one.
        raise OSError(error.errno, error.strerror, str(path)) from None
    try:
        with os.fdopen(handle, mode, **options) as stream:
            yield stream
        # mkstemp makes files that only their owner can read; set the permissions of a plain open.
        mask = os.umask(0)
        os.umask(mask)
        Path(draft).chmod(0o666 & ~mask)
        Path(draft).replace(path)
    except BaseException:
        with suppress(OSError):
            Path(draft).unlink()
        raise
