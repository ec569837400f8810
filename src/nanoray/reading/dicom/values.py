"""Values of header elements, also in forms that deviate from PS3.5."""

from __future__ import annotations

import math
import re
import unicodedata
from typing import Any, Final

# A number, with a decimal point or comma, and perhaps a unit: "2047.5", "2047,5", "2047 HU".
_NUMBER: Final = re.compile(
    r"([+-]?(?:\d+(?:[.,]\d*)?|[.,]\d+)(?:[eE][+-]?\d+)?)\s*[A-Za-z%/]*", re.ASCII
)
# "1,024" is ambiguous: 1.024 or 1024. No group of thousands begins with 0: "0,400" is 0.4.
_AMBIGUOUS: Final = re.compile(r"[+-]?[1-9]\d{0,2},\d{3}(?!\d)", re.ASCII)
# Space, signs and punctuation, also of East Asian scripts.
_BETWEEN: Final = re.compile(r"[\s\x00-/:-@\[-`{-\xbf\u2000-\u206f\u3000-\u303f]+")
_ACCENTS: Final = re.compile(r"[\u0300-\u036f]")
# Letters that do not decompose into a plain one and an accent.
_LETTERS: Final = str.maketrans({"Ł": "L", "Ø": "O", "Đ": "D", "Æ": "AE", "Œ": "OE"})


def decimal(text: str) -> float | None:
    """Return the number in a decimal string (VR DS), also with a decimal comma or a unit.

    None for anything else; an ambiguous value is not guessed.
    """
    text = text.strip(" \0\t\r\n")
    match = _NUMBER.fullmatch(text)
    if match is None or _AMBIGUOUS.match(text):
        return None
    number = float(match[1].replace(",", "."))
    return number if math.isfinite(number) else None


def decimals(header: Any, keyword: str) -> list[float | None]:
    """Return all values of a numeric element; None in place of one that is not a number."""
    texts = header.texts(keyword)
    if texts is not None:
        return [decimal(text) for text in texts] if any(text.strip() for text in texts) else []
    try:
        value = header.get(keyword)
    except Exception:
        return [None]
    if value is None or value == "":
        return []
    values = value if isinstance(value, (list, tuple)) or hasattr(value, "append") else [value]
    found: list[float | None] = []
    for each in values:
        try:
            number = decimal(each) if isinstance(each, str) else float(each)
        except (TypeError, ValueError, OverflowError):
            number = None
        found.append(number if number is not None and math.isfinite(number) else None)
    return found


def integer(header: Any, keyword: str, default: int | None = None) -> int | None:
    """Return an integer element; the default if it is absent or empty, None if it is malformed.

    Several values count as one if they are equal or 0, as of a number in twice its bytes.
    """
    try:
        value = header.get(keyword)
        if hasattr(value, "append") and len(value):
            distinct = {int(each) for each in value} - {0}
            return None if len(distinct) > 1 else max(distinct, default=0)
        return default if value is None or value == "" else int(value)
    except Exception:
        return None


def text(header: Any, keyword: str) -> str | None:
    """Return a text element in capitals, without padding; None if it is absent or empty.

    Several values are separated by backslashes, as they are stored.
    """
    try:
        value = header.get(keyword)
        if hasattr(value, "append"):
            value = "\\".join(str(each) for each in value)
        return None if value is None else str(value).strip("\x00 ").upper() or None
    except Exception:
        return None


def code(value: str | None) -> str | None:
    """Return a code string (VR CS): at most 16 capitals, digits, spaces, underscores."""
    return value if value and re.fullmatch(r"[A-Z0-9 _]{1,16}", value) else None


def words(value: str | None) -> list[str]:
    """List a text's words in capitals, without accents; other scripts are kept."""
    plain = unicodedata.normalize("NFKD", value or "").upper()
    # Hangul is composed again after it loses the accents.
    plain = unicodedata.normalize("NFC", _ACCENTS.sub("", plain)).translate(_LETTERS)
    return [word for word in _BETWEEN.split(plain) if word]
