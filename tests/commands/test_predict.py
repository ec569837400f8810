"""`nanoray predict`, through the command line."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import DigitalXRayImageStorageForPresentation, ExplicitVRLittleEndian
from typer.testing import CliRunner

from nanoray import __version__
from nanoray.commands.app import app
from nanoray.detecting.model_file import NOTICE

PRIVATE = ("Roe", "Richard", "PID-4711", "ACC-0815", "19580722", "1.2.826.0.1.3680043.99")


def write_dicom(path: Path) -> Path:
    """Return a child's lateral radiograph of a hand, whose header is full of identifiers."""
    item = Dataset()
    item.file_meta = FileMetaDataset()
    item.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    item.file_meta.MediaStorageSOPClassUID = DigitalXRayImageStorageForPresentation
    item.file_meta.MediaStorageSOPInstanceUID = "1.2.826.0.1.3680043.99.1"
    item.SOPClassUID = DigitalXRayImageStorageForPresentation
    item.SOPInstanceUID = "1.2.826.0.1.3680043.99.1"
    item.StudyInstanceUID = "1.2.826.0.1.3680043.99.2"
    item.PatientName = "Roe^Richard"
    item.PatientID = "PID-4711"
    item.AccessionNumber = "ACC-0815"
    item.PatientBirthDate = item.StudyDate = "19580722"
    item.PatientAge = "007Y"
    item.BodyPartExamined = "HAND"
    item.ViewPosition = "LL"
    item.Modality = "DX"
    item.Rows = item.Columns = 300
    item.BitsAllocated, item.BitsStored, item.HighBit = 16, 12, 11
    item.PixelRepresentation, item.SamplesPerPixel = 0, 1
    item.PhotometricInterpretation = "MONOCHROME2"
    pixels = np.zeros((300, 300), np.uint16)
    pixels[:200] = 4095
    item.PixelData = pixels.tobytes()
    item.save_as(path, enforce_file_format=True)
    return path


