"""A watched folder: each content has one result, whatever happens in between."""

from __future__ import annotations

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pydicom
import pytest

from nanoray.datasets.phantom import draw, write_dicom
from nanoray.detecting.detector import load
from nanoray.errors import NanoRayError
from nanoray.reading.pool import Pool
from nanoray.reading.worker import Reading, refused
from nanoray.watching.ledger import Ledger
from nanoray.watching.result_files import Form, ResultFiles
from nanoray.watching.structured_reports import StructuredReports
from nanoray.watching.watcher import Watcher
from tiny_model import grey_picture, tiny_card, write_tiny_model


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write_tiny_model(tmp_path / "tiny.onnx", tiny_card())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "in").mkdir()
    (tmp_path / "out").mkdir()
    return tmp_path / "in"


Start = Callable[..., Watcher]


@pytest.fixture
def start(model: Path, folder: Path) -> Iterator[Start]:
    """Provide a watcher that waits for nothing; starting another one ends the last."""
    pool, open_ledgers = Pool(120.0), list[Ledger]()

    def begin(form: Form = Form.jsonl, **options: Any) -> Watcher:
        if open_ledgers:
            open_ledgers.pop().close()
        out = folder.parent / "out"
        open_ledgers.append(Ledger(out / "ledger.sqlite"))
        options = {"settle": 0.0, "interval": 0.01} | options
        return Watcher(
            folder, load(model), open_ledgers[0], ResultFiles(out, form), pool, **options
        )

    yield begin
    pool.close()
    for ledger in open_ledgers:
        ledger.close()


def settle(watcher: Watcher) -> None:
    """Look until every file that is there has a result."""
    watcher.run(threading.Event(), once=True)


def results(folder: Path) -> list[dict[str, Any]]:
    found = []
    for path in sorted((folder.parent / "out").glob("results-*.jsonl")):
        found += [json.loads(line) for line in path.read_text().splitlines()]
    return found


def test_each_content_has_one_result_across_restarts(folder: Path, start: Start) -> None:
    (folder / "ward").mkdir()
    grey_picture(folder / "bright.png", 0.9)
    shutil.copy(folder / "bright.png", folder / "ward" / "again.png")
    grey_picture(folder / "ward" / "dark.png", 0.1)
    watcher = start()
    settle(watcher)
    assert [row["decision"] for row in results(folder)] == [
        "opacity suspected",
        "no opacity suspected",
    ]
    assert [row["source"] for row in results(folder)] == ["bright.png", "ward/dark.png"]
    assert (watcher.tally.judged, watcher.tally.duplicates) == (2, 1)
    watcher = start()
    settle(watcher)
    shutil.copy(folder / "bright.png", folder / "third.png")
    os.utime(folder / "ward" / "dark.png", (1, 1))
    settle(watcher)
    assert len(results(folder)) == 2
    grey_picture(folder / "bright.png", 0.8)
    settle(watcher)
    assert len(results(folder)) == 3


