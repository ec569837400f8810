"""The requests in the audit log, with their events."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any, Final

from nanoray.serving.audit import Action, Audit, Entry, Event

_ROUTES: Final[dict[tuple[str, str], tuple[Event, Action]]] = {
    ("GET", "/v1/predictions"): (Event.QUERY, "E"),
    ("POST", "/v1/predictions"): (Event.IMPORT, "C"),
    ("POST", "/v1/jobs"): (Event.IMPORT, "C"),
    ("POST", "/v1/dicom/pulls"): (Event.IMPORT, "C"),
    ("GET", "/v1/dicom/deliveries"): (Event.QUERY, "E"),
    ("GET", "/v1/dicom/reports"): (Event.QUERY, "E"),
}
_METHODS: Final[dict[str, tuple[Event, Action]]] = {
    "GET": (Event.ACCESSED, "R"),
    "POST": (Event.ACCESSED, "U"),
    "PUT": (Event.ACCESSED, "U"),
    "PATCH": (Event.ACCESSED, "U"),
    "DELETE": (Event.DELETED, "D"),
}
_PASSED_OVER: Final = ("/v1/events", "/v1/model")


def record(audit: Audit, scope: MutableMapping[str, Any], route: str, status: int) -> None:
    """Record a request for data, and each request that was refused for its role.

    Args:
        audit: the log.
        scope: of the request, with the owner of its key in the state.
        route: pattern of its path.
        status: of its answer.
    """
    state = scope.get("state") or {}
    owner = state.get("owner")
    client = scope.get("client")
    user = f"{owner.kind} {owner.id}" if owner is not None else ""
    address = str(client[0]) if client else ""
    event: Event
    action: Action
    names = [str(value) for value in (scope.get("path_params") or {}).values()]
    if status == 401:
        event, action = Event.AUTHENTICATION, "E"
    elif status in (403, 421):
        event, action = Event.ALERT, "E"
    elif not route.startswith(("/v1/", "/fhir/", "/dicom-web/")) or route in _PASSED_OVER:
        return
    else:
        event, action = _ROUTES.get((scope["method"], route)) or _METHODS.get(
            scope["method"], (Event.ACCESSED, "R")
        )
    audit.record(
        Entry(
            event=event,
            action=action,
            failed=status >= 400,
            user=user,
            address=address,
            object_id=names[0] if names else route,
            detail=f"{scope['method']} {route}",
        )
    )
