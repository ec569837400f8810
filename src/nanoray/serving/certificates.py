"""Renewal of certificates while the service runs: new connections get the new one."""

from __future__ import annotations

import logging
import ssl
from pathlib import Path

from nanoray.serving.journal import log, log_error


class Renewal:
    """Reloads a certificate and its key when their files change."""

    def __init__(self, context: ssl.SSLContext, certificate: Path, key: Path) -> None:
        """Watch the files of `context`."""
        self._context = context
        self._certificate, self._key = certificate, key
        self._seen = self._state()

    def _state(self) -> tuple[int, int]:
        try:
            return self._certificate.stat().st_mtime_ns, self._key.stat().st_mtime_ns
        except OSError:
            return 0, 0

    def check(self) -> bool:
        """Load the files if they have changed; keep the old ones if the new ones are invalid.

        Returns:
            Whether they were loaded.
        """
        state = self._state()
        if state == self._seen or 0 in state:
            return False
        self._seen = state
        try:
            # Tested in a separate context first: a mismatched pair would invalidate this one.
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(self._certificate, self._key)
            self._context.load_cert_chain(self._certificate, self._key)
        except (OSError, ssl.SSLError) as error:
            log_error("renewed certificate cannot be used", error)
            return False
        log("certificate renewed", logging.INFO)
        return True
