"""Storage commitment as a user (PS3.4 J): an archive confirms that it keeps what it was sent.

After a C-STORE an N-ACTION asks the archive to take responsibility for the objects. It answers with
an N-EVENT-REPORT, on the same association or later on one that it opens. The state is in the
delivery: "due", "requested", and then "committed" or "unanswered". Objects that the archive refuses
to keep are delivered again.
"""

from __future__ import annotations

import io
import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from typing import Any, Final
from uuid import uuid4

from pydicom import Dataset, dcmread
from sqlalchemy import or_, select, update

from nanoray.reading.quiet import quiet
from nanoray.serving.dicom.delivery_error import DeliveryError
from nanoray.serving.dicom.destinations import DicomDestination
from nanoray.serving.dicom.settings import NodeSettings, pause
from nanoray.serving.journal import log
from nanoray.serving.storage.database import DatabaseUnavailableError
from nanoray.serving.storage.store import Store
from nanoray.serving.storage.tables import (
    COMMITTED,
    DEAD,
    DELIVERED,
    DUE,
    PENDING,
    REQUESTED,
    UNANSWERED,
    DeliveryRow,
    ReportRow,
    now,
)

PUSH_MODEL: Final = "1.2.840.10008.1.20.1"
"""SOP class of the Storage Commitment Push Model (PS3.4 J.3)."""
INSTANCE: Final = "1.2.840.10008.1.20.1.1"
"""Its well-known SOP instance."""
REQUEST: Final = 1
"""Action type of a request (PS3.4 J.3.2)."""
ATTEMPTS: Final = 100
"""Requests before a commitment counts as unanswered: about a day with the longest pause."""

_SUCCESS: Final = 0x0000
_FAILURE: Final = 0x0110
_INVALID_ARGUMENT: Final = 0x0115
# An archive that answers at once does so on the association of the request.
_STAY_SECONDS: Final = 5.0
_CLOCK_SLACK: Final = timedelta(minutes=5)

Reference = tuple[str, str]
"""SOP class and instance UID."""


