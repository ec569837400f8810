"""The routes of the DICOM node: fetching studies, reports, and deliveries."""

from __future__ import annotations

import json
from typing import Annotated, Any

import anyio.to_thread
from fastapi import APIRouter, Depends, Query, Request, Response

from nanoray.serving.dicom.fhir import contained
from nanoray.serving.dicom.node import COERCED, SUCCESS, Node, PullError
from nanoray.serving.http import schemas
from nanoray.serving.http.api import (
    MISSING,
    SHARED,
    Name,
    administers,
    authorise,
    described,
    service_of,
)
from nanoray.serving.http.problems import Problem, busy
from nanoray.serving.http.uploads import receive_related
from nanoray.serving.pipeline import BusyError
from nanoray.serving.storage.spool import Draft


def _node(request: Request) -> Node:
    node: Node | None = request.app.state.node
    if node is None:
        raise Problem(
            409,
            "no-node",
            "the DICOM node is off; start the service with --dicom-port or --dicomweb",
        )
    return node


_ALLOWED = [Depends(authorise), Depends(_node)]
_RESPONSES = {**SHARED, 409: described("The DICOM node is off.")}
router = APIRouter(prefix="/v1/dicom", dependencies=_ALLOWED, responses=_RESPONSES, tags=["dicom"])
_PULL_PROBLEMS: dict[int | str, dict[str, Any]] = {
    404: described("The server does not have the study, or no image of it can be screened."),
    409: described("The DICOM node is off, or no DICOMweb server is configured."),
    502: described("The DICOMweb server is unreachable, or its answer is invalid."),
    507: described("The disk is full; see Retry-After."),
}


@router.post("/pulls", response_model=schemas.Pulled, responses=_PULL_PROBLEMS)
async def pull(request: Request, wanted: schemas.Pull) -> schemas.Pulled:
    """Fetch a study's images from the configured DICOMweb server, and screen them."""
    try:
        accepted, known, refused = await anyio.to_thread.run_sync(
            _node(request).pull, wanted.study_instance_uid
        )
    except BusyError as error:
        raise busy(error.retry_after) from None
    except PullError as error:
        status = {"no-study": 404, "no-images": 404, "no-source": 409}.get(error.code, 502)
        raise Problem(status, error.code, str(error)) from None
    return schemas.Pulled(accepted=accepted, known=known, refused=refused)


@router.get("/deliveries", response_model=schemas.DeliveryList)
async def deliveries(
    request: Request,
    status: schemas.DeliveryStatus | None = None,
    destination: Annotated[str | None, Query(max_length=200)] = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
) -> schemas.DeliveryList:
    """List deliveries, the latest first; "dead" ones are no longer retried."""
    rows = await anyio.to_thread.run_sync(
        _node(request).deliveries.listed, status, limit, destination
    )
    return schemas.DeliveryList(items=[schemas.Delivery.of(row) for row in rows])


@router.post(
    "/deliveries/retry",
    response_model=schemas.Retried,
    dependencies=[Depends(administers)],
)
async def retry_deliveries(request: Request) -> schemas.Retried:
    """Retry all dead deliveries."""
    count = await anyio.to_thread.run_sync(_node(request).deliveries.retry)
    service_of(request).events.tell("delivery", [{}])
    return schemas.Retried(retried=count)


@router.post(
    "/deliveries/{name}/retry",
    response_model=schemas.Delivery,
    responses=MISSING,
    dependencies=[Depends(administers)],
)
async def retry(request: Request, name: Name) -> schemas.Delivery:
    """Retry a waiting, dead or cancelled delivery."""
    await anyio.to_thread.run_sync(_node(request).deliveries.retry, name)
    return await _one_delivery(request, name)


@router.post(
    "/deliveries/{name}/cancel",
    response_model=schemas.Delivery,
    responses={**MISSING, 409: described("The DICOM node is off, or the delivery is finished.")},
    dependencies=[Depends(administers)],
)
async def cancel(request: Request, name: Name) -> schemas.Delivery:
    """Cancel a waiting or dead delivery."""
    await anyio.to_thread.run_sync(_node(request).deliveries.cancel, name)
    delivery = await _one_delivery(request, name)
    if delivery.status != "cancelled":
        raise Problem(409, "delivered", "the delivery is finished and cannot be cancelled")
    return delivery


async def _one_delivery(request: Request, name: str) -> schemas.Delivery:
    row = await anyio.to_thread.run_sync(_node(request).deliveries.get, name)
    if row is None:
        raise Problem(404, "no-delivery", "delivery not found")
    service_of(request).events.tell("delivery", [{"id": name}])
    return schemas.Delivery.of(row)


