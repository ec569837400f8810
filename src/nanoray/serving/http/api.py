"""The routes under /v1, and the routes for the service's health."""

from __future__ import annotations

import json
import re
from asyncio import wrap_future
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import datetime, timezone
from typing import Annotated, Any

import anyio
import anyio.to_thread
from anyio import CapacityLimiter
from fastapi import APIRouter, Depends, Path, Query, Request, Response
from fastapi.dependencies.models import Dependant
from fastapi.responses import JSONResponse, StreamingResponse
from fastapi.routing import APIRoute
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from nanoray.detecting import heatmap as heatmaps
from nanoray.detecting.flags import WORDS
from nanoray.reading.pool import Ended
from nanoray.serving.events import MAX_WATCHERS
from nanoray.serving.http import schemas
from nanoray.serving.http.problems import MEDIA_TYPE, Problem, busy, unavailable, unreadable
from nanoray.serving.http.protection import client_address
from nanoray.serving.http.uploads import RAW_TYPES, receive
from nanoray.serving.journal import log
from nanoray.serving.metrics import CONTENT_TYPE_LATEST
from nanoray.serving.pictures import FULL_SIDE, PICTURE_SIDE, MakePicture, Picture
from nanoray.serving.pipeline import BACKGROUND, FOREGROUND, BusyError
from nanoray.serving.service import Service
from nanoray.serving.storage.keys import ADMIN, SUBMIT, Owner, TokenError
from nanoray.serving.storage.spool import Draft
from nanoray.serving.storage.store import (
    Accepted,
    Arrival,
    Filter,
    has_map,
    heatmap,
    orientation,
    was_negative,
)
from nanoray.serving.storage.tables import DONE, QUEUED, UNREADABLE, PredictionRow
from nanoray.version import __version__

_LONGEST_KEY = 200
_LONGEST_TOKEN = 16 * 1024

_bearer = HTTPBearer(auto_error=False, description="An API key made by `nanoray keys add`.")

Name = Annotated[
    str,
    Path(pattern="^[0-9a-f]{32}$", description="The id.", examples=[schemas.EXAMPLE_ID]),
]
Moment = Annotated[datetime | None, Query(description="ISO 8601, with a time zone.")]


def service_of(request: Request) -> Service:
    """Return the service of a request."""
    service: Service = request.app.state.service
    return service


async def authenticate(
    request: Request,
    given: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)],
) -> None:
    """Require a valid API key, and apply the rate limit.

    Raises:
        Problem: 401 or 429.
    """
    service = service_of(request)
    caller = client_address(request)
    _check_parameters(request)
    if service.settings.no_auth:
        service.rate_limit.check(caller)
        return
    owner = None if given is None else await _owner_of(service, given.credentials)
    if owner is None:
        # Guessed keys count towards the rate limit too.
        service.rate_limit.check(f"failed {caller}", cost=5)
        words = "API key" if service.tokens is None else "API key, or a token of the issuer,"
        raise Problem(
            401,
            "api-key",
            f"send a valid {words} as a bearer token",
            headers={"WWW-Authenticate": "Bearer"},
        )
    service.rate_limit.check(owner.id)
    request.state.owner = owner


async def _owner_of(service: Service, given: str) -> Owner | None:
    """Return the owner of a key or token; None if it is invalid.

    Raises:
        Problem: 403 for a valid token without a role.
    """
    if len(given) < _LONGEST_KEY and given.startswith("nr_"):
        keyring = service.keyring
        return keyring.remembered(given) or await anyio.to_thread.run_sync(keyring.owner, given)
    if service.tokens is None or given.count(".") != 2 or len(given) > _LONGEST_TOKEN:
        return None
    try:
        return await anyio.to_thread.run_sync(service.tokens.owner, given)
    except TokenError as error:
        if error.forbidden:
            raise Problem(403, "role", "the token has no role for this service") from None
        log("token refused", reason=str(error))
        return None


async def authorise(request: Request, _: Annotated[None, Depends(authenticate)]) -> None:
    """Authenticate, and refuse changes that the key's role does not permit.

    Raises:
        Problem: 401, 403 or 429.
    """
    if request.method not in ("GET", "HEAD"):
        require(request, SUBMIT)


def _check_parameters(request: Request) -> None:
    """Refuse unknown parameters, since a misspelt filter would be ignored."""
    route = request.scope.get("route")
    if not request.query_params or not isinstance(route, APIRoute):
        return
    known = _query_names(route.dependant)
    if not known.issuperset(request.query_params.keys()):
        allowed = ", ".join(sorted(known)) or "none"
        raise Problem(
            422, "unknown-parameter", f"unknown query parameter; this address accepts: {allowed}"
        )


