"""A DICOMweb server on loopback whose answers a test decides."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit


class Web:
    """A DICOMweb server whose answers a test decides.

    Attributes:
        answer: called with the handler, the path and the query; it replies.
        sent: bytes of all replies.
        queries: of all requests.
    """

    def __init__(self) -> None:
        """Nothing is asked yet."""
        self.sent = 0
        self.answer: Any = None
        self.queries: list[dict[str, list[str]]] = []


@contextmanager
def dicom_web() -> Iterator[tuple[Web, str]]:
    """Provide a server, and its address."""
    state = Web()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.0"

        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            state.queries.append(parse_qs(parts.query))
            with suppress(OSError):
                state.answer(self, parts.path, parse_qs(parts.query))

        def reply(self, body: bytes, kind: str = "application/dicom+json", **more: str) -> None:
            self.send_response(200)
            for name, value in ({"Content-Type": kind} | more).items():
                self.send_header(name.replace("_", "-"), value)
            self.end_headers()
            self.wfile.write(body)
            state.sent += len(body)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield state, f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


def item(sop_class: str, series: str, sop: str) -> dict[str, Any]:
    """Return an instance as a search finds it."""
    return {
        "00080016": {"vr": "UI", "Value": [sop_class]},
        "0020000E": {"vr": "UI", "Value": [series]},
        "00080018": {"vr": "UI", "Value": [sop]},
    }
