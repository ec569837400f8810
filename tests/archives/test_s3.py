"""An S3 server as source and as destination."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("pyarrow", reason="needs the extra scale")

from nanoray.archives.screener import Screener, Task
from nanoray.archives.sources import list_items
from small_archives import begin_run, rows, write_pictures

pytestmark = pytest.mark.slow


def test_screens_a_bucket(bucket: str, tiny_model: Path, tmp_path: Path) -> None:
    import s3fs

    system = s3fs.S3FileSystem()
    for number, path in enumerate(write_pictures(tmp_path / "in", 20)):
        system.pipe_file(f"archive/in/{number % 2}/{path.name}", path.read_bytes())
    system.pipe_file("archive/in/1/broken.dcm", b"no DICOM at all")
    run = begin_run(f"{bucket}/run", f"{bucket}/in", tiny_model)
    assert list(run.list_parts(list_items(f"{bucket}/in"), 500)) == [16, 5]
    # An object that is gone when its turn comes is a row, and stops nothing.
    system.rm_file("archive/in/1/im19.png")
    with Screener(Task(run.place)) as screener:
        assert sum(screener.screen(number).unread for number in run.listed()) == 2
    assert run.finished() == [0, 1]
    found = {row["source"].rpartition("/")[2]: row for row in rows(run.place)}
    assert len(found) == 21
    assert found["broken.dcm"]["code"] == "not-an-image"
    assert found["im19.png"]["code"] == "missing"
    assert found["im0.png"]["source"] == "s3://archive/in/0/im0.png"
    # As from a folder of this machine.
    local = begin_run(str(tmp_path / "run"), str(tmp_path / "in"), tiny_model)
    list(local.list_parts(list_items(str(tmp_path / "in")), 500))
    with Screener(Task(local.place)) as screener:
        for number in local.listed():
            screener.screen(number)
    for row in rows(local.place):
        name = Path(row["source"]).name
        if name != "im19.png":
            assert found[name] | {"source": ""} == row | {"source": ""}
    # Listed again, nothing is new.
    assert list(run.list_parts(list_items(f"{bucket}/in"), 500)) == []
