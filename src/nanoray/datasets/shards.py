"""A data set as tar files for streaming, at any URL that fsspec can open.

The layout is WebDataset's (Aizman, Maltby and Breuel 2020). Each tar contains `<image>.png`, the
square of one input size, and `<image>.json`, its labels without the patient. With a teacher it also
contains `<image>.npz`, the teacher's outputs. `shards.json` lists the
tars of each part, `split.csv` the images.
"""

from __future__ import annotations

import hashlib
import io
import json
import posixpath
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import webdataset
from numpy.typing import NDArray
from PIL import Image
from webdataset.tariterators import group_by_keys, tar_file_expander

from nanoray.datasets.folder import Case, class_names
from nanoray.datasets.framing import framed_square
from nanoray.datasets.labelled import SPLIT, LabelledData
from nanoray.datasets.splits import PARTS, write_split
from nanoray.errors import DataSetError
from nanoray.reading.pool import read_many
from nanoray.reading.resize import to_uint8

INDEX = "shards.json"
_VERSION = 2
"""Since version 2, boxes are fractions of the square; before, of the file's frame."""


@dataclass(frozen=True, slots=True)
class Shard:
    """A tar file and how many radiographs it has."""

    name: str
    count: int


@dataclass(frozen=True, slots=True)
class Shards:
    """A sharded data set.

    Attributes:
        url: of its folder.
        size: side of the squares, pixels.
        classes: the detailed classes of all parts, sorted.
        parts: shards by part.
    """

    url: str
    size: int
    classes: tuple[str, ...]
    parts: dict[str, tuple[Shard, ...]]

    def count(self, part: str) -> int:
        """Return the number of radiographs in a part."""
        return sum(shard.count for shard in self.parts[part])


@dataclass(frozen=True, slots=True)
class ShardCase:
    """A radiograph from a shard.

    Attributes:
        case: its labels; the patient is unknown and replaced by the image's name. Boxes are
            fractions of the square.
        square: uint8 [S, S].
        arrays: further arrays of the shards, by name.
    """

    case: Case
    square: NDArray[np.uint8]
    arrays: dict[str, NDArray[Any]]


Describe = Callable[[Sequence[Case]], Sequence[dict[str, NDArray[Any]]]]
"""Returns further arrays to store for each of some cases."""


def open_shards(url: str) -> Shards:
    """Read the list of shards.

    Raises:
        DataSetError: no such list, or of another version.
    """
    files, root = fsspec.core.url_to_fs(url)
    try:
        index = json.loads(files.cat_file(posixpath.join(root, INDEX)))
        _check_version(index, url)
        return Shards(
            url,
            int(index["size"]),
            tuple(index["classes"]),
            {
                part: tuple(Shard(shard["name"], int(shard["count"])) for shard in shards)
                for part, shards in index["parts"].items()
            },
        )
    except (FileNotFoundError, NotADirectoryError):
        raise DataSetError(f"{url}: no {INDEX}; `nanoray prepare shards` makes it") from None
    except (ValueError, KeyError, TypeError):
        raise DataSetError(f"{url}: a damaged {INDEX}") from None


def _check_version(document: dict[str, Any], url: str) -> None:
    version = document.pop("version", 1)
    if version != _VERSION:
        raise DataSetError(
            f"{url}: shards of version {version}, not {_VERSION}; write them again into a new "
            "folder by `nanoray prepare shards`"
        )


def read_split(shards: Shards) -> str:
    """Return the text of the split, as `nanoray.datasets.splits.save_split` writes it."""
    files, root = fsspec.core.url_to_fs(shards.url)
    return str(files.cat_file(posixpath.join(root, SPLIT)).decode())


def fingerprint(shards: Shards) -> str:
    """Return the SHA-256 of the lists of shards and of images."""
    files, root = fsspec.core.url_to_fs(shards.url)
    total = hashlib.sha256(files.cat_file(posixpath.join(root, INDEX)))
    total.update(read_split(shards).encode())
    return total.hexdigest()


