"""The store of the service: predictions, jobs, and their files."""

from __future__ import annotations

import hashlib
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Iterable, Sequence
from concurrent.futures import Future
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import (
    ColumnElement,
    Table,
    Text,
    cast,
    delete,
    func,
    insert,
    or_,
    select,
    update,
)
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from nanoray.detecting import Detector
from nanoray.detecting.prediction import Prediction, Result, Unread
from nanoray.serving.storage.claims import Claims
from nanoray.serving.storage.database import Database, DatabaseUnavailableError
from nanoray.serving.storage.news import tell
from nanoray.serving.storage.paging import Page, page
from nanoray.serving.storage.spool import Draft, Spool
from nanoray.serving.storage.tables import (
    CANCELLED,
    DEAD,
    DONE,
    DUE,
    PENDING,
    QUEUED,
    REPORTED,
    REQUESTED,
    UNREADABLE,
    DeliveryRow,
    InstanceRow,
    JobItemRow,
    JobRow,
    PredictionRow,
    ProcessRow,
    ReportRow,
    new_id,
    now,
)

Accepted: TypeAlias = tuple[list[tuple[str, bool]], Any]
"""For each draft the prediction's id and whether it is new; and the result of `Arrival.also`."""

# Temporary refusals: a file that is sent again is read again.
_PASSING = ("crash", "timeout", "memory", "missing", "read-failed", "unexpected")

# Retries of a commit after a race with another one of the same file.
_RACES = 3

# A file is in the spool at most a minute before its row is committed.
_UNCOMMITTED_SECONDS = 900.0


@dataclass(frozen=True, slots=True)
class Identity:
    """The detector of a result; each detector has separate results."""

    model: str
    model_version: str
    model_sha256: str
    operating_point: str | None
    threshold: float
    guarantee: float | None = None

    @classmethod
    def of(cls, detector: Detector) -> Identity:
        """Identity of a detector."""
        point = detector.operating_point
        return cls(
            detector.card.name,
            detector.card.version,
            hashlib.sha256(detector.path.read_bytes()).hexdigest(),
            point.name if point else None,
            detector.threshold,
            detector.guarantee.level if detector.guarantee else None,
        )

    def fingerprint(self, sha256: str) -> str:
        """Return the SHA-256 over a file's digest and the detector."""
        text = f"{sha256}:{self.model_sha256}:{self.threshold!r}"
        if self.guarantee is not None:
            text += f":{self.guarantee!r}"
        return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Filter:
    """A filter of predictions; None means any."""

    status: str | None = None
    decision: str | None = None
    flag: str | None = None
    origin: str | None = None
    min_probability: float | None = None
    max_probability: float | None = None
    created_after: datetime | None = None
    created_before: datetime | None = None

    def conditions(self) -> list[ColumnElement[bool]]:
        """Return the conditions of a query."""
        row = PredictionRow
        found: list[ColumnElement[bool]] = []
        for column, value in (
            (row.status, self.status),
            (row.decision, self.decision),
            (row.origin, self.origin),
        ):
            if value is not None:
                found.append(column == value)
        if self.flag is not None:
            # Flags are stored as a JSON list of identifiers without quotes.
            found.append(cast(row.flags, Text).contains(f'"{self.flag}"', autoescape=True))
        if self.min_probability is not None:
            found.append(row.probability >= self.min_probability)
        if self.max_probability is not None:
            found.append(row.probability <= self.max_probability)
        if self.created_after is not None:
            found.append(row.created_at >= self.created_after)
        if self.created_before is not None:
            found.append(row.created_at < self.created_before)
        return found


@dataclass(frozen=True, slots=True)
class Arrival:
    """Finished drafts to accept together, all or none.

    Attributes:
        drafts: the files.
        origin, priority: of their predictions.
        salt: a unique salt makes the files new in any case.
        also: adds to the same transaction; it is called again if that is retried.
    """

    drafts: Sequence[Draft]
    origin: str
    priority: int
    salt: str = ""
    also: Callable[[Session, list[tuple[str, bool]]], Any] = lambda *_: None


