"""Notifications of finished files between processes on PostgreSQL (LISTEN, NOTIFY)."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Sequence
from typing import Any, Final

from sqlalchemy import text
from sqlalchemy.orm import Session

from nanoray.serving.journal import log_error
from nanoray.serving.storage.database import Database

_CHANNEL: Final = "nanoray"
_PAUSE_SECONDS: Final = 2.0
# A payload has at most 8,000 bytes.
_NAMES: Final = 200


def tell(session: Session, process: str, names: Sequence[str]) -> None:
    """Notify other processes of finished files when the transaction is committed."""
    for start in range(0, len(names), _NAMES):
        payload = json.dumps([process, names[start : start + _NAMES]])
        session.execute(
            text("SELECT pg_notify(:channel, :payload)").bindparams(
                channel=_CHANNEL, payload=payload
            )
        )


class News(threading.Thread):
    """Receives the notifications of other processes."""

    def __init__(
        self, database: Database, process: str, heard: Callable[[Sequence[str]], None]
    ) -> None:
        """Call `heard` with the ids of files that others finished; at the start with none."""
        super().__init__(name="nanoray-news", daemon=True)
        self._database = database
        self._process = process
        self._heard = heard
        self._stopping = threading.Event()

    def run(self) -> None:
        """Listen, over a connection that is re-established when it breaks."""
        while not self._stopping.is_set():
            try:
                self._listen()
            except Exception as error:
                if not self._stopping.is_set():
                    log_error("listening to other processes failed", error)
            self._stopping.wait(_PAUSE_SECONDS)

    def _listen(self) -> None:
        import psycopg

        url = self._database.url.set(drivername="postgresql")
        with psycopg.connect(
            url.render_as_string(hide_password=False), autocommit=True, connect_timeout=5
        ) as connection:
            connection.execute(f"LISTEN {_CHANNEL}")
            # Notifications may have been missed.
            self._heard([])
            while not self._stopping.is_set():
                for notice in connection.notifies(timeout=1.0):
                    self._take(notice.payload)

    def _take(self, payload: str) -> None:
        process, names = _parsed(payload)
        if process != self._process:
            self._heard(names)

    def stop(self) -> None:
        """Stop listening."""
        self._stopping.set()
        if self.ident is not None:
            self.join(10)


def _parsed(payload: str) -> tuple[str, list[str]]:
    try:
        value: Any = json.loads(payload)
        process, names = value
        return str(process), [str(name) for name in names]
    except (ValueError, TypeError):
        return "", []
