"""The table of commands agrees with the commands, and with the extras of the package."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from nanoray.commands import extras
from nanoray.commands.app import app
from nanoray.commands.table import COMMANDS
from nanoray.errors import MissingExtraError

PYPROJECT = (Path(__file__).parents[2] / "pyproject.toml").read_text()

REQUIREMENTS = [
    "numpy>=1.26",
    "onnxruntime>=1.20",
    "scipy>=1.13; extra == 'evaluate'",
    "nanoray[evaluate]; extra == 'train'",
    "torch>=2.6; extra == 'train'",
    "uvloop>=0.21; (sys_platform != 'win32') and extra == 'train'",
    "no-such-package[one,two]>=3; extra == 'serve'",
]


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_loads_and_begins_with_its_line_of_help(name: str) -> None:
    result = CliRunner().invoke(app, [name, "--help"])
    assert result.exit_code == 0, result.output
    assert COMMANDS[name].help[:40] in result.output
    assert len(COMMANDS[name].help) <= 90


def options(command: Any, path: str) -> Iterator[tuple[str, Any]]:
    """Yield each option of a command and of those below it."""
    for below in getattr(command, "commands", {}).values():
        yield from options(below, f"{path} {below.name}")
    for parameter in command.params:
        if parameter.param_type_name == "option":
            yield f"{path} {parameter.opts[0]}", parameter


@pytest.mark.parametrize("name", COMMANDS)
def test_each_option_has_a_text_and_one_default(name: str) -> None:
    for where, option in options(COMMANDS[name].load(name), name):
        assert option.help, where
        stated = "default:" in option.help
        shown = option.show_default and option.default not in (None, "", (), [], False)
        assert not (stated and shown), where


@pytest.mark.parametrize("name", COMMANDS)
def test_each_extra_is_one_of_the_package(name: str) -> None:
    extra = COMMANDS[name].extra
    assert extra is None or re.search(rf"^{extra} = \[", PYPROJECT, re.MULTILINE)


def test_help_lists_all_commands_and_imports_none() -> None:
    code = (
        "import sys; from nanoray.commands.app import main\n"
        "try: main()\nexcept SystemExit: pass\n"
        "print(*(name for name in sys.modules if name.startswith('nanoray.')))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "--help"], capture_output=True, text=True, check=True
    )
    assert all(f" {name} " in done.stdout for name in COMMANDS)
    loaded = set(done.stdout.splitlines()[-1].split())
    assert loaded <= {
        "nanoray.version",
        "nanoray.errors",
        "nanoray.commands",
        "nanoray.commands.app",
        "nanoray.commands.extras",
        "nanoray.commands.table",
    }


def test_an_unknown_command_is_named_with_the_nearest() -> None:
    result = CliRunner().invoke(app, ["predct"])
    assert result.exit_code == 2
    assert "Did you mean 'predict'" in result.output


def test_an_extra_includes_the_extras_that_it_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metadata, "requires", lambda name: REQUIREMENTS)
    assert extras.packages("train") == ["scipy", "torch"]
    assert extras.packages("serve") == ["no-such-package"]


def test_a_missing_extra_is_named_before_the_command_is_imported(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(metadata, "requires", lambda name: REQUIREMENTS)
    monkeypatch.setitem(sys.modules, "nanoray.commands.serve", None)
    result = CliRunner().invoke(app, ["serve"])
    assert result.exit_code == 2
    assert "needs no-such-package" in result.output
    assert "nanoray[serve]" in result.output
    with pytest.raises(MissingExtraError):
        extras.require_extra("serve")
