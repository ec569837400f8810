"""The benchmark finds what runs here, and tells equal from different."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from nanoray.commands.app import app
from nanoray.errors import NanoRayError
from nanoray.exporting.benchmark import LOGIT_BAR, candidates, measure
from nanoray.exporting.card import write_card
from nanoray.exporting.export import export
from nanoray.exporting.formats import Format
from tiny_model import TINY_SIDE, tiny_card, write_tiny_model

pytestmark = pytest.mark.slow


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write_tiny_model(tmp_path / "tiny.onnx", tiny_card())


def squares() -> list[np.ndarray]:
    levels = np.linspace(0.05, 0.95, 12)
    found = [np.full((1, 1, TINY_SIDE, TINY_SIDE), level, np.float32) for level in levels]
    for square in found:
        # The tiny model abstains where no pixel is bright.
        square[0, 0, 0, 0] = 1
    return found


def test_equal_runtimes_pass_and_another_model_fails(model: Path, tmp_path: Path) -> None:
    moved = tmp_path / "moved.onnx"
    write_card(model, tiny_card(), output=moved, shift=1.0)
    targets = np.array([0] * 6 + [1] * 6)
    found = candidates(model, None, [moved])
    assert [one.name for one in found][:2] == ["ONNX Runtime", "ONNX Runtime, moved.onnx"]
    rows = {row.name: row for row in measure(found, squares(), targets=targets, rounds=3)}
    first = rows["ONNX Runtime"]
    assert first.ratio[0] == 1
    assert first.largest == 0
    assert first.auroc == 1
    assert first.peak is None or first.peak > 1e7
    assert first.size == model.stat().st_size
    assert rows["PyTorch, eager"].passes
    other = rows["ONNX Runtime, moved.onnx"]
    assert other.largest == pytest.approx(1.0, abs=1e-5)
    assert other.largest > LOGIT_BAR
    assert other.equal < 1
    assert not other.passes


def test_the_command_writes_table_and_picture_and_fails_where_it_differs(
    model: Path, tmp_path: Path
) -> None:
    moved = tmp_path / "moved.onnx"
    write_card(model, tiny_card(), output=moved, shift=1.0)
    command = ["benchmark", str(model), "--rounds", "2", "--output", str(tmp_path / "out")]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 0, result.output
    assert (tmp_path / "out" / "runtimes.md").read_text() in result.output
    assert (tmp_path / "out" / "runtimes.png").read_bytes().startswith(b"\x89PNG")
    result = CliRunner().invoke(app, [*command, "--also", str(moved)])
    assert result.exit_code == 1
    assert "| no |" in result.output


def test_exports_of_other_models_are_passed_over(model: Path, tmp_path: Path) -> None:
    other = write_tiny_model(tmp_path / "other.onnx", tiny_card())
    export(other, Format.c, tmp_path / "exports")
    export(model, Format.c, tmp_path / "exports")
    assert len(candidates(model, tmp_path / "exports", [])) == len(candidates(model, None, []))
    (tmp_path / "exports" / "tiny.h").unlink()
    with pytest.raises(NanoRayError, match=r"tiny\.h"):
        candidates(model, tmp_path / "exports", [])
