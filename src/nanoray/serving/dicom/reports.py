"""Reports on studies: collected and written. `deliveries` sends them to their destinations.

A study has one result. Late or corrected images trigger a new report on all images, which
references the previous report as its predecessor. Every step is stored in the database before the
next begins, and the objects' UIDs are derived from the report's id. A report that is repeated after
a crash is therefore the same report.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any, Final

from sqlalchemy import ColumnElement, func, or_, select, update
from sqlalchemy.orm import Session

from nanoray.detecting.flags import OUT_OF_SCOPE, WORDS
from nanoray.detecting.prediction import ABSTAINED, SUSPECTED, UNSURE
from nanoray.errors import NanoRayError
from nanoray.reading.pool import Ended
from nanoray.serving.dicom.documents import WriteReport, Written
from nanoray.serving.dicom.findings import Finding, Model, Prior
from nanoray.serving.dicom.settings import NodeSettings, pause
from nanoray.serving.journal import log, log_error
from nanoray.serving.metrics import Metrics
from nanoray.serving.pipeline import Pipeline
from nanoray.serving.storage.database import DatabaseUnavailableError
from nanoray.serving.storage.spool import StorageFullError
from nanoray.serving.storage.store import Store, has_map, orientation, was_negative
from nanoray.serving.storage.tables import (
    CANCELLED,
    COLLECTING,
    DEAD,
    DONE,
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

_POLL_SECONDS: Final = 1.0
_WRITE_ATTEMPTS: Final = 6
# Writing first imports large libraries, which takes long on a busy machine.
_WRITE_SECONDS: Final = 300.0
# A time beyond the longest pause was stored before the clock was set back.
_CLOCK_SLACK: Final = timedelta(minutes=5)
_TICK: Final = timedelta(microseconds=1)


class Reports:
    """Writes reports on studies received by DICOM.

    Attributes:
        written: called when a report is ready for delivery.
        destinations: names of the destinations of reports.
    """

    def __init__(
        self,
        store: Store,
        pipeline: Pipeline,
        metrics: Metrics,
        settings: NodeSettings,
        timeout: float,
    ) -> None:
        """Prepare; `timeout` is the time to read a file, in seconds."""
        self.destinations: list[str] = []
        self._store = store
        self._pipeline = pipeline
        self._metrics = metrics
        self._settings = settings
        self._quiet = timedelta(seconds=settings.quiet_seconds)
        self._timeout = max(_WRITE_SECONDS, 4 * timeout)
        self._stopping = threading.Event()
        self._news = threading.Event()
        self._thread = threading.Thread(target=self._keep_writing, name="nanoray-reports")
        self.written: Callable[[], None] = lambda: None
        metrics.gauge(
            "nanoray_dead_reports", "Reports that could not be written.", self._count_dead
        )

    def start(self) -> None:
        """Start the worker."""
        self._thread.start()

    def stop(self) -> None:
        """End after the current step; the rest waits in the database."""
        self._stopping.set()
        self._news.set()
        if self._thread.ident is not None:
            self._thread.join()

    def add(
        self,
        session: Session,
        study_uid: str,
        patient_key: str,
        sop_uid: str,
        prediction: str,
        known: InstanceRow | None,
    ) -> None:
        """Add an image to the report of its study, which is written when no more images arrive.

        Args:
            session: a transaction.
            study_uid, patient_key: study and patient.
            sop_uid: of the image.
            prediction: id of its prediction.
            known: the earlier image, if this one corrects it.
        """
        report = session.scalars(
            select(ReportRow)
            .where(
                ReportRow.study_uid == study_uid,
                ReportRow.patient_key.in_((patient_key, "")),
                ReportRow.status == COLLECTING,
            )
            .limit(1)
            .with_for_update()
        ).one_or_none()
        due = now() + self._quiet
        if report is None:
            report = ReportRow(
                id=new_id(), study_uid=study_uid, patient_key=patient_key, due_at=due
            )
            latest = session.scalar(select(func.max(ReportRow.created_at)).where(_case(report)))
            # Also where the clock was set back: the order decides which report is replaced.
            report.created_at = now() if latest is None else max(now(), latest + _TICK)
            session.add(report)
            session.flush()
        else:
            report.due_at, report.patient_key = due, patient_key
        if known is None:
            session.add(InstanceRow(sop_uid=sop_uid, prediction_id=prediction, report_id=report.id))
        else:
            known.prediction_id, known.report_id = prediction, report.id
            known.corrections += 1

    def heard(self, rows: Sequence[PredictionRow]) -> None:
        """Wake the worker after new results: a report may be due."""
        self._news.set()

    def listed(self, status: str | None, limit: int) -> list[tuple[ReportRow, int]]:
        """Return reports, the latest first, each with the number of its images."""
        images = (
            select(func.count())
            .select_from(InstanceRow)
            .where(InstanceRow.report_id == ReportRow.id)
            .scalar_subquery()
        )
        query = select(ReportRow, images).order_by(ReportRow.created_at.desc()).limit(limit)
        if status is not None:
            query = query.where(ReportRow.status == status)
        with self._store.database.reading() as session:
            return [(row, int(count)) for row, count in session.execute(query)]

    def retry(self, name: str | None = None) -> int:
        """Retry a dead or cancelled report, or all dead ones; return their number."""
        which: ColumnElement[bool] = ReportRow.status == DEAD
        if name is not None:
            which = (ReportRow.id == name) & ReportRow.status.in_((DEAD, CANCELLED))
        values = {"status": WRITING, "attempts": 0, "due_at": now(), "claimed_by": None}
        with self._store.database.writing() as session:
            found: Any = session.execute(update(ReportRow).where(which).values(**values))
        self._news.set()
        return int(found.rowcount)

    def get(self, name: str) -> tuple[ReportRow, int] | None:
        """Return a report and the number of its images."""
        with self._store.database.reading() as session:
            row = session.get(ReportRow, name)
            if row is None:
                return None
            count = select(func.count()).where(InstanceRow.report_id == name)
            return row, int(session.scalar(count) or 0)

    def document(self, name: str) -> bytes | None:
        """Return the structured report of a report; None without one."""
        with self._store.database.reading() as session:
            row = session.get(ReportRow, name)
        if row is None or not row.objects or "sr" not in self._settings.kinds:
            return None
        try:
            return self._store.spool.path(row.objects[0]).read_bytes()
        except OSError:
            return None

    def cancel(self, name: str) -> bool:
        """Cancel a waiting or dead report; False if there is none."""
        with self._store.database.writing() as session:
            found: Any = session.execute(
                update(ReportRow)
                .where(ReportRow.id == name, ReportRow.status.in_((WRITING, DEAD)))
                .values(status=CANCELLED, claimed_by=None)
            )
        return bool(found.rowcount)

    def _keep_writing(self) -> None:
        while not self._stopping.is_set():
            self._news.clear()
            try:
                if self._write_due():
                    continue
            except DatabaseUnavailableError:
                self._metrics.database_failures.inc()
            except Exception as error:
                log_error("report failed", error)
            self._news.wait(_POLL_SECONDS)

    def _write_due(self) -> bool:
        """Write one due report; False if none is due."""
        moment = now()
        waiting = (
            select(InstanceRow.report_id)
            .join(PredictionRow, PredictionRow.id == InstanceRow.prediction_id)
            .where(
                or_(
                    PredictionRow.status == QUEUED,
                    # Priors are waited for; a time too far ahead was set before the clock was.
                    PredictionRow.prior_due.between(moment, moment + _CLOCK_SLACK),
                )
            )
        )
        longest = max(self._quiet, timedelta(seconds=self._settings.longest_pause))
        with self._store.database.reading() as session:
            report = session.scalars(
                select(ReportRow)
                .where(
                    ReportRow.status.in_((COLLECTING, WRITING)),
                    ReportRow.claimed_by.is_(None),
                    or_(
                        ReportRow.due_at <= moment,
                        ReportRow.due_at > moment + longest + _CLOCK_SLACK,
                    ),
                    ReportRow.id.not_in(waiting),
                )
                .order_by(ReportRow.due_at)
                .limit(1)
            ).one_or_none()
        if report is None:
            return False
        if not self._claim(report.id, moment + longest + _CLOCK_SLACK):
            return True
        try:
            self._report(report)
        finally:
            self._free(report.id)
        return not self._stopping.is_set()

    def _claim(self, name: str, absurd: Any) -> bool:
        """Close a report; images that arrive from now on belong to the next one."""
        with self._store.database.writing() as session:
            report = session.get(ReportRow, name, with_for_update=True)
            if report is None or report.status not in (COLLECTING, WRITING):
                return False
            if report.claimed_by is not None or now() < report.due_at <= absurd:
                return False
            report.status, report.claimed_by = WRITING, self._store.claims.process
            return True

    def _free(self, name: str) -> None:
        pause = 0.1
        while True:
            try:
                with self._store.database.writing() as session:
                    session.execute(
                        update(ReportRow)
                        .where(
                            ReportRow.id == name,
                            ReportRow.claimed_by == self._store.claims.process,
                        )
                        .values(claimed_by=None)
                    )
                return
            except DatabaseUnavailableError:
                if self._stopping.wait(pause):
                    return
                pause = min(5.0, 2 * pause)

    def _report(self, report: ReportRow) -> None:
        images = self._images(report)
        findings = [self._finding(row, report, instance) for row, instance in images]
        judged = [finding for finding in findings if finding.excluded is None]
        if not self._settings.report_unprocessed:
            findings = judged
        code = None
        if not judged:
            code = "none-eligible"
        elif not self._changes(report, images):
            code = "none-new"
        if findings and self.destinations and (code is None or self._settings.report_unprocessed):
            if not self._write(report, findings, code):
                return
        else:
            self._close(report.id, [], code, None)
        log("study reported", report=report.id, images=len(images), eligible=len(judged), code=code)

    @staticmethod
    def _changes(report: ReportRow, images: Sequence[tuple[PredictionRow, InstanceRow]]) -> bool:
        """Return whether an image of this report has a decision, or corrects one that has."""
        return any(
            exclusion(row) is None or instance.corrections
            for row, instance in images
            if instance.report_id == report.id
        )

    def _images(self, report: ReportRow) -> list[tuple[PredictionRow, InstanceRow]]:
        """Return all images of the report's study, except those of an open report."""
        with self._store.database.reading() as session:
            rows = session.execute(
                select(PredictionRow, InstanceRow)
                .join(InstanceRow, InstanceRow.prediction_id == PredictionRow.id)
                .join(ReportRow, ReportRow.id == InstanceRow.report_id)
                .where(
                    _case(report), or_(ReportRow.id == report.id, ReportRow.status != COLLECTING)
                )
                .where(PredictionRow.status != QUEUED)
                .order_by(InstanceRow.received_at, InstanceRow.id)
            )
            return [(row, instance) for row, instance in rows]

    def _predecessor(self, report: ReportRow) -> ReportRow | None:
        with self._store.database.reading() as session:
            rows = session.scalars(
                select(ReportRow)
                .where(_case(report), ReportRow.id != report.id, ReportRow.status == REPORTED)
                .where(ReportRow.created_at <= report.created_at)
                .order_by(ReportRow.created_at.desc())
            )
            return next((row for row in rows if row.objects), None)

    def _write(self, report: ReportRow, findings: list[Finding], code: str | None) -> bool:
        """Write the objects of a report; False after a failure that will be retried."""
        before = self._predecessor(report)
        path = str(self._store.spool.path(before.objects[0])) if before is not None else None
        task = WriteReport(
            report=report.id,
            case=f"{report.study_uid}/{report.patient_key}",
            findings=tuple(findings),
            made=report.due_at,
            timeout=self._timeout,
            kinds=self._settings.kinds,
            localise=self._settings.localise,
            plane=self._settings.segmentation_plane,
            predecessor=path,
        )
        try:
            written = self._pipeline.call(task)
            assert isinstance(written, Written)
        except (Ended, NanoRayError) as error:
            written = Written(error=error.code if isinstance(error, Ended) else "workers")
        if written.error is not None:
            if not self._stopping.is_set():
                self._failed(report.id, written.error)
            return False
        names = [new_id() for _ in written.files]
        try:
            for name, data in zip(names, written.files, strict=True):
                self._store.spool.write(name, data)
            self._close(report.id, names, code, before.id if before is not None else None)
        except BaseException as error:
            for name in names:
                self._store.spool.remove(name)
            if isinstance(error, (StorageFullError, OSError)):
                self._failed(report.id, "storage", give_up=False)
                return False
            raise
        self.written()
        return True

    def _finding(self, row: PredictionRow, report: ReportRow, instance: InstanceRow) -> Finding:
        model = Model(
            row.model, row.model_version, row.model_sha256, row.operating_point, row.threshold
        )
        return Finding(
            path=str(self._store.spool.path(row.id)),
            model=model,
            probability=row.probability or 0.0,
            suspected=row.decision == SUSPECTED,
            unsure=row.decision == UNSURE,
            heatmap=(row.heatmap or b"") if has_map(row) else b"",
            heatmap_rows=row.heatmap_rows or 0,
            heatmap_columns=row.heatmap_columns or 0,
            orientation=orientation(row),
            inverted=was_negative(row),
            excluded=exclusion(row),
            new=instance.report_id == report.id,
            priors=tuple(Prior(**prior) for prior in row.priors),
        )

    def _close(
        self, name: str, objects: list[str], code: str | None, predecessor: str | None
    ) -> None:
        """Store the deliveries, unless another process or a user has changed the report."""
        with self._store.database.writing() as session:
            report = session.get(ReportRow, name, with_for_update=True)
            if report is None or report.claimed_by != self._store.claims.process:
                raise NanoRayError("the report was taken by somebody else")
            report.status, report.objects, report.error_code = REPORTED, objects, code
            report.predecessor_id, report.claimed_by = predecessor, None
            if objects:
                session.add_all(
                    DeliveryRow(report_id=name, destination=destination)
                    for destination in self.destinations
                )

    def _failed(self, name: str, code: str, *, give_up: bool = True) -> None:
        with self._store.database.writing() as session:
            report = session.get(ReportRow, name)
            if report is None or report.status != WRITING:
                return
            report.attempts += 1
            report.error_code = code
            report.due_at = now() + timedelta(seconds=pause(self._settings, report.attempts))
            if give_up and report.attempts >= _WRITE_ATTEMPTS:
                report.status = DEAD
        log("report failed", report=name, code=code)

    def _count_dead(self) -> float:
        try:
            with self._store.database.reading() as session:
                count = select(func.count()).select_from(ReportRow).where(ReportRow.status == DEAD)
                return float(session.scalar(count) or 0)
        except DatabaseUnavailableError:
            return float("nan")


def exclusion(row: PredictionRow) -> str | None:
    """Return the reason for a missing result; None for a frontal view of an adult's chest."""
    if row.status != DONE:
        return row.reason or "cannot be read"
    flags = [WORDS.get(flag, flag) for flag in row.flags if flag in OUT_OF_SCOPE]
    if flags:
        return flags[0]
    if row.decision == ABSTAINED or row.probability is None:
        return row.reason or "unlike the radiographs that the model knows"
    return None


def _case(report: ReportRow) -> ColumnElement[bool]:
    """Return the condition for reports on the same study of the same patient."""
    keys = {report.patient_key, ""} if report.patient_key else {""}
    return (ReportRow.study_uid == report.study_uid) & ReportRow.patient_key.in_(keys)