def _query_names(dependant: Dependant) -> set[str]:
    names = {field.alias for field in dependant.query_params}
    return names.union(*map(_query_names, dependant.dependencies))


def administers(request: Request) -> None:
    """Return a dependency of routes for administrators, in addition to `authorise`.

    Raises:
        Problem: 403.
    """
    require(request, ADMIN)


def require(request: Request, role: str) -> None:
    """Raise Problem 403 unless the caller's role includes `role`."""
    owner: Owner | None = getattr(request.state, "owner", None)
    if owner is not None and not owner.may(role):
        raise Problem(403, "role", f"the API key's role is {owner.role}; this requires {role}")


def described(words: str) -> dict[str, Any]:
    return {
        "description": words,
        "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }


SHARED: dict[int | str, dict[str, Any]] = {
    400: described("The request is malformed."),
    401: described("No valid API key."),
    403: described(
        "The API key's role does not permit this, or the request is from a page of another origin."
    ),
    421: described("Unknown host name."),
    422: described("A parameter is invalid."),
    429: described("Too many requests; see Retry-After."),
    500: described("A defect of the service."),
    503: described("Temporarily unavailable; see Retry-After."),
}
MISSING: dict[int | str, dict[str, Any]] = {404: described("Not found.")}
_UPLOAD: dict[int | str, dict[str, Any]] = {
    408: described("The body took too long to arrive."),
    413: described("The request, a file or its image is too large."),
    415: described("Neither DICOM nor a picture that is read (PNG, JPEG, TIFF, ...)."),
    422: described("No file could be read; `results` has the reason for each."),
    507: described("The disk is full; see Retry-After."),
}
_FILES = {
    "requestBody": {
        "required": True,
        "description": "One file, or several as multipart/form-data.",
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["files"],
                    "properties": {
                        "files": {
                            "type": "array",
                            "minItems": 1,
                            "items": {
                                "type": "string",
                                "format": "binary",
                                "contentMediaType": "application/octet-stream",
                            },
                        }
                    },
                }
            },
            **{kind: {"schema": {"type": "string", "format": "binary"}} for kind in RAW_TYPES},
        },
    }
}

router = APIRouter(prefix="/v1", dependencies=[Depends(authorise)], responses=SHARED)
health = APIRouter(tags=["health"])


# Predictions.


@router.post(
    "/predictions",
    tags=["predictions"],
    response_model=schemas.Results,
    responses={
        201: {"model": schemas.Results, "description": "Screened; at least one file was new."},
        202: {"model": schemas.Results, "description": "Accepted, but not finished in time."},
        200: {"description": "Screened; every file was known."},
        **_UPLOAD,
    },
    openapi_extra=_FILES,
)
async def screen(request: Request) -> Response:
    """Screen one or more radiographs and wait for the results, in the order of the files.

    The same file is screened once; a repeated request returns the same prediction. Unreadable files
    have the status "unreadable" and a reason. If all files are unreadable, the answer is an error.
    """
    service = service_of(request)
    accepted = await _accept(request, FOREGROUND)
    watched = {name: service.pipeline.watch(name) for name, _ in accepted.files}
    rows: dict[str, PredictionRow] = {}
    for name, new in accepted.files:
        if new:
            service.pipeline.submit(name, FOREGROUND)
    accepted.release()
    old = [name for name, new in accepted.files if not new]
    if old:
        known = await anyio.to_thread.run_sync(service.store.get_many, old)
        rows.update({name: row for name, row in known.items() if row.status != QUEUED})
    with anyio.move_on_after(service.settings.answer_timeout):
        for name, future in watched.items():
            if name not in rows:
                row = await wrap_future(future)
                if row is not None:
                    rows[name] = row
    for name, future in watched.items():
        service.pipeline.unwatch(name, future)
    missing = [name for name in watched if name not in rows]
    if service.settings.store_nothing:
        await anyio.to_thread.run_sync(_drop, service, list(watched))
        if missing:
            raise unavailable("answer-timeout", "screening took too long; no result was stored")
    elif missing:
        rows |= await anyio.to_thread.run_sync(service.store.get_many, missing)
    results = [schemas.Prediction.of(rows[name]) for name, _ in accepted.files if name in rows]
    return _results(service, results, any(new for _, new in accepted.files))