class Store:
    """The database and the spool, consistent with each other; thread-safe."""

    def __init__(
        self, database: Database, spool: Spool, identity: Identity, *, keep_maps: bool = True
    ) -> None:
        """Use a database and a spool for the results of one detector, with or without maps."""
        self._keep_maps = keep_maps
        self.database = database
        self.spool = spool
        self.identity = identity
        self.claims = Claims(database, spool.process)
        self._identity_values = asdict(identity)
        self._turn = threading.Lock()
        self._arrivals: deque[tuple[Arrival, Future[Accepted]]] = deque()

    # Accepting files.

    def accept(self, arrival: Arrival, *, patience: float = 0.0) -> Accepted:
        """Accept finished drafts; the same file is accepted once.

        Arrivals of other threads during a transaction are collected for the next one.

        Args:
            arrival: the drafts to accept.
            patience: seconds to wait for others, since a transaction costs more than its files.

        Returns:
            For each draft the prediction's id and whether it is new; and the result of `also`.

        Raises:
            DatabaseUnavailableError, StorageFullError: no draft was accepted.
        """
        future: Future[Accepted] = Future()
        self._arrivals.append((arrival, future))
        with self._turn:
            if not future.done():
                time.sleep(patience)
                self._accept_all([self._arrivals.popleft() for _ in range(len(self._arrivals))])
        return future.result()

    def _accept_all(self, group: Sequence[tuple[Arrival, Future[Accepted]]]) -> None:
        for attempt in range(1, _RACES + 1):
            kept: list[str] = []
            try:
                with self.database.writing() as session:
                    taken = [self._accept(session, arrival, kept) for arrival, _ in group]
                    session.flush()
                    self.spool.sync()
            except Exception as error:
                self._forget(kept)
                if len(group) > 1 and not isinstance(error, DatabaseUnavailableError):
                    # One of them may be the cause; it must not affect the others.
                    for one in group:
                        self._accept_all([one])
                    return
                if isinstance(error, IntegrityError) and attempt < _RACES:
                    continue  # another process stored the same file at the same time
                for _, future in group:
                    future.set_exception(error)
                return
            for (_, future), accepted in zip(group, taken, strict=True):
                future.set_result(accepted)
            return

    def _accept(self, session: Session, arrival: Arrival, kept: list[str]) -> Accepted:
        prints = [
            self.identity.fingerprint(draft.sha256 + arrival.salt) for draft in arrival.drafts
        ]
        # The table instead of the class: faster, and no objects must be synchronised.
        table = PredictionRow.__table__
        assert isinstance(table, Table)
        row = table.c
        known: dict[str, str] = {}
        failed: set[str] = set()
        for start in range(0, len(prints), 500):
            for name, fingerprint, code in session.execute(
                select(row.id, row.fingerprint, row.error_code).where(
                    row.fingerprint.in_(prints[start : start + 500])
                )
            ):
                known[fingerprint] = name
                if code in _PASSING:
                    failed.add(name)
        accepted: list[tuple[str, bool]] = []
        new: list[dict[str, Any]] = []
        for draft, fingerprint in zip(arrival.drafts, prints, strict=True):
            name = known.get(fingerprint, "")
            again = name in failed
            if again:
                failed.discard(name)
                if not self.spool.path(name).exists():
                    self.spool.keep(draft, name)
                session.execute(
                    update(table)
                    .where(row.id == name)
                    .values(
                        status=QUEUED,
                        rank=-3.0,
                        priority=arrival.priority,
                        error_code=None,
                        reason=None,
                        finished_at=None,
                        claimed_by=self._claimant(arrival.priority),
                    )
                )
            elif not name:
                name = known[fingerprint] = new_id()
                self.spool.keep(draft, name)
                kept.append(name)
                new.append(
                    {
                        "id": name,
                        "fingerprint": fingerprint,
                        "sha256": draft.sha256,
                        "size": draft.size,
                        "origin": arrival.origin,
                        "priority": arrival.priority,
                        "claimed_by": self._claimant(arrival.priority),
                    }
                    | self._identity_values
                )
                again = True
            accepted.append((name, again))
        if new:
            session.execute(insert(table), new)
        return accepted, arrival.also(session, accepted)

    def _claimant(self, priority: int) -> str | None:
        """Return the process that screens a new file: this one if a request waits for it."""
        return self.spool.process if self.alone or priority == 0 else None

    @property
    def alone(self) -> bool:
        """Return whether no other process can use this store."""
        return self.database.is_sqlite

    @staticmethod
    def add_job(session: Session, accepted: list[tuple[str, bool]]) -> str:
        """Add a job of the files, for `Arrival.also`; return its id."""
        name = new_id()
        session.add(JobRow(id=name))
        session.flush()
        session.add_all(
            JobItemRow(job_id=name, position=position, prediction_id=prediction)
            for position, (prediction, _) in enumerate(accepted)
        )
        return name

    def _forget(self, names: Iterable[str]) -> None:
        for name in names:
            self.spool.remove(name)

    def waiting(self) -> list[tuple[int, str]]:
        """Return priority and id of accepted files without a result, in order of arrival."""
        with self.database.reading() as session:
            rows = session.execute(
                select(PredictionRow.priority, PredictionRow.id)
                .where(PredictionRow.status == QUEUED)
                .order_by(PredictionRow.priority, PredictionRow.created_at)
            )
            return [(priority, name) for priority, name in rows]

    def finish(self, results: Sequence[tuple[str, Result]]) -> dict[str, PredictionRow]:
        """Record results in one transaction, except those of deleted predictions.

        Returns:
            The rows by their ids.

        Raises:
            DatabaseUnavailableError: no result was recorded.
        """
        with self.database.writing() as session:
            rows = session.scalars(
                select(PredictionRow).where(PredictionRow.id.in_([name for name, _ in results]))
            )
            by_name = {row.id: row for row in rows}
            for name, result in results:
                row = by_name.get(name)
                if row is not None and row.status == QUEUED:
                    record(row, result, keep_map=self._keep_maps)
                    self._stamp(row)
            if not self.alone and by_name:
                tell(session, self.spool.process, list(by_name))
        return by_name

    def forget_maps(self) -> int:
        """Remove stored maps and boxes; return the number of changed results."""
        with self.database.writing() as session:
            done = session.execute(
                update(PredictionRow)
                .where(PredictionRow.heatmap.is_not(None))
                .values(heatmap=None, heatmap_rows=None, heatmap_columns=None, boxes=[])
            )
            return int(getattr(done, "rowcount", 0))

    def _stamp(self, row: PredictionRow) -> None:
        """Record the detector of a result; the file may have been accepted with another one."""
        identity = self.identity
        if row.model_sha256 != identity.model_sha256:
            row.model, row.model_version = identity.model, identity.model_version
            row.model_sha256 = identity.model_sha256

    def count_waiting(self) -> int:
        """Return the number of unclaimed waiting files of all processes."""
        with self.database.reading() as session:
            query = select(func.count()).select_from(PredictionRow)
            return (
                session.scalar(
                    query.where(PredictionRow.status == QUEUED, PredictionRow.priority > 0)
                )
                or 0
            )

    # Queries.

    def get(self, name: str) -> PredictionRow | None:
        """Return the prediction with that id."""
        with self.database.reading() as session:
            return session.get(PredictionRow, name)

    def get_many(self, names: Sequence[str]) -> dict[str, PredictionRow]:
        """Return predictions by their ids; deleted ones are omitted."""
        found: dict[str, PredictionRow] = {}
        with self.database.reading() as session:
            for start in range(0, len(names), 500):
                part = names[start : start + 500]
                rows = session.scalars(select(PredictionRow).where(PredictionRow.id.in_(part)))
                found.update({row.id: row for row in rows})
        return found

    def page(
        self, wanted: Filter, *, newest_first: bool = False, cursor: str | None, limit: int
    ) -> Page[PredictionRow]:
        """Return a page of predictions, by falling rank or by falling time.

        Raises:
            ValueError: the cursor belongs to another list.
        """
        key = PredictionRow.created_at if newest_first else PredictionRow.rank
        with self.database.reading() as session:
            return page(
                session, PredictionRow, key, wanted.conditions(), cursor=cursor, limit=limit
            )

    def job(self, name: str) -> tuple[JobRow, list[PredictionRow], dict[str, int]] | None:
        """Return a job, its first 1000 predictions in order, and counts of each status."""
        with self.database.reading() as session:
            job = session.get(JobRow, name)
            if job is None:
                return None
            items = (
                select(PredictionRow)
                .join(JobItemRow, JobItemRow.prediction_id == PredictionRow.id)
                .where(JobItemRow.job_id == name)
                .order_by(JobItemRow.position)
                .limit(1000)
            )
            counts = (
                select(PredictionRow.status, func.count())
                .join(JobItemRow, JobItemRow.prediction_id == PredictionRow.id)
                .where(JobItemRow.job_id == name)
                .group_by(PredictionRow.status)
            )
            return (
                job,
                list(session.scalars(items)),
                {row[0]: row[1] for row in session.execute(counts)},
            )

    # Letting go.

    def delete(self, name: str) -> bool:
        """Delete a prediction and its file; False if the id is unknown."""
        with self.database.writing() as session:
            gone = session.execute(delete(PredictionRow).where(PredictionRow.id == name))
        self.spool.remove(name)
        return bool(getattr(gone, "rowcount", 0))

    def expire(self, days: float, destinations: Collection[str] = ()) -> int:
        """Delete finished results older than `days`; return their number.

        Args:
            days: age from which results and their files are deleted.
            destinations: configured destinations; waiting deliveries to others are dropped.
        """
        limit = now() - timedelta(days=days)
        with self.database.writing() as session:
            # Reports first, since their objects are files too.
            reports = session.scalars(
                select(ReportRow).where(
                    ReportRow.created_at < limit,
                    ReportRow.status.in_((REPORTED, DEAD, CANCELLED)),
                )
            ).all()
            files: list[str] = []
            for report in reports:
                waiting = select(DeliveryRow.id).where(
                    DeliveryRow.report_id == report.id,
                    or_(
                        DeliveryRow.status == PENDING,
                        DeliveryRow.commitment.in_((DUE, REQUESTED)),
                    ),
                    DeliveryRow.destination.in_(list(destinations)),
                )
                if session.scalars(waiting.limit(1)).one_or_none() is None:
                    files += report.objects
                    session.delete(report)
            session.flush()
            needed = select(InstanceRow.prediction_id)
            old = session.scalars(
                select(PredictionRow.id).where(
                    PredictionRow.created_at < limit,
                    PredictionRow.status != QUEUED,
                    PredictionRow.id.not_in(needed),
                )
            ).all()
            for start in range(0, len(old), 500):
                part = old[start : start + 500]
                session.execute(delete(PredictionRow).where(PredictionRow.id.in_(part)))
            session.execute(delete(JobRow).where(JobRow.created_at < limit, _job_is_empty()))
        self._forget([*old, *files])
        return len(old)

    def sweep(self) -> int:
        """Move files without a row to `lost` at the start, and free this process's claims.

        Only unacknowledged drafts are deleted. Other processes may be about to commit a row, so a
        file without a row must have a minimum age.

        Returns:
            The number of moved files.
        """
        self.spool.clean(self.others())
        names = self.spool.names()
        with self.database.reading() as session:
            known = set(session.scalars(select(PredictionRow.id)))
            for objects in session.scalars(select(ReportRow.objects)):
                known.update(objects)
        unknown = names - known
        if not self.database.is_sqlite:
            unknown = {name for name in unknown if self.spool.age(name) > _UNCOMMITTED_SECONDS}
        for name in unknown:
            self.spool.set_aside(name)
        return len(unknown)

    def others(self) -> set[str]:
        """Return the other live processes of this store."""
        if self.database.is_sqlite:
            return set()
        with self.database.reading() as session:
            rows = session.scalars(select(ProcessRow.id).where(ProcessRow.id != self.spool.process))
            return set(rows)


