"""Receiving files: streamed to the spool, within limits, regardless of the client's claims.

A client's file names and types are ignored: files get random names, and their content determines
the type.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from dataclasses import dataclass, field

import anyio
import anyio.to_thread
from fastapi import Request
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser
from starlette.requests import ClientDisconnect

from nanoray.serving.http.problems import Problem
from nanoray.serving.settings import Settings
from nanoray.serving.storage.spool import Draft, Spool

RAW_TYPES = (
    "application/dicom",
    "application/octet-stream",
    "image/png",
    "image/jpeg",
    "image/tiff",
    "image/jp2",
    "image/webp",
    "image/avif",
    "image/heic",
    "image/heif",
)
_BOUNDARY = re.compile(r'boundary=(?:"([^"]{1,70})"|([^\s;,"]{1,70}))', re.IGNORECASE)
_MAX_PART_HEADER_BYTES = 4096
_MAX_FIELD_BYTES = 4096
_IS_FILE = re.compile(rb";\s*filename\*?\s*=", re.IGNORECASE)


async def receive(
    request: Request, spool: Spool, settings: Settings, max_files: int
) -> list[Draft]:
    """Yield a body's files as drafts, which the caller finishes or discards.

    The body is one file of a type in `RAW_TYPES`, or multipart/form-data of which all parts with
    a file name are files, `max_files` at most.

    Raises:
        Problem: the request is invalid; no file remains in the spool.
        StorageFullError: likewise.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    body: _Body
    if kind == "multipart/form-data":
        match = _BOUNDARY.search(request.headers.get("content-type", ""))
        if match is None:
            raise Problem(400, "multipart", "the multipart boundary is missing or malformed")
        boundary = (match[1] or match[2]).encode("latin-1", "replace")
        body = _Multipart(spool, settings, max_files, boundary)
    elif kind in RAW_TYPES:
        body = _Raw(spool, settings, max_files)
    else:
        raise Problem(
            415,
            "content-type",
            "send multipart/form-data or one file as " + ", ".join(RAW_TYPES),
        )
    return await _received(request, body, settings)


async def receive_related(request: Request, spool: Spool, settings: Settings) -> list[Draft]:
    """Receive the DICOM files of a multipart/related body (RFC 2387), like `receive`.

    Raises:
        Problem: the request is invalid; no file remains in the spool.
        StorageFullError: likewise.
    """
    given = request.headers.get("content-type", "")
    match = _BOUNDARY.search(given)
    if given.partition(";")[0].strip().lower() != "multipart/related" or match is None:
        raise Problem(
            415, "content-type", 'send multipart/related; type="application/dicom"; boundary=...'
        )
    boundary = (match[1] or match[2]).encode("latin-1", "replace")
    body = _Multipart(spool, settings, settings.max_files, boundary, related=True)
    return await _received(request, body, settings)


async def _received(request: Request, body: _Body, settings: Settings) -> list[Draft]:
    if request.headers.get("content-encoding", "identity").strip().lower() != "identity":
        raise Problem(415, "content-encoding", "the body must not be compressed")
    _check_length(request, settings)
    try:
        with anyio.fail_after(settings.upload_timeout):
            async for chunk in request.stream():
                body.write(chunk)
                if body.full:
                    # A slow disk must not block other requests.
                    await anyio.to_thread.run_sync(body.flush, limiter=request.app.state.writing)
        body.end()
    except TimeoutError:
        body.discard()
        raise Problem(408, "upload-timeout", "the body took too long to arrive") from None
    except ClientDisconnect:
        body.discard()
        raise Problem(400, "disconnected", "the body ended too early") from None
    except BaseException:
        body.discard()
        raise
    return body.drafts


def _check_length(request: Request, settings: Settings) -> None:
    given = request.headers.get("content-length")
    if given is None:
        return  # chunked: counted as it arrives
    if not re.fullmatch(r"[0-9]{1,18}", given):
        raise Problem(400, "content-length", "the Content-Length is malformed")
    if int(given) > settings.max_request_bytes:
        raise _request_too_large(settings)


def _request_too_large(settings: Settings) -> Problem:
    mib = settings.max_request_bytes // (1024 * 1024)
    return Problem(413, "request-too-large", f"the request is larger than {mib} MiB")


