"""Requests and answers of the API."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal, cast

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from nanoray.detecting.model_file import NOTICE
from nanoray.detecting.views import View, ViewSource
from nanoray.serving.storage.tables import DONE, UNREADABLE, DeliveryRow, PredictionRow, ReportRow

EXAMPLE_ID = "0f8fad5bd9cb469fa16570867728950e"
_DIGEST = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"

Status = Literal["queued", "done", "unreadable"]
DecisionWord = Literal["opacity suspected", "no opacity suspected", "unsure", "abstained"]
Origin = Literal["http", "dicom", "pull"]
DeliveryStatus = Literal["pending", "delivered", "dead", "cancelled"]
Commitment = Literal["due", "requested", "committed", "unanswered"]
ReportStatus = Literal["collecting", "writing", "reported", "dead", "cancelled"]


class Refusal(BaseModel):
    """Reason for an unreadable file."""

    code: str = Field(examples=["truncated"])
    detail: str = Field(examples=["the file ends before its pixel data does"])


_PREDICTION: dict[str, Any] = {
    "id": EXAMPLE_ID,
    "status": "done",
    "created_at": "2026-01-02T03:04:05.678901Z",
    "finished_at": "2026-01-02T03:04:05.712345Z",
    "origin": "http",
    "sha256": _DIGEST,
    "size": 524_288,
    "probability": 0.8124,
    "decision": "opacity suspected",
    "reason": None,
    "threshold": 0.5,
    "operating_point": "balanced",
    "logit": 1.21,
    "novelty": 0.31,
    "flags": ["low-contrast"],
    "model": "nanoray-student",
    "model_version": "1.0",
    "model_sha256": _DIGEST,
    "facts": {
        "format": "DICOM",
        "rows": 1024,
        "columns": 1024,
        "view": "PA",
        "orientation": 1,
    },
    "view": "PA",
    "view_source": "header",
    "guarantee": None,
    "clear_below": None,
    "boxes": [{"left": 0.1, "top": 0.5, "width": 0.3, "height": 0.25, "score": 0.7}],
    "heatmap": {"rows": 2, "columns": 2, "values": [[0.1, 0.2], [0.7, 0.3]]},
    "read_milliseconds": 21.4,
    "infer_milliseconds": 6.2,
    "error": None,
    "notice": NOTICE,
}


class Heatmap(BaseModel):
    """Local probability, 0 to 1, over the whole radiograph as `/pixels` returns it, row by row."""

    rows: int
    columns: int
    values: list[list[float]]


class Box(BaseModel):
    """A box on the radiograph as `/pixels` returns it, in fractions of its width and height."""

    left: float
    top: float
    width: float
    height: float
    score: float


class Prediction(BaseModel):
    """An accepted file and, when `status` is "done", the detector's result.

    `probability` is not a finding if the decision is "abstained". `threshold` belongs to `view`,
    the view used for the decision (null if unknown). With a guarantee, an image below the threshold
    is clear only below `clear_below`, else "unsure". A suspected opacity has `boxes`. A service
    without maps returns neither boxes nor `heatmap`. Both, and the rows, columns and spacing of
    `facts`, are of the image turned upright by the EXIF orientation `facts.orientation`. Times are
    in UTC.
    """

    model_config = ConfigDict(
        json_schema_extra={"examples": [_PREDICTION]}, protected_namespaces=()
    )

    id: str
    status: Status
    created_at: datetime
    finished_at: datetime | None = None
    origin: Origin
    sha256: str
    size: int
    probability: float | None = None
    decision: DecisionWord | None = None
    reason: str | None = None
    threshold: float
    operating_point: str | None = None
    logit: float | None = None
    novelty: float | None = None
    flags: list[str]
    model: str
    model_version: str
    model_sha256: str
    facts: dict[str, Any]
    view: View | None = None
    view_source: ViewSource | None = None
    guarantee: float | None = None
    clear_below: float | None = None
    boxes: list[Box]
    heatmap: Heatmap | None = None
    read_milliseconds: float | None = None
    infer_milliseconds: float | None = None
    error: Refusal | None = None
    notice: str = NOTICE

    @classmethod
    def of(cls, row: PredictionRow) -> Prediction:
        """Convert a row of the database."""
        from nanoray.serving.storage.store import has_map

        done, placed = row.status == DONE, has_map(row)
        return cls.model_validate(
            dict(
                id=row.id,
                status=row.status,
                created_at=row.created_at,
                finished_at=row.finished_at,
                origin=row.origin,
                sha256=row.sha256,
                size=row.size,
                probability=_rounded(row.probability),
                decision=row.decision,
                reason=row.reason if done else None,
                threshold=row.threshold,
                operating_point=row.operating_point,
                logit=_rounded(row.logit),
                novelty=_rounded(row.novelty),
                flags=row.flags,
                model=row.model,
                model_version=row.model_version,
                model_sha256=row.model_sha256,
                facts=row.facts,
                view=row.view,
                view_source=row.view_source,
                guarantee=row.guarantee,
                clear_below=_rounded(row.clear_below),
                boxes=row.boxes if placed else [],
                heatmap=_heatmap(row) if done and placed else None,
                read_milliseconds=row.read_milliseconds,
                infer_milliseconds=row.infer_milliseconds,
                error=(
                    Refusal(code=row.error_code or "unexpected", detail=row.reason or "")
                    if row.status == UNREADABLE
                    else None
                ),
            )
        )


class Results(BaseModel):
    """Predictions in the order of the files in the request."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"results": [_PREDICTION]}]})

    results: list[Prediction]


