"""ZIP and tar files, DICOMDIR and standard input as sources."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nanoray.errors import NanoRayError
from nanoray.reading import unpacking
from nanoray.reading.finding import find
from nanoray.reading.pool import read_many
from nanoray.reading.unpacking import Unpacked
from reading_files import chest, dicom, pydicom_test_file

FILM = dicom(chest())


def packed(path: Path, names: dict[str, bytes]) -> Path:
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in names.items():
                archive.writestr(name, content)
        return path
    modes: dict[str, Any] = {".tar": "w", ".tgz": "w:gz", ".xz": "w:xz", ".bz2": "w:bz2"}
    with tarfile.open(path, modes[path.suffix]) as archive:
        for name, content in names.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


@pytest.fixture
def scratch(tmp_path: Path) -> Path:
    folder = tmp_path / "scratch"
    folder.mkdir()
    return folder


@pytest.mark.parametrize("suffix", [".zip", ".tar", ".tgz", ".xz", ".bz2"])
def test_the_images_in_an_archive(tmp_path: Path, scratch: Path, suffix: str) -> None:
    # Names that would leave the folder land in it.
    names = {"a/IM1": FILM, "../../IM2.dcm": FILM, "/etc/IM3": FILM, "README.txt": b"text " * 99}
    archive = packed(tmp_path / f"films{suffix}", names)
    found = find([archive], lambda: scratch)
    assert found.passed_over == {"not an image": 1}
    assert all(isinstance(source, Unpacked) for source in found.paths)
    assert {path.parent for path in scratch.rglob("*")} == {scratch}
    readings = list(read_many(found.paths, 16, workers=1))
    assert [reading.error for reading in readings] == [None] * 3
    assert readings[0].source == f"{archive}/a/IM1"


def test_limits_and_damage(tmp_path: Path, scratch: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = packed(tmp_path / "many.zip", {f"IM{n}": FILM for n in range(5)})
    damaged = tmp_path / "damaged.zip"
    content = bytearray(archive.read_bytes())
    content[60:400] = bytes(340)
    damaged.write_bytes(content)
    with pytest.raises(NanoRayError, match="damaged"):
        find([damaged], lambda: scratch)
    monkeypatch.setattr(unpacking, "MAX_MEMBERS", 4)
    with pytest.raises(NanoRayError, match="unpack it first"):
        find([archive], lambda: scratch)
    monkeypatch.setattr(unpacking, "MAX_MEMBERS", 40)
    monkeypatch.setattr(unpacking, "MAX_TOTAL_BYTES", 2 * len(FILM))
    with pytest.raises(NanoRayError, match="unpack it first"):
        find([archive], lambda: scratch)


def test_a_dicomdir_lists_its_files(scratch: Path) -> None:
    directory = pydicom_test_file("dicomdirtests") / "DICOMDIR"
    if not directory.is_file():
        pytest.skip("pydicom without its test files")
    found = find([directory], lambda: scratch)
    assert len(found.paths) > 10
    assert all(str(path).startswith(str(directory.parent)) for path in found.paths)


def test_standard_input() -> None:
    code = (
        "import sys, pathlib, tempfile\n"
        "from nanoray.reading.finding import find\n"
        "from nanoray.reading import read\n"
        "with tempfile.TemporaryDirectory() as folder:\n"
        "    (source,) = find(['-'], lambda: pathlib.Path(folder)).paths\n"
        "    print(source.name, read(source.path).pixels.shape)\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], input=FILM, capture_output=True, check=True
    )
    assert result.stdout.split() == [b"-", b"(96,", b"80)"]


@pytest.mark.skipif(os.name == "nt", reason="links need rights on Windows")
def test_links_that_lead_nowhere(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "dead").symlink_to("nowhere")
    with pytest.raises(NanoRayError, match="leads back to itself"):
        find([tmp_path / "loop"])
    with pytest.raises(NanoRayError, match="to a file that does not exist"):
        find([tmp_path / "dead"])
    (tmp_path / "good.dcm").write_bytes(FILM)
    readings = {Path(r.source).name: r for r in read_many(find([tmp_path]).paths, 16, workers=1)}
    assert readings["loop"].error is not None
    assert readings["loop"].error.code == "link-loop"
    assert readings["good.dcm"].square is not None
    assert np.count_nonzero(readings["good.dcm"].square)


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may list all")
def test_a_folder_that_may_not_be_listed(tmp_path: Path) -> None:
    locked = tmp_path / "locked"
    locked.mkdir()
    (tmp_path / "good.dcm").write_bytes(FILM)
    locked.chmod(0)
    try:
        assert find([tmp_path]).unlisted == (locked,)
        with pytest.raises(NanoRayError, match="not permitted"):
            find([locked])
    finally:
        locked.chmod(0o700)


def test_a_folder_that_cannot_be_listed_is_noted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "locked").mkdir()
    (tmp_path / "good.dcm").write_bytes(FILM)
    scandir = os.scandir

    def refusing(path: str) -> object:
        if str(path).endswith("locked"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refusing)
    found = find([tmp_path])
    assert found.unlisted == (tmp_path / "locked",)
    assert len(found.paths) == 1
