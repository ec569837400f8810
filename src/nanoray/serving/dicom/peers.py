"""The peers of the DICOM node, made from its settings: addresses with TLS contexts."""

from __future__ import annotations

import socket
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nanoray.errors import NanoRayError
from nanoray.serving.dicom.destinations import Destination, WebDestination, parse
from nanoray.serving.dicom.settings import NodeSettings


@dataclass(frozen=True, slots=True)
class Peers:
    """The peers of a node.

    Attributes:
        tls: context of incoming associations; it may require certificates. None for no TLS.
        destinations: destinations of reports.
        source: the DICOMweb server for fetching studies.
    """

    tls: ssl.SSLContext | None = None
    destinations: tuple[Destination, ...] = ()
    source: WebDestination | None = None

    @property
    def contexts(self) -> list[ssl.SSLContext]:
        """Return the TLS contexts, each once."""
        found = [self.tls, *(getattr(one, "tls", None) for one in self.destinations)]
        return list({id(one): one for one in found if one is not None}.values())


def connect(settings: NodeSettings, certificate: Path | None, key: Path | None) -> Peers:
    """Make the peers of a node; nothing is sent.

    Args:
        certificate, key: PEM files of the service, for `settings.tls`.

    Raises:
        NanoRayError: an address or a file is invalid, or the certificate is missing.
    """
    incoming = outgoing = None
    if settings.tls:
        if certificate is None or key is None:
            raise NanoRayError("--dicom-tls needs --tls-cert and --tls-key")
        incoming = tls_context(certificate, key, settings.authority, server=True)
        outgoing = tls_context(certificate, key, settings.authority, server=False)
    elif settings.authority is not None:
        try:
            outgoing = ssl.create_default_context(cafile=str(settings.authority))
        except (OSError, ssl.SSLError):
            raise NanoRayError(f"{settings.authority}: not a certificate (PEM)") from None
    source = None
    if settings.source is not None:
        parsed = parse(settings.source, tls=outgoing)
        if not isinstance(parsed, WebDestination):
            raise NanoRayError("--dicomweb must be an http:// or https:// address")
        source = parsed
    destinations = tuple(parse(text, tls=outgoing) for text in settings.destinations)
    return Peers(incoming, destinations, source)


class _ServerContext(ssl.SSLContext):
    """Makes the TLS handshake at the first read of a connection, in its thread.

    pynetdicom would make it in the thread that accepts all connections, and a silent peer would
    block that thread.
    """

    def wrap_socket(self, sock: socket.socket, *args: Any, **options: Any) -> ssl.SSLSocket:
        """Wrap a connection; see `ssl.SSLContext.wrap_socket`."""
        return super().wrap_socket(sock, *args, **options | {"do_handshake_on_connect": False})


def tls_context(
    certificate: Path, key: Path, authority: Path | None, *, server: bool
) -> ssl.SSLContext:
    """Make a context for DICOM over TLS (PS3.15 B.9); with an authority, peers need certificates.

    Raises:
        NanoRayError: a file is invalid.
    """
    trusted = None if authority is None else str(authority)
    try:
        if server:
            context: ssl.SSLContext = _ServerContext(ssl.PROTOCOL_TLS_SERVER)
            if trusted is not None:
                context.load_verify_locations(trusted)
                context.verify_mode = ssl.CERT_REQUIRED
        else:
            context = ssl.create_default_context(cafile=trusted)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_cert_chain(certificate, key)
    except (OSError, ssl.SSLError):
        raise NanoRayError("a certificate or key for DICOM over TLS cannot be used") from None
    return context
