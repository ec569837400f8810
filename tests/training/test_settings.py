"""Settings as files, and what the command line makes of them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from nanoray.commands import train as command
from nanoray.commands.app import app
from nanoray.errors import DataSetError
from nanoray.training.settings import Settings, read_values

SETTINGS = Settings("student", "resnet18", 96, 7, learning_rate=1e-5, distillation_method="dist")


def test_saved_settings_are_read_back(tmp_path: Path) -> None:
    SETTINGS.save(tmp_path)
    assert Settings.load(tmp_path) == SETTINGS


def test_runs_of_the_first_version_are_read(tmp_path: Path) -> None:
    earlier = {"role": "teacher", "architecture": "resnet50", "size": 224, "epochs": 8}
    (tmp_path / "settings.json").write_text(json.dumps(earlier | {"learning_rate": 1e-05}))
    assert Settings.load(tmp_path) == Settings("teacher", "resnet50", 224, 8, learning_rate=1e-5)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("learning_rat: 0.1", "no such setting"),
        ("epochs: many", "epochs: a value of the wrong form"),
        ("epochs: 2.5", "epochs: a value of the wrong form"),
        ("- 1\n- 2", "expected settings"),
        ("{a: [", "neither YAML nor JSON"),
    ],
)
def test_bad_files_are_named_with_the_reason(tmp_path: Path, text: str, reason: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(DataSetError, match=reason) as caught:
        read_values(path)
    assert str(path) in str(caught.value)


def test_folder_without_settings_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(DataSetError, match="not a training run"):
        Settings.load(tmp_path)


def _given(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> dict[str, object]:
    """What `nanoray train teacher DATA ...` would train with."""
    seen: dict[str, object] = {}
    monkeypatch.setattr(command, "_train", lambda role, options: seen.update(options, role=role))
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.output
    return seen


def test_command_line_goes_before_file_and_file_before_defaults(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    replace(SETTINGS, batch_size=48, distillation_weight=2.0).save(tmp_path)
    file = tmp_path / "settings.yaml"
    given = _given(
        monkeypatch, "distill", tmp_path, "--teacher", tmp_path, "--settings", file, "--size", 64
    )
    assert given["role"] == "student"
    assert (given["size"], given["epochs"], given["batch_size"]) == (64, 7, 48)
    assert (given["method"], given["method_weight"], given["learning_rate"]) == ("dist", 2.0, 1e-5)


def test_commands_differ_in_their_defaults(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    teacher = _given(monkeypatch, "train", "teacher", tmp_path)
    baseline = _given(monkeypatch, "train", "baseline", tmp_path)
    assert (teacher["architecture"], teacher["size"]) == ("resnet50", 224)
    assert (baseline["architecture"], baseline["size"]) == (None, 256)
    assert (teacher["output"], baseline["output"]) == (Path("runs/teacher"), Path("runs/baseline"))
    student = _given(monkeypatch, "distill", tmp_path, "--teacher", tmp_path)
    assert student["attention_weight"] == baseline["attention_weight"] == 0.5


def test_distilling_needs_a_teacher(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["distill", str(tmp_path)])
    assert result.exit_code == 2
    assert "--teacher" in result.output
