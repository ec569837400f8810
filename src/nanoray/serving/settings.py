"""Settings of the service, from the operator; `nanoray serve` has an option for most."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from nanoray.detecting.guarantee import GUARANTEE_HELP
from nanoray.errors import NanoRayError
from nanoray.fields import setting
from nanoray.reading import limits
from nanoray.reading.pool import default_workers

MIB = limits.MIB

Patients = Literal["nobody", "read", "submit", "admin"]
"""Lowest role that sees the patient of a study, or nobody."""

_ADDRESS, _MODEL, _LIMITS = "Address", "Model", "Limits"
_STORAGE, _WORKLIST, _SIGN_IN = "Storage", "Worklist", "Audit log and sign-in"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Settings of the service; all paths and addresses come from the operator.

    The fields with a help text are options of `nanoray serve`.

    Attributes:
        batch_wait: seconds to collect files for one run of the network.
        backlog_limit: waiting files of jobs and of the DICOM node.
        database_wait: seconds to wait at the start for a database that does not answer.
        header_timeout: seconds for a request's headers to arrive, and for the next request on an
            open connection.
        upload_timeout: seconds for a request's body to arrive.
        max_inflated_bytes, worker_memory: further limits on reading a file.
        max_uploads: requests whose bodies are received at the same time.
        min_free_bytes: free disk space below which uploads are refused.
    """

    data: Path = setting(
        Path("nanoray-data"),
        "Folder of the spool and the database.",
        metavar="DIR",
        panel=_STORAGE,
    )
    database: str | None = setting(
        None,
        "postgresql://... instead of SQLite in the data folder.",
        metavar="URL",
        variable="NANORAY_DATABASE",
        shown=False,
        panel=_STORAGE,
    )
    keep_days: float | None = setting(
        None,
        "Days after which files and results are deleted.",
        least=0,
        shown="keep",
        panel=_STORAGE,
    )
    store_nothing: bool = setting(
        False,
        "Do not store files and results of a request.",
        options=("--store-nothing",),
        panel=_STORAGE,
    )
    host: str = setting("127.0.0.1", "Address to listen on.", panel=_ADDRESS)
    port: int = setting(8080, "0 takes a free port.", least=0, most=65535, panel=_ADDRESS)
    allowed_hosts: tuple[str, ...] = setting(
        (),
        "Answer only requests for this host name; may be repeated. With --no-auth the default is "
        "the names of loopback.",
        options=("--allowed-host",),
        metavar="NAME",
        panel=_ADDRESS,
    )
    tls_cert: Path | None = setting(
        None, "Certificate for HTTPS (PEM).", metavar="FILE", panel=_ADDRESS
    )
    tls_key: Path | None = setting(None, "Its key (PEM).", metavar="FILE", panel=_ADDRESS)
    no_auth: bool = setting(
        False,
        "Require no API key; only on loopback.",
        options=("--no-auth",),
        panel=_ADDRESS,
    )
    model: Path | None = setting(
        None, "A model file; the packaged model by default.", metavar="FILE", panel=_MODEL
    )
    operating_point: str | None = setting(
        None, "screening, balanced or confirm.", metavar="NAME", panel=_MODEL
    )
    threshold: float | None = setting(
        None,
        "A threshold, instead of an operating point.",
        least=0,
        most=1,
        panel=_MODEL,
    )
    guarantee: float | None = setting(
        None,
        GUARANTEE_HELP,
        metavar="LEVEL",
        panel=_MODEL,
    )
    batch_size: int = setting(
        8, "Largest number of files for one run of the network.", least=1, most=64, panel=_MODEL
    )
    batch_wait: float = 0.003
    workers: int = setting(
        default_workers,
        "Processes that read files.",
        least=1,
        shown="one per processor",
        panel=_MODEL,
    )
    read_timeout: float = setting(
        30.0,
        "Seconds after which reading a file is stopped.",
        least=0.1,
        options=("--timeout",),
        panel=_LIMITS,
    )
    answer_timeout: float = setting(
        60.0, "Seconds after which a request is answered 202.", least=0.1, panel=_LIMITS
    )
    drain_timeout: float = setting(
        30.0,
        "Seconds to finish accepted work when stopping; the rest is kept.",
        least=0,
        options=("--drain",),
        panel=_LIMITS,
    )
    queue_limit: int = setting(
        256, "Waiting files of requests before answers are 503.", least=1, panel=_LIMITS
    )
    rate_limit: int = setting(
        1200,
        "Requests a minute for one key or address; 0 for no limit.",
        least=0,
        panel=_LIMITS,
    )
    max_file_bytes: int = setting(
        128 * MIB,
        "Largest file in MiB.",
        least=1,
        options=("--max-upload",),
        metavar="MIB",
        unit=MIB,
        panel=_LIMITS,
    )
    max_request_bytes: int = setting(
        1024 * MIB,
        "Largest request in MiB.",
        least=1,
        options=("--max-request",),
        metavar="MIB",
        unit=MIB,
        panel=_LIMITS,
    )
    max_files: int = setting(1000, "Largest number of files in a request.", least=1, panel=_LIMITS)
    max_pixels: int = setting(
        40_000_000,
        "Largest image in megapixels.",
        least=1,
        most=100,
        options=("--max-megapixels",),
        unit=1_000_000,
        panel=_LIMITS,
    )
    max_inflated_bytes: int = 160 * MIB
    worker_memory: int = 2048 * MIB
    max_uploads: int = 64
    min_free_bytes: int = 256 * MIB
    backlog_limit: int = 20_000
    database_wait: float = 60.0
    header_timeout: float = 20.0
    upload_timeout: float = 120.0
    patients: Patients = setting(
        "submit",
        "Lowest role that sees and searches patients' names, identifiers and dates; nobody: they "
        "are not stored in the database either.",
        panel=_WORKLIST,
    )
    show_map: bool = setting(
        True,
        "Store, show and report the map of local evidence.",
        options=("--map/--no-map",),
        panel=_WORKLIST,
    )
    viewer_link: str | None = setting(
        None,
        "Address of a study in your PACS viewer, with {study_uid}, {accession} or {patient_id}.",
        metavar="URL",
        panel=_WORKLIST,
    )
    lock_minutes: float = setting(
        15.0,
        "Minutes without use after which the page forgets its key; 0: never.",
        least=0,
        panel=_WORKLIST,
    )
    audit_syslog: str | None = setting(
        None,
        "Syslog server for the audit log: udp://, tcp:// or tls://.",
        metavar="URL",
        panel=_SIGN_IN,
    )
    audit_ca: Path | None = setting(
        None,
        "Authority (PEM) of the syslog server's certificate.",
        metavar="FILE",
        shown="the system's",
        panel=_SIGN_IN,
    )
    oidc_issuer: str | None = setting(
        None,
        "OpenID Connect issuer of bearer tokens, in addition to API keys.",
        metavar="URL",
        panel=_SIGN_IN,
    )
    oidc_audience: str | None = setting(
        None, "Required audience of the tokens.", metavar="NAME", panel=_SIGN_IN
    )
    oidc_keys: str | None = setting(
        None,
        "File or https:// address of the issuer's key set (JWKS).",
        metavar="PLACE",
        shown="by discovery",
        panel=_SIGN_IN,
    )
    oidc_claim: str = setting(
        "roles",
        "Claim with the roles, such as realm_access.roles.",
        metavar="NAME",
        panel=_SIGN_IN,
    )
    oidc_roles: tuple[str, ...] = setting(
        (),
        "Role (read, submit, admin) for a value of the claim; may be repeated.",
        options=("--oidc-role",),
        metavar="VALUE=ROLE",
        shown="values are the roles' names",
        panel=_SIGN_IN,
    )

    @property
    def tls(self) -> bool:
        """Whether HTTP is served with TLS."""
        return self.tls_cert is not None

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

    def check_store(self) -> None:
        """Raise NanoRayError unless the service has made its folder and its database."""
        made = self.data if self.database else self.data / "nanoray.db"
        if not made.exists():
            raise NanoRayError(
                f"{self.data}: is not the folder of a service; give that of `nanoray serve` by "
                "--data"
            )

    def check(self) -> None:
        """Raise NanoRayError for contradictory settings or a missing file."""
        if self.operating_point is not None and self.threshold is not None:
            raise NanoRayError("give --operating-point or --threshold, not both")
        if self.no_auth and not is_loopback(self.host):
            raise NanoRayError(
                f"--no-auth is allowed only on loopback, but {self.host} can be reached from "
                "elsewhere"
            )
        if (self.tls_cert is None) != (self.tls_key is None):
            raise NanoRayError("--tls-cert and --tls-key require each other")
        for path in (self.tls_cert, self.tls_key, self.audit_ca):
            if path is not None and not path.is_file():
                raise NanoRayError(f"{path}: not found")
        if self.viewer_link and not self.viewer_link.startswith(("https://", "http://")):
            raise NanoRayError("--viewer-link must begin with https:// or http://")
        if self.data.exists() and not self.data.is_dir():
            raise NanoRayError(f"{self.data}: not a folder")


def is_loopback(host: str) -> bool:
    """Return whether only this machine can reach a socket bound to `host`."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
