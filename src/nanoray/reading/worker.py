"""The reading process, which reads untrusted files in isolation.

It receives jobs on its standard input and replies on its standard output, to
`nanoray.reading.pool`. It ends with its standard input, so it cannot outlive its parent.
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
from pathlib import Path
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
"""Environment variable with overrides of `nanoray.reading.limits`, as JSON."""


class Task(Protocol):
    """A job for the process; the job and its reply are pickled."""

    @property
    def timeout(self) -> float:
        """Seconds after which the process ends itself."""

    def run(self) -> Any:
        """Do the job in the process and return the reply, without exceptions."""


@dataclass(frozen=True, slots=True)
class Job:
    """A file to read.

    Attributes:
        path: absolute path of the file.
        source: the path as it was given, for messages.
        size: side of the square in pixels.
        thumbnail: whether to make a thumbnail.
        timeout: seconds after which the process ends itself, if the system supports it.
        fingerprinted: whether to compute the file's fingerprint.
        hash_key: hashes the identifiers of the fingerprint; None omits them.
        exact: decode a JPEG or JPEG 2000 fully, not only as far as the square needs.
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
    """Write one message: the number of its parts, their lengths, then its pickle and its arrays."""
    arrays: list[pickle.PickleBuffer] = []
    data = pickle.dumps(message, protocol=5, buffer_callback=arrays.append)
    parts = [memoryview(data), *(array.raw() for array in arrays)]
    stream.write(struct.pack(f"<{1 + len(parts)}Q", len(parts), *map(len, parts)))
    for part in parts:
        stream.write(part)
    stream.flush()


def receive(stream: BinaryIO) -> Any:
    """Read one message from the other end of the pipe, which is a process of this package.

    Raises:
        EOFError: the other end is closed.
    """
    (count,) = struct.unpack("<Q", _filled(stream, 8))
    lengths = struct.unpack(f"<{count}Q", _filled(stream, 8 * count))
    data, *arrays = (_filled(stream, length) for length in lengths)
    return pickle.loads(data, buffers=arrays)


def _filled(stream: BinaryIO, length: int) -> memoryview:
    part = np.empty(length, np.uint8).data  # a bytearray would be zeroed first
    if stream.readinto(part) < length:  # type: ignore[attr-defined]
        raise EOFError
    return part


def read_job(job: Job) -> Reading:
    """Read one file into the model's square; for an unreadable file the `Reading` has an error."""
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
        code = error.code
        if code in ("archive", "file-too-large"):
            from nanoray.reading.unpacking import fault

            code = fault(Path(job.path)) or code
        reading = Reading(job.source, error=refused(job.source, code))
    except MemoryError:
        reading = Reading(job.source, error=refused(job.source, "memory"))
    return replace(reading, milliseconds=1000 * (time.perf_counter() - started), fingerprint=mark)


def refused(source: str, code: str) -> UnreadableError:
    """Return the error for a reason in `nanoray.reading.REASONS`."""
    from nanoray.reading.refusals import REASONS

    return UnreadableError(source, code, REASONS[code])


def limit_resources() -> None:
    """Limit the address space and disable core dumps, if the system supports it."""
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
    # The user's interrupt reaches all processes of the terminal; the parent handles it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    jobs = os.fdopen(os.dup(0), "rb")
    replies = os.fdopen(os.dup(1), "wb")
    # Output of libraries must not mix with the replies.
    nowhere = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nowhere, descriptor)
    for name, value in json.loads(os.environ.get(BOUNDS) or "{}").items():
        setattr(limits, name, value)
    limit_resources()
    # pydicom would import it, if installed, to fetch samples: 5 MB and a fifth of the start.
    sys.modules["requests"] = None  # type: ignore[assignment]
    # Imported now, so that the first file does not include its time.
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
            # The parent stops the process sooner; this handles its death while a decoder hangs.
            alarm(signal.ITIMER_REAL, job.timeout + 5.0)
        reply = job.run()
        if alarm is not None:
            alarm(signal.ITIMER_REAL, 0)
        send(replies, reply)


if __name__ == "__main__":
    main()
