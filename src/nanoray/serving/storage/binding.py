"""Binding of a data folder to its database, and to one service at a time.

The store's id is in the database and in the spool. A database without the files of the spool is
another one, or empty; a start with it would lose accepted files.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

from sqlalchemy import delete, select, text

from nanoray.errors import NanoRayError
from nanoray.files import written_whole
from nanoray.serving.storage.database import Database
from nanoray.serving.storage.spool import Spool
from nanoray.serving.storage.tables import PredictionRow, ReportRow, StoreRow, new_id

_IDENTITY: Final = "store.id"


class StoreMismatchError(NanoRayError):
    """The database and the spool have different ids."""


@contextmanager
def locked(folder: Path, *, shared: bool) -> Iterator[None]:
    """Lock a data folder, exclusively or shared by processes with the same database.

    Raises:
        NanoRayError: another process has locked it.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            _lock(handle, shared)
        except OSError:
            raise NanoRayError(
                f"{folder}: another NanoRay service uses this folder. Stop it, or give this one "
                "another --data; several processes share a folder only with PostgreSQL (--database)"
            ) from None
        yield
    finally:
        os.close(handle)


def _lock(handle: int, shared: bool) -> None:
    try:
        import fcntl
    except ImportError:  # Windows
        import msvcrt

        lock: Any = msvcrt
        lock.locking(handle, lock.LK_NBLCK, 1)
    else:
        fcntl.flock(handle, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)


@contextmanager
def passing_folder() -> Iterator[Path]:
    """Make a folder in memory (/dev/shm) if possible, and remove it at the end.

    Folders of killed services are removed first.
    """
    shared = Path("/dev/shm")
    parent = shared if shared.is_dir() else Path(tempfile.gettempdir())
    for left in parent.glob("nanoray-*"):
        if (left / "nanoray.db").is_file():
            with suppress(OSError, NanoRayError), locked(left, shared=False):
                shutil.rmtree(left)
    folder = Path(tempfile.mkdtemp(prefix="nanoray-", dir=parent))
    try:
        with locked(folder, shared=False):
            yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def identity_of(spool: Spool) -> str | None:
    """Return the id of a spool."""
    path = spool.folder / _IDENTITY
    return path.read_text("ascii").strip() if path.is_file() else None


def bind(database: Database, spool: Spool, *, force: bool = False) -> str:
    """Check that a database and a spool have the same id, and return it.

    A store without an id (new, of an earlier version, or a restored backup) gets one if the
    database contains its files.

    Args:
        database: with its tables.
        spool: of the same store.
        force: bind them regardless of their contents.

    Raises:
        StoreMismatchError: the ids differ; nothing was changed.
        DatabaseUnavailableError: the database does not answer.
    """
    with database.writing() as session:
        if not database.is_sqlite:
            # Several processes may start concurrently: one after the other.
            session.execute(text("SELECT pg_advisory_xact_lock(4712)"))
        row = session.scalars(select(StoreRow).limit(1)).one_or_none()
        there, here = row.id if row is not None else None, identity_of(spool)
        if not force and (there is None or there != here):
            _check(database, spool, there, here, _knows(session, spool.names()))
        name = here or there or new_id()
        if there != name:
            session.execute(delete(StoreRow))
            session.add(StoreRow(id=name))
    if here != name:
        with written_whole(spool.folder / _IDENTITY) as file:
            file.write(name)
    return name


def _knows(session: Any, names: set[str]) -> tuple[int, int, int]:
    """Count the files of the spool, those in the database, and the database's rows."""
    known = set(session.scalars(select(PredictionRow.id)))
    rows = len(known)
    for objects in session.scalars(select(ReportRow.objects)):
        known.update(objects)
    return len(names), len(names & known), rows


def _check(
    database: Database,
    spool: Spool,
    there: str | None,
    here: str | None,
    counts: tuple[int, int, int],
) -> None:
    files, known, rows = counts
    # A spool without files and a database without results may be bound to any other.
    if files == 0 and (rows == 0 or there is None):
        return
    if known > 0 and (there is None or here is None):
        return
    raise StoreMismatchError(
        f"{spool.folder} holds {files} files, of which {database.name} knows {known}: this is "
        "not the database of this folder. Nothing was changed. Start with the database that "
        "belongs to it (--database or NANORAY_DATABASE); or give an empty --data folder; or move "
        "the store: nanoray store move --data DIR --to postgresql://...; or, if one of them is "
        "lost for good: nanoray store bind --data DIR, which sets unknown files aside in "
        f"{spool.folder / 'lost'}"
    )