def record(row: PredictionRow, result: Result, *, keep_map: bool = True) -> None:
    """Write a result into its row."""
    row.finished_at = now()
    row.read_milliseconds = round(result.milliseconds, 3)
    if isinstance(result, Unread):
        row.status, row.rank = UNREADABLE, -2.0
        row.error_code, row.reason = result.error.code, result.error.reason
        return
    finite = math.isfinite(result.probability)
    row.status = DONE
    row.rank = result.probability if finite and not result.abstained else -1.0
    row.probability = result.probability if finite else None
    row.threshold, row.operating_point = result.threshold, result.operating_point
    row.logit = result.logit if math.isfinite(result.logit) else None
    row.novelty = result.novelty if math.isfinite(result.novelty) else None
    row.decision, row.reason = result.decision, result.reason
    row.flags = list(result.flags)
    row.facts = facts(result)
    row.view, row.view_source = result.view, result.view_source
    row.guarantee, row.clear_below = result.guarantee, result.clear_below
    if keep_map:
        row.boxes = [box.record() for box in result.boxes]
        heat = np.ascontiguousarray(result.heatmap, "<f4")
        row.heatmap = heat.tobytes()
        row.heatmap_rows, row.heatmap_columns = heat.shape
    row.read_milliseconds = round(result.read_milliseconds, 3)
    row.infer_milliseconds = round(result.infer_milliseconds, 3)


