"""Priors: a patient's earlier frontal radiographs, fetched by DICOMweb and judged for comparison.

For a new image the configured server is searched for earlier CR and DX studies of its patient.
Their images are judged by the same model and not kept; only the results are. A report waits for
them for `WAIT_SECONDS` at most.
"""

from __future__ import annotations

import queue
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Any, Final

from sqlalchemy import update
from sqlalchemy.orm import Session

from nanoray.detecting.flags import OUT_OF_SCOPE
from nanoray.detecting.prediction import ABSTAINED, SUSPECTED, UNSURE, Prediction
from nanoray.dicomweb import Client, DicomWebError, list_study, value
from nanoray.errors import NanoRayError
from nanoray.serving.dicom.destinations import WebDestination
from nanoray.serving.dicom.findings import Prior
from nanoray.serving.dicom.settings import NodeSettings
from nanoray.serving.dicom.source import first, header, patient_key
from nanoray.serving.dicom.text import date_text
from nanoray.serving.dicom.uids import is_uid
from nanoray.serving.journal import log, log_error
from nanoray.serving.service import Service
from nanoray.serving.storage.database import DatabaseUnavailableError
from nanoray.serving.storage.tables import PredictionRow, now

RADIOGRAPHS: Final = ("1.2.840.10008.5.1.4.1.1.1", "1.2.840.10008.5.1.4.1.1.1.1")
"""Storage SOP classes of radiographs: Computed Radiography, and Digital X-Ray for presentation."""
WAIT_SECONDS: Final = 60.0
"""Time for one patient's priors, from the acceptance of the image."""

_MODALITIES: Final = ("CR", "DX")
_STUDIES: Final = 5
_IMAGES: Final = 4
_RESULTS: Final = 100
_QUEUE: Final = 1000
_REMEMBERED: Final = 256
# A server that fails is left alone for so long, so that reports do not wait for it.
_REST_SECONDS: Final = 60.0


@dataclass(frozen=True, slots=True)
class Whose:
    """A task for a reading process: patient, study and its date in a DICOM file."""

    path: str
    timeout: float

    def run(self) -> tuple[str, str, str, str, str, str]:
        """Read them: patient's key, PatientID, study UID, date, SOP class and instance UID."""
        try:
            read = header(
                self.path,
                (
                    "PatientID",
                    "IssuerOfPatientID",
                    "PatientName",
                    "PatientBirthDate",
                    "StudyInstanceUID",
                    "StudyDate",
                    "SOPClassUID",
                    "SOPInstanceUID",
                ),
            )
            return (
                patient_key(read),
                first(read, "PatientID"),
                first(read, "StudyInstanceUID"),
                date_text(first(read, "StudyDate")),
                first(read, "SOPClassUID"),
                first(read, "SOPInstanceUID"),
            )
        except Exception:
            # Whatever is wrong with it, and no word of it.
            return "", "", "", "", "", ""