def _results(service: Service, results: list[schemas.Prediction], new: bool) -> Response:
    answer = schemas.Results(results=results)
    headers = {}
    if len(results) == 1 and not service.settings.store_nothing:
        headers["Location"] = f"/v1/predictions/{results[0].id}"
    refusals = [result.error for result in results if result.error is not None]
    if refusals and len(refusals) == len(results):
        body = answer.model_dump(mode="json")
        problem = unreadable(refusals[0].code, service.settings.max_pixels, **body)
        problem.headers = headers
        return problem.response()
    waiting = any(result.status == QUEUED for result in results)
    status = 202 if waiting else 201 if new else 200
    return Response(answer.model_dump_json(), status, headers, "application/json")


def _drop(service: Service, names: list[str]) -> None:
    for name in names:
        service.store.delete(name)


class _Admitted:
    """Accepted files, and their reserved places in the queue."""

    def __init__(self, service: Service, priority: int) -> None:
        self.files: list[tuple[str, bool]] = []
        self.job: str | None = None
        self._service, self._priority, self._places = service, priority, 0

    def reserve(self, count: int) -> None:
        try:
            self._service.pipeline.reserve(count, self._priority)
        except BusyError as error:
            raise busy(error.retry_after) from None
        self._places += count

    def release(self) -> None:
        self._service.pipeline.release(self._places, self._priority)
        self._places = 0


async def _accept(request: Request, priority: int, *, job: bool = False) -> _Admitted:
    """Receive and accept the files of a request; the caller submits them, then releases."""
    service = service_of(request)
    accepted = _Admitted(service, priority)
    accepted.reserve(1)
    drafts: list[Draft] = []
    uploads: CapacityLimiter = request.app.state.uploads
    try:
        if uploads.available_tokens < 1:
            raise busy(1)
        async with uploads:
            most = service.settings.max_files
            if priority == FOREGROUND:
                most = min(most, service.settings.queue_limit)
            drafts = await receive(request, service.store.spool, service.settings, most)
        accepted.reserve(len(drafts) - 1)
        arrival = Arrival(drafts, "http", priority, service.salt())
        if job:
            arrival = replace(arrival, also=service.store.add_job)
        accepted.files, accepted.job = await anyio.to_thread.run_sync(_take, service, arrival)
        return accepted
    except BaseException:
        accepted.release()
        raise
    finally:
        for draft in drafts:
            draft.discard()


def _take(service: Service, arrival: Arrival) -> Accepted:
    for draft in arrival.drafts:
        draft.finish()
    return service.store.accept(arrival, patience=service.pipeline.patience)


def keeps_results(request: Request) -> None:
    if service_of(request).settings.store_nothing:
        raise Problem(404, "store-nothing", "this service stores no results")


KEPT = [Depends(keeps_results)]


@router.get(
    "/predictions",
    tags=["predictions"],
    response_model=schemas.PredictionList,
    dependencies=KEPT,
    responses=MISSING,
)
async def predictions(
    request: Request,
    sort: Annotated[
        str,
        Query(
            pattern="^(-probability|-created_at)$",
            description="By falling probability, then abstentions, unreadable and waiting files; "
            "or the latest first.",
        ),
    ] = "-probability",
    status: schemas.Status | None = None,
    decision: schemas.DecisionWord | None = None,
    origin: schemas.Origin | None = None,
    flag: Annotated[
        str | None, Query(pattern="^[a-z-]{1,32}$", description="A quality flag's identifier.")
    ] = None,
    min_probability: Annotated[float | None, Query(ge=0, le=1)] = None,
    max_probability: Annotated[float | None, Query(ge=0, le=1)] = None,
    created_after: Moment = None,
    created_before: Moment = None,
    cursor: Annotated[
        str | None,
        Query(max_length=300, pattern="^[A-Za-z0-9_-]+$", description="`next` of a page."),
    ] = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 50,
) -> schemas.PredictionList:
    """List predictions: the worklist."""
    wanted = Filter(
        status,
        decision,
        flag,
        origin,
        min_probability,
        max_probability,
        _utc(created_after),
        _utc(created_before),
    )
    store = service_of(request).store
    try:
        page = await anyio.to_thread.run_sync(
            lambda: store.page(
                wanted, newest_first=sort == "-created_at", cursor=cursor, limit=limit
            )
        )
    except ValueError:
        raise Problem(422, "cursor", "the cursor does not belong to this list") from None
    return schemas.PredictionList(
        items=[schemas.Prediction.of(row) for row in page.rows],
        total=page.total,
        next=page.cursor,
    )


def _utc(moment: datetime | None) -> datetime | None:
    if moment is None:
        return None
    try:
        aware = moment if moment.tzinfo is not None else moment.replace(tzinfo=timezone.utc)
        return aware.astimezone(timezone.utc)
    except OverflowError:
        raise Problem(422, "parameter", "the time is out of range") from None