def facts(result: Prediction) -> dict[str, Any]:
    """Return metadata of a file that do not identify the patient."""
    read = result.facts
    return {
        "format": read.format,
        "rows": read.rows,
        "columns": read.columns,
        "bits_stored": read.bits_stored,
        "photometric": read.photometric,
        "transfer_syntax": read.transfer_syntax,
        "modality": read.modality,
        "view": read.view,
        "pixel_spacing_mm": read.pixel_spacing_mm,
        "orientation": read.orientation,
    }


def orientation(row: PredictionRow) -> int | None:
    """Return the EXIF orientation of a result's map and picture; None if it is the file's own."""
    code: int | None = row.facts.get("orientation")
    return code


def was_negative(row: PredictionRow) -> bool:
    """Return whether the detector inverted the radiograph; its picture is inverted, too."""
    return "inverted" in row.flags


def has_map(row: PredictionRow) -> bool:
    """Return whether a finished prediction has a heat map whose place in the file is known.

    Earlier results do not have how far the detector had turned a radiograph.
    """
    return bool(row.heatmap) and (orientation(row) is not None or "turned" not in row.flags)


def heatmap(row: PredictionRow) -> NDArray[np.float32]:
    """Return the heat map of a finished prediction: float32 [h, w] in 0..1."""
    shape = (row.heatmap_rows or 0, row.heatmap_columns or 0)
    return np.frombuffer(row.heatmap or b"", "<f4").reshape(shape).astype(np.float32)


def _job_is_empty() -> ColumnElement[bool]:
    return JobRow.id.not_in(select(JobItemRow.job_id))
