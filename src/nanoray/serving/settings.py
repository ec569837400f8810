"""What an operator decides about the service."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from nanoray.reading import limits
from nanoray.reading.pool import default_workers

MIB = limits.MIB

Patients = Literal["nobody", "read", "submit", "admin"]
"""Who sees which patient a study is of: the least role, or nobody."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Settings of the service; every path and address in it comes from the operator alone.

    Attributes:
        data: folder of the spool and, unless `database` says otherwise, of the database.
        database: SQLAlchemy URL; SQLite in `data` by default.
        model: model file; the packaged one by default.
        operating_point, threshold, guarantee: see `nanoray.load`.
        no_auth: take requests without an API key; the command allows it on loopback only.
        allowed_hosts: values of the Host header that are answered; empty for any. With `no_auth`
            always the names of loopback, against DNS rebinding.
        tls: whether HTTP is served with TLS, for Strict-Transport-Security.
        store_nothing: keep neither files nor results once a request is answered.
        keep_days: delete results and files after so many days; None keeps them.
        database_wait: seconds to wait at the start for a database that does not answer.
        workers: processes that read files.
        read_timeout: seconds that one file may take to read.
        batch_size, batch_wait: most files for one run of the network, and seconds to wait for them.
        queue_limit: files that requests may have waiting before more are refused with 503.
        backlog_limit: files of jobs and of the DICOM node that may be waiting.
        answer_timeout: seconds after which a request is answered 202 instead of with results.
        header_timeout: seconds in which a request's headers must have arrived, or the next request
            on a connection that is kept open.
        upload_timeout: seconds in which a request's body must have arrived.
        drain_timeout: seconds in which shutting down finishes accepted work; the rest is kept.
        max_file_bytes, max_request_bytes, max_files: bounds on an upload.
        max_pixels, max_inflated_bytes, worker_memory: bounds on what is read from a file.
        min_free_bytes: with less free disk space than this, uploads are refused.
        patients: the least role that sees and searches names, identifiers and dates of patients;
            with "nobody" they are not even kept in the database.
        show_map: whether the map of local evidence is kept, shown and reported.
        viewer_link: address of a PACS viewer with the places {study_uid}, {accession} and
            {patient_id}; shown with a study to those who see its patient.
        lock_minutes: the page forgets its API key after so many minutes without use; 0 never.
        rate_limit: requests a minute for one API key or address; 0 for no limit.
        max_uploads: requests whose bodies are received at the same time.
        audit_syslog: syslog server for the audit trail, besides the file `audit.log` in `data`.
        audit_ca: authority (PEM) of that server's certificate; the system's by default.
        oidc_issuer, oidc_audience: OpenID Connect issuer whose bearer tokens are taken beside API
            keys, and the audience that they must be for; None takes none.
        oidc_keys: file or address of the issuer's key set; found by discovery by default.
        oidc_claim: claim with the roles; a path with dots for one within another.
        oidc_roles: "VALUE=ROLE" for each value of the claim that gives a role; by default the
            values are the roles' own names.
    """

    data: Path
    database: str | None = None
    model: Path | None = None
    operating_point: str | None = None
    threshold: float | None = None
    guarantee: float | None = None
    no_auth: bool = False
    allowed_hosts: tuple[str, ...] = ()
    tls: bool = False
    store_nothing: bool = False
    keep_days: float | None = None
    database_wait: float = 60.0
    workers: int = field(default_factory=default_workers)
    read_timeout: float = 30.0
    batch_size: int = 8
    batch_wait: float = 0.003
    queue_limit: int = 256
    backlog_limit: int = 20_000
    answer_timeout: float = 60.0
    header_timeout: float = 20.0
    upload_timeout: float = 120.0
    drain_timeout: float = 30.0
    max_file_bytes: int = 128 * MIB
    max_request_bytes: int = 1024 * MIB
    max_files: int = 1000
    max_pixels: int = 40_000_000
    max_inflated_bytes: int = 160 * MIB
    worker_memory: int = 2048 * MIB
    min_free_bytes: int = 256 * MIB
    patients: Patients = "submit"
    show_map: bool = True
    viewer_link: str | None = None
    lock_minutes: float = 15.0
    rate_limit: int = 1200
    max_uploads: int = 64
    audit_syslog: str | None = None
    audit_ca: Path | None = None
    oidc_issuer: str | None = None
    oidc_audience: str | None = None
    oidc_keys: str | None = None
    oidc_claim: str = "roles"
    oidc_roles: tuple[str, ...] = ()

    @property
    def database_url(self) -> str:
        """URL of the database."""
        return self.database or f"sqlite:///{(self.data / 'nanoray.db').absolute()}"

    @property
    def reading_bounds(self) -> dict[str, int]:
        """Limits of `nanoray.reading.limits` that the service lowers."""
        return {
            "MAX_PIXELS": self.max_pixels,
            "MAX_INFLATED_BYTES": self.max_inflated_bytes,
            "MAX_FILE_BYTES": self.max_file_bytes,
            "WORKER_ADDRESS_SPACE": self.worker_memory,
        }
