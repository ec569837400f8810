"""Files that are wrong, each in its own way: every one is refused for its own reason."""

from __future__ import annotations

import logging
import os
import traceback
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hostile_files import GOOD, GREY, MALFORMED, PNG, TIFF, contents, lut_item, palette, rle
from nanoray.errors import UnreadableError
from nanoray.reading import REASONS, limits, read
from nanoray.reading.dicom import reader as reading_dicom
from nanoray.reading.pool import read_many
from reading_files import (
    RLE,
    SECRET,
    compressed,
    dicom,
    image_elements,
    pydicom_test_file,
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All malformed files, and a good one."""
    path = tmp_path_factory.mktemp("hostile")
    for name in MALFORMED:
        (path / name).write_bytes(contents(name))
    (path / "good.dcm").write_bytes(dicom(GOOD))
    return path


@pytest.mark.parametrize("name", MALFORMED)
def test_each_is_refused_for_its_reason(
    name: str,
    folder: Path,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
    recwarn: pytest.WarningsRecorder,
) -> None:
    caplog.set_level(0)
    with pytest.raises(UnreadableError) as caught:
        read(folder / name)
    error = caught.value
    assert error.code == MALFORMED[name][1]
    assert error.source == str(folder / name)
    assert error.reason == REASONS[error.code]
    assert str(error) == f"{folder / name}: {error.reason}"
    # Nothing of the file is told: not in the error and what hangs on it, nor by the libraries.
    out, err = capfd.readouterr()
    told = [str(error), repr(error), repr(error.__cause__), caplog.text, out, err]
    told += [str(warning.message) for warning in recwarn]
    assert not any("ZZSECRET" in text for text in told)
    assert not caplog.records
    assert not recwarn.list
    assert error.__cause__ is None
    assert error.__context__ is None or error.__suppress_context__


@pytest.mark.slow
def test_one_batch_reads_them_all_and_a_good_file_after_each(
    folder: Path, capfd: pytest.CaptureFixture[str], recwarn: pytest.WarningsRecorder
) -> None:
    good = folder / "good.dcm"
    sources = [path for name in MALFORMED for path in (folder / name, good)]
    readings = list(read_many(sources, 16, workers=2))
    assert [reading.source for reading in readings] == [str(source) for source in sources]
    expected = readings[1].square
    assert expected is not None
    for name, bad, fine in zip(MALFORMED, readings[::2], readings[1::2], strict=True):
        assert bad.error is not None, name
        assert bad.error.code == MALFORMED[name][1]
        assert bad.square is None
        assert fine.error is None
        assert np.array_equal(fine.square, expected)
    assert capfd.readouterr() == ("", "")
    assert not recwarn.list


def test_there_are_many_reasons_and_each_has_its_words() -> None:
    assert len(MALFORMED) >= 45
    assert len({code for _, code in MALFORMED.values()}) >= 45
    assert len(set(REASONS.values())) == len(REASONS)
    # Every reason for a DICOM, PNG, JPEG or TIFF file has its example above, less those that need
    # a special file or an array, or that no file is known to bring about.
    elsewhere = {
        *("missing", "directory", "special-file", "no-permission", "read-failed"),
        *("not-fetched", "file-too-large", "array-shape", "array-type", "not-finite"),
        *("memory", "timeout", "crash"),
        *("archive-damaged", "archive-encrypted", "archive-empty"),
        *("raster-mode", "unexpected", "heif", "link-loop"),
    }
    assert {code for _, code in MALFORMED.values()} == set(REASONS) - elsewhere


# What is no regular file.


def refused(source: Any) -> str:
    with pytest.raises(UnreadableError) as caught:
        read(source)
    return caught.value.code


def test_paths_that_are_no_files(tmp_path: Path) -> None:
    assert refused(tmp_path / "none.dcm") == "missing"
    assert refused(tmp_path / "none" / "none.dcm") == "missing"
    assert refused("nul\0byte") == "missing"
    assert refused("x" * 5000) == "missing"
    assert refused(tmp_path) == "directory"
    (tmp_path / "file").write_bytes(b"a")
    assert refused(tmp_path / "file" / "below") == "missing"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert refused(tmp_path / "pipe") == "special-file"
    assert refused("/dev/zero") == "special-file"


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read all")
def test_a_file_that_may_not_be_read(tmp_path: Path) -> None:
    path = tmp_path / "locked.dcm"
    path.write_bytes(dicom(GOOD))
    path.chmod(0)
    assert refused(path) == "no-permission"


def test_a_huge_file_is_not_opened(tmp_path: Path) -> None:
    path = tmp_path / "huge.dcm"
    with path.open("wb") as file:
        file.truncate(limits.MAX_FILE_BYTES + 1)
    assert refused(path) == "file-too-large"


def test_bytes_are_named_as_such() -> None:
    with pytest.raises(UnreadableError) as caught:
        read(b"")
    assert caught.value.source == "<bytes>"


def test_random_damage_never_escapes_as_anything_else() -> None:
    # Whatever a few changed bytes do, the outcome is an image or an `UnreadableError`.
    rng = np.random.default_rng(11)
    files = [
        dicom(GOOD, WindowCenter=2048, WindowWidth=4096, VOILUTSequence=lut_item(9, 9)),
        dicom(GREY, **palette()),
        compressed(GREY, RLE, rle(64, body=b"\x81\x07" * 40)),
        PNG,
        TIFF,
    ]
    outcomes = []
    for file in files:
        for _ in range(60):
            damaged = bytearray(file)
            for place in rng.integers(0, min(len(file), 900), size=4):
                damaged[place] = rng.integers(256)
            try:
                pixels = read(bytes(damaged)).pixels
                assert np.isfinite(pixels).all()
                outcomes.append("read")
            except UnreadableError as error:
                outcomes.append(error.code)
    assert "unexpected" not in outcomes
    assert "read" in outcomes
    assert len(set(outcomes)) > 10


def test_the_files_of_pydicom_are_read_or_refused() -> None:
    # Many are broken or odd on purpose; none may crash, hang or need much memory.
    sources = sorted(path for path in pydicom_test_file("CT_small.dcm").parent.glob("*.dcm"))
    outcomes = [r.error.code if r.error else "read" for r in read_many(sources, 16, workers=2)]
    assert outcomes.count("read") >= 50
    assert not {"crash", "timeout", "memory", "malformed-dicom"} & set(outcomes)


def test_a_defect_of_ours_stops_no_batch_and_tells_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError(SECRET)

    monkeypatch.setattr(reading_dicom, "read_dicom", broken)
    with pytest.raises(UnreadableError) as caught:
        read(dicom(GOOD))
    assert caught.value.code == "unexpected"
    shown = "".join(traceback.format_exception(caught.value))
    assert "ZeroDivisionError" not in shown


def test_silence_ends_with_reading(caplog: pytest.LogCaptureFixture) -> None:
    logger = logging.getLogger("pydicom")
    level = logger.level
    filters = list(warnings.filters)
    with pytest.raises(UnreadableError):
        read(dicom(GOOD, Rows=0))
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(read, [dicom(GOOD)] * 20))
    assert logger.level == level
    assert list(warnings.filters) == filters
    logger.warning("heard again")
    assert "heard again" in caplog.text


def test_image_elements_hold_the_secret() -> None:
    # The leak tests above look for something that is really there.
    assert SECRET in image_elements(GOOD).values()
    assert SECRET.encode() in contents("rows-too-many")
