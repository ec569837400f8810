"""The failure of a delivery, to whatever kind of destination."""

from __future__ import annotations

from nanoray.errors import NanoRayError


class DeliveryError(NanoRayError):
    """A delivery failed; `code` says how in a word."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code
