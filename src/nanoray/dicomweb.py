"""DICOMweb: finding instances with QIDO-RS and fetching them with WADO-RS (DICOM PS3.18).

A server is named by the root of its services, for example `https://pacs.example/dicom-web`. A
query narrows the studies: `?StudyDate=20250101-20251231&ModalitiesInStudy=DX`. With
NANORAY_DICOMWEB_TOKEN in the environment requests carry it as a bearer token; a netrc file gives
basic authentication.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from typing import Any, Final
from urllib.parse import quote, urlsplit, urlunsplit

import httpx

from nanoray.errors import NanoRayError
from nanoray.reading import limits
from nanoray.reading.refusals import Refusal

TOKEN: Final = "NANORAY_DICOMWEB_TOKEN"
MODALITIES: Final = frozenset({"CR", "DX", "DR", "RG", "XR", "OT", "SC", ""})
"""Series of other modalities are passed over: they hold no radiographs."""
PAGE: Final = 500
"""Studies asked for at a time; a server may give fewer."""
ATTEMPTS: Final = 4

_STUDY, _SERIES, _INSTANCE, _MODALITY = "0020000D", "0020000E", "00080018", "00080060"


def open_client() -> httpx.Client:
    """Return a client with the credentials of the environment; safe to use from several threads."""
    token = os.environ.get(TOKEN)
    return httpx.Client(
        headers={"Authorization": f"Bearer {token}"} if token else {},
        timeout=httpx.Timeout(60.0, connect=20.0),
        follow_redirects=True,
    )


def list_instances(source: str) -> Iterator[str]:
    """WADO-RS URLs of the instances of all studies, study by study.

    Raises:
        NanoRayError: the server cannot be reached, or does not answer as PS3.18 says.
    """
    parts = urlsplit(source)
    root = urlunsplit((parts.scheme, parts.netloc, parts.path.rstrip("/"), "", ""))
    query = dict(httpx.QueryParams(parts.query))
    with open_client() as client:
        for study in _studies(client, root, query):
            base = f"{root}/studies/{study}"
            for found in _search(client, f"{base}/series", {}):
                if _value(found, _MODALITY) not in MODALITIES:
                    continue
                series = f"{base}/series/{_uid(found, _SERIES)}"
                instances = _search(client, f"{series}/instances", {})
                for uid in sorted(_uid(instance, _INSTANCE) for instance in instances):
                    yield f"{series}/instances/{uid}"


def _studies(client: httpx.Client, root: str, query: Mapping[str, str]) -> Iterator[str]:
    """Study Instance UIDs, each once: a server may shift its pages while they are read."""
    seen: set[str] = set()
    offset = 0
    while True:
        page = {**query, "limit": str(PAGE), "offset": str(offset)}
        found = [_uid(study, _STUDY) for study in _search(client, f"{root}/studies", page)]
        fresh = [uid for uid in dict.fromkeys(found) if uid not in seen]
        seen.update(fresh)
        yield from fresh
        # A page of what is known already comes from a server that knows no offset.
        if not fresh:
            return
        offset += len(found)


def _search(client: httpx.Client, url: str, query: Mapping[str, str]) -> list[Any]:
    failure = "cannot be reached"
    for attempt in range(ATTEMPTS):
        if attempt:
            time.sleep(0.5 * 2**attempt)
        try:
            reply = client.get(url, params=query, headers={"Accept": "application/dicom+json"})
        except httpx.HTTPError:
            continue
        if reply.status_code == httpx.codes.NO_CONTENT:
            return []
        if reply.is_success:
            try:
                found = reply.json()
            except ValueError:
                found = None
            if isinstance(found, list):
                return found
            raise NanoRayError(f"{_host(url)}: does not answer a QIDO-RS search with JSON")
        failure = f"answers a search with HTTP status {reply.status_code}"
        if reply.is_client_error and reply.status_code != httpx.codes.TOO_MANY_REQUESTS:
            break
    raise NanoRayError(f"{_host(url)}: the DICOMweb server {failure}")


def _host(url: str) -> str:
    # Neither credentials nor the UIDs of a patient's study belong in a message.
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.hostname}"


def _value(found: Any, tag: str) -> str:
    try:
        return str(found[tag]["Value"][0])
    except (KeyError, IndexError, TypeError):
        return ""


def _uid(found: Any, tag: str) -> str:
    uid = _value(found, tag)
    if not uid:
        raise NanoRayError(f"the DICOMweb server gives a result without ({tag[:4]},{tag[4:]})")
    return quote(uid, safe="")


def fetch(client: httpx.Client, location: str) -> bytes:
    """Retrieve the instance at a WADO-RS URL, in the transfer syntax that it is stored in.

    Raises:
        Refusal: it is not there, may not be read, is too large, or the server cannot be reached.
    """
    accept = 'multipart/related; type="application/dicom"; transfer-syntax=*'
    code = "not-fetched"
    for attempt in range(ATTEMPTS):
        if attempt:
            time.sleep(0.5 * 2**attempt)
        try:
            with client.stream("GET", location, headers={"Accept": accept}) as reply:
                if reply.is_success:
                    return _first_part(_limited(reply), reply.headers.get("Content-Type", ""))
                status = reply.status_code
        except httpx.HTTPError:
            continue
        if status in (401, 403):
            raise Refusal("no-permission")
        if status in (404, 410):
            raise Refusal("missing")
        if 400 <= status < 500 and status not in (408, 429):
            break
    raise Refusal(code)


def _limited(reply: httpx.Response) -> bytes:
    data = bytearray()
    for piece in reply.iter_bytes():
        data += piece
        # The headers of a part are far shorter than this allowance.
        if len(data) > limits.MAX_FILE_BYTES + limits.MIB:
            raise Refusal("file-too-large")
    return bytes(data)


def _first_part(data: bytes, content_type: str) -> bytes:
    """Take the first part of a multipart/related body (RFC 2046 5.1), or a single body."""
    if not content_type.lower().startswith("multipart/"):
        return data
    boundary = _boundary(content_type)
    start = data.find(b"--" + boundary)
    head = data.find(b"\r\n\r\n", start)
    end = data.find(b"\r\n--" + boundary, head)
    if not boundary or start < 0 or head < 0 or end < 0:
        raise Refusal("not-fetched")
    return data[head + 4 : end]


def _boundary(content_type: str) -> bytes:
    """Return the boundary parameter of a Content-Type; empty if there is none."""
    from email.message import Message

    message = Message()
    message["Content-Type"] = content_type
    return str(message.get_param("boundary") or "").encode("ascii", "replace")
