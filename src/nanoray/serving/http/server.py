"""Running the application with uvicorn."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from typing import Any

import uvicorn
from fastapi import FastAPI

from nanoray.errors import NanoRayError
from nanoray.serving.certificates import Renewal
from nanoray.serving.http.connection import Connection


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


def run(app: FastAPI, *, listening: Callable[[str], None]) -> None:
    """Serve until SIGTERM or SIGINT; then finish accepted work.

    Args:
        app: the application of `nanoray.serving.http.application.create`.
        listening: called with the address when the service accepts requests.

    Raises:
        NanoRayError: the socket, certificate or key is invalid, or the service could not start.
    """
    settings = app.state.service.settings
    options: dict[str, Any] = {}
    if settings.tls_cert is not None:
        options = {
            "ssl_certfile": settings.tls_cert,
            "ssl_keyfile": settings.tls_key,
        }
    config = uvicorn.Config(
        app,
        http=Connection,
        ws="none",
        host=settings.host,
        port=settings.port,
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
    if config.ssl is not None and settings.tls_cert is not None and settings.tls_key is not None:
        config.ssl.minimum_version = ssl.TLSVersion.TLSv1_2
        renewal = Renewal(config.ssl, settings.tls_cert, settings.tls_key)
        app.state.service.chores.append(renewal.check)
    server = _Server(config, listening)
    try:
        server.run()
    except SystemExit:
        if app.state.failure is not None:
            raise app.state.failure from None
        raise NanoRayError(
            f"cannot serve on {settings.host} port {settings.port}; see the log"
        ) from None
    if not server.started:
        if app.state.failure is not None:
            raise app.state.failure
        raise NanoRayError("the service could not start; see the log")
