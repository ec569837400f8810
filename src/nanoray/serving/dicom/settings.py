"""Settings of the DICOM node, from the operator."""

from __future__ import annotations

import ssl
from dataclasses import dataclass

from nanoray.errors import NanoRayError
from nanoray.serving.dicom.destinations import Destination, WebDestination, is_ae_title
from nanoray.serving.dicom.findings import KINDS, Kind


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeSettings:
    """Settings of the DICOM node.

    Attributes:
        host, port: address; port 0 takes a free port, None opens no port.
        title: its AE title.
        allowed_titles: AE titles that may send; all others are rejected.
        tls: context for TLS; it may require certificates of peers.
        destinations: destinations of reports.
        source: the DICOMweb server for fetching studies.
        quiet_seconds: time without a new image after which a study's report is written.
        attempts: attempts before a delivery is marked dead; with the pauses about three days.
        first_pause: seconds before the second attempt; doubled each time, up to `longest_pause`.
        longest_pause: largest number of seconds between two attempts.
        max_associations: largest number of associations at a time.
        max_associations_per_address: of them from one address.
        kinds: kinds of objects to send.
        localise: whether the objects show the location of the evidence.
        report_unprocessed: whether to report images without a decision.
        priors: earlier radiographs of a patient that are fetched from `source`, judged and
            compared, for a new study; 0 for none.
        commitment: whether destinations are asked to confirm by storage commitment that they keep
            what they were sent by C-STORE.
    """

    host: str = "127.0.0.1"
    port: int | None = None
    title: str = "NANORAY"
    allowed_titles: tuple[str, ...] = ()
    tls: ssl.SSLContext | None = None
    destinations: tuple[Destination, ...] = ()
    source: WebDestination | None = None
    quiet_seconds: float = 5.0
    attempts: int = 300
    first_pause: float = 5.0
    longest_pause: float = 900.0
    max_associations: int = 32
    max_associations_per_address: int = 16
    kinds: tuple[Kind, ...] = ("sr", "sc")
    localise: bool = True
    report_unprocessed: bool = False
    commitment: bool = False
    priors: int = 0

    def check(self) -> None:
        """Raise NanoRayError for invalid AE titles or contradictory settings."""
        for title in (self.title, *self.allowed_titles):
            if not is_ae_title(title):
                raise NanoRayError(
                    "an AE title must have 1 to 16 printable characters, without a backslash"
                )
        if self.port is not None and not self.allowed_titles:
            raise NanoRayError("name the AE titles that may send images: --allow-ae TITLE")
        if not self.kinds or not set(self.kinds) <= set(KINDS):
            raise NanoRayError(f"--send-as: results are sent as {', '.join(KINDS)}")
        if set(self.kinds) == {"seg"} and not self.localise:
            raise NanoRayError(
                "--send-as seg sends nothing without the map: add --send-as sr or sc, or leave "
                "out --no-map and --no-send-map"
            )
        if self.priors and self.source is None:
            raise NanoRayError("--priors: name the server that has them: --dicomweb URL")
        if self.report_unprocessed and not {"sr", "sc"}.intersection(self.kinds):
            raise NanoRayError(
                "--send-unprocessed sends a report or a picture: add --send-as sr or --send-as sc"
            )


def pause(settings: NodeSettings, attempts: int) -> float:
    """Return the seconds between an attempt and the next one."""
    doubled: float = settings.first_pause * 2.0 ** min(attempts - 1, 20)
    return min(settings.longest_pause, doubled)