class Commitments:
    """Asks destinations for storage commitment, and takes their answers."""

    def __init__(self, store: Store, settings: NodeSettings) -> None:
        """Prepare."""
        self._store = store
        self._settings = settings
        self._lock = threading.Lock()
        self._waiting: dict[str, threading.Event] = {}
        self.refused: Callable[[], None] = lambda: None

    def request_next(self, destination: DicomDestination) -> bool:
        """Ask for the commitment of one delivery that is due; False if there is none.

        Raises:
            DatabaseUnavailableError: nothing was asked for.
        """
        moment = now()
        # A time that lies too far ahead was set before the clock was set back.
        absurd = moment + timedelta(seconds=self._settings.longest_pause) + _CLOCK_SLACK
        with self._store.database.reading() as session:
            found = session.execute(
                select(DeliveryRow.id, DeliveryRow.commit_attempts, ReportRow.objects)
                .join(ReportRow, ReportRow.id == DeliveryRow.report_id)
                .where(
                    DeliveryRow.status == DELIVERED,
                    DeliveryRow.destination == destination.name,
                    DeliveryRow.commitment.in_((DUE, REQUESTED)),
                    or_(DeliveryRow.commit_at <= moment, DeliveryRow.commit_at > absurd),
                )
                .order_by(DeliveryRow.commit_at)
                .limit(1)
            ).one_or_none()
        if found is None:
            return False
        name, attempts, objects = found
        transaction = f"2.25.{uuid4().int}"
        if not self._note(name, attempts, transaction):
            return True
        answered = threading.Event()
        with self._lock:
            self._waiting[transaction] = answered
        try:
            code = None
            references = list(self._references(objects))
            request_commitment(
                destination, references, transaction, self._settings.title, self.heard, answered
            )
        except DeliveryError as error:
            code = error.code
        except OSError:
            code = "spool"
        finally:
            with self._lock:
                del self._waiting[transaction]
        log("commitment requested", delivery=name, attempts=attempts + 1, code=code)
        return True

    def _note(self, name: str, attempts: int, transaction: str) -> bool:
        """Record a request before it is sent: the answer may come sooner than it returns."""
        given_up = attempts >= ATTEMPTS
        values: dict[str, Any] = {"commitment": UNANSWERED}
        if not given_up:
            # The pause until the same is asked again, with a new transaction.
            later = now() + timedelta(seconds=pause(self._settings, attempts + 1))
            values = {
                "commitment": REQUESTED,
                "transaction_uid": transaction,
                "commit_attempts": attempts + 1,
                "commit_at": later,
            }
        with self._store.database.writing() as session:
            taken: Any = session.execute(
                update(DeliveryRow)
                .where(
                    DeliveryRow.id == name,
                    DeliveryRow.commit_attempts == attempts,
                    DeliveryRow.commitment.in_((DUE, REQUESTED)),
                )
                .values(**values)
            )
        if given_up:
            log("commitment unanswered", logging.WARNING, delivery=name)
        return bool(taken.rowcount) and not given_up

    def heard(self, event: Any) -> tuple[int, None]:
        """Handle an N-EVENT-REPORT: the status that answers it, and no data set."""
        try:
            information = event.event_information
            transaction = str(information.TransactionUID)
            kept = set(_instances(information, "ReferencedSOPSequence"))
            lost = {
                str(item.ReferencedSOPInstanceUID): int(item.get("FailureReason") or 0)
                for item in information.get("FailedSOPSequence", ())
            }
        except Exception:
            # A message that cannot be parsed; its text may quote it.
            return _INVALID_ARGUMENT, None
        try:
            known = self._answered(transaction, kept, lost)
        except (DatabaseUnavailableError, OSError):
            return _FAILURE, None  # the archive may report again
        with self._lock:
            waiting = self._waiting.get(transaction)
        if waiting is not None:
            waiting.set()
        return _SUCCESS if known else _INVALID_ARGUMENT, None

    def _answered(self, transaction: str, kept: set[str], lost: dict[str, int]) -> bool:
        """Record an answer; False for an unknown transaction."""
        with self._store.database.writing() as session:
            found = session.execute(
                select(DeliveryRow, ReportRow.objects)
                .join(ReportRow, ReportRow.id == DeliveryRow.report_id)
                .where(DeliveryRow.transaction_uid == transaction)
                .with_for_update(of=DeliveryRow)
            ).one_or_none()
            if found is None:
                return False
            delivery, objects = found
            if delivery.commitment != REQUESTED:
                return True  # the archive reports once more
            sent = {uid for _, uid in self._references(objects)}
            if sent <= kept and not sent.intersection(lost):
                delivery.commitment = COMMITTED
            else:
                reason = next((lost[uid] for uid in sorted(sent) if uid in lost), 0)
                delivery.commitment = delivery.transaction_uid = None
                delivery.error_code = f"commitment-{reason:04x}"
                delivery.attempts += 1
                given_up = delivery.attempts >= self._settings.attempts
                delivery.status = DEAD if given_up else PENDING
                seconds = pause(self._settings, delivery.attempts)
                delivery.next_at = now() + timedelta(seconds=seconds)
            name, code = delivery.id, delivery.error_code
            committed = delivery.commitment == COMMITTED
        log("commitment answered", delivery=name, committed=committed, code=code)
        if not committed:
            self.refused()
        return True

    def _references(self, objects: Sequence[str]) -> Iterator[Reference]:
        for name in objects:
            with quiet():
                read = dcmread(
                    io.BytesIO(self._store.spool.path(name).read_bytes()),
                    stop_before_pixels=True,
                    specific_tags=["SOPClassUID", "SOPInstanceUID"],
                )
            yield str(read.SOPClassUID), str(read.SOPInstanceUID)


def request_commitment(
    destination: DicomDestination,
    references: Sequence[Reference],
    transaction: str,
    own_title: str,
    heard: Callable[[Any], tuple[int, None]],
    answered: threading.Event,
) -> None:
    """Send the request, and stay some seconds for an answer on the same association.

    Args:
        references: what the archive is to keep.
        transaction: UID that the answer names.
        heard: takes an N-EVENT-REPORT.
        answered: set when the answer is there.

    Raises:
        DeliveryError: the archive does not take the request.
    """
    from pynetdicom import evt
    from pynetdicom.pdu import P_DATA_TF

    replied = threading.Event()

    def sent(event: Any) -> None:
        # The first message after the answer is our response to it.
        if answered.is_set() and isinstance(event.pdu, P_DATA_TF):
            replied.set()

    information = Dataset()
    information.TransactionUID = transaction
    information.ReferencedSOPSequence = []
    for sop_class, sop_uid in references:
        item = Dataset()
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = sop_class, sop_uid
        information.ReferencedSOPSequence.append(item)
    handlers = [(evt.EVT_N_EVENT_REPORT, heard), (evt.EVT_PDU_SENT, sent)]
    with destination.associated(own_title, [(PUSH_MODEL, None)], handlers) as association:
        try:
            status, _ = association.send_n_action(information, REQUEST, PUSH_MODEL, INSTANCE)
        except (ValueError, RuntimeError):
            raise DeliveryError("not-supported") from None
        if "Status" not in status:
            raise DeliveryError("interrupted")
        if status.Status != _SUCCESS:
            raise DeliveryError(f"status-{status.Status:04x}")
        if answered.wait(_STAY_SECONDS):
            # Released sooner, the archive would not know that it was heard.
            replied.wait(_STAY_SECONDS)


def _instances(information: Dataset, keyword: str) -> Iterator[str]:
    for item in information.get(keyword, ()):
        yield str(item.ReferencedSOPInstanceUID)
