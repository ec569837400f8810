"""The folder of a run: the list of files in parts, the rows of each finished part, the model.

    run.json                        settings; a resumed run must have the same
    model.onnx                      the model file, for every process and machine
    listing/part-000123.parquet     the files of the part
    listing/complete.json           the listing is complete
    results/batch=000/part-000123.parquet   a row for each of them, in the same order
    heatmaps/3f/3f2a....heatmap.png overlays, by content
    summary.html, summary.json, ranked.csv

A part's rows are written atomically, and depend on the part alone. A part is done when its file
exists. A process that dies loses only its current part, and two processes with the same part write
the same rows. No second record of progress can contradict the files.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from nanoray.archives.sources import Item, is_url, open_url, reaching
from nanoray.errors import NanoRayError
from nanoray.files import printable, written_whole

if TYPE_CHECKING:
    import pyarrow as pa

FORMAT: Final = 1
PARTS_PER_BATCH: Final = 1000
"""Parts in one folder of the results: large folders are slow on network file systems."""
FIRST_PART: Final = 16
_PARTS_PER_SIZE: Final = 8
_AHEAD: Final = 8
_PART: Final = re.compile(r"part-(\d+)\.parquet$")


@dataclass(frozen=True, slots=True)
class RunSettings:
    """The settings that determine the rows of a run, besides the files.

    Attributes:
        source: as given.
        model, model_version, model_digest: the model file's card and SHA-256.
        threshold, operating_point: of the decisions.
        part_size: largest number of files in a part.
        heatmaps: "none", "suspected" or "all".
        key_check: identifies the hash key without revealing it; None without a key.
    """

    source: str
    model: str
    model_version: str
    model_digest: str
    threshold: float
    operating_point: str | None
    part_size: int
    heatmaps: str
    key_check: str | None
    format: int = FORMAT


def size_of_part(number: int, part_size: int) -> int:
    """Return the number of files in a part; the first are small, so few files use all cores."""
    return min(part_size, FIRST_PART << min(number // _PARTS_PER_SIZE, 30))


class RunFolder:
    """A run's folder, on this machine or at any URL that fsspec can write to."""

    def __init__(self, place: str) -> None:
        """`place` is a path or a URL; nothing is read or written yet."""
        self.place = place if is_url(place) else str(Path(place).absolute())
        self._system, self._root = open_url(self.place)

    def __reduce__(self) -> tuple[type[RunFolder], tuple[str]]:
        return RunFolder, (self.place,)

    @property
    def local(self) -> Path | None:
        """The folder as a path; None if it is not on this machine's file system."""
        return None if is_url(self.place) else Path(self.place)

    def read(self, name: str) -> bytes | None:
        """Read a file of the folder; None if it does not exist."""
        try:
            data: bytes = self._system.cat_file(f"{self._root}/{name}")
        except FileNotFoundError:
            return None
        return data

    def write(self, name: str, data: bytes) -> None:
        """Write a file atomically, and sync it to the disk."""
        if self.local is None:
            # Object stores show an object when it is complete.
            self._system.pipe_file(f"{self._root}/{name}", data)
            return
        path = self.local / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with written_whole(path, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())

    def open(self, name: str) -> Any:
        """Open a file of the folder for reading."""
        return self._system.open(f"{self._root}/{name}", "rb")

    def _numbers(self, folder: str) -> list[int]:
        self._system.invalidate_cache()
        try:
            names = self._system.find(f"{self._root}/{folder}")
        except FileNotFoundError:
            return []
        return sorted(int(match[1]) for name in names if (match := _PART.search(name)))

    # Settings and model

    def begin(self, settings: RunSettings, model: bytes) -> bool:
        """Make the folder, or check that it has a run with the same settings.

        Returns:
            Whether there is such a run, which is now resumed.

        Raises:
            NanoRayError: the folder has other contents.
        """
        with reaching(self.place):
            earlier = self.read("run.json")
        if earlier is None:
            if self._system.exists(self._root) and self._system.ls(self._root, detail=False):
                raise NanoRayError(f"{printable(self.place)}: not empty, and no run of nanoray")
        elif not self.listed():
            # After a failed listing there is no run to resume.
            earlier = None
        if earlier is None:
            self.write("model.onnx", model)
            self.write("run.json", _json(asdict(settings)))
            return False
        try:
            found = json.loads(earlier)
        except ValueError:
            raise NanoRayError(f"{printable(self.place)}: run.json is damaged") from None
        different = [
            name.replace("_", " ").replace("key check", "hash key")
            for name, value in asdict(settings).items()
            if found.get(name) != value
        ]
        if different:
            raise NanoRayError(
                f"{printable(self.place)}: holds a run with another {', '.join(different)}; "
                "choose another folder, or give the settings of that run"
            )
        self._remove_drafts()
        return True

    def _remove_drafts(self) -> None:
        """Remove incomplete files of killed processes; see `written_whole`."""
        for draft in self.local.rglob(".*.*") if self.local else ():
            draft.unlink(missing_ok=True)

    @cached_property
    def settings(self) -> RunSettings:
        """The settings of the run."""
        data = self.read("run.json")
        if data is None:
            raise NanoRayError(f"{printable(self.place)}: no run of nanoray screen")
        try:
            return RunSettings(**json.loads(data))
        except (ValueError, TypeError):
            raise NanoRayError(f"{printable(self.place)}: run.json is damaged") from None

    def model_file(self, folder: Path) -> Path:
        """Return the run's model as a file of this machine, copied to `folder` if needed."""
        if self.local is not None:
            return self.local / "model.onnx"
        path = folder / "model.onnx"
        path.write_bytes(self.read("model.onnx") or b"")
        return path

    # The listing

    def listed(self) -> list[int]:
        """Numbers of the parts listed so far."""
        return self._numbers("listing")

    def sizes(self) -> list[int] | None:
        """Return the number of files in each part, if the listing is complete; else None."""
        data = self.read("listing/complete.json")
        return None if data is None else [int(size) for size in json.loads(data)["sizes"]]

    def list_parts(self, items: Iterable[Item], part_size: int) -> Iterator[int]:
        """Write new items as further parts, and yield the sizes of the parts.

        Raises:
            NanoRayError: nothing to list.
        """
        import pyarrow as pa

        known, sizes = self._known()
        waiting: list[tuple[Item, bytes]] = []

        def write() -> int:
            table = pa.table(
                {
                    "location": pa.array(
                        [os.fsencode(item.location) for item, _ in waiting], pa.binary()
                    ),
                    "size": pa.array([item.size for item, _ in waiting], pa.int64()),
                    "identity": pa.array([identity for _, identity in waiting], pa.binary(16)),
                }
            )
            self.write(f"listing/part-{len(sizes):06d}.parquet", _parquet(table))
            sizes.append(len(waiting))
            return len(waiting)

        for item in items:
            identity = _identity(item)
            if identity in known:
                continue
            waiting.append((item, identity))
            if len(waiting) == size_of_part(len(sizes), part_size):
                yield write()
                waiting = []
        if waiting:
            yield write()
        if not sizes:
            raise NanoRayError(
                f"{printable(self.settings.source)}: no images to read; "
                "name a folder, pattern, archive or manifest of DICOM files or pictures"
            )
        self.write("listing/complete.json", _json({"sizes": sizes}))

    def _known(self) -> tuple[_Identities, list[int]]:
        """Return the listed items, and the number of files in each part."""
        raw, sizes = bytearray(), []
        for table in _ahead(self._listing, self.listed()):
            raw += b"".join(table.column("identity").to_pylist())
            sizes.append(table.num_rows)
        return _Identities(raw), sizes

    def _listing(self, number: int) -> pa.Table:
        import pyarrow.parquet as pq

        with self.open(f"listing/part-{number:06d}.parquet") as stream:
            return pq.read_table(stream)

    def items(self, number: int) -> list[Item]:
        """Return the files of a part."""
        table = self._listing(number)
        return [
            Item(os.fsdecode(location), size=size)
            for location, size in zip(
                table.column("location").to_pylist(), table.column("size").to_pylist(), strict=True
            )
        ]

    # The rows

    def finished(self) -> list[int]:
        """Return the numbers of the finished parts."""
        return self._numbers("results")

    @staticmethod
    def result_name(number: int) -> str:
        """Return the name of the file with a part's rows."""
        return f"results/batch={number // PARTS_PER_BATCH:03d}/part-{number:06d}.parquet"

    def write_rows(self, number: int, table: pa.Table) -> None:
        """Write a part's rows, which makes it finished."""
        self.write(self.result_name(number), _parquet(table))

    def tables(self, columns: list[str] | None = None) -> Iterator[pa.Table]:
        """Yield the rows of all finished parts, a part at a time, in the order of the listing."""
        import pyarrow.parquet as pq

        def read(number: int) -> pa.Table:
            with self.open(self.result_name(number)) as stream:
                return pq.ParquetFile(stream).read(columns)

        yield from _ahead(read, self.finished())


