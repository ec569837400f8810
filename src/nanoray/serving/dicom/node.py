"""The DICOM node: takes images by C-STORE, or fetches them by DICOMweb, and returns reports."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from nanoray.errors import NanoRayError
from nanoray.reading.pool import Ended
from nanoray.serving.dicom.destinations import Destination, WebDestination, is_ae_title
from nanoray.serving.dicom.documents import Identified, Identify
from nanoray.serving.dicom.intake import MAX_PDU_BYTES, Intake
from nanoray.serving.dicom.reports import Reports
from nanoray.serving.journal import log, log_error
from nanoray.serving.pipeline import NODE, BusyError
from nanoray.serving.service import Service
from nanoray.serving.storage.database import DatabaseUnavailableError
from nanoray.serving.storage.spool import Draft, StorageFullError
from nanoray.serving.storage.store import Arrival
from nanoray.serving.storage.tables import InstanceRow

# Storage SOP classes of projection radiographs (PS3.4 B.5), and of captured pictures of them.
IMAGE_CLASSES: Final = (
    "1.2.840.10008.5.1.4.1.1.1",  # Computed Radiography
    "1.2.840.10008.5.1.4.1.1.1.1",  # Digital X-Ray, for presentation
    "1.2.840.10008.5.1.4.1.1.7",  # Secondary Capture
)
TRANSFER_SYNTAXES: Final = (
    "1.2.840.10008.1.2.1",
    "1.2.840.10008.1.2",
    "1.2.840.10008.1.2.1.99",
    "1.2.840.10008.1.2.4.50",
    "1.2.840.10008.1.2.4.51",
    "1.2.840.10008.1.2.4.57",
    "1.2.840.10008.1.2.4.70",
    "1.2.840.10008.1.2.4.80",
    "1.2.840.10008.1.2.4.81",
    "1.2.840.10008.1.2.4.90",
    "1.2.840.10008.1.2.4.91",
    "1.2.840.10008.1.2.5",
)
_VERIFICATION: Final = "1.2.840.10008.1.1"

# Statuses of C-STORE (PS3.4 B.2.3).
SUCCESS: Final = 0x0000
OUT_OF_RESOURCES: Final = 0xA700
MISMATCH: Final = 0xA900
CANNOT_UNDERSTAND: Final = 0xC000

_MAX_INSTANCES = 100
_OVERHEAD_BYTES = 1024 * 1024


class PullError(NanoRayError):
    """A study could not be fetched; `code` says why in a word."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeSettings:
    """What an operator decides about the DICOM node.

    Attributes:
        host, port: where it listens; port 0 takes a free one, None listens nowhere.
        title: its AE title.
        allowed_titles: AE titles that may send; it answers nobody else.
        tls: context for TLS, which demands certificates of peers if it was made so.
        destinations: where reports go.
        source: the DICOMweb server that studies are fetched from.
        quiet_seconds: a study's report is written when no image came for so long.
        attempts: deliveries are given up after so many.
        first_pause: seconds before the second attempt; doubled with each.
        max_associations: at the same time.
    """

    host: str = "127.0.0.1"
    port: int | None = None
    title: str = "NANORAY"
    allowed_titles: tuple[str, ...] = ()
    tls: ssl.SSLContext | None = None
    destinations: tuple[Destination, ...] = ()
    source: WebDestination | None = None
    quiet_seconds: float = 5.0
    attempts: int = 12
    first_pause: float = 5.0
    max_associations: int = 16

    def check(self) -> None:
        """Raises NanoRayError for titles that are none, or an open door."""
        for title in (self.title, *self.allowed_titles):
            if not is_ae_title(title):
                raise NanoRayError("an AE title has 1 to 16 printable characters, no backslash")
        if self.port is not None and not self.allowed_titles:
            raise NanoRayError("name the AE titles that may send images: --allow-ae TITLE")


