"""The tables of the database; see `migrations` for their history."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any
from uuid import uuid4

from sqlalchemy import (
    JSON,
    DateTime,
    Float,
    ForeignKey,
    Index,
    LargeBinary,
    MetaData,
    String,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.engine import Dialect
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.types import TypeDecorator

QUEUED, DONE, UNREADABLE = "queued", "done", "unreadable"
"""States of a prediction."""
COLLECTING, WRITING, REPORTED, DEAD = "collecting", "writing", "reported", "dead"
"""States of a report on a study."""
PENDING, DELIVERED, CANCELLED = "pending", "delivered", "cancelled"
"""States of a delivery, besides `DEAD`; a report can be cancelled too."""
DUE, REQUESTED, COMMITTED, UNANSWERED = "due", "requested", "committed", "unanswered"
"""States of the storage commitment of a delivery; None where none is asked for."""

_NAMES = {
    "ix": "ix_%(column_0_label)s",
    "uq": "uq_%(table_name)s_%(column_0_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}


def new_id() -> str:
    """Return a random name: 32 hexadecimal digits."""
    return uuid4().hex


def now() -> datetime:
    """Return the time, in UTC."""
    return datetime.now(timezone.utc)


class Moment(TypeDecorator[datetime]):
    """A time in UTC, also in databases without time zones."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Convert the time for the database."""
        return None if value is None else value.astimezone(timezone.utc)

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        """Convert the time from the database."""
        if value is None:
            return None
        moment: datetime = value
        if moment.tzinfo is None:
            return moment.replace(tzinfo=timezone.utc)
        return moment.astimezone(timezone.utc)


class Base(DeclarativeBase):
    """Base of all tables."""

    metadata = MetaData(naming_convention=_NAMES)


class StoreRow(Base):
    """The id of the store, which is also in its spool. The table has one row."""

    __tablename__ = "store"

    id: Mapped[str] = mapped_column(String(32), primary_key=True, default=new_id)
    created_at: Mapped[datetime] = mapped_column(Moment, default=now)


class ProcessRow(Base):
    """A service process with this database; the claims of a silent one expire."""

    __tablename__ = "processes"

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    seen_at: Mapped[datetime] = mapped_column(Moment, default=now)


class PredictionRow(Base):
    """An accepted file, and the detector's result.

    `fingerprint` is of the file's content, the model file and the threshold, so the same file is
    screened once. `claimed_by` is the process that screens it. `rank` sorts the worklist: the
    probability, -1 for an abstention, -2 for an unreadable file, -3 while it waits. `threshold` is
    that of the image's view, once there is a result. `priors` are results of the patient's earlier
    images; a report waits for them until `prior_due`, if that is set.
    """

    __tablename__ = "predictions"
    __table_args__ = (
        Index("ix_predictions_rank", "rank", "id"),
        Index("ix_predictions_created", "created_at", "id"),
        Index("ix_predictions_status", "status", "created_at"),
        Index("ix_predictions_claimed", "claimed_by", "priority"),
    )

    id: Mapped[str] = mapped_column(String(32), primary_key=True, default=new_id)
    fingerprint: Mapped[str] = mapped_column(String(64), unique=True)
    sha256: Mapped[str] = mapped_column(String(64), index=True)
    size: Mapped[int]
    origin: Mapped[str] = mapped_column(String(8))
    priority: Mapped[int] = mapped_column(default=0)
    status: Mapped[str] = mapped_column(String(12), default=QUEUED)
    rank: Mapped[float] = mapped_column(Float(53), default=-3.0)
    created_at: Mapped[datetime] = mapped_column(Moment, default=now)
    finished_at: Mapped[datetime | None] = mapped_column(Moment)
    model: Mapped[str] = mapped_column(String(64))
    model_version: Mapped[str] = mapped_column(String(32))
    model_sha256: Mapped[str] = mapped_column(String(64))
    operating_point: Mapped[str | None] = mapped_column(String(32))
    threshold: Mapped[float] = mapped_column(Float(53))
    probability: Mapped[float | None] = mapped_column(Float(53))
    logit: Mapped[float | None] = mapped_column(Float(53))
    novelty: Mapped[float | None] = mapped_column(Float(53))
    decision: Mapped[str | None] = mapped_column(String(24))
    reason: Mapped[str | None] = mapped_column(String(200))
    error_code: Mapped[str | None] = mapped_column(String(40))
    flags: Mapped[list[str]] = mapped_column(JSON, default=list)
    facts: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)
    heatmap: Mapped[bytes | None] = mapped_column(LargeBinary)
    heatmap_rows: Mapped[int | None]
    heatmap_columns: Mapped[int | None]
    read_milliseconds: Mapped[float | None]
    infer_milliseconds: Mapped[float | None]
    claimed_by: Mapped[str | None] = mapped_column(String(32))
    view: Mapped[str | None] = mapped_column(String(2))
    view_source: Mapped[str | None] = mapped_column(String(8))
    guarantee: Mapped[float | None] = mapped_column(Float(53))
    clear_below: Mapped[float | None] = mapped_column(Float(53))
    boxes: Mapped[list[dict[str, float]]] = mapped_column(JSON, default=list, server_default="[]")
    priors: Mapped[list[dict[str, Any]]] = mapped_column(JSON, default=list, server_default="[]")
    prior_due: Mapped[datetime | None] = mapped_column(Moment)