def _ahead(function: Callable[[int], pa.Table], numbers: Iterable[int]) -> Iterator[pa.Table]:
    """Yield results in order, with a few read ahead, since object stores have a latency."""
    with ThreadPoolExecutor(_AHEAD) as threads:
        pending: deque[Future[pa.Table]] = deque()
        for number in numbers:
            pending.append(threads.submit(function, number))
            if len(pending) > _AHEAD:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()


class _Identities:
    """A set of 16-byte identities in 16 bytes each, for an archive that has grown."""

    def __init__(self, raw: bytes | bytearray) -> None:
        halves = np.frombuffer(raw, np.uint64).reshape(-1, 2)
        order = np.argsort(halves[:, 0])
        self._first = halves[order, 0]
        self._second = halves[order, 1]

    def __len__(self) -> int:
        return len(self._first)

    def __contains__(self, identity: bytes) -> bool:
        first, second = np.frombuffer(identity, np.uint64)
        low, high = (np.searchsorted(self._first, first, side) for side in ("left", "right"))
        return bool((self._second[low:high] == second).any())


def _identity(item: Item) -> bytes:
    text = f"{item.location}\0{item.stamp}".encode("utf-8", "surrogateescape")
    return hashlib.sha256(text).digest()[:16]


def _parquet(table: pa.Table) -> bytes:
    import pyarrow.parquet as pq

    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd")
    return buffer.getvalue()


def _json(value: Any) -> bytes:
    return (json.dumps(value, indent=2, sort_keys=True) + "\n").encode()
