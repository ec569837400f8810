"""Audit log: who did what to which object, as DICOM audit messages (PS3.15 A.5).

Each message is one line, with the header of RFC 5424. It is appended to a file and sent to a syslog
server. Unlike the service's log it contains Study Instance UIDs, but no patient's name.
"""

from __future__ import annotations

import os
import queue
import socket
import ssl
import threading
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timezone
from enum import Enum
from pathlib import Path
from typing import Final, Literal
from xml.etree import ElementTree

from nanoray.errors import NanoRayError
from nanoray.serving.journal import log_error

Action = Literal["C", "R", "U", "D", "E"]
"""Create, read, update, delete, execute."""

# Facility 10 (security), severities notice and warning (RFC 5424 6.2.1).
_NOTICE, _WARNING = 10 * 8 + 5, 10 * 8 + 4
_QUEUE: Final = 10_000
_LONGEST_WAIT: Final = 30.0


class Event(Enum):
    """Kind of event: codes of the DICOM controlled terminology (PS3.16 D)."""

    APPLICATION = ("110100", "Application Activity")
    ACCESSED = ("110103", "DICOM Instances Accessed")
    TRANSFERRED = ("110104", "DICOM Instances Transferred")
    DELETED = ("110105", "DICOM Study Deleted")
    IMPORT = ("110107", "Import")
    QUERY = ("110112", "Query")
    ALERT = ("110113", "Security Alert")
    AUTHENTICATION = ("110114", "User Authentication")


