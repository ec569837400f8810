"""Text of DICOM headers, decoded also with a wrong Specific Character Set.

Specific Character Set (0008,0005) is often missing, misspelt ("ISO IR 100", "UTF-8") or an isolated
code extension. A report copies a patient's name and must not fail because of it.
"""

from __future__ import annotations

import re
import unicodedata
from datetime import date
from typing import Final

from pydicom.charset import decode_bytes, python_encoding

_NUMBERS: Final = {
    int(term.rpartition(" ")[2])
    for term in python_encoding
    if re.fullmatch(r"ISO[_ ](?:IR|2022 IR) \d+", term)
}
_NAMES: Final = {
    "": "ascii",
    "ASCII": "ascii",
    "US ASCII": "ascii",
    "UTF 8": "utf-8",
    "UTF8": "utf-8",
    "UNICODE": "utf-8",
    "GB18030": "gb18030",
    "GBK": "gbk",
    "GB2312": "gb2312",
    "LATIN1": "latin-1",
    "LATIN 1": "latin-1",
    "WINDOWS 1252": "cp1252",
    "CP1252": "cp1252",
    "WINDOWS 1251": "cp1251",
    "CP1251": "cp1251",
    "SHIFT JIS": "shift_jis",
    "SJIS": "shift_jis",
    "EUC KR": "euc_kr",
    "EUC JP": "euc_jp",
}
# Code extensions (PS3.5 6.1.2.5). All escape sequences are decoded everywhere, since they are more
# reliable than the declared character sets.
_EXTENSIONS: Final = tuple(
    dict.fromkeys(
        encoding
        for term, encoding in python_encoding.items()
        if re.fullmatch(r"ISO[_ ](?:IR|2022 IR) \d+", term) and not term.endswith(" 192")
    )
)
_DELIMITERS: Final = {0x0D, 0x0A, 0x09, 0x0C, 0x5E, 0x3D}
_CONTROL: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def encodings(terms: list[str]) -> list[str]:
    """Return the Python encodings of Specific Character Set, the first one for plain text.

    Args:
        terms: values of (0008,0005), unchanged; unknown ones are skipped.
    """
    found = [encoding for term in terms if (encoding := _encoding(term)) is not None]
    return found or ["ascii"]


def _encoding(term: str) -> str | None:
    plain = " ".join(re.split(r"[-_\s]+", term.strip().upper()))
    if plain in _NAMES:
        return _NAMES[plain]
    match = re.fullmatch(r"(?:ISO )?(?:2022 )?(?:IR )?(\d+)", plain)
    number = int(match[1]) if match else None
    if number == 192:
        return "utf-8"
    if number == 6:
        return "ascii"
    if number in _NUMBERS:
        return python_encoding.get(f"ISO_IR {number}") or python_encoding[f"ISO 2022 IR {number}"]
    match = re.fullmatch(r"(?:ISO )?8859 (\d{1,2})", plain)
    if match and 1 <= int(match[1]) <= 16 and int(match[1]) != 12:
        return f"iso8859_{int(match[1])}"
    return None


def decode(raw: bytes, declared: list[str]) -> str:
    """Decode the bytes of a text element, without errors.

    Args:
        raw: value of the element, padding included.
        declared: result of `encodings`.

    Returns:
        The text without padding and control characters, in Unicode's composed form.
    """
    text = None
    if b"\x1b" in raw:
        known = [*declared, *(name for name in _EXTENSIONS if name not in declared)]
        try:
            text = decode_bytes(raw, known, _DELIMITERS)
        except (UnicodeError, LookupError):
            text = None
    if text is None:
        # cp1252 covers latin-1 except five bytes; latin-1 accepts every byte.
        for encoding in (declared[0], "utf-8", "cp1252"):
            try:
                text = raw.decode(encoding)
                break
            except (UnicodeError, LookupError):
                continue
        else:
            text = raw.decode("latin-1")
    return unicodedata.normalize("NFC", _CONTROL.sub("", text)).strip(" \0")


def date_text(text: str) -> str:
    """Return a DICOM date (DA), or "" for an invalid one."""
    match = re.fullmatch(r"(\d{4})[-./]?(\d{2})[-./]?(\d{2})", text.strip())
    if match is None:
        return ""
    try:
        return date(int(match[1]), int(match[2]), int(match[3])).strftime("%Y%m%d").rjust(8, "0")
    except ValueError:
        return ""


def time_text(text: str) -> str:
    """Return a DICOM time (TM), or "" for an invalid one."""
    pattern = r"(\d{2})(?::?(\d{2})(?::?(\d{2})(\.\d{1,6})?)?)?"
    match = re.fullmatch(pattern, text.strip())
    if match is None:
        return ""
    hour, minute, second = match[1], match[2] or "00", match[3] or "00"
    # 60 is a leap second.
    if int(hour) > 23 or int(minute) > 59 or int(second) > 60:
        return ""
    return f"{match[1]}{match[2] or ''}{match[3] or ''}{match[4] or ''}"


def age_text(text: str) -> str:
    """Return a DICOM age (AS), or "" for an invalid one."""
    match = re.fullmatch(r"(\d{1,3})([DWMYdwmy])", text.strip())
    return f"{int(match[1]):03d}{match[2].upper()}" if match else ""
