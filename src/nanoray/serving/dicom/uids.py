"""UIDs of DICOM (PS3.5 9)."""

from __future__ import annotations

import re
from typing import Final
from uuid import UUID, uuid5

_NAMES: Final = UUID("a3f6bb0e-6a4c-4d0f-8a55-4a5fd6a7b0de")
_UID: Final = re.compile(r"[0-9]+(\.[0-9]+)*")


def is_uid(text: str) -> bool:
    """Return whether a text is a DICOM UID (PS3.5 9.1), also with leading zeros."""
    return 0 < len(text) <= 64 and _UID.fullmatch(text) is not None


def uid_of(*parts: str) -> str:
    """Derive a UID from names (PS3.5 B.2); equal names have equal UIDs."""
    return f"2.25.{uuid5(_NAMES, '/'.join(parts)).int}"
