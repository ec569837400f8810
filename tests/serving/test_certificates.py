"""Certificates are renewed without a restart."""

from __future__ import annotations

import os
import socket
import ssl
import threading
from pathlib import Path

from certificates import write_certificate
from nanoray.serving.certificates import Renewal


def shown(context: ssl.SSLContext) -> bytes:
    """Return the certificate that a server with this context shows."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            with context.wrap_socket(connection, server_side=True) as secure:
                secure.recv(1)

        thread = threading.Thread(target=serve)
        thread.start()
        client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        client.check_hostname, client.verify_mode = False, ssl.CERT_NONE
        with (
            socket.create_connection(server.getsockname()) as plain,
            client.wrap_socket(plain) as secure,
        ):
            found = secure.getpeercert(binary_form=True)
            secure.send(b"x")
        thread.join()
    assert found is not None
    return found


def test_a_renewed_certificate_is_shown(tmp_path: Path) -> None:
    certificate, key = write_certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    renewal = Renewal(context, certificate, key)
    assert not renewal.check()
    old = shown(context)
    write_certificate(tmp_path)
    os.utime(certificate, (1, 1))
    assert renewal.check()
    new = shown(context)
    assert new != old
    # One that cannot be used leaves the one in use.
    key.write_text("nonsense")
    assert not renewal.check()
    assert shown(context) == new
