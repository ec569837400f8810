"""Moving a store from one database to another, in one transaction."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

from sqlalchemy import func, insert, select

from nanoray.errors import NanoRayError
from nanoray.serving.storage.binding import bind, locked
from nanoray.serving.storage.database import Database
from nanoray.serving.storage.spool import Spool
from nanoray.serving.storage.tables import Base, PredictionRow, ProcessRow, StoreRow

_ROWS: Final = 500


def move(
    data: Path, target_url: str, *, progress: Callable[[str, int], None] = lambda *_: None
) -> dict[str, int]:
    """Move a data folder's store from its SQLite database to another one.

    The rows are copied in one transaction and counted. Then the old file is renamed to
    `nanoray.db.moved`, so no service starts with it by mistake. The spool is not moved.

    Args:
        data: data folder of a stopped service.
        target_url: of an empty database.
        progress: called with a table's name and the number of copied rows.

    Returns:
        The number of rows of each table.

    Raises:
        NanoRayError: the service runs, the source is missing, or the target is not empty.
        DatabaseUnavailableError: the target does not answer; nothing was changed.
    """
    path = data / "nanoray.db"
    if not path.is_file():
        raise NanoRayError(f"{path}: no such file; there is no SQLite store to move")
    with locked(data, shared=False):
        source, target = Database(f"sqlite:///{path.absolute()}"), Database(target_url)
        spool = Spool(data / "spool")
        try:
            if target.is_sqlite and Path(str(target.url.database)).absolute() == path.absolute():
                raise NanoRayError("the target is the same as the source")
            source.migrate()
            bind(source, spool)
            target.migrate()
            counts = _copy(source, target, progress)
        finally:
            spool.close()
            source.close()
            target.close()
        # Closing merged the write-ahead log into the file.
        path.rename(path.with_name("nanoray.db.moved"))
        for suffix in ("-wal", "-shm"):
            Path(f"{path}{suffix}").unlink(missing_ok=True)
    return counts


def _copy(
    source: Database, target: Database, progress: Callable[[str, int], None]
) -> dict[str, int]:
    tables = [table for table in Base.metadata.sorted_tables if table.name != "processes"]
    counts: dict[str, int] = {}
    with source.reading() as old, target.writing() as new:
        for row in (PredictionRow, StoreRow, ProcessRow):
            if new.scalar(select(func.count()).select_from(row)):
                raise NanoRayError(
                    f"{target.name} is not empty: give an empty database. Nothing was moved"
                )
        for table in tables:
            counts[table.name] = 0
            # A key may already exist in the new database.
            known = set(new.scalars(select(table.c.id))) if table.name == "api_keys" else set()
            rows = old.execute(select(table).execution_options(yield_per=_ROWS))
            for part in rows.partitions(_ROWS):
                fresh = [row._asdict() for row in part if not known or row.id not in known]
                if fresh:
                    new.execute(insert(table), fresh)
                counts[table.name] += len(part)
                progress(table.name, counts[table.name])
        new.flush()
        for table in tables:
            copied = new.scalar(select(func.count()).select_from(table)) or 0
            if copied < counts[table.name]:
                raise NanoRayError(f"only {copied} of {counts[table.name]} rows of {table.name}")
    return counts
