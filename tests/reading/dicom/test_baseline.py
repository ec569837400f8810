"""Baseline JPEG: a fast decoder, and a patient one for what the first refuses."""

from __future__ import annotations

import io

import numpy as np
import pytest
import simplejpeg
from PIL import Image
from pydicom.uid import JPEGBaseline8Bit

from nanoray.reading import codestream
from nanoray.reading.dicom.decoding import _decode_baseline, checked
from nanoray.reading.dicom.frame import Frame
from nanoray.reading.raster import load_reduced


def frame_of(rows: int, columns: int) -> Frame:
    return Frame(rows, columns, 1, "MONOCHROME2", 0, 8, 8, 7, False, "PixelData")


def jpeg_of(rows: int, columns: int) -> bytes:
    grid = np.add.outer(np.arange(rows) * 0.7, np.arange(columns) * 0.3)
    noise = np.random.default_rng(6).normal(0, 20, grid.shape)
    buffer = io.BytesIO()
    Image.fromarray(np.clip(grid % 256 + noise, 0, 255).astype(np.uint8)).save(buffer, "JPEG")
    return buffer.getvalue()


def by_pillow(data: bytes, scale: int) -> np.ndarray:
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(load_reduced(image, scale))


@pytest.mark.parametrize("size", [(256, 256), (255, 301), (130, 97)])
@pytest.mark.parametrize("scale", [1, 2, 4, 8])
def test_both_decoders_agree(
    size: tuple[int, int], scale: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = jpeg_of(*size)
    # Without the patient decoder, so that the fast one has to give the result.
    monkeypatch.setattr("nanoray.reading.dicom.decoding.load_reduced", None)
    stored = _decode_baseline(frame_of(*size), data, scale)
    np.testing.assert_array_equal(stored, by_pillow(data, scale))


def test_small_damage_is_decoded_past() -> None:
    data = bytearray(jpeg_of(64, 64))
    data[-2:-2] = bytes(12)  # bytes too many before the end marker
    with pytest.raises(ValueError, match="extraneous"):
        simplejpeg.decode_jpeg(bytes(data), "GRAY")
    stored = _decode_baseline(frame_of(64, 64), bytes(data), 1)
    np.testing.assert_array_equal(stored, by_pillow(bytes(data), 1))


@pytest.mark.parametrize("tail", [b"", b"\0", b" ", b"\0\xff\xff junk"])
def test_what_follows_the_end_marker_is_cut_off(tail: bytes) -> None:
    data = jpeg_of(64, 64)
    assert codestream.cut(data + tail, jpeg=True) == (data, True)


def test_a_scan_without_its_coefficients_is_mended() -> None:
    data = jpeg_of(64, 64)
    at = data.index(b"\x00\x3f\x00", data.index(b"\xff\xda"))
    broken = data[: at + 1] + b"\0" + data[at + 2 :]
    assert codestream.sequential(broken) == data
    assert checked(frame_of(64, 64), JPEGBaseline8Bit, broken).data == data
