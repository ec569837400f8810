"""Text of a header in its character set (PS3.5 6.1)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from pydicom.charset import decode_bytes
from pydicom.valuerep import TEXT_VR_DELIMS

_ESCAPE: Final = 0x1B
# Encodings in which a short text can be valid UTF-8 by chance.
_SEVERAL_BYTES: Final = frozenset({"shift_jis", "euc_kr", "gbk", "gb2312", "gb18030"})


def is_plain(value: bytes) -> bool:
    """Return whether a value is ASCII, without the escape sequences of ISO 2022."""
    return value.isascii() and _ESCAPE not in value


def decoded(value: bytes, encodings: str | Sequence[str]) -> str:
    """Decode a value that is not plain.

    Valid UTF-8 is taken as UTF-8, also where the header states no character set or one of single
    bytes: many systems write UTF-8 below ISO_IR 100, and in these sets it makes no words.

    Args:
        value: the bytes, without conversion.
        encodings: Python's names of the stated character sets, as pydicom gives them.
    """
    named = [encodings] if isinstance(encodings, str) else list(encodings)
    if _ESCAPE not in value and _SEVERAL_BYTES.isdisjoint(name.lower() for name in named):
        try:
            return value.decode("utf-8")
        except UnicodeDecodeError:
            pass
    try:
        text = decode_bytes(value, named, TEXT_VR_DELIMS)
    except Exception:
        text = "\ufffd"
    return value.decode("latin-1") if "\ufffd" in text else text
