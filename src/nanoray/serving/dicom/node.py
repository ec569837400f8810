"""The DICOM node: receives images by C-STORE, or fetches them by DICOMweb, and sends reports."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from enum import Enum
from typing import Any, Final

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from nanoray.dicomweb import Client, DicomWebError, list_study
from nanoray.errors import NanoRayError
from nanoray.reading.pool import Ended
from nanoray.reading.refusals import REASONS
from nanoray.serving.audit import Entry, Event
from nanoray.serving.dicom.commitment import PUSH_MODEL
from nanoray.serving.dicom.deliveries import Deliveries
from nanoray.serving.dicom.destinations import Destination, DicomDestination
from nanoray.serving.dicom.documents import Compare, Identified, Identify
from nanoray.serving.dicom.door import REQUEST_SECONDS, Door, server_class, title
from nanoray.serving.dicom.intake import MAX_PDU_BYTES, Intake
from nanoray.serving.dicom.peers import Peers
from nanoray.serving.dicom.priors import RADIOGRAPHS, Priors
from nanoray.serving.dicom.reports import Reports
from nanoray.serving.dicom.settings import NodeSettings
from nanoray.serving.dicom.uids import is_uid
from nanoray.serving.journal import log, log_error
from nanoray.serving.pipeline import NODE, BusyError
from nanoray.serving.service import Service
from nanoray.serving.storage.database import DatabaseUnavailableError
from nanoray.serving.storage.spool import Draft, StorageFullError
from nanoray.serving.storage.store import Arrival
from nanoray.serving.storage.tables import InstanceRow, PredictionRow

# Storage SOP classes of projection radiographs (PS3.4 B.5), and of secondary captures.
IMAGE_CLASSES: Final = (*RADIOGRAPHS, "1.2.840.10008.5.1.4.1.1.7")
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
    "1.2.840.10008.1.2.4.201",
    "1.2.840.10008.1.2.4.202",
    "1.2.840.10008.1.2.4.203",
    "1.2.840.10008.1.2.5",
)
_VERIFICATION: Final = "1.2.840.10008.1.1"

# Statuses of C-STORE (PS3.4 B.2.3).
SUCCESS: Final = 0x0000
DUPLICATE: Final = 0x0111
COERCED: Final = 0xB000
OUT_OF_RESOURCES: Final = 0xA700
MISMATCH: Final = 0xA900
NOT_AUTHORISED: Final = 0x0124
CANNOT_UNDERSTAND: Final = 0xC000

REFUSED: Final = {
    DUPLICATE: "the SOP Instance UID is known as another patient's or study's",
    COERCED: "taken as a correction of the image with this SOP Instance UID",
    MISMATCH: "the SOP Instance or Class UID differs from the request's",
    NOT_AUTHORISED: "this AE title may only answer for storage commitment",
}
UNAVAILABLE: Final = {
    StorageFullError: "the disk is full",
    DatabaseUnavailableError: "the database is not available",
    BusyError: "too many images are waiting",
}
INVALID_UIDS: Final = "the Study, SOP Instance or SOP Class UID is missing or invalid"
"""Reasons in the log and as Error Comment (0000,0902), of 64 characters at most (LO)."""

# SOP class not supported (PS3.7 C.5.6).
_NOT_SUPPORTED: Final = 0x0122
_MAX_INSTANCES = 100
_OVERHEAD_BYTES = 1024 * 1024


class PullError(NanoRayError):
    """A study could not be fetched; `code` is the reason in one word, the message in a sentence."""

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(reason)
        self.code = code


class Acceptance(Enum):
    """Result of receiving an image."""

    NEW = "new"
    KNOWN = "known"
    CORRECTION = "correction"
    """Known with other pixels or another name of the patient: it is reported again."""
    COLLISION = "collision"
    """Known as another patient's or study's: it is refused."""

    @property
    def status(self) -> int:
        """The status of C-STORE (PS3.4 B.2.3) for this result."""
        statuses = {Acceptance.CORRECTION: COERCED, Acceptance.COLLISION: DUPLICATE}
        return statuses.get(self, SUCCESS)


class _SeenMeanwhileError(Exception):
    """Another association received the same image."""


class Node:
    """The DICOM side of a service."""

    def __init__(
        self, service: Service, settings: NodeSettings, peers: Peers | None = None
    ) -> None:
        """Prepare.

        `peers`: of `nanoray.serving.dicom.peers.connect`; none by default.

        Raises:
            NanoRayError: contradictory settings.
        """
        settings = replace(settings, localise=settings.localise and service.settings.show_map)
        settings.check()
        if service.settings.store_nothing:
            raise NanoRayError("the DICOM node must store files until it has reported on them")
        self.settings = settings
        peers = peers or Peers()
        self.source = peers.source
        self.destinations: list[Destination] = []
        self._tls = peers.tls
        self._service = service
        self._server: Any = None
        self._door: Door | None = None
        self.reports = Reports(
            service.store,
            service.pipeline,
            service.metrics,
            settings,
            service.settings.read_timeout,
        )
        self.deliveries = Deliveries(service.store, service.metrics, settings, service.audit)
        self.reports.written = self.deliveries.wake
        self.priors = Priors(service, settings, peers.source)
        self.priors.found = lambda: self.reports.heard([])
        service.listeners.append(self.reports.heard)
        for destination in peers.destinations:
            self.add(destination)

    def add(self, destination: Destination) -> None:
        """Send reports to one more destination."""
        self.destinations.append(destination)
        self.reports.destinations.append(destination.name)
        self.deliveries.add(destination)
        self._service.destinations += (destination.name,)

    @property
    def port(self) -> int | None:
        """The port of the node."""
        return None if self._server is None else int(self._server.server_address[1])

    def start(self) -> None:
        """Open the port and start the workers.

        Raises:
            NanoRayError: the port cannot be opened.
        """
        self.reports.start()
        self.deliveries.start()
        self.priors.start()
        if self.settings.port is None:
            return
        from pynetdicom import AE, evt

        entity = AE(ae_title=self.settings.title)
        entity.require_called_aet = True
        entity.require_calling_aet = [*self.settings.allowed_titles, *self._archives()]
        # The door counts associations; pynetdicom would also count silent connections.
        entity.maximum_associations = 10_000
        entity.maximum_pdu_size = MAX_PDU_BYTES
        entity.acse_timeout = REQUEST_SECONDS
        entity.dimse_timeout = 300.0
        entity.network_timeout = 120.0
        entity.add_supported_context(_VERIFICATION)
        for sop_class in IMAGE_CLASSES:
            entity.add_supported_context(sop_class, list(TRANSFER_SYNTAXES))
        if self.settings.commitment:
            # An archive opens another association to answer, as provider (PS3.4 J.3.3).
            entity.add_supported_context(PUSH_MODEL, scu_role=False, scp_role=True)
        limit = self._service.settings.max_file_bytes + _OVERHEAD_BYTES
        intake = Intake(limit, 2 * limit, self._service.metrics)
        self._door = Door(
            self.settings.max_associations,
            self.settings.max_associations_per_address,
            self._service.metrics,
            self._service.audit,
        )
        try:
            self._server = entity.make_server(
                (self.settings.host or self._service.settings.host, self.settings.port),
                ssl_context=self._tls,
                evt_handlers=[
                    (evt.EVT_C_STORE, self._store),
                    (evt.EVT_C_ECHO, lambda event: SUCCESS),
                    (evt.EVT_N_EVENT_REPORT, self.deliveries.commitments.heard),
                    *self._door.handlers(),
                    *intake.handlers(),
                ],
                server_class=server_class(self._door),
            )
        except OSError as error:
            self.stop()
            raise NanoRayError(
                f"cannot listen on DICOM port {self.settings.port}: {error.strerror}"
            ) from None
        entity._servers.append(self._server)
        self._door.start()
        self._listener = threading.Thread(
            target=self._server.serve_forever, name="nanoray-dicom", daemon=True
        )
        self._listener.start()

    def stop(self) -> None:
        """Refuse new images and finish the current step."""
        if self._server is not None:
            self._server.shutdown()
        if self._door is not None:
            self._door.stop()
        self.priors.stop()
        self.reports.stop()
        self.deliveries.stop()

    def _archives(self) -> list[str]:
        """Return the AE titles that may answer requests for storage commitment."""
        if not self.settings.commitment:
            return []
        return [one.title for one in self.destinations if isinstance(one, DicomDestination)]

    def _store(self, event: Any) -> Any:
        """Handle a C-STORE request; status 0000 means that the image is stored.

        Returns:
            The status, with the reason as Error Comment (PS3.7 C) unless it is 0000.
        """
        sender = title(event.assoc.requestor.ae_title)
        try:
            if sender not in self.settings.allowed_titles:
                status, reason = NOT_AUTHORISED, REFUSED[NOT_AUTHORISED]
            else:
                status, reason = self._keep(
                    event.encoded_dataset(),
                    str(event.request.AffectedSOPInstanceUID),
                    str(event.request.AffectedSOPClassUID),
                )
        except Exception as error:
            log_error("store failed", error)
            status, reason = OUT_OF_RESOURCES, "unexpected error; the log has its place"
        failed = status not in (SUCCESS, COERCED)
        self._service.audit.record(
            Entry(
                event=Event.TRANSFERRED,
                action="C",
                failed=failed,
                user=sender,
                address=str(event.assoc.requestor.address),
                object_id=str(event.request.AffectedSOPInstanceUID or ""),
                detail=f"C-STORE {status:04x}",
            )
        )
        self._service.metrics.dicom_stores.labels(f"{status:04x}").inc()
        facts = {"status": f"{status:04x}", "sender": sender} | (
            {"reason": reason} if reason else {}
        )
        log("image received", logging.WARNING if failed else logging.INFO, **facts)
        if not reason:
            return status
        from pydicom.dataset import Dataset

        answer = Dataset()
        answer.Status, answer.ErrorComment = status, reason
        return answer

    def take(self, draft: Draft) -> tuple[Identified, int]:
        """Accept a finished upload like an image of C-STORE.

        Returns:
            The identity of the image, and the status of C-STORE.

        Raises:
            StorageFullError, DatabaseUnavailableError, BusyError: it was not accepted.
        """
        draft.finish()
        found = self._identify(draft)
        if found.error is not None:
            return found, CANNOT_UNDERSTAND
        if found.sop_class not in IMAGE_CLASSES:
            return found, _NOT_SUPPORTED
        return found, self._accept(draft, found, "dicom").status

    def _keep(self, data: bytes, sop_uid: str, sop_class: str) -> tuple[int, str]:
        """Store an image; return the status of C-STORE and the reason unless it is a success."""
        if len(data) > self._service.settings.max_file_bytes:
            return OUT_OF_RESOURCES, "the image is larger than the service accepts (--max-upload)"
        try:
            with self._draft(data) as draft:
                found = self._identify(draft)
                if found.error is not None:
                    return CANNOT_UNDERSTAND, REASONS.get(found.error, INVALID_UIDS)
                if (found.sop_uid, found.sop_class) != (sop_uid, sop_class):
                    return MISMATCH, REFUSED[MISMATCH]
                status = self._accept(draft, found, "dicom").status
                return status, REFUSED.get(status, "")
        except (StorageFullError, DatabaseUnavailableError, BusyError) as error:
            # The sender keeps it and retries.
            return OUT_OF_RESOURCES, UNAVAILABLE[type(error)]

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

    def _accept(self, draft: Draft, found: Identified, origin: str) -> Acceptance:
        """Accept an image once, and again if it is corrected."""
        known = self._known(found.sop_uid)
        acceptance = Acceptance.NEW
        if known is not None:
            acceptance = self._compare(known, draft)
            if acceptance in (Acceptance.KNOWN, Acceptance.COLLISION):
                return acceptance
        pipeline = self._service.pipeline
        pipeline.reserve(1, NODE)
        try:

            def put_on_report(session: Session, accepted: list[tuple[str, bool]]) -> None:
                instance = session.scalars(
                    select(InstanceRow).where(InstanceRow.sop_uid == found.sop_uid)
                ).first()
                if (instance.id if instance is not None else None) != known:
                    raise _SeenMeanwhileError
                self.reports.add(
                    session,
                    found.study_uid,
                    found.patient_key,
                    found.sop_uid,
                    accepted[0][0],
                    instance,
                )
                self.priors.expect(session, accepted[0][0])

            # One at a time, so that the images of a study are in the same report.
            accepted, _ = self._service.store.accept(
                Arrival([draft], origin, NODE, also=put_on_report)
            )
        except (IntegrityError, _SeenMeanwhileError):
            # Two associations sent it at the same time.
            return self._accept(draft, found, origin)
        finally:
            pipeline.release(1, NODE)
        name, unseen = accepted[0]
        self.priors.take(name)
        if unseen:
            pipeline.submit(name, NODE)
        else:
            self.reports.heard([])
        return acceptance

    def _known(self, sop_uid: str) -> str | None:
        with self._service.store.database.reading() as session:
            return session.scalars(
                select(InstanceRow.id).where(InstanceRow.sop_uid == sop_uid)
            ).first()

    def _compare(self, known: str, draft: Draft) -> Acceptance:
        """Compare an image with a stored one of the same SOP Instance UID."""
        with self._service.store.database.reading() as session:
            old = session.scalars(
                select(PredictionRow)
                .join(InstanceRow, InstanceRow.prediction_id == PredictionRow.id)
                .where(InstanceRow.id == known)
            ).first()
        if old is None or old.sha256 == draft.sha256:
            return Acceptance.KNOWN
        path = str(self._service.store.spool.path(old.id))
        task = Compare(path, str(draft.path), self._service.settings.read_timeout)
        try:
            found = str(self._service.pipeline.call(task))
        except Ended:
            found = "gone"
        acceptance = {"same": Acceptance.KNOWN, "other": Acceptance.COLLISION}.get(
            found, Acceptance.CORRECTION
        )
        if acceptance is not Acceptance.KNOWN:
            self._service.metrics.dicom_conflicts.labels(acceptance.value).inc()
            log(
                "image with a known SOP Instance UID",
                logging.WARNING,
                differs=found,
                taken_as=acceptance.value,
            )
        return acceptance

    # Fetching.

    def pull(self, study_uid: str) -> tuple[int, int, int]:
        """Fetch a study's images by QIDO-RS and WADO-RS (PS3.18 10.6, 10.4).

        Returns:
            The numbers of accepted, known and refused images.

        Raises:
            PullError: it cannot be fetched.
            DatabaseUnavailableError, StorageFullError, BusyError: some images were not accepted.
                The others are kept, and the pull can be repeated.
        """
        source = self.source
        if source is None:
            raise PullError(
                "no-source",
                "no DICOMweb server is configured: start the service with --dicomweb URL",
            )
        counts = [0, 0, 0]
        try:
            with Client(
                tls=source.tls,
                max_bytes=self._service.settings.max_file_bytes,
                seconds=self._service.settings.upload_timeout,
            ) as client:
                for series_uid, sop_uid in self._instances(client, source.url, study_uid):
                    place = f"studies/{study_uid}/series/{series_uid}/instances/{sop_uid}"
                    with self._draft(client.fetch(f"{source.url}/{place}")) as draft:
                        found = self._identify(draft)
                        if found.error is not None or (found.study_uid, found.sop_uid) != (
                            study_uid,
                            sop_uid,
                        ):
                            counts[2] += 1
                        else:
                            taken = self._accept(draft, found, "pull")
                            part = {Acceptance.KNOWN: 1, Acceptance.COLLISION: 2}.get(taken, 0)
                            counts[part] += 1
        except DicomWebError as error:
            raise PullError(error.code, str(error)) from None
        return counts[0], counts[1], counts[2]

    def _instances(self, client: Client, url: str, study_uid: str) -> list[tuple[str, str]]:
        """Return series and instances of a study with radiographs."""
        found = list_study(client, url, study_uid, IMAGE_CLASSES, most=_MAX_INSTANCES)
        if not found:
            query = {"StudyInstanceUID": study_uid}
            if not client.search(f"{url}/studies", query, missing_ok=True):
                raise PullError("no-study", "the DICOMweb server does not have the study")
        found = [one for one in found if all(map(is_uid, one))]
        if not found:
            raise PullError("no-images", "the study has no image that can be screened")
        return found