async def _row(request: Request, name: str) -> PredictionRow:
    row = await anyio.to_thread.run_sync(service_of(request).store.get, name)
    if row is None:
        raise Problem(404, "no-prediction", "prediction not found")
    return row


@router.get(
    "/predictions/{name}",
    tags=["predictions"],
    response_model=schemas.Prediction,
    dependencies=KEPT,
    responses=MISSING,
)
async def prediction(request: Request, name: Name) -> schemas.Prediction:
    """One prediction."""
    return schemas.Prediction.of(await _row(request, name))


@router.delete(
    "/predictions/{name}",
    tags=["predictions"],
    status_code=204,
    dependencies=[*KEPT, Depends(administers)],
    responses=MISSING,
)
async def delete(request: Request, name: Name) -> Response:
    """Delete a prediction and its file."""
    service = service_of(request)
    if not await anyio.to_thread.run_sync(service.delete, name):
        raise Problem(404, "no-prediction", "prediction not found")
    service.events.tell("deleted", [{"id": name}])
    return Response(status_code=204)


_NOT_DONE: dict[int | str, dict[str, Any]] = {
    **MISSING,
    409: described("The prediction is not finished, or has no heat map."),
}


@router.get(
    "/predictions/{name}/heatmap.png",
    tags=["predictions"],
    response_class=Response,
    dependencies=KEPT,
    responses={200: {"content": {"image/png": {}}, "description": "The picture."}, **_NOT_DONE},
)
async def heatmap_picture(
    request: Request,
    name: Name,
    style: Annotated[
        str,
        Query(
            pattern="^(overlay|layer)$",
            description="The radiograph with the map, or only outline and tint (RGBA).",
        ),
    ] = "overlay",
) -> Response:
    """Return the heat map as a picture. Abstentions have none, since a map would be a finding."""
    row = await _row(request, name)
    if row.status != DONE or row.decision == "abstained" or not has_map(row):
        raise Problem(409, "no-heat-map", "this prediction has no heat map")
    if style == "layer":
        rows, columns = _size(row, 512)
        data = await anyio.to_thread.run_sync(
            lambda: heatmaps.png(heatmaps.layer(heatmap(row), rows, columns, row.threshold))
        )
    else:
        picture = await _picture(request, row, 1024)
        data = await anyio.to_thread.run_sync(
            lambda: heatmaps.png(heatmaps.overlay(picture.array(), heatmap(row), row.threshold))
        )
    return Response(data, media_type="image/png", headers={"Cache-Control": "private, no-cache"})


@router.get(
    "/predictions/{name}/pixels",
    tags=["predictions"],
    response_class=Response,
    dependencies=KEPT,
    responses={
        200: {
            "content": {"application/octet-stream": {}},
            "description": "Grey values, 16 bits, little endian, row by row; the headers "
            "`X-Rows` and `X-Columns` give the size.",
        },
        **_NOT_DONE,
    },
)
async def pixels(
    request: Request,
    name: Name,
    full: Annotated[bool, Query(description="All pixels of the file.")] = False,
) -> Response:
    """Return the radiograph, bright bone; its longer side has at most 1536 pixels unless full."""
    row = await _row(request, name)
    if row.status != DONE:
        raise Problem(409, "not-done", "this prediction has no picture")
    picture = await _picture(request, row, FULL_SIDE if full else PICTURE_SIDE)
    headers = {
        "X-Rows": str(picture.rows),
        "X-Columns": str(picture.columns),
        "Cache-Control": "private, no-cache",
        "Vary": "Accept-Encoding",
    }
    data = picture.data
    if re.search(r"(?<![\w-])deflate(?!\s*;\s*q=0(?:\.0*)?\s*(?:,|$))", _encodings(request)):
        headers["Content-Encoding"] = "deflate"  # in HTTP this is the zlib format
    else:
        import zlib

        data = await anyio.to_thread.run_sync(zlib.decompress, data)
    return Response(data, media_type="application/octet-stream", headers=headers)


def _encodings(request: Request) -> str:
    return request.headers.get("accept-encoding", "").lower()


def _size(row: PredictionRow, side: int) -> tuple[int, int]:
    rows, columns = row.facts.get("rows", side), row.facts.get("columns", side)
    scale = side / max(rows, columns, 1)
    return max(1, round(rows * scale)), max(1, round(columns * scale))


