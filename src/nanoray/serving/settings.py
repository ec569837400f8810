"""Settings of the service, from the operator."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from nanoray.reading import limits
from nanoray.reading.pool import default_workers

MIB = limits.MIB

Patients = Literal["nobody", "read", "submit", "admin"]
"""Lowest role that sees the patient of a study, or nobody."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Settings of the service; all paths and addresses come from the operator.

    Attributes:
        data: folder of the spool and, without `database`, of the database.
        database: SQLAlchemy URL; SQLite in `data` by default.
        model: model file; the packaged one by default.
        operating_point, threshold, guarantee: see `nanoray.load`.
        no_auth: accept requests without an API key; the command allows it only on loopback.
        allowed_hosts: accepted values of the Host header; empty for any. With `no_auth` only the
            names of loopback, against DNS rebinding.
        tls: whether HTTP is served with TLS, for Strict-Transport-Security.
        store_nothing: delete files and results after the answer to their request.
        keep_days: days after which results and files are deleted; None keeps them.
        database_wait: seconds to wait at the start for a database that does not answer.
        workers: processes that read files.
        read_timeout: seconds to read one file.
        batch_size, batch_wait: most files for one run of the network, and seconds to collect them.
        queue_limit: waiting files of requests before further ones are refused with 503.
        backlog_limit: waiting files of jobs and of the DICOM node.
        answer_timeout: seconds after which a request is answered 202 instead of with results.
        header_timeout: seconds for a request's headers to arrive, and for the next request on an
            open connection.
        upload_timeout: seconds for a request's body to arrive.
        drain_timeout: seconds in which a shutdown finishes accepted work; the rest is kept.
        max_file_bytes, max_request_bytes, max_files: limits on an upload.
        max_pixels, max_inflated_bytes, worker_memory: limits on reading a file.
        min_free_bytes: free disk space below which uploads are refused.
        patients: the lowest role that sees and searches names, identifiers and dates of patients;
            with "nobody" they are not stored in the database either.
        show_map: whether the map of local evidence is stored, shown and reported.
        viewer_link: address of a PACS viewer with the placeholders {study_uid}, {accession} and
            {patient_id}; shown to callers who may see the study's patient.
        lock_minutes: minutes without use after which the page forgets its API key; 0: never.
        rate_limit: requests a minute for one API key or address; 0: no limit.
        max_uploads: requests whose bodies are received at the same time.
        audit_syslog: syslog server for the audit log, in addition to `audit.log` in `data`.
        audit_ca: authority (PEM) of that server's certificate; the system's by default.
        oidc_issuer, oidc_audience: OpenID Connect issuer of bearer tokens, in addition to API keys,
            and the required audience; None accepts no tokens.
        oidc_keys: file or address of the issuer's key set; found by discovery by default.
        oidc_claim: claim with the roles; dots for nested claims.
        oidc_roles: "VALUE=ROLE" for each value of the claim with a role; by default the values are
            the names of the roles.
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
        """Return the URL of the database."""
        return self.database or f"sqlite:///{(self.data / 'nanoray.db').absolute()}"

    @property
    def reading_bounds(self) -> dict[str, int]:
        """Return the limits of `nanoray.reading.limits` that the service lowers."""
        return {
            "MAX_PIXELS": self.max_pixels,
            "MAX_INFLATED_BYTES": self.max_inflated_bytes,
            "MAX_FILE_BYTES": self.max_file_bytes,
            "WORKER_ADDRESS_SPACE": self.worker_memory,
        }
