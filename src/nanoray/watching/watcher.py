"""The loop: find files, wait until each is complete, predict it, write the result.

It scans the folder, since shared folders send no change notifications.

Exactly once: the ledger records a content with its result before the result is written, and the
write afterwards. After a crash between the two, the next start writes the result, unless the file
of results already has it.
"""

from __future__ import annotations

import hashlib
import logging
import os
import stat
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from pathlib import Path
from time import monotonic
from typing import Any, Final

from nanoray.detecting.detector import Detector
from nanoray.detecting.prediction import Result, Unread
from nanoray.errors import NanoRayError
from nanoray.reading.finding import is_candidate
from nanoray.reading.pool import Ended, Pool
from nanoray.reading.refusals import REASONS
from nanoray.reading.worker import refused
from nanoray.reporting.outputs import csv_row, record
from nanoray.watching.ledger import Ledger, State
from nanoray.watching.result_files import Form, ResultFiles
from nanoray.watching.structured_reports import StructuredReports

log = logging.getLogger("nanoray.watch")

LONGEST_PAUSE: Final = 60.0
TRIES: Final = 3
"""Attempts to read a file that ends its reading process, before this becomes its result."""
PASSING: Final = frozenset({"missing", "no-permission", "read-failed"})
"""Temporary refusals: the file is retried and gets no result."""
OF_THE_PROCESS: Final = frozenset({"timeout", "crash", "memory"})
BATCH: Final = 16
PARTIAL: Final = (".part", ".partial", ".tmp", ".filepart", ".crdownload")
"""Suffixes of incomplete files."""


@dataclass(slots=True)
class Watched:
    """A file without a result.

    Attributes:
        state: of the file.
        since: the moment when it was found in this state.
        tries: number of attempts to read it.
        not_before: the moment of the next attempt.
        code: the temporary refusal of the last attempt.
    """

    state: State
    since: float
    tries: int = 0
    not_before: float = 0.0
    code: str | None = None


@dataclass(slots=True)
class Tally:
    """Counts since the start."""

    judged: int = 0
    unread: int = 0
    duplicates: int = 0


