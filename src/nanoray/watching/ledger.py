"""The ledger of results: a small database, so that each content is screened exactly once.

It contains no file names: a file's path is stored as a hash, and a result only until it is written.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from nanoray.errors import NanoRayError

_TABLES = """
create table if not exists judged (
  content text primary key,  -- SHA-256 of the file
  at text not null,          -- when, ISO 8601, UTC
  pending text               -- the result as JSON until it is written, then null
) without rowid;
create table if not exists seen (
  place text primary key,    -- SHA-256 of the path in the folder
  size integer not null,
  changed integer not null,  -- modification time, ns
  content text not null
) without rowid;
"""


@dataclass(frozen=True, slots=True)
class State:
    """Size in bytes and modification time in nanoseconds of a file."""

    size: int
    changed: int


@dataclass(frozen=True, slots=True)
class Pending:
    """A result that may not yet be written."""

    content: str
    at: datetime
    record: dict[str, Any]


class Ledger:
    """The database of one watched folder, locked by one process at a time."""

    def __init__(self, path: Path) -> None:
        """Open or create it.

        Raises:
            NanoRayError: another process has locked it, or the file is not a ledger.
        """
        try:
            self._connection = sqlite3.connect(
                path, isolation_level=None, timeout=1.0, check_same_thread=False
            )
            self._connection.execute("pragma locking_mode = exclusive")
            self._connection.execute("pragma synchronous = full")
            self._connection.execute("begin exclusive")
            for statement in _TABLES.split(";"):
                self._connection.execute(statement)
            self._connection.execute("commit")
        except sqlite3.OperationalError as error:
            reason = "another nanoray watch uses it" if "locked" in str(error) else str(error)
            raise NanoRayError(f"{path}: {reason}") from None
        except sqlite3.DatabaseError:
            raise NanoRayError(
                f"{path}: not a ledger of nanoray watch; remove or rename it"
            ) from None
        path.chmod(0o600)

    def close(self) -> None:
        """Close the database."""
        self._connection.close()

    def content_at(self, place: str, state: State) -> str | None:
        """Return the content of an unchanged file, as recorded by `see`."""
        row = self._connection.execute(
            "select content from seen where place = ? and size = ? and changed = ?",
            (_hidden(place), state.size, state.changed),
        ).fetchone()
        return None if row is None else str(row[0])

    def see(self, place: str, state: State, content: str) -> None:
        """Record the content of a file, so that it need not be read again."""
        self._connection.execute(
            "insert or replace into seen values (?, ?, ?, ?)",
            (_hidden(place), state.size, state.changed, content),
        )

    def is_judged(self, content: str) -> bool:
        """Return whether this content has a result."""
        query = "select 1 from judged where content = ?"
        return self._connection.execute(query, (content,)).fetchone() is not None

    def judge(self, content: str, at: datetime, record: dict[str, Any]) -> None:
        """Record a result before it is written to a file."""
        self._connection.execute(
            "insert into judged values (?, ?, ?)",
            (content, at.isoformat(), json.dumps(record, allow_nan=False)),
        )

    def pending(self) -> Iterator[Pending]:
        """Return the results without a confirmed write, the oldest first."""
        query = "select content, at, pending from judged where pending is not null order by at"
        for content, at, record in self._connection.execute(query).fetchall():
            yield Pending(content, datetime.fromisoformat(at), json.loads(record))

    def wrote(self, content: str) -> None:
        """Record that a result is written, and delete it from the ledger."""
        self._connection.execute("update judged set pending = null where content = ?", (content,))


def _hidden(place: str) -> str:
    return hashlib.sha256(place.encode("utf-8", "surrogateescape")).hexdigest()
