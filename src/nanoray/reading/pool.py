"""Reading many files in separate processes: in order, lazily, and independent of each other.

A hostile file may crash or hang a decoder or exhaust its memory. Then its process ends, and only
that file becomes an error. Processes are started as needed and reused.
"""

from __future__ import annotations

import json
import math
import os
import queue
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import IO, Final, cast

from nanoray.errors import NanoRayError
from nanoray.reading import limits
from nanoray.reading.unpacking import Unpacked
from nanoray.reading.worker import BOUNDS, READY, Job, Reading, Task, receive, refused, send

__all__ = ["Ended", "Pool", "Reading", "read_many"]


class Ended(Exception):  # noqa: N818
    """A process ended before it replied: `code` is "crash" or "timeout"."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


def read_many(
    sources: Iterable[str | os.PathLike[str] | Unpacked],
    size: int,
    *,
    workers: int | None = None,
    timeout: float = limits.TIMEOUT_SECONDS,
    thumbnails: bool = False,
    fingerprints: bool = False,
    hash_key: bytes | None = None,
    pool: Pool | None = None,
    exact: bool = False,
) -> Iterator[Reading]:
    """Read files for a model with a `size` x `size` input, in worker processes.

    Args:
        sources: paths; taken only a few ahead of the readings.
        size: side of the square input in pixels.
        workers: number of processes; see `default_workers`.
        timeout: seconds for a file before its process is stopped.
        thumbnails: whether to make a thumbnail of each file.
        fingerprints: whether to take the fingerprint of each file.
        hash_key: hashes the identifiers in the fingerprints; None omits them.
        pool: processes to reuse, with their own time-out; by default new processes are started for
            this call.
        exact: decode a JPEG or JPEG 2000 fully, not only as far as the square needs.

    Yields:
        One `Reading` per source, in their order; unreadable files have `error` set. An exception of
        `sources` is raised after the readings of the preceding sources.

    Raises:
        NanoRayError: no worker process can be started.
    """
    if workers is None:
        workers = default_workers()
    if workers < 1 or size < 1 or not timeout > 0:
        raise ValueError("workers, size and timeout must be positive")
    template = Job("", "", size, thumbnails, timeout, fingerprints, hash_key, exact)
    return _read_many(sources, template, workers, pool)


def processors() -> int:
    """Return the number of processors for this process; a container may restrict it."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity is not None else os.cpu_count() or 1


def default_workers() -> int:
    """Return the default number of reading processes: one per processor, at most 4."""
    return min(limits.MAX_WORKERS, processors())


_AHEAD: Final = 8
"""Readings per process, with a square of 256 KiB each, that may wait for preceding ones.

With two, processors were idle for an eighth of the time.
"""


def _read_many(
    sources: Iterable[str | os.PathLike[str] | Unpacked],
    template: Job,
    workers: int,
    kept: Pool | None,
) -> Iterator[Reading]:
    pool = kept or Pool(template.timeout)
    threads = ThreadPoolExecutor(workers, thread_name_prefix="nanoray-reading")
    pending: deque[Future[Reading]] = deque()
    failure: BaseException | None = None
    remaining = iter(sources)
    try:
        while True:
            while failure is None and len(pending) < _AHEAD * workers:
                try:
                    given = next(remaining)
                    path = given.path if isinstance(given, Unpacked) else os.fspath(given)
                    source = given.name if isinstance(given, Unpacked) else os.fspath(given)
                except StopIteration:
                    break
                except Exception as error:
                    failure = error
                    break
                if isinstance(given, Unpacked) and given.code is not None:
                    pending.append(_refused(source, given.code))
                    continue
                job = replace(template, path=str(Path(path).absolute()), source=source)
                pending.append(threads.submit(pool.run, job))
            if not pending:
                break
            yield pending.popleft().result()
        if failure is not None:
            raise failure
    finally:
        # Reused processes finish their current file.
        if kept is None:
            pool.kill()
        threads.shutdown(wait=True, cancel_futures=True)
        if kept is None:
            pool.close()


def _refused(source: str, code: str) -> Future[Reading]:
    """Return the finished reading of a file that was refused before."""
    reading: Future[Reading] = Future()
    reading.set_result(Reading(source, error=refused(source, code)))
    return reading


def _command() -> list[str]:
    """Return the command line of a reading process.

    It has the search path of this process, but neither the current folder nor this module's folder,
    whose files could shadow modules.
    """
    return [
        sys.executable,
        "-c",
        f"import sys; sys.path[:] = {sys.path!r}; from nanoray.reading.worker import main; main()",
    ]


# Every file allocates and frees frames of a few megabytes. glibc would return this memory to the
# system each time, and zeroing new pages takes a fifth of the time. Other C libraries ignore these
# variables.
_KEPT_MEMORY: Final = {
    "MALLOC_MMAP_THRESHOLD_": str(32 * limits.MIB),
    "MALLOC_TRIM_THRESHOLD_": str(64 * limits.MIB),
    "MALLOC_TOP_PAD_": str(8 * limits.MIB),
}


