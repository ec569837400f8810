"""Requests and answers of the worklist's routes."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Any, cast

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from nanoray.serving.http.schemas import EXAMPLE_ID, Delivery, Origin, Prediction
from nanoray.serving.storage.studies import Finding, Sort, Verdict
from nanoray.serving.storage.tables import StudyRow


def _printable(text: str) -> str:
    """Text without control characters except line ends; databases and terminals misread them."""
    return "".join(letter for letter in text if letter.isprintable() or letter == "\n")


Text = Annotated[str, AfterValidator(_printable)]
Id = Annotated[str, StringConstraints(pattern="^[0-9a-f]{32}$")]
Code = Annotated[str, StringConstraints(pattern="^[A-Za-z0-9 _-]{1,32}$")]

_PATIENT: dict[str, Any] = {
    "name": "Phantom, Synthetic",
    "id": "PHANTOM-1",
    "birth_date": "1970-01-31",
    "sex": "F",
    "accession": "A-1",
    "study_date": "2026-01-02",
    "description": "Chest PA and lateral",
    "viewer_url": None,
}
_REVIEW: dict[str, Any] = {
    "finding": "opacity",
    "agrees": True,
    "note": "right lower zone",
    "reviewed_at": "2026-01-02T03:04:05Z",
    "reviewed_by": "1f2e3d4c5b6a",
}
_STUDY: dict[str, Any] = {
    "id": EXAMPLE_ID,
    "received_at": "2026-01-02T03:04:05Z",
    "updated_at": "2026-01-02T03:04:06Z",
    "origin": "dicom",
    "images": 2,
    "verdict": "opacity suspected",
    "probability": 0.8124,
    "view": "PA",
    "threshold": 0.5,
    "flags": ["lateral-view"],
    "views": ["PA", "LL"],
    "read_at": None,
    "prior": {"probability": 0.31, "change": 0.5024, "date": "2025-11-03"},
    "patient": _PATIENT,
    "review": _REVIEW,
}


class Patient(BaseModel):
    """Patient and study from the images' headers; shown by setting and role."""

    model_config = ConfigDict(json_schema_extra={"examples": [_PATIENT]})

    name: str | None = None
    id: str | None = None
    birth_date: str | None = None
    sex: str | None = None
    accession: str | None = None
    study_date: str | None = None
    description: str | None = None
    viewer_url: str | None = None


class Review(BaseModel):
    """A review. `agrees` compares it with the current result."""

    model_config = ConfigDict(json_schema_extra={"examples": [_REVIEW]})

    finding: Finding | None = None
    agrees: bool | None = None
    note: str = ""
    reviewed_at: datetime
    reviewed_by: str | None = None


class PriorResult(BaseModel):
    """The latest earlier radiograph of the patient; `change` is the study's probability less its.

    `date` is null for callers who may not see the patient.
    """

    probability: float
    change: float
    date: str | None = None


class Study(BaseModel):
    """A row of the worklist.

    `probability`, `view` and `threshold` belong to the image that determines the verdict. Each view
    has a separate threshold, so a lower probability may be suspected and a higher one not.
    `patient` is null for callers who may not see it.
    """

    model_config = ConfigDict(json_schema_extra={"examples": [_STUDY]})

    id: str
    received_at: datetime
    updated_at: datetime
    origin: Origin
    images: int
    verdict: Verdict
    probability: float | None = None
    view: str | None = None
    threshold: float | None = None
    flags: list[str]
    views: list[str]
    read_at: datetime | None = None
    prior: PriorResult | None = None
    patient: Patient | None = None
    review: Review | None = None

    @classmethod
    def of(cls, row: StudyRow, patient: Patient | None) -> Study:
        """Convert a row, for a caller who may see the patient."""
        review = None
        if row.reviewed_at is not None:
            review = Review(
                finding=cast("Finding | None", row.finding),
                agrees=row.agrees,
                note=row.note or "",
                reviewed_at=row.reviewed_at,
                reviewed_by=row.reviewed_by,
            )
        prior = None
        if row.prior_probability is not None and row.probability is not None:
            prior = PriorResult(
                probability=row.prior_probability,
                change=round(row.probability - row.prior_probability, 6),
                date=row.prior_date if patient is not None else None,
            )
        return cls(
            id=row.id,
            received_at=row.received_at,
            updated_at=row.updated_at,
            origin=cast("Origin", row.origin),
            images=row.images,
            verdict=cast("Verdict", row.verdict),
            probability=None if row.probability is None else round(row.probability, 7),
            view=row.view,
            threshold=row.threshold,
            flags=row.flags,
            views=row.views,
            read_at=row.read_at,
            prior=prior,
            patient=patient,
            review=review,
        )


class StudyImage(Prediction):
    """An image of a study; `in_scope` is false if the model is not for this kind of image."""

    in_scope: bool
    lateral: bool


class EarlierResult(PriorResult):
    """An earlier radiograph of the patient, judged by the same model; `threshold` is its view's."""

    view: str | None = None
    threshold: float
    verdict: Verdict


class StudyDetail(Study):
    """A study with its images and the deliveries of its reports.

    `priors` are the earlier radiographs that the result is compared with, the latest first.
    """

    image_list: list[StudyImage]
    priors: list[EarlierResult]
    deliveries: list[Delivery]


class StudyList(BaseModel):
    """A page of the worklist; `waiting` counts accepted files that are not yet screened."""

    items: list[Study]
    total: int
    next: str | None = None
    waiting: int


class StudySearch(BaseModel):
    """A search for studies. It is sent in the body, since an address would be logged."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"text": "phantom", "read": False, "limit": 50}]},
    )

    text: Annotated[Text, StringConstraints(max_length=200)] | None = None
    ids: Annotated[list[Id], Field(max_length=200)] | None = None
    image: Id | None = None
    verdict: Verdict | None = None
    flag: Code | None = None
    view: Code | None = None
    origin: Origin | None = None
    read: bool | None = None
    reviewed: bool | None = None
    agrees: bool | None = None
    min_probability: float | None = Field(None, ge=0, le=1)
    max_probability: float | None = Field(None, ge=0, le=1)
    received_from: datetime | None = None
    received_to: datetime | None = None
    study_from: date | None = None
    study_to: date | None = None


class StudyQuery(StudySearch):
    """A search, with the page of its results."""

    sort: Sort = "-probability"
    cursor: Annotated[str, StringConstraints(max_length=300, pattern="^[A-Za-z0-9_-]+$")] | None = (
        None
    )
    limit: int = Field(50, ge=1, le=200)


class Mark(BaseModel):
    """Whether a study is read."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"read": True}]})

    read: bool


class NewReview(BaseModel):
    """A review; without a finding and a note, an earlier review is withdrawn."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"finding": "no opacity", "note": "nipple shadow"}]},
    )

    finding: Finding | None = None
    note: Annotated[Text, StringConstraints(max_length=2000, strip_whitespace=True)] = ""


class Session(BaseModel):
    """The caller's permissions, for the page."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "submits": True,
                    "administers": False,
                    "signed_in": True,
                    "shows_patients": True,
                    "shows_map": True,
                    "delivers": True,
                    "lock_minutes": 15,
                }
            ]
        }
    )

    submits: bool
    administers: bool
    signed_in: bool
    shows_patients: bool
    shows_map: bool
    delivers: bool
    lock_minutes: float
