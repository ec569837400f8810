"""Radiographs inside other things: ZIP and tar archives, DICOMDIR, and standard input."""

from __future__ import annotations

import lzma
import sys
import tarfile
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from nanoray.errors import NanoRayError
from nanoray.files import printable
from nanoray.reading import limits
from nanoray.reading.file_kind import HEAD_BYTES, is_image, kind_of
from nanoray.reading.quiet import quiet

MAX_MEMBERS: Final = 20_000
"""Files of an archive; with more it is to be unpacked by its owner."""
MAX_TOTAL_BYTES: Final = 8 * 1024 * limits.MIB
"""All files of an archive together, unpacked."""
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
    """A file that was unpacked.

    Attributes:
        path: where it lies now.
        name: what it is called in results: the archive's path, "/", and its path in there.
    """

    path: Path
    name: str


def unpack(archive: Path, folder: Path, passed_over: Counter[str]) -> list[Unpacked] | None:
    """Unpack the images of a ZIP or tar file, compressed or not, into a folder.

    Their names are made anew, so that no member lands anywhere else. Other members are counted.

    Returns:
        None if the file is an archive of another kind.

    Raises:
        NanoRayError: the archive is damaged, encrypted, or exceeds `MAX_MEMBERS` or
            `MAX_TOTAL_BYTES`.
    """
    members = _zip_members if zipfile.is_zipfile(archive) else _tar_members
    found: list[Unpacked] = []
    total = 0
    try:
        for number, (name, size, stream) in enumerate(members(archive)):
            if number >= MAX_MEMBERS or total + size > MAX_TOTAL_BYTES:
                raise NanoRayError(
                    f"{printable(str(archive))}: holds more than {MAX_MEMBERS:,} files or "
                    f"{MAX_TOTAL_BYTES // limits.MIB:,} MiB; unpack it first"
                )
            head = stream.read(HEAD_BYTES)
            if not is_image(kind_of(head)):
                passed_over["not an image"] += 1
                continue
            target = folder / f"{archive.name[:40]}-{number:06d}"
            total += _copy(head, stream, target)
            found.append(Unpacked(target, f"{archive}/{name}"))
    except tarfile.ReadError:
        if found or total:
            raise NanoRayError(f"{printable(str(archive))}: the archive is damaged") from None
        return None
    except NanoRayError:
        raise
    except _DAMAGE as error:
        raise NanoRayError(f"{printable(str(archive))}: the archive is damaged") from error
    except (RuntimeError, NotImplementedError):
        # Of zipfile: a password, or a compression that Python does not know.
        raise NanoRayError(
            f"{printable(str(archive))}: the archive is encrypted or of an unknown compression"
        ) from None
    return found


def _copy(head: bytes, stream: IO[bytes], target: Path) -> int:
    """Write a member, one byte over the limit on files at most: the reader then refuses it."""
    written = len(head)
    with target.open("wb") as out:
        out.write(head)
        # What a member states of its size is not believed.
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
    """Write what comes on the standard input to a file, cut one byte over the limit on files.

    Raises:
        NanoRayError: nothing came.
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

    None if the file is no DICOMDIR, or lists none.
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
