"""Radiographs in ZIP and tar archives, DICOMDIR, and standard input."""

from __future__ import annotations

import lzma
import os
import sys
import tarfile
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final, NamedTuple

from nanoray.errors import NanoRayError
from nanoray.files import printable
from nanoray.reading import limits
from nanoray.reading.file_kind import HEAD_BYTES, is_image, kind_of
from nanoray.reading.quiet import quiet
from nanoray.reading.refusals import Refusal

MAX_MEMBERS: Final = 20_000
"""Largest number of files in an archive; larger archives must be unpacked first."""
MAX_TOTAL_BYTES: Final = 8 * 1024 * limits.MIB
"""Largest total size of an archive's files, unpacked."""
STANDARD_INPUT: Final = ("-", "/dev/stdin", "/dev/fd/0")

_BLOCK: Final = limits.MIB
_DAMAGE: Final = (
    zipfile.BadZipFile,
    tarfile.TarError,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    OSError,
    ValueError,
)


@dataclass(frozen=True, slots=True)
class Unpacked:
    """An unpacked file.

    Attributes:
        path: of the unpacked file.
        name: for results: the archive's path, "/", and the path in the archive.
    """

    path: Path
    name: str


class Member(NamedTuple):
    """An image in an archive: its number among all members, its name, bytes and first bytes."""

    number: int
    name: str
    size: int
    head: bytes
    stream: IO[bytes]


class NotAnArchive(Exception):  # noqa: N818
    """The file is not a ZIP or tar file."""


def images(archive: Path, passed_over: Counter[str] | None = None) -> Iterator[Member]:
    """Yield the images of a ZIP or tar file, compressed or not; other members are counted.

    Raises:
        NotAnArchive: the file is of another kind.
        NanoRayError: the archive is damaged, encrypted, or exceeds `MAX_MEMBERS` or
            `MAX_TOTAL_BYTES`.
    """
    members = _zip_members if zipfile.is_zipfile(archive) else _tar_members
    total, begun = 0, False
    try:
        for number, (name, size, stream) in enumerate(members(archive)):
            begun = True
            total += size
            if number >= MAX_MEMBERS or total > MAX_TOTAL_BYTES:
                raise _too_large(archive)
            head = stream.read(HEAD_BYTES)
            if is_image(kind_of(head)):
                yield Member(number, name, size, head, stream)
            elif passed_over is not None:
                passed_over["not an image"] += 1
    except tarfile.ReadError:
        if begun:
            raise NanoRayError(f"{printable(str(archive))}: the archive is damaged") from None
        raise NotAnArchive from None
    except NanoRayError:
        raise
    except _DAMAGE as error:
        raise NanoRayError(f"{printable(str(archive))}: the archive is damaged") from error
    except (RuntimeError, NotImplementedError):
        # Of zipfile: a password, or an unknown compression.
        raise NanoRayError(
            f"{printable(str(archive))}: the archive is encrypted or of an unknown compression"
        ) from None


def _too_large(archive: Path) -> NanoRayError:
    return NanoRayError(
        f"{printable(str(archive))}: holds more than {MAX_MEMBERS:,} files or "
        f"{MAX_TOTAL_BYTES // limits.MIB:,} MiB; unpack it first"
    )


def unpack(archive: Path, folder: Path, passed_over: Counter[str]) -> list[Unpacked] | None:
    """Unpack the images of a ZIP or tar file, compressed or not, into a folder.

    The files get new names, so no member can be written elsewhere. Other members are counted.

    Returns:
        None if the file is an archive of another kind.

    Raises:
        NanoRayError: see `images`.
    """
    found: list[Unpacked] = []
    total = 0
    try:
        for member in images(archive, passed_over):
            target = folder / f"{archive.name[:40]}-{member.number:06d}"
            total += _copy(member.head, member.stream, target)
            # The stated sizes of members are not trusted.
            if total > MAX_TOTAL_BYTES:
                raise _too_large(archive)
            found.append(Unpacked(target, f"{archive}/{member.name}"))
    except NotAnArchive:
        return None
    return found


