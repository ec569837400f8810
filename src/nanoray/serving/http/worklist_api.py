"""The routes of the worklist: studies, reviews, and the caller's permissions."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timezone
from typing import Annotated, Any
from urllib.parse import quote

import anyio.to_thread
from fastapi import APIRouter, Depends, Path, Request, Response
from fastapi.responses import StreamingResponse

from nanoray.detecting.flags import LATERAL
from nanoray.detecting.prediction import NOT_SUSPECTED, SUSPECTED, UNSURE
from nanoray.files import csv_cell
from nanoray.serving.dicom.findings import Prior
from nanoray.serving.http import schemas, worklist_schemas
from nanoray.serving.http.api import (
    KEPT,
    MISSING,
    SHARED,
    administers,
    authenticate,
    require,
    service_of,
)
from nanoray.serving.http.problems import Problem
from nanoray.serving.storage.keys import ADMIN, SUBMIT, Owner
from nanoray.serving.storage.studies import StudyFilter, in_scope, judge
from nanoray.serving.storage.tables import PredictionRow, StudyRow

router = APIRouter(
    prefix="/v1", dependencies=[Depends(authenticate)], responses=SHARED, tags=["worklist"]
)

StudyId = Annotated[
    str,
    Path(pattern="^[0-9a-f]{32}$", description="The study's id.", examples=[schemas.EXAMPLE_ID]),
]
_CSV: dict[int | str, dict[str, Any]] = {
    200: {"content": {"text/csv": {"schema": {"type": "string"}}}, "description": "A table."},
    **MISSING,
}
# A spreadsheet would interpret text with such a beginning as a formula.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


async def _submits(request: Request) -> None:
    require(request, SUBMIT)


def _owner(request: Request) -> Owner | None:
    owner: Owner | None = getattr(request.state, "owner", None)
    return owner


def _permits(request: Request, role: str) -> bool:
    owner = _owner(request)
    return owner is None or owner.may(role)


def _sees_patients(request: Request) -> bool:
    least = service_of(request).settings.patients
    return least != "nobody" and _permits(request, least)


def _patient(request: Request, row: StudyRow) -> worklist_schemas.Patient | None:
    if not _sees_patients(request) or not row.identified:
        return None
    return worklist_schemas.Patient(
        name=row.patient_name,
        id=row.patient_id,
        birth_date=row.birth_date,
        sex=row.sex,
        accession=row.accession,
        study_date=row.study_date or None,
        description=row.description,
        viewer_url=viewer_url(service_of(request).settings.viewer_link, row),
    )


def viewer_url(template: str | None, row: StudyRow) -> str | None:
    """Return the address of a study in the PACS viewer; None if a value is unknown."""
    if template is None:
        return None
    values = {"study_uid": row.study_uid, "accession": row.accession, "patient_id": row.patient_id}
    for name, value in values.items():
        place = "{" + name + "}"
        if place not in template:
            continue
        if not value:
            return None
        template = template.replace(place, quote(value, safe=""))
    return template


def _study(request: Request, row: StudyRow) -> worklist_schemas.Study:
    return worklist_schemas.Study.of(row, _patient(request, row))


def _filter(request: Request, search: worklist_schemas.StudySearch) -> StudyFilter:
    try:
        received = [_utc(search.received_from), _utc(search.received_to)]
    except OverflowError:
        raise Problem(422, "parameter", "the time is out of range") from None
    wanted = StudyFilter(
        text=search.text,
        by_identity=_sees_patients(request),
        ids=None if search.ids is None else tuple(search.ids),
        image=search.image,
        verdict=search.verdict,
        flag=search.flag,
        view=search.view,
        origin=search.origin,
        read=search.read,
        reviewed=search.reviewed,
        agrees=search.agrees,
        min_probability=search.min_probability,
        max_probability=search.max_probability,
        received_from=received[0],
        received_to=received[1],
    )
    if not _sees_patients(request):
        return wanted  # study dates are hidden, so they cannot be searched
    return replace(
        wanted,
        study_from=search.study_from.isoformat() if search.study_from else None,
        study_to=search.study_to.isoformat() if search.study_to else None,
    )


def _utc(moment: datetime | None) -> datetime | None:
    if moment is None:
        return None
    aware = moment if moment.tzinfo is not None else moment.replace(tzinfo=timezone.utc)
    return aware.astimezone(timezone.utc)


def _not_found() -> Problem:
    return Problem(404, "no-study", "study not found")


@router.get("/session", response_model=worklist_schemas.Session)
async def session(request: Request) -> worklist_schemas.Session:
    """Return the caller's permissions."""
    settings = service_of(request).settings
    return worklist_schemas.Session(
        submits=_permits(request, SUBMIT),
        administers=_permits(request, ADMIN),
        signed_in=_owner(request) is not None,
        shows_patients=_sees_patients(request),
        shows_map=settings.show_map,
        delivers=request.app.state.node is not None,
        lock_minutes=settings.lock_minutes,
    )


