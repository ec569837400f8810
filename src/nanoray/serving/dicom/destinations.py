"""Destinations of reports: DICOM nodes, DICOMweb and FHIR servers, and HL7 v2 receivers."""

from __future__ import annotations

import io
import os
import re
import ssl
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from nanoray.dicomweb import AUTHORIZATION, Client, DicomWebError
from nanoray.errors import NanoRayError
from nanoray.reading.quiet import quiet
from nanoray.serving.dicom.delivery_error import DeliveryError
from nanoray.serving.dicom.fhir import FhirDestination
from nanoray.serving.dicom.hl7 import Hl7Destination
from nanoray.serving.dicom.settings import is_ae_title

_TIMEOUT = 30.0
_APPLICATION = re.compile(r"[A-Za-z0-9_. -]{0,20}")


@dataclass(frozen=True, slots=True)
class DicomDestination:
    """A DICOM node that stores reports.

    Attributes:
        title: its AE title.
        host, port: its address.
        tls: the context for TLS; None for none.
    """

    title: str
    host: str
    port: int
    tls: ssl.SSLContext | None = None

    @property
    def name(self) -> str:
        """Return the configured URL of the destination."""
        return f"{'dicoms' if self.tls else 'dicom'}://{self.title}@{self.host}:{self.port}"

    def send(self, objects: Sequence[bytes], own_title: str) -> None:
        """Store DICOM files there, over one association.

        Raises:
            DeliveryError: some files were not stored.
        """
        from pydicom import dcmread

        # Trusted files, written by `nanoray.serving.dicom.documents`.
        with quiet():
            data_sets = [dcmread(io.BytesIO(data)) for data in objects]
        contexts = [
            (item.file_meta.MediaStorageSOPClassUID, item.file_meta.TransferSyntaxUID)
            for item in data_sets
        ]
        with self.associated(own_title, contexts) as association:
            for data_set in data_sets:
                try:
                    status = association.send_c_store(data_set)
                except (ValueError, RuntimeError):
                    raise DeliveryError("not-supported") from None
                if "Status" not in status:
                    raise DeliveryError("interrupted")
                if status.Status != 0x0000 and status.Status >> 12 != 0xB:
                    raise DeliveryError(f"status-{status.Status:04x}")

    @contextmanager
    def associated(
        self,
        own_title: str,
        contexts: Iterable[tuple[str, str | None]],
        handlers: Sequence[Any] = (),
    ) -> Iterator[Any]:
        """Provide an association, released or aborted at the end.

        Args:
            own_title: AE title of the one that calls.
            contexts: SOP classes, each with a transfer syntax or None for the usual ones.
            handlers: of pynetdicom's events.

        Raises:
            DeliveryError: there is no association.
        """
        from pynetdicom import AE

        node = AE(ae_title=own_title)
        node.acse_timeout = node.dimse_timeout = node.network_timeout = _TIMEOUT
        node.connection_timeout = 10.0
        for sop_class, syntax in contexts:
            node.add_requested_context(sop_class, *([] if syntax is None else [syntax]))
        arguments: dict[str, Any] = {"tls_args": (self.tls, self.host)} if self.tls else {}
        association = node.associate(
            self.host, self.port, ae_title=self.title, evt_handlers=list(handlers), **arguments
        )
        if not association.is_established:
            raise DeliveryError("rejected" if association.is_rejected else "unreachable")
        try:
            yield association
        finally:
            if association.is_established:
                association.release()
            else:
                association.abort()


@dataclass(frozen=True, slots=True)
class WebDestination:
    """A DICOMweb server.

    Attributes:
        url: of its services, without a trailing slash.
        tls: trusted certificates, for https.
    """

    url: str
    tls: ssl.SSLContext | None = None

    @property
    def name(self) -> str:
        """Return the configured URL of the destination."""
        return self.url

    def send(self, objects: Sequence[bytes], own_title: str) -> None:
        """Store DICOM files there by STOW-RS (PS3.18 10.5), with one request.

        Raises:
            DeliveryError: some files were not stored.
        """
        with Client(tls=self.tls) as client:
            try:
                client.store(self.url, objects)
            except DicomWebError as error:
                raise DeliveryError(error.code) from None


Destination = DicomDestination | WebDestination | FhirDestination | Hl7Destination


def parse(text: str, *, tls: ssl.SSLContext | None = None) -> Destination:
    """Parse a destination's URL.

    It is dicom://TITLE@HOST:PORT, http(s)://... for DICOMweb, fhir+http(s)://... for FHIR, or
    mllp://[APPLICATION@]HOST:PORT for HL7 v2; dicoms:// and mllps:// use TLS.

    Raises:
        NanoRayError: the URL is invalid. It is not repeated, since it may contain a password.
    """
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise NanoRayError("a destination's address is malformed") from None
    if parts.scheme in ("dicom", "dicoms"):
        title, _, _ = parts.netloc.rpartition("@")
        if not is_ae_title(title) or not parts.hostname or not port:
            raise NanoRayError("a DICOM destination must be dicom://AETITLE@HOST:PORT")
        context = (tls or ssl.create_default_context()) if parts.scheme == "dicoms" else None
        return DicomDestination(title, parts.hostname, port, context)
    if parts.scheme in ("mllp", "mllps"):
        application, _, _ = parts.netloc.rpartition("@")
        if not parts.hostname or not port or _APPLICATION.fullmatch(application) is None:
            raise NanoRayError("an HL7 destination must be mllp://[APPLICATION@]HOST:PORT")
        context = (tls or ssl.create_default_context()) if parts.scheme == "mllps" else None
        return Hl7Destination(parts.hostname, port, application, context)
    if parts.scheme in ("fhir+http", "fhir+https") and parts.hostname:
        if parts.username or parts.password:
            raise NanoRayError("give a FHIR server's credentials in NANORAY_FHIR_AUTHORIZATION")
        url = text.removeprefix("fhir+").rstrip("/")
        return FhirDestination(url, os.environ.get("NANORAY_FHIR_AUTHORIZATION"), tls)
    if parts.scheme in ("http", "https") and parts.hostname:
        if parts.username or parts.password:
            raise NanoRayError(f"give a DICOMweb server's credentials in {AUTHORIZATION}")
        return WebDestination(text.rstrip("/"), tls)
    raise NanoRayError(
        "a destination must begin with dicom://, dicoms://, http://, https://, fhir+https://, "
        "mllp:// or mllps://"
    )