@pytest.fixture
def folder(tmp_path: Path, make_picture, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two radiographs, a dim one that is abstained from, a damaged one, and other files."""
    make_picture("in/b low.png", 0.25, side=300)
    make_picture("in/sub/ä high.png", 0.75, side=300)
    (tmp_path / "in/broken.dcm").write_bytes(b"no DICOM at all")
    Image.fromarray(np.full((300, 300), 60, np.uint8)).save(tmp_path / "in/dim.png")
    (tmp_path / "in/readme.txt").write_text("hello")
    monkeypatch.chdir(tmp_path)
    return tmp_path / "in"


@pytest.fixture
def nanoray(tiny_model: Path):
    def run(*arguments: object, model: bool = True):
        options = ["--model", str(tiny_model), "--workers", "1"] if model else []
        return CliRunner().invoke(app, ["predict", *options, *map(str, arguments)])

    return run


def test_table_is_ranked_and_bad_files_are_named(nanoray, folder: Path) -> None:
    result = nanoray("in")
    assert result.exit_code == 1
    lines = result.stdout.splitlines()
    assert [re.split(r"\s{2,}", line)[-1] for line in lines] == [
        "file",
        "in/sub/ä high.png",
        "in/b low.png",
        "in/dim.png",
        NOTICE,
    ]
    # Mean 0.75: (8 * 0.75 - 4 + 0.5) / 2 = 1.25; the logistic function of it is 0.777.
    assert lines[1].startswith("0.7773")
    assert "nanoray: in/broken.dcm: is not a DICOM file or a supported picture" in result.stderr
    assert "1 opacity suspected, 1 no opacity suspected, 1 abstained, 1 unreadable" in result.stderr
    assert "skipped in the folders and archives: 1 not an image" in result.stderr
    assert "Traceback" not in result.output


def test_exit_code_0_when_all_are_read(nanoray, folder: Path) -> None:
    result = nanoray("in/**/*.png", "in/b low.png")
    assert result.exit_code == 0
    assert "3 files" in result.stderr


def test_damaged_and_nested_archives_end_with_code_1(nanoray, folder: Path) -> None:
    picture = (folder / "b low.png").read_bytes()
    with tarfile.open("cut.tgz", "w:gz") as stream:
        for name in ("b low.png", "dim.png"):
            stream.add(folder / name, name)
    whole = Path("cut.tgz").read_bytes()
    Path("cut.tgz").write_bytes(whole[: len(whole) // 2])
    with zipfile.ZipFile("films.zip", "w") as archive:
        archive.writestr("a.png", picture)
        archive.writestr("empty.dcm", b"")
    result = nanoray("films.zip", "cut.tgz", "-f", "csv")
    assert result.exit_code == 1
    assert "nanoray: films.zip/empty.dcm: the file is empty" in result.stderr
    assert "nanoray: cut.tgz: the archive is damaged or ends too early" in result.stderr
    rows = {row["source"]: row for row in csv.DictReader(io.StringIO(result.stdout))}
    assert rows["films.zip/a.png"]["decision"] == "no opacity suspected"
    assert {"films.zip/empty.dcm", "cut.tgz"} <= rows.keys()


def test_json(nanoray, folder: Path) -> None:
    result = nanoray("in", "--format", "json", "--operating-point", "confirm")
    assert result.exit_code == 1
    document = json.loads(result.stdout)
    assert document["model"]["name"] == "tiny"
    assert document["notice"] == NOTICE
    assert {item["source"]: item["decision"] for item in document["results"]} == {
        "in/b low.png": "no opacity suspected",
        "in/dim.png": "abstained",
        "in/sub/ä high.png": "opacity suspected",
    }
    assert {item["threshold"] for item in document["results"]} == {0.7}
    assert [item["source"] for item in document["errors"]] == ["in/broken.dcm"]


def test_jsonl_and_csv_keep_the_order_of_the_files(nanoray, folder: Path) -> None:
    expected = ["in/b low.png", "in/broken.dcm", "in/dim.png", "in/sub/ä high.png"]
    lines = nanoray("in", "-f", "jsonl").stdout.splitlines()
    assert [json.loads(line)["source"] for line in lines] == expected
    rows = list(csv.DictReader(io.StringIO(nanoray("in", "-f", "csv").stdout)))
    assert [row["source"] for row in rows] == expected
    assert NOTICE in nanoray("in", "-f", "csv").stderr


def test_threshold_of_ones_own(nanoray, folder: Path) -> None:
    result = nanoray("in/sub", "--threshold", "0.9", "-f", "jsonl")
    record = json.loads(result.stdout)
    assert record["threshold"] == 0.9
    assert record["decision"] == "no opacity suspected"
    assert record["operating_point"] is None


def test_writes_files(nanoray, folder: Path, tmp_path: Path) -> None:
    result = nanoray(
        "in", "--output", "out.csv", "-f", "csv", "--heatmaps", "maps", "--report", "report.html"
    )
    assert result.exit_code == 1
    assert result.stdout == ""
    assert len((tmp_path / "out.csv").read_text("utf-8").splitlines()) == 5
    assert sorted(path.name for path in (tmp_path / "maps").iterdir()) == [
        "b low.heatmap.png",
        "ä high.heatmap.png",
    ]
    with Image.open(tmp_path / "maps" / "ä high.heatmap.png") as image:
        assert (image.size, image.mode) == ((300, 300), "RGB")
    report = (tmp_path / "report.html").read_text("utf-8")
    assert report.index("ä high.png") < report.index("b low.png") < report.index("broken.dcm")
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "in",
        "maps",
        "out.csv",
        "report.html",
    ]


def test_no_identifier_in_any_output(nanoray, tmp_path: Path) -> None:
    source = write_dicom(tmp_path / "film.dcm")
    truncated = tmp_path / "short.dcm"
    truncated.write_bytes(source.read_bytes()[:-9000])
    everything = ""
    for form in ("table", "json", "jsonl", "csv"):
        result = nanoray(
            source, truncated, "-f", form, "--heatmaps", tmp_path / "maps",
            "--report", tmp_path / "report.html",
        )  # fmt: skip
        assert result.exit_code == 1
        everything += result.output
    assert "lateral-view" in everything
    assert "child" in everything
    report = re.sub(r"base64,[^\"]*", "", (tmp_path / "report.html").read_text("utf-8"))
    assert "lateral view" in report
    for path in (tmp_path / "maps").iterdir():
        everything += path.read_bytes().decode("latin-1")
    for word in PRIVATE:
        assert word not in everything + report


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["absent.dcm"], "absent.dcm: no such file or folder"),
        (["*.nii"], "no file matches"),
        (["empty"], "no images to read"),
        (["in", "--operating-point", "loose"], "no operating point 'loose'"),
        (["in", "--operating-point", "confirm", "--threshold", "0.5"], "not both"),
        (["in", "--threshold", "1.5"], "less than or equal to 1"),
        (["in", "--format", "xml"], "xml"),
        (["in", "--report", "nowhere/report.html"], "no such folder"),
        (["in", "-o", "same", "--report", "./same"], "the same file"),
        (["in", "--report", "empty"], "is a directory"),
        (["in", "--workers", "0"], "--workers"),
        ([], "PATH"),
    ],
)
def test_wrong_use(nanoray, folder: Path, arguments: list[str], reason: str) -> None:
    Path("empty").mkdir()
    result = nanoray(*arguments)
    assert result.exit_code == 2
    # Rich folds and frames the messages.
    assert reason in " ".join(re.sub(r"[│╭╮╰╯─]", "", result.stderr).split())
    assert result.stdout == ""
    assert "Traceback" not in result.output


def test_bad_model_file(nanoray, folder: Path) -> None:
    Path("bad.onnx").write_bytes(b"zero")
    for name, reason in (("bad.onnx", "not a model"), ("none.onnx", "no such model file")):
        result = nanoray("in", "--model", name, model=False)
        assert result.exit_code == 2
        assert result.stderr.startswith(f"nanoray: {name}: {reason}")
        assert len(result.stderr.splitlines()) == 1


def test_version_and_help() -> None:
    assert CliRunner().invoke(app, ["--version"]).stdout == f"nanoray {__version__}\n"
    text = CliRunner().invoke(app, ["predict", "--help"], env={"COLUMNS": "100"}).stdout
    for option in ("--operating-point", "--threshold", "--report", "--heatmaps", "--format"):
        assert option in text


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "nanoray", *map(str, arguments)]


def test_no_temporary_folder_is_needed(
    nanoray, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As on a read-only system.
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setattr(tempfile, "_candidate_tempdir_list", list)
    with pytest.raises(FileNotFoundError):
        tempfile.gettempdir()
    done = nanoray("in/b low.png", "-f", "json")
    assert done.exit_code == 0, done.output
    assert len(json.loads(done.stdout)["results"]) == 1


def test_as_a_process(folder: Path, tiny_model: Path) -> None:
    done = subprocess.run(
        command("predict", "in", "--model", tiny_model, "-f", "json", "--workers", "1"),
        capture_output=True,
        check=False,
    )
    assert done.returncode == 1
    assert len(json.loads(done.stdout.decode("utf-8"))["results"]) == 3
    assert "broken.dcm" in done.stderr.decode("utf-8")


@pytest.mark.skipif(os.name == "nt", reason="signals differ on Windows")
def test_interrupt_ends_cleanly(tiny_model: Path, make_picture, tmp_path: Path) -> None:
    for number in range(300):
        make_picture(f"many/{number}.png", 0.5, side=600)
    running = subprocess.Popen(
        command(
            "predict",
            tmp_path / "many",
            "--model",
            tiny_model,
            "--workers",
            "1",
            "-f",
            "jsonl",
            "--report",
            tmp_path / "report.html",
        ),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert running.stdout is not None
    first = running.stdout.readline()
    time.sleep(0.05)
    # As a terminal does it: to all processes of the command.
    os.killpg(running.pid, signal.SIGINT)
    _, errors = running.communicate(timeout=30)
    assert json.loads(first)["source"].endswith("0.png")
    assert running.returncode == 130
    assert "interrupted" in errors
    assert "Traceback" not in errors
    assert [path.name for path in tmp_path.iterdir()] == ["many"]
