"""Reports on studies: collected, written, delivered, and set aside when they cannot be.

Every step is in the database before the next begins, and the objects' UIDs are fixed before the
first attempt to send them: a report that was sent twice after a crash is the same report.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from datetime import timedelta

from pydicom.uid import generate_uid
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from nanoray.detecting.prediction import ABSTAINED, SUSPECTED
from nanoray.errors import NanoRayError
from nanoray.reading.pool import Ended
from nanoray.serving.dicom.destinations import DeliveryError, Destination
from nanoray.serving.dicom.documents import INELIGIBLE, Finding, WriteReport, Written
from nanoray.serving.journal import log, log_error
from nanoray.serving.metrics import Metrics
from nanoray.serving.pipeline import Pipeline
from nanoray.serving.storage.database import DatabaseUnavailableError
from nanoray.serving.storage.spool import StorageFullError
from nanoray.serving.storage.store import Store
from nanoray.serving.storage.tables import (
    COLLECTING,
    DEAD,
    DELIVERED,
    DONE,
    PENDING,
    QUEUED,
    REPORTED,
    WRITING,
    DeliveryRow,
    InstanceRow,
    PredictionRow,
    ReportRow,
    new_id,
    now,
)

_POLL_SECONDS = 1.0
_WRITE_ATTEMPTS = 6
# Writing loads large libraries first, which takes long on a busy machine.
_WRITE_SECONDS = 300.0
_LONGEST_PAUSE = 3600.0


class Reports:
    """Writes reports on the studies that came by DICOM, and delivers them."""

    def __init__(
        self,
        store: Store,
        pipeline: Pipeline,
        metrics: Metrics,
        destinations: Sequence[Destination],
        *,
        own_title: str,
        quiet_seconds: float,
        attempts: int,
        first_pause: float,
        timeout: float,
    ) -> None:
        """Prepare; see `nanoray.serving.dicom.node.NodeSettings` for the numbers."""
        self._store = store
        self._pipeline = pipeline
        self._metrics = metrics
        self._destinations = {destination.name: destination for destination in destinations}
        self._own_title = own_title
        self._quiet = timedelta(seconds=quiet_seconds)
        self._attempts = attempts
        self._first_pause = first_pause
        self._timeout = max(_WRITE_SECONDS, 4 * timeout)
        self._stopping = threading.Event()
        self._news = {"write": threading.Event(), "deliver": threading.Event()}
        self._threads = [
            threading.Thread(target=self._keep, args=("write", self._write_due)),
            threading.Thread(target=self._keep, args=("deliver", self._deliver_due)),
        ]
        metrics.gauge(
            "nanoray_dead_deliveries",
            "Deliveries that were given up.",
            lambda: self._count(DeliveryRow),
        )
        metrics.gauge(
            "nanoray_dead_reports",
            "Reports that could not be written.",
            lambda: self._count(ReportRow),
        )

    def start(self) -> None:
        """Go to work."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """End after the step in hand; the rest waits in the database."""
        self._stopping.set()
        for news in self._news.values():
            news.set()
        for thread in self._threads:
            if thread.ident is not None:
                thread.join()

    def add(self, session: Session, study_uid: str, sop_uid: str, prediction: str) -> None:
        """Put an image on the report of its study, which is written when no more come."""
        report = session.scalars(
            select(ReportRow)
            .where(ReportRow.study_uid == study_uid, ReportRow.status == COLLECTING)
            .limit(1)
        ).one_or_none()
        due = now() + self._quiet
        if report is None:
            report = ReportRow(id=new_id(), study_uid=study_uid, due_at=due)
            session.add(report)
            session.flush()
        else:
            report.due_at = due
        session.add(InstanceRow(sop_uid=sop_uid, prediction_id=prediction, report_id=report.id))

    def heard(self, rows: Sequence[PredictionRow]) -> None:
        """Results are there: a report may be due."""
        self._news["write"].set()

    def _keep(self, kind: str, work: Callable[[], bool]) -> None:
        while not self._stopping.is_set():
            news = self._news[kind]
            news.clear()
            try:
                if work():
                    continue
            except DatabaseUnavailableError:
                self._metrics.database_failures.inc()
            except Exception as error:
                log_error(f"report {kind} failed", error)
            news.wait(_POLL_SECONDS)

    # Writing.

    def _write_due(self) -> bool:
        """Write one report that is due; False if there is none."""
        waiting = (
            select(InstanceRow.report_id)
            .join(PredictionRow, PredictionRow.id == InstanceRow.prediction_id)
            .where(PredictionRow.status == QUEUED)
        )
        with self._store.database.reading() as session:
            report = session.scalars(
                select(ReportRow)
                .where(
                    ReportRow.status.in_((COLLECTING, WRITING)),
                    ReportRow.due_at <= now(),
                    ReportRow.id.not_in(waiting),
                )
                .order_by(ReportRow.due_at)
                .limit(1)
            ).one_or_none()
        if report is None:
            return False
        if report.status == COLLECTING and not self._shut(report.id):
            return True
        rows = self._images(report.id)
        findings = [self._finding(row) for row in rows if _eligible(row)]
        if findings and self._destinations:
            done = self._write(report.id, findings)
        else:
            done = True
            self._close(report.id, [], None if findings else "none-eligible")
        if done:
            log("study reported", report=report.id, images=len(rows), eligible=len(findings))
        return not self._stopping.is_set()

    def _shut(self, name: str) -> bool:
        """Take no more images on a report: those that come from now on go to the next one."""
        with self._store.database.writing() as session:
            report = session.get(ReportRow, name)
            if report is None or report.status != COLLECTING or report.due_at > now():
                return False
            report.status = WRITING
            return True

    def _images(self, report: str) -> list[PredictionRow]:
        with self._store.database.reading() as session:
            return list(
                session.scalars(
                    select(PredictionRow)
                    .join(InstanceRow, InstanceRow.prediction_id == PredictionRow.id)
                    .where(InstanceRow.report_id == report)
                    .order_by(InstanceRow.received_at, InstanceRow.id)
                )
            )

    def _write(self, report: str, findings: list[Finding]) -> bool:
        """Write the objects of a report; False if that failed and is to be tried again."""
        try:
            written = self._pipeline.call(self._task(findings))
            assert isinstance(written, Written)
        except (Ended, NanoRayError) as error:
            written = Written(error=error.code if isinstance(error, Ended) else "workers")
        if written.error is not None:
            if not self._stopping.is_set():
                self._write_failed(report, written.error)
            return False
        names = [new_id() for _ in written.files]
        try:
            for name, data in zip(names, written.files, strict=True):
                self._store.spool.write(name, data)
            self._close(report, names, None)
        except BaseException as error:
            for name in names:
                self._store.spool.remove(name)
            if isinstance(error, (StorageFullError, OSError)):
                self._write_failed(report, "storage", give_up=False)
                return False
            raise
        self._news["deliver"].set()
        return True

    def _task(self, findings: list[Finding]) -> WriteReport:
        uids = tuple(str(generate_uid(prefix=None)) for _ in range(4 + 2 * len(findings)))
        return WriteReport(
            findings=tuple(findings),
            uids=uids,
            model=self._store.identity.model,
            model_version=self._store.identity.model_version,
            model_sha256=self._store.identity.model_sha256,
            operating_point=self._store.identity.operating_point,
            threshold=self._store.identity.threshold,
            made=now(),
            timeout=self._timeout,
        )

    def _finding(self, row: PredictionRow) -> Finding:
        return Finding(
            str(self._store.spool.path(row.id)),
            row.probability or 0.0,
            row.decision == SUSPECTED,
            row.heatmap or b"",
            row.heatmap_rows or 0,
            row.heatmap_columns or 0,
        )

    def _close(self, name: str, objects: list[str], code: str | None) -> None:
        """Settle what is delivered."""
        with self._store.database.writing() as session:
            report = session.get(ReportRow, name)
            if report is None:
                return
            report.status, report.objects, report.error_code = REPORTED, objects, code
            if objects:
                session.add_all(
                    DeliveryRow(report_id=name, destination=destination)
                    for destination in self._destinations
                )

    def _write_failed(self, name: str, code: str, *, give_up: bool = True) -> None:
        with self._store.database.writing() as session:
            report = session.get(ReportRow, name)
            if report is None:
                return
            report.attempts += 1
            report.error_code = code
            report.due_at = now() + timedelta(seconds=self._pause(report.attempts))
            if give_up and report.attempts >= _WRITE_ATTEMPTS:
                report.status = DEAD
        log("report failed", report=name, code=code)

    # Delivering.

    def _deliver_due(self) -> bool:
        """Attempt one delivery that is due; False if there is none."""
        with self._store.database.reading() as session:
            due = session.execute(
                select(DeliveryRow, ReportRow.objects)
                .join(ReportRow, ReportRow.id == DeliveryRow.report_id)
                .where(
                    DeliveryRow.status == PENDING,
                    DeliveryRow.next_at <= now(),
                    DeliveryRow.destination.in_(list(self._destinations)),
                )
                .order_by(DeliveryRow.next_at)
                .limit(1)
            ).one_or_none()
        if due is None:
            return False
        delivery, objects = due
        code = None
        try:
            data = [self._store.spool.path(name).read_bytes() for name in objects]
            self._destinations[delivery.destination].send(data, self._own_title)
        except DeliveryError as error:
            code = error.code
        except OSError:
            code = "spool"
        except Exception as error:
            log_error("delivery failed", error)
            code = "unexpected"
        self._note(delivery.id, code)
        return True

    def _note(self, name: str, code: str | None) -> None:
        pause = 0.1
        while True:
            try:
                with self._store.database.writing() as session:
                    delivery = session.get(DeliveryRow, name)
                    if delivery is None:
                        return
                    delivery.attempts += 1
                    delivery.error_code = code
                    if code is None:
                        delivery.status, delivery.delivered_at = DELIVERED, now()
                    elif delivery.attempts >= self._attempts:
                        delivery.status = DEAD
                    delivery.next_at = now() + timedelta(seconds=self._pause(delivery.attempts))
                    attempts, status = delivery.attempts, delivery.status
                break
            except DatabaseUnavailableError:
                # It is delivered: to forget that would send it again.
                if self._stopping.wait(pause):
                    return
                pause = min(5.0, 2 * pause)
        outcome = {DELIVERED: "delivered", DEAD: "dead"}.get(status, "failed")
        self._metrics.deliveries.labels(outcome).inc()
        log("delivery", delivery=name, outcome=outcome, attempts=attempts, code=code)

    def _pause(self, attempts: int) -> float:
        return min(_LONGEST_PAUSE, self._first_pause * 2.0 ** min(attempts - 1, 20))

    def _count(self, table: type[DeliveryRow] | type[ReportRow]) -> float:
        try:
            with self._store.database.reading() as session:
                count = select(func.count()).select_from(table).where(table.status == DEAD)
                return float(session.scalar(count) or 0)
        except DatabaseUnavailableError:
            return float("nan")

    def listed(self, status: str | None, limit: int) -> list[DeliveryRow]:
        """Deliveries, the latest first."""
        query = select(DeliveryRow).order_by(DeliveryRow.next_at.desc()).limit(limit)
        if status is not None:
            query = query.where(DeliveryRow.status == status)
        with self._store.database.reading() as session:
            return list(session.scalars(query))

    def retry(self, name: str) -> DeliveryRow | None:
        """Attempt a dead delivery again, as if for the first time; None if there is none."""
        with self._store.database.writing() as session:
            delivery = session.get(DeliveryRow, name)
            if delivery is None or delivery.status == DELIVERED:
                return delivery
            delivery.status, delivery.attempts, delivery.next_at = PENDING, 0, now()
        self._news["deliver"].set()
        return delivery


def _eligible(row: PredictionRow) -> bool:
    """Whether a result may be returned: an adult's frontal chest radiograph, not abstained from."""
    judged = row.status == DONE and row.decision != ABSTAINED and row.probability is not None
    return judged and not INELIGIBLE.intersection(row.flags)
