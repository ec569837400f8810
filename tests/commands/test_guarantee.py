"""`nanoray guarantee`, and `nanoray predict` under what it writes."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

pytest.importorskip("sklearn", reason="needs the extra evaluate")
pytest.importorskip("onnx", reason="needs the extra calibrate")

from nanoray.commands.app import app
from nanoray.detecting.model_file import read_card
from nanoray.exporting.card import shift_of
from nanoray.exporting.guarantee import parse_levels
from tiny_model import grey_picture

COUNT = 140


@pytest.fixture(scope="module")
def scored(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Provide a data set of grey pictures, and scores of it: brighter means more suspicious."""
    folder = tmp_path_factory.mktemp("data")
    (folder / "images").mkdir()
    rng = np.random.default_rng(2)
    labels, rows = [], []
    for number in range(COUNT):
        name, target, view = f"r{number:03}", int(number % 2), "AP" if number % 4 < 2 else "PA"
        logit = float(rng.normal(2 * target - 1 + (view == "AP"), 1))
        grey_picture(folder / "images" / f"{name}.png", min(max((logit + 4) / 8, 0.1), 0.9))
        class_name = "Lung Opacity" if target else "Normal"
        labels.append((name, class_name, target, f"p{number // 2}", view))
        rows.append((name, number % 5, 0, logit))
        rows.append((name, number % 5, 1, logit + 9.0))
    for path, head, lines in (
        ("labels.csv", ("patientId", "class_name", "Target", "source_patient", "view"), labels),
        ("scores.csv", ("patientId", "fold", "seed", "logit"), rows),
    ):
        with (folder / path).open("w", newline="") as stream:
            csv.writer(stream).writerows([head, *lines])
    return folder, folder / "scores.csv"


@pytest.mark.slow
def test_writes_thresholds_and_guarantees(
    tiny_model: Path, scored: tuple[Path, Path], tmp_path: Path
) -> None:
    data, scores = scored
    output, report = tmp_path / "new.onnx", tmp_path / "report"
    arguments = ["guarantee", str(tiny_model), "--scores", str(scores), "--data", str(data)]
    found = CliRunner().invoke(
        app, [*arguments, "-o", str(output), "--report", str(report), "--splits", "20"]
    )
    assert found.exit_code == 0, found.output
    card = read_card(output)
    assert [calibration.view for calibration in card.views] == ["AP", "PA"]
    assert {guarantee.level for guarantee in card.guarantees} == {0.05, 0.1}
    assert card.views[0].images == card.views[1].images == COUNT // 2
    assert shift_of(output) == pytest.approx(card.cam_bias - read_card(tiny_model).cam_bias)
    text = (report / "guarantee.md").read_text()
    assert "140 radiographs of 70 patients, 70 with an opacity" in text
    assert "| balanced | PA |" in text
    assert "Research use only" in text
    assert "nan" not in text
    assert (report / "guarantee.png").stat().st_size > 5000
    # The second time nothing moves: the shift of the first is taken into account.
    again = tmp_path / "again.onnx"
    arguments[1] = str(output)
    assert CliRunner().invoke(app, [*arguments, "-o", str(again), "--splits", "0"]).exit_code == 0
    assert shift_of(again) == pytest.approx(shift_of(output), abs=1e-4)
    assert read_card(again).views[0].temperature == pytest.approx(
        card.views[0].temperature, rel=1e-3
    )
    # And a picture is judged by them.
    picture = grey_picture(tmp_path / "a.png", 0.45)
    asked = ["predict", str(picture), "--model", str(output), "--view", "PA", "-f", "json"]
    found = CliRunner().invoke(app, [*asked, "--guarantee", "0.05", "--prevalence", "0.05"])
    assert found.exit_code == 0, found.output
    document = json.loads(found.stdout)
    (result,) = document["results"]
    assert (result["view"], result["view_source"], result["guarantee"]) == ("PA", "given", 0.05)
    assert result["clear_below"] == pytest.approx(card.guarantees[0].clear_below["PA"], abs=1e-6)
    assert 0 < result["probability_at_prevalence"] < result["probability"]
    assert set(document["predictive_values"]) == {"AP", "PA", "any"}
    assert document["predictive_values"]["PA"]["prevalence"] == 0.05
    assert "PA radiographs: At a prevalence of 5 %: PPV" in found.stderr


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"--seed": "7"}, "no scores of seed 7; seeds are [0, 1]"),
        ({"--levels": "0.05,x"}, "give numbers separated by commas"),
        ({"--levels": "0"}, "above 0 and below"),
        ({"-o": "nowhere/x.onnx"}, "no such folder"),
    ],
)
def test_bad_options(
    tiny_model: Path, scored: tuple[Path, Path], tmp_path: Path, change: dict[str, str], words: str
) -> None:
    data, scores = scored
    options = {"--scores": str(scores), "--data": str(data), "-o": str(tmp_path / "x.onnx")}
    listed = [part for pair in (options | change).items() for part in pair]
    found = CliRunner().invoke(app, ["guarantee", str(tiny_model), *listed])
    assert found.exit_code == 2
    assert words in " ".join(found.output.replace("│", " ").split())
    assert not (tmp_path / "x.onnx").exists()


def test_scores_of_other_images(
    tiny_model: Path, scored: tuple[Path, Path], tmp_path: Path
) -> None:
    scores = tmp_path / "scores.csv"
    scores.write_text("patientId,fold,seed,logit\nelsewhere,0,0,1.5\n")
    options = ["--scores", str(scores), "--data", str(scored[0]), "-o", str(tmp_path / "x.onnx")]
    found = CliRunner().invoke(app, ["guarantee", str(tiny_model), *options])
    assert found.exit_code == 2
    assert "1 scored images are not in" in found.output


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--guarantee", "0.05"], "this model file has no guarantee"),
        (["--view", "lateral"], "choose AP or PA"),
        (["--prevalence", "0"], "above 0 and below 1"),
        (["--prevalence", "1"], "above 0 and below 1"),
        (
            ["--prevalence", "0.1", "--threshold", "0.5"],
            "the sensitivity of --threshold is unknown",
        ),
    ],
)
def test_bad_questions(tiny_model: Path, tmp_path: Path, options: list[str], words: str) -> None:
    picture = grey_picture(tmp_path / "a.png", 0.5)
    found = CliRunner().invoke(app, ["predict", str(picture), "--model", str(tiny_model), *options])
    assert found.exit_code == 2
    assert words in " ".join(found.output.replace("│", " ").split())


def test_parse_levels() -> None:
    assert parse_levels("0.1, 0.05,0.05") == (0.05, 0.1)
