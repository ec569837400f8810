"""Training on shards: what is in them, in which order it comes, and what it trains."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pytest
import torch

from nanoray.datasets.images import load_squares, on_squares
from nanoray.datasets.labelled import LabelledData, open_labelled
from nanoray.datasets.shards import Shards, open_shards, read_shard, write_shards
from nanoray.errors import DataSetError
from nanoray.training.samples import Collection, Samples
from nanoray.training.streaming import Stream, gather, validation_samples
from small_runs import QUICK, draw_phantoms, nanoray

pytestmark = pytest.mark.slow

URL = "memory://archive/shards"


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> LabelledData:
    return open_labelled(draw_phantoms(tmp_path_factory.mktemp("shards") / "data", 60))


@pytest.fixture(scope="module")
def shards(data: LabelledData) -> Shards:
    assert not any(write_shards(data, URL, size=64, per_shard=7))
    return open_shards(URL)


def test_shards_hold_what_the_folder_holds(
    data: LabelledData, shards: Shards, tmp_path: Path
) -> None:
    squares = load_squares(data.cases, 64, tmp_path, show_progress=False)
    boxed = on_squares(data.cases, 64, tmp_path)
    index_of = {case.path.stem: index for index, case in enumerate(data.cases)}
    for part in ("train", "validation", "test"):
        found = [case for shard in shards.parts[part] for case in read_shard(shards, shard)]
        indices = [index_of[one.case.path.stem] for one in found]
        assert sorted(indices) == sorted(data.split.part(part))
        theirs = gather(found, shards.classes)
        ours = Samples([Collection(boxed, squares, indices)]).batch(list(range(len(indices))))
        for name in ("images", "masks", "target", "classes"):
            assert torch.equal(getattr(theirs, name), getattr(ours, name)), name
    assert len(validation_samples(shards)) == len(data.split.validation)
    # Nothing tells the patient.
    assert not any(b"person" in content for content in contents("/archive/shards").values())


def contents(folder: str) -> dict[str, bytes]:
    """Return the files of a folder in memory by name."""
    files = fsspec.filesystem("memory")
    return {Path(name).name: files.cat_file(name) for name in files.ls(folder, detail=False)}


def names(shards: Shards, epoch: int, **more: Any) -> list[str]:
    """Return a key for each radiograph of an epoch, in order."""
    stream = Stream(shards, 5, 4, more.pop("steps", 8), epoch=lambda: epoch, **more)
    return [str(hash(image.numpy().tobytes())) for batch in stream for image in batch.images]


def test_order_follows_from_seed_and_epoch(shards: Shards) -> None:
    first = names(shards, 0)
    assert first == names(shards, 0)
    assert first != names(shards, 1)
    assert len(first) == len(set(first)) == 32 <= shards.count("train")


def test_processes_stream_different_radiographs_and_equally_many(shards: Shards) -> None:
    two = [names(shards, 0, steps=4, rank=rank, processes=2) for rank in (0, 1)]
    assert not set(two[0]) & set(two[1])
    # One that runs out of radiographs begins its shards again.
    for rank in (0, 1):
        many = names(shards, 0, steps=20, rank=rank, processes=2)
        assert len(many) == 80
        counts = np.unique(many, return_counts=True)[1]
        assert counts.max() - counts.min() <= 1


def test_writing_goes_on_where_it_was_stopped(data: LabelledData, shards: Shards) -> None:
    written = contents("/archive/shards")
    other = "memory://archive/again"
    steps = write_shards(data, other, size=64, per_shard=7)
    for _ in range(17):
        next(steps)
    steps.close()
    with pytest.raises(DataSetError, match=r"no shards\.json"):
        open_shards(other)
    list(write_shards(data, other, size=64, per_shard=7))
    assert contents("/archive/again") == written
    with pytest.raises(DataSetError, match="another size"):
        list(write_shards(data, other, size=32, per_shard=7))


def test_damaged_shard_is_named(data: LabelledData) -> None:
    url = "memory://archive/damaged"
    list(write_shards(data, url, size=64, per_shard=100))
    files = fsspec.filesystem("memory")
    tar = files.cat_file("/archive/damaged/train-000000.tar")
    files.pipe_file("/archive/damaged/train-000000.tar", tar.replace(b"\x89PNG", b"\x89JPG"))
    shards = open_shards(url)
    with pytest.raises(DataSetError, match=r"train-000000\.tar: damaged at phantom"):
        list(read_shard(shards, shards.parts["train"][0]))


@pytest.mark.usefixtures("one_thread")
def test_training_and_distilling_from_shards(tmp_path: Path, data: LabelledData) -> None:
    nanoray(
        *("train", "teacher", data.folder, *QUICK, "--architecture", "mobilenet_v3_small_minimal"),
        *("--epochs", 1, "--cache", tmp_path / "cache", "--output", tmp_path / "teacher"),
    )
    url = (tmp_path / "shards").as_uri()
    nanoray(
        *("prepare", "shards", data.folder, "--output", url, "--size", 64, "--per-shard", 10),
        *("--teacher", tmp_path / "teacher", "--split", tmp_path / "teacher" / "split.csv"),
    )
    student = ("distill", url, *QUICK, "--method", "cam", "--epochs", 1)
    nanoray(*student, "--output", tmp_path / "student")
    nanoray(*student, "--output", tmp_path / "again")
    score = json.loads((tmp_path / "student" / "result.json").read_text())["validation_auroc"]
    assert 0 < score <= 1
    assert (tmp_path / "student" / "weights.safetensors").read_bytes() == (
        tmp_path / "again" / "weights.safetensors"
    ).read_bytes()
    split = (tmp_path / "student" / "split.csv").read_text()
    assert split == (tmp_path / "teacher" / "split.csv").read_text()
    assert "not 96" in nanoray(*student, "--size", 96, "--output", tmp_path / "other", fails=True)


def test_bucket_streams_what_memory_does(data: LabelledData, shards: Shards, bucket: str) -> None:
    url = f"{bucket}/set/64"
    list(write_shards(data, url, size=64, per_shard=7))
    assert names(open_shards(url), 1) == names(shards, 1)