class Node:
    """The DICOM side of a service."""

    def __init__(self, service: Service, settings: NodeSettings) -> None:
        """Prepare.

        Raises:
            NanoRayError: settings that do not go together.
        """
        settings.check()
        if service.settings.store_nothing:
            raise NanoRayError("the DICOM node keeps files until it has reported on them")
        self.settings = settings
        self._service = service
        self._server: Any = None
        self.reports = Reports(
            service.store,
            service.pipeline,
            service.metrics,
            settings.destinations,
            own_title=settings.title,
            quiet_seconds=settings.quiet_seconds,
            attempts=settings.attempts,
            first_pause=settings.first_pause,
            timeout=service.settings.read_timeout,
        )
        service.listeners.append(self.reports.heard)

    @property
    def port(self) -> int | None:
        """The port that the node listens on."""
        return None if self._server is None else int(self._server.server_address[1])

    def start(self) -> None:
        """Listen and go to work.

        Raises:
            NanoRayError: the port cannot be listened on.
        """
        self.reports.start()
        if self.settings.port is None:
            return
        from pynetdicom import AE, evt

        entity = AE(ae_title=self.settings.title)
        entity.require_called_aet = True
        entity.require_calling_aet = list(self.settings.allowed_titles)
        entity.maximum_associations = self.settings.max_associations
        entity.maximum_pdu_size = MAX_PDU_BYTES
        entity.acse_timeout = 30.0
        entity.dimse_timeout = 300.0
        entity.network_timeout = 300.0
        entity.add_supported_context(_VERIFICATION)
        for sop_class in IMAGE_CLASSES:
            entity.add_supported_context(sop_class, list(TRANSFER_SYNTAXES))
        limit = self._service.settings.max_file_bytes + _OVERHEAD_BYTES
        intake = Intake(limit, 2 * limit, self._service.metrics)
        try:
            self._server = entity.start_server(
                (self.settings.host, self.settings.port),
                block=False,
                ssl_context=self.settings.tls,
                evt_handlers=[
                    (evt.EVT_C_STORE, self._store),
                    (evt.EVT_C_ECHO, lambda event: SUCCESS),
                    (evt.EVT_REJECTED, self._rejected),
                    *intake.handlers(),
                ],
            )
        except OSError as error:
            self.reports.stop()
            raise NanoRayError(
                f"cannot listen on DICOM port {self.settings.port}: {error.strerror}"
            ) from None

    def stop(self) -> None:
        """Take no more images, finish the step in hand."""
        if self._server is not None:
            self._server.shutdown()
        self.reports.stop()

    def _rejected(self, event: Any) -> None:
        self._service.metrics.dicom_rejected.inc()
        log("association rejected")

    def _store(self, event: Any) -> int:
        """Handle a C-STORE request: when it answers 0000, the image is safe."""
        try:
            status = self._keep(
                event.encoded_dataset(),
                str(event.request.AffectedSOPInstanceUID),
                str(event.request.AffectedSOPClassUID),
            )
        except Exception as error:
            log_error("store failed", error)
            status = OUT_OF_RESOURCES
        self._service.metrics.dicom_stores.labels(f"{status:04x}").inc()
        log("image received", status=f"{status:04x}")
        return status

    def _keep(self, data: bytes, sop_uid: str, sop_class: str) -> int:
        if len(data) > self._service.settings.max_file_bytes:
            return OUT_OF_RESOURCES
        try:
            with self._draft(data) as draft:
                found = self._identify(draft)
                if found.error is not None:
                    return CANNOT_UNDERSTAND
                if (found.sop_uid, found.sop_class) != (sop_uid, sop_class):
                    return MISMATCH
                self._accept(draft, found, "dicom")
        except (StorageFullError, DatabaseUnavailableError, BusyError):
            # The sender keeps it and tries again.
            return OUT_OF_RESOURCES
        return SUCCESS

    @contextmanager
    def _draft(self, data: bytes) -> Iterator[Draft]:
        draft = self._service.store.spool.draft()
        try:
            draft.write(data)
            draft.finish()
            yield draft
        finally:
            draft.discard()

    def _identify(self, draft: Draft) -> Identified:
        task = Identify(str(draft.path), self._service.settings.read_timeout)
        try:
            found = self._service.pipeline.call(task)
        except Ended as end:
            return Identified(error=end.code)
        assert isinstance(found, Identified)
        return found

    def _accept(self, draft: Draft, found: Identified, origin: str) -> bool:
        """Accept an image, once; False if the node has it already."""
        pipeline = self._service.pipeline
        pipeline.reserve(1, NODE)
        try:

            def put_on_report(session: Session, accepted: list[tuple[str, bool]]) -> bool:
                known = session.scalars(
                    select(InstanceRow.id).where(InstanceRow.sop_uid == found.sop_uid)
                ).first()
                if known is not None:
                    return False
                self.reports.add(session, found.study_uid, found.sop_uid, accepted[0][0])
                return True

            # The store takes one at a time, so that images of a study come on the same report.
            accepted, new = self._service.store.accept(
                Arrival([draft], origin, NODE, also=put_on_report)
            )
            name, unseen = accepted[0]
            if unseen:
                pipeline.submit(name, NODE)
            else:
                self.reports.heard([])
            return bool(new)
        except IntegrityError:
            return False
        finally:
            pipeline.release(1, NODE)

    # Fetching.

    def pull(self, study_uid: str) -> tuple[int, int, int]:
        """Fetch a study's images by QIDO-RS and WADO-RS (PS3.18 10.6, 10.4).

        Returns:
            How many images were accepted, were known already, and were refused.

        Raises:
            PullError: it cannot be fetched.
            DatabaseUnavailableError, StorageFullError, BusyError: not all were accepted; what was
                is kept, and the pull can be repeated.
        """
        source = self.settings.source
        if source is None:
            raise PullError("no-source")
        counts = [0, 0, 0]
        try:
            with source.client() as client:
                for series_uid, sop_uid in self._instances(client, source.url, study_uid):
                    data = self._fetch(client, source.url, study_uid, series_uid, sop_uid)
                    with self._draft(data) as draft:
                        found = self._identify(draft)
                        if found.error is not None or (found.study_uid, found.sop_uid) != (
                            study_uid,
                            sop_uid,
                        ):
                            counts[2] += 1
                        elif self._accept(draft, found, "pull"):
                            counts[0] += 1
                        else:
                            counts[1] += 1
        except (httpx.HTTPError, ssl.SSLError, OSError) as error:
            if isinstance(error, StorageFullError):
                raise
            raise PullError("unreachable") from None
        return counts[0], counts[1], counts[2]

    def _instances(self, client: httpx.Client, url: str, study_uid: str) -> list[tuple[str, str]]:
        answer = client.get(
            f"{url}/studies/{study_uid}/instances",
            params={"limit": str(_MAX_INSTANCES)},
            headers={"Accept": "application/dicom+json"},
        )
        if answer.status_code in (204, 404):
            raise PullError("no-study")
        if answer.status_code != 200:
            raise PullError(f"http-{answer.status_code}")
        from nanoray.serving.dicom.documents import is_uid

        found: list[tuple[str, str]] = []
        try:
            items = answer.json()
            if items == []:
                # Some servers say so for a study that they do not have.
                raise PullError("no-study")
            for item in items:
                sop_class, series, sop = (
                    str(item[tag]["Value"][0]) for tag in ("00080016", "0020000E", "00080018")
                )
                if sop_class in IMAGE_CLASSES and is_uid(series) and is_uid(sop):
                    found.append((series, sop))
        except (ValueError, KeyError, IndexError, TypeError):
            raise PullError("answer") from None
        if not found:
            raise PullError("no-images")
        return found[:_MAX_INSTANCES]

    def _fetch(
        self, client: httpx.Client, url: str, study_uid: str, series_uid: str, sop_uid: str
    ) -> bytes:
        limit = self._service.settings.max_file_bytes + 64 * 1024
        data = bytearray()
        with client.stream(
            "GET",
            f"{url}/studies/{study_uid}/series/{series_uid}/instances/{sop_uid}",
            headers={
                "Accept": 'multipart/related; type="application/dicom"; transfer-syntax=*',
                "Accept-Encoding": "identity",
            },
        ) as answer:
            if answer.status_code != 200:
                raise PullError(f"http-{answer.status_code}")
            for chunk in answer.iter_raw():
                data += chunk
                if len(data) > limit:
                    raise PullError("too-large")
            kind = answer.headers.get("content-type", "")
        return _first_part(bytes(data), kind)