def archive_of(location: str) -> Path | None:
    """Return the archive of a location `ARCHIVE/MEMBER`; None for any other path."""
    path = Path(location)
    if os.path.lexists(path):
        return None
    for parent in path.parents:
        if os.path.lexists(parent):
            return parent if parent.is_file() else None
    return None


class Archives:
    """ZIP and tar files that remain open while their members are fetched one by one.

    Not thread-safe.
    """

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._zips: dict[Path, zipfile.ZipFile] = {}
        self._tars: dict[Path, tarfile.TarFile] = {}

    def close(self) -> None:
        """Close the archives."""
        self._stack.close()

    def fetch(self, archive: Path, name: str, target: Path) -> None:
        """Write a member to a file, at most one byte over the limit on files.

        Raises:
            Refusal: no such member, or it cannot be read.
        """
        try:
            with self._stream(archive, name) as stream:
                _copy(b"", stream, target)
        except KeyError:
            raise Refusal("missing") from None
        except (*_DAMAGE, RuntimeError, NotImplementedError):
            raise Refusal("read-failed") from None

    def _stream(self, archive: Path, name: str) -> IO[bytes]:
        if archive in self._zips or (archive not in self._tars and zipfile.is_zipfile(archive)):
            if archive not in self._zips:
                self._zips[archive] = self._stack.enter_context(zipfile.ZipFile(archive))
            return self._zips[archive].open(name)
        if archive not in self._tars:
            opened = tarfile.open(archive, "r:*")  # noqa: SIM115
            self._tars[archive] = self._stack.enter_context(opened)
        stream = self._tars[archive].extractfile(name)
        if stream is None:
            raise KeyError(name)
        return stream


def _copy(head: bytes, stream: IO[bytes], target: Path) -> int:
    """Write a member, at most one byte over the limit on files; the reader then refuses it."""
    written = len(head)
    with target.open("wb") as out:
        out.write(head)
        # The stated size of a member is not trusted.
        while written <= limits.MAX_FILE_BYTES and (block := stream.read(_BLOCK)):
            out.write(block)
            written += len(block)
    return written


def _zip_members(path: Path) -> Iterator[tuple[str, int, IO[bytes]]]:
    with zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            if not info.is_dir():
                with archive.open(info) as stream:
                    yield info.filename, min(info.file_size, limits.MAX_FILE_BYTES), stream


def _tar_members(path: Path) -> Iterator[tuple[str, int, IO[bytes]]]:
    with tarfile.open(path, "r:*") as archive:
        for info in archive:
            stream = archive.extractfile(info) if info.isfile() else None
            if stream is not None:
                with stream:
                    yield info.name, min(info.size, limits.MAX_FILE_BYTES), stream


def standard_input(folder: Path) -> Path:
    """Write the standard input to a file, cut one byte over the limit on files.

    Raises:
        NanoRayError: the standard input is empty.
    """
    target = folder / "standard-input"
    with target.open("wb") as out:
        left = limits.MAX_FILE_BYTES + 1
        while left and (block := sys.stdin.buffer.read(min(_BLOCK, left))):
            out.write(block)
            left -= len(block)
    if not target.stat().st_size:
        raise NanoRayError("-: nothing came on the standard input")
    return target


def directory_files(path: Path) -> list[Path] | None:
    """Return the image files that a DICOMDIR (PS3.3 F) lists, below its own folder.

    None if the file is not a DICOMDIR, or lists no image.
    """
    if path.name.upper() != "DICOMDIR" or path.stat().st_size > limits.MAX_FILE_BYTES:
        return None
    from pydicom import dcmread

    found = []
    try:
        with quiet():
            for record in dcmread(path).DirectoryRecordSequence:
                parts = record.get("ReferencedFileID")
                if str(record.DirectoryRecordType).strip() != "IMAGE" or not parts:
                    continue
                names = [parts] if isinstance(parts, str) else [str(part) for part in parts]
                if all(name not in ("", ".", "..") and "/" not in name for name in names):
                    found.append(path.parent.joinpath(*names))
    except Exception:
        return None
    return found or None
