"""Calibration for a site, and the model file that comes of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

pytest.importorskip("sklearn", reason="needs the extra calibrate")
pytest.importorskip("onnx", reason="needs the extra calibrate")

from nanoray.commands.app import app
from nanoray.detecting.detector import load
from nanoray.detecting.model_file import read_card
from nanoray.errors import DataSetError
from nanoray.evaluating.calibration import sigmoid
from nanoray.evaluating.recalibration import LabelledScores, recalibrate
from nanoray.exporting.card import write_card
from tiny_model import grey_picture, tiny_card


def made_scores(temperature: float, offset: float, count: int = 1500) -> LabelledScores:
    """Logits of a site where sigmoid((logit + offset) / temperature) is right."""
    rng = np.random.default_rng(11)
    logits = rng.normal(-offset, 1.5 * temperature, count)
    targets = (rng.random(count) < sigmoid((logits + offset) / temperature)).astype(np.int64)
    return LabelledScores(logits, targets, [str(number // 2) for number in range(count)])


def test_finds_the_temperature() -> None:
    found = recalibrate(tiny_card(), made_scores(3.0, 0.0), "north", samples=60)
    value, low, high = found.temperature
    assert low < 3.0 < high
    assert low < value < high
    assert found.shift == 0
    assert not found.shift_needed
    assert found.card.version == "9.1+north"
    assert found.card.temperature == value
    assert "1500 radiographs of north" in found.card.training_data
    # The AUROC of the test images stays; what depended on the old calibration goes.
    assert set(found.card.metrics) == {"auroc", "site auroc", "site brier", "site ece"}
    assert found.after["ece"][0] < found.before["ece"][0]
    assert found.after["auroc"][0] == pytest.approx(found.before["auroc"][0], abs=0.01)
    screening, balanced, confirm = found.card.operating_points
    assert screening.sensitivity >= 0.95
    assert confirm.specificity >= 0.95
    for point in (screening, balanced, confirm):
        value, low, high = found.thresholds[point.name]
        assert low <= value <= high
        # Held out, a threshold does about as well as on the cases that it was chosen on.
        assert found.after[f"{point.name} sensitivity"][0] == pytest.approx(
            point.sensitivity, abs=0.06
        )


def test_shift() -> None:
    scores = made_scores(2.0, -2.0)
    assert recalibrate(tiny_card(), scores, "south", samples=20).shift_needed
    found = recalibrate(tiny_card(), scores, "south", shift=True, samples=20)
    assert found.shift == pytest.approx(-2.0, abs=0.5)
    assert found.card.cam_bias == pytest.approx(0.5 + found.shift)
    assert not found.shift_needed
    assert found.card.command.endswith("nanoray calibrate --site south --shift")


def test_too_few() -> None:
    scores = LabelledScores(np.zeros(30), np.repeat([0, 1], [25, 5]), ["a"] * 30)
    with pytest.raises(DataSetError, match="5 cases with the finding; at least 20"):
        recalibrate(tiny_card(), scores, "x")


def test_shift_is_in_the_graph(tiny_model: Path, tmp_path: Path) -> None:
    card = read_card(tiny_model)
    once, twice = tmp_path / "once.onnx", tmp_path / "twice.onnx"
    for before, after, bias in ((tiny_model, once, -0.25), (once, twice, -1.0)):
        changed = tiny_card(cam_bias=bias)
        write_card(before, changed, output=after, shift=-0.75)
    picture = grey_picture(tmp_path / "a.png", 0.5)
    old, new = (load(path).predict(picture) for path in (tiny_model, twice))
    assert new.logit == pytest.approx(old.logit - 1.5, abs=1e-5)
    # The class-activation map still sums to the logit.
    outputs = load(twice).infer(np.full((1, 1, 32, 32), 0.5, np.float32))
    assert outputs.cam[0].mean() - 1.0 == pytest.approx(float(outputs.logit[0]), abs=1e-5)
    assert read_card(tiny_model) == card


@pytest.mark.slow
def test_command(tiny_model: Path, tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    lines = ["file,Target"]
    for number in range(60):
        mean = float(rng.uniform(0.1, 0.9))
        grey_picture(tmp_path / f"{number}.png", mean)
        lines.append(f"{number}.png,{int(rng.random() < mean)}")
    (tmp_path / "broken.png").write_bytes(b"x")
    (tmp_path / "labels.csv").write_text("\n".join([*lines, "broken.png,1"]) + "\n")
    output = tmp_path / "new.onnx"
    arguments = ["calibrate", "--labels", str(tmp_path / "labels.csv"), "--workers", "1"]
    result = CliRunner().invoke(
        app, [*arguments, "--model", str(tiny_model), "-o", str(output), "--site", "st.marys"]
    )
    assert result.exit_code == 0, result.output
    assert "60 of 61 labelled radiographs used; 1 unreadable" in result.stderr
    assert "temperature" in result.stdout
    card = read_card(output)
    assert card.version == "9.1+st.marys"
    assert card.reference is not None
    assert card.reference.count == 60
    assert set(card.reference.quantiles) == {
        "probability", "novelty", "brightness", "contrast", "sharpness",
    }  # fmt: skip
    assert load(output).card.temperature != 2.0
    assert read_card(tiny_model).version == "9.1"


@pytest.mark.parametrize(
    ("content", "options", "reason"),
    [
        ("name,x\n", [], "needs the columns file and target"),
        ("file,target\na.png,maybe\n", [], "line 2"),
        ("file,target\n", ["--site", "a b"], "letters and digits"),
    ],
)
def test_wrong_use(
    tiny_model: Path, tmp_path: Path, content: str, options: list[str], reason: str
) -> None:
    (tmp_path / "labels.csv").write_text(content)
    arguments = ["--labels", str(tmp_path / "labels.csv"), "--model", str(tiny_model)]
    result = CliRunner().invoke(
        app, ["calibrate", *arguments, "-o", str(tmp_path / "new.onnx"), *options]
    )
    assert result.exit_code == 2
    assert reason in " ".join(result.stderr.replace("│", " ").split())
    assert not (tmp_path / "new.onnx").exists()