_WATCH_SECONDS: Final = 0.1
"""Seconds between two checks of the time-outs."""


class _Worker:
    """A reading process with its two pipes."""

    def __init__(self, bounds: Mapping[str, int]) -> None:
        environment = _KEPT_MEMORY | dict(os.environ)
        environment |= {
            "OMP_NUM_THREADS": "1",
            "OPENBLAS_NUM_THREADS": "1",
            BOUNDS: json.dumps(dict(bounds)),
        }
        self.process = subprocess.Popen(
            _command(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment,
            # A reading fits into the pipe, so the process can begin the next file.
            pipesize=limits.MIB,
        )
        self.expired = False
        self._deadline = math.inf
        self._waiting = threading.Lock()

    def wait_until_ready(self) -> None:
        """Wait until the process has started; EOFError if it ends instead."""
        if self.receive(limits.START_SECONDS) != READY:
            raise EOFError

    def send(self, job: Task) -> None:
        send(cast("IO[bytes]", self.process.stdin), job)  # type: ignore[arg-type]

    def receive(self, timeout: float) -> object:
        """Return the reply to a job; EOFError if the process ends, for example by the time-out."""
        self._deadline = time.monotonic() + timeout
        try:
            return receive(cast("IO[bytes]", self.process.stdout))  # type: ignore[arg-type]
        finally:
            with self._waiting:
                self._deadline = math.inf

    def expire(self, moment: float) -> None:
        """End the process if its deadline is before `moment`."""
        with self._waiting:
            if self._deadline < moment:
                self.expired = True
                self.process.kill()

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                try:
                    pipe.close()
                except OSError:
                    continue  # unsent data of an ended process


class Pool:
    """A thread-safe pool of reading processes.

    It has as many processes as threads that call `run` or `call` at the same time.
    """

    def __init__(self, timeout: float, bounds: Mapping[str, int] | None = None) -> None:
        """Create a pool; processes are stopped after `timeout` seconds, or a task's time-out.

        `bounds` overrides limits of `nanoray.reading.limits`, by name, in the processes.
        """
        self._timeout = timeout
        self._bounds = bounds or {}
        self._free: queue.SimpleQueue[_Worker] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._all: set[_Worker] = set()
        self._closed = threading.Event()
        self._watch: threading.Thread | None = None

    def run(self, job: Job) -> Reading:
        """Read one file; return a `Reading` with an error if its process ends.

        Raises:
            NanoRayError: no process can be started.
        """
        try:
            return cast(Reading, self.call(job))
        except Ended as end:
            milliseconds = 1000 * self._timeout if end.code == "timeout" else 0.0
            error = refused(job.source, end.code)
            return Reading(job.source, error=error, milliseconds=milliseconds)

    def warm(self) -> None:
        """Start a process unless one is free, so that the next job does not wait for it.

        Raises:
            NanoRayError: no process can be started.
        """
        self._free.put(self._take())

    def call(self, task: Task) -> object:
        """Run a task in a free process, or a new one; called by one thread per process.

        Raises:
            Ended: the process ended, or was stopped, before it replied.
            NanoRayError: no process can be started.
        """
        for _ in range(2):
            worker = self._take()
            try:
                worker.send(task)
            except OSError:
                # The process died while it was idle, so this file is not the cause.
                self._drop(worker)
                continue
            try:
                reply = worker.receive(max(self._timeout, task.timeout))
            except EOFError:
                self._drop(worker)
                raise Ended("timeout" if worker.expired else "crash") from None
            if worker.expired:
                self._drop(worker)
            else:
                self._free.put(worker)
            return reply
        raise NanoRayError("the reading processes keep ending; is there enough memory?")

    def _take(self) -> _Worker:
        try:
            return self._free.get_nowait()
        except queue.Empty:
            pass
        with self._lock:
            if self._closed.is_set():
                raise NanoRayError("reading was stopped")
            try:
                worker = _Worker(self._bounds)
            except OSError as error:
                raise NanoRayError(f"cannot start a reading process: {error.strerror}") from error
            self._all.add(worker)
            if self._watch is None:
                self._watch = threading.Thread(
                    target=self._keep_watch, name="nanoray-watch", daemon=True
                )
                self._watch.start()
        try:
            worker.wait_until_ready()
        except EOFError:
            self._drop(worker)
            raise NanoRayError("a reading process ended before it was ready") from None
        return worker

    def _keep_watch(self) -> None:
        # One thread for all time-outs: a timer per file would be a new thread per file.
        while not self._closed.wait(_WATCH_SECONDS):
            moment = time.monotonic()
            with self._lock:
                for worker in self._all:
                    worker.expire(moment)

    def _drop(self, worker: _Worker) -> None:
        with self._lock:
            self._all.discard(worker)
        worker.stop()

    def kill(self) -> None:
        """End all processes; threads that wait for a reply get an error."""
        with self._lock:
            self._closed.set()
            for worker in self._all:
                worker.process.kill()

    def close(self) -> None:
        """Release the processes after their last use."""
        for worker in self._all:
            worker.stop()
        self._all.clear()

    def __enter__(self) -> Pool:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        self.close()
