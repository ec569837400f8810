"""Reading in processes: order, laziness, and what a crash, a hang or a memory hog costs."""

from __future__ import annotations

import gc
import os
import pickle
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nanoray.errors import NanoRayError, UnreadableError
from nanoray.reading import letterbox, limits, read
from nanoray.reading import pool as workers
from nanoray.reading.pool import read_many
from nanoray.reading.worker import contrast_of, thumbnail_of
from reading_files import chest, dicom, picture

pytestmark = pytest.mark.slow


@pytest.fixture
def good(tmp_path: Path) -> Path:
    path = tmp_path / "good.dcm"
    path.write_bytes(dicom(chest(60, 48)))
    return path


@pytest.fixture
def trouble(tmp_path: Path) -> Callable[[str], Path]:
    """Provide a function that makes a good file whose name tells the worker what to do about it."""

    def make(what: str) -> Path:
        path = tmp_path / f"{what}.dcm"
        path.write_bytes(dicom(chest(60, 48)))
        return path

    return make


TROUBLED = """
import ctypes, os, sys, time
sys.path[:] = {path!r}
from nanoray.reading import worker
real = worker.read_job
def read_job(job):
    if "exit" in job.source:
        os._exit(3)
    if "segfault" in job.source:
        ctypes.string_at(0)
    if "sleep" in job.source:
        time.sleep(600)
    if "spin" in job.source:
        while True:
            pass
    if "prints" in job.source:
        print("in between")
        os.write(1, b"in between")
    read = worker.read
    if "hog" in job.source:
        worker.read = lambda *_, **__: bytearray({memory})
    try:
        return real(job)
    finally:
        worker.read = read
worker.read_job = read_job
worker.main()
"""