@router.post(
    "/studies/search",
    response_model=worklist_schemas.StudyList,
    dependencies=KEPT,
    responses=MISSING,
)
async def search_studies(
    request: Request, query: worklist_schemas.StudyQuery
) -> worklist_schemas.StudyList:
    """List studies: the worklist. Text is searched only in fields that the caller may see."""
    service = service_of(request)
    wanted = _filter(request, query)
    try:
        page = await anyio.to_thread.run_sync(
            lambda: service.studies.page(
                wanted, sort=query.sort, cursor=query.cursor, limit=query.limit
            )
        )
    except ValueError:
        raise Problem(422, "cursor", "the cursor belongs to another list") from None
    return worklist_schemas.StudyList(
        items=[_study(request, row) for row in page.rows],
        total=page.total,
        next=page.cursor,
        waiting=service.pipeline.depth,
    )


@router.post("/studies/export", response_class=StreamingResponse, dependencies=KEPT, responses=_CSV)
async def export_studies(request: Request, search: worklist_schemas.StudySearch) -> Response:
    """Export the found studies as CSV, with patients if the caller may see them."""
    service = service_of(request)
    wanted, patients = _filter(request, search), _sees_patients(request)
    lines = _table(service.studies.every(wanted, sort="-received_at"), patients=patients)
    return StreamingResponse(
        lines,
        media_type="text/csv",
        headers={"Content-Disposition": 'attachment; filename="worklist.csv"'},
    )


_STUDY_COLUMNS = (
    "received_at",
    "verdict",
    "probability",
    "view",
    "threshold",
    "images",
    "read_at",
    "finding",
    "agrees",
    "note",
    "id",
)
_PATIENT_COLUMNS = ("study_date", "accession", "patient_id", "patient_name", "study_uid")


def _table(rows: Iterator[StudyRow], *, patients: bool) -> Iterator[str]:
    columns = ("views", "flags", *_STUDY_COLUMNS, *(_PATIENT_COLUMNS if patients else ()))
    yield _line(columns)
    for row in rows:
        yield _line(
            [
                " ".join(row.views),
                " ".join(row.flags),
                *(getattr(row, column) for column in columns[2:]),
            ]
        )


def _line(values: Any) -> str:
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\r\n").writerow([_cell(value) for value in values])
    return buffer.getvalue()


def _cell(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, str) and value.startswith(_FORMULA):
        value = "'" + value
    return "" if value is None else csv_cell(value, keep="\n")


@router.get("/labels", response_class=Response, dependencies=KEPT, responses=_CSV)
async def labels(request: Request) -> Response:
    """Export reviews as a table for `nanoray calibrate`.

    `file` is a path below the service's folder `spool`; `patient` numbers the patients. `nanoray
    labels` writes the same table on the service's machine, with full paths.
    """
    found = await anyio.to_thread.run_sync(service_of(request).studies.labels)
    text = "".join(label_table(found, "files/"))
    headers = {"Content-Disposition": 'attachment; filename="labels.csv"'}
    return Response(text, media_type="text/csv", headers=headers)


def label_table(found: Any, folder: str) -> Iterator[str]:
    """Yield the lines of a CSV of labels for files in `folder`."""
    yield _line(["file", "target", "patient", "probability", "decision", "note", "reviewed_at"])
    for label in found:
        yield _line(
            [
                folder + label.prediction,
                label.target,
                label.patient,
                label.probability,
                label.decision,
                label.note,
                label.reviewed_at,
            ]
        )


