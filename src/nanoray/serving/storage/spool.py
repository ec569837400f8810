"""The spool: accepted files, under random names, until they are deleted."""

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
    """The disk is full, or nearly full."""

    def __init__(self) -> None:
        super().__init__("there is too little free disk space")


class Draft:
    """A file during its reception: on the disk, but not yet accepted.

    Attributes:
        path: of the file, after the first write.
        size: received bytes.
    """

    def __init__(self, path: Path) -> None:
        """Begin a file at `path`."""
        self.path = path
        self.size = 0
        self._digest = hashlib.sha256()
        self._unwritten = bytearray()
        self._file: BinaryIO | None = None

    def write(self, data: bytes | memoryview) -> None:
        """Append data to a buffer, which `flush` writes."""
        self._unwritten += data
        self.size += len(data)

    @property
    def full(self) -> bool:
        """Whether to flush; in large pieces, since each needs two system calls."""
        return len(self._unwritten) >= _PIECE_BYTES

    def flush(self) -> None:
        """Write and hash the buffer, which takes a millisecond or more.

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
        """Record that the content is complete.

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
        """Close the file, and sync its content to the disk.

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
        """Remove the draft; a kept file remains."""
        try:
            if self._file is not None:
                self._file.close()
        except OSError:
            pass  # a failed write is not needed
        finally:
            self.path.unlink(missing_ok=True)


class Spool:
    """A folder of files with random names."""

    def __init__(self, folder: Path, *, min_free_bytes: int = 0) -> None:
        """Use `folder`, created if needed, readable only by this process's user."""
        self.folder = folder
        self.process = new_id()
        self._files = folder / "files"
        self._lost = folder / "lost"
        # A folder per process, so that others do not remove its drafts.
        self._drafts = folder / "drafts" / self.process
        self._min_free_bytes = min_free_bytes
        for part in (folder, self._files, self._drafts):
            part.mkdir(mode=0o700, parents=True, exist_ok=True)

    def path(self, name: str) -> Path:
        """Return the path of the file with an id of `nanoray.serving.storage.tables.new_id`."""
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
        """Keep a finished draft under a name; it is on the disk after `sync`.

        Raises:
            StorageFullError: the disk is full.
        """
        try:
            _link(draft.path, self.path(name))
        except OSError as error:
            raise _translated(error) from None

    def sync(self) -> None:
        """Sync the names of kept files to the disk, so they survive a power cut.

        Raises:
            StorageFullError: the disk is full.
        """
        if os.name == "nt":
            return  # Windows cannot open folders
        try:
            _sync(self._files, os.O_RDONLY)
        except OSError as error:
            raise _translated(error) from None

    def write(self, name: str, data: bytes) -> None:
        """Write a file, replacing an earlier one of that name.

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
        """Remove a file, if it exists."""
        self.path(name).unlink(missing_ok=True)

    def names(self) -> set[str]:
        """Return the names of all files."""
        return {entry.name for entry in os.scandir(self._files) if _NAME.fullmatch(entry.name)}

    def clean(self, alive: Collection[str] = ()) -> None:
        """Remove the drafts of killed processes.

        Args:
            alive: other processes whose drafts are kept.
        """
        for entry in os.scandir(self._drafts.parent):
            if not entry.is_dir():
                Path(entry.path).unlink(missing_ok=True)
            elif entry.name != self.process and entry.name not in alive:
                shutil.rmtree(entry.path, ignore_errors=True)

    def set_aside(self, name: str) -> None:
        """Move a file without a row to the folder `lost`, since it may be a radiograph."""
        self._lost.mkdir(mode=0o700, exist_ok=True)
        self.path(name).replace(self._lost / name)

    def age(self, name: str) -> float:
        """Return the age of a file in seconds, 0 if it does not exist."""
        try:
            return max(0.0, time.time() - self.path(name).stat().st_ctime)
        except OSError:
            return 0.0

    def lost(self) -> int:
        """Return the number of files in `lost`."""
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
    """Sync a file's content, or the names in a folder, to the disk."""
    handle = os.open(path, flags)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _translated(error: OSError) -> Exception:
    return StorageFullError() if error.errno in _FULL else error
