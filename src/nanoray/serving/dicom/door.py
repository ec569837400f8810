"""Admission to the DICOM port: allowed peers, numbers of connections, and time-outs.

pynetdicom starts threads for each connection and counts silent ones as associations, so a few
silent connections would block the port. Here a connection has some seconds for its request. When
too many wait, the oldest one is closed. Only accepted associations count towards the limits.
"""

from __future__ import annotations

import logging
import socket
import threading
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final

from pynetdicom.transport import ThreadedAssociationServer

from nanoray.serving.audit import Audit, Entry, Event
from nanoray.serving.journal import log, log_error
from nanoray.serving.metrics import Metrics

REQUEST_SECONDS: Final = 5.0
"""Time for the handshake and the association request."""
MAX_WAITING: Final = 32
"""Connections without an association; each has two threads."""

# Result, source and reason of a rejection (PS3.8 9.3.4): transient, local limit exceeded.
_LOCAL_LIMIT: Final = (0x02, 0x03, 0x02)


@dataclass(eq=False, slots=True)
class _Connection:
    association: Any
    address: str
    since: float = field(default_factory=time.monotonic)
    accepted: bool = False


class Door:
    """Counts and limits the connections of a DICOM server."""

    def __init__(self, limit: int, limit_per_address: int, metrics: Metrics, audit: Audit) -> None:
        """Set the largest numbers of associations, in total and of one address."""
        self._audit = audit
        self._limit = limit
        self._limit_per_address = limit_per_address
        self._metrics = metrics
        self._lock = threading.Lock()
        self._open: dict[Any, _Connection] = {}
        self._stopping = threading.Event()
        self._watch = threading.Thread(target=self._keep_watch, name="nanoray-door", daemon=True)
        metrics.gauge(
            "nanoray_dicom_connections",
            "Open connections of the DICOM port, with and without an association.",
            lambda: float(len(self._open)),
        )

    def start(self) -> None:
        """Watch."""
        self._watch.start()

    def stop(self) -> None:
        """Stop watching."""
        self._stopping.set()
        if self._watch.ident is not None:
            self._watch.join()

    def handlers(self) -> list[tuple[Any, Any]]:
        """Return the handlers that pynetdicom calls."""
        from pynetdicom import evt

        return [
            (evt.EVT_CONN_OPEN, self._opened),
            (evt.EVT_REQUESTED, self._requested),
            (evt.EVT_ACCEPTED, self._accepted),
            (evt.EVT_REJECTED, self._rejected),
            (evt.EVT_CONN_CLOSE, self._closed),
        ]

    def full(self) -> bool:
        """Return whether no further waiting connection is accepted, which limits the threads."""
        return len(self._open) >= self._limit + 2 * MAX_WAITING

    def _opened(self, event: Any) -> None:
        with self._lock:
            self._open[event.assoc] = _Connection(event.assoc, str(event.address[0]))
            waiting = [one for one in self._open.values() if not one.accepted]
        if len(waiting) > MAX_WAITING:
            self._drop(min(waiting, key=lambda one: one.since), "too many wait")

    def _requested(self, event: Any) -> None:
        association = event.assoc
        with self._lock:
            mine = self._open.get(association)
            taken = Counter(one.address for one in self._open.values() if one.accepted)
            total = sum(taken.values())
            address = mine.address if mine is not None else ""
            fits = total < self._limit and taken[address] < self._limit_per_address
            if fits and mine is not None:
                mine.accepted = True
        if not fits:
            self._refused(association, "limit")
            association.acse.send_reject(*_LOCAL_LIMIT)

    def _accepted(self, event: Any) -> None:
        with self._lock:
            if event.assoc in self._open:
                self._open[event.assoc].accepted = True

    def _rejected(self, event: Any) -> None:
        with self._lock:
            if event.assoc in self._open:
                self._open[event.assoc].accepted = False
        self._refused(event.assoc, "AE title")

    def _refused(self, association: Any, why: str) -> None:
        self._metrics.dicom_rejected.inc()
        request = association.requestor.primitive
        peer = str(association.requestor.address)
        calling = title(getattr(request, "calling_ae_title", ""))
        log(
            "association rejected",
            logging.WARNING,
            reason=why,
            peer=peer,
            calling=calling,
            called=title(getattr(request, "called_ae_title", "")),
        )
        self._audit.record(
            Entry(
                event=Event.AUTHENTICATION,
                action="E",
                failed=True,
                user=calling,
                address=peer,
                object_id="DICOM association",
                detail=why,
            )
        )

    def _closed(self, event: Any) -> None:
        with self._lock:
            self._open.pop(event.assoc, None)

    def _keep_watch(self) -> None:
        while not self._stopping.wait(0.25):
            try:
                self._look()
            except Exception as error:
                log_error("watching connections failed", error)

    def _look(self) -> None:
        moment = time.monotonic()
        with self._lock:
            gone = [key for key in self._open if key.ident is not None and not key.is_alive()]
            for key in gone:
                del self._open[key]
            late = [
                one
                for one in self._open.values()
                if not one.accepted and moment - one.since > REQUEST_SECONDS
            ]
        for one in late:
            self._drop(one, "no request in time")

    def _drop(self, one: _Connection, why: str) -> None:
        with self._lock:
            if self._open.pop(one.association, None) is None:
                return
        self._metrics.dicom_dropped.inc()
        log("connection dropped", reason=why, peer=one.address)
        # The association's thread waits for a request, the other one for bytes.
        one.association.dul.to_user_queue.put(None)
        raw = getattr(one.association.dul.socket, "socket", None)
        if raw is not None:
            with suppress(OSError):
                raw.shutdown(socket.SHUT_RDWR)


def title(text: Any) -> str:
    """Return an AE title for the log: printable ASCII, at most 16 characters."""
    plain = text.decode("ascii", "replace") if isinstance(text, bytes) else str(text or "")
    return "".join(char if " " <= char <= "~" else "?" for char in plain.strip())[:16]


def server_class(door: Door) -> type[ThreadedAssociationServer]:
    """Return pynetdicom's server with a door; it logs its failures."""

    class Server(ThreadedAssociationServer):
        daemon_threads = True
        request_queue_size = 128

        def verify_request(self, request: Any, client_address: Any) -> bool:
            return not door.full()

        def handle_error(self, request: Any, client_address: Any) -> None:
            import sys

            error = sys.exc_info()[1]
            if error is not None:
                log_error("connection failed", error, peer=str(client_address[0]))

    return Server
