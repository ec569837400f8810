"""The database: connections, transactions and migrations."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.orm import Session

from nanoray.errors import NanoRayError

_WRITES = "nanoray_writes"
_MIGRATIONS = Path(__file__).parent / "migrations"


class DatabaseUnavailableError(NanoRayError):
    """The database does not answer, or refuses to write."""

    def __init__(self, message: str = "the database is not available") -> None:
        super().__init__(message)


class Database:
    """A database by its URL; thread-safe."""

    def __init__(self, url: str) -> None:
        """Prepare without a connection."""
        try:
            parsed = make_url(url)
        except SQLAlchemyError:
            # The URL may contain a password, so it is not repeated.
            raise NanoRayError("the database URL is malformed") from None
        if parsed.drivername in ("postgresql", "postgres"):
            parsed = parsed.set(drivername="postgresql+psycopg")
        if parsed.get_backend_name() not in ("postgresql", "sqlite"):
            raise NanoRayError(
                f"a database of {parsed.get_backend_name()} is not supported; give a URL that "
                "begins with postgresql:// or sqlite://"
            )
        self.url = parsed
        self.is_sqlite = parsed.get_backend_name() == "sqlite"
        if self.is_sqlite and parsed.database not in (None, "", ":memory:"):
            _protect(Path(str(parsed.database)))
        options: dict[str, Any] = {"pool_pre_ping": True, "hide_parameters": True}
        if self.is_sqlite:
            options["connect_args"] = {"timeout": 30}
        else:
            options |= {"pool_size": 8, "max_overflow": 8, "pool_timeout": 10}
            options["connect_args"] = {"connect_timeout": 5}
        try:
            self.engine: Engine = create_engine(parsed, **options)
        except (SQLAlchemyError, ImportError) as error:
            raise NanoRayError(f"cannot use this database: {type(error).__name__}") from None
        # SQLite has one writer at a time; a lock is fairer than its polling.
        self._turn: AbstractContextManager[Any] = (
            threading.Lock() if self.is_sqlite else nullcontext()
        )
        if self.is_sqlite:
            event.listen(self.engine, "connect", _prepare_sqlite)
            event.listen(self.engine, "begin", _begin_sqlite)

    @property
    def name(self) -> str:
        """The database's address without its password, for messages."""
        return self.url.set(
            drivername=self.url.get_backend_name(), password=None
        ).render_as_string()

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """Provide a session for queries.

        Raises:
            DatabaseUnavailableError: the database does not answer.
        """
        with _translated(), Session(self.engine, expire_on_commit=False) as session:
            yield session

    @contextmanager
    def writing(self) -> Iterator[Session]:
        """Provide a transaction, committed at the end of the block; rolled back if it raises.

        Raises:
            DatabaseUnavailableError: the database does not answer or cannot write.
        """
        with (
            _translated(),
            self._turn,
            self.engine.connect().execution_options(**{_WRITES: True}) as connection,
            Session(connection, expire_on_commit=False) as session,
            session.begin(),
        ):
            yield session

    def check(self) -> None:
        """Raise DatabaseUnavailableError if the database does not answer."""
        with self.reading() as session:
            session.execute(text("SELECT 1"))

    def migrate(self) -> None:
        """Migrate the tables to this version; several processes may do so concurrently.

        Raises:
            DatabaseUnavailableError: the database does not answer.
        """
        with _translated(), self._turn, self.engine.connect() as connection:
            if not self.is_sqlite:
                connection.execute(text("SELECT pg_advisory_lock(4711)"))
                connection.commit()
            try:
                self._upgrade(connection.execution_options(**{_WRITES: True}))
            finally:
                if not self.is_sqlite:
                    connection.execute(text("SELECT pg_advisory_unlock(4711)"))
                    connection.commit()

    def _upgrade(self, connection: Connection) -> None:
        config = Config()
        config.set_main_option("script_location", str(_MIGRATIONS))
        config.attributes["connection"] = connection
        # SQLite alters a table by copying and dropping it, which would delete referring rows.
        self._enforce(connection, False)
        try:
            with connection.begin():
                command.upgrade(config, "head")
        finally:
            self._enforce(connection, True)

    def _enforce(self, connection: Connection, enforce: bool) -> None:
        if self.is_sqlite:
            driver: Any = connection.connection.driver_connection
            driver.execute(f"PRAGMA foreign_keys={'ON' if enforce else 'OFF'}")

    def close(self) -> None:
        """Close all connections."""
        self.engine.dispose()


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except PoolTimeoutError:
        raise DatabaseUnavailableError from None
    except DBAPIError as error:
        # A violated constraint is a defect or a race of NanoRay, not an unreachable database.
        if type(error).__name__ == "IntegrityError":
            raise
        raise DatabaseUnavailableError from None


def _protect(path: Path) -> None:
    """Restrict a database file to its owner; its log files inherit the mode."""
    try:
        if not path.exists():
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
        elif path.stat().st_mode & 0o077:
            path.chmod(0o600)
    except OSError:
        return  # another owner, or read-only: the database will report it


def _prepare_sqlite(connection: Any, _: Any) -> None:
    # Transactions are begun below, not by the driver's rules.
    connection.isolation_level = None
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode=WAL")
    # A commit is on the disk when it returns, so accepted work survives a power cut.
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.execute("PRAGMA foreign_keys=ON")
    # Deleted results are overwritten in the file.
    cursor.execute("PRAGMA secure_delete=ON")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    # A writing transaction takes the lock at its start, since it cannot do so later.
    writes = connection.get_execution_options().get(_WRITES)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
