"""External validation: ours and others' models in one table, at frozen thresholds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="needs the extra evaluate")
pytest.importorskip("onnx", reason="needs the extra calibrate")

from nanoray.datasets.folder import Case
from nanoray.errors import DataSetError, ModelFileError
from nanoray.evaluating.external import Description, choose, evaluate_external, markdown
from tiny_model import TINY_SIDE

pytestmark = pytest.mark.slow


def made_cases(count: int = 60) -> tuple[list[Case], np.ndarray]:
    """Half are bright, most of them positive; the mean of the square is the score."""
    rng = np.random.default_rng(4)
    cases, squares = [], np.zeros((count, TINY_SIDE, TINY_SIDE), np.uint8)
    for number in range(count):
        target = number % 2
        bright = 90 + 80 * target + int(rng.normal(0, 40))
        squares[number] = np.clip(bright, 5, 250)
        squares[number, 0, 0] = 255
        cases.append(Case(Path(f"c{number:02}.png"), f"p{number // 2}", "x", target, view="PA"))
    return cases, squares


def write_foreign(path: Path, *, probability: bool = False) -> Path:
    """Return a model of other authors: the mean of three channels, as logit or as it is."""
    import onnx
    from onnx import TensorProto, helper

    nodes = [
        helper.make_node("ReduceMean", ["image", "axes"], ["mean"], keepdims=0),
        helper.make_node("Unsqueeze", ["mean", "last"], ["column"]),
        helper.make_node("Concat", ["column", "column"], ["scores"], axis=1),
    ]
    graph = helper.make_graph(
        nodes,
        "foreign",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["n", 3, TINY_SIDE, TINY_SIDE])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["n", 2])],
        [
            helper.make_tensor("axes", TensorProto.INT64, [3], [1, 2, 3]),
            helper.make_tensor("last", TensorProto.INT64, [1], [1]),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.save(model, str(path))
    values = {"size": TINY_SIDE, "index": 1, "threshold": 0.5, "kind": "logit"}
    if probability:
        values["kind"] = "probability"
    else:
        values |= {"mean": [0.5, 0.5, 0.5], "std": [0.1, 0.1, 0.1]}
    path.with_suffix(".json").write_text(json.dumps(values))
    return path


def test_ours_and_others_side_by_side(tiny_model: Path, tmp_path: Path) -> None:
    cases, squares = made_cases()
    models = [tiny_model, write_foreign(tmp_path / "other.onnx")]
    found = evaluate_external(models, lambda size: squares, cases, name="elsewhere", draws=200)
    own, other = found.results
    # Both rank by the mean of the square.
    assert other.area[0] == pytest.approx(own.area[0], abs=0.02)
    assert other.gain is not None
    assert other.gain[1] <= 0.02
    assert own.area[1] < own.area[0] < own.area[2]
    assert set(own.points) == {"screening", "balanced", "confirm"}
    called = squares.mean((1, 2)) / 255 >= 0.5
    targets = np.array([case.target for case in cases])
    assert other.points["frozen threshold"][0][0] == pytest.approx(called[targets == 1].mean())
    assert own.abstained == 0.0
    text = markdown(found)
    assert "60 radiographs of 30 patients, 30 with an opacity" in text
    assert "| other | frozen threshold |" in text
    assert "nan" not in text


def test_probabilities_of_others(tmp_path: Path) -> None:
    cases, squares = made_cases()
    other = write_foreign(tmp_path / "other.onnx", probability=True)
    (result,) = evaluate_external([other], lambda size: squares, cases, name="x", draws=100).results
    assert result.area[0] > 0.7
    assert result.slope is not None


def test_torchscript(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch", reason="needs the extra train")

    class Mean(torch.nn.Module):  # type: ignore[name-defined]
        def forward(self, image: Any) -> Any:
            return image.mean((1, 2, 3)).unsqueeze(1)

    path = tmp_path / "other.pt"
    torch.jit.trace(Mean(), torch.zeros(1, 3, TINY_SIDE, TINY_SIDE)).save(str(path))
    path.with_suffix(".json").write_text(json.dumps({"size": TINY_SIDE}))
    cases, squares = made_cases()
    (result,) = evaluate_external([path], lambda size: squares, cases, name="x", draws=100).results
    assert result.area[0] > 0.7
    assert result.points == {}


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ("{", "not a JSON document"),
        ('{"size": 224, "channel": 3}', "unknown channel; the fields are size, channels"),
        ('{"size": 4}', "needs size"),
        ('{"size": 224, "channels": 2}', "channels \\(1 or 3\\)"),
        ('{"size": 224, "std": 0}', "std above 0"),
        ('{"size": 224, "threshold": 7}', "threshold between 0 and 1"),
        ('{"channels": 3}', "needs size"),
    ],
)
def test_bad_descriptions(tmp_path: Path, values: str, words: str) -> None:
    path = tmp_path / "model.json"
    path.write_text(values)
    with pytest.raises(ModelFileError, match=words):
        Description.read(path)


def test_bad_models(tmp_path: Path) -> None:
    cases, squares = made_cases()

    def judge(path: Path) -> None:
        evaluate_external([path], lambda size: squares, cases, name="x", draws=100)

    path = write_foreign(tmp_path / "other.onnx")
    for change, words in (
        ({"output": "nothing"}, "no output 'nothing'; it has scores"),
        ({"index": 5}, "has no score at 5"),
        ({"channels": 1}, "does not take the input"),
        ({"kind": "probability"}, "its scores are no probabilities"),
    ):
        values = {"size": TINY_SIDE, "mean": 0.5, "std": 0.1} | change
        path.with_suffix(".json").write_text(json.dumps(values))
        with pytest.raises(ModelFileError, match=words):
            judge(path)
    path.with_suffix(".json").unlink()
    with pytest.raises(ModelFileError, match="has no card"):
        judge(path)
    (tmp_path / "x.pt").write_bytes(b"nothing")
    with pytest.raises(ModelFileError, match="not found; a model of other authors needs"):
        judge(tmp_path / "x.pt")


def test_one_class_and_lists(tiny_model: Path, tmp_path: Path) -> None:
    cases, squares = made_cases()
    negatives = [case for case in cases if case.target == 0]
    with pytest.raises(DataSetError, match="0 radiographs with and 30 without an opacity"):
        evaluate_external([tiny_model], lambda size: squares, negatives, name="x")
    listed = tmp_path / "list.txt"
    listed.write_text("images/c03.png 1\nc04.dcm,0\n\nc05\n")
    assert choose(cases, listed) == [3, 4, 5]
    assert choose(cases, None) == list(range(60))
    listed.write_text("a.png\nb.png\nc.png\n")
    with pytest.raises(DataSetError, match="0 of its 3 images are in the data set"):
        choose(cases, listed)
