"""An HTTP server on loopback that answers with JSON documents."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Answers:
    """What the server answers by path, and what it was asked.

    Attributes:
        url: of the server.
        answers: a document for each path; any other is answered 404.
        seen: the paths that were asked for.
    """

    def __init__(self, url: str) -> None:
        """Answer 404 to everything."""
        self.url = url
        self.answers: dict[str, Any] = {}
        self.seen: list[str] = []


@contextmanager
def answering() -> Iterator[Answers]:
    """Provide a running server."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found.seen.append(self.path)
            known = self.path in found.answers
            data = json.dumps(found.answers.get(self.path)).encode()
            self.send_response(200 if known else 404)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *arguments: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        found = Answers(f"http://127.0.0.1:{server.server_port}")
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield found
        finally:
            server.shutdown()
            thread.join()