class JobRow(Base):
    """A batch of files without a waiting request."""

    __tablename__ = "jobs"

    id: Mapped[str] = mapped_column(String(32), primary_key=True, default=new_id)
    created_at: Mapped[datetime] = mapped_column(Moment, default=now, index=True)


class JobItemRow(Base):
    """A file of a job; several jobs may have the same file."""

    __tablename__ = "job_items"

    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True)
    prediction_id: Mapped[str] = mapped_column(
        ForeignKey("predictions.id", ondelete="CASCADE"), index=True
    )


class KeyRow(Base):
    """An API key, with a digest of its secret."""

    __tablename__ = "api_keys"

    id: Mapped[str] = mapped_column(String(16), primary_key=True)
    name: Mapped[str] = mapped_column(String(64), unique=True)
    role: Mapped[str] = mapped_column(String(8), server_default="admin")
    digest: Mapped[str] = mapped_column(String(64))
    created_at: Mapped[datetime] = mapped_column(Moment, default=now)
    revoked_at: Mapped[datetime | None] = mapped_column(Moment)


class ReportRow(Base):
    """A report on one study of one patient, written when no more images arrive.

    Later images trigger another report on all images of the study, which references the previous
    report as its predecessor. `patient_key` is a digest of the patient; versions before 0.2 left it
    empty.
    """

    __tablename__ = "reports"
    __table_args__ = (
        Index("ix_reports_status", "status", "due_at"),
        # Images that two processes accept concurrently belong to one report.
        Index(
            "uq_reports_collecting",
            "study_uid",
            "patient_key",
            unique=True,
            sqlite_where=text("status = 'collecting'"),
            postgresql_where=text("status = 'collecting'"),
        ),
    )

    id: Mapped[str] = mapped_column(String(32), primary_key=True, default=new_id)
    study_uid: Mapped[str] = mapped_column(String(64), index=True)
    patient_key: Mapped[str] = mapped_column(String(64), default="", server_default="")
    predecessor_id: Mapped[str | None] = mapped_column(String(32))
    claimed_by: Mapped[str | None] = mapped_column(String(32))
    status: Mapped[str] = mapped_column(String(12), default=COLLECTING)
    created_at: Mapped[datetime] = mapped_column(Moment, default=now)
    due_at: Mapped[datetime] = mapped_column(Moment)
    attempts: Mapped[int] = mapped_column(default=0)
    error_code: Mapped[str | None] = mapped_column(String(40))
    objects: Mapped[list[str]] = mapped_column(JSON, default=list)


class InstanceRow(Base):
    """A DICOM image that the node received; the sender may repeat it.

    `corrections` counts receptions with other pixels or another identity.
    """

    __tablename__ = "instances"
    __table_args__ = (UniqueConstraint("sop_uid", name="uq_instances_sop_uid"),)

    id: Mapped[str] = mapped_column(String(32), primary_key=True, default=new_id)
    sop_uid: Mapped[str] = mapped_column(String(64))
    prediction_id: Mapped[str] = mapped_column(
        ForeignKey("predictions.id", ondelete="CASCADE"), index=True
    )
    report_id: Mapped[str] = mapped_column(ForeignKey("reports.id", ondelete="CASCADE"), index=True)
    received_at: Mapped[datetime] = mapped_column(Moment, default=now)
    corrections: Mapped[int] = mapped_column(default=0, server_default="0")