class Priors:
    """Looks for priors of the images that the node accepts, in another thread."""

    def __init__(
        self, service: Service, settings: NodeSettings, source: WebDestination | None
    ) -> None:
        """Prepare, for a service, the settings of its node, and the server that has the priors."""
        self._service = service
        self._settings = settings
        self._source = source
        self._waiting: queue.Queue[tuple[str, float] | None] = queue.Queue(_QUEUE)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="nanoray-priors", daemon=True)
        self._known: OrderedDict[tuple[str, str], list[dict[str, Any]]] = OrderedDict()
        self._rest_until = 0.0
        self.found: Callable[[], None] = lambda: None

    @property
    def wanted(self) -> bool:
        """Whether priors are looked for."""
        return bool(self._settings.priors)

    def start(self) -> None:
        """Go to work."""
        if self.wanted:
            self._thread.start()

    def stop(self) -> None:
        """End after the request in hand; reports that wait go out without priors."""
        self._stopping.set()
        with suppress(queue.Full):
            self._waiting.put_nowait(None)
        if self._thread.ident is not None:
            self._thread.join(WAIT_SECONDS / 4)

    def expect(self, session: Session, prediction: str) -> None:
        """Let the report of an image wait for its priors; in the transaction that accepts it."""
        if self.wanted:
            session.execute(
                update(PredictionRow)
                .where(PredictionRow.id == prediction)
                .values(prior_due=now() + timedelta(seconds=WAIT_SECONDS))
            )

    def take(self, prediction: str) -> None:
        """Look for the priors of an image that was accepted."""
        if not self.wanted:
            return
        try:
            self._waiting.put_nowait((prediction, time.monotonic() + WAIT_SECONDS))
        except queue.Full:
            log("prior search skipped", reason="too many wait")

    def _keep(self) -> None:
        while (item := self._waiting.get()) is not None and not self._stopping.is_set():
            prediction, deadline = item
            found: list[dict[str, Any]] = []
            code = None
            try:
                found = self._priors(prediction, deadline)
            except DicomWebError as error:
                code = error.code
                self._rest_until = time.monotonic() + _REST_SECONDS
            except (NanoRayError, OSError):
                code = "failed"
            except Exception as error:
                log_error("prior search failed", error)
            try:
                self._save(prediction, found)
            except DatabaseUnavailableError:
                code = "database"  # the report goes out without them
            log("priors searched", priors=len(found), code=code)

    def _save(self, prediction: str, found: list[dict[str, Any]]) -> None:
        service = self._service
        with service.store.database.writing() as session:
            session.execute(
                update(PredictionRow)
                .where(PredictionRow.id == prediction)
                .values(priors=found, prior_due=None)
            )
        changed = service.studies.refresh([prediction]) if found else []
        service.events.tell("study", [{"id": name} for name in changed])
        self.found()

    def _priors(self, prediction: str, deadline: float) -> list[dict[str, Any]]:
        timeout = self._service.settings.read_timeout
        path = str(self._service.store.spool.path(prediction))
        whose: Any = self._service.pipeline.call(Whose(path, timeout))
        key, patient, study, date, _, _ = whose
        # Wildcards of a search would find other patients.
        if not patient or not is_uid(study) or not date or set(patient) & set("*?\\"):
            return []
        if (key, study) in self._known:
            return self._known[key, study]
        if time.monotonic() < self._rest_until:
            return []
        source = self._source
        assert source is not None  # as the settings' check asks
        found: list[dict[str, Any]] = []
        with Client(
            tls=source.tls,
            max_bytes=self._service.settings.max_file_bytes,
            seconds=max(1.0, min(20.0, deadline - time.monotonic())),
        ) as client:
            for uid in self._earlier(client, source.url, patient, study, date):
                if len(found) >= self._settings.priors or time.monotonic() > deadline:
                    break
                judged = list(self._judged(client, source.url, uid, key, deadline))
                if judged:
                    found.append(asdict(max(judged, key=Prior.suspicion)))
        self._known[key, study] = found
        if len(self._known) > _REMEMBERED:
            self._known.popitem(last=False)
        return found

    def _earlier(self, client: Client, url: str, patient: str, study: str, date: str) -> list[str]:
        """Return UIDs of the patient's earlier studies with radiographs, the latest first."""
        found: dict[str, str] = {}
        for modality in _MODALITIES:
            query = {
                "PatientID": patient,
                "StudyDate": f"-{date}",
                "ModalitiesInStudy": modality,
                "limit": str(_RESULTS),
            }
            for item in client.search(f"{url}/studies", query, missing_ok=True)[:_RESULTS]:
                uid, day = value(item, "0020000D"), date_text(value(item, "00080020"))
                if is_uid(uid) and uid != study and day and day < date:
                    found[uid] = day
        return sorted(found, key=lambda uid: found[uid], reverse=True)[:_STUDIES]

    def _judged(
        self, client: Client, url: str, study: str, key: str, deadline: float
    ) -> Iterator[Prior]:
        """Judge the frontal images of an earlier study; an image of anybody else is passed over."""
        service = self._service
        for series, sop in list_study(client, url, study, RADIOGRAPHS, most=_IMAGES):
            if time.monotonic() > deadline or self._stopping.is_set():
                return
            if not (is_uid(series) and is_uid(sop)):
                continue
            place = f"{url}/studies/{study}/series/{series}/instances/{sop}"
            draft = service.store.spool.draft()
            try:
                draft.write(client.fetch(place))
                draft.finish()
                task = Whose(str(draft.path), service.settings.read_timeout)
                read: Any = service.pipeline.call(task)
                whose, _, of_study, date, sop_class, uid = read
                if (whose, of_study, uid) != (key, study, sop) or sop_class not in RADIOGRAPHS:
                    continue
                result = service.pipeline.judge(str(draft.path))
            finally:
                draft.discard()
            if isinstance(result, Prediction) and not (
                result.decision == ABSTAINED or OUT_OF_SCOPE.intersection(result.flags)
            ):
                keeps_dates = service.settings.patients != "nobody"
                yield Prior(
                    date=f"{date[:4]}-{date[4:6]}-{date[6:]}" if keeps_dates and date else "",
                    view=result.view,
                    probability=round(result.probability, 6),
                    threshold=result.threshold,
                    suspected=result.decision == SUSPECTED,
                    unsure=result.decision == UNSURE,
                )
