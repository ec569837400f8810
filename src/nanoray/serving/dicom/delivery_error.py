"""The failure of a delivery, for all kinds of destinations."""

from __future__ import annotations

from nanoray.errors import NanoRayError


class DeliveryError(NanoRayError):
    """A delivery failed; `code` is the reason in one word."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code
