"""Events of results for clients of the worklist (server-sent events)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from typing import Any

_QUEUE = 256
_KEEP_ALIVE_SECONDS = 15.0
MAX_WATCHERS = 64


class Events:
    """Passes events from threads to clients on the event loop."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._queues: set[asyncio.Queue[str | None]] = set()
        self._closed = False

    def attach(self, loop: asyncio.AbstractEventLoop) -> None:
        """Deliver on this loop."""
        self._loop = loop

    @property
    def watchers(self) -> int:
        """Return the number of clients."""
        return len(self._queues)

    def tell(self, kind: str, items: Sequence[Any]) -> None:
        """Report one event for each item (values for JSON), from any thread."""
        if self._loop is None or not self._queues or self._closed:
            return
        lines = [f"event: {kind}\ndata: {json.dumps(item)}\n\n" for item in items]
        try:
            self._loop.call_soon_threadsafe(self._put, lines)
        except RuntimeError:
            return  # the loop is closed: there are no watchers

    def _put(self, lines: Sequence[str]) -> None:
        for queue in self._queues:
            for line in lines:
                if queue.full():
                    # A client that is too slow must request the list again.
                    while not queue.empty():
                        queue.get_nowait()
                    queue.put_nowait("event: reload\ndata: {}\n\n")
                    break
                queue.put_nowait(line)

    async def stream(self) -> AsyncIterator[str]:
        """Yield the events from now on, until `close`."""
        queue: asyncio.Queue[str | None] = asyncio.Queue(_QUEUE)
        self._queues.add(queue)
        try:
            yield "retry: 2000\nevent: ready\ndata: {}\n\n"
            while not self._closed:
                try:
                    line = await asyncio.wait_for(queue.get(), _KEEP_ALIVE_SECONDS)
                except asyncio.TimeoutError:
                    yield ": still here\n\n"
                    continue
                if line is None:
                    return
                yield line
        finally:
            self._queues.discard(queue)

    def close(self) -> None:
        """End all streams; called on the loop."""
        self._closed = True
        for queue in self._queues:
            if queue.full():
                queue.get_nowait()
            queue.put_nowait(None)
