"""Radiographs in ZIP and tar archives, DICOMDIR, and standard input."""

from __future__ import annotations

import bz2
import gzip
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
from pathlib import Path, PurePosixPath
from typing import IO, Any, Final, NamedTuple

from nanoray.errors import NanoRayError
from nanoray.files import printable
from nanoray.reading import limits
from nanoray.reading.candidates import (
    is_dicomdir,
    is_hidden_folder,
    plain_name,
    reason_to_skip,
)
from nanoray.reading.file_kind import HEAD_BYTES, is_tar
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
    """An unpacked file, or one that could not be unpacked.

    Attributes:
        path: of the unpacked file.
        name: for results: the archive's path, "/", and the path in the archive.
        code: the refusal of a member or an archive that cannot be unpacked; None for a file.
    """

    path: Path
    name: str
    code: str | None = None


class Member(NamedTuple):
    """A file in an archive that may be an image.

    Attributes:
        number: among all members.
        name: path in the archive.
        size: stated size in bytes.
        head: first bytes.
        stream: the bytes after them; None if the member cannot be read.
        code: the refusal of a member that cannot be read.
    """

    number: int
    name: str
    size: int
    head: bytes
    stream: IO[bytes] | None
    code: str | None = None


class NotAnArchive(Exception):  # noqa: N818
    """The file is not a ZIP or tar file."""


def images(archive: Path, passed_over: Counter[str] | None = None) -> Iterator[Member]:
    """Yield the files of a ZIP or tar file that may be images, by the rules for folders.

    Other members are counted by their reason. A damaged or encrypted member of a ZIP file has a
    code, and the members after it are still read.

    Raises:
        NotAnArchive: the file is of another kind.
        Refusal: the archive itself is damaged; the members before that were yielded.
        NanoRayError: it exceeds `MAX_MEMBERS` or `MAX_TOTAL_BYTES`.
    """
    members = _zip_members if zipfile.is_zipfile(archive) else _tar_members
    total = 0
    for number, (name, size, stream, code) in enumerate(members(archive)):
        total += size
        if number >= MAX_MEMBERS or total > MAX_TOTAL_BYTES:
            raise _too_large(archive)
        head = _head(stream) if stream is not None else None
        reason = _why_not(name, head)
        if reason is None and head is not None:
            yield Member(number, name, size, head, stream)
        elif reason is None:
            yield Member(number, name, size, b"", None, code or "archive-damaged")
        elif passed_over is not None:
            passed_over[reason] += 1


def _why_not(name: str, head: bytes | None) -> str | None:
    """Return the reason for skipping a member; `head` is None if it cannot be read."""
    path = PurePosixPath(name.replace("\\", "/"))
    if any(is_hidden_folder(part) for part in path.parts[:-1] if part != ".."):
        return "hidden"
    return reason_to_skip(path, lambda: head)


def _head(stream: IO[bytes]) -> bytes | None:
    try:
        return _read(stream, HEAD_BYTES)
    except Refusal:
        return None


def _read(stream: IO[bytes], size: int) -> bytes:
    """Read from a member.

    Raises:
        Refusal: its bytes are damaged.
    """
    try:
        return stream.read(size)
    except _DAMAGE:
        raise Refusal("archive-damaged") from None


def _too_large(archive: Path) -> NanoRayError:
    return NanoRayError(
        f"{printable(str(archive))}: holds more than {MAX_MEMBERS:,} files or "
        f"{MAX_TOTAL_BYTES // limits.MIB:,} MiB; unpack it first"
    )


def unpack(
    archive: Path, folder: Path, passed_over: Counter[str], label: str = ""
) -> list[Unpacked] | None:
    """Unpack the images of a ZIP or tar file, compressed or not, into a folder.

    The files get new names, so no member can be written elsewhere. Other members are counted. What
    cannot be read, a member or the rest of a damaged archive, has a code in place of a file.

    Args:
        archive: the file.
        folder: for the unpacked files.
        passed_over: counts the other members by reason.
        label: name of the archive in results; default: its path.

    Returns:
        None if the file is an archive of another kind.

    Raises:
        NanoRayError: see `images`.
        OSError: the unpacked files cannot be written.
    """
    label = label or str(archive)
    found: list[Unpacked] = []
    total = 0
    try:
        for member in images(archive, passed_over):
            target = folder / f"{archive.name[:40]}-{member.number:06d}"
            code = member.code
            if member.stream is not None:
                try:
                    total += _copy(member.head, member.stream, target)
                except Refusal as refusal:
                    code = refusal.code
            # The stated sizes of members are not trusted.
            if total > MAX_TOTAL_BYTES:
                raise _too_large(archive)
            found.append(Unpacked(target, f"{label}/{member.name}", code))
    except NotAnArchive:
        return None
    except Refusal as refusal:
        found.append(Unpacked(archive, label, refusal.code))
    return found or [Unpacked(archive, label, "archive-empty")]