def _first_part(body: bytes, kind: str) -> bytes:
    """The first part of a multipart/related body; a body that is no multipart as it is."""
    if not kind.lower().startswith("multipart/"):
        return body
    head, _, rest = body.partition(b"\r\n\r\n")
    boundary = head.lstrip(b"\r\n").split(b"\r\n", 1)[0]
    if not boundary.startswith(b"--") or not rest:
        raise PullError("answer")
    return rest.partition(b"\r\n" + boundary)[0]


class _ServerContext(ssl.SSLContext):
    """Shakes hands when a connection is first read from, in its thread.

    pynetdicom wraps a connection in the thread that accepts them all, which a peer that connects
    and says nothing would hold up.
    """

    def wrap_socket(self, sock: socket.socket, *args: Any, **options: Any) -> ssl.SSLSocket:
        """Wrap a connection; see `ssl.SSLContext.wrap_socket`."""
        return super().wrap_socket(sock, *args, **options | {"do_handshake_on_connect": False})


def tls_context(
    certificate: Path, key: Path, authority: Path | None, *, server: bool
) -> ssl.SSLContext:
    """A context for DICOM over TLS (PS3.15 B.9); with an authority, peers must show certificates.

    Raises:
        NanoRayError: a file cannot be used.
    """
    trusted = None if authority is None else str(authority)
    try:
        if server:
            context: ssl.SSLContext = _ServerContext(ssl.PROTOCOL_TLS_SERVER)
            if trusted is not None:
                context.load_verify_locations(trusted)
                context.verify_mode = ssl.CERT_REQUIRED
        else:
            context = ssl.create_default_context(cafile=trusted)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_cert_chain(certificate, key)
    except (OSError, ssl.SSLError):
        raise NanoRayError("a certificate or key for DICOM over TLS cannot be used") from None
    return context
