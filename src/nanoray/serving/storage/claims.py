"""Claims of work, so that several processes on one database do not repeat work.

Each process updates its heartbeat by the clock of the database. The claims of a silent process
expire. With SQLite there is one process, and all claims before its start are free.
"""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import delete, select, text, update
from sqlalchemy.orm import Session

from nanoray.serving.storage.database import Database
from nanoray.serving.storage.tables import (
    QUEUED,
    DeliveryRow,
    PredictionRow,
    ProcessRow,
    ReportRow,
    now,
)

BEAT_SECONDS: Final = 3.0
SILENT_SECONDS: Final = 20.0
"""Seconds of silence after which a process counts as dead; longer than short database failures."""

Claimable = type[ReportRow] | type[DeliveryRow]


class Claims:
    """The claims of one process."""

    def __init__(self, database: Database, process: str) -> None:
        """Claim work in a database under the name of a process."""
        self._database = database
        self.process = process

    def join(self) -> None:
        """Start; free the claims of dead processes."""
        if self._database.is_sqlite:
            with self._database.writing() as session:
                for row in (PredictionRow, ReportRow, DeliveryRow):
                    session.execute(
                        update(row).where(row.claimed_by.is_not(None)).values(claimed_by=None)
                    )
        else:
            self.beat()

    def beat(self) -> int:
        """Update the heartbeat, and free the claims of dead processes.

        Returns:
            The number of silent processes.
        """
        if self._database.is_sqlite:
            return 0
        moment = text("now()")
        with self._database.writing() as session:
            seen: Any = session.execute(
                update(ProcessRow).where(ProcessRow.id == self.process).values(seen_at=moment)
            )
            if not seen.rowcount:
                session.add(ProcessRow(id=self.process, seen_at=now()))
                session.flush()
                session.execute(
                    update(ProcessRow).where(ProcessRow.id == self.process).values(seen_at=moment)
                )
            silent = list(
                session.scalars(
                    select(ProcessRow.id)
                    .where(
                        ProcessRow.id != self.process,
                        ProcessRow.seen_at < text(f"now() - interval '{SILENT_SECONDS} seconds'"),
                    )
                    .with_for_update(skip_locked=True)
                )
            )
            for name in silent:
                _free(session, name)
        return len(silent)

    def leave(self) -> None:
        """Free the claims of this process for others."""
        if not self._database.is_sqlite:
            with self._database.writing() as session:
                _free(session, self.process)

    def take(self, session: Session, row: Claimable, name: str) -> bool:
        """Claim a report or a delivery; False if another process has claimed it."""
        taken: Any = session.execute(
            update(row)
            .where(row.id == name, row.claimed_by.is_(None))
            .values(claimed_by=self.process)
        )
        return bool(taken.rowcount)

    def take_predictions(self, limit: int) -> list[tuple[int, str]]:
        """Claim waiting files by priority and age; return priority and id of each."""
        with self._database.writing() as session:
            rows = session.execute(
                select(PredictionRow.priority, PredictionRow.id)
                .where(PredictionRow.status == QUEUED, PredictionRow.claimed_by.is_(None))
                .order_by(PredictionRow.priority, PredictionRow.created_at)
                .limit(limit)
                .with_for_update(skip_locked=True)
            )
            found = [(priority, name) for priority, name in rows]
            if found:
                session.execute(
                    update(PredictionRow)
                    .where(PredictionRow.id.in_([name for _, name in found]))
                    .values(claimed_by=self.process)
                )
        return found


def _free(session: Session, process: str) -> None:
    for row in (PredictionRow, ReportRow, DeliveryRow):
        session.execute(update(row).where(row.claimed_by == process).values(claimed_by=None))
    session.execute(delete(ProcessRow).where(ProcessRow.id == process))
