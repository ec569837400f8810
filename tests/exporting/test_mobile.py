"""Phone exports give what the model file gives, where their runtimes are installed."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from nanoray.commands.app import app
from nanoray.detecting.model_file import INPUT, OUTPUTS, open_model, packaged_model, read_card
from nanoray.errors import DataSetError
from nanoray.exporting.card import write_card
from nanoray.exporting.mobile import SUFFIXES, TOLERANCE, open_mobile, parity, rebuild

MODEL = Path(__file__).parents[2] / "models" / "nanoray-student-fp32.onnx"
CONVERTERS = {"litert": "litert_torch", "executorch": "executorch"}


def test_rebuilt_network_is_that_of_the_file(tmp_path: Path) -> None:
    shifted = tmp_path / "shifted.onnx"
    write_card(MODEL, read_card(MODEL), output=shifted, shift=0.75)
    session, card = open_model(shifted)
    square = np.random.default_rng(0).random((1, 1, card.input_size, card.input_size), np.float32)
    expected = session.run(list(OUTPUTS), {INPUT: square})
    with torch.inference_mode():
        found = rebuild(shifted)(torch.from_numpy(square))
        unshifted = rebuild(MODEL)(torch.from_numpy(square))
    for name, values in zip(OUTPUTS, expected, strict=True):
        np.testing.assert_allclose(found[name].numpy(), values, rtol=1e-3, atol=1e-3)
    assert float(found["logit"] - unshifted["logit"]) == pytest.approx(0.75, abs=1e-5)


def test_only_fp32_model_files_are_rebuilt() -> None:
    with pytest.raises(DataSetError):
        rebuild(packaged_model())


@pytest.mark.parametrize("form", sorted(SUFFIXES))
def test_export_has_the_outputs_of_the_model_file(form: str, tmp_path: Path) -> None:
    if find_spec(CONVERTERS[form]) is None:
        pytest.skip(f"{CONVERTERS[form]} is not installed: pip install 'nanoray[{form}]'")
    command = ["export-mobile", str(MODEL), "--format", form, "--output", str(tmp_path)]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 0, result.output
    written = tmp_path / f"{MODEL.stem}{SUFFIXES[form]}"
    card = read_card(MODEL)
    assert parity(MODEL, open_mobile(written, form), card.input_size) <= TOLERANCE
    assert json.loads(written.with_suffix(".json").read_text()) == json.loads(card.to_json())
    assert {path.suffix for path in tmp_path.iterdir()} == {SUFFIXES[form], ".json"}


@pytest.mark.parametrize("form", sorted(SUFFIXES))
def test_a_missing_converter_is_named(form: str, tmp_path: Path) -> None:
    if find_spec(CONVERTERS[form]) is not None:
        pytest.skip(f"{CONVERTERS[form]} is installed")
    command = ["export-mobile", str(MODEL), "--format", form, "--output", str(tmp_path)]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 2
    assert f"nanoray[{form}]" in result.output
    assert not list(tmp_path.iterdir())
