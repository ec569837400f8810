"""The Ray engine; `benchmarks/cluster.py` kills raylets and drivers of a cluster."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

pytest.importorskip("pyarrow", reason="needs the extra scale")
pytest.importorskip("ray", reason="needs the extra scale")

from archives import begin_run, rows, write_pictures

from nanoray.screening.archive.engines import run_ray
from nanoray.screening.archive.screener import Screener, Task
from nanoray.screening.archive.sources import list_items


@pytest.mark.skipif(os.name == "nt", reason="Ray for Windows is a beta")
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
