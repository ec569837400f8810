"""Listing the files of an archive, as a stream."""

from __future__ import annotations

import csv
import glob
import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from nanoray import dicomweb
from nanoray.errors import NanoRayError
from nanoray.files import natural, printable
from nanoray.reading.candidates import (
    EXTENSIONS,
    HEATMAP_SUFFIX,
    is_dicomdir,
    is_hidden_folder,
)
from nanoray.reading.file_kind import HEAD_BYTES, kind_of
from nanoray.reading.finding import is_candidate
from nanoray.reading.refusals import Refusal
from nanoray.reading.unpacking import NotAnArchive, directory_files, images

MANIFESTS: Final = (".csv", ".parquet")
LOCATION_COLUMNS: Final = ("location", "source", "path", "file", "url")
"""Names of a manifest's column with the locations of the radiographs."""
_ROWS: Final = 10_000
# Names of fsspec's file systems for an entity tag or the time of the last change.
_CHANGED: Final = ("ETag", "etag", "md5Hash", "LastModified", "last_modified", "mtime", "created")


@dataclass(frozen=True, slots=True)
class Item:
    """A file of an archive.

    Attributes:
        location: absolute path, also of a member below an archive's path; URL for fsspec, or
            WADO-RS URL of an instance.
        stamp: identifies the version of a file (size with time or entity tag); "" if unknown.
        size: bytes; None if unknown.
    """

    location: str
    stamp: str = ""
    size: int | None = None


def is_url(location: str) -> bool:
    """Return whether a location is a URL, not a path (a Windows drive is not a scheme)."""
    scheme = location.partition("://")[0]
    return "://" in location and len(scheme) > 1 and scheme.replace("+", "").isalnum()


def list_items(source: str) -> Iterator[Item]:
    """List the files of a folder, a pattern, a manifest, an fsspec URL or a DICOMweb server.

    - A folder with all below it, or a pattern such as "in/**/*.dcm", in natural order of names.
    - A ZIP or tar file: the images in it. A DICOMDIR: the files that it lists.
    - A `.csv` or `.parquet` file, local or at a URL: one file per row, in the first existing column
      of `LOCATION_COLUMNS`. Paths are relative to the manifest. The listing does not check that the
      files exist.
    - A URL with a protocol of fsspec, such as `s3://bucket/folder`, folder by folder, or a pattern
      of such URLs.
    - `http://` and `https://`: a DICOMweb server, see `nanoray.dicomweb`.

    Raises:
        NanoRayError: no such source, or the source cannot be listed.
    """
    if urlsplit(source).path.lower().endswith(MANIFESTS):
        return _manifest(source)
    if source.startswith(("http://", "https://")):
        return (Item(location) for location in dicomweb.list_instances(source))
    if is_url(source):
        return _remote(source)
    return _local(source)


def _local(source: str) -> Iterator[Item]:
    path = Path(source)
    if path.is_file():
        yield from _inside(path.absolute())
        return
    if path.is_dir():
        folders = [source]
    else:
        folders = sorted(glob.glob(source, recursive=True), key=natural)  # noqa: PTH207
        if not folders:
            problem = "no file matches" if glob.has_magic(source) else "no such file or folder"
            raise NanoRayError(f"{printable(source)}: {problem}")
    seen: set[str] = set()
    for place in folders:
        top = str(Path(place).absolute())
        # "in/**" matches a folder and then each file in it.
        for name in _walk(top) if path.is_dir() else _matched(top, seen):
            if is_candidate(Path(name)):
                yield _local_item(name)


def _inside(path: Path) -> Iterator[Item]:
    """List the images of an archive, the files of a DICOMDIR, or the file itself."""
    listed = directory_files(path)
    if listed is not None:
        for file in listed:
            yield _local_item(str(file))
        return
    try:
        with path.open("rb") as stream:
            is_archive = kind_of(stream.read(HEAD_BYTES)) == "archive"
        status = path.stat()
        names: set[str] = set()
        for member in images(path) if is_archive else ():
            # A later member of the same name replaces an earlier one.
            if member.name not in names:
                names.add(member.name)
                stamp = f"{member.size}-{status.st_mtime_ns}"
                yield Item(f"{path}/{member.name}", stamp, member.size)
        if is_archive:
            if not names:
                raise NanoRayError(f"{printable(str(path))}: the archive holds no image")
            return
    except (OSError, NotAnArchive, Refusal):
        pass  # the reader gives the reason, also of a damaged archive, after its readable members
    yield _local_item(str(path))


def _matched(top: str, seen: set[str]) -> Iterator[str]:
    for name in _walk(top) if Path(top).is_dir() else (top,):
        if name not in seen:
            seen.add(name)
            yield name


def _local_item(name: str) -> Item:
    try:
        status = Path(name).stat()
    except OSError:
        return Item(name)  # the reader gives the reason
    return Item(name, f"{status.st_size}-{status.st_mtime_ns}", status.st_size)


