"""Settings of the DICOM node, from the operator; `nanoray serve` has an option for most."""

from __future__ import annotations

import re
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Final, Literal, get_args

from nanoray.errors import NanoRayError
from nanoray.fields import setting

Kind = Literal["sr", "sc", "seg", "gsps"]
"""Objects of a result: Structured Report, Secondary Capture, Segmentation, Grayscale
Softcopy Presentation State."""
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)

_AE_TITLE = re.compile(r"[\x20-\x5b\x5d-\x7e]{1,16}")
_NODE, _REPORTS = "DICOM node", "Reports"


def is_ae_title(text: str) -> bool:
    """Return whether a text is an application entity title (PS3.5 6.2, VR AE)."""
    return _AE_TITLE.fullmatch(text) is not None and bool(text.strip())


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeSettings:
    """Settings of the DICOM node.

    The fields with a help text are options of `nanoray serve`.

    Attributes:
        longest_pause: largest number of seconds between two attempts of a delivery. With the
            default pauses, the default attempts last about three days.
        max_associations: largest number of associations at a time.
        max_associations_per_address: of them from one address.
    """

    port: int | None = setting(
        None,
        "Accept images by C-STORE on this port; 0: a free one.",
        least=0,
        most=65535,
        panel=_NODE,
    )
    host: str | None = setting(
        None, "Address of the DICOM node.", shown="that of --host", panel=_NODE
    )
    title: str = setting(
        "NANORAY", "AE title of the DICOM node.", options=("--ae-title",), panel=_NODE
    )
    allowed_titles: tuple[str, ...] = setting(
        (),
        "AE title that may send images; may be repeated.",
        options=("--allow-ae",),
        metavar="TITLE",
        panel=_NODE,
    )
    tls: bool = setting(
        False,
        "Use TLS for C-STORE, with --tls-cert and --tls-key.",
        options=("--dicom-tls",),
        panel=_NODE,
    )
    authority: Path | None = setting(
        None,
        "Authority (PEM) of the certificates of DICOM peers and destinations.",
        options=("--tls-ca",),
        metavar="FILE",
        panel=_NODE,
    )
    source: str | None = setting(
        None,
        "DICOMweb server for fetching studies.",
        options=("--dicomweb",),
        metavar="URL",
        panel=_NODE,
    )
    priors: int = setting(
        0,
        "Earlier radiographs of a patient to fetch from --dicomweb, judge and compare.",
        least=0,
        most=2,
        options=("--priors",),
        panel=_NODE,
    )
    quiet_seconds: float = setting(
        5.0,
        "Seconds without a new image that end a study.",
        least=0,
        options=("--study-wait",),
        panel=_NODE,
    )
    destinations: tuple[str, ...] = setting(
        (),
        "Destination of reports on studies: dicom://TITLE@HOST:PORT, dicoms:// with TLS, the "
        "https:// address of a DICOMweb server, the fhir+https:// address of a FHIR server, or "
        "mllp://HOST:PORT for HL7 v2 (mllps:// with TLS); may be repeated.",
        options=("--send-to",),
        metavar="URL",
        panel=_REPORTS,
    )
    kinds: tuple[Kind, ...] = setting(
        ("sr", "sc"),
        "Objects to send: sr (Structured Report), sc (Secondary Capture), seg (Segmentation), "
        "gsps (presentation state); may be repeated.",
        options=("--send-as",),
        metavar="KIND",
        panel=_REPORTS,
    )
    localise: bool = setting(
        True,
        "Include the location of the evidence in the sent objects.",
        options=("--send-map/--no-send-map",),
        panel=_REPORTS,
    )
    segmentation_plane: bool = setting(
        False,
        "Give a Segmentation a nominal plane, which OHIF needs to show it.",
        options=("--seg-plane",),
        panel=_REPORTS,
    )
    report_unprocessed: bool = setting(
        False,
        "Also report images without a decision, with the reason.",
        options=("--send-unprocessed",),
        panel=_REPORTS,
    )
    attempts: int = setting(
        300,
        "Attempts before a delivery is marked dead; the default lasts three days.",
        least=1,
        options=("--delivery-attempts",),
        panel=_REPORTS,
    )
    first_pause: float = setting(
        5.0,
        "Seconds before the second attempt; then doubled.",
        least=0.05,
        options=("--delivery-pause",),
        panel=_REPORTS,
    )
    commitment: bool = setting(
        False,
        "Ask DICOM destinations to confirm that they keep what they were sent.",
        options=("--storage-commitment",),
        panel=_REPORTS,
    )
    longest_pause: float = 900.0
    max_associations: int = 32
    max_associations_per_address: int = 16

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
        # Both are made from the structured report.
        if "sr" not in self.kinds and any(
            text.startswith(("fhir+", "mllp")) for text in self.destinations
        ):
            raise NanoRayError("FHIR and HL7 destinations need the report: add --send-as sr")
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

    def check_used(self) -> None:
        """Raise NanoRayError for an option of `nanoray serve` that would have no effect."""
        for field in fields(self):
            about = field.metadata
            if "help" not in about or getattr(self, field.name) == field.default:
                continue
            # Of "--on/--off" the second one differs from the default.
            named = about["options"] or (f"--dicom-{field.name}",)
            option = named[0].rpartition("/")[2]
            if about["panel"] == _REPORTS and option != "--send-to" and not self.destinations:
                raise NanoRayError(f"{option} needs a destination of reports: give --send-to URL")
            unreachable = self.port is None and option in ("--allow-ae", "--dicom-host")
            if unreachable or (self.port is None and self.source is None):
                raise NanoRayError(f"{option} needs the DICOM node: give --dicom-port PORT")


def pause(settings: NodeSettings, attempts: int) -> float:
    """Return the seconds between an attempt and the next one."""
    doubled: float = settings.first_pause * 2.0 ** min(attempts - 1, 20)
    return min(settings.longest_pause, doubled)