@pytest.fixture
def troubled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers that misbehave for files of certain names, as a decoder could."""
    code = TROUBLED.format(path=sys.path, memory=2 * limits.WORKER_ADDRESS_SPACE)
    monkeypatch.setattr(workers, "_command", lambda: [sys.executable, "-c", code])


def test_a_reading_is_what_read_gives(good: Path) -> None:
    (reading,) = read_many([good], 32, thumbnails=True)
    radiograph = read(good)
    square, place = letterbox(radiograph.pixels, 32)
    assert reading.source == str(good)
    assert reading.error is None
    assert reading.square is not None
    assert np.array_equal(reading.square, square)
    assert reading.square.dtype == np.float32
    assert reading.placement == place
    assert reading.facts == radiograph.facts
    assert reading.contrast == pytest.approx(float(square[square > 0].std()))
    assert reading.thumbnail is not None
    assert reading.thumbnail.shape == (60, 48)
    assert reading.thumbnail.dtype == np.uint8
    np.testing.assert_allclose(reading.thumbnail / 255, radiograph.pixels, atol=0.003)
    assert 0 < reading.milliseconds < 30_000


def test_thumbnails_are_made_on_request_and_bounded(tmp_path: Path) -> None:
    path = tmp_path / "large.jpg"
    path.write_bytes(picture(chest(1500, 1200, bits=8), "JPEG"))
    plain, asked = (next(read_many([path], 32, thumbnails=flag)) for flag in (False, True))
    assert plain.thumbnail is None
    assert asked.thumbnail is not None
    assert asked.thumbnail.shape == (512, 410)


def test_order_is_kept(tmp_path: Path) -> None:
    sources = []
    for index in range(24):
        # The first of each four takes far longer than the others.
        side = 1200 if index % 4 == 0 else 16
        path = tmp_path / f"{index:02d}.png"
        path.write_bytes(picture(np.full((side, side), 10 * index, np.uint8), "PNG"))
        sources += [path, tmp_path / f"missing-{index}"]
    readings = list(read_many(sources, 8, workers=3))
    assert [reading.source for reading in readings] == [str(source) for source in sources]
    for index, reading in enumerate(readings[::2]):
        assert reading.square is not None
        assert reading.square.max() == pytest.approx(10 * index / 255, abs=1e-6)
    assert all(r.error is not None and r.error.code == "missing" for r in readings[1::2])


def test_sources_are_pulled_only_a_few_ahead(good: Path) -> None:
    pulled = 0

    def endless() -> Iterator[Path]:
        nonlocal pulled
        while True:
            pulled += 1
            yield good

    readings = read_many(endless(), 8, workers=2)
    assert pulled == 0
    for count in range(1, 8):
        assert next(readings).error is None
        assert pulled <= count + 16
    readings.close()  # type: ignore[attr-defined]


def test_no_sources() -> None:
    assert list(read_many([], 8)) == []


def test_sources_that_raise_do_so_after_the_readings_before(good: Path) -> None:
    def failing() -> Iterator[Path]:
        yield good
        yield good
        raise LookupError("no more")

    seen: list[Any] = []
    with pytest.raises(LookupError, match="no more"):
        seen.extend(reading.source for reading in _collect(read_many(failing(), 8), seen))
    assert len(seen) == 2


def _collect(readings: Iterator[workers.Reading], seen: list[str]) -> Iterator[workers.Reading]:
    for reading in readings:
        seen.append(reading.source)
        yield reading
        seen.pop()


@pytest.mark.parametrize("wrong", [{"workers": 0}, {"timeout": 0}, {"size": 0}])
def test_wrong_arguments(wrong: dict[str, int]) -> None:
    size = wrong.pop("size", 8)
    with pytest.raises(ValueError, match="positive"):
        read_many([], size, **wrong)  # type: ignore[arg-type]


def test_relative_paths_keep_their_name(good: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(good.parent)
    (reading,) = read_many([good.name], 8)
    assert reading.error is None
    assert reading.source == good.name


def test_a_folder_of_modules_is_not_imported_from(
    good: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A file that passes for a module, where the user happens to be.
    (tmp_path / "numpy.py").write_text("raise SystemExit('imported')")
    (tmp_path / "struct.py").write_text("raise SystemExit('imported')")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry])
    (reading,) = read_many([good], 8)
    assert reading.error is None


@pytest.mark.usefixtures("troubled")
@pytest.mark.parametrize(
    ("what", "code"),
    [
        ("exit", "crash"),
        ("segfault", "crash"),
        ("sleep", "timeout"),
        ("spin", "timeout"),
        pytest.param(
            "hog",
            "memory",
            marks=pytest.mark.skipif(
                not sys.platform.startswith("linux"), reason="needs RLIMIT_AS"
            ),
        ),
    ],
)
def test_trouble_costs_one_file(
    what: str, code: str, good: Path, trouble: Callable[[str], Path]
) -> None:
    bad = trouble(what)
    started = time.monotonic()
    readings = list(read_many([good, bad, good], 8, workers=1, timeout=1.5))
    assert time.monotonic() - started < 60
    assert [reading.error and reading.error.code for reading in readings] == [None, code, None]
    assert isinstance(readings[1].error, UnreadableError)
    assert readings[1].error.source == str(bad)


@pytest.mark.usefixtures("troubled")
def test_what_libraries_print_does_not_get_between(
    trouble: Callable[[str], Path], capfd: pytest.CaptureFixture[str]
) -> None:
    source = trouble("prints")
    readings = list(read_many([source, source], 8, workers=1))
    assert [reading.error for reading in readings] == [None, None]
    assert capfd.readouterr() == ("", "")


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    status = Path(f"/proc/{pid}/stat")
    return not status.exists() or status.read_text().split(")")[1].split()[0] != "Z"


def wait_until_gone(pids: list[int], seconds: float = 20) -> bool:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if not any(alive(pid) for pid in pids):
            return True
        time.sleep(0.05)
    return False


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Process ids of the workers that are started."""
    pids: list[int] = []
    make = subprocess.Popen

    def noted(*arguments: object, **options: object) -> object:
        process = make(*arguments, **options)  # type: ignore[call-overload]
        pids.append(process.pid)
        return process

    monkeypatch.setattr(workers.subprocess, "Popen", noted)
    return pids


needs_signals = pytest.mark.skipif(sys.platform == "win32", reason="asks for processes by signal")


@needs_signals
def test_workers_are_used_again_and_end_with_the_readings(good: Path, started: list[int]) -> None:
    assert sum(reading.error is None for reading in read_many([good] * 12, 8, workers=1)) == 12
    assert len(started) == 1
    assert wait_until_gone(started)


