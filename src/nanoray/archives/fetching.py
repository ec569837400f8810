"""Fetching the files of an archive for the reading processes."""

from __future__ import annotations

import tempfile
import time
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from nanoray.archives.sources import Item, is_url, open_url
from nanoray.reading import limits
from nanoray.reading.refusals import Refusal
from nanoray.reading.unpacking import Archives, archive_of

if TYPE_CHECKING:
    from nanoray.dicomweb import Client

CONNECTIONS: Final = 8
"""Files fetched at a time by each process; twice as many wait to be read."""
ATTEMPTS: Final = 4

# Code of `nanoray.dicomweb.DicomWebError` to the code of a refusal.
_REFUSALS: Final = {
    "http-401": "no-permission",
    "http-403": "no-permission",
    "http-404": "missing",
    "http-410": "missing",
    "too-large": "file-too-large",
}


@dataclass(frozen=True, slots=True)
class Fetched:
    """A file to read: its path, or the code of a failure (`nanoray.reading.REASONS`).

    The reader deletes `temporary` files.
    """

    path: str
    code: str | None = None
    temporary: bool = False

    def release(self) -> None:
        """Delete the file if it is a temporary one."""
        if self.temporary:
            Path(self.path).unlink(missing_ok=True)


class Fetcher:
    """Fetches files ahead of the reader, a few at a time, into a temporary folder.

    Local files are read where they are; members of archives are unpacked one by one. Used as a
    context manager.
    """

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="nanoray-", ignore_cleanup_errors=True)
        self._threads = ThreadPoolExecutor(CONNECTIONS, thread_name_prefix="nanoray-fetching")
        self._archives = Archives()
        self._client: Client | None = None
        self._systems: dict[str, Any] = {}
        self._count = 0

    @property
    def folder(self) -> Path:
        """The temporary folder."""
        return Path(self._folder.name)

    def __enter__(self) -> Fetcher:
        return self

    def __exit__(self, *_: object) -> None:
        self._threads.shutdown(wait=True, cancel_futures=True)
        if self._client is not None:
            self._client.close()
        self._archives.close()
        self._folder.cleanup()

    def fetch(self, items: Iterable[Item]) -> Iterator[Fetched]:
        """Yield the files of `items` in their order; items are taken only a few ahead."""
        pending: deque[Future[Fetched] | Fetched] = deque()
        for item in items:
            pending.append(self._begin(item))
            if len(pending) > 2 * CONNECTIONS:
                yield _finished(pending.popleft())
        while pending:
            yield _finished(pending.popleft())

    def _begin(self, item: Item) -> Future[Fetched] | Fetched:
        if not is_url(item.location):
            archive = archive_of(item.location)
            return Fetched(item.location) if archive is None else self._member(archive, item)
        self._count += 1
        return self._threads.submit(self._fetch, item, self.folder / str(self._count))

    def _member(self, archive: Path, item: Item) -> Fetched:
        self._count += 1
        target = self.folder / str(self._count)
        try:
            self._archives.fetch(archive, item.location[len(str(archive)) + 1 :], target)
        except Refusal as refusal:
            target.unlink(missing_ok=True)
            return Fetched(item.location, refusal.code)
        return Fetched(str(target), temporary=True)

    def _fetch(self, item: Item, target: Path) -> Fetched:
        try:
            if (item.size or 0) > limits.MAX_FILE_BYTES:
                raise Refusal("file-too-large")
            target.write_bytes(self._bytes(item))
        except Refusal as refusal:
            return Fetched(item.location, refusal.code)
        return Fetched(str(target), temporary=True)

    def _bytes(self, item: Item) -> bytes:
        from nanoray import dicomweb

        if item.location.startswith(("http://", "https://")):
            if self._client is None:
                self._client = dicomweb.Client(attempts=dicomweb.ATTEMPTS, follow_redirects=True)
            try:
                return self._client.fetch(item.location)
            except dicomweb.DicomWebError as error:
                raise Refusal(_REFUSALS.get(error.code, "not-fetched")) from None
        place = item.location.rpartition("/")[0]
        server = "/".join(place.split("/", 3)[:3])
        if server not in self._systems:
            self._systems[server] = open_url(item.location)[0]
        system = self._systems[server]
        code = "not-fetched"
        for attempt in range(ATTEMPTS):
            if attempt:
                time.sleep(0.5 * 2**attempt)
            try:
                if item.size is None and system.info(item.location)["size"] > limits.MAX_FILE_BYTES:
                    raise Refusal("file-too-large")
                # A range of known length is one request; otherwise s3fs asks for the size first.
                span = {"start": 0, "end": item.size} if item.size else {}
                data: bytes = system.cat_file(item.location, **span)
                return data
            except FileNotFoundError:
                raise Refusal("missing") from None
            except PermissionError:
                raise Refusal("no-permission") from None
            except Refusal:
                raise
            except Exception:
                # The libraries below raise different classes when a network fails.
                continue
        raise Refusal(code)


def _finished(fetched: Future[Fetched] | Fetched) -> Fetched:
    return fetched if isinstance(fetched, Fetched) else fetched.result()
