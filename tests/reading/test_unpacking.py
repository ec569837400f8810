"""ZIP and tar files, DICOMDIR and standard input as sources."""

from __future__ import annotations

import errno
import gzip
import io
import os
import subprocess
import sys
import tarfile
import zipfile
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, MediaStorageDirectoryStorage

from nanoray.errors import NanoRayError
from nanoray.reading import unpacking
from nanoray.reading.finding import Found, find
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


def reasons(found: Found) -> dict[str, str | None]:
    """Return the codes of what was found by name, without the folder."""
    return {
        reading.source.rpartition("films")[2]: reading.error and reading.error.code
        for reading in read_many(found.paths, 16, workers=1)
    }


def test_limits(tmp_path: Path, scratch: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = packed(tmp_path / "many.zip", {f"IM{n}": FILM for n in range(5)})
    monkeypatch.setattr(unpacking, "MAX_MEMBERS", 4)
    with pytest.raises(NanoRayError, match="unpack it first"):
        find([archive], lambda: scratch)
    monkeypatch.setattr(unpacking, "MAX_MEMBERS", 40)
    monkeypatch.setattr(unpacking, "MAX_TOTAL_BYTES", 2 * len(FILM))
    with pytest.raises(NanoRayError, match="unpack it first"):
        find([archive], lambda: scratch)


@pytest.mark.parametrize("place", [60, 5000], ids=["its beginning", "its checksum"])
def test_a_damaged_member_of_a_zip_file_is_named(tmp_path: Path, scratch: Path, place: int) -> None:
    archive = tmp_path / "films.zip"
    with zipfile.ZipFile(archive, "w") as stream:
        stream.writestr(zipfile.ZipInfo("IM0"), FILM, zipfile.ZIP_STORED if place > 99 else 8)
        stream.writestr("IM1", FILM)
    content = bytearray(archive.read_bytes())
    content[place : place + 40] = bytes(byte ^ 255 for byte in content[place : place + 40])
    archive.write_bytes(content)
    assert reasons(find([archive], lambda: scratch)) == {
        ".zip/IM0": "archive-damaged",
        ".zip/IM1": None,
    }


@pytest.mark.parametrize("suffix", [".tar", ".tgz", ".xz", ".bz2"])
def test_of_a_cut_tar_file_the_whole_members_remain(
    tmp_path: Path, scratch: Path, suffix: str
) -> None:
    noise = np.random.default_rng(7)
    films = {
        f"IM{n}": dicom(noise.integers(0, 4096, (96, 80), np.uint16)) for n in range(9)
    }  # 150 kB that do not compress
    archive = packed(tmp_path / f"films{suffix}", films)
    archive.write_bytes(archive.read_bytes()[: archive.stat().st_size * 2 // 3])
    found = reasons(find([archive], lambda: scratch))
    assert found[suffix] == "archive-damaged"
    # bzip2 has blocks of 900 kB, so of this one nothing remains.
    assert found.get(f"{suffix}/IM1") is None
    assert len([code for code in found.values() if code is None]) >= (0 if ".bz" in suffix else 3)


@pytest.mark.parametrize("change", ["ends", "changed"])
def test_a_tar_file_that_lacks_a_header_is_damaged(
    tmp_path: Path, scratch: Path, change: str
) -> None:
    archive = packed(tmp_path / "films.tar", {"IM0": FILM, "IM1": FILM})
    content = archive.read_bytes()
    header = content.index(b"IM1")
    if change == "ends":
        archive.write_bytes(content[:header])
    else:
        archive.write_bytes(content[:header] + b"?" + content[header + 1 :])
    assert reasons(find([archive], lambda: scratch)) == {
        ".tar/IM0": None,
        ".tar": "archive-damaged",
    }


def test_an_encrypted_member_is_named(tmp_path: Path, scratch: Path) -> None:
    archive = packed(tmp_path / "films.zip", {"IM0": FILM, "IM1": FILM})
    content = bytearray(archive.read_bytes())
    content[content.index(b"PK\1\2") + 8] |= 1  # of IM0 in the central directory
    archive.write_bytes(content)
    assert reasons(find([archive], lambda: scratch)) == {
        ".zip/IM0": "archive-encrypted",
        ".zip/IM1": None,
    }


def test_members_follow_the_rules_of_folders(tmp_path: Path, scratch: Path) -> None:
    inner = packed(tmp_path / "inner.zip", {"IM1": FILM}).read_bytes()
    archive = packed(
        tmp_path / "films.zip",
        {
            "cd/IM1": FILM,
            "empty.dcm": b"",
            "text.dcm": b"text",
            "inner.zip": inner,
            "notes.txt": b"text",
            "cd/DICOMDIR": FILM,
            "cd/IM1.heatmap.png": b"\x89PNG\r\n\x1a\n",
            "cd/.hidden.dcm": FILM,
            ".cache/IM1.dcm": FILM,
            "__MACOSX/cd/._IM1": FILM,
        },
    )
    found = find([archive], lambda: scratch)
    assert found.passed_over == {
        "DICOMDIR": 1,
        "archive": 1,
        "heat map of an earlier run": 1,
        "hidden": 3,
        "not an image": 1,
    }
    assert reasons(found) == {
        ".zip/cd/IM1": None,
        ".zip/empty.dcm": "empty-file",
        ".zip/text.dcm": "not-an-image",
    }


def test_archives_without_images_say_so(tmp_path: Path, scratch: Path) -> None:
    packed(tmp_path / "films.zip", {"notes.txt": b"text"})
    cut = packed(tmp_path / "films-cut.zip", {"IM1": FILM})
    cut.write_bytes(cut.read_bytes()[:-30])
    short = packed(tmp_path / "films-cut.tar", {"IM1": FILM})
    short.write_bytes(short.read_bytes()[:300])
    (tmp_path / "films.gz").write_bytes(gzip.compress(FILM))
    expected = {
        ".zip": "archive-empty",
        "-cut.zip": "archive-damaged",
        "-cut.tar": "archive-damaged",
        ".gz": "archive",
    }
    paths = [tmp_path / f"films{name}" for name in expected]
    assert reasons(find(paths, lambda: scratch)) == expected
    # Without a folder to unpack into, the reader says the same.
    assert reasons(find(paths)) == expected


def test_a_full_disk_is_not_taken_for_damage(
    tmp_path: Path, scratch: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = packed(tmp_path / "films.zip", {"IM1": FILM})

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "open", full)
    with pytest.raises(OSError, match="No space left"):
        unpacking.unpack(archive, scratch, Counter())


@pytest.mark.parametrize("version", ["", ";1"])
def test_names_of_a_dicomdir_in_other_letters(tmp_path: Path, scratch: Path, version: str) -> None:
    films = tmp_path / "films"
    (films / "pt000000").mkdir(parents=True)
    (films / f"pt000000/im000000{version}").write_bytes(FILM)
    record, gone = Dataset(), Dataset()
    record.DirectoryRecordType = gone.DirectoryRecordType = "IMAGE"
    record.ReferencedFileID = ["PT000000", "IM000000"]
    gone.ReferencedFileID = ["PT000000", "IM000001"]
    listing = Dataset()
    listing.DirectoryRecordSequence = [record, gone]
    listing.file_meta = FileMetaDataset()
    listing.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    listing.file_meta.MediaStorageSOPClassUID = MediaStorageDirectoryStorage
    listing.file_meta.MediaStorageSOPInstanceUID = "1.2.826.0.1.3680043.99.1"
    listing.save_as(films / f"dicomdir{version}", enforce_file_format=True)
    found = find([films / f"dicomdir{version}"], lambda: scratch)
    assert reasons(found) == {
        f"/pt000000/im000000{version}": None,
        "/pt000000/IM000001": "missing",
    }
    assert find([films]).passed_over == {"DICOMDIR": 1}


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


def test_an_archive_on_standard_input() -> None:
    code = (
        "import pathlib, tempfile\n"
        "from nanoray.reading.finding import find\n"
        "with tempfile.TemporaryDirectory() as folder:\n"
        "    print(*(source.name for source in find(['-'], lambda: pathlib.Path(folder)).paths))\n"
    )
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("a/IM1", FILM)
        archive.writestr("IM2", FILM)
    result = subprocess.run(
        [sys.executable, "-c", code], input=content.getvalue(), capture_output=True, check=True
    )
    assert result.stdout.split() == [b"-/a/IM1", b"-/IM2"]


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
