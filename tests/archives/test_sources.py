"""Listing folders, patterns, manifests and URLs."""

from __future__ import annotations

import os
import shutil
import tarfile
import zipfile
from importlib.util import find_spec
from pathlib import Path

import pytest

from nanoray.errors import NanoRayError

fsspec = pytest.importorskip("fsspec", reason="needs the extra scale")
pa = pytest.importorskip("pyarrow", reason="needs the extra scale")

from nanoray.archives.fetching import Fetcher  # noqa: E402
from nanoray.archives.sources import Item, is_url, list_items  # noqa: E402
from nanoray.reading.pool import read_many  # noqa: E402
from reading_files import pydicom_test_file  # noqa: E402
from small_archives import write_pictures  # noqa: E402


def names(source: object) -> list[str]:
    return [Path(item.location).name for item in list_items(str(source))]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("a10.dcm", "a9.dcm", ".hidden.dcm", "DICOMDIR", "notes.txt", "b/c.png", "b/d"):
        path = tmp_path / "in" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"\0" * 128 + b"DICM" if name == "b/d" else b"something")
    return tmp_path / "in"


def test_folder_in_natural_order(folder: Path) -> None:
    assert names(folder) == ["a9.dcm", "a10.dcm", "c.png", "d"]
    items = list(list_items(str(folder)))
    assert all(Path(item.location).is_absolute() for item in items)
    assert [item.size for item in items] == [9, 9, 9, 132]


def test_single_file_and_pattern(folder: Path) -> None:
    assert names(folder / "notes.txt") == ["notes.txt"]
    assert names(folder / "*.dcm") == ["a9.dcm", "a10.dcm"]
    # Folders match too, and nothing comes twice.
    assert sorted(names(folder / "**")) == ["a10.dcm", "a9.dcm", "c.png", "d"]


def test_stamp_changes_with_the_file(folder: Path) -> None:
    (before,) = list_items(str(folder / "a9.dcm"))
    (folder / "a9.dcm").write_bytes(b"else")
    (after,) = list_items(str(folder / "a9.dcm"))
    assert before.stamp != after.stamp


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may look into any folder")
def test_closed_folder_is_not_lost(folder: Path) -> None:
    (folder / "b").chmod(0)
    try:
        assert names(folder) == ["a9.dcm", "a10.dcm", "b"]
    finally:
        (folder / "b").chmod(0o755)


@pytest.mark.parametrize("column", ["location", "path", "file"])
def test_csv_manifest(folder: Path, column: str) -> None:
    manifest = folder / "list.csv"
    manifest.write_text(f"number,{column}\n1,b/c.png\n2,/else/x.dcm\n3,s3://bucket/y\n")
    assert [item.location for item in list_items(str(manifest))] == [
        str(folder / "b/c.png"),
        "/else/x.dcm",
        "s3://bucket/y",
    ]


def test_parquet_manifest_at_a_url(folder: Path) -> None:
    import pyarrow.parquet as pq

    pq.write_table(pa.table({"url": ["x/1.dcm", "s3://other/2"]}), folder / "list.parquet")
    memory = fsspec.filesystem("memory")
    memory.pipe_file("/lists/list.parquet", (folder / "list.parquet").read_bytes())
    found = [item.location for item in list_items("memory://lists/list.parquet")]
    assert found == ["memory://lists/x/1.dcm", "s3://other/2"]


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("list.csv", b"number\n1\n", "needs one of the columns"),
        ("list.csv", b"path\n\n", "names no file"),
        ("list.csv", b"path\n\xff\xfe\n", "UTF-8"),
        ("list.parquet", b"PAR1", "not a Parquet file"),
    ],
)
def test_bad_manifest(tmp_path: Path, name: str, content: bytes, reason: str) -> None:
    (tmp_path / name).write_bytes(content if name != "list.csv" or b"\n\n" not in content else
                                  b"path,b\n,1\n")  # fmt: skip
    with pytest.raises(NanoRayError, match=reason):
        list(list_items(str(tmp_path / name)))


def test_remote_folder() -> None:
    memory = fsspec.filesystem("memory")
    for name in ("a10.dcm", "a9.dcm", "sub/1.2.840.1", "sub/plain", "sub/readme.txt", ".x/y.dcm"):
        memory.pipe_file(f"/archive/{name}", b"content")
    items = list(list_items("memory://archive"))
    assert [item.location for item in items] == [
        "memory://archive/a9.dcm",
        "memory://archive/a10.dcm",
        "memory://archive/sub/1.2.840.1",
        "memory://archive/sub/plain",
    ]
    assert {item.size for item in items} == {7}
    assert names("memory://archive/*.dcm") == ["a10.dcm", "a9.dcm"]
    assert names("memory://archive/sub/plain") == ["plain"]


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("absent", "no such file or folder"),
        ("absent*", "no file matches"),
        ("absent.csv", "no such file"),
        ("memory://absent-folder", "no such folder"),
        ("nonsense://x", "unknown protocol"),
        ("memory://lists/absent.csv", "no such file"),
    ],
)
def test_no_such_source(source: str, reason: str) -> None:
    with pytest.raises(NanoRayError, match=reason):
        list(list_items(source))


