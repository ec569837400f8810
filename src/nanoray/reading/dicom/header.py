"""The elements of a DICOM header, without needless conversions of pydicom."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from pydicom import Dataset
from pydicom.datadict import dictionary_VR
from pydicom.dataelem import DataElement, RawDataElement

from nanoray.reading.dicom.character_set import decoded, is_plain, legacy_readings

_TEXT: Final = ("AS", "CS", "DA", "UI")
"""Value representations of text in the default repertoire (PS3.5 6.2)."""
_TEXTS: Final = frozenset((*_TEXT, "DS", "IS", "LO", "SH", "ST", "LT", "TM", "DT"))
_CODED_ENTRY: Final = {0x00080100: "CodeValue", 0x00080104: "CodeMeaning"}


def _is_text(vr: str | None) -> bool:
    return vr in _TEXTS


def _vr(element: RawDataElement) -> str | None:
    return dictionary_VR(element.tag) if element.VR in (None, "UN") else element.VR


class Header:
    """Some elements of a data set, with look-ups as in a `pydicom.Dataset`.

    Most look-ups are for absent elements, and most values are one number or one code. pydicom would
    take a tenth of a file's reading time for these.

    Attributes:
        file_meta: the File Meta Information.
        original_encoding: whether the data set was implicit VR, and whether little endian.
    """

    def __init__(self, dataset: Dataset, file_meta: Dataset, keywords: Mapping[int, str]) -> None:
        """Take the elements with known keywords from a data set that was just read."""
        self.file_meta = file_meta
        self.original_encoding = dataset.original_encoding
        self._dataset = dataset
        # Plain numbers, since pydicom's tags have a slow comparison.
        self._elements = {keywords.get(int(tag)): element for tag, element in dataset.items()}

    def __contains__(self, keyword: str) -> bool:
        return keyword in self._elements

    def __getitem__(self, keyword: str) -> DataElement:
        if keyword not in self._elements:
            raise KeyError(keyword)
        return self._dataset[keyword]

    def texts(self, keyword: str) -> list[str] | None:
        """Return the values of an element stored as text, without conversion, with padding.

        pydicom returns a malformed number as text, or refuses it. None for elements of numbers and
        sequences; an empty list without the element.
        """
        element = self._elements.get(keyword)
        if element is None:
            return []
        if not isinstance(element, RawDataElement):
            value = element.value
            if isinstance(value, str):
                return [value]
            if isinstance(value, (list, tuple)) or hasattr(value, "append"):
                return [str(each) for each in value] if _is_text(element.VR) else None
            return [str(value)] if _is_text(element.VR) and value is not None else None
        if not _is_text(_vr(element)):
            return None
        value = element.value or b""
        return value.decode("latin-1").split("\\") if value else []

    def get(self, keyword: str) -> Any:
        """Return the value of an element; None without it."""
        element = self._elements.get(keyword)
        if element is None:
            return None
        if isinstance(element, RawDataElement) and element.value:
            value = element.value
            if element.VR == "US" and len(value) == 2:
                return int.from_bytes(value, "little" if element.is_little_endian else "big")
            plain = is_plain(value)
            if element.VR in _TEXT and plain and b"\\" not in value:
                return value.decode("ascii").rstrip(" \0")
            if not plain and _is_text(_vr(element)):
                # pydicom takes code strings as Latin-1, whatever the character set.
                return decoded(value, self._dataset.original_character_set).rstrip(" \0")
        return self._dataset.get(keyword)

    def legacy_readings(self, keyword: str) -> list[str]:
        """Return the readings of a text in code pages that the header does not state."""
        element = self._elements.get(keyword)
        if not isinstance(element, RawDataElement) or not _is_text(_vr(element)):
            return []
        return legacy_readings(element.value or b"", self._dataset.original_character_set)

    def coded(self, keyword: str) -> Header | None:
        """Return the code value and meaning in a sequence's first item; None without an item."""
        try:
            return Header(self[keyword].value[0], self.file_meta, _CODED_ENTRY)
        except Exception:
            return None