@dataclass(slots=True)
class Watcher:
    """Watches one folder, with all folders below it.

    Attributes:
        folder: the watched folder.
        detector: judges.
        ledger: of the results.
        files: the result files.
        reports: writes DICOM objects; None for none.
        pool: the reading processes.
        interval: seconds between two scans.
        settle: seconds for which a file must not change before it is read.
        timeout: seconds after which reading a file is stopped.
        keep_days: age from which result files are removed; None keeps them.
        passed_over: folders that are skipped, such as that of the results.
    """

    folder: Path
    detector: Detector
    ledger: Ledger
    files: ResultFiles
    pool: Pool
    reports: StructuredReports | None = None
    interval: float = 2.0
    settle: float = 2.0
    timeout: float = 30.0
    keep_days: int | None = None
    passed_over: frozenset[Path] = frozenset()
    tally: Tally = field(default_factory=Tally)
    _waiting: dict[str, Watched] = field(default_factory=dict)
    _done: dict[str, State] = field(default_factory=dict)
    _unlisted: set[str] = field(default_factory=set)

    def run(self, stopping: threading.Event, *, once: bool = False) -> None:
        """Watch until stopped; wait while the folder has vanished or the disk is full.

        Args:
            once: stop when every file in the folder has a result, or could not be read `TRIES`
                times.
        """
        pause, broken = self.interval, False
        while True:
            try:
                self.recover()
                busy = self.look(stopping)
                if once:
                    self._give_up()
                if self.keep_days is not None:
                    self._remove_older(self.keep_days)
                if broken:
                    log.info("the folders are back")
                pause, broken = (0.0 if busy else self.interval), False
            except OSError as error:
                # The error's file name may contain a patient's name.
                reason = error.strerror or type(error).__name__
                pause = min(LONGEST_PAUSE, max(2 * pause, self.interval))
                if not broken:
                    log.warning("%s; trying again, at most every %.0f s", reason, LONGEST_PAUSE)
                broken = True
            if stopping.wait(pause) or (once and not broken and not self._waiting):
                return

    def recover(self) -> None:
        """Write results that were not written because of a crash or a full disk.

        Raises:
            OSError: they still cannot be written.
        """
        for pending in self.ledger.pending():
            if not self.files.holds(pending.content, pending.at):
                self.files.add(pending.record, pending.content, pending.at)
            self.ledger.wrote(pending.content)

    def look(self, stopping: threading.Event) -> bool:
        """Scan once, and end early if stopped; return whether ready files remain.

        Raises:
            OSError: the folder does not exist, or results cannot be written.
        """
        ready = list(self._ready())
        for place, path, state in ready[:BATCH]:
            self._take(place, path, state)
            if stopping.is_set():
                break
        return len(ready) > BATCH

    def _ready(self) -> Iterator[tuple[str, Path, State]]:
        """Return files without a result that have not changed for `settle` seconds."""
        moment = monotonic()
        present = set()
        for path, state in self._files():
            place = path.relative_to(self.folder).as_posix()
            present.add(place)
            if self._done.get(place) == state:
                continue
            if self.ledger.content_at(place, state) is not None:
                self._done[place] = state
                continue
            watched = self._waiting.get(place)
            if watched is None or watched.state != state:
                self._waiting[place] = Watched(state, moment)
            elif moment - watched.since >= self.settle and moment >= watched.not_before:
                yield place, path, state
        for gone in self._waiting.keys() - present:
            del self._waiting[gone]
        for gone in self._done.keys() - present:
            del self._done[gone]

    def _files(self) -> Iterator[tuple[Path, State]]:
        # List the top folder first, since a missing folder is an error, not an empty folder.
        with os.scandir(self.folder):
            pass
        unlisted: set[str] = set()

        def note(error: OSError) -> None:
            if isinstance(error, FileNotFoundError):
                return  # it has vanished since
            unlisted.add(str(error.filename))
            if str(error.filename) not in self._unlisted:
                self._unlisted.add(str(error.filename))
                # The name of the folder may contain a patient's name.
                log.warning("a folder below cannot be listed: %s", error.strerror)

        for here, folders, names in os.walk(self.folder, onerror=note):
            folders[:] = sorted(
                f
                for f in folders
                if not f.startswith(".") and Path(here, f) not in self.passed_over
            )
            for name in sorted(names):
                path = Path(here, name)
                if name.lower().endswith(PARTIAL):
                    continue
                try:
                    found = path.stat()
                except OSError as error:
                    # A folder that may be listed but not entered is noted once, not for each file.
                    if isinstance(error, PermissionError):
                        note(PermissionError(error.errno, error.strerror, here))
                    continue
                if stat.S_ISREG(found.st_mode) and is_candidate(path):
                    yield path, State(found.st_size, found.st_mtime_ns)
        self._unlisted = unlisted

    def _take(self, place: str, path: Path, state: State) -> None:
        watched = self._waiting[place]
        try:
            content = _sha256(path)
        except OSError as error:
            self._retry(watched, f"a file of {state.size:,} bytes", _code(error))
            return
        if self.ledger.is_judged(content):
            self.tally.duplicates += 1
            log.info("%s: judged before", content[:12])
            self._finish(place, state, content)
            return
        (result,) = self.detector.predict_many(
            [path], workers=1, timeout=self.timeout, fingerprints=True, pool=self.pool
        )
        code = result.error.code if isinstance(result, Unread) else None
        again = code in PASSING or (code in OF_THE_PROCESS and watched.tries + 1 < TRIES)
        if code is not None and again:
            self._retry(watched, content[:12], code)
            return
        if result.fingerprint is not None and result.fingerprint.content != content:
            # It was changed meanwhile; the next scan finds it in a new state.
            return
        at = _now()
        if self.reports is not None and not self._report(path, result, content, at):
            watched.tries += 1
            if watched.tries < TRIES:
                self._later(watched)
                return
        self.ledger.judge(content, at, self._record(result, place))
        self._finish(place, state, content)
        self.recover()
        if isinstance(result, Unread):
            self.tally.unread += 1
            log.warning("%s: %s", content[:12], result.error.reason)
        else:
            self.tally.judged += 1
            log.info("%s: %s, %.3f", content[:12], result.decision, result.probability)

    def _report(self, path: Path, result: Result, content: str, at: datetime) -> bool:
        """Write the structured report of a file; False if its process ended, so it is retried."""
        assert self.reports is not None
        try:
            self.reports.write(path, result, content, at)
        except Ended as end:
            log.warning("%s: no structured report: %s", content[:12], REASONS[end.code])
            return False
        except NanoRayError as error:
            log.warning("%s: %s", content[:12], error)
        return True

    def _remove_older(self, days: int) -> None:
        self.files.remove_older(_now(), days)
        if self.reports is not None:
            self.reports.remove_older(_now(), days)

    def _record(self, result: Result, place: str) -> dict[str, Any]:
        make: Callable[[Result], dict[str, Any]] = (
            csv_row if self.files.form is Form.csv else record
        )
        return make(replace(result, source=place))

    def _finish(self, place: str, state: State, content: str) -> None:
        self.ledger.see(place, state, content)
        self._done[place] = state
        self._waiting.pop(place, None)

    def _retry(self, watched: Watched, name: str, code: str) -> None:
        """Delay a file that could not be read; `name` has no name of a patient."""
        watched.tries += 1
        watched.code = code if code in PASSING else None
        if watched.tries == 1:
            log.warning("%s: %s; trying again", name, REASONS[code])
        self._later(watched)

    def _give_up(self) -> None:
        """Write the reasons for the files that `TRIES` attempts could not read.

        The ledger does not have them, so the next start reads them again.
        """
        for place, watched in list(self._waiting.items()):
            if watched.code is not None and watched.tries >= TRIES:
                result = Unread(place, refused(place, watched.code))
                self.files.add(self._record(result, place), "", _now())
                self.tally.unread += 1
                self._done[place] = watched.state
                del self._waiting[place]

    def _later(self, watched: Watched) -> None:
        """Delay a file, longer each time."""
        wait = max(monotonic() - watched.since, self.interval)
        watched.not_before = monotonic() + min(wait, LONGEST_PAUSE)


def _code(error: OSError) -> str:
    """Return the code of the reason why a file cannot be opened or read."""
    if isinstance(error, FileNotFoundError):
        return "missing"
    return "no-permission" if isinstance(error, PermissionError) else "read-failed"


def _sha256(path: Path) -> str:
    total = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(1 << 20):
            total.update(block)
    return total.hexdigest()


def _now() -> datetime:
    return datetime.now(timezone.utc).replace(microsecond=0)
