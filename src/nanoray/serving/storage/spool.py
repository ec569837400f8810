"""The spool: accepted files, under names of our own, until nobody needs them."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import shutil
import time
from collections.abc import Collection
from pathlib import Path
from typing import BinaryIO

from nanoray.errors import NanoRayError
from nanoray.serving.storage.tables import new_id

_NAME = re.compile(r"[0-9a-f]{32}")
_FULL = (errno.ENOSPC, errno.EDQUOT)
_PIECE_BYTES = 1 << 19


class StorageFullError(NanoRayError):
    """The disk is full, or nearly so."""

    def __init__(self) -> None:
        super().__init__("there is too little free disk space")


class Draft:
    """A file that is being received: on the disk, but not accepted yet.

    Attributes:
        path: where it is, once something is written.
        size: bytes so far.
    """

    def __init__(self, path: Path) -> None:
        """Begin a file at `path`."""
        self.path = path
        self.size = 0
        self._digest = hashlib.sha256()
        self._unwritten = bytearray()
        self._file: BinaryIO | None = None

    def write(self, data: bytes | memoryview) -> None:
        """Append data, which waits in memory until it is flushed."""
        self._unwritten += data
        self.size += len(data)

    @property
    def full(self) -> bool:
        """Whether it is time to flush: in large pieces, for each costs two system calls."""
        return len(self._unwritten) >= _PIECE_BYTES

    def flush(self) -> None:
        """Write and hash what waits, which takes a millisecond and more.

        Raises:
            StorageFullError: the disk is full.
        """
        try:
            if self._file is None:
                handle = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
                self._file = os.fdopen(handle, "wb")
            self._file.write(self._unwritten)
        except OSError as error:
            raise _translated(error) from None
        self._digest.update(self._unwritten)
        self._unwritten.clear()

    def close(self) -> None:
        """Take note that the content is complete.

        Raises:
            StorageFullError: the disk is full.
        """
        self.flush()
        assert self._file is not None
        try:
            self._file.close()
        except OSError as error:
            raise _translated(error) from None

    def finish(self) -> None:
        """Close the file, and put its content on the disk.

        Raises:
            StorageFullError: the disk is full.
        """
        if self._file is None or not self._file.closed:
            self.close()
        try:
            _sync(self.path, os.O_RDWR)
        except OSError as error:
            raise _translated(error) from None

    @property
    def sha256(self) -> str:
        """SHA-256 of a finished draft's content, in hexadecimal."""
        return self._digest.hexdigest()

    def discard(self) -> None:
        """Remove the draft; what was kept of it stays."""
        try:
            if self._file is not None:
                self._file.close()
        except OSError:
            pass  # what could not be written is not wanted
        finally:
            self.path.unlink(missing_ok=True)


class Spool:
    """A folder of files, each with a name that nothing from outside has a part in."""

    def __init__(self, folder: Path, *, min_free_bytes: int = 0) -> None:
        """Use `folder`, which is created if need be, for this process's user only."""
        self.folder = folder
        self.process = new_id()
        self._files = folder / "files"
        self._lost = folder / "lost"
        # Of this process alone: what it receives is no other's to remove.
        self._drafts = folder / "drafts" / self.process
        self._min_free_bytes = min_free_bytes
        for part in (folder, self._files, self._drafts):
            part.mkdir(mode=0o700, parents=True, exist_ok=True)

    def path(self, name: str) -> Path:
        """Path of the file with an id of `nanoray.serving.storage.tables.new_id`."""
        if not _NAME.fullmatch(name):
            raise ValueError("not a name of the spool")
        return self._files / name

    def draft(self) -> Draft:
        """Begin a file.

        Raises:
            StorageFullError: the disk is nearly full.
        """
        self.check()
        return Draft(self._drafts / new_id())

    def keep(self, draft: Draft, name: str) -> None:
        """Keep a finished draft under a name, too; it is safe after `sync`.

        Raises:
            StorageFullError: the disk is full.
        """
        try:
            _link(draft.path, self.path(name))
        except OSError as error:
            raise _translated(error) from None

    def sync(self) -> None:
        """Put the names of kept files on the disk: the files then outlive a power cut.

        Raises:
            StorageFullError: the disk is full.
        """
        if os.name == "nt":
            return  # Windows opens no folders
        try:
            _sync(self._files, os.O_RDONLY)
        except OSError as error:
            raise _translated(error) from None

    def write(self, name: str, data: bytes) -> None:
        """Write a whole file, replacing an earlier one of that name.

        Raises:
            StorageFullError: the disk is full.
        """
        draft = Draft(self._drafts / new_id())
        try:
            draft.write(data)
            draft.finish()
            draft.path.replace(self.path(name))
            self.sync()
        except OSError as error:
            raise _translated(error) from None
        finally:
            draft.discard()

    def remove(self, name: str) -> None:
        """Remove a file, if it is there."""
        self.path(name).unlink(missing_ok=True)

    def names(self) -> set[str]:
        """Names of all files."""
        return {entry.name for entry in os.scandir(self._files) if _NAME.fullmatch(entry.name)}

    def clean(self, alive: Collection[str] = ()) -> None:
        """Remove what processes that were killed had not finished receiving.

        Args:
            alive: processes whose drafts stay, besides this one's.
        """
        for entry in os.scandir(self._drafts.parent):
            if not entry.is_dir():
                Path(entry.path).unlink(missing_ok=True)
            elif entry.name != self.process and entry.name not in alive:
                shutil.rmtree(entry.path, ignore_errors=True)

    def set_aside(self, name: str) -> None:
        """Move a file that no row knows to the folder `lost`: it may be somebody's radiograph."""
        self._lost.mkdir(mode=0o700, exist_ok=True)
        self.path(name).replace(self._lost / name)

    def age(self, name: str) -> float:
        """Return the seconds since a file was put here, 0 if it is gone."""
        try:
            return max(0.0, time.time() - self.path(name).stat().st_ctime)
        except OSError:
            return 0.0

    def lost(self) -> int:
        """Return how many files were set aside."""
        return sum(1 for _ in os.scandir(self._lost)) if self._lost.is_dir() else 0

    def close(self) -> None:
        """Remove the folder of this process's drafts."""
        shutil.rmtree(self._drafts, ignore_errors=True)

    def check(self) -> None:
        """Raise StorageFullError if there is too little free space to accept files."""
        if shutil.disk_usage(self._files).free < self._min_free_bytes:
            raise StorageFullError


def _link(draft: Path, path: Path) -> None:
    try:
        os.link(draft, path)
    except OSError as error:
        if error.errno in _FULL or isinstance(error, FileExistsError):
            raise
        # A file system without hard links.
        shutil.copyfile(draft, path)


def _sync(path: Path, flags: int) -> None:
    """Put a file's content, or the names in a folder, on the disk."""
    handle = os.open(path, flags)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _translated(error: OSError) -> Exception:
    return StorageFullError() if error.errno in _FULL else error
