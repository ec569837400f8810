"""The Ray engine; `benchmarks/cluster.py` kills raylets and drivers of a cluster."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

pytest.importorskip("pyarrow", reason="needs the extra scale")
pytest.importorskip("ray", reason="needs the extra scale")

from nanoray.archives.engines import run_ray
from nanoray.archives.screener import Screener, Task
from nanoray.archives.sources import Item, list_items
from nanoray.errors import NanoRayError
from small_archives import begin_run, rows, write_pictures

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.name == "nt", reason="Ray for Windows is a beta"),
]


def test_the_same_rows_as_without_an_engine(tiny_model: Path, tmp_path: Path) -> None:
    write_pictures(tmp_path / "in", 40)
    (tmp_path / "in/broken.dcm").write_bytes(b"no DICOM at all")
    runs = []
    for name in ("plain", "ray"):
        run = begin_run(str(tmp_path / name), str(tmp_path / "in"), tiny_model)
        assert list(run.list_parts(list_items(str(tmp_path / "in")), 500)) == [16, 16, 9]
        runs.append(run)
    plain, ray = runs
    with Screener(Task(plain.place)) as screener:
        expected = [screener.screen(number) for number in plain.listed()]
    done = sorted(run_ray(Task(ray.place), ray.listed(), workers=1), key=lambda part: part.number)
    assert [(part.number, part.files, part.unread) for part in done] == [
        (part.number, part.files, part.unread) for part in expected
    ]
    assert rows(ray.place) == rows(plain.place)
    for number in plain.finished():
        a, b = (Path(run.place, run.result_name(number)) for run in (plain, ray))
        assert a.read_bytes() == b.read_bytes()


def test_a_source_that_is_gone_is_one_line(tiny_model: Path, tmp_path: Path) -> None:
    run = begin_run(str(tmp_path / "run"), "http://localhost", tiny_model)
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        port = nobody.getsockname()[1]
        list(run.list_parts([Item(f"http://127.0.0.1:{port}/x")], 500))
        with pytest.raises(NanoRayError, match="when the source is back"):
            list(run_ray(Task(run.place), run.listed(), workers=1))


def test_no_cluster_there() -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{nobody.getsockname()[1]}"
        for place in (address, f"ray://{address}"):
            with pytest.raises(NanoRayError, match=f"no Ray cluster at {place}: .*refused"):
                list(run_ray(Task("x"), [0], address=place))
    with pytest.raises(NanoRayError, match="not auto, host:port"):
        list(run_ray(Task("x"), [0], address="cluster"))
