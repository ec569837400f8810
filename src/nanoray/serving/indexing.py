"""Grouping images into studies by their headers, after they are screened."""

from __future__ import annotations

import re
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, Final

from pydicom import dcmread

from nanoray.errors import NanoRayError
from nanoray.reading.file_kind import HEAD_BYTES, kind_of
from nanoray.reading.pool import Ended
from nanoray.reading.quiet import quiet
from nanoray.serving.events import Events
from nanoray.serving.journal import log, log_error
from nanoray.serving.storage.database import DatabaseUnavailableError
from nanoray.serving.storage.spool import Spool
from nanoray.serving.storage.studies import Description, Studies
from nanoray.serving.storage.tables import PredictionRow

_BATCH: Final = 64
_RETRY_SECONDS: Final = 2.0
_BUSY_SECONDS: Final = 0.25
_ELEMENTS: Final = [
    "SpecificCharacterSet",
    "StudyDate",
    "AccessionNumber",
    "StudyDescription",
    "PatientName",
    "PatientID",
    "IssuerOfPatientID",
    "PatientBirthDate",
    "PatientSex",
    "StudyInstanceUID",
    "InstanceNumber",
]
_UID: Final = re.compile(r"[0-9]+(\.[0-9]+)*")


@dataclass(frozen=True, slots=True)
class Describe:
    """A task for a reading process: read study and patient from the headers of files."""

    paths: tuple[str, ...]
    timeout: float

    def run(self) -> list[Description]:
        """Read the headers; a file without a valid one returns an empty description."""
        return [describe(path) for path in self.paths]


def describe(path: str) -> Description:
    """Read study and patient from a DICOM header; other files return an empty description."""
    try:
        with Path(path).open("rb") as file:
            if kind_of(file.read(HEAD_BYTES)) != "DICOM":
                return Description()
            file.seek(0)
            with quiet():
                header = dcmread(
                    file, stop_before_pixels=True, force=True, specific_tags=[*_ELEMENTS]
                )
                return _description(header)
    except Exception:
        # Any error in the header: the image becomes a separate study, without a name.
        return Description()


def _description(header: Any) -> Description:
    uid = _text(header, "StudyInstanceUID", 64)
    number = _text(header, "InstanceNumber", 12)
    return Description(
        study_uid=uid if _UID.fullmatch(uid) else "",
        patient_id=_text(header, "PatientID", 64),
        issuer=_text(header, "IssuerOfPatientID", 64),
        patient_name=_name(_text(header, "PatientName", 400)),
        birth_date=_date(_text(header, "PatientBirthDate", 16)),
        study_date=_date(_text(header, "StudyDate", 16)),
        sex=_text(header, "PatientSex", 1),
        accession=_text(header, "AccessionNumber", 64),
        description=_text(header, "StudyDescription", 200),
        number=int(number) if re.fullmatch(r"[0-9]{1,9}", number) else 0,
    )


def _text(header: Any, keyword: str, longest: int) -> str:
    """Return an element as printable text; "" if it is absent or undecodable."""
    try:
        value = header.get(keyword)
        text = "" if value is None else str(value)
    except Exception:
        return ""
    printable = "".join(letter if letter.isprintable() else " " for letter in text)
    return " ".join(printable.split())[:longest]


def _name(text: str) -> str:
    """Format a person name (PS3.5 6.2.1.2) as "Last, First Middle", then other scripts."""
    groups = []
    for group in text.split("="):
        family, _, rest = group.partition("^")
        given = " ".join(part for part in rest.split("^") if part.strip())
        groups.append(", ".join(part.strip() for part in (family, given) if part.strip()))
    return " / ".join(dict.fromkeys(group for group in groups if group))[:200]


def _date(text: str) -> str:
    """Return a DICOM date as ISO 8601; "" if it is invalid."""
    digits = text.replace(".", "")
    try:
        return date(int(digits[:4]), int(digits[4:6]), int(digits[6:8])).isoformat()
    except ValueError:
        return ""


class Indexer:
    """Updates the studies after new results, in a separate thread.

    Screening has priority: while many files wait, the indexer pauses between its steps. The next
    start of the service finds results that were not indexed.
    """

    def __init__(
        self,
        studies: Studies,
        spool: Spool,
        events: Events,
        *,
        call: Callable[[Any], Any],
        busy: Callable[[], bool],
        timeout: float,
    ) -> None:
        """Prepare.

        Args:
            studies, spool, events: of the service.
            call: runs a task in a reading process.
            busy: whether many files wait to be screened.
            timeout: seconds for one task.
        """
        self._studies = studies
        self._spool = spool
        self._events = events
        self._call = call
        self._busy = busy
        self._timeout = timeout
        self._waiting: deque[str] = deque()
        self._news = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="nanoray-index")

    def start(self) -> None:
        """Find unindexed results, and start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """End after the current step."""
        self._stopping.set()
        self._news.set()
        if self._thread.ident is not None:
            self._thread.join()

    def heard(self, rows: Sequence[PredictionRow]) -> None:
        """Add new results."""
        self.take([row.id for row in rows])

    def take(self, names: Sequence[str]) -> None:
        """Index predictions with a result; repeated calls are harmless."""
        self._waiting.extend(names)
        self._news.set()

    def _keep(self) -> None:
        left_over = True
        while not self._stopping.is_set():
            self._news.clear()
            try:
                if self._waiting:
                    count = min(_BATCH, len(self._waiting))
                    self._index([self._waiting.popleft() for _ in range(count)])
                elif left_over:
                    names = self._studies.unindexed(_BATCH)
                    left_over = bool(names)
                    self._index(names)
                else:
                    self._news.wait()
                    continue
                if self._busy():
                    self._stopping.wait(_BUSY_SECONDS)
            except DatabaseUnavailableError:
                # Lost entries are found again among the predictions without a study.
                left_over = True
                self._stopping.wait(_RETRY_SECONDS)
            except Exception as error:
                log_error("indexing failed", error)
                self._stopping.wait(_RETRY_SECONDS)

    def _index(self, names: Sequence[str]) -> None:
        if not names:
            return
        changed = self._studies.index(list(zip(names, self._described(names), strict=True)))
        self._events.tell("study", [{"id": name} for name in changed])

    def _described(self, names: Sequence[str]) -> list[Description]:
        paths = tuple(str(self._spool.path(name)) for name in names)
        try:
            found: list[Description] = self._call(Describe(paths, self._timeout))
            return found
        except (Ended, NanoRayError) as error:
            if self._stopping.is_set():
                raise DatabaseUnavailableError from None
            if len(names) > 1:
                # One of them may be the cause.
                return [one for name in names for one in self._described([name])]
            log("header not read", error=type(error).__name__)
            return [Description()]