def write_shards(
    data: LabelledData,
    url: str,
    *,
    size: int,
    per_shard: int = 1000,
    describe: Describe | None = None,
    workers: int | None = None,
) -> Iterator[str | None]:
    """Write a data set as shards; yield for each radiograph None or the reason for a refusal.

    The contents of a shard depend only on the data set and the arguments, so an interrupted run
    resumes with the missing shards. The training part is shuffled once, so each shard has all
    classes. The generator must be run to its end.

    Args:
        describe: called for the cases of a shard of the training part.

    Raises:
        DataSetError: the folder has shards of other images or of another size.
    """
    files, root = fsspec.core.url_to_fs(url)
    files.makedirs(root, exist_ok=True)
    plan = list(_plan(data, per_shard))
    parts: dict[str, list[dict[str, Any]]] = {part: [] for part in PARTS}
    for part, name, indices in plan:
        path = posixpath.join(root, name)
        cases = [data.cases[index] for index in indices]
        count = 0
        if files.exists(path):
            count = _count(files, path, cases, size, url)
            yield from [None] * len(cases)
        else:
            arrays: Sequence[dict[str, NDArray[Any]]] = [{}] * len(cases)
            if describe is not None and part == "train":
                arrays = describe(cases)
            tar = io.BytesIO()
            with webdataset.TarWriter(tar, mtime=0, user="", group="") as writer:
                readings = read_many([case.path for case in cases], size, workers=workers)
                for case, reading, more in zip(cases, readings, arrays, strict=True):
                    if reading.square is None:
                        yield str(reading.error)
                        continue
                    square, _, framing = framed_square(reading, case.aspect)
                    if case.boxes is not None:
                        case = replace(case, boxes=framing.in_square(case.boxes))  # noqa: PLW2901
                    writer.write(_sample(case, to_uint8(square), more))
                    count += 1
                    yield None
            _write_whole(files, path, tar.getvalue())
        parts[part].append({"name": name, "count": count})
    classes = class_names([data.cases[index] for _, _, some in plan for index in some])
    index = {"version": _VERSION, "size": size, "classes": classes, "parts": parts}
    lists = io.StringIO()
    write_split(lists, data.cases, data.split)
    _write_whole(files, posixpath.join(root, SPLIT), lists.getvalue().encode())
    _write_whole(files, posixpath.join(root, INDEX), json.dumps(index, indent=1).encode() + b"\n")


def _plan(data: LabelledData, per_shard: int) -> Iterator[tuple[str, str, list[int]]]:
    for part in PARTS:
        indices = list(data.split.part(part))
        if part == "train":
            np.random.default_rng(0).shuffle(indices)
        for number, first in enumerate(range(0, len(indices), per_shard)):
            yield part, f"{part}-{number:06d}.tar", indices[first : first + per_shard]


def _sample(
    case: Case, square: NDArray[np.uint8], arrays: dict[str, NDArray[Any]]
) -> dict[str, Any]:
    picture = io.BytesIO()
    Image.fromarray(square).save(picture, "PNG")
    labels = {
        "version": _VERSION,
        "class_name": case.class_name,
        "target": case.target,
        "boxes": case.boxes,
        "view": case.view,
        "sex": case.sex,
        "age": case.age,
        "source": case.source,
    }
    # A dot would end the name of a sample in a WebDataset.
    key = case.path.stem.replace(".", "_")
    sample = {"__key__": key, "png": picture.getvalue(), "json": json.dumps(labels).encode()}
    if arrays:
        stored = io.BytesIO()
        np.savez(stored, allow_pickle=False, **arrays)
        sample["npz"] = stored.getvalue()
    return sample


def _write_whole(files: Any, path: str, data: bytes) -> None:
    partial = f"{path}.partial"
    files.pipe_file(partial, data)
    files.mv(partial, path)


def _count(files: Any, path: str, cases: Sequence[Case], size: int, url: str) -> int:
    """Return the number of radiographs in a shard of an earlier run."""
    expected = {case.path.stem.replace(".", "_") for case in cases}
    count = 0
    for found in _read(files, path):
        if found.case.path.stem not in expected or found.square.shape != (size, size):
            raise DataSetError(f"{url}: holds shards of other images, or of another size")
        count += 1
    return count


def read_shard(shards: Shards, shard: Shard) -> Iterator[ShardCase]:
    """Stream the radiographs of a shard in their order.

    Raises:
        DataSetError: it is damaged.
    """
    files, root = fsspec.core.url_to_fs(shards.url)
    yield from _read(files, posixpath.join(root, shard.name))


def _read(files: Any, path: str) -> Iterator[ShardCase]:
    with files.open(path, "rb") as stream:
        for sample in group_by_keys(tar_file_expander([{"url": path, "stream": stream}])):
            try:
                labels = json.loads(sample["json"])
                _check_version(labels, path)
                boxes = labels.pop("boxes")
                case = Case(
                    path=Path(f"{sample['__key__']}.png"),
                    patient=sample["__key__"],
                    boxes=None if boxes is None else tuple(tuple(box) for box in boxes),
                    **labels,
                )
                square = np.asarray(Image.open(io.BytesIO(sample["png"])))
                arrays = dict(np.load(io.BytesIO(sample["npz"]))) if "npz" in sample else {}
            except (KeyError, TypeError, ValueError, OSError):
                raise DataSetError(f"{path}: damaged at {sample['__key__']}") from None
            yield ShardCase(case, square, arrays)