@needs_signals
@pytest.mark.parametrize("how", ["close", "forget", "raise"])
def test_workers_end_when_nobody_reads_on(how: str, good: Path, started: list[int]) -> None:
    readings = read_many([good] * 50, 8, workers=2)
    next(readings)
    assert any(alive(pid) for pid in started)
    if how == "close":
        readings.close()  # type: ignore[attr-defined]
    elif how == "raise":
        with pytest.raises(RuntimeError):
            readings.throw(RuntimeError("enough"))  # type: ignore[attr-defined]
    else:
        del readings
        gc.collect()
    assert wait_until_gone(started)
    assert not [t for t in threading.enumerate() if t.name.startswith("nanoray-reading")]


@needs_signals
@pytest.mark.usefixtures("troubled")
def test_closing_does_not_wait_for_a_hanging_file(
    good: Path, trouble: Callable[[str], Path], started: list[int]
) -> None:
    readings = read_many([good, trouble("sleep")], 8, workers=2, timeout=300)
    next(readings)
    begun = time.monotonic()
    readings.close()  # type: ignore[attr-defined]
    assert time.monotonic() - begun < 20
    assert wait_until_gone(started)


@needs_signals
def test_workers_end_with_their_parent(good: Path) -> None:
    code = f"""
import os, sys
from typing import Any
sys.path[:] = {sys.path!r}
from nanoray.reading import pool as workers
make = workers.subprocess.Popen
def noted(*arguments, **options):
    process = make(*arguments, **options)
    print(process.pid, flush=True)
    return process
workers.subprocess.Popen = noted
readings = workers.read_many([{str(good)!r}] * 9, 8, workers=1)
next(readings)
os._exit(0)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    pids = [int(line) for line in done.stdout.split()]
    assert pids
    assert wait_until_gone(pids)


def test_no_guard_is_needed_in_the_users_script(good: Path, tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        f"import sys\nsys.path[:] = {sys.path!r}\n"
        "from nanoray.reading.pool import read_many\n"
        f"print([r.error for r in read_many([{str(good)!r}] * 3, 8, workers=2)])\n"
        "print('torch' in sys.modules)\n"
    )
    done = subprocess.run(
        [sys.executable, str(script)], capture_output=True, check=True, text=True, timeout=120
    )
    assert done.stdout.splitlines() == ["[None, None, None]", "False"]
    assert done.stderr == ""


def test_a_worker_that_cannot_start_is_no_fault_of_a_file(
    good: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers, "_command", lambda: [sys.executable, "-c", "raise SystemExit(1)"])
    with pytest.raises(NanoRayError, match="before it was ready"):
        next(read_many([good], 8))
    monkeypatch.setattr(workers, "_command", lambda: [str(good.parent / "no-such-program")])
    with pytest.raises(NanoRayError, match="cannot start"):
        next(read_many([good], 8))


@needs_signals
def test_a_worker_that_dies_while_idle_costs_no_file(good: Path, started: list[int]) -> None:
    pool = workers.Pool(30)
    job = workers.Job(str(good), "good", 8, False, 30)
    try:
        assert pool.run(job).error is None
        os.kill(started[0], 9)
        assert wait_until_gone(started)
        assert pool.run(job).error is None
        assert len(started) == 2
    finally:
        pool.kill()
        pool.close()
    assert wait_until_gone(started)


def test_errors_and_readings_survive_the_pipe() -> None:
    error = UnreadableError("a.dcm", "truncated", "the words")
    again = pickle.loads(pickle.dumps(error))
    assert (again.source, again.code, again.reason) == ("a.dcm", "truncated", "the words")
    assert str(again) == "a.dcm: the words"


def test_contrast_leaves_padding_out() -> None:
    square = np.zeros((4, 4), np.float32)
    assert contrast_of(square) == 0
    square[1, :2] = 0.2, 0.4
    assert contrast_of(square) == pytest.approx(0.1)


def test_small_images_keep_their_size_in_thumbnails() -> None:
    pixels = np.array([[0.0, 0.5, 1.0]], np.float32)
    assert thumbnail_of(pixels).tolist() == [[0, 128, 255]]
