"""`nanoray evaluate` from radiographs and model files to tables, pictures and one page."""

from __future__ import annotations

import csv
import hashlib
import json
import re
from base64 import b64encode
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner

from nanoray.commands.app import app
from nanoray.datasets.phantom import write_data_set
from nanoray.evaluating.stress import PARTS
from tiny_model import grey_picture, tiny_card, write_tiny_model

pytestmark = pytest.mark.slow

pytest.importorskip("sklearn")
pytest.importorskip("matplotlib")


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """Results of two models on the test part of drawn radiographs, and what was printed."""
    folder = tmp_path_factory.mktemp("evaluate")
    list(write_data_set(folder / "data", count=120, seed=5, size=64))
    models = [
        write_tiny_model(folder / "a.onnx", tiny_card(name="nanoray-teacher")),
        write_tiny_model(
            folder / "b.onnx", tiny_card(name="nanoray-student", precision="int8", cam_bias=0.1)
        ),
    ]
    result = CliRunner().invoke(
        app,
        [
            *("evaluate", *map(str, models), "--data", str(folder / "data")),
            *("--output", str(folder / "results"), "--cache", str(folder / "cache")),
            *("--draws", "200", "--robustness", "12", "--rounds", "4", "--part", "test"),
        ],
    )
    assert result.exit_code == 0, result.output
    return folder / "results", result.output


def test_results_as_json(evaluated: tuple[Path, str]) -> None:
    results = json.loads((evaluated[0] / "results.json").read_text())
    teacher, student = results["models"]
    assert (teacher["label"], student["label"]) == ("teacher FP32", "student INT8")
    assert results["images"] == sum(teacher["confusion"].values())
    for model in results["models"]:
        for value, low, high in model["metrics"].values():
            assert low <= value <= high
        assert len(model["robustness"]) == 17
        assert model["robustness"][0]["decisions_changed"] == 0
        assert model["localisation"]["images"] > 8
    assert teacher["latency"]["ratio"] == [1, 1, 1]
    # The bias moves the logit and not its order.
    (pair,) = results["pairs"]
    assert pair["auroc"] == [0, 0, 0]
    assert pair["verdict"].startswith("No difference shown between teacher FP32 and student INT8")
    groups = {(group["kind"], group["name"]) for group in teacher["groups"]}
    assert {("view", "AP"), ("view", "PA"), ("sex", "F"), ("class", "Normal")} <= groups


def test_scores_of_every_image(evaluated: tuple[Path, str]) -> None:
    with (evaluated[0] / "scores.csv").open() as file:
        rows = list(csv.DictReader(file))
    results = json.loads((evaluated[0] / "results.json").read_text())
    assert len(rows) == results["images"]
    assert sum(int(row["target"]) for row in rows) == results["positive"]
    assert len({row["person"] for row in rows}) == results["patients"]
    assert all(0 < float(row["probability student INT8"]) < 1 for row in rows)


def test_tables_and_pictures(evaluated: tuple[Path, str]) -> None:
    folder, printed = evaluated
    table = (folder / "results.md").read_text()
    assert table.strip() in printed
    assert "| teacher FP32 |" in table
    assert "DeLong p" in table
    assert "specificity" in (folder / "details.md").read_text()
    for name in ("curves", "confusion", "decision", "pareto", "groups", "robustness"):
        assert (folder / f"{name}.png").stat().st_size > 8_000
    assert (folder / "gallery.jpg").stat().st_size > 20_000


def test_page_needs_nothing_but_itself(evaluated: tuple[Path, str]) -> None:
    page = (evaluated[0] / "report.html").read_text()
    assert page.count('src="data:image/') == 7
    assert not re.search(r"https?://|url\(|<script src", page)
    # The policy lets the explorer's script run and no other.
    ((script,),) = [re.findall(r"<script>(.*?)</script>", page, re.DOTALL)]
    digest = b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}';" in page
    assert "default-src 'none'" in page
    assert "Research use only" in page
    # Neither paths nor names of files, which could say who the patient is.
    assert "phantom-5" not in page
    assert str(evaluated[0].parent) not in page
    for section in re.findall(r'href="#([a-z]+)"', page):
        assert f'id="{section}"' in page