def fault(path: Path) -> str | None:
    """Return the code of a damaged archive, or one without images; None for any other file."""
    code: str | None = "archive-empty"
    try:
        for _ in images(path):
            code = None
    except Refusal as refusal:
        return refusal.code
    except (NotAnArchive, NanoRayError, OSError):
        return None
    return code


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
        except (RuntimeError, NotImplementedError):
            raise Refusal("archive-encrypted") from None
        except _DAMAGE:
            raise Refusal("archive-damaged") from None

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
        while written <= limits.MAX_FILE_BYTES and (block := _read(stream, _BLOCK)):
            out.write(block)
            written += len(block)
    return written


_Contents = tuple[str, int, "IO[bytes] | None", "str | None"]
"""Of a member: name, size, stream, and a code in place of the stream."""


def _zip_members(path: Path) -> Iterator[_Contents]:
    try:
        archive = zipfile.ZipFile(path)
    except (*_DAMAGE, NotImplementedError):
        raise Refusal("archive-damaged") from None
    with archive:
        for info in archive.infolist():
            if info.is_dir():
                continue
            size = min(info.file_size, limits.MAX_FILE_BYTES)
            try:
                stream = archive.open(info)
            except (RuntimeError, NotImplementedError):
                # Of zipfile: a password, or an unknown compression.
                yield info.filename, size, None, "archive-encrypted"
                continue
            except _DAMAGE:
                yield info.filename, size, None, "archive-damaged"
                continue
            with stream:
                yield info.filename, size, stream, None


class _Header(tarfile.TarInfo):
    """A header of a tar file that must be whole.

    tarfile takes a damaged or missing header for the end of the archive, and the members after it
    would be lost without a word.
    """

    @classmethod
    def fromtarfile(cls, tarfile: Any) -> Any:
        """Read the next header."""
        try:
            return super().fromtarfile(tarfile)
        except _BAD_HEADERS as error:
            raise _BadHeader(str(error)) from None


class _BadHeader(tarfile.ReadError):
    pass


_BAD_HEADERS: Final = (
    tarfile.EmptyHeaderError,  # type: ignore[attr-defined]
    tarfile.TruncatedHeaderError,  # type: ignore[attr-defined]
    tarfile.InvalidHeaderError,  # type: ignore[attr-defined]
)


def _begins_like_an_archive(path: Path) -> bool:
    """Return whether a file that opens as neither ZIP nor tar file is a damaged one."""
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
    for beginning, opened in _COMPRESSED:
        if head.startswith(beginning):
            try:
                with opened(path) as stream:
                    return is_tar(stream.read(HEAD_BYTES))
            except _DAMAGE:
                return True
    return head.startswith(b"PK") or is_tar(head)


_COMPRESSED: Final = ((b"\x1f\x8b", gzip.open), (b"BZh", bz2.open), (b"\xfd7zXZ\x00", lzma.open))


def _tar_members(path: Path) -> Iterator[_Contents]:
    try:
        archive = tarfile.open(path, "r:*", tarinfo=_Header)  # noqa: SIM115
    except _DAMAGE:
        if _begins_like_an_archive(path):
            raise Refusal("archive-damaged") from None
        raise NotAnArchive from None
    with archive:
        following = iter(archive)
        while True:
            try:
                info = next(following)
                stream = archive.extractfile(info) if info.isfile() else None
            except StopIteration:
                return
            except _DAMAGE:
                raise Refusal("archive-damaged") from None
            if stream is not None:
                with stream:
                    yield info.name, min(info.size, limits.MAX_FILE_BYTES), stream, None


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

    Their names are found regardless of case and version: Linux shows those of a CD without Rock
    Ridge in lower case, or with ";1". None if the file is not a DICOMDIR, or lists no image.
    """
    if not is_dicomdir(path.name) or path.stat().st_size > limits.MAX_FILE_BYTES:
        return None
    from pydicom import dcmread

    found = []
    listings: dict[Path, dict[str, Path]] = {}
    try:
        with quiet():
            for record in dcmread(path).DirectoryRecordSequence:
                parts = record.get("ReferencedFileID")
                if str(record.DirectoryRecordType).strip() != "IMAGE" or not parts:
                    continue
                names = [parts] if isinstance(parts, str) else [str(part) for part in parts]
                if all(name not in ("", ".", "..") and "/" not in name for name in names):
                    found.append(_on_medium(path.parent, names, listings))
    except Exception:
        return None
    return found or None


def _on_medium(folder: Path, names: list[str], listings: dict[Path, dict[str, Path]]) -> Path:
    """Return the path of a listed file; as listed if there is none."""
    for name in names:
        if folder not in listings:
            listings[folder] = {}
            if folder.is_dir():
                # Sorted, so that of IM1;1 and IM1;2 the last version remains.
                for entry in sorted(folder.iterdir()):
                    listings[folder][plain_name(entry.name)] = entry
        as_listed = folder / name
        known = listings[folder].get(plain_name(name), as_listed)
        folder = as_listed if as_listed.exists() else known
    return folder
