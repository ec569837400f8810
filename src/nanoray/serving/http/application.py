"""The ASGI application."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio.to_thread
from anyio import CapacityLimiter
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, JSONResponse, Response
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException

from nanoray.detecting.model_file import NOTICE
from nanoray.errors import NanoRayError
from nanoray.serving.dicom.node import Node
from nanoray.serving.http import api, dicom_api, schemas, worklist_api
from nanoray.serving.http.problems import Problem, answer, unavailable
from nanoray.serving.http.protection import Guard, Headless
from nanoray.serving.rate_limit import TooManyRequestsError
from nanoray.serving.service import Service
from nanoray.serving.storage.database import DatabaseUnavailableError
from nanoray.serving.storage.spool import StorageFullError
from nanoray.version import __version__

PAGE = Path(__file__).parents[1] / "page"

_WRITERS = 4
"""Pieces of uploads that are written concurrently."""


def create(service: Service, node: Node | None = None) -> FastAPI:
    """Make the application of a service and a node, which it starts and stops."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        # Many requests wait in threads for the disk at the same time.
        anyio.to_thread.current_default_thread_limiter().total_tokens = 64
        app.state.uploads = CapacityLimiter(service.settings.max_uploads)
        app.state.writing = CapacityLimiter(_WRITERS)
        app.state.pictures = CapacityLimiter(service.settings.workers)
        service.events.attach(asyncio.get_running_loop())
        try:
            await anyio.to_thread.run_sync(_start, service, node)
        except NanoRayError as error:
            # `nanoray.serving.http.server.run` raises it again, since uvicorn would only log it.
            app.state.failure = error
            raise
        # Existing objects are permanent, and a request makes thousands of new ones. The garbage
        # collector need not scan the permanent ones.
        gc.freeze()
        gc.set_threshold(20_000)
        try:
            yield
        finally:
            service.events.close()
            if node is not None:
                await anyio.to_thread.run_sync(node.stop)
            await anyio.to_thread.run_sync(service.stop)

    app = FastAPI(
        title="NanoRay",
        version=__version__,
        description="Screens chest radiographs for pneumonia-like opacities. " + NOTICE,
        license_info={"name": "MIT", "identifier": "MIT"},
        # FastAPI's documentation pages would load from other hosts.
        docs_url=None,
        redoc_url=None,
        # A redirect would repeat the Host header, which is untrusted.
        redirect_slashes=False,
        lifespan=lifespan,
        openapi_tags=[
            {"name": "predictions", "description": "Screening radiographs."},
            {"name": "worklist", "description": "Studies and their reviews."},
            {"name": "jobs", "description": "Large batches."},
            {"name": "model", "description": "The model in use."},
            {"name": "dicom", "description": "The DICOM node."},
            {"name": "fhir", "description": "Reports as FHIR R4 resources."},
            {"name": "health", "description": "For monitoring."},
        ],
    )
    app.state.service = service
    app.state.failure = None
    app.state.node = node
    app.include_router(api.router)
    app.include_router(worklist_api.router)
    app.include_router(dicom_api.router)
    app.include_router(dicom_api.fhir_router)
    app.include_router(dicom_api.stow)
    app.include_router(api.health)
    app.add_exception_handler(Problem, answer)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(DatabaseUnavailableError, _no_database)
    app.add_exception_handler(StorageFullError, _full)
    app.add_exception_handler(TooManyRequestsError, _too_many)
    app.add_middleware(
        Guard, settings=service.settings, metrics=service.metrics, audit=service.audit
    )
    app.add_middleware(Headless)
    _add_page(app)
    _describe(app)
    return app


def _start(service: Service, node: Node | None) -> None:
    service.start()
    if node is not None:
        try:
            node.start()
        except BaseException:
            service.stop()
            raise


class _Assets(StaticFiles):
    """The files of the page; browsers check for a newer version at each use."""

    def file_response(self, *args: Any, **options: Any) -> Response:
        """Answer with a file, or with status 304 if it is unchanged."""
        response = super().file_response(*args, **options)
        response.headers["Cache-Control"] = "no-cache"
        return response


def _add_page(app: FastAPI) -> None:
    if not (PAGE / "index.html").is_file():
        return

    @app.get("/", include_in_schema=False)
    async def page() -> FileResponse:
        return FileResponse(PAGE / "index.html", headers={"Cache-Control": "no-cache"})

    app.mount("/assets", _Assets(directory=PAGE), name="assets")


def _describe(app: FastAPI) -> None:
    """Add the problem document to the schemas, and remove FastAPI's own error schemas."""
    generate = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema:
            return app.openapi_schema
        document = generate()
        components = document.setdefault("components", {}).setdefault("schemas", {})
        components["Problem"] = schemas.Problem.model_json_schema()
        for unused in ("HTTPValidationError", "ValidationError"):
            components.pop(unused, None)
        app.openapi_schema = document
        return document

    app.openapi = openapi  # type: ignore[method-assign]


async def _invalid(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    # The request's values are omitted, since they may identify a patient.
    errors = [
        {"where": ".".join(str(part) for part in item["loc"][:2]), "reason": item["type"]}
        for item in error.errors()
    ]
    problem = Problem(422, "parameter", "a parameter is invalid", errors=errors)
    return problem.response()


async def _http_error(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    code, detail = {
        404: ("no-route", "not found"),
        405: ("method", "this address does not support the method"),
    }.get(error.status_code, ("http", "the request is invalid"))
    headers = dict(error.headers or {})
    return Problem(error.status_code, code, detail, headers=headers).response()


async def _too_many(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, TooManyRequestsError)
    headers = {"Retry-After": str(error.wait)}
    return Problem(429, "rate-limit", str(error), headers=headers).response()


async def _no_database(request: Request, _: Exception) -> JSONResponse:
    api.service_of(request).metrics.database_failures.inc()
    return unavailable("database", "the database is not available").response()


async def _full(_: Request, __: Exception) -> JSONResponse:
    problem = Problem(
        507, "storage-full", "there is too little free disk space", headers={"Retry-After": "60"}
    )
    return problem.response()