@router.get("/reports", response_model=schemas.ReportList)
async def reports(
    request: Request,
    status: schemas.ReportStatus | None = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
) -> schemas.ReportList:
    """List reports on studies, the latest first; "dead" ones could not be written."""
    rows = await anyio.to_thread.run_sync(_node(request).reports.listed, status, limit)
    return schemas.ReportList(items=[schemas.Report.of(row, images) for row, images in rows])


@router.post("/reports/retry", response_model=schemas.Retried, dependencies=[Depends(administers)])
async def retry_reports(request: Request) -> schemas.Retried:
    """Retry all dead reports."""
    count = await anyio.to_thread.run_sync(_node(request).reports.retry)
    return schemas.Retried(retried=count)


@router.post(
    "/reports/{name}/retry",
    response_model=schemas.Report,
    responses=MISSING,
    dependencies=[Depends(administers)],
)
async def retry_report(request: Request, name: Name) -> schemas.Report:
    """Retry a dead or cancelled report."""
    await anyio.to_thread.run_sync(_node(request).reports.retry, name)
    return await _one_report(request, name)


@router.post(
    "/reports/{name}/cancel",
    response_model=schemas.Report,
    responses={
        **MISSING,
        409: described("The DICOM node is off, or the report is written."),
    },
    dependencies=[Depends(administers)],
)
async def cancel_report(request: Request, name: Name) -> schemas.Report:
    """Cancel a waiting or dead report."""
    await anyio.to_thread.run_sync(_node(request).reports.cancel, name)
    report = await _one_report(request, name)
    if report.status != "cancelled":
        raise Problem(409, "reported", "the report is written; its deliveries can be cancelled")
    return report


async def _one_report(request: Request, name: str) -> schemas.Report:
    found = await anyio.to_thread.run_sync(_node(request).reports.get, name)
    if found is None:
        raise Problem(404, "no-report", "report not found")
    return schemas.Report.of(*found)


fhir_router = APIRouter(prefix="/fhir", dependencies=_ALLOWED, responses=_RESPONSES, tags=["fhir"])


@fhir_router.get(
    "/DiagnosticReport/{name}",
    response_class=Response,
    responses={
        200: {"content": {"application/fhir+json": {}}, "description": "The resource."},
        **MISSING,
    },
)
async def diagnostic_report(request: Request, name: Name) -> Response:
    """Return a report on a study as FHIR R4, with contained Observations."""
    node = _node(request)
    found = await anyio.to_thread.run_sync(node.reports.document, name)
    if found is None:
        raise Problem(404, "no-report", "report not found, or without a document")
    resource = await anyio.to_thread.run_sync(contained, found, name)
    return Response(json.dumps(resource), media_type="application/fhir+json")


stow = APIRouter(prefix="/dicom-web", dependencies=_ALLOWED, responses=_RESPONSES, tags=["dicom"])


@stow.post(
    "/studies",
    response_class=Response,
    responses={
        200: {"content": {"application/dicom+json": {}}, "description": "All are stored."},
        202: {"content": {"application/dicom+json": {}}, "description": "Some are stored."},
        409: {
            "content": {"application/dicom+json": {}},
            "description": "None is stored, or the DICOM node is off.",
        },
        413: described("The request or a file is too large."),
        415: described("Not multipart/related with application/dicom."),
        507: described("The disk is full; see Retry-After."),
    },
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {
                'multipart/related; type="application/dicom"': {
                    "schema": {"type": "string", "format": "binary"}
                }
            },
        }
    },
)
async def store_instances(request: Request) -> Response:
    """Store images by STOW-RS (PS3.18 10.5), with the same rules as C-STORE."""
    service, node = service_of(request), _node(request)
    uploads = request.app.state.uploads
    if uploads.available_tokens < 1:
        raise busy(1)
    drafts: list[Draft] = []
    try:
        async with uploads:
            drafts = await receive_related(request, service.store.spool, service.settings)
        stored: list[dict[str, Any]] = []
        failed: list[dict[str, Any]] = []
        for draft in drafts:
            found, status = await anyio.to_thread.run_sync(node.take, draft)
            item: dict[str, Any] = {
                "00081150": {"vr": "UI", "Value": [found.sop_class] if found.sop_class else []},
                "00081155": {"vr": "UI", "Value": [found.sop_uid] if found.sop_uid else []},
            }
            if status == SUCCESS:
                stored.append(item)
            elif status == COERCED:
                stored.append(item | {"00081196": {"vr": "US", "Value": [status]}})
            else:
                failed.append(item | {"00081197": {"vr": "US", "Value": [status]}})
    finally:
        for draft in drafts:
            draft.discard()
    body = {}
    if stored:
        body["00081199"] = {"vr": "SQ", "Value": stored}
    if failed:
        body["00081198"] = {"vr": "SQ", "Value": failed}
    code = 200 if not failed else 202 if stored else 409
    return Response(json.dumps(body), code, media_type="application/dicom+json")
