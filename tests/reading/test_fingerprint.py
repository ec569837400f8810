"""Fingerprints: of content, and keyed hashes of identifiers."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path

import numpy as np
from PIL import Image

from nanoray.datasets import phantom
from nanoray.reading.fingerprint import fingerprint, keyed_hash
from nanoray.reading.pool import Pool, read_many

KEY = b"a secret of some length"


def test_dicom(tmp_path: Path) -> None:
    path = tmp_path / "a.dcm"
    phantom.write_dicom(phantom.draw(1, size=32), path)
    data = path.read_bytes()
    plain = fingerprint(data)
    assert plain.content == hashlib.sha256(data).hexdigest()
    assert (plain.patient, plain.study, plain.instance) == (None, None, None)
    hashed = fingerprint(data, KEY)
    assert hashed.patient == keyed_hash(KEY, "patient", "PHANTOM-1")
    assert len({hashed.patient, hashed.study, hashed.instance}) == 3
    assert fingerprint(data, b"another secret").patient != hashed.patient


def test_others() -> None:
    buffer = io.BytesIO()
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(buffer, "PNG")
    for data in (buffer.getvalue(), b"", b"\0" * 128 + b"DICM" + b"\xff" * 50):
        found = fingerprint(data, KEY)
        assert found.content == hashlib.sha256(data).hexdigest()
        assert found.patient is None


def test_readings_carry_them_and_processes_stay(tmp_path: Path) -> None:
    path, broken = tmp_path / "a.dcm", tmp_path / "b.dcm"
    phantom.write_dicom(phantom.draw(1, size=32), path)
    broken.write_bytes(b"nothing")
    with Pool(60) as pool:
        for _ in range(2):
            read, bad, gone = read_many(
                [path, broken, tmp_path / "c"], 16, workers=1, fingerprints=True, hash_key=KEY,
                pool=pool,
            )  # fmt: skip
            assert read.fingerprint == fingerprint(path.read_bytes(), KEY)
            assert bad.fingerprint is not None
            assert bad.error is not None
            assert gone.fingerprint is None
        assert len(pool._all) == 1
    assert not pool._all
