"""Screening accepted files: reading processes, one network, results in the store.

Each reading process has a thread that waits for it. A further thread runs the network on several
files at a time, and another one writes the results. Only names of files wait in memory, and their
number is limited.
"""

from __future__ import annotations

import heapq
import itertools
import queue
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field

from nanoray.detecting import Detector
from nanoray.detecting.prediction import Prediction, Result, Unread
from nanoray.errors import NanoRayError
from nanoray.reading.pool import Pool
from nanoray.reading.worker import Job, Reading, refused
from nanoray.serving.journal import log, log_error
from nanoray.serving.metrics import Metrics
from nanoray.serving.settings import Settings
from nanoray.serving.storage.database import DatabaseUnavailableError
from nanoray.serving.storage.store import Store
from nanoray.serving.storage.tables import QUEUED, PredictionRow

FOREGROUND, NODE, BACKGROUND = 0, 1, 2
"""Priorities: a request that waits for the answer, the DICOM node, a job."""

_READS = 3
"""Attempts to read a file whose reading process ended; another file may have been the cause."""

_FEED_SECONDS = 0.5
"""Time between two queries for waiting files."""

_GROUP_SECONDS = 0.08
"""Time to collect more files for one run of the network or one transaction, if many wait."""


class BusyError(NanoRayError):
    """The queue is full; `retry_after` is an estimate in seconds."""

    def __init__(self, retry_after: int) -> None:
        super().__init__("too many files are waiting")
        self.retry_after = retry_after


@dataclass(slots=True)
class _Waiting:
    """Names by priority and age; taken by several threads."""

    _heap: list[tuple[int, int, str]] = field(default_factory=list)
    _count: itertools.count[int] = field(default_factory=itertools.count)
    _changed: threading.Condition = field(default_factory=threading.Condition)
    _closed: bool = False

    def put(self, priority: int, name: str) -> None:
        with self._changed:
            heapq.heappush(self._heap, (priority, next(self._count), name))
            self._changed.notify()

    def take(self) -> tuple[int, str] | None:
        """Return the next one; None when closed."""
        with self._changed:
            while not self._heap and not self._closed:
                self._changed.wait()
            if self._closed:
                return None
            priority, _, name = heapq.heappop(self._heap)
            return priority, name

    def close(self) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify_all()


