"""Middleware for every request: id, security headers, host checks, measurements, and log."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from fastapi import Request

from nanoray.serving.audit import Audit
from nanoray.serving.http.audited import record
from nanoray.serving.http.problems import Problem, unavailable
from nanoray.serving.journal import log, log_error
from nanoray.serving.metrics import Metrics
from nanoray.serving.settings import Settings
from nanoray.serving.storage.database import DatabaseUnavailableError
from nanoray.serving.storage.tables import new_id

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

LOOPBACK_NAMES = ("localhost", "127.0.0.1", "[::1]")
_CONTENT_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
    "connect-src 'self'; font-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
_HEADERS = {
    "content-security-policy": _CONTENT_POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=(), payment=()",
}
_TLS_HEADERS = {"strict-transport-security": "max-age=31536000"}
_METHODS = ("GET", "HEAD", "POST", "DELETE", "OPTIONS", "PUT", "PATCH")


def client_address(request: Request) -> str:
    """Return the caller's address from the connection; headers are not trusted."""
    return request.client.host if request.client else "unknown"


class Headless:
    """ASGI middleware: HEAD is answered like GET, without the body (RFC 9110 9.3.2)."""

    def __init__(self, app: App) -> None:
        """Answer for `app`."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self._app(scope, receive, send)
            return
        ended = False

        async def head(message: Message) -> None:
            nonlocal ended
            if message["type"] == "http.response.start":
                await send(message)
            elif not ended:
                ended = True
                await send({"type": "http.response.body", "body": b"", "more_body": False})

        await self._app({**scope, "method": "GET"}, receive, head)


class Guard:
    """ASGI middleware for all answers."""

    def __init__(
        self, app: App, settings: Settings, metrics: Metrics, audit: Audit | None = None
    ) -> None:
        """Guard `app`."""
        self._app = app
        self._audit = audit
        self._metrics = metrics
        self._headers = _HEADERS | (_TLS_HEADERS if settings.tls else {})
        self._hosts = set(settings.allowed_hosts)
        if settings.no_auth:
            self._hosts |= set(LOOPBACK_NAMES)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        request_id = new_id()
        status = 500
        begun = False

        async def guarded(message: Message) -> None:
            nonlocal status, begun
            if message["type"] == "http.response.start":
                begun = True
                status = message["status"]
                given = {name.lower() for name, _ in message.get("headers", ())}
                headers = self._headers | {"x-request-id": request_id}
                if b"cache-control" not in given:
                    headers["cache-control"] = "no-store"
                message["headers"] = [
                    *message.get("headers", ()),
                    *((k.encode(), v.encode()) for k, v in headers.items()),
                ]
            await send(message)

        try:
            problem = self._refusal(scope)
            if problem is not None:
                await problem.response()(scope, receive, guarded)
            else:
                await self._app(scope, receive, guarded)
        except DatabaseUnavailableError:
            self._metrics.database_failures.inc()
            if not begun:
                answer = unavailable("database", "the database is not available")
                await answer.response()(scope, receive, guarded)
        except Exception as error:
            log_error("request failed", error, request=request_id)
            if begun:
                raise
            answer = Problem(500, "internal", "internal error; see the log")
            await answer.response()(scope, receive, guarded)
        finally:
            route = getattr(scope.get("route"), "path", None) or "none"
            method = scope["method"] if scope["method"] in _METHODS else "other"
            seconds = time.perf_counter() - started
            self._metrics.requests.labels(method, route, str(status)).inc()
            self._metrics.request_seconds.labels(route).observe(seconds)
            if self._audit is not None:
                record(self._audit, scope, route, status)
            if route not in ("/healthz", "/readyz", "/metrics"):
                log(
                    "request",
                    request=request_id,
                    method=method,
                    route=route,
                    status=status,
                    milliseconds=round(1000 * seconds, 1),
                )

    def _refusal(self, scope: Scope) -> Problem | None:
        headers = dict(scope["headers"])
        if self._hosts:
            host = headers.get(b"host", b"").decode("latin-1")
            name = host.rpartition(":")[0] if not host.endswith("]") and ":" in host else host
            if name.lower() not in self._hosts:
                return Problem(421, "host", "unknown host name; see --allowed-host")
        # Refuse requests of pages of other origins, even if the browser sends them.
        site = headers.get(b"sec-fetch-site", b"same-origin")
        if scope["method"] not in ("GET", "HEAD") and site not in (b"same-origin", b"none"):
            return Problem(403, "cross-origin", "requests from pages of other origins are refused")
        origin = headers.get(b"origin")
        if origin is not None and scope["method"] not in ("GET", "HEAD"):
            host = headers.get(b"host", b"").decode("latin-1")
            if origin.decode("latin-1").partition("://")[2] != host:
                return Problem(
                    403, "cross-origin", "requests from pages of other origins are refused"
                )
        return None
