"""An HTTP connection with limits on the time and size of a request's headers.

uvicorn waits for headers without a limit. A few clients that send single bytes would occupy all
connections (slowloris), and a client with an endless header would occupy all memory.
"""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

_MAX_HEADER_BYTES = 64 * 1024
_MAX_WAITING_BYTES = 256 * 1024


class Connection(HttpToolsProtocol):
    """uvicorn's protocol, with limits on time and size of the headers."""

    def __init__(self, config: Any, *arguments: Any, **options: Any) -> None:
        super().__init__(config, *arguments, **options)
        self._seconds: float = config.app.state.service.settings.header_timeout
        self._deadline: asyncio.TimerHandle | None = None
        self._header_bytes = 0
        self._fields = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start the time-out of the first request."""
        super().connection_made(transport)
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """Cancel the time-out."""
        self._waited()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Count received bytes until the headers end."""
        super().data_received(data)
        if self._deadline is not None and not self.transport.is_closing():
            self._header_bytes += len(data)
            if self._header_bytes > _MAX_HEADER_BYTES:
                self.logger.warning("Request headers are too long.")
                self.transport.abort()

    def on_message_begin(self) -> None:
        """Record that a request's first line begins."""
        super().on_message_begin()
        self._fields = 0
        self._wait()

    def on_url(self, url: bytes) -> None:
        """Count a part of the first line."""
        self._fields += len(url)
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Count a header, which may have arrived in one piece with the others."""
        self._fields += len(name) + len(value) + 4
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """End the time-out: the headers are complete."""
        self._waited()
        if self._fields > _MAX_HEADER_BYTES:
            self.logger.warning("Request headers are too long.")
            self.transport.abort()
            return
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Buffer more than uvicorn, since the application wakes up for each piece."""
        if not self.cycle.response_complete:
            self.cycle.body += body
            if len(self.cycle.body) > _MAX_WAITING_BYTES:
                self.flow.pause_reading()
            self.cycle.message_event.set()

    def on_response_complete(self) -> None:
        """Start the time-out of the next request, even if other bytes arrive."""
        super().on_response_complete()
        if not self.pipeline and self._deadline is None:
            self._wait()

    def _wait(self) -> None:
        self._waited()
        self._header_bytes = 0
        self._deadline = self.loop.call_later(self._seconds, self._expired)

    def _waited(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _expired(self) -> None:
        if self.cycle is not None and not self.cycle.response_complete:
            # The headers belong to a request that was sent before the answer to this one.
            self._wait()
        elif not self.transport.is_closing():
            self.transport.abort()
