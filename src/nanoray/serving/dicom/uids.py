"""UIDs of DICOM (PS3.5 9)."""

from __future__ import annotations

import re
from typing import Final

_UID: Final = re.compile(r"[0-9]+(\.[0-9]+)*")


def is_uid(text: str) -> bool:
    """Return whether a text is a DICOM UID (PS3.5 9.1), also with leading zeros."""
    return 0 < len(text) <= 64 and _UID.fullmatch(text) is not None
