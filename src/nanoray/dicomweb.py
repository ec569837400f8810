"""A client of DICOMweb servers: QIDO-RS, WADO-RS and STOW-RS (DICOM PS3.18 10.6, 10.4 and 10.5).

A server is identified by the root of its services, for example `https://pacs.example/dicom-web`.
The environment variable NANORAY_DICOMWEB_AUTHORIZATION has the value of the Authorization header,
such as `Bearer TOKEN`. Answers are limited in size and time.
"""

from __future__ import annotations

import json
import os
import ssl
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from email.message import Message
from typing import Any, Final
from urllib.parse import quote, urlsplit, urlunsplit
from uuid import uuid4

import httpx

from nanoray.errors import NanoRayError
from nanoray.reading import limits

AUTHORIZATION: Final = "NANORAY_DICOMWEB_AUTHORIZATION"
MODALITIES: Final = frozenset({"CR", "DX", "DR", "RG", "XR", "OT", "SC", ""})
"""Series of other modalities are skipped: they contain no radiographs."""
PAGE: Final = 500
"""Studies requested at a time; a server may return fewer."""
MAX_ANSWER_BYTES: Final = 4 * limits.MIB
"""Largest result of a search; an instance takes about 3 KB."""
ATTEMPTS: Final = 4
"""Requests of a client that retries, 1, 2 and 4 seconds apart."""

_STUDY, _SERIES, _INSTANCE, _MODALITY = "0020000D", "0020000E", "00080018", "00080060"
_RETRIED: Final = frozenset({408, 429})
_REASONS: Final = {
    "unreachable": "cannot be reached",
    "answer": "does not answer as DICOM PS3.18 requires",
    "too-large": "sends more than the limit",
    "too-slow": "takes longer than the limit",
}


class DicomWebError(NanoRayError):
    """A request that failed; the message names neither URL nor UID.

    Attributes:
        code: "unreachable", "answer", "too-large", "too-slow", or "http-" with the status.
    """

    def __init__(self, code: str) -> None:
        reason = _REASONS.get(code) or f"answers with HTTP status {code.removeprefix('http-')}"
        super().__init__(f"the DICOMweb server {reason}")
        self.code = code


class Client:
    """A client of one server, used as a context manager and by several threads.

    Args:
        attempts: requests before a search or a fetch fails; a status of 4xx except 408 and 429 is
                final.
            follow_redirects: whether to follow redirects.
            tls: context with the trusted authorities; the system's by default.
            max_bytes: largest instance.
            seconds: for one complete answer.
    """

    def __init__(
        self,
        *,
        attempts: int = 1,
        follow_redirects: bool = False,
        tls: ssl.SSLContext | None = None,
        max_bytes: int = limits.MAX_FILE_BYTES,
        seconds: float = 120.0,
    ) -> None:
        self._attempts = attempts
        # The headers of a part are far shorter than this allowance.
        self._max_bytes = max_bytes + limits.MIB
        self._seconds = seconds
        authorization = os.environ.get(AUTHORIZATION)
        self._http = httpx.Client(
            headers={"Authorization": authorization} if authorization else {},
            timeout=httpx.Timeout(30.0, connect=20.0),
            verify=True if tls is None else tls,
            follow_redirects=follow_redirects,
            trust_env=False,
        )

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def search(
        self, url: str, query: Mapping[str, str] | None = None, *, missing_ok: bool = False
    ) -> list[Any]:
        """Return the results of a QIDO-RS search; empty without a match.

        Args:
            missing_ok: treat status 404 as no results, as some servers answer for an unknown study.

        Raises:
            DicomWebError: no such answer.
        """
        status, _, body = self._get(url, "application/dicom+json", MAX_ANSWER_BYTES, query)
        if status == 204 or (status == 404 and missing_ok):
            return []
        if status != 200:
            raise DicomWebError(f"http-{status}")
        try:
            found = json.loads(body)
        except (ValueError, RecursionError):
            raise DicomWebError("answer") from None
        if not isinstance(found, list):
            raise DicomWebError("answer")
        return found

    def fetch(self, url: str) -> bytes:
        """Return the instance at a WADO-RS URL, in its stored transfer syntax.

        Raises:
            DicomWebError: no such answer.
        """
        accept = 'multipart/related; type="application/dicom"; transfer-syntax=*'
        status, kind, body = self._get(url, accept, self._max_bytes)
        if status != 200:
            raise DicomWebError(f"http-{status}")
        return first_part(body, kind)

    def store(self, root: str, objects: Iterable[bytes]) -> None:
        """Store DICOM files by STOW-RS, in one request.

        Raises:
            DicomWebError: some files were not stored.
        """
        boundary = uuid4().hex
        body = b"".join(
            b"--%b\r\nContent-Type: application/dicom\r\n\r\n%b\r\n" % (boundary.encode(), data)
            for data in objects
        )
        body += b"--%b--\r\n" % boundary.encode()
        kind = f'multipart/related; type="application/dicom"; boundary={boundary}'
        headers = {"Content-Type": kind, "Accept": "application/dicom+json"}
        try:
            answer = self._http.post(f"{root}/studies", content=body, headers=headers)
        except (httpx.HTTPError, ssl.SSLError, OSError):
            raise DicomWebError("unreachable") from None
        # 202: some were stored and others not.
        if answer.status_code != 200:
            raise DicomWebError(f"http-{answer.status_code}")

    def _get(
        self, url: str, accept: str, limit: int, query: Mapping[str, str] | None = None
    ) -> tuple[int, str, bytes]:
        """Return status, content type and body of an answer."""
        for attempt in range(self._attempts):
            last = attempt == self._attempts - 1
            try:
                status, kind, body = self._answer(url, accept, limit, query)
            except (httpx.HTTPError, ssl.SSLError, OSError):
                if last:
                    raise DicomWebError("unreachable") from None
            else:
                if last or not (status >= 500 or status in _RETRIED):
                    return status, kind, body
            time.sleep(2**attempt)
        raise AssertionError("at least one attempt")

    def _answer(
        self, url: str, accept: str, limit: int, query: Mapping[str, str] | None
    ) -> tuple[int, str, bytes]:
        deadline = time.monotonic() + self._seconds
        data = bytearray()
        headers = {"Accept": accept, "Accept-Encoding": "identity"}
        with self._http.stream("GET", url, params=query, headers=headers) as answer:
            # An encoding that was not requested may inflate to any size.
            if answer.headers.get("content-encoding", "identity").lower() != "identity":
                raise DicomWebError("answer")
            for piece in answer.iter_raw():
                data += piece
                if len(data) > limit:
                    raise DicomWebError("too-large")
                if time.monotonic() > deadline:
                    raise DicomWebError("too-slow")
            return answer.status_code, answer.headers.get("content-type", ""), bytes(data)


