"""The routes of the DICOM node: fetching studies, and deliveries that failed."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import anyio.to_thread
from fastapi import APIRouter, Depends, Query, Request

from nanoray.serving.dicom.node import Node, PullError
from nanoray.serving.http import schemas
from nanoray.serving.http.api import MISSING, SHARED, Name, administers, authorise, says, service_of
from nanoray.serving.http.problems import Problem, busy
from nanoray.serving.pipeline import BusyError
from nanoray.serving.storage.tables import DeliveryRow

router = APIRouter(
    prefix="/v1/dicom", dependencies=[Depends(authorise)], responses=SHARED, tags=["dicom"]
)
_PULL_PROBLEMS: dict[int | str, dict[str, Any]] = {
    404: says("The server has no such study, or no image of it that can be screened."),
    409: says("No DICOMweb server is configured."),
    502: says("The DICOMweb server cannot be reached, or its answer cannot be used."),
    507: says("The disk is full; see Retry-After."),
}


def _node(request: Request) -> Node:
    node: Node = request.app.state.node
    return node


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
        raise Problem(status, error.code, "the study could not be fetched") from None
    return schemas.Pulled(accepted=accepted, known=known, refused=refused)


@router.get("/deliveries", response_model=schemas.DeliveryList)
async def deliveries(
    request: Request,
    status: Literal["pending", "delivered", "dead"] | None = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
) -> schemas.DeliveryList:
    """Reports on their way; "dead" are those that were given up."""
    rows = await anyio.to_thread.run_sync(_node(request).reports.listed, status, limit)
    return schemas.DeliveryList(items=[_delivery(row) for row in rows])


@router.post(
    "/deliveries/{name}/retry",
    response_model=schemas.Delivery,
    responses=MISSING,
    dependencies=[Depends(administers)],
)
async def retry(request: Request, name: Name) -> schemas.Delivery:
    """Attempt a delivery again that was given up."""
    row = await anyio.to_thread.run_sync(_node(request).reports.retry, name)
    if row is None:
        raise Problem(404, "no-delivery", "there is no delivery of that id")
    service_of(request).events.tell("delivery", [{"id": name}])
    return _delivery(row)


def _delivery(row: DeliveryRow) -> schemas.Delivery:
    return schemas.Delivery.model_validate(
        {
            "id": row.id,
            "report": row.report_id,
            "destination": row.destination,
            "status": row.status,
            "attempts": row.attempts,
            "next_at": row.next_at,
            "delivered_at": row.delivered_at,
            "error_code": row.error_code,
        }
    )
