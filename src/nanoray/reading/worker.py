"""The reading process: reads files that nobody vouches for, so that a crash stays in here.

It takes jobs on its standard input and answers on its standard output; `nanoray.reading.pool`
holds the other end. It ends when its standard input does, so it cannot outlive its parent.
"""

from __future__ import annotations

import json
import os
import pickle
import signal
import struct
import sys
import time
from dataclasses import dataclass, field, replace
from typing import Any, BinaryIO, Protocol

import numpy as np

from nanoray.errors import UnreadableError
from nanoray.reading import contents, limits, needed_side, read
from nanoray.reading.fingerprint import Fingerprint, fingerprint
from nanoray.reading.prepared import Reading, contrast_of, prepared, thumbnail_of
from nanoray.reading.quiet import quiet

__all__ = ["Job", "Reading", "Task", "contrast_of", "read_job", "thumbnail_of"]

READY = "ready"
BOUNDS = "NANORAY_READING_BOUNDS"
"""Environment variable: limits that differ from `nanoray.reading.limits`, as JSON."""


class Task(Protocol):
    """What the process can be asked to do; it is pickled, as is its reply."""

    @property
    def timeout(self) -> float:
        """Seconds after which the process gives itself up."""

    def run(self) -> Any:
        """Do it, in the process, and give the reply; it raises nothing."""


@dataclass(frozen=True, slots=True)
class Job:
    """A file to read.

    Attributes:
        path: absolute path of the file.
        source: the path as it was given, for messages.
        size: side of the square in pixels.
        thumbnail: whether a thumbnail is wanted.
        timeout: seconds after which the process gives itself up, where the system can do that.
        fingerprinted: whether the file's fingerprint is wanted.
        hash_key: hashes the identifiers of the fingerprint; None leaves them out.
        exact: decode all of a JPEG or JPEG 2000, not what the square needs.
    """

    path: str
    source: str
    size: int
    thumbnail: bool
    timeout: float
    fingerprinted: bool = False
    hash_key: bytes | None = field(default=None, repr=False)
    exact: bool = False

    def run(self) -> Reading:
        """Read the file; see `read_job`."""
        return read_job(self)


def send(stream: BinaryIO, message: Any) -> None:
    """Write one message: how many parts it has, their lengths, then its pickle and its arrays."""
    arrays: list[pickle.PickleBuffer] = []
    data = pickle.dumps(message, protocol=5, buffer_callback=arrays.append)
    parts = [memoryview(data), *(array.raw() for array in arrays)]
    stream.write(struct.pack(f"<{1 + len(parts)}Q", len(parts), *map(len, parts)))
    for part in parts:
        stream.write(part)
    stream.flush()


def receive(stream: BinaryIO) -> Any:
    """Read one message, of the other end of the pipe: this package's own process.

    Raises:
        EOFError: the other end is gone.
    """
    (count,) = struct.unpack("<Q", _filled(stream, 8))
    lengths = struct.unpack(f"<{count}Q", _filled(stream, 8 * count))
    data, *arrays = (_filled(stream, length) for length in lengths)
    return pickle.loads(data, buffers=arrays)


def _filled(stream: BinaryIO, length: int) -> memoryview:
    part = np.empty(length, np.uint8).data  # a bytearray would be set to 0 first
    if stream.readinto(part) < length:  # type: ignore[attr-defined]
        raise EOFError
    return part


def read_job(job: Job) -> Reading:
    """Read one file into the model's square; if it is unreadable the `Reading` has an error."""
    started = time.perf_counter()
    mark: Fingerprint | None = None
    try:
        source: str | bytes = job.path
        if job.fingerprinted:
            source = contents(job.path)
            mark = fingerprint(source, job.hash_key)
        radiograph = read(source, min_side=None if job.exact else needed_side(job.size))
        reading = prepared(job.source, radiograph, job.size, thumbnail=job.thumbnail)
    except UnreadableError as error:
        reading = Reading(job.source, error=UnreadableError(job.source, error.code, error.reason))
    except MemoryError:
        reading = Reading(job.source, error=refused(job.source, "memory"))
    return replace(reading, milliseconds=1000 * (time.perf_counter() - started), fingerprint=mark)


def refused(source: str, code: str) -> UnreadableError:
    """Return the error for a reason in `nanoray.reading.REASONS`."""
    from nanoray.reading.refusals import REASONS

    return UnreadableError(source, code, REASONS[code])


def limit_resources() -> None:
    """Bound the address space, and leave no core dump, where the system knows such limits."""
    try:
        import resource
    except ImportError:
        return
    for kind, value in (
        (resource.RLIMIT_AS, limits.WORKER_ADDRESS_SPACE),
        (resource.RLIMIT_CORE, 0),
    ):
        _, hard = resource.getrlimit(kind)
        if hard != resource.RLIM_INFINITY:
            value = min(value, hard)  # noqa: PLW2901
        try:
            resource.setrlimit(kind, (value, hard))
        except (ValueError, OSError):
            continue  # macOS refuses some limits


def main() -> None:
    """Serve jobs until the standard input ends."""
    # The user's interrupt goes to the whole terminal; the parent decides what it means for us.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    jobs = os.fdopen(os.dup(0), "rb")
    replies = os.fdopen(os.dup(1), "wb")
    # Whatever libraries print must not get between the replies.
    nowhere = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nowhere, descriptor)
    for name, value in json.loads(os.environ.get(BOUNDS) or "{}").items():
        setattr(limits, name, value)
    limit_resources()
    # pydicom would load it, where it is installed, to fetch samples: 5 MB and a fifth of the start.
    sys.modules["requests"] = None  # type: ignore[assignment]
    # Loaded now, so that the first file is not charged for it.
    import nanoray.reading.dicom.reader
    import nanoray.reading.raster  # noqa: F401

    send(replies, READY)
    with quiet():
        _serve(jobs, replies)
    sys.stdout = sys.stderr = None  # type: ignore[assignment]


def _serve(jobs: BinaryIO, replies: BinaryIO) -> None:
    alarm = getattr(signal, "setitimer", None)
    while True:
        try:
            job = receive(jobs)
        except EOFError:
            return
        if alarm is not None:
            # The parent stops us sooner; this is for when it died while a decoder hangs.
            alarm(signal.ITIMER_REAL, job.timeout + 5.0)
        reply = job.run()
        if alarm is not None:
            alarm(signal.ITIMER_REAL, 0)
        send(replies, reply)


if __name__ == "__main__":
    main()
