"""Errors of the service as problem details (RFC 9457), with messages of NanoRay only."""

from __future__ import annotations

from typing import Any

from fastapi import Request
from fastapi.responses import JSONResponse

from nanoray.reading.refusals import REASONS

MEDIA_TYPE = "application/problem+json"

_TITLES = {
    400: "Bad request",
    401: "API key needed",
    403: "Not allowed",
    404: "Not found",
    405: "Method not allowed",
    408: "Too slow",
    409: "Not ready",
    411: "Length required",
    413: "Too large",
    415: "Not a radiograph",
    421: "Wrong host",
    422: "Unreadable",
    429: "Too many requests",
    500: "Internal error",
    502: "Bad gateway",
    503: "Not available",
    507: "Storage full",
}
_TITLES_OF_CODES = {
    "parameter": "Invalid parameter",
    "unknown-parameter": "Invalid parameter",
    "cursor": "Invalid parameter",
}
# Refusals of a kind of file, not of a damaged file.
_OTHER_KINDS = (
    *("not-an-image", "unsupported-format", "document"),
    *("archive", "archive-damaged", "archive-empty"),
)
_TOO_LARGE = ("file-too-large", "too-many-pixels", "deflate-bomb", "metadata-bomb", "memory")


class Problem(Exception):  # noqa: N818
    """An error answer.

    Attributes:
        status: HTTP status.
        code: short stable identifier of the reason.
        detail: the reason in words, without values of the request.
        headers: of the answer.
        more: further members of the problem document.
    """

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        *,
        headers: dict[str, str] | None = None,
        **more: Any,
    ) -> None:
        super().__init__(code)
        self.status = status
        self.code = code
        self.detail = detail
        self.headers = headers or {}
        self.more = more

    def document(self) -> dict[str, Any]:
        """Return the problem details document."""
        return {
            "type": f"urn:nanoray:problem:{self.code}",
            "title": _TITLES_OF_CODES.get(self.code) or _TITLES.get(self.status, "Error"),
            "status": self.status,
            "code": self.code,
            "detail": self.detail,
            **self.more,
        }

    def response(self) -> JSONResponse:
        """Return the response."""
        return JSONResponse(
            self.document(), self.status, headers=self.headers, media_type=MEDIA_TYPE
        )


def unreadable(code: str, max_pixels: int, **more: Any) -> Problem:
    """Return the problem of a file that the reader refused with `code`."""
    detail = REASONS.get(code, REASONS["unexpected"])
    if code == "too-many-pixels":
        # The service's limit is lower than the reader's.
        detail = f"has more than {max_pixels // 1_000_000} megapixels"
    elif code == "file-too-large":
        detail = "the file is larger than this service accepts"
    elif code == "deflate-bomb":
        detail = "the deflated DICOM data set inflates to more than this service accepts"
    status = 415 if code in _OTHER_KINDS else 413 if code in _TOO_LARGE else 422
    return Problem(status, code, detail, **more)


def busy(retry_after: int) -> Problem:
    """Return the problem of a full queue."""
    return Problem(
        503,
        "busy",
        "too many files are waiting; retry later",
        headers={"Retry-After": str(retry_after)},
    )


def unavailable(code: str, detail: str, retry_after: int = 5) -> Problem:
    """Return the problem of an unavailable resource."""
    return Problem(503, code, detail, headers={"Retry-After": str(retry_after)})


async def answer(_: Request, problem: Exception) -> JSONResponse:
    """Answer a request that raised a `Problem`."""
    assert isinstance(problem, Problem)
    return problem.response()
