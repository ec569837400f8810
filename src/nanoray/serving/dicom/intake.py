"""Limits on DICOM messages, since pynetdicom stores them in memory without a limit."""

from __future__ import annotations

import threading
import weakref
from typing import Any, Final

from nanoray.serving.journal import log
from nanoray.serving.metrics import Metrics

MAX_PDU_BYTES: Final = 128 * 1024
"""Largest PDU requested from peers (PS3.8 D.1)."""

_STALL_SECONDS = 60.0


class Intake:
    """Counts the memory of associations, and closes the connection of one with too much.

    An association's memory is the data received since its last answer. The peer's connection is
    closed, and it may retry.
    """

    def __init__(self, max_message_bytes: int, max_bytes: int, metrics: Metrics) -> None:
        """Set the largest number of bytes for one message and for all together."""
        self._max_message_bytes = max_message_bytes
        self._max_bytes = max_bytes
        self._metrics = metrics
        self._lock = threading.Lock()
        self._held: weakref.WeakKeyDictionary[Any, int] = weakref.WeakKeyDictionary()

    def handlers(self) -> list[tuple[Any, Any]]:
        """Return the handlers that pynetdicom calls."""
        from pynetdicom import evt

        return [
            (evt.EVT_CONN_OPEN, self._opened),
            (evt.EVT_DIMSE_SENT, self._answered),
            (evt.EVT_CONN_CLOSE, self._closed),
        ]

    def _opened(self, event: Any) -> None:
        association = event.assoc
        connection = association.dul.socket
        # A peer that stops in the middle of a PDU would otherwise block forever.
        connection.socket.settimeout(_STALL_SECONDS)
        receive = connection.recv

        def bounded(count: int) -> Any:
            self._take(association, count)
            return receive(count)

        connection.recv = bounded
        with self._lock:
            self._held[association] = 0

    def _take(self, association: Any, count: int) -> None:
        with self._lock:
            held = self._held.get(association, 0) + count
            total = sum(self._held.values()) + count
            # Peers may exceed the requested size a little.
            fits = count <= 2 * MAX_PDU_BYTES
            fits = fits and held <= self._max_message_bytes and total <= self._max_bytes
            if fits and association in self._held:
                self._held[association] = held
        if not fits:
            self._metrics.dicom_too_large.inc()
            log("dicom message too large")
            # Simulate a failed connection; pynetdicom then closes it.
            raise OSError

    def _answered(self, event: Any) -> None:
        with self._lock:
            if event.assoc in self._held:
                self._held[event.assoc] = 0

    def _closed(self, event: Any) -> None:
        with self._lock:
            self._held.pop(event.assoc, None)