@pytest.mark.parametrize(("protocol", "package"), [("gs", "gcsfs"), ("az", "adlfs")])
def test_names_the_missing_package(protocol: str, package: str) -> None:
    if find_spec(package):
        pytest.skip(f"{package} is installed")
    with pytest.raises(NanoRayError, match=package):
        list(list_items(f"{protocol}://bucket/x"))


def test_an_error_of_a_file_system_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    class DeniedError(Exception):
        """As botocore's, which are no OSError."""

    def walk(*_: object, **__: object) -> None:
        raise DeniedError("no credentials\nanywhere")

    monkeypatch.setattr(type(fsspec.filesystem("memory")), "walk", walk)
    with pytest.raises(NanoRayError, match="x: cannot be reached: no credentials anywhere"):
        list(list_items("memory://x"))


def test_urls() -> None:
    assert is_url("s3://bucket/x")
    assert not is_url("C://folder")
    assert not is_url("/folder/s3")


@pytest.mark.parametrize("kind", ["zip", "tar", "gztar"])
def test_members_of_an_archive(tmp_path: Path, kind: str) -> None:
    pictures = [*write_pictures(tmp_path / "in", 2), *write_pictures(tmp_path / "in/b", 3)]
    (tmp_path / "in/notes.txt").write_text("no image")
    archive = shutil.make_archive(str(tmp_path / "films"), kind, tmp_path / "in")
    items = sorted(list_items(archive), key=lambda item: Path(item.location))
    expected = sorted(path.relative_to(tmp_path / "in") for path in pictures)
    assert [Path(item.location).relative_to(archive) for item in items] == expected
    assert all(item.stamp and item.size for item in items)
    with Fetcher() as fetcher:
        *fetched, missing = fetcher.fetch([*items, Item(f"{archive}/gone.png")])
        for file, path in zip(fetched, expected, strict=True):
            assert file.temporary
            assert Path(file.path).read_bytes() == (tmp_path / "in" / path).read_bytes()
        assert missing.code == "missing"


def test_an_archive_without_images_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "notes.zip", "w") as archive:
        archive.writestr("notes.txt", "no image")
    with pytest.raises(NanoRayError, match="the archive holds no image"):
        list(list_items(str(tmp_path / "notes.zip")))


def test_unreadable_members_and_a_cut_archive_keep_a_row(tmp_path: Path) -> None:
    (picture,) = write_pictures(tmp_path, 1)
    archive = tmp_path / "films.tar"
    with tarfile.open(archive, "w") as stream:
        (tmp_path / "empty.dcm").touch()
        for name in ("im0.png", "empty.dcm"):
            stream.add(tmp_path / name, name)
    content = archive.read_bytes()
    archive.write_bytes(content[: 512 * (content.rstrip(b"\0").__len__() // 512 + 1)])
    items = list(list_items(str(archive)))
    assert [item.location for item in items] == [
        f"{archive}/im0.png",
        f"{archive}/empty.dcm",
        str(archive),
    ]
    with zipfile.ZipFile(tmp_path / "films.zip", "w") as zipped:
        zipped.write(picture, "im0.png")
        zipped.write(tmp_path / "empty.dcm", "empty.dcm")
    damaged = (tmp_path / "films.zip").read_bytes()
    place = damaged.index(b"IDAT")
    (tmp_path / "films.zip").write_bytes(damaged[:place] + bytes(3) + damaged[place + 3 :])
    items = list(list_items(str(tmp_path / "films.zip")))
    with Fetcher() as fetcher:
        assert [file.code for file in fetcher.fetch(items)] == ["archive-damaged", None]
    (reading,) = read_many([archive], 16, workers=1, fingerprints=True)
    assert reading.error is not None
    assert reading.error.code == "archive-damaged"


def test_files_of_a_dicomdir() -> None:
    directory = pydicom_test_file("dicomdirtests") / "DICOMDIR"
    locations = [Path(item.location) for item in list_items(str(directory))]
    assert len(locations) > 5
    assert all(directory.parent in path.parents for path in locations)
