"""Text of a header in its character set (PS3.5 6.1)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from pydicom.charset import decode_bytes
from pydicom.valuerep import TEXT_VR_DELIMS

_ESCAPE: Final = 0x1B
# Encodings in which a short text can be valid UTF-8 by chance.
_SEVERAL_BYTES: Final = frozenset({"shift_jis", "euc_kr", "gbk", "gb2312", "gb18030"})

# pydicom's encodings of a header without a character set, and of ISO_IR 100. Many systems write
# their own code page below either.
_UNSTATED: Final = frozenset({"iso8859", "latin_1"})
# Code pages of single bytes, then of several; the phone's reader has the same.
_LEGACY: Final = (
    *("cp1251", "koi8_r", "iso8859_5", "cp1253", "cp1255", "cp1256", "iso8859_6", "cp874"),
    *("gb18030", "big5", "shift_jis", "euc_kr"),
)


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
        unicode = _strictly(value, "utf-8")
        if unicode is not None:
            return unicode
    try:
        text = decode_bytes(value, named, TEXT_VR_DELIMS)
    except Exception:
        text = "\ufffd"
    return value.decode("latin-1") if "\ufffd" in text else text


def legacy_readings(value: bytes, encodings: str | Sequence[str]) -> list[str]:
    """Decode a value in the code pages that systems write without stating them.

    Most of the readings make no words. They are for comparison with known words only.

    Returns:
        An empty list for plain text, for valid UTF-8, and if the header states another character
        set than ISO_IR 100.
    """
    named = [encodings] if isinstance(encodings, str) else list(encodings)
    if is_plain(value) or _ESCAPE in value or not _UNSTATED.issuperset(named):
        return []
    if _strictly(value, "utf-8") is not None:
        return []
    return [text for page in _LEGACY if (text := _strictly(value, page)) is not None]


def _strictly(value: bytes, encoding: str) -> str | None:
    try:
        return value.decode(encoding)
    except UnicodeDecodeError:
        return None