class PredictionList(BaseModel):
    """A page of predictions; `next` is the cursor of the next page."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"items": [_PREDICTION], "total": 1, "next": None}]}
    )

    items: list[Prediction]
    total: int
    next: str | None = None


class Job(BaseModel):
    """A batch of files; `items` are the first 1000 in order."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "id": EXAMPLE_ID,
                    "status": "done",
                    "created_at": "2026-01-02T03:04:05.678901Z",
                    "total": 1,
                    "finished": 1,
                    "unreadable": 0,
                    "items": [_PREDICTION],
                }
            ]
        }
    )

    id: str
    status: Literal["running", "done"]
    created_at: datetime
    total: int
    finished: int
    unreadable: int
    items: list[Prediction]


class Model(BaseModel):
    """The model in use, and the operating point of its decisions."""

    model_config = ConfigDict(
        protected_namespaces=(),
        json_schema_extra={
            "examples": [
                {
                    "card": {"name": "nanoray-student", "version": "1.0"},
                    "sha256": _DIGEST,
                    "operating_point": "balanced",
                    "threshold": 0.5,
                    "guarantee": None,
                    "flags": {"child": "child"},
                    "stores_results": True,
                    "version": "0.1.0",
                    "notice": NOTICE,
                }
            ]
        },
    )

    card: dict[str, Any]
    sha256: str
    operating_point: str | None = None
    threshold: float
    guarantee: float | None = None
    flags: dict[str, str]
    stores_results: bool
    version: str
    notice: str = NOTICE


class Health(BaseModel):
    """Whether the service works; `checks` has the state of each part."""

    status: Literal["ok", "unavailable"] = Field(examples=["ok"])
    checks: dict[str, Literal["ok", "failing"]] = Field(
        default_factory=dict, examples=[{"database": "ok", "storage": "ok", "screening": "ok"}]
    )


class Problem(BaseModel):
    """Problem details (RFC 9457). `code` is stable; `detail` never repeats the request."""

    model_config = ConfigDict(
        extra="allow",
        json_schema_extra={
            "examples": [
                {
                    "type": "urn:nanoray:problem:truncated",
                    "title": "Unreadable",
                    "status": 422,
                    "code": "truncated",
                    "detail": "the file ends before its pixel data does",
                }
            ]
        },
    )

    type: str
    title: str
    status: int
    code: str
    detail: str


class Pull(BaseModel):
    """A study to fetch from the configured DICOMweb server. The body has the UID."""

    model_config = ConfigDict(extra="forbid")

    study_instance_uid: str = Field(
        pattern=r"^[0-9]+(\.[0-9]+)+$", max_length=64, examples=["1.2.826.0.1.3680043.8.498.1"]
    )


class Pulled(BaseModel):
    """Result of a pull: the numbers of accepted and of known images."""

    accepted: int = Field(examples=[2])
    known: int = Field(examples=[0])
    refused: int = Field(examples=[0])


class Delivery(BaseModel):
    """A delivery of a report. The study is omitted, since it could identify a patient."""

    id: str = Field(examples=[EXAMPLE_ID])
    report: str = Field(examples=[EXAMPLE_ID])
    destination: str = Field(examples=["dicom://PACS@pacs.example:104"])
    status: DeliveryStatus
    attempts: int = Field(examples=[1])
    next_at: datetime
    delivered_at: datetime | None = None
    error_code: str | None = Field(examples=["refused"])
    commitment: Commitment | None = Field(
        description="Storage commitment of the archive; null where none is asked for.",
        default=None,
    )

    @classmethod
    def of(cls, row: DeliveryRow) -> Delivery:
        """Of a row."""
        return cls(
            id=row.id,
            report=row.report_id,
            destination=row.destination,
            status=cast("DeliveryStatus", row.status),
            attempts=row.attempts,
            next_at=row.next_at,
            delivered_at=row.delivered_at,
            error_code=row.error_code,
            commitment=cast("Commitment | None", row.commitment),
        )


class Report(BaseModel):
    """A report on the images of a study. Study and patient are omitted."""

    id: str = Field(examples=[EXAMPLE_ID])
    status: ReportStatus
    created_at: datetime
    due_at: datetime
    attempts: int = Field(examples=[0])
    images: int = Field(examples=[2])
    objects: int = Field(description="Number of written DICOM objects.", examples=[3])
    predecessor: str | None = Field(description="Replaced report.", default=None)
    error_code: str | None = Field(examples=["none-eligible"], default=None)

    @classmethod
    def of(cls, row: ReportRow, images: int) -> Report:
        """Of a row and the number of its images."""
        return cls(
            id=row.id,
            status=cast("ReportStatus", row.status),
            created_at=row.created_at,
            due_at=row.due_at,
            attempts=row.attempts,
            images=images,
            objects=len(row.objects),
            predecessor=row.predecessor_id,
            error_code=row.error_code,
        )


class ReportList(BaseModel):
    """Reports, the latest first."""

    items: list[Report]


class Retried(BaseModel):
    """Number of retried items."""

    retried: int = Field(examples=[3])


class DeliveryList(BaseModel):
    """Deliveries, the latest first."""

    items: list[Delivery]


def _heatmap(row: PredictionRow) -> Heatmap:
    from nanoray.serving.storage.store import heatmap

    values = heatmap(row).astype(np.float64).round(5)
    return Heatmap(rows=values.shape[0], columns=values.shape[1], values=values.tolist())


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 7)
