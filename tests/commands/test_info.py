"""`nanoray info`."""

from __future__ import annotations

import json
from pathlib import Path

from typer.testing import CliRunner

from nanoray.commands.app import app
from nanoray.detecting.model_file import NOTICE, ModelCard, packaged_model, read_card


def test_prints_the_card(tiny_model: Path) -> None:
    result = CliRunner().invoke(app, ["info", str(tiny_model)])
    assert result.exit_code == 0
    text = result.stdout
    assert text.startswith("tiny 9.1 (2026-01-02)\n")
    for part in (NOTICE, "brightness <above> average", "mean_of_blocks, fp32", "none: made for"):
        assert part in text
    lines = [line.split() for line in text.splitlines()]
    assert ["balanced", "*", "any", "0.500", "80.0", "(74.0", "to", "85.0)", "75.0", "(70.0", "to",
            "80.0)"] in lines  # fmt: skip
    assert ["auroc", "0.900", "(0.850", "to", "0.950)"] in lines


def test_each_view_has_its_operating_points() -> None:
    lines = [line.split() for line in CliRunner().invoke(app, ["info"]).stdout.splitlines()]
    rows = {(line[0], line[2]): line[3] for line in lines if line[1:2] == ["*"]}
    card = read_card(packaged_model())
    wanted = {one.view: one.operating_point("balanced").threshold for one in card.views}
    wanted["unknown"] = card.operating_point("balanced").threshold
    assert rows == {("balanced", view): f"{value:.3f}" for view, value in wanted.items()}


def test_nothing_is_folded_when_piped(make_model) -> None:
    long = "a very long account of where the radiographs came from, " * 20
    result = CliRunner().invoke(app, ["info", str(make_model(training_data=long.strip()))])
    assert long.strip() in result.stdout


def test_json_is_the_card(tiny_model: Path) -> None:
    result = CliRunner().invoke(app, ["info", str(tiny_model), "--json"])
    card = json.loads(result.stdout)
    assert card["operating_points"][0]["name"] == "screening"
    assert ModelCard.from_json(result.stdout).temperature == 2.0


def test_wrong_files(tmp_path: Path) -> None:
    path = tmp_path / "x.onnx"
    result = CliRunner().invoke(app, ["info", str(path)])
    assert result.exit_code == 2
    assert result.stderr == f"nanoray: {path}: no such model file\n"
    path.write_bytes(b"\x00" * 64)
    result = CliRunner().invoke(app, ["info", str(path)])
    assert result.exit_code == 2
    assert result.stderr == f"nanoray: {path}: not a model that ONNX Runtime can load\n"