@router.get(
    "/studies/{study_id}",
    response_model=worklist_schemas.StudyDetail,
    dependencies=KEPT,
    responses=MISSING,
)
async def study(request: Request, study_id: StudyId) -> worklist_schemas.StudyDetail:
    """Return a study with its images, in order, and the deliveries of its reports."""
    service = service_of(request)
    found = await anyio.to_thread.run_sync(service.studies.get, study_id)
    if found is None:
        raise _not_found()
    row, images = found
    deliveries = []
    if request.app.state.node is not None:
        deliveries = await anyio.to_thread.run_sync(service.studies.deliveries, study_id)
    answer = _study(request, row)
    return worklist_schemas.StudyDetail(
        **answer.model_dump(),
        image_list=[_image(image) for image in images],
        priors=list(_priors(images, dated=answer.patient is not None)),
        deliveries=[schemas.Delivery.of(item) for item in deliveries],
    )


def _priors(
    images: Sequence[PredictionRow], *, dated: bool
) -> Iterator[worklist_schemas.EarlierResult]:
    """Return the priors of the image that decides, with dates for who may see the patient."""
    _, deciding = judge(images)
    if deciding is None or deciding.probability is None:
        return
    for prior in (Prior(**prior) for prior in deciding.priors):
        yield worklist_schemas.EarlierResult(
            probability=prior.probability,
            change=round(deciding.probability - prior.probability, 6),
            date=(prior.date or None) if dated else None,
            view=prior.view,
            threshold=prior.threshold,
            verdict=SUSPECTED if prior.suspected else UNSURE if prior.unsure else NOT_SUSPECTED,
        )


def _image(row: PredictionRow) -> worklist_schemas.StudyImage:
    return worklist_schemas.StudyImage(
        **schemas.Prediction.of(row).model_dump(),
        in_scope=in_scope(row),
        lateral=bool(LATERAL.intersection(row.flags)),
    )


@router.put(
    "/studies/{study_id}/read",
    response_model=worklist_schemas.Study,
    dependencies=[*KEPT, Depends(_submits)],
    responses=MISSING,
)
async def mark_read(
    request: Request, study_id: StudyId, mark: worklist_schemas.Mark
) -> worklist_schemas.Study:
    """Mark a study as read, or as unread. An image that arrives later makes it unread again."""
    owner = _owner(request)
    who = owner.id if owner is not None else None
    row = await anyio.to_thread.run_sync(
        lambda: service_of(request).studies.mark(study_id, read=mark.read, who=who)
    )
    return _changed(request, row)


@router.put(
    "/studies/{study_id}/review",
    response_model=worklist_schemas.Study,
    dependencies=[*KEPT, Depends(_submits)],
    responses=MISSING,
)
async def review(
    request: Request, study_id: StudyId, given: worklist_schemas.NewReview
) -> worklist_schemas.Study:
    """Record a review of a study; it replaces an earlier review."""
    owner = _owner(request)
    who = owner.id if owner is not None else None
    row = await anyio.to_thread.run_sync(
        lambda: service_of(request).studies.review(
            study_id, finding=given.finding, note=given.note, who=who
        )
    )
    return _changed(request, row)


def _changed(request: Request, row: StudyRow | None) -> worklist_schemas.Study:
    if row is None:
        raise _not_found()
    service_of(request).events.tell("study", [{"id": row.id}])
    return _study(request, row)


@router.delete(
    "/studies/{study_id}",
    status_code=204,
    dependencies=[*KEPT, Depends(administers)],
    responses=MISSING,
)
async def delete_study(request: Request, study_id: StudyId) -> Response:
    """Delete a study with its images, their results and its review."""
    service = service_of(request)
    found = await anyio.to_thread.run_sync(service.studies.get, study_id)
    if found is None:
        raise _not_found()
    for image in found[1]:
        await anyio.to_thread.run_sync(service.delete, image.id)
        service.events.tell("deleted", [{"id": image.id}])
    return Response(status_code=204)
