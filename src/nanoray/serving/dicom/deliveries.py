"""Deliveries of reports, with a worker for each destination.

A destination that hangs does not block others. A failed delivery is retried for days, then marked
dead. Deliveries can be listed, retried and cancelled.
"""

from __future__ import annotations

import threading
from datetime import timedelta
from functools import partial
from typing import Any, Final

from sqlalchemy import ColumnElement, func, or_, select, update
from sqlalchemy.orm import aliased

from nanoray.serving.audit import Audit, Entry, Event
from nanoray.serving.dicom.commitment import Commitments
from nanoray.serving.dicom.delivery_error import DeliveryError
from nanoray.serving.dicom.destinations import Destination, DicomDestination
from nanoray.serving.dicom.settings import NodeSettings, pause
from nanoray.serving.journal import log, log_error
from nanoray.serving.metrics import Metrics
from nanoray.serving.storage.database import DatabaseUnavailableError
from nanoray.serving.storage.store import Store
from nanoray.serving.storage.tables import (
    CANCELLED,
    DEAD,
    DELIVERED,
    DUE,
    PENDING,
    REQUESTED,
    UNANSWERED,
    DeliveryRow,
    ReportRow,
    now,
)

_POLL_SECONDS: Final = 1.0
_STOP_SECONDS: Final = 15.0
_CLOCK_SLACK: Final = timedelta(minutes=5)


class Deliveries:
    """Delivers reports to their destinations."""

    def __init__(
        self, store: Store, metrics: Metrics, settings: NodeSettings, audit: Audit
    ) -> None:
        """Prepare; `add` adds the destinations."""
        self._audit = audit
        self._store = store
        self._metrics = metrics
        self._settings = settings
        self._stopping = threading.Event()
        self._workers: list[_Worker] = []
        self.commitments = Commitments(store, settings)
        self.commitments.refused = self.wake
        for name, words, status in (
            ("nanoray_pending_deliveries", "Deliveries that wait or are retried.", PENDING),
            ("nanoray_dead_deliveries", "Dead deliveries.", DEAD),
        ):
            metrics.gauge(name, words, partial(self._count, DeliveryRow.status == status))
        metrics.gauge(
            "nanoray_uncommitted_deliveries",
            "Deliveries whose storage commitment was asked for and is not there.",
            partial(self._count, DeliveryRow.commitment.in_((DUE, REQUESTED, UNANSWERED))),
        )
        metrics.gauge(
            "nanoray_oldest_pending_delivery_seconds",
            "Age of the oldest waiting delivery.",
            self._oldest,
        )

    def add(self, destination: Destination) -> None:
        """Deliver to one more destination."""
        self._workers.append(
            _Worker(
                self._store,
                self._metrics,
                self._settings,
                self._audit,
                destination,
                self._stopping,
                self.commitments,
            )
        )

    def start(self) -> None:
        """Start the workers."""
        for worker in self._workers:
            if worker.ident is None:
                worker.start()

    def stop(self) -> None:
        """End after the current step; the rest waits in the database."""
        self._stopping.set()
        self.wake()
        for worker in self._workers:
            if worker.ident is not None:
                # Do not wait for a worker whose destination hangs.
                worker.join(_STOP_SECONDS)

    def wake(self) -> None:
        """Wake the workers: there may be a delivery."""
        for worker in self._workers:
            worker.news.set()

    def listed(
        self, status: str | None, limit: int, destination: str | None = None
    ) -> list[DeliveryRow]:
        """Return deliveries, the latest first."""
        query = select(DeliveryRow).order_by(DeliveryRow.next_at.desc()).limit(limit)
        if status is not None:
            query = query.where(DeliveryRow.status == status)
        if destination is not None:
            query = query.where(DeliveryRow.destination == destination)
        with self._store.database.reading() as session:
            return list(session.scalars(query))

    def get(self, name: str) -> DeliveryRow | None:
        """Return a delivery by its id."""
        with self._store.database.reading() as session:
            return session.get(DeliveryRow, name)

    def retry(self, name: str | None = None) -> int:
        """Retry a delivery from its first attempt, or all dead ones; return their number.

        Finished deliveries are not repeated.
        """
        which: ColumnElement[bool] = DeliveryRow.status == DEAD
        if name is not None:
            which = (DeliveryRow.id == name) & (DeliveryRow.status != DELIVERED)
        with self._store.database.writing() as session:
            found: Any = session.execute(
                update(DeliveryRow).where(which).values(status=PENDING, attempts=0, next_at=now())
            )
        self.wake()
        return int(found.rowcount)

    def cancel(self, name: str) -> int:
        """Cancel a waiting or dead delivery; return the number of cancelled ones."""
        with self._store.database.writing() as session:
            found: Any = session.execute(
                update(DeliveryRow)
                .where(DeliveryRow.id == name, DeliveryRow.status.in_((PENDING, DEAD)))
                .values(status=CANCELLED)
            )
        return int(found.rowcount)

    def _count(self, condition: ColumnElement[bool]) -> float:
        query = select(func.count()).select_from(DeliveryRow).where(condition)
        try:
            with self._store.database.reading() as session:
                return float(session.scalar(query) or 0)
        except DatabaseUnavailableError:
            return float("nan")

    def _oldest(self) -> float:
        query = (
            select(func.min(ReportRow.created_at))
            .join(DeliveryRow, DeliveryRow.report_id == ReportRow.id)
            .where(DeliveryRow.status == PENDING)
        )
        try:
            with self._store.database.reading() as session:
                first = session.scalar(query)
        except DatabaseUnavailableError:
            return float("nan")
        return 0.0 if first is None else max(0.0, (now() - first).total_seconds())


