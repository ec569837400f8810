"""A header's values are those that pydicom gives, however they are looked up."""

from __future__ import annotations

import io
from typing import Any

import pytest
from pydicom import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filereader import read_dataset
from pydicom.filewriter import write_dataset
from pydicom.tag import Tag

from nanoray.reading.dicom.header import Header

VALUES: dict[str, Any] = {
    "Rows": 1024,
    "BitsStored": 12,
    "PhotometricInterpretation": "MONOCHROME1",
    "SOPClassUID": "1.2.840.10008.5.1.4.1.1.1",
    "PatientAge": "061Y",
    "StudyDate": "20261124",
    "Modality": "",
    "ImageType": ["DERIVED", "PRIMARY"],
    "PixelSpacing": [0.14, 0.14],
    "WindowCenter": 2048,
    "NumberOfFrames": 1,
    "PixelAspectRatio": [1, 1],
}
ABSENT = "ViewPosition"
KEYWORDS = {int(Tag(keyword)): keyword for keyword in (*VALUES, ABSENT)}


def read_back(implicit: bool, little_endian: bool) -> Dataset:
    """Return the values, written and read."""
    dataset = Dataset()
    for keyword, value in VALUES.items():
        setattr(dataset, keyword, value)
    stream = DicomBytesIO()
    stream.is_implicit_VR, stream.is_little_endian = implicit, little_endian
    write_dataset(stream, dataset)
    return read_dataset(io.BytesIO(stream.getvalue()), implicit, little_endian)


@pytest.mark.parametrize(("implicit", "little_endian"), [(0, 1), (1, 1), (0, 0)])
def test_values_are_those_of_pydicom(implicit: int, little_endian: int) -> None:
    header = Header(read_back(bool(implicit), bool(little_endian)), Dataset(), KEYWORDS)
    expected = read_back(bool(implicit), bool(little_endian))
    for keyword in VALUES:
        assert keyword in header
        assert (header.get(keyword) or "") == (expected.get(keyword) or ""), keyword
        assert header[keyword].value == expected[keyword].value


def test_what_is_absent() -> None:
    header = Header(read_back(False, True), Dataset(), KEYWORDS)
    assert ABSENT not in header
    assert header.get(ABSENT) is None
    with pytest.raises(KeyError):
        header[ABSENT]