@dataclass
class _Body(ABC):
    spool: Spool
    settings: Settings
    max_files: int
    drafts: list[Draft] = field(default_factory=list)
    received: int = 0

    def write(self, chunk: bytes) -> None:
        self.received += len(chunk)
        if self.received > self.settings.max_request_bytes:
            raise _request_too_large(self.settings)
        self.take(chunk)

    @abstractmethod
    def take(self, chunk: bytes) -> None:
        """Use the next piece of the body."""

    @abstractmethod
    def end(self) -> None:
        """Record that the body is complete."""

    def begin(self) -> None:
        if len(self.drafts) >= self.max_files:
            words = f"the request has more than {self.max_files} files"
            if self.max_files < self.settings.max_files:
                words += f"; /v1/jobs accepts up to {self.settings.max_files} in one request"
            raise Problem(413, "too-many-files", words)
        self.drafts.append(self.spool.draft())

    def append(self, data: bytes) -> None:
        draft = self.drafts[-1]
        if draft.size + len(data) > self.settings.max_file_bytes:
            mib = self.settings.max_file_bytes // (1024 * 1024)
            raise Problem(413, "file-too-large", f"a file is larger than {mib} MiB")
        draft.write(data)

    @property
    def full(self) -> bool:
        return bool(self.drafts) and self.drafts[-1].full

    def flush(self) -> None:
        self.drafts[-1].flush()

    def discard(self) -> None:
        for draft in self.drafts:
            draft.discard()
        self.drafts.clear()


class _Raw(_Body):
    def take(self, chunk: bytes) -> None:
        if not self.drafts:
            self.begin()
        self.append(chunk)

    def end(self) -> None:
        if not self.received:
            raise Problem(400, "empty-body", "the request has no body")


class _Multipart(_Body):
    def __init__(
        self,
        spool: Spool,
        settings: Settings,
        max_files: int,
        boundary: bytes,
        *,
        related: bool = False,
    ) -> None:
        super().__init__(spool, settings, max_files)
        # Each part of multipart/related is a file, of multipart/form-data those with a name.
        self._related = related
        self._is_file = False
        self._header_bytes = 0
        self._value = b""
        self._field_bytes = 0
        self._parts = 0
        self._complete = False
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._part_begin,
                "on_header_field": self._header,
                "on_header_value": self._header_value,
                "on_header_end": self._header_end,
                "on_headers_finished": self._headers_finished,
                "on_part_data": self._part_data,
                "on_part_end": self._part_end,
                "on_end": self._end,
            },
        )

    def take(self, chunk: bytes) -> None:
        try:
            self._parser.write(chunk)
        except FormParserError:
            raise Problem(400, "multipart", "the multipart body is malformed") from None

    def end(self) -> None:
        if not self._complete:
            raise Problem(400, "multipart", "the multipart body is malformed or ends too early")
        if not self.drafts:
            raise Problem(400, "no-files", "the request has no file")

    def _part_begin(self) -> None:
        self._parts += 1
        if self._parts > self.settings.max_files + 16:
            raise Problem(413, "too-many-parts", "the request has too many parts")
        self._is_file = self._related
        self._header_bytes = self._field_bytes = 0
        self._value = b""

    def _header(self, data: bytes, start: int, end: int) -> None:
        self._header_bytes += end - start
        if self._header_bytes > _MAX_PART_HEADER_BYTES:
            raise Problem(400, "multipart", "a part's headers are too long")

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._header(data, start, end)
        self._value += data[start:end]

    def _header_end(self) -> None:
        self._is_file = self._is_file or _IS_FILE.search(self._value) is not None
        self._value = b""

    def _headers_finished(self) -> None:
        if self._is_file:
            self.begin()

    def _part_data(self, data: bytes, start: int, end: int) -> None:
        if self._is_file:
            self.append(data[start:end])
            return
        self._field_bytes += end - start
        if self._field_bytes > _MAX_FIELD_BYTES:
            raise Problem(413, "field-too-large", "a form field is too long")

    def _part_end(self) -> None:
        # Neither memory nor open files grow with the number of parts.
        if self._is_file:
            self.drafts[-1].close()

    def _end(self) -> None:
        self._complete = True
