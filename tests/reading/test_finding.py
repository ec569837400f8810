"""Finding files, and writing them whole."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from nanoray.errors import NanoRayError
from nanoray.files import exact, natural, printable, written_whole
from nanoray.reading.finding import find

DICOM = bytes(128) + b"DICM" + bytes(40)
PNG = b"\x89PNG\r\n\x1a\n" + bytes(30)
NO_PREAMBLE = b"\x08\x00\x05\x00CS\x0a\x00ISO_IR 100" + bytes(40)


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    contents = {
        "IM10": DICOM,
        "IM2": DICOM,
        "1.2.840.113619.2": DICOM,
        "bare": NO_PREAMBLE,
        "old.img": PNG,
        "film.JPG": b"whatever it is",
        "LICENSE": b"MIT License, and so on, longer than the head that is looked at" * 9,
        "labels.csv": b"file,label\n",
        "notes.txt": b"text",
        "DICOMDIR": DICOM,
        "film.heatmap.png": PNG,
        ".hidden.dcm": DICOM,
        ".cache/IM1.dcm": DICOM,
        "__MACOSX/IM1.dcm": DICOM,
        "a b/ü.dicom": DICOM,
        "a b/deep/x.tif": b"II*\x00" + bytes(9),
    }
    for name, content in contents.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def names(*sources: str) -> list[str]:
    return [path.as_posix() for path in find(sources).paths]


def test_folder_is_searched_for_images_in_natural_order(tree: Path) -> None:
    found = find(["."])
    assert [path.as_posix() for path in found.paths] == [
        "1.2.840.113619.2",
        "bare",
        "film.JPG",
        "IM2",
        "IM10",
        "old.img",
        "a b/ü.dicom",
        "a b/deep/x.tif",
    ]
    assert found.passed_over == {
        "DICOMDIR": 1,
        "heat map of an earlier run": 1,
        "hidden": 1,
        "hidden folder": 2,
        "not an image": 3,
    }
    assert "3 not an image" in found.words()


def test_named_files_are_always_taken(tree: Path) -> None:
    assert names("notes.txt", ".hidden.dcm", "DICOMDIR") == ["notes.txt", ".hidden.dcm", "DICOMDIR"]


def test_each_file_once_in_the_order_given(tree: Path) -> None:
    absolute = str(tree / "IM2")
    assert names("old.img", "./IM10", absolute, "IM2", "IM1*", "old.img") == [
        "old.img",
        "IM10",
        Path(absolute).as_posix(),
    ]


def test_patterns(tree: Path) -> None:
    assert names("IM*") == ["IM2", "IM10"]
    assert names("**/*.dicom") == ["a b/ü.dicom"]
    assert names("a*") == ["a b/ü.dicom", "a b/deep/x.tif"]
    assert names("**/x.*") == ["a b/deep/x.tif"]


def test_a_name_with_brackets_is_a_name_first(tree: Path) -> None:
    (tree / "film[1].png").write_bytes(PNG)
    assert names("film[1].png") == ["film[1].png"]


@pytest.mark.parametrize(
    ("sources", "reason"),
    [
        (["absent.dcm"], "absent.dcm: no such file or folder"),
        (["IM2", "nowhere"], "nowhere: no such file or folder"),
        (["*.nii"], r"\*.nii: no file matches"),
        (["empty"], "no images to read: empty: the folder is empty; name a folder or file"),
        (["*.csv"], "no images to read"),
        ([], "nothing given"),
    ],
)
def test_wrong_use(tree: Path, sources: list[str], reason: str) -> None:
    (tree / "empty").mkdir()
    with pytest.raises(NanoRayError, match=reason):
        find(sources)


@pytest.mark.skipif(os.name == "nt", reason="links need rights on Windows")
def test_links_to_folders_are_not_followed_into_a_loop(tree: Path) -> None:
    (tree / "a b" / "loop").symlink_to(tree)
    (tree / "same").symlink_to(tree / "IM2")
    found = names(".")
    assert len(found) == 8
    assert sum(name in ("same", "IM2") for name in found) == 1


def test_natural_order() -> None:
    given = ["b2", "b10", "B1", "a", "10", "9", ""]
    assert sorted(given, key=natural) == ["", "9", "10", "a", "B1", "b2", "b10"]


def test_printable_names_cannot_steer_a_terminal() -> None:
    assert printable("a\x1b[2Jb\nc\u202egnp.exe") == "a\\x1b[2Jb\\nc\\u202egnp.exe"
    assert printable("Röntgen 1 胸部.dcm") == "Röntgen 1 胸部.dcm"
    assert exact("two\nlines") == "two\nlines"


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such names")
def test_undecodable_names() -> None:
    assert exact(os.fsdecode(b"r\xf6ntgen")) == "r\\xf6ntgen"


def test_written_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "out.txt"
    path.write_text("before")

    def interrupted() -> None:
        with written_whole(path) as stream:
            stream.write("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert path.read_text() == "before"
    assert [item.name for item in tmp_path.iterdir()] == ["out.txt"]
    with written_whole(path) as stream:
        stream.write("after")
        assert path.read_text() == "before"
    assert path.read_text() == "after"


def test_an_unwritable_folder_is_told_by_the_name_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "absent" / "out.txt"
    with pytest.raises(OSError, match=r"absent/out\.txt'$"), written_whole(path):
        pass


@pytest.mark.skipif(os.name == "nt", reason="POSIX permissions")
def test_written_files_have_ordinary_permissions(tmp_path: Path) -> None:
    (tmp_path / "plain").write_text("")
    with written_whole(tmp_path / "whole"):
        pass
    assert (tmp_path / "whole").stat().st_mode == (tmp_path / "plain").stat().st_mode