async def _picture(request: Request, row: PredictionRow, side: int) -> Picture:
    service = service_of(request)
    path = service.store.spool.path(row.id)
    timeout = service.settings.read_timeout
    task = MakePicture(str(path), side, timeout, orientation(row), was_negative(row))
    try:
        # At most as many at a time as are read for screening.
        picture = await anyio.to_thread.run_sync(
            service.pipeline.call, task, limiter=request.app.state.pictures
        )
    except Ended as end:
        raise unavailable(end.code, "the picture is temporarily unavailable") from None
    assert isinstance(picture, Picture)
    if picture.error is not None:
        raise Problem(409, "no-picture", "the file of this prediction was deleted or is unreadable")
    return picture


# Jobs.


@router.post(
    "/jobs",
    tags=["jobs"],
    status_code=202,
    response_model=schemas.Job,
    dependencies=KEPT,
    responses={**MISSING, **_UPLOAD},
    openapi_extra=_FILES,
)
async def begin_job(request: Request) -> Response:
    """Accept a batch of radiographs with the lowest priority."""
    service = service_of(request)
    accepted = await _accept(request, BACKGROUND, job=True)
    for name, new in accepted.files:
        if new:
            service.pipeline.submit(name, BACKGROUND)
    accepted.release()
    assert accepted.job is not None
    found = await _job(request, accepted.job)
    return JSONResponse(
        found.model_dump(mode="json"), 202, headers={"Location": f"/v1/jobs/{found.id}"}
    )


@router.get(
    "/jobs/{name}",
    tags=["jobs"],
    response_model=schemas.Job,
    dependencies=KEPT,
    responses=MISSING,
)
async def job(request: Request, name: Name) -> schemas.Job:
    """Return the progress of a job, and its results so far."""
    return await _job(request, name)


async def _job(request: Request, name: str) -> schemas.Job:
    found = await anyio.to_thread.run_sync(service_of(request).store.job, name)
    if found is None:
        raise Problem(404, "no-job", "job not found")
    row, items, counts = found
    total = sum(counts.values())
    finished = total - counts.get(QUEUED, 0)
    return schemas.Job(
        id=row.id,
        status="done" if finished == total else "running",
        created_at=row.created_at,
        total=total,
        finished=finished,
        unreadable=counts.get(UNREADABLE, 0),
        items=[schemas.Prediction.of(item) for item in items],
    )


# The model, and events.


@router.get("/model", tags=["model"], response_model=schemas.Model)
async def model(request: Request) -> schemas.Model:
    """Return the model in use: its card, and the operating point of the decisions."""
    service = service_of(request)
    return schemas.Model(
        card=json.loads(service.detector.card.to_json()),
        sha256=service.store.identity.model_sha256,
        operating_point=service.store.identity.operating_point,
        threshold=service.store.identity.threshold,
        guarantee=service.store.identity.guarantee,
        flags=dict(WORDS),
        stores_results=not service.settings.store_nothing,
        version=__version__,
    )


@router.get(
    "/events",
    tags=["predictions"],
    response_class=StreamingResponse,
    dependencies=KEPT,
    responses={
        200: {"content": {"text/event-stream": {}}, "description": "Events, without end."},
        **MISSING,
    },
)
async def events(request: Request) -> Response:
    """Send changes as server-sent events: `prediction` and `deleted` with an id, and `reload`."""
    service = service_of(request)
    if service.events.watchers >= MAX_WATCHERS:
        raise busy(5)
    stream: AsyncIterator[str] = service.events.stream()
    return StreamingResponse(stream, media_type="text/event-stream")


# Health.


@health.get("/healthz", response_model=schemas.Health)
async def healthz() -> schemas.Health:
    """Report whether the process answers."""
    return schemas.Health(status="ok")


@health.get(
    "/readyz",
    response_model=schemas.Health,
    responses={503: {"model": schemas.Health, "description": "Something is missing."}},
)
async def readyz(request: Request) -> Response:
    """Report whether files can be accepted and screened."""
    found = await anyio.to_thread.run_sync(service_of(request).checks)
    good = all(found.values())
    body = schemas.Health(
        status="ok" if good else "unavailable",
        checks={name: "ok" if fine else "failing" for name, fine in found.items()},
    )
    return JSONResponse(body.model_dump(mode="json"), 200 if good else 503)


@health.get(
    "/metrics",
    response_class=Response,
    dependencies=[Depends(authorise)],
    responses={200: {"content": {"text/plain": {}}, "description": "Measurements."}, **SHARED},
)
async def metrics(request: Request) -> Response:
    """Return measurements in the text format of Prometheus."""
    text = await anyio.to_thread.run_sync(service_of(request).metrics.text)
    return Response(text, headers={"Content-Type": CONTENT_TYPE_LATEST})