class Change(Enum):
    """Kind of security event: codes of event types (PS3.16 D)."""

    USER = ("110137", "User Security Attributes Changed")


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One event.

    Attributes:
        event, action: kind of event.
        change: kind of change, for a security alert.
        failed: whether the action was refused or failed.
        user: id of an API key, an AE title, or "" if unknown.
        address: of the user's machine.
        object_id: a prediction's id, a Study Instance UID, or the name of a setting.
        study: whether `object_id` is a Study Instance UID.
        detail: further words of NanoRay.
    """

    event: Event
    action: Action
    change: Change | None = None
    failed: bool = False
    user: str = ""
    address: str = ""
    object_id: str = ""
    study: bool = False
    detail: str = ""

    def message(self, source: str, moment: datetime) -> str:
        """Return the audit message: XML of PS3.15 A.5.1."""
        root = ElementTree.Element("AuditMessage")
        identification = ElementTree.SubElement(
            root,
            "EventIdentification",
            EventActionCode=self.action,
            EventDateTime=moment.isoformat(timespec="milliseconds"),
            EventOutcomeIndicator="4" if self.failed else "0",
        )
        code, words = self.event.value
        _coded(identification, "EventID", code, words)
        if self.change is not None:
            _coded(identification, "EventTypeCode", *self.change.value)
        participant = ElementTree.SubElement(
            root, "ActiveParticipant", UserID=self.user or "unknown", UserIsRequestor="true"
        )
        if self.address:
            participant.set("NetworkAccessPointID", self.address)
            participant.set("NetworkAccessPointTypeCode", "2")
        ElementTree.SubElement(root, "AuditSourceIdentification", AuditSourceID=source)
        if self.object_id:
            item = ElementTree.SubElement(
                root,
                "ParticipantObjectIdentification",
                ParticipantObjectID=self.object_id,
                ParticipantObjectTypeCode="2",
                ParticipantObjectTypeCodeRole="3",
            )
            if self.study:
                _coded(item, "ParticipantObjectIDTypeCode", "110180", "Study Instance UID")
            else:
                _coded(item, "ParticipantObjectIDTypeCode", "110182", "Node ID")
            if self.detail:
                ElementTree.SubElement(
                    item, "ParticipantObjectDetail", type="detail", value=self.detail
                )
        return ElementTree.tostring(root, "unicode")


def _coded(parent: ElementTree.Element, name: str, code: str, words: str) -> None:
    ElementTree.SubElement(
        parent, name, {"csd-code": code, "codeSystemName": "DCM", "originalText": words}
    )


class Audit:
    """Writes the audit log; thread-safe."""

    def __init__(
        self, path: Path | None, syslog: str | None = None, authority: Path | None = None
    ) -> None:
        """Append to a file, and send to a syslog server.

        Args:
            path: of the file; None writes none.
            syslog: udp://HOST:PORT, tcp://HOST:PORT or tls://HOST:PORT.
            authority: certificate (PEM) of the TLS server's authority; the system's authorities by
                default.

        Raises:
            NanoRayError: the address is malformed, or the authority cannot be read.
        """
        self._path = path
        self._host = socket.gethostname() or "-"
        self._source = f"NanoRay@{self._host}"
        self._lock = threading.Lock()
        self._torn = False
        self._target = _target(syslog) if syslog else None
        self._queue: queue.Queue[bytes | None] = queue.Queue(_QUEUE)
        self._sender: threading.Thread | None = None
        self._closing = threading.Event()
        try:
            self._context = ssl.create_default_context(cafile=authority)
        except (OSError, ssl.SSLError):
            raise NanoRayError(f"{authority}: not a certificate (PEM)") from None
        if self._target is not None:
            self._sender = threading.Thread(
                target=self._keep_sending, name="nanoray-audit", daemon=True
            )
            self._sender.start()

    def record(self, entry: Entry) -> None:
        """Write an event without blocking; a failure is logged."""
        moment = datetime.now(timezone.utc)
        priority = _WARNING if entry.failed else _NOTICE
        line = (
            f"<{priority}>1 {moment.isoformat(timespec='milliseconds')} {self._host} nanoray "
            f"{os.getpid()} DICOM+RFC3881 - {entry.message(self._source, moment)}"
        ).encode()
        if self._path is not None:
            try:
                with self._lock:
                    # Opened each time, so a rotated file is not written.
                    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
                    handle = os.open(self._path, flags, 0o600)
                    try:
                        # What a full disk cut off ends before the next message.
                        text = b"\n" * self._torn + line + b"\n"
                        written = os.write(handle, text)
                        self._torn = written < len(text)
                    finally:
                        os.close(handle)
            except OSError as error:
                log_error("audit file failed", error)
        if self._sender is not None:
            try:
                self._queue.put_nowait(line)
            except queue.Full as error:
                log_error("audit messages dropped", error)

    def close(self) -> None:
        """Send waiting messages, for at most some seconds."""
        if self._sender is not None:
            with suppress(queue.Full):
                self._queue.put_nowait(None)
            self._closing.set()
            self._sender.join(5)

    def _keep_sending(self) -> None:
        connection: socket.socket | None = None
        while (line := self._queue.get()) is not None:
            wait = 0.2
            while True:
                try:
                    if connection is None:
                        connection = self._connect()
                    self._send(connection, line)
                    break
                except OSError as error:
                    if connection is not None:
                        # The server may have closed an idle connection.
                        connection.close()
                        connection = None
                        continue
                    log_error("syslog server not reached", error)
                    if self._closing.wait(wait):
                        return
                    wait = min(_LONGEST_WAIT, 2 * wait)
        if connection is not None:
            connection.close()

    def _connect(self) -> socket.socket:
        assert self._target is not None
        kind, host, port = self._target
        if kind == "udp":
            family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0]
            datagrams = socket.socket(family, socket.SOCK_DGRAM)
            datagrams.connect(address)
            return datagrams
        plain = socket.create_connection((host, port), timeout=5)
        if kind == "tcp":
            return plain
        try:
            return self._context.wrap_socket(plain, server_hostname=host)
        except OSError:
            plain.close()
            raise

    def _send(self, connection: socket.socket, line: bytes) -> None:
        if connection.type == socket.SOCK_DGRAM:
            connection.send(line)
        else:
            # Octet counting (RFC 5425 4.3, RFC 6587 3.4.1).
            connection.sendall(b"%d %b" % (len(line), line))


def _target(text: str) -> tuple[str, str, int]:
    from urllib.parse import urlsplit

    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        port = None
        parts = urlsplit("")
    if parts.scheme not in ("udp", "tcp", "tls") or not parts.hostname or not port:
        raise NanoRayError("a syslog server is udp://HOST:PORT, tcp://HOST:PORT or tls://HOST:PORT")
    return parts.scheme, parts.hostname, port