def test_one_model_and_the_gate(evaluated: tuple[Path, str]) -> None:
    folder = evaluated[0].parent
    (folder / "others").mkdir()
    # The tiny model's novelty is the darkness of the brightest pixel.
    for name, mean in (("dark", 0.0), ("bright", 0.9)):
        grey_picture(folder / "others" / f"{name}.png", mean)
    (folder / "others" / "notes.txt").write_text("no image")
    result = CliRunner().invoke(
        app,
        [
            *("evaluate", str(folder / "a.onnx"), "--data", str(folder / "data")),
            *("--output", str(folder / "one"), "--cache", str(folder / "cache")),
            *("--draws", "100", "--robustness", "0", "--rounds", "0", "--part", "validation"),
            *("--others", str(folder / "others"), "--stress"),
        ],
    )
    assert result.exit_code == 0, result.output
    results = json.loads((folder / "one" / "results.json").read_text())
    assert results["pairs"] == []
    assert "refuses 50.0% of 2 other images" in result.output
    assert 0.5 <= results["models"][0]["metrics"]["gate auroc"][0] <= 1
    assert results["models"][0]["latency"] is None
    assert not (folder / "one" / "robustness.png").exists()
    stress = results["models"][0]["stress"]
    assert [one["change"] and one["change"]["kind"] for one in stress] == [None, *PARTS]
    assert stress[0]["moved"] == 0
    # The tiny model's logit is the mean of the picture.
    assert all(one["moved"] > 0 for one in stress[1:])
    assert results["shortcuts"]["covered"] > 0.5
    assert "What the models lean on" in (folder / "one" / "report.html").read_text()
    assert (folder / "one" / "stress.png").stat().st_size > 8_000


def test_compare_puts_evaluations_together(evaluated: tuple[Path, str], tmp_path: Path) -> None:
    folder = evaluated[0]
    again = tmp_path / "again"
    again.mkdir()
    for name in ("scores.csv", "results.json"):
        (again / name).write_bytes((folder / name).read_bytes())
    table = tmp_path / "pairs.md"
    arguments = ["compare", str(folder), str(again), "--draws", "100", "-o", str(table)]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    # Two models twice: six pairs, each with a sentence and a row.
    assert table.read_text().count("No difference shown between") == 6
    assert "| teacher FP32 - teacher FP32 (again) |" in table.read_text()
    scores = (again / "scores.csv").read_text().splitlines()
    (again / "scores.csv").write_text("\n".join(scores[:-1]))
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 2
    assert "other images or targets" in result.output
    result = CliRunner().invoke(app, ["compare", str(tmp_path)])
    assert result.exit_code == 2


def test_wrong_use(evaluated: tuple[Path, str], tmp_path: Path) -> None:
    model = str(evaluated[0].parent / "a.onnx")
    unlabelled = tmp_path / "data" / "a"
    unlabelled.mkdir(parents=True)
    (unlabelled / "x.png").write_bytes(b"")
    result = CliRunner().invoke(app, ["evaluate", model, "--data", str(tmp_path / "data")])
    assert result.exit_code == 2
    assert "no split.csv" in result.output
    result = CliRunner().invoke(app, ["evaluate", model, "--data", str(tmp_path / "absent")])
    assert result.exit_code == 2
    assert "absent: no such folder" in " ".join(result.output.split())
    result = CliRunner().invoke(
        app, ["evaluate", model, "--data", str(tmp_path / "data"), "--part", "all"]
    )
    assert result.exit_code == 2
    assert "Target" in result.output
    data = str(evaluated[0].parent / "data")
    result = CliRunner().invoke(app, ["evaluate", model, "--data", data, "--part", "some"])
    assert result.exit_code == 2


def test_one_class_is_refused(tiny_model: Path, tmp_path: Path) -> None:
    images = tmp_path / "data" / "images"
    images.mkdir(parents=True)
    rows = ["patientId,class_name,Target"]
    for name in ("a", "b", "c"):
        Image.new("L", (64, 64), 90).save(images / f"{name}.png")
        rows.append(f"{name},Normal,0")
    (images.parent / "labels.csv").write_text("\n".join(rows) + "\n")
    result = CliRunner().invoke(
        app,
        [
            *("evaluate", str(tiny_model), "--data", str(images.parent), "--part", "all"),
            *("--output", str(tmp_path / "out")),
        ],
    )
    assert result.exit_code == 2
    output = " ".join(result.output.split())
    assert "0 radiographs with and 3 without an opacity (part: all)" in output
    assert "Check the labels, or choose another part with --part" in output
    assert not (tmp_path / "out" / "results.json").exists()


def test_data_that_are_new_to_the_models_are_judged_whole(
    evaluated: tuple[Path, str], tmp_path: Path
) -> None:
    folder = evaluated[0].parent
    result = CliRunner().invoke(
        app,
        [
            *("evaluate", str(folder / "a.onnx"), "--data", str(folder / "data")),
            *("--output", str(tmp_path / "out"), "--cache", str(folder / "cache")),
            *("--draws", "100", "--robustness", "0", "--rounds", "0", "--part", "all"),
        ],
    )
    assert result.exit_code == 0, result.output
    assert "120 of 120 images are evaluated (all)" in result.output
    assert json.loads((tmp_path / "out" / "results.json").read_text())["images"] == 120


def test_few_images_are_pointed_out(evaluated: tuple[Path, str]) -> None:
    assert "too few to rely on" in evaluated[1]
    assert "too few to rely on" in (evaluated[0] / "results.md").read_text()
