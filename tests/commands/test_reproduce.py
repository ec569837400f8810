"""The whole recipe with one command, on a few phantoms, and what examples prepare."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image
from typer.testing import CliRunner

from nanoray.commands.app import app
from nanoray.commands.reproduce import Plan
from nanoray.datasets.labelled import open_labelled
from nanoray.datasets.phantom import write_data_set
from nanoray.datasets.splits import PARTS
from nanoray.detecting.model_file import read_card

pytestmark = pytest.mark.slow

START = Path(__file__).parents[2] / "models" / "nanoray-student-fp32.onnx"


def nanoray(*arguments: object, code: int = 0) -> str:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == code, f"{result.output}{result.exception!r}"
    return result.output


def test_reproduce_makes_everything_once(tmp_path: Path) -> None:
    command = (
        *("reproduce", "--data", "phantom", "--output", tmp_path, "--from", START, "--quiet"),
        *("--phantoms", 60, "--size", 64, "--epochs", 1, "--robustness", 0, "--rounds", 0),
        # Distilled, exported and judged in tests/training/test_distilling.py.
        "--no-vit",
    )
    said = nanoray(*command)
    assert "finished before" not in said
    table = (tmp_path / "results" / "results.md").read_text()
    for label in ("teacher FP32", "baseline FP32", "student FP32", "student INT8"):
        assert label in table
    assert (tmp_path / "results" / "report.html").stat().st_size > 100_000
    model = tmp_path / "models" / "nanoray-student-int8.onnx"
    made = model.stat().st_mtime_ns
    again = nanoray(*command)
    stages = [line for line in said.splitlines() if line.startswith("[")]
    assert again.count("finished before") == len(stages) == 8
    assert model.stat().st_mtime_ns == made
    # What is missing is made again, and what depends on it can be asked for by deleting it.
    (tmp_path / "results" / "report.html").unlink()
    assert nanoray(*command).count("finished before") == 7


def test_a_recipe_is_run_and_its_model_exported(tmp_path: Path) -> None:
    list(write_data_set(tmp_path / "data" / "drawn", count=60, seed=3, size=32))
    settings = {"role": "baseline", "size": 32, "epochs": 1, "keep": "last", "batch_size": 8}
    content = {
        "name": "tiny",
        "data": "drawn",
        "steps": {
            "first": {"settings": settings, "pretrained": False},
            "second": {"settings": settings | {"seed": 1}, "start": "first"},
        },
        "split": {"column": "source", "value": "phantom", "folds": 3},
        "package": {"step": "second", "quantize": {"name": "nanoray-tiny", "int8": False}},
    }
    recipe = tmp_path / "tiny.yaml"
    recipe.write_text(yaml.safe_dump(content, sort_keys=False))
    command = ("reproduce", recipe, "--data", tmp_path / "data", "--output", tmp_path / "out", "-q")
    said = nanoray(*command)
    assert "[2/2] second: validation AUROC" in said
    model = tmp_path / "out" / "models" / "nanoray-tiny-fp32.onnx"
    assert read_card(model).input_size == 32
    made = [path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("weights.safetensors")]
    assert len(made) == 2
    data = open_labelled(tmp_path / "data" / "drawn", split=tmp_path / "out/second/split.csv")
    assert 18 <= len(data.split.validation) <= 22
    nanoray(*command)
    again = [path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("weights.safetensors")]
    assert again == made
    # What is wrong in the part that is used last is found first.
    content["package"]["quantize"]["speed"] = 3
    recipe.write_text(yaml.safe_dump(content, sort_keys=False))
    said = nanoray(*command[:-2], tmp_path / "other", "-q", code=2)
    assert "quantize: unknown key speed" in said
    assert not (tmp_path / "other").exists()


def test_phantoms_without_the_repository_give_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(Plan, "run", lambda plan: None)
    said = nanoray("reproduce", "--data", "phantom", "--output", tmp_path / "out")
    assert "warning: models/nanoray-student-fp32.onnx is not found" in said
    said = nanoray("reproduce", "--data", "phantom", "--output", tmp_path / "out", "--from", START)
    assert "warning" not in said


def test_reproduce_stops_at_a_stage_that_fails(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    said = nanoray("reproduce", "--data", tmp_path / "data", "--output", tmp_path / "out", code=2)
    assert "no class folders" in said
    assert not (tmp_path / "out" / "teacher").exists()


@pytest.fixture
def kermany(tmp_path: Path) -> Path:
    """Provide the layout and the names of Kermany et al. 2018, small."""
    rng = np.random.default_rng(0)
    names = {
        "train/NORMAL": [f"IM-{n:04d}-000{m}" for n in range(100, 120) for m in (1, 2)],
        "train/PNEUMONIA": [f"person{n}_{kind}_{7 * n + m}" for n in range(1, 25)
                            for kind in ("bacteria", "virus") for m in (0, 1)],
        # The numbers of persons begin again in the test part, for other kinds.
        "test/NORMAL": [f"NORMAL2-IM-{n:04d}-0001" for n in range(100, 110)],
        "test/PNEUMONIA": [f"person{n}_bacteria_{n}" for n in range(60, 70)],
    }  # fmt: skip
    for folder, stems in names.items():
        (tmp_path / "raw" / folder).mkdir(parents=True)
        for stem in stems:
            pixels = rng.integers(0, 256, (72, 80), np.uint8)
            Image.fromarray(pixels).save(tmp_path / "raw" / folder / f"{stem}.jpeg")
    return tmp_path / "raw"


def test_kermany_keeps_its_test_part_and_splits_the_rest_by_person(
    kermany: Path, tmp_path: Path
) -> None:
    nanoray("prepare", "folder", kermany, "--output", tmp_path / "data", "--size", 64)
    data = open_labelled(tmp_path / "data")
    test = {data.cases[index].path.stem for index in data.split.test}
    assert test == {path.stem for path in (kermany / "test").rglob("*.jpeg")}
    people = {
        part: {data.cases[index].patient for index in data.split.part(part)} for part in PARTS
    }
    assert not people["train"] & people["validation"]
    assert not people["test"] & (people["train"] | people["validation"])
    assert len(data.split.validation) >= 8
    assert "person7_bacteria" in people["train"] | people["validation"]
    assert {data.cases[index].target for index in data.split.validation} == {0, 1}