class _Worker(threading.Thread):
    """Delivers to one destination, report by report."""

    def __init__(
        self,
        store: Store,
        metrics: Metrics,
        settings: NodeSettings,
        audit: Audit,
        destination: Destination,
        stopping: threading.Event,
        commitments: Commitments,
    ) -> None:
        super().__init__(name="nanoray-deliver", daemon=True)
        self._store = store
        self._metrics = metrics
        self._settings = settings
        self._audit = audit
        self._destination = destination
        self._stopping = stopping
        self._commitments = commitments
        self.news = threading.Event()

    def run(self) -> None:
        """Deliver until stopped."""
        while not self._stopping.is_set():
            self.news.clear()
            try:
                if self._deliver_next() or self._request_commitment():
                    continue
            except DatabaseUnavailableError:
                self._metrics.database_failures.inc()
            except Exception as error:
                log_error("delivery failed", error)
            self.news.wait(_POLL_SECONDS)

    def _request_commitment(self) -> bool:
        """Ask for one commitment that is due; False if there is none, or none is wanted."""
        if not self._settings.commitment or not isinstance(self._destination, DicomDestination):
            return False
        return self._commitments.request_next(self._destination)

    def _deliver_next(self) -> bool:
        """Attempt one due delivery; False if none is due."""
        moment = now()
        # A time too far in the future was stored before the clock was set back.
        absurd = moment + timedelta(seconds=self._settings.longest_pause) + _CLOCK_SLACK
        # A report waits for its predecessor.
        before = aliased(DeliveryRow)
        ahead = select(before.report_id).where(
            before.status == PENDING, before.destination == self._destination.name
        )
        with self._store.database.reading() as session:
            due = session.execute(
                select(DeliveryRow.id, ReportRow.objects, ReportRow.study_uid)
                .join(ReportRow, ReportRow.id == DeliveryRow.report_id)
                .where(
                    DeliveryRow.status == PENDING,
                    DeliveryRow.destination == self._destination.name,
                    DeliveryRow.claimed_by.is_(None),
                    or_(DeliveryRow.next_at <= moment, DeliveryRow.next_at > absurd),
                    or_(
                        ReportRow.predecessor_id.is_(None),
                        ReportRow.predecessor_id.not_in(ahead),
                    ),
                )
                .order_by(DeliveryRow.next_at, ReportRow.created_at)
                .limit(1)
            ).one_or_none()
        if due is None:
            return False
        name, objects, study_uid = due
        with self._store.database.writing() as session:
            if not self._store.claims.take(session, DeliveryRow, name):
                return True
        code = None
        try:
            data = [self._store.spool.path(part).read_bytes() for part in objects]
            self._destination.send(data, self._settings.title)
        except DeliveryError as error:
            code = error.code
        except OSError:
            code = "spool"
        except Exception as error:
            log_error("delivery failed", error)
            code = "unexpected"
        self._audit.record(
            Entry(
                event=Event.TRANSFERRED,
                action="C",
                failed=code is not None,
                user=self._settings.title,
                object_id=study_uid,
                study=True,
                detail=f"delivery {name} to {self._destination.name}: {code or 'delivered'}",
            )
        )
        self._note(name, code)
        return True

    def _note(self, name: str, code: str | None) -> None:
        wait = 0.1
        while True:
            try:
                with self._store.database.writing() as session:
                    delivery = session.get(DeliveryRow, name, with_for_update=True)
                    if delivery is None:
                        return
                    delivery.attempts += 1
                    delivery.error_code, delivery.claimed_by = code, None
                    if code is None:
                        delivery.status, delivery.delivered_at = DELIVERED, now()
                        if self._settings.commitment and isinstance(
                            self._destination, DicomDestination
                        ):
                            delivery.commitment, delivery.commit_at = DUE, now()
                    elif delivery.status == PENDING and (
                        delivery.attempts >= self._settings.attempts
                    ):
                        delivery.status = DEAD
                    seconds = pause(self._settings, delivery.attempts)
                    delivery.next_at = now() + timedelta(seconds=seconds)
                    attempts, status = delivery.attempts, delivery.status
                break
            except DatabaseUnavailableError:
                # It is delivered; without the record it would be sent again.
                if self._stopping.wait(wait):
                    return
                wait = min(5.0, 2 * wait)
        outcome = {DELIVERED: "delivered", DEAD: "dead"}.get(status, "failed")
        self._metrics.deliveries.labels(outcome).inc()
        log("delivery", delivery=name, outcome=outcome, attempts=attempts, code=code)
