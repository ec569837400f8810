"""Running the application with uvicorn."""

from __future__ import annotations

import ipaddress
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import FastAPI

from nanoray.errors import NanoRayError
from nanoray.serving.certificates import Renewal
from nanoray.serving.http.connection import Connection


@dataclass(frozen=True, slots=True)
class Address:
    """The address of the service, and its certificate.

    Attributes:
        host, port: of the socket; port 0 takes a free one.
        certificate, key: PEM files for TLS; None for plain HTTP.
    """

    host: str
    port: int
    certificate: Path | None = None
    key: Path | None = None


def is_loopback(host: str) -> bool:
    """Return whether only this machine can reach a socket bound to `host`."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, listening: Callable[[str], None]) -> None:
        super().__init__(config)
        self._listening = listening

    async def startup(self, sockets: Any = None) -> None:
        await super().startup(sockets)
        if not self.started:
            return
        host, port = self.servers[0].sockets[0].getsockname()[:2]
        scheme = "https" if self.config.is_ssl else "http"
        self._listening(f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}")

    async def shutdown(self, sockets: Any = None) -> None:
        # Streams of events are endless, and would delay the shutdown.
        _app(self.config).state.service.events.close()
        await super().shutdown(sockets)


def _app(config: uvicorn.Config) -> FastAPI:
    app = config.app
    assert isinstance(app, FastAPI)
    return app


def run(app: FastAPI, address: Address, *, listening: Callable[[str], None]) -> None:
    """Serve until SIGTERM or SIGINT; then finish accepted work.

    Args:
        app: the application of `nanoray.serving.http.application.create`.
        address: of the service.
        listening: called with the address when the service accepts requests.

    Raises:
        NanoRayError: the socket, certificate or key is invalid, or the service could not start.
    """
    settings = app.state.service.settings
    options: dict[str, Any] = {}
    if address.certificate is not None:
        options = {
            "ssl_certfile": address.certificate,
            "ssl_keyfile": address.key,
        }
    config = uvicorn.Config(
        app,
        http=Connection,
        ws="none",
        host=address.host,
        port=address.port,
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        lifespan="on",
        timeout_keep_alive=int(settings.header_timeout),
        timeout_graceful_shutdown=int(settings.answer_timeout) + 5,
        limit_concurrency=2000,
        **options,
    )
    try:
        config.load()
    except (OSError, ssl.SSLError) as error:
        raise NanoRayError(f"the certificate or its key cannot be used: {error}") from None
    if config.ssl is not None and address.certificate is not None and address.key is not None:
        config.ssl.minimum_version = ssl.TLSVersion.TLSv1_2
        renewal = Renewal(config.ssl, address.certificate, address.key)
        app.state.service.chores.append(renewal.check)
    server = _Server(config, listening)
    try:
        server.run()
    except SystemExit:
        if app.state.failure is not None:
            raise app.state.failure from None
        raise NanoRayError(
            f"cannot serve on {address.host} port {address.port}; see the log"
        ) from None
    if not server.started:
        if app.state.failure is not None:
            raise app.state.failure
        raise NanoRayError("the service could not start; see the log")
