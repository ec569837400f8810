"""A real PostgreSQL server for the tests of serving, where its programs are installed."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

_PATIENCE = 180


class PostgreSQL:
    """A server of our own, on a socket in a folder of its own, run by a user who is not root."""

    def __init__(self, programs: Path, folder: Path) -> None:
        """Make the server's files; `folder` is the server's user's."""
        self._programs = programs
        self._data = folder / "data"
        self._folder = folder
        self._run("initdb", "-D", self._data, "-A", "trust", "-U", "nanoray", "-N")

    def _run(self, program: str, *arguments: object) -> None:
        who: dict[str, Any] = {}
        if os.geteuid() == 0:
            who = {"user": "postgres", "group": "postgres"}
        with (self._folder / "output").open("ab") as output:
            done = subprocess.run(
                [str(self._programs / program), *map(str, arguments)],
                stdout=output,
                stderr=output,
                cwd="/",
                check=False,
                timeout=_PATIENCE,
                **who,
            )
        if done.returncode:
            raise AssertionError(program + ": " + (self._folder / "output").read_text()[-2000:])

    def start(self) -> None:
        """Start, and wait until it answers."""
        # Durability against power cuts is the server's affair, and slow.
        options = f"-k {self._folder} -c listen_addresses= -c fsync=off -c max_connections=60"
        log = self._folder / "log"
        self._run(
            "pg_ctl", "-D", self._data, "-w", "-t", _PATIENCE, "-l", log, "-o", options, "start"
        )

    def stop(self) -> None:
        """Stop at once, as a crash would."""
        self._run("pg_ctl", "-D", self._data, "-w", "-t", _PATIENCE, "-m", "immediate", "stop")

    def create(self) -> str:
        """Make a database, and give its URL."""
        import psycopg

        name = f"t{uuid4().hex}"
        with psycopg.connect(
            host=str(self._folder), user="nanoray", dbname="postgres", autocommit=True
        ) as connection:
            connection.execute(f'CREATE DATABASE "{name}"'.encode())
        return f"postgresql://nanoray@/{name}?host={self._folder}"


def _programs() -> Path | None:
    found = shutil.which("initdb")
    if found and (Path(found).resolve().parent / "pg_ctl").exists():
        return Path(found).resolve().parent
    versions = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    return versions[-1].parent if versions else None


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgreSQL]:
    """Provide a running server."""
    programs = _programs()
    if programs is None:
        pytest.skip("needs PostgreSQL's server: apt-get install postgresql")
    pytest.importorskip("psycopg")
    # Short, for the socket's path has at most 107 bytes; and not below a folder of root's.
    folder = Path(tempfile.mkdtemp(prefix="nrpg-", dir="/tmp"))
    if os.geteuid() == 0:
        try:
            shutil.chown(folder, "postgres", "postgres")
        except LookupError:
            folder.rmdir()
            pytest.skip("PostgreSQL does not run as root, and there is no user postgres")
    try:
        server = PostgreSQL(programs, folder)
        server.start()
        try:
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