class DeliveryRow(Base):
    """A report on its way to one destination.

    `commitment` is the state of the archive's storage commitment, `transaction_uid` that of the
    latest request for it, and `commit_at` the time of the next one.
    """

    __tablename__ = "deliveries"
    __table_args__ = (
        UniqueConstraint("report_id", "destination", name="uq_deliveries_report_id"),
        Index("ix_deliveries_status", "status", "next_at"),
    )

    id: Mapped[str] = mapped_column(String(32), primary_key=True, default=new_id)
    report_id: Mapped[str] = mapped_column(ForeignKey("reports.id", ondelete="CASCADE"))
    destination: Mapped[str] = mapped_column(String(200))
    status: Mapped[str] = mapped_column(String(12), default=PENDING)
    attempts: Mapped[int] = mapped_column(default=0)
    next_at: Mapped[datetime] = mapped_column(Moment, default=now)
    delivered_at: Mapped[datetime | None] = mapped_column(Moment)
    error_code: Mapped[str | None] = mapped_column(String(40))
    claimed_by: Mapped[str | None] = mapped_column(String(32))
    commitment: Mapped[str | None] = mapped_column(String(12))
    transaction_uid: Mapped[str | None] = mapped_column(String(64), index=True)
    commit_at: Mapped[datetime | None] = mapped_column(Moment)
    commit_attempts: Mapped[int] = mapped_column(default=0, server_default="0")


class StudyRow(Base):
    """A row of the worklist: the images of one study of one patient, and its review.

    `key` is a digest of the study's UID and the patient's identifiers, or of the prediction for a
    file without a study. The columns from `study_uid` to `search` identify a patient; they are
    filled only if the service shows identities. `rank` sorts as in `predictions`, with -1.5 for a
    study without an image in the model's scope. `nanoray.serving.storage.studies` updates the
    summary (`verdict` to `views`, `view` and `threshold`).
    """

    __tablename__ = "studies"
    __table_args__ = (
        Index("ix_studies_rank", "rank", "id"),
        Index("ix_studies_received", "received_at", "id"),
        Index("ix_studies_study_date", "study_date", "id"),
        Index("ix_studies_verdict", "verdict", "read_at", "received_at"),
        # Words are looked for in this index, which is smaller than the table. PostgreSQL would not
        # use it, and refuses entries of more than 2,704 bytes.
        Index("ix_studies_search", "search", "id", info={"dialect": "sqlite"}).ddl_if("sqlite"),
        # PostgreSQL's index of trigrams; it needs the extension pg_trgm.
        Index(
            "ix_studies_trigrams",
            "search",
            postgresql_using="gin",
            postgresql_ops={"search": "gin_trgm_ops"},
            info={"dialect": "postgresql"},
        ).ddl_if("postgresql"),
    )

    id: Mapped[str] = mapped_column(String(32), primary_key=True, default=new_id)
    key: Mapped[str] = mapped_column(String(64), unique=True)
    identified: Mapped[bool] = mapped_column(default=False)
    study_uid: Mapped[str | None] = mapped_column(String(64))
    patient_name: Mapped[str | None] = mapped_column(String(200))
    patient_id: Mapped[str | None] = mapped_column(String(64))
    birth_date: Mapped[str | None] = mapped_column(String(10))
    sex: Mapped[str | None] = mapped_column(String(1))
    accession: Mapped[str | None] = mapped_column(String(64))
    description: Mapped[str | None] = mapped_column(String(200))
    search: Mapped[str | None] = mapped_column(Text)
    study_date: Mapped[str] = mapped_column(String(10), default="")
    received_at: Mapped[datetime] = mapped_column(Moment, default=now)
    updated_at: Mapped[datetime] = mapped_column(Moment, default=now)
    origin: Mapped[str] = mapped_column(String(8), default="http")
    images: Mapped[int] = mapped_column(default=0)
    verdict: Mapped[str] = mapped_column(String(24), default="")
    probability: Mapped[float | None] = mapped_column(Float(53))
    rank: Mapped[float] = mapped_column(Float(53), default=-2.0)
    flags: Mapped[list[str]] = mapped_column(JSON, default=list)
    views: Mapped[list[str]] = mapped_column(JSON, default=list)
    read_at: Mapped[datetime | None] = mapped_column(Moment)
    read_by: Mapped[str | None] = mapped_column(String(64))
    finding: Mapped[str | None] = mapped_column(String(12))
    agrees: Mapped[bool | None]
    note: Mapped[str | None] = mapped_column(String(2000))
    reviewed_at: Mapped[datetime | None] = mapped_column(Moment)
    reviewed_by: Mapped[str | None] = mapped_column(String(64))
    view: Mapped[str | None] = mapped_column(String(8))
    threshold: Mapped[float | None] = mapped_column(Float(53))
    prior_probability: Mapped[float | None] = mapped_column(Float(53))
    prior_date: Mapped[str | None] = mapped_column(String(10))


class StudyImageRow(Base):
    """An image of a study, in the order of its instance number."""

    __tablename__ = "study_images"

    prediction_id: Mapped[str] = mapped_column(
        ForeignKey("predictions.id", ondelete="CASCADE"), primary_key=True
    )
    study_id: Mapped[str] = mapped_column(ForeignKey("studies.id", ondelete="CASCADE"), index=True)
    number: Mapped[int] = mapped_column(default=0)