class Pipeline:
    """The steps from an accepted file to its stored result."""

    def __init__(
        self,
        detector: Detector,
        store: Store,
        settings: Settings,
        metrics: Metrics,
        finished: Callable[[Sequence[PredictionRow]], None] = lambda rows: None,
    ) -> None:
        """Prepare; a thread calls `finished` with rows whose results are stored."""
        self.detector = detector
        self._store = store
        self._settings = settings
        self._metrics = metrics
        self._finished = finished
        self._pool = Pool(settings.read_timeout, settings.reading_bounds)
        self._waiting = _Waiting()
        self._read: queue.Queue[tuple[str, Reading] | None] = queue.Queue(2 * settings.batch_size)
        self._judged: queue.Queue[list[tuple[str, Result]] | None] = queue.Queue(4)
        self._stopping = threading.Event()
        self._state = threading.Condition()
        self._pending: dict[str, int] = {}
        self._counts = [0, 0, 0]
        self._reserved = [0, 0, 0]
        self._watchers: dict[str, list[Future[PredictionRow | None]]] = {}
        self._crashes: dict[str, int] = {}
        self._pace = 0.05
        self._threads = [
            threading.Thread(target=self._keep_reading, name=f"nanoray-read-{number}")
            for number in range(settings.workers)
        ]
        self._threads.append(threading.Thread(target=self._keep_judging, name="nanoray-judge"))
        self._threads.append(threading.Thread(target=self._keep_recording, name="nanoray-record"))
        self._feeder = threading.Thread(target=self._keep_feeding, name="nanoray-feed")
        self._hungry = threading.Event()
        self._backlog = 0
        metrics.gauge(
            "nanoray_pending_files", "Files accepted and not yet screened.", lambda: self.depth
        )

    def start(self) -> None:
        """Start the threads, with files accepted before."""
        if self._store.alone:
            for priority, name in self._store.waiting():
                self.submit(name, priority)
        else:
            self._feeder.start()
        for thread in self._threads:
            thread.start()

    @property
    def depth(self) -> int:
        """Return the number of accepted files without a result."""
        return len(self._pending)

    @property
    def patience(self) -> float:
        """Return the seconds to collect more work; 0 if a request would be delayed."""
        return _GROUP_SECONDS if self.depth > 2 * self._settings.batch_size else 0.0

    @property
    def healthy(self) -> bool:
        """Return whether all threads are running."""
        return all(thread.is_alive() for thread in self._threads)

    def reserve(self, count: int, priority: int) -> None:
        """Reserve places for files before they are accepted; see `release`.

        Raises:
            BusyError: too few free places.
        """
        foreground = priority == FOREGROUND
        limit = self._settings.queue_limit if foreground else self._settings.backlog_limit
        with self._state:
            places = (FOREGROUND,) if foreground else (NODE, BACKGROUND)
            taken = sum(self._counts[place] + self._reserved[place] for place in places)
            if not foreground:
                taken = max(taken, self._backlog)
            if self._stopping.is_set() or taken + count > limit:
                raise BusyError(max(1, min(60, round(taken * self._pace))))
            self._reserved[priority] += count

    def release(self, count: int, priority: int) -> None:
        """Release places of `reserve`, after submitting or a failure."""
        with self._state:
            self._reserved[priority] -= count

    def watch(self, name: str) -> Future[PredictionRow | None]:
        """Return a future of the finished row; of None if another process finished it."""
        future: Future[PredictionRow | None] = Future()
        with self._state:
            if self._stopping.is_set():
                future.set_result(None)
            else:
                self._watchers.setdefault(name, []).append(future)
        return future

    def unwatch(self, name: str, future: Future[PredictionRow | None]) -> None:
        """Release a future of `watch`."""
        with self._state:
            futures = self._watchers.get(name, [])
            if future in futures:
                futures.remove(future)
            if not futures:
                self._watchers.pop(name, None)

    def submit(self, name: str, priority: int) -> None:
        """Screen an accepted file; without a waiting request, any free process may do it."""
        if priority != FOREGROUND and not self._store.alone:
            self._hungry.set()
            return
        self._take(name, priority)

    def _take(self, name: str, priority: int) -> None:
        with self._state:
            if name in self._pending:
                return
            self._pending[name] = priority
            self._counts[priority] += 1
        self._waiting.put(priority, name)

    def call(self, task: object) -> object:
        """Run a task in a reading process; see `nanoray.reading.pool.Pool.call`."""
        return self._pool.call(task)  # type: ignore[arg-type]

    def judge(self, path: str) -> Result:
        """Read and judge a file for its result alone, which is not recorded.

        Raises:
            NanoRayError: there is no reading process.
        """
        size, timeout = self.detector.card.input_size, self._settings.read_timeout
        return self._judge([self._pool.run(Job(path, path, size, False, timeout))])[0]

    def stop(self, timeout: float) -> None:
        """Finish accepted work for up to `timeout` seconds; the rest waits in the store."""
        deadline = time.monotonic() + timeout
        with self._state:
            while self._pending and (left := deadline - time.monotonic()) > 0:
                self._state.wait(left)
            self._stopping.set()
        self._hungry.set()
        _join(self._feeder)
        self._waiting.close()
        self._pool.kill()
        *reading, judging, recording = self._threads
        for thread in reading:
            _join(thread)
        self._read.put(None)
        _join(judging)
        self._judged.put(None)
        _join(recording)
        self._pool.close()
        with self._state:
            left_over = [future for some in self._watchers.values() for future in some]
            self._watchers.clear()
        for future in left_over:
            if not future.done():
                future.set_result(None)

    def heard(self, names: Sequence[str]) -> None:
        """Notify waiting requests of files that other processes have finished."""
        with self._state:
            wanted = [name for name in self._watchers if name not in self._pending]
        if names:
            wanted = [name for name in wanted if name in set(names)]
        if not wanted:
            return
        rows = self._store.get_many(wanted)
        with self._state:
            watchers = [
                (future, rows[name])
                for name in wanted
                if name in rows and rows[name].status != QUEUED
                for future in self._watchers.pop(name, ())
            ]
        for future, row in watchers:
            if future.set_running_or_notify_cancel():
                future.set_result(row)

    def _keep_feeding(self) -> None:
        """Claim waiting files in the database, slightly more than are in progress."""
        enough = 2 * (self._settings.batch_size + self._settings.workers)
        while not self._stopping.is_set():
            self._hungry.clear()
            found: list[tuple[int, str]] = []
            try:
                if (room := enough - self.depth) > 0:
                    found = self._store.claims.take_predictions(room)
                self._backlog = self._store.count_waiting()
            except DatabaseUnavailableError:
                self._metrics.database_failures.inc()
            except Exception as error:
                log_error("claiming files failed", error)
            for priority, name in found:
                self._take(name, priority)
            if not found or self.depth >= enough:
                self._hungry.wait(_FEED_SECONDS)

    def _keep_reading(self) -> None:
        with suppress(NanoRayError):
            self._pool.warm()
        while (taken := self._waiting.take()) is not None:
            priority, name = taken
            job = Job(
                str(self._store.spool.path(name)),
                name,
                self.detector.card.input_size,
                False,
                self._settings.read_timeout,
            )
            try:
                reading = self._pool.run(job)
            except NanoRayError as error:
                if not self._stopping.is_set():
                    log_error("no reading process", error)
                    self._waiting.put(priority, name)
                    self._stopping.wait(1.0)
                continue
            if self._stopping.is_set():
                # The processes are being ended; the file is not at fault.
                break
            if reading.error is not None and reading.error.code == "crash":
                crashes = self._crashes[name] = self._crashes.get(name, 0) + 1
                if crashes < _READS:
                    self._metrics.retried.inc()
                    self._waiting.put(priority, name)
                    continue
            self._crashes.pop(name, None)
            self._metrics.read_seconds.observe(reading.milliseconds / 1000)
            self._read.put((name, reading))

    def _keep_judging(self) -> None:
        while (first := self._read.get()) is not None:
            batch = [first]
            deadline = time.monotonic() + max(self._settings.batch_wait, self.patience)
            while len(batch) < self._settings.batch_size:
                # With no file in a process there is no reason to wait.
                if self.depth == len(batch):
                    break
                try:
                    item = self._read.get(timeout=max(0.0, deadline - time.monotonic()))
                except queue.Empty:
                    break
                if item is None:
                    self._read.put(None)
                    break
                batch.append(item)
            started = time.perf_counter()
            results = list(
                zip([name for name, _ in batch], self._judge([r for _, r in batch]), strict=True)
            )
            self._metrics.batch_files.observe(len(batch))
            self._metrics.infer_seconds.observe(time.perf_counter() - started)
            self._judged.put(results)

    def _keep_recording(self) -> None:
        while (results := self._judged.get()) is not None:
            self._record(results)

    def _judge(self, readings: list[Reading]) -> list[Result]:
        try:
            return self.detector.judge(readings)
        except Exception as error:
            log_error("the network failed", error, files=len(readings))
            if len(readings) > 1:
                return [result for reading in readings for result in self._judge([reading])]
            return [Unread(readings[0].source, refused(readings[0].source, "unexpected"))]

    def _record(self, results: list[tuple[str, Result]]) -> None:
        pause = 0.1
        while True:
            try:
                rows = self._store.finish(results)
                break
            except DatabaseUnavailableError:
                self._metrics.database_failures.inc()
                log("database unavailable", waiting=self.depth)
                # Not lost: unless this succeeds, the files are screened again at the next start.
                if self._stopping.wait(pause):
                    return
                pause = min(5.0, 2 * pause)
        for _, result in results:
            if isinstance(result, Prediction):
                self._metrics.screened.labels(result.decision).inc()
            else:
                self._metrics.screened.labels("unreadable").inc()
                self._metrics.refused.labels(result.error.code).inc()
            milliseconds = result.milliseconds / max(1, self._settings.workers)
            self._pace = 0.95 * self._pace + 0.05 * min(5.0, milliseconds / 1000)
        # Notified before they are counted as done, so the notification precedes the count.
        try:
            self._finished(list(rows.values()))
        except Exception as error:
            log_error("a listener failed", error)
        with self._state:
            watchers = [
                (future, rows.get(name))
                for name, _ in results
                for future in self._watchers.pop(name, ())
            ]
            for name, _ in results:
                if (priority := self._pending.pop(name, None)) is not None:
                    self._counts[priority] -= 1
            if not self._pending:
                self._state.notify_all()
        self._hungry.set()
        for future, row in watchers:
            if future.set_running_or_notify_cancel():
                future.set_result(row)


def _join(thread: threading.Thread) -> None:
    if thread.ident is not None:
        thread.join()
