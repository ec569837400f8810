"""Runs of `nanoray screen`: rows, resumption, privacy, the page."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
from pathlib import Path

import pytest
from typer.testing import CliRunner

pytest.importorskip("fsspec", reason="needs the extra scale")
pa = pytest.importorskip("pyarrow", reason="needs the extra scale")

from nanoray.archives.run_folder import RunFolder, size_of_part  # noqa: E402
from nanoray.archives.screener import Screener, Task  # noqa: E402
from nanoray.archives.sources import Item, list_items  # noqa: E402
from nanoray.commands.app import app  # noqa: E402
from nanoray.detecting.model_file import Reference  # noqa: E402
from nanoray.errors import NanoRayError  # noqa: E402
from small_archives import (  # noqa: E402
    PRIVATE,
    begin_run,
    group_is_gone,
    rows,
    start,
    wait_for,
    write_dicom,
    write_pictures,
)

pytestmark = pytest.mark.slow

needs_signals = pytest.mark.skipif(os.name == "nt", reason="signals differ on Windows")


def screen(*arguments: object):
    return CliRunner().invoke(app, ["screen", *map(str, arguments)])


def test_rows_summary_and_ranked_list(make_model, tmp_path: Path) -> None:
    quantiles = {"probability": tuple(i / 20 for i in range(21))}
    model = make_model(reference=Reference(400, quantiles))
    write_pictures(tmp_path / "in", 38)
    (tmp_path / "in/copy.png").write_bytes((tmp_path / "in/im9.png").read_bytes())
    (tmp_path / "in/broken.dcm").write_bytes(b"no DICOM at all")
    result = screen(tmp_path / "in", "--out", tmp_path / "run", "--model", model,
                    "--heatmaps", "suspected", "--workers", 2)  # fmt: skip
    assert result.exit_code == 1, result.output
    assert "40 files: " in result.stderr
    assert "1 unreadable" in result.stderr
    found = rows(tmp_path / "run")
    assert [Path(row["source"]).name for row in found] == [
        "broken.dcm",
        "copy.png",
        *(f"im{n}.png" for n in range(38)),
    ]
    broken, copy, *others = found
    assert (broken["code"], broken["probability"]) == ("not-an-image", None)
    assert len(broken["content"]) == 64
    original = next(row for row in others if row["source"].endswith("im9.png"))
    assert copy | {"source": ""} == original | {"source": ""}
    assert {row["decision"] for row in others} == {"opacity suspected", "no opacity suspected"}
    assert {row["model_version"] for row in others} == {"9.1"}
    assert original["brightness"] > 0.8
    suspected = {row["content"] for row in found if row["decision"] == "opacity suspected"}
    maps = {path.name.partition(".")[0] for path in (tmp_path / "run/heatmaps").rglob("*.png")}
    assert maps == suspected
    summary = json.loads((tmp_path / "run/summary.json").read_text())
    assert summary["files"] == 40
    # The broken file has content too.
    assert (summary["distinct_contents"], summary["copies"]) == (39, 1)
    assert summary["errors"] == {"is not a DICOM file or a supported picture": 1}
    assert sum(summary["histogram"]["above_threshold"]) == sum(
        row["decision"] == "opacity suspected" for row in found
    )
    assert summary["drift"]["probability"]["verdict"] in ("stable", "watch", "drifted")
    ranked = (tmp_path / "run/ranked.csv").read_text().splitlines()
    assert len(ranked) == 1 + 38
    entries = [line.split(",") for line in ranked[1:]]
    assert [float(entry[1]) for entry in entries] == sorted(
        (float(entry[1]) for entry in entries), reverse=True
    )
    assert [Path(entry[3]).name for entry in entries if entry[5] == "2"] == ["copy.png"]
    page = (tmp_path / "run/summary.html").read_text("utf-8")
    assert "Against the training distribution" in page
    assert "is not a DICOM file or a supported picture" in page
    assert "Files with the content of another: 1." in page
    assert "<script" not in page
    # The same probabilities as one at a time.
    one = CliRunner().invoke(
        app, ["predict", str(tmp_path / "in/im9.png"), "--model", str(model), "-f", "json"]
    )
    assert json.loads(one.stdout)["results"][0]["probability"] == pytest.approx(
        original["probability"], abs=1e-7
    )


def test_goes_on_and_takes_what_is_new(tiny_model: Path, tmp_path: Path) -> None:
    write_pictures(tmp_path / "in", 20)
    arguments = (tmp_path / "in", "--out", tmp_path / "run", "--model", tiny_model, "--workers", 1)
    assert screen(*arguments).exit_code == 0
    run = RunFolder(str(tmp_path / "run"))
    assert run.finished() == [0, 1]
    first = {n: (tmp_path / "run" / run.result_name(n)).stat().st_mtime_ns for n in (0, 1)}
    before = rows(tmp_path / "run")
    again = screen(*arguments)
    assert again.exit_code == 0
    assert "20 of 20 files are done already" in again.stderr
    write_pictures(tmp_path / "in", 23)
    # Writing them again gave the first 20 another time: for all it knows, other files.
    for number in range(20):
        os.utime(tmp_path / f"in/im{number}.png", ns=(0, 0))
    more = screen(*arguments)
    assert more.exit_code == 0
    assert rows(tmp_path / "run")[:20] == before
    assert {n: (tmp_path / "run" / run.result_name(n)).stat().st_mtime_ns for n in (0, 1)} == first
    assert {Path(row["source"]).name for row in rows(tmp_path / "run")} >= {"im22.png"}


def test_a_mistyped_source_binds_nothing(tiny_model: Path, tmp_path: Path) -> None:
    write_pictures(tmp_path / "in", 3)
    options = ("--out", tmp_path / "run", "--model", tiny_model, "--workers", 1)
    assert screen(tmp_path / "inn", *options).exit_code == 2
    assert screen(tmp_path / "in", *options).exit_code == 0
    assert len(rows(tmp_path / "run")) == 3


def test_refuses_a_folder_of_something_else(tiny_model: Path, make_model, tmp_path: Path) -> None:
    write_pictures(tmp_path / "in", 3)
    (tmp_path / "full").mkdir()
    (tmp_path / "full/thesis.txt").write_text("mine")
    result = screen(tmp_path / "in", "--out", tmp_path / "full", "--model", tiny_model)
    assert result.exit_code == 2
    assert "not empty" in result.stderr
    arguments = (tmp_path / "in", "--out", tmp_path / "run", "--workers", 1)
    assert screen(*arguments, "--model", tiny_model).exit_code == 0
    other = screen(*arguments, "--model", make_model(version="9.2"))
    assert other.exit_code == 2
    assert "another model version, model digest" in other.stderr
    other = screen(*arguments, "--model", tiny_model, "--threshold", 0.4)
    assert "another threshold" in other.stderr


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["absent"], "no such file or folder"),
        (["in", "--address", "auto"], "--engine ray"),
        (["in", "--threshold", "0.5", "--operating-point", "confirm"], "not both"),
        (["in", "--hash-key", "short"], "at least 16 bytes"),
        (["empty"], "no images to read"),
        (["https://me:secret@pacs.example/dicom-web"], "not in the URL"),
    ],
)
def test_wrong_use(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments, reason: str
) -> None:
    monkeypatch.chdir(tmp_path)
    write_pictures(tmp_path / "in", 1)
    (tmp_path / "empty").mkdir()
    (tmp_path / "short").write_text("abc")
    result = screen(*arguments, "--out", "run", "--model", tiny_model)
    assert result.exit_code == 2
    assert reason in " ".join(re.sub(r"[│╭╮╰╯─]", "", result.stderr).split())


def test_no_identifier_leaves(tiny_model: Path, tmp_path: Path) -> None:
    folder = tmp_path / "in/Roe^Richard"
    write_dicom(folder / "PID-4711.dcm")
    write_dicom(folder / "two.dcm", ViewPosition="ROE RICHARD", PatientID="PID-4712",
                BodyPartExamined="CHEST OF ROE")  # fmt: skip
    write_dicom(folder / "three.dcm", PatientID=None)
    write_pictures(folder, 1)
    key = tmp_path / "key"
    key.write_bytes(b"0123456789abcdef\n")
    arguments = (tmp_path / "in", "--model", tiny_model, "--workers", 1, "--heatmaps", "all")
    outputs = ""
    for name, options in (("hashed", ("--hash-key", key)), ("plain", ())):
        result = screen(*arguments, "--out", tmp_path / name, *options)
        assert result.exit_code == 0, result.output
        outputs += result.output.replace(str(tmp_path), "")
    hashed, plain = rows(tmp_path / "hashed"), rows(tmp_path / "plain")
    everything = outputs + str(hashed) + str([row | {"source": ""} for row in plain])
    for path in (tmp_path / "hashed").rglob("*"):
        if path.is_file() and path.parent.name != "listing" and path.name != "run.json":
            everything += path.read_bytes().decode("latin-1") + str(path.relative_to(tmp_path))
    assert not [word for word in PRIVATE if word in everything]
    assert {row["age_years"] for row in plain} == {90, None}
    assert {row["view"] for row in plain} == {"PA", "other", None}
    assert {row["body_part"] for row in plain} == {"CHEST", "other", None}
    assert all(row[name] is None for row in plain for name in ("patient", "study", "instance"))
    by_name = {Path(p["source"]).name: h for p, h in zip(plain, hashed, strict=True)}
    one, two, three = (by_name[name] for name in ("PID-4711.dcm", "two.dcm", "three.dcm"))
    assert len(one["patient"]) == len(one["source"]) == 32
    assert one["patient"] != two["patient"]
    assert one["study"] == two["study"]
    assert three["patient"] is None
    assert by_name["im0.png"]["study"] is None
    # Without the key, or with another, the run does not go on.
    assert "another hash key" in screen(*arguments, "--out", tmp_path / "hashed").stderr


@needs_signals
def test_killed_and_resumed(tiny_model: Path, tmp_path: Path) -> None:
    write_pictures(tmp_path / "in", 260, side=700)
    arguments = ("screen", tmp_path / "in", "--model", tiny_model, "--workers", 2)
    out = tmp_path / "killed"
    run = RunFolder(str(out))
    process = start(*arguments, "--out", out)
    try:
        assert wait_for(lambda: len(run.finished()) >= 3 or process.poll() is not None)
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    # Its processes end by themselves.
    assert wait_for(lambda: group_is_gone(process.pid))
    done = run.finished()
    assert 3 <= len(done) < len(run.listed())
    # As a process leaves it that is killed while it writes.
    (out / run.result_name(done[0])).with_name(".part-000003.parquet.ey8cbtyi").write_bytes(b"PAR")
    times = {n: (out / run.result_name(n)).stat().st_mtime_ns for n in done}
    result = screen(*arguments[1:], "--out", out)
    assert result.exit_code == 0, result.output
    assert {n: (out / run.result_name(n)).stat().st_mtime_ns for n in done} == times
    assert not [path for path in out.rglob("*") if path.name.startswith(".")]
    found = rows(out)
    assert len(found) == len({row["content"] for row in found}) == 260
    assert screen(*arguments[1:], "--out", tmp_path / "whole").exit_code == 0
    assert found == rows(tmp_path / "whole")
    # Not only the rows: each part is the same file.
    for number in run.finished():
        name = run.result_name(number)
        assert (out / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


@needs_signals
def test_a_process_that_dies_is_replaced(tiny_model: Path, tmp_path: Path) -> None:
    from multiprocessing import active_children

    from nanoray.archives.engines import run_local

    write_pictures(tmp_path / "in", 100, side=300)
    run = begin_run(str(tmp_path / "run"), str(tmp_path / "in"), tiny_model)
    list(run.list_parts(list_items(str(tmp_path / "in")), 500))
    parts = run_local(Task(run.place), run.listed(), workers=1)
    next(parts)
    (child,) = (p for p in active_children() if p.pid is not None)
    os.kill(child.pid, signal.SIGKILL)
    list(parts)
    assert run.finished() == run.listed()
    assert len(rows(run.place)) == 100


@needs_signals
def test_interrupt_ends_cleanly(tiny_model: Path, tmp_path: Path) -> None:
    write_pictures(tmp_path / "in", 200, side=700)
    run = RunFolder(str(tmp_path / "run"))
    process = start("screen", tmp_path / "in", "--out", run.place, "--model", tiny_model)
    assert wait_for(lambda: run.finished() or process.poll() is not None)
    os.killpg(process.pid, signal.SIGINT)
    assert process.wait(timeout=240) == 130
    assert wait_for(lambda: group_is_gone(process.pid))


def test_source_that_goes_away(tiny_model: Path, tmp_path: Path) -> None:
    items = [Item(f"s3://bucket/{n}", "", 1) for n in range(3)]
    run = begin_run(str(tmp_path / "run"), "s3://bucket", tiny_model)
    list(run.list_parts(items, 500))

    class Gone:
        def cat_file(self, _: str) -> bytes:
            raise ConnectionError

    with Screener(Task(run.place)) as screener:
        screener._fetcher._systems["s3://bucket"] = Gone()
        from nanoray.archives import fetching

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(fetching.time, "sleep", lambda _: None)
            with pytest.raises(NanoRayError, match="when the source is back"):
                screener.screen(0)
    assert run.finished() == []


def test_run_at_a_url(tiny_model: Path, tmp_path: Path) -> None:
    import fsspec

    memory = fsspec.filesystem("memory")
    for path in write_pictures(tmp_path / "in", 18):
        memory.pipe_file(f"/from/{path.name}", path.read_bytes())
    run = begin_run("memory://to/run", "memory://from", tiny_model)
    assert list(run.list_parts(list_items("memory://from"), 500)) == [16, 2]
    with Screener(Task(run.place)) as screener:
        for number in run.listed():
            screener.screen(number)
        assert not [path for path in screener.temporary_folder.iterdir() if path.suffix != ".onnx"]
    local = begin_run(str(tmp_path / "run"), str(tmp_path / "in"), tiny_model)
    list(local.list_parts(list_items(str(tmp_path / "in")), 500))
    with Screener(Task(local.place)) as screener:
        for number in local.listed():
            screener.screen(number)
    a, b = ([row | {"source": ""} for row in rows(place)] for place in (run.place, local.place))
    assert a == b


def test_an_archive_on_the_standard_input(tiny_model: Path, tmp_path: Path) -> None:
    write_pictures(tmp_path / "in", 3)
    archive = Path(shutil.make_archive(str(tmp_path / "films"), "zip", tmp_path / "in"))
    arguments = ["screen", "-", "--out", str(tmp_path / "run"), "--model", str(tiny_model)]
    result = CliRunner().invoke(app, [*arguments, "--workers", "1"], input=archive.read_bytes())
    assert result.exit_code == 0, result.output
    kept = tmp_path / "run" / "standard-input"
    assert sorted(row["source"] for row in rows(tmp_path / "run")) == [
        f"{kept}/im{number}.png" for number in range(3)
    ]
    assert not kept.exists()


def test_parts_grow() -> None:
    sizes = [size_of_part(number, 500) for number in range(60)]
    assert sizes[0] == 16
    assert sizes == sorted(sizes)
    assert sizes[-1] == 500
    assert size_of_part(10**6, 500) == 500
