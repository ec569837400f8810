"""Lossless JPEG by libjpeg-turbo (extra "codecs") gives the samples of the core's decoder."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from pydicom.uid import JPEGLosslessSV1

from nanoray.reading.dicom import decoding
from nanoray.reading.dicom.frame import Frame

imagecodecs = pytest.importorskip("imagecodecs", reason="needs the extra codecs")


@pytest.mark.parametrize("bits", [8, 12, 16])
@pytest.mark.parametrize("ended", [True, False])
def test_both_decoders_agree(bits: int, ended: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    allocated = 8 if bits == 8 else 16
    samples = (
        np.random.default_rng(8).integers(0, 1 << bits, (120, 90)).astype(f"u{allocated // 8}")
    )
    data = imagecodecs.jpeg8_encode(samples, lossless=True, bitspersample=bits)
    data = data if ended else data[:-2]
    frame = Frame(120, 90, 1, "MONOCHROME2", 0, allocated, bits, bits - 1, False, "PixelData")

    def decoded() -> np.ndarray:
        compressed = decoding.checked(frame, JPEGLosslessSV1, data)
        return decoding.decode_compressed(compressed, JPEGLosslessSV1, None, [])[0]

    assert decoding._decode_lossless_jpeg(frame, data, bits) is not None
    fast = decoded()
    monkeypatch.setitem(sys.modules, "imagecodecs", None)
    assert decoding._decode_lossless_jpeg(frame, data, bits) is None
    patient = decoded()
    np.testing.assert_array_equal(fast, samples)
    np.testing.assert_array_equal(patient, samples)
    assert fast.dtype == patient.dtype
