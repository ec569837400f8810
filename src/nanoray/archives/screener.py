"""Screening of one part of the listing into one Parquet file of rows, for every engine."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter
from types import TracebackType
from typing import Any

from nanoray.archives.fetching import Fetched, Fetcher
from nanoray.archives.rows import row, schema, unread
from nanoray.archives.run_folder import RunFolder
from nanoray.archives.sources import Item
from nanoray.detecting import heatmap
from nanoray.detecting.detector import Detector
from nanoray.detecting.prediction import SUSPECTED, Prediction, Result
from nanoray.errors import NanoRayError
from nanoray.files import printable
from nanoray.reading.candidates import HEATMAP_SUFFIX
from nanoray.reading.pool import Pool


@dataclass(frozen=True, slots=True)
class Task:
    """Settings for an engine's processes.

    Attributes:
        folder: the run's folder.
        hash_key: hashes identifiers and sources; None omits the identifiers and keeps the sources.
        timeout: seconds after which reading a file is stopped.
        readers: reading processes beside each process that runs the network.
    """

    folder: str
    hash_key: bytes | None = field(default=None, repr=False)
    timeout: float = 30.0
    readers: int = 1


@dataclass(frozen=True, slots=True)
class PartDone:
    """A finished part: the number of files, of files without a prediction, and the time."""

    number: int
    files: int
    unread: int
    seconds: float


class Screener:
    """A detector with its reading processes, for the lifetime of a process.

    Used as a context manager, or ended with `close`.
    """

    def __init__(self, task: Task) -> None:
        self._task = task
        self._run = RunFolder(task.folder)
        self._settings = self._run.settings
        self._stack = ExitStack()
        self._fetcher = self._stack.enter_context(Fetcher())
        self._readers = self._stack.enter_context(Pool(task.timeout))
        self._detector = Detector(
            self._run.model_file(self._fetcher.folder), threshold=self._settings.threshold
        )
        if self._settings.operating_point is not None:
            self._detector.operating_point = self._detector.card.operating_point(
                self._settings.operating_point
            )

    @property
    def temporary_folder(self) -> Path:
        """The folder of fetched files."""
        return self._fetcher.folder

    def close(self) -> None:
        """End the reading processes and delete the fetched files."""
        self._stack.close()

    def __enter__(self) -> Screener:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def screen(self, number: int) -> PartDone:
        """Predict the files of a part and write its rows.

        Raises:
            NanoRayError: no file of the part could be reached. The source is at fault, not the
                files, so no rows are written.
        """
        import pyarrow as pa

        begun = perf_counter()
        items = self._run.items(number)
        key = self._task.hash_key
        results = [
            row(item.location, result, key)
            for item, result in zip(items, self._results(items), strict=True)
        ]
        if all(values.get("code") == "not-fetched" for values in results):
            raise NanoRayError(
                f"{printable(self._settings.source)}: no file can be fetched any more; resume "
                "with the same command when the source is back"
            )
        self._run.write_rows(number, pa.Table.from_pylist(results, schema()))
        unreadable = sum(values.get("code") is not None for values in results)
        return PartDone(number, len(items), unreadable, perf_counter() - begun)

    def _results(self, items: list[Item]) -> Iterator[Result]:
        """Yield a result for each item, in their order."""
        fetched: deque[Fetched] = deque()

        def paths() -> Iterator[str]:
            for file in self._fetcher.fetch(items):
                fetched.append(file)
                if file.code is None:
                    yield file.path

        judged = self._detector.predict_many(
            paths(),
            workers=self._task.readers,
            timeout=self._task.timeout,
            thumbnails=self._settings.heatmaps != "none",
            fingerprints=True,
            hash_key=self._task.hash_key,
            pool=self._readers,
        )
        for result in judged:
            while fetched[0].code is not None:
                yield _unfetched(fetched.popleft())
            fetched.popleft().release()
            if isinstance(result, Prediction):
                self._draw(result)
            yield result
        for file in fetched:
            yield _unfetched(file)

    def _draw(self, result: Prediction) -> None:
        """Write the overlay of a radiograph under the name of its content."""
        wanted: Any = self._settings.heatmaps
        if result.abstained or result.thumbnail is None or result.fingerprint is None:
            return
        if wanted == "all" or (wanted == "suspected" and result.decision == SUSPECTED):
            name = result.fingerprint.content
            picture = heatmap.png(
                heatmap.overlay(result.thumbnail, result.heatmap, result.threshold)
            )
            self._run.write(f"heatmaps/{name[:2]}/{name}{HEATMAP_SUFFIX}", picture)


def _unfetched(file: Fetched) -> Result:
    return unread(file.path, file.code or "not-fetched")
