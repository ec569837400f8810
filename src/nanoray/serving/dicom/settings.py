"""What an operator decides about the DICOM node."""

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
        host, port: where it listens; port 0 takes a free one, None listens nowhere.
        title: its AE title.
        allowed_titles: AE titles that may send; it answers nobody else.
        tls: context for TLS, which demands certificates of peers if it was made so.
        destinations: where reports go.
        source: the DICOMweb server that studies are fetched from.
        quiet_seconds: a study's report is written when no image came for so long.
        attempts: deliveries are given up after so many; with the pauses about three days.
        first_pause: seconds before the second attempt; doubled with each, up to `longest_pause`.
        longest_pause: seconds between two attempts at most.
        max_associations: at the same time.
        max_associations_per_address: of them from one address.
        kinds: objects that results are sent as.
        localise: whether they tell where in the image the evidence lies.
        report_unprocessed: whether images that are not judged are reported as such.
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
        """Raise NanoRayError for titles that are none, or an open door."""
        for title in (self.title, *self.allowed_titles):
            if not is_ae_title(title):
                raise NanoRayError("an AE title has 1 to 16 printable characters, no backslash")
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
