"""The whole line in miniature: phantoms as DICOM, teacher, student, INT8, predictions.

Both networks start from the repository's FP32 model: from random weights they would need more
phantoms and minutes than a test has.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from sklearn.metrics import roc_auc_score
from typer.testing import CliRunner

import nanoray
from nanoray.commands.app import app
from nanoray.datasets.folder import read_folder
from nanoray.datasets.phantom import write_data_set
from nanoray.datasets.splits import load_split
from nanoray.detecting.model_file import read_card
from nanoray.evaluating.scores import score

pytestmark = pytest.mark.slow

START = Path(__file__).parents[2] / "models" / "nanoray-student-fp32.onnx"
COMMON = ["--from", START, "--size", "128", "--batch-size", "16", "--quiet"]
COMMON += [
    "--architecture",
    "mobilenet_v3_small_minimal",
    "--epochs",
    "4",
    "--learning-rate",
    "1e-3",
]
COMMON += ["--average-decay", "0.9"]


def run(*arguments: object) -> str:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.output
    return result.output


@pytest.fixture(scope="module")
def line(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("line")
    list(write_data_set(folder / "data", count=420, seed=3, size=128))
    data, cache = folder / "data", ["--cache", folder / "cache"]
    run(
        *("train", "teacher", data),
        *("--output", folder / "teacher", *COMMON, *cache),
    )
    run(
        *("distill", data, "--teacher", folder / "teacher"),
        *("--output", folder / "student", *COMMON, *cache),
    )
    run("quantize", folder / "student", data, "--output", folder / "models", *cache)
    run("quantize", folder / "teacher", data, "--fp32-only", "-o", folder / "models", *cache)
    return folder


def test_line_learns(line: Path) -> None:
    data = read_folder(line / "data")
    split = load_split(line / "student" / "split.csv", data)
    detector = nanoray.load(line / "models" / "nanoray-student-int8.onnx")
    held_out = [data[index] for index in split.test]
    predictions = list(detector.predict_many(case.path for case in held_out))
    probabilities = [prediction.probability for prediction in predictions]
    targets = [case.target for case in held_out]
    assert len(held_out) > 80
    learned = roc_auc_score(targets, probabilities)
    start = [p.probability for p in nanoray.load(START).predict_many(c.path for c in held_out)]
    assert learned > 0.9
    assert learned > roc_auc_score(targets, start) + 0.05
    # The class-activation map points into a box more often than chance would.
    hits, chance = [], []
    for case, prediction in zip(held_out, predictions, strict=True):
        if case.boxes:
            row, column = np.unravel_index(prediction.heatmap.argmax(), prediction.heatmap.shape)
            height, width = prediction.heatmap.shape
            x, y = (column + 0.5) / width, (row + 0.5) / height
            hits.append(
                any(b[0] <= x <= b[0] + b[2] and b[1] <= y <= b[1] + b[3] for b in case.boxes)
            )
            chance.append(sum(b[2] * b[3] for b in case.boxes))
    assert np.mean(hits) > 2 * np.mean(chance)


def test_int8_weights_may_compute_in_fp32(line: Path) -> None:
    folder = line / "float"
    run(
        *("quantize", line / "student", line / "data", "--output", folder),
        *("--arithmetic", "float", "--cache", line / "cache"),
    )
    fp32, int8 = (folder / f"nanoray-student-{name}.onnx" for name in ("fp32", "int8"))
    assert int8.stat().st_size < 0.45 * fp32.stat().st_size
    graph = onnx.load(int8).graph
    assert not {node.op_type for node in graph.node} & {"QuantizeLinear", "DequantizeLinear"}
    stored = [tensor for tensor in graph.initializer if tensor.data_type == onnx.TensorProto.INT8]
    assert sum(np.prod(tensor.dims) for tensor in stored) > 400_000
    # The FP32 file's calibration and thresholds.
    first, second = read_card(fp32), read_card(int8)
    assert second == replace(first, precision="int8")
    squares = np.random.default_rng(0).integers(0, 255, (8, 128, 128), np.uint8)
    logits, rounded = (score(path, squares).logits for path in (fp32, int8))
    assert 0 < np.abs(rounded - logits).max() < 0.1


def test_int8_is_smaller_and_agrees(line: Path) -> None:
    models = line / "models"
    fp32, int8 = models / "nanoray-student-fp32.onnx", models / "nanoray-student-int8.onnx"
    assert int8.stat().st_size < 0.45 * fp32.stat().st_size
    cases = read_folder(line / "data")[:40]
    first = [p.probability for p in nanoray.load(fp32).predict_many(c.path for c in cases)]
    second = [p.probability for p in nanoray.load(int8).predict_many(c.path for c in cases)]
    assert np.corrcoef(first, second)[0, 1] > 0.97


def test_evaluate_writes_table_picture_and_card(line: Path) -> None:
    models = sorted((line / "models").glob("*.onnx"))
    output = line / "results"
    run(
        *("evaluate", *models, "--data", line / "data", "--split", line / "student" / "split.csv"),
        *("--output", output, "--record", "--cache", line / "cache"),
    )
    results = json.loads((output / "results.json").read_text())
    assert len(results["models"]) == 3
    for row in results["models"]:
        for value, low, high in row["metrics"].values():
            assert low <= value <= high
    table = (output / "results.md").read_text()
    assert "teacher FP32" in table
    assert "student INT8" in table
    assert (output / "curves.png").stat().st_size > 10_000
    card = nanoray.load(line / "models" / "nanoray-student-int8.onnx").card
    assert card.metrics["auroc"][0] > 0.9
    assert [point.name for point in card.operating_points] == ["screening", "balanced", "confirm"]


def test_finished_run_resumes_without_training_again(line: Path) -> None:
    weights = (line / "student" / "weights.safetensors").read_bytes()
    run(
        *("distill", line / "data", "--teacher", line / "teacher"),
        *("--output", line / "student", *COMMON, "--cache", line / "cache"),
    )
    assert (line / "student" / "weights.safetensors").read_bytes() == weights
