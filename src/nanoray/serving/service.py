"""Assembly of the parts of a running service."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from nanoray.detecting import Detector, load
from nanoray.serving.audit import Audit, Entry, Event
from nanoray.serving.events import Events
from nanoray.serving.indexing import Indexer
from nanoray.serving.journal import log, log_error
from nanoray.serving.metrics import Metrics
from nanoray.serving.pipeline import Pipeline
from nanoray.serving.rate_limit import RateLimit
from nanoray.serving.settings import Settings
from nanoray.serving.storage.binding import bind, locked, passing_folder
from nanoray.serving.storage.claims import BEAT_SECONDS
from nanoray.serving.storage.database import Database, DatabaseUnavailableError
from nanoray.serving.storage.keys import Keyring
from nanoray.serving.storage.news import News
from nanoray.serving.storage.spool import Spool, StorageFullError
from nanoray.serving.storage.store import Identity, Store
from nanoray.serving.storage.studies import Studies
from nanoray.serving.storage.tables import PredictionRow, new_id

if TYPE_CHECKING:
    from nanoray.serving.tokens import Tokens

_HOUSEKEEPING_SECONDS = 600.0
_CHORES_SECONDS = 60.0


class Service:
    """A detector, a store and the pipeline between them.

    Attributes:
        settings: of the operator.
        detector: the detector.
        store: results and files. With `settings.store_nothing` it is in memory (a folder in
            /dev/shm if it exists) and ends with the service.
        pipeline: the screening.
        studies: the rows of the worklist, updated by `indexer`.
        keyring, rate_limit, metrics, events: for the API.
        tokens: checks tokens of an OpenID Connect issuer; None without one.
    """

    def __init__(self, settings: Settings) -> None:
        """Open all parts without starting them.

        Raises:
            ModelFileError, ValueError: see `nanoray.load`.
            NanoRayError: another service uses the data folder.
        """
        self.settings = settings
        self.detector: Detector = load(
            settings.model,
            operating_point=settings.operating_point,
            threshold=settings.threshold,
            guarantee=settings.guarantee,
        )
        self.tokens: Tokens | None = None
        if settings.oidc_issuer or settings.oidc_audience:
            from nanoray.serving.tokens import Tokens

            self.tokens = Tokens(settings)
        self.audit = Audit(settings.data / "audit.log", settings.audit_syslog, settings.audit_ca)
        self.metrics = Metrics()
        self.events = Events()
        self.rate_limit = RateLimit(settings.rate_limit)
        # Keys are stored even if results are not.
        self._databases = [Database(settings.database_url)]
        self.keyring = Keyring(self._databases[0])
        folder, database = settings.data, self._databases[0]
        self._held = ExitStack()
        self._held.enter_context(locked(folder, shared=not database.is_sqlite))
        if settings.store_nothing:
            folder = self._held.enter_context(passing_folder())
            database = Database(replace(settings, data=folder, database=None).database_url)
            self._databases.append(database)
        spool = Spool(folder / "spool", min_free_bytes=settings.min_free_bytes)
        self.store = Store(database, spool, Identity.of(self.detector), keep_maps=settings.show_map)
        self.studies = Studies(database, keep_identity=settings.patients != "nobody")
        self.metrics.gauge(
            "nanoray_lost_files", "Files in the spool's folder lost.", lambda: float(spool.lost())
        )
        self.pipeline = Pipeline(self.detector, self.store, settings, self.metrics, self._tell)
        self._news: News | None = None
        self._stopping = threading.Event()
        self._keeper = threading.Thread(target=self._keep_house, name="nanoray-keeper")
        self.listeners: list[Callable[[Sequence[PredictionRow]], None]] = []
        # Tasks of every minute, such as reloading certificates.
        self.chores: list[Callable[[], object]] = []
        self.indexer = Indexer(
            self.studies,
            spool,
            self.events,
            call=self.pipeline.call,
            busy=lambda: self.pipeline.depth > 2 * settings.batch_size,
            timeout=settings.read_timeout,
        )
        if not settings.store_nothing:
            self.listeners.append(self.indexer.heard)
        # Names of the node's destinations.
        self.destinations: tuple[str, ...] = ()

    def start(self) -> None:
        """Resume unfinished work, and start all parts.

        Raises:
            DatabaseUnavailableError: the database does not answer.
        """
        self._prepare_databases()
        bind(self.store.database, self.store.spool)
        if lost := self.store.sweep():
            log("unknown files set aside", logging.WARNING, files=lost, folder="spool/lost")
        self._forget()
        self.store.claims.join()
        if not self.store.alone:
            self._news = News(self.store.database, self.store.spool.process, self._hear)
            self._news.start()
        self.pipeline.start()
        self.indexer.start()
        self._keeper.start()
        self.audit.record(Entry(event=Event.APPLICATION, action="E", detail="start"))
        log(
            "started",
            model=self.store.identity.model,
            model_version=self.store.identity.model_version,
            waiting=self.pipeline.depth,
        )

    def _forget(self) -> None:
        """Remove identities and maps that the settings forbid."""
        if self.settings.patients == "nobody" and (forgotten := self.studies.forget_identities()):
            log("identities removed", studies=forgotten)
        if not self.settings.show_map and (forgotten := self.store.forget_maps()):
            log("maps removed", predictions=forgotten)

    def _prepare_databases(self) -> None:
        """Migrate the tables, waiting for a database that does not answer yet."""
        deadline = time.monotonic() + self.settings.database_wait
        for database in self._databases:
            while True:
                try:
                    database.migrate()
                    break
                except DatabaseUnavailableError:
                    left = deadline - time.monotonic()
                    log("waiting for the database", logging.WARNING, database=database.name)
                    if left <= 0 or self._stopping.wait(min(2.0, left)):
                        raise DatabaseUnavailableError(
                            f"the database {database.name} does not answer"
                        ) from None

    def stop(self) -> None:
        """Finish accepted work within the drain time, and release all resources."""
        self._stopping.set()
        if self._keeper.ident is not None:
            self._keeper.join()
        self.indexer.stop()
        self.pipeline.stop(self.settings.drain_timeout)
        if self._news is not None:
            self._news.stop()
        with suppress(DatabaseUnavailableError):
            self.store.claims.leave()
        self.store.spool.close()
        for database in self._databases:
            database.close()
        self.audit.record(Entry(event=Event.APPLICATION, action="E", detail="stop"))
        self.audit.close()
        self._held.close()
        log("stopped", waiting=self.pipeline.depth)

    def delete(self, name: str) -> bool:
        """Delete a prediction and its file, and a study that this empties; False if not found."""
        study = self.studies.of_image(name)
        deleted = self.store.delete(name)
        if deleted and study is not None:
            self.studies.tidy([study])
            self.events.tell("study", [{"id": study}])
        return deleted

    def checks(self) -> dict[str, bool]:
        """Return the state of each resource of the service."""
        found = {"screening": self.pipeline.healthy}
        for name, check, failure in (
            ("database", self.store.database.check, DatabaseUnavailableError),
            ("storage", self.store.spool.check, StorageFullError),
        ):
            try:
                check()
                found[name] = True
            except (failure, OSError):
                found[name] = False
        return found

    def salt(self) -> str:
        """Return the salt of fingerprints; random if results must not be shared."""
        return new_id() if self.settings.store_nothing else ""

    def _tell(self, rows: Sequence[PredictionRow]) -> None:
        for listener in self.listeners:
            listener(rows)
        if not self.settings.store_nothing:
            self.events.tell("prediction", [{"id": row.id} for row in rows])

    def _hear(self, names: Sequence[str]) -> None:
        """Notify clients of results of another process."""
        self.pipeline.heard(names)
        for listener in self.listeners:
            listener([])
        if names:
            self.events.tell("prediction", [{"id": name} for name in names])
            self.indexer.take(names)

    def _keep_house(self) -> None:
        due = minute = 0.0
        while not self._stopping.wait(BEAT_SECONDS):
            try:
                if silent := self.store.claims.beat():
                    log("silent processes found", logging.WARNING, processes=silent)
            except DatabaseUnavailableError as error:
                log_error("showing to be alive failed", error)
            if time.monotonic() >= minute:
                minute = time.monotonic() + _CHORES_SECONDS
                for chore in self.chores:
                    chore()
            if time.monotonic() >= due:
                self._expire()
                due = time.monotonic() + _HOUSEKEEPING_SECONDS

    def _expire(self) -> None:
        if self.settings.keep_days is None:
            return
        try:
            expired = self.store.expire(self.settings.keep_days, self.destinations)
            if expired:
                self.studies.tidy()
                log("expired", predictions=expired)
                self.events.tell("reload", [{}])
        except (DatabaseUnavailableError, OSError) as error:
            log_error("expiring failed", error)