def test_a_crash_at_any_step_loses_and_doubles_nothing(
    folder: Path, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Crash(BaseException):
        pass

    def crash(*_: Any) -> None:
        raise Crash

    for number, (of, name, after) in enumerate(
        [
            (Ledger, "judge", False),
            (Ledger, "judge", True),
            (ResultFiles, "add", False),
            (ResultFiles, "add", True),
            (Ledger, "wrote", False),
            (Ledger, "wrote", True),
            (Ledger, "see", False),
            (Ledger, "see", True),
        ]
    ):
        grey_picture(folder / f"{number}.png", 0.1 + number / 10)
        real = getattr(of, name)

        def step(self: Any, *values: Any, real: Any = real, after: bool = after) -> None:
            if after:
                real(self, *values)
            crash()

        watcher = start()
        with monkeypatch.context() as patch:
            patch.setattr(of, name, step)
            with pytest.raises(Crash):
                settle(watcher)
        settle(start())
        assert [row["source"] for row in results(folder)] == [f"{i}.png" for i in range(number + 1)]


def test_a_torn_line_is_written_anew(folder: Path, start: Start) -> None:
    grey_picture(folder / "a.png", 0.9)
    settle(start())
    (path,) = (folder.parent / "out").glob("results-*.jsonl")
    whole = path.read_bytes()
    content = json.loads(whole)["content"]
    watcher = start()
    at = datetime.fromisoformat(json.loads(whole)["judged"])
    path.write_bytes(whole + whole[:20])
    assert watcher.files.holds(content, at)
    assert path.read_bytes() == whole
    path.write_bytes(whole[:-5])
    assert not watcher.files.holds(content, at)
    assert path.read_bytes() == b""


@pytest.mark.slow
def test_a_growing_file_is_waited_for(folder: Path, start: Start) -> None:
    data = grey_picture(folder / "whole.png", 0.9).read_bytes()
    (folder / "whole.png").unlink()
    watcher = start(settle=1.5)
    stopping = threading.Event()
    thread = threading.Thread(target=watcher.run, args=(stopping,))
    thread.start()
    try:
        with (folder / "slow.png").open("wb") as stream:
            for first in range(0, len(data), max(1, len(data) // 5)):
                stream.write(data[first : first + len(data) // 5])
                stream.flush()
                time.sleep(0.1)
        end = time.monotonic() + 60
        while not results(folder) and time.monotonic() < end:
            time.sleep(0.05)
    finally:
        stopping.set()
        thread.join()
    assert [row.get("decision") for row in results(folder)] == ["opacity suspected"]


def test_an_unreadable_file_has_one_result_and_a_partial_one_none(
    folder: Path, start: Start
) -> None:
    (folder / "broken.dcm").write_bytes(bytes(128) + b"DICM" + bytes(40))
    grey_picture(folder / "unfinished.png", 0.9).rename(folder / "unfinished.png.part")
    settle(start())
    settle(start())
    (row,) = results(folder)
    assert row["source"] == "broken.dcm"
    assert row["code"]
    assert len(row["content"]) == 64


def test_a_file_that_may_not_be_read_is_named_and_ends_a_single_run(
    folder: Path,
    start: Start,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    grey_picture(folder / "patient-name.png", 0.9)
    grey_picture(folder / "b.png", 0.1)
    watcher = start()
    real = Path.open

    def opened(path: Path, *options: Any, **more: Any) -> Any:
        if path.name == "patient-name.png":
            raise PermissionError(13, "Permission denied", str(path))
        return real(path, *options, **more)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", opened)
        settle(watcher)
    rows = {row["source"]: row for row in results(folder)}
    assert rows["b.png"]["decision"] == "no opacity suspected"
    assert rows["patient-name.png"]["code"] == "no-permission"
    assert watcher.tally.unread == 1
    assert caplog.text.count("reading the file is not permitted; trying again") == 1
    assert "patient-name" not in caplog.text
    settle(start())
    assert [row.get("decision") for row in results(folder)][-1] == "opacity suspected"


def test_a_folder_that_may_not_be_listed_is_named_once(
    folder: Path,
    start: Start,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    for name in ("locked-name", "not-entered"):
        (folder / name).mkdir()
        grey_picture(folder / name / "a.png", 0.9)
    grey_picture(folder / "b.png", 0.1)
    scandir, status = os.scandir, Path.stat

    def refusing(path: Any) -> Any:
        if str(path).endswith("locked-name"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    def stat(path: Path, **options: Any) -> Any:
        if path.parent.name == "not-entered":
            raise PermissionError(13, "Permission denied", str(path))
        return status(path, **options)

    monkeypatch.setattr(os, "scandir", refusing)
    monkeypatch.setattr(Path, "stat", stat)
    watcher = start()
    settle(watcher)
    settle(watcher)
    assert [row["source"] for row in results(folder)] == ["b.png"]
    assert caplog.text.count("a folder below cannot be listed: Permission denied") == 2
    assert "locked-name" not in caplog.text


def test_a_folder_that_vanishes_is_waited_for(
    folder: Path, start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "nanoray.watch")
    watcher = start()
    away = folder.with_name("away")
    folder.rename(away)
    stopping = threading.Event()
    thread = threading.Thread(target=watcher.run, args=(stopping,))
    thread.start()
    try:
        time.sleep(0.2)
        assert [r.message for r in caplog.records if "trying again" in r.message]
        grey_picture(away / "patient-name.png", 0.9)
        away.rename(folder)
        end = time.monotonic() + 60
        while not results(folder) and time.monotonic() < end:
            time.sleep(0.05)
    finally:
        stopping.set()
        thread.join()
    assert len(results(folder)) == 1
    assert "patient-name" not in caplog.text


def test_a_full_disk_is_waited_for(
    folder: Path, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    grey_picture(folder / "a.png", 0.9)
    watcher = start()
    real, failures = os.fsync, [OSError(28, "No space left on device")] * 3

    def fsync(number: int) -> None:
        if failures:
            raise failures.pop()
        real(number)

    monkeypatch.setattr(os, "fsync", fsync)
    settle(watcher)
    assert len(results(folder)) == 1


def test_csv_is_one_line_a_file_and_old_days_go(folder: Path, start: Start) -> None:
    grey_picture(folder / "=1+1.png", 0.9)
    grey_picture(folder / "two\nlines\x1b[2J.png", 0.1)
    old = folder.parent / "out" / "results-2020-01-01.csv"
    old.write_text("x\n")
    other = folder.parent / "out" / "results-of-mine.csv"
    other.write_text("x\n")
    settle(start(Form.csv, keep_days=30))
    assert not old.exists()
    assert other.exists()
    path = folder.parent / "out" / f"results-{datetime.now(timezone.utc):%Y-%m-%d}.csv"
    rows = list(csv.DictReader(path.open()))
    assert [row["source"] for row in rows] == ["./=1+1.png", "two\\nlines\\x1b[2J.png"]
    assert len(path.read_text().splitlines()) == 3


def test_two_watchers_do_not_share_a_ledger(folder: Path, start: Start) -> None:
    start()
    with pytest.raises(NanoRayError, match="another nanoray watch"):
        Ledger(folder.parent / "out" / "ledger.sqlite")
    (folder.parent / "out" / "other").write_text("no database, but long enough to be read as one")
    with pytest.raises(NanoRayError, match="not a ledger"):
        Ledger(folder.parent / "out" / "other")


def test_a_file_that_ends_its_process_is_given_up(
    folder: Path, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    grey_picture(folder / "a.png", 0.9)
    watcher = start()
    tries = []

    def run(job: Any) -> Reading:
        tries.append(job)
        return Reading(job.source, error=refused(job.source, "crash"))

    monkeypatch.setattr(watcher.pool, "run", run)
    settle(watcher)
    assert len(tries) == 3
    assert [row["code"] for row in results(folder)] == ["crash"]


@pytest.mark.slow
def test_reports_are_valid_and_the_same_when_written_anew(
    folder: Path, start: Start, model: Path
) -> None:
    pytest.importorskip("highdicom")
    write_dicom(draw(1, opacity=True), folder / "a.dcm")
    grey_picture(folder / "b.png", 0.9)
    watcher = start()
    out = folder.parent / "out" / "sr"
    watcher.reports = StructuredReports(out, watcher.detector, watcher.pool, 120.0)
    settle(watcher)
    assert len(results(folder)) == 2
    (row,) = [row for row in results(folder) if row["source"] == "a.dcm"]
    assert row["decision"] != "abstained"
    names = sorted(path.name for path in out.iterdir())
    assert names == [f"{row['content'][:16]}-{kind}.dcm" for kind in ("heatmap", "sr")]
    report = pydicom.dcmread(out / names[1])
    source = pydicom.dcmread(folder / "a.dcm")
    assert report.StudyInstanceUID == source.StudyInstanceUID
    assert report.Modality == "SR"
    first = report.SOPInstanceUID
    (folder.parent / "out" / "ledger.sqlite").unlink()
    watcher = start()
    watcher.reports = StructuredReports(out, watcher.detector, watcher.pool, 120.0)
    settle(watcher)
    assert pydicom.dcmread(out / names[1]).SOPInstanceUID == first


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
def test_the_command_ends_on_sigterm_and_resumes(folder: Path, model: Path) -> None:
    command = [sys.executable, "-m", "nanoray", "watch", str(folder), "--model", str(model)]
    command += ["--settle", "0", "--interval", "0.1", "--format", "jsonl"]
    grey_picture(folder / "a.png", 0.9)
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    out = folder / "nanoray"
    end = time.monotonic() + 60
    while not list(out.glob("results-*")) and time.monotonic() < end:
        time.sleep(0.1)
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    assert "1 judged" in errors
    grey_picture(folder / "b.png", 0.1)
    again = subprocess.run([*command, "--once"], capture_output=True, text=True, check=True)
    assert "1 judged, 0 unreadable, 0 judged before" in again.stderr
    (path,) = out.glob("results-*.jsonl")
    assert len(path.read_text().splitlines()) == 2