def list_instances(source: str) -> Iterator[str]:
    """Yield the WADO-RS URLs of the radiographs of all studies, study by study.

    Args:
        source: root of the server, with a query that filters the studies, for example
            `?StudyDate=20250101-20251231&ModalitiesInStudy=DX`.

    Raises:
        DicomWebError: the server cannot be searched.
    """
    parts = urlsplit(source)
    root = urlunsplit((parts.scheme, parts.netloc, parts.path.rstrip("/"), "", ""))
    query = dict(httpx.QueryParams(parts.query))
    with Client(attempts=ATTEMPTS, follow_redirects=True) as client:
        for study in _studies(client, root, query):
            base = f"{root}/studies/{study}"
            for found in client.search(f"{base}/series"):
                if value(found, _MODALITY) not in MODALITIES:
                    continue
                series = f"{base}/series/{_uid(found, _SERIES)}"
                instances = client.search(f"{series}/instances")
                for uid in sorted(_uid(instance, _INSTANCE) for instance in instances):
                    yield f"{series}/instances/{uid}"


def list_study(
    client: Client, root: str, study_uid: str, sop_classes: Sequence[str], *, most: int
) -> list[tuple[str, str]]:
    """Return series and instance UIDs of a study's objects of some SOP classes, at most `most`.

    Raises:
        DicomWebError: the server cannot be searched.
    """
    found: dict[tuple[str, str], None] = {}
    for sop_class in sop_classes:
        before: list[Any] = []
        # A page may repeat known results, so the number of pages is limited too.
        for page in range(10):
            query = {"SOPClassUID": sop_class, "limit": str(most), "offset": str(page * most)}
            place = f"{root}/studies/{study_uid}/instances"
            items = client.search(place, query, missing_ok=True)
            for item in items:
                if value(item, "00080016") in sop_classes:
                    found[_uid(item, _SERIES), _uid(item, _INSTANCE)] = None
            # A server that ignores the offset returns the same page again.
            if len(items) < most or items == before or len(found) >= most:
                break
            before = items
    return list(found)[:most]


def _studies(client: Client, root: str, query: Mapping[str, str]) -> Iterator[str]:
    """Yield Study Instance UIDs, each once: a server may shift its pages while they are read."""
    seen: set[str] = set()
    offset = 0
    while True:
        page = {**query, "limit": str(PAGE), "offset": str(offset)}
        found = [_uid(study, _STUDY) for study in client.search(f"{root}/studies", page)]
        fresh = [uid for uid in dict.fromkeys(found) if uid not in seen]
        seen.update(fresh)
        yield from fresh
        # A server that ignores the offset returns a page of known studies.
        if not fresh:
            return
        offset += len(found)


def value(found: Any, tag: str) -> str:
    """Return the first value of an element (PS3.18 F.2) of a search result; empty if absent."""
    try:
        return str(found[tag]["Value"][0])
    except (KeyError, IndexError, TypeError):
        return ""


def _uid(found: Any, tag: str) -> str:
    uid = value(found, tag)
    if not uid:
        raise DicomWebError("answer")
    return quote(uid, safe="")


def first_part(body: bytes, content_type: str) -> bytes:
    """Return the first part of a multipart/related body (RFC 2046 5.1), or a single body.

    Raises:
        DicomWebError: a damaged multipart body.
    """
    if not content_type.lower().startswith("multipart/"):
        return body
    message = Message()
    message["Content-Type"] = content_type
    boundary = b"--" + str(message.get_param("boundary") or "").encode("ascii", "replace")
    start = body.find(boundary)
    head = body.find(b"\r\n\r\n", start)
    end = body.find(b"\r\n" + boundary, head)
    if boundary == b"--" or start < 0 or head < 0 or end < 0:
        raise DicomWebError("answer")
    return body[head + 4 : end]