def _walk(folder: str) -> Iterator[str]:
    """List files of a folder and those below it; links to folders are not followed.

    A folder without permission is listed like a file, so that its row has the error.
    """
    try:
        with os.scandir(folder) as entries:
            listed = sorted(
                ((entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries),
                key=lambda entry: natural(entry[0]),
            )
    except OSError:
        yield folder
        return
    for name, is_folder in listed:
        if is_hidden_folder(name):
            continue
        path = os.path.join(folder, name)  # noqa: PTH118
        if is_folder:
            yield from _walk(path)
        else:
            yield path


def _remote(source: str) -> Iterator[Item]:
    file_system, root = open_url(source)
    protocol = source.partition("://")[0]

    def url(path: str) -> str:
        return path if is_url(path) else f"{protocol}://{path.lstrip('/')}"

    with reaching(source):
        if glob.has_magic(root):
            found: dict[str, Any] = file_system.glob(root, detail=True)
            for path, info in found.items():
                if info.get("type") == "file":
                    yield _remote_item(url(path), info)
            return
        if file_system.isfile(root):
            yield _remote_item(source, file_system.info(root))
            return
        empty = True
        # Folder by folder: a complete listing would not fit into memory.
        for here, folders, files in file_system.walk(root, detail=True):
            file_system.invalidate_cache(here)
            names = sorted(folders, key=natural)
            kept = {name: folders[name] for name in names if not name.startswith(".")}
            folders.clear()
            folders.update(kept)
            for name in sorted(files, key=natural):
                empty = False
                if _named_like_an_image(name):
                    yield _remote_item(url(files[name]["name"]), files[name])
        if empty and not file_system.exists(root):
            raise NanoRayError(f"{printable(source)}: no such folder")


@contextmanager
def reaching(place: str) -> Iterator[None]:
    """Convert the errors of file systems' libraries to one line.

    Raises:
        NanoRayError: `place` does not exist, is unreachable, or access is denied.
    """
    try:
        yield
    except NanoRayError:
        raise
    except FileNotFoundError:
        raise NanoRayError(f"{printable(place)}: no such file or folder") from None
    except Exception as error:
        reason = printable(" ".join(str(error).split()))[:200] or type(error).__name__
        raise NanoRayError(f"{printable(place)}: cannot be reached: {reason}") from error


def open_url(url: str) -> tuple[Any, str]:
    """Return the fsspec file system of a URL, without a cache of listings, and the path on it.

    Raises:
        NanoRayError: unknown protocol, its package is not installed, or it is unreachable.
    """
    import fsspec

    with reaching(url):
        try:
            found: tuple[Any, str] = fsspec.core.url_to_fs(url, use_listings_cache=False)
        except ImportError as error:
            raise NanoRayError(f"{printable(url)}: {error}") from None
        except ValueError:
            raise NanoRayError(f"{printable(url)}: unknown protocol, or not a URL") from None
    return found


def _remote_item(location: str, info: dict[str, Any]) -> Item:
    size = info.get("size")
    changed = next((info[key] for key in _CHANGED if info.get(key)), "")
    return Item(location, f"{size}-{changed}", size)


def _named_like_an_image(name: str) -> bool:
    """Judge a file by its name only: opening each file over the network is too slow.

    Files without an extension are taken, as most DICOM archives have none.
    """
    lower = name.lower()
    if lower.startswith(".") or is_dicomdir(lower) or lower.endswith(HEATMAP_SUFFIX):
        return False
    suffix = Path(lower).suffix
    # The last part of a UID looks like an extension.
    return not suffix or suffix in EXTENSIONS or suffix[1:].isdecimal()


def _manifest(source: str) -> Iterator[Item]:
    import fsspec

    base = source.rpartition("/")[0] if is_url(source) else str(Path(source).absolute().parent)
    read = _parquet_rows if urlsplit(source).path.lower().endswith(".parquet") else _csv_rows
    with reaching(source), fsspec.open(source, "rb") as stream:
        for location in read(stream, source):
            if not location:
                raise NanoRayError(f"{printable(source)}: a row names no file")
            absolute = is_url(location) or Path(location).is_absolute()
            joined = f"{base}/{location}" if is_url(base) else str(Path(base, location))
            yield Item(location if absolute else joined)


def _column(names: list[str], source: str) -> str:
    for wanted in LOCATION_COLUMNS:
        if wanted in names:
            return wanted
    expected = ", ".join(LOCATION_COLUMNS)
    raise NanoRayError(f"{printable(source)}: the manifest needs one of the columns {expected}")


def _csv_rows(stream: Any, source: str) -> Iterator[str]:
    try:
        reader = csv.DictReader(io.TextIOWrapper(stream, "utf-8-sig", newline=""))
        column = _column(list(reader.fieldnames or ()), source)
        for row in reader:
            yield row[column] or ""
    except (UnicodeDecodeError, csv.Error):
        raise NanoRayError(f"{printable(source)}: not a CSV file in UTF-8") from None


def _parquet_rows(stream: Any, source: str) -> Iterator[str]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.ParquetFile(stream)
    except pa.ArrowInvalid:
        raise NanoRayError(f"{printable(source)}: not a Parquet file") from None
    column = _column(table.schema_arrow.names, source)
    for batch in table.iter_batches(_ROWS, columns=[column]):
        yield from (str(value or "") for value in batch.column(0).to_pylist())
