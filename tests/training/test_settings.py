"""Settings as files, and what the command line makes of them."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path
from typing import get_args, get_type_hints

import pytest
from typer.testing import CliRunner

from nanoray.commands import train as command
from nanoray.commands.app import app
from nanoray.commands.table import COMMANDS
from nanoray.errors import DataSetError
from nanoray.training.distillation import METHODS
from nanoray.training.networks import build, check_architecture
from nanoray.training.settings import ROLE_DEFAULTS, Role, Settings, read_values

SETTINGS = Settings("student", "resnet18", 96, 7, learning_rate=1e-5, distillation_method="dist")


def test_saved_settings_are_read_back(tmp_path: Path) -> None:
    SETTINGS.save(tmp_path)
    assert Settings.load(tmp_path) == SETTINGS


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("learning_rat: 0.1", "no such setting"),
        ("epochs: many", "epochs: a value of the wrong form"),
        ("epochs: 2.5", "epochs: a value of the wrong form"),
        ("quantization_aware: 1", "quantization_aware: a value of the wrong form"),
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
    """Return what `nanoray train teacher DATA ...` would train with."""
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
    assert (given["distillation_method"], given["distillation_weight"]) == ("dist", 2.0)
    assert given["learning_rate"] == 1e-5


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


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"keep": "newest"}, "keep: 'newest' is unknown; use best, last"),
        ({"distillation_method": "logits"}, "distillation_method: 'logits' is unknown"),
        ({"size": 8}, "size: 8 is less than 32"),
        ({"average_decay": 1.5}, "average_decay: 1.5 is more than 1"),
    ],
)
def test_values_are_checked_before_work(changed: dict[str, object], reason: str) -> None:
    with pytest.raises(DataSetError, match=reason):
        replace(SETTINGS, **changed)


def test_every_method_of_distillation_can_be_chosen() -> None:
    assert get_args(get_type_hints(Settings)["distillation_method"]) == METHODS


@pytest.mark.parametrize("role", get_args(Role))
def test_options_are_the_fields(role: str) -> None:
    """Names, defaults and help of a command's options come from the dataclass."""
    if role == "student":
        found = COMMANDS["distill"].load("distill")
    else:
        found = COMMANDS["train"].load("train").commands[role]
    options = {option.name: option for option in found.params}
    for field in fields(Settings):
        if "help" not in field.metadata or role not in field.metadata.get("roles", (role,)):
            assert field.name not in options
            continue
        option = options[field.name]
        assert option.help.startswith(field.metadata["help"])
        if field.name != "architecture":
            assert option.default == ROLE_DEFAULTS[role].get(field.name, field.default)


def test_unknown_choice_is_refused_before_the_data_are_read(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["train", "baseline", str(tmp_path), "--keep", "newest"])
    assert result.exit_code == 2
    assert "newest" in result.output


def test_unknown_architecture_is_refused_with_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(DataSetError, match=r"did you mean .*mobilenet_v3_small"):
        check_architecture("mobilenet_v3_smal")
    # Not a crash from timm either.
    with pytest.raises(DataSetError, match="unknown architecture 'mobilenet_v3_small_huge'"):
        build("mobilenet_v3_small_huge", pretrained=False)
