"""Every runtime gets the same from the same file; this is the Python one."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

import nanoray
from nanoray.detecting.model_file import packaged_model
from nanoray.reading import letterbox, read

HERE = Path(__file__).parent / "vectors"
EXPECTED = json.loads((HERE / "expected.json").read_text())
NAMES = sorted(EXPECTED["files"])


def test_vectors_are_of_the_packaged_model_and_complete() -> None:
    digest = hashlib.sha256(packaged_model().read_bytes()).hexdigest()
    assert digest == EXPECTED["model_sha256"], "the model file changed: run `make vectors`"
    assert sorted(path.name for path in (HERE / "inputs").iterdir()) == NAMES
    assert len(NAMES) >= 8


@pytest.mark.parametrize("name", NAMES)
def test_vector(name: str) -> None:
    wanted, size = EXPECTED["files"][name], EXPECTED["size"]
    path = HERE / "inputs" / name
    assert hashlib.sha256(path.read_bytes()).hexdigest() == wanted["sha256"]
    square, place = letterbox(read(path).pixels, size)
    assert [place.top, place.left, place.height, place.width] == wanted["placement"]
    stored = np.fromfile(HERE / "squares" / f"{name}.u16", "<u2").reshape(size, size) / 65535
    np.testing.assert_allclose(square, stored, atol=wanted["square_tolerance"])
    detector = nanoray.load()
    outputs = detector.infer(square[None, None])
    assert outputs.logit[0] == pytest.approx(wanted["logit"], abs=wanted["logit_tolerance"])
    cam = np.array(wanted["cam"])
    np.testing.assert_allclose(outputs.cam[0], cam, atol=0.1 * np.abs(cam).max())
    assert detector.predict(path).decision == wanted["decision"]


def test_encodings_of_one_image_agree() -> None:
    """The same drawing through different syntaxes gives the same pixels."""
    for first, second in (
        ("implicit-8bit.dcm", "rle-8bit.dcm"),
        ("explicit-12bit.dcm", "jpeg2000-12bit.dcm"),
    ):
        a, b = (read(HERE / "inputs" / name).pixels for name in (first, second))
        np.testing.assert_array_equal(a, b)
