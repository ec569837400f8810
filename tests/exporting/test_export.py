"""Every export gives what the model file gives, where its runtime is installed."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
import yaml
from typer.testing import CliRunner

from nanoray.commands.app import app
from nanoray.datasets.phantom import draw, write_dicom
from nanoray.detecting.detector import load
from nanoray.detecting.model_file import INPUT, OUTPUTS, open_model, packaged_model, read_card
from nanoray.errors import ModelFileError, NanoRayError
from nanoray.exporting import converters
from nanoray.exporting.card import write_card
from nanoray.exporting.description import description_path
from nanoray.exporting.export import LOGIT_TOLERANCE, compare, drawn, export
from nanoray.exporting.formats import FORMATS, Format
from nanoray.exporting.integer import equalise
from nanoray.exporting.partition import partition
from nanoray.exporting.runtimes import RUNTIMES, open_onnx
from nanoray.exporting.torch_graph import TorchGraph
from tiny_model import TINY_SIDE, tiny_card, write_tiny_model

MODEL = Path(__file__).parents[2] / "models" / "nanoray-student-fp32.onnx"
HEAVY = [f for f in Format if set(FORMATS[f].packages) - {"onnx", "torch"}]


def need(form: Format) -> None:
    for package in FORMATS[form].packages:
        if find_spec(package) is None:
            extra = FORMATS[form].extra
            pytest.skip(f"{package} is not installed: pip install 'nanoray[{extra}]'")


@pytest.fixture(scope="module")
def square() -> np.ndarray:
    size = read_card(MODEL).input_size
    return np.random.default_rng(0).random((1, 1, size, size), np.float32)


def test_torch_graph_is_the_graph_of_the_file(tmp_path: Path, square: np.ndarray) -> None:
    shifted = tmp_path / "shifted.onnx"
    write_card(MODEL, read_card(MODEL), output=shifted, shift=0.75)
    session, _ = open_model(shifted)
    with torch.inference_mode():
        found = TorchGraph(onnx.load(shifted))(torch.from_numpy(square))
    assert list(found) == [value.name for value in session.get_outputs()]
    for name, values in zip(found, session.run(list(found), {INPUT: square}), strict=True):
        np.testing.assert_allclose(found[name].numpy(), values, rtol=1e-3, atol=1e-3)


def test_torch_graph_refuses_unknown_operators() -> None:
    model = onnx.load(MODEL)
    next(node for node in model.graph.node if node.op_type == "Relu").op_type = "QuantizeLinear"
    with pytest.raises(ModelFileError, match="QuantizeLinear"):
        TorchGraph(model)


def test_parts_make_the_whole(tmp_path: Path, square: np.ndarray) -> None:
    parts = partition(MODEL, square.shape[-1])
    values = {INPUT: square}
    for part in (parts.front, parts.trunk, parts.heads):
        graph = TorchGraph(part)
        with torch.inference_mode():
            found = graph(*(torch.from_numpy(values[name]) for name in graph.inputs))
        values |= {name: tensor.numpy() for name, tensor in found.items()}
    session, _ = open_model(MODEL)
    for name, expected in zip(OUTPUTS, session.run(list(OUTPUTS), {INPUT: square}), strict=True):
        np.testing.assert_allclose(values[name], expected, rtol=1e-4, atol=1e-4)
    operators = {node.op_type for node in parts.trunk.graph.node}
    assert operators == {"Conv", "Relu", "Add"}


def test_a_graph_without_convolutions_has_no_trunk(tmp_path: Path) -> None:
    model = write_tiny_model(tmp_path / "tiny.onnx", tiny_card())
    with pytest.raises(ModelFileError, match="no convolution"):
        partition(model, TINY_SIDE)


def test_equalised_trunk_computes_the_same_with_ranges_alike(square: np.ndarray) -> None:
    parts = partition(MODEL, square.shape[-1])
    with torch.inference_mode():
        entries = TorchGraph(parts.front)(torch.from_numpy(square))[parts.entry].numpy()
        equalised = equalise(parts, entries)
        before = TorchGraph(parts.trunk)(torch.from_numpy(entries))
        after = TorchGraph(equalised.trunk)(torch.from_numpy(entries))
    assert set(equalised.factors) == set(parts.maps) - {"cam"}
    for name, values in before.items():
        factor = equalised.factors.get(name, np.ones(1, np.float32)).reshape(1, -1, 1, 1)
        np.testing.assert_allclose(after[name].numpy() * factor, values.numpy(), atol=2e-3)

    def spread(maps: dict[str, torch.Tensor]) -> float:
        reach = maps[parts.maps[0]].abs().amax((0, 2, 3))
        return float(reach.max() / reach.median())

    assert spread(after) < 0.7 * spread(before)


def test_bounded_activations_are_not_equalised(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    shapes = {"a": (4, 1, 3, 3), "b": (6, 4, 1, 1), "c": (1, 6, 1, 1)}
    weights = {n: random.normal(size=s).astype(np.float32) * 3 for n, s in shapes.items()}
    weights |= {"low": np.float32(0), "high": np.float32(6), "zero": np.float32(0)}
    node = onnx.helper.make_node
    side = 8
    graph = onnx.helper.make_graph(
        [
            node("Add", [INPUT, "zero"], ["entry"]),
            node("Conv", ["entry", "a"], ["one"], pads=[1, 1, 1, 1]),
            node("Clip", ["one", "low", "high"], ["two"]),
            node("Conv", ["two", "b"], ["three"]),
            node("Relu", ["three"], ["four"]),
            node("Conv", ["four", "c"], ["cam"]),
            node("GlobalAveragePool", ["cam"], ["pooled"]),
            node("Flatten", ["pooled"], ["logit"]),
        ],
        "bounded",
        [onnx.helper.make_tensor_value_info(INPUT, 1, ["n", 1, side, side])],
        [
            onnx.helper.make_tensor_value_info("logit", 1, ["n", 1]),
            onnx.helper.make_tensor_value_info("cam", 1, ["n", 1, side, side]),
        ],
        [onnx.numpy_helper.from_array(np.asarray(v), n) for n, v in weights.items()],
    )
    path = tmp_path / "bounded.onnx"
    onnx.save(onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 18)]), path)
    parts = partition(path, side)
    entries = random.random((3, 1, side, side)).astype(np.float32)
    equalised = equalise(parts, entries).trunk
    changed = {
        before.name
        for before, after in zip(
            parts.trunk.graph.initializer, equalised.graph.initializer, strict=True
        )
        if before.raw_data != after.raw_data
    }
    assert changed == {"b", "c"}
    with torch.inference_mode():
        before = TorchGraph(parts.trunk)(torch.from_numpy(entries))["cam"]
        after = TorchGraph(equalised)(torch.from_numpy(entries))["cam"]
    torch.testing.assert_close(after, before, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("form", [Format.onnx, Format.c])
@pytest.mark.parametrize("model", [MODEL, packaged_model()], ids=["fp32", "int8"])
def test_export_is_described(form: Format, model: Path, tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["export", str(model), "-f", form.value, "-o", str(tmp_path)])
    assert result.exit_code == 0, result.output
    suffix = FORMATS[form].suffixes[0]
    written = tmp_path / f"{model.stem}{suffix}"
    values = json.loads(description_path(written).read_text())
    card = read_card(model)
    assert values["files"] == {written.name: hashlib.sha256(written.read_bytes()).hexdigest()}
    assert values["card"] == json.loads(card.to_json())
    assert values["preprocessing"]["size"] == card.input_size
    assert values["decision"]["thresholds"]["balanced"] == card.operating_point().threshold
    assert [output["name"] for output in values["outputs"]][:3] == list(OUTPUTS)
    assert {path.name for path in tmp_path.iterdir()} == {written.name, f"{written.name}.json"}


@pytest.mark.parametrize("form", [f for f in Format if f is not Format.litert_int8])
def test_export_has_the_outputs_of_the_model_file(form: Format, tmp_path: Path) -> None:
    need(form)
    written = export(MODEL, form, tmp_path)
    size = read_card(MODEL).input_size
    for runtime in RUNTIMES:
        if runtime.form is form and runtime.installed:
            found = runtime.open(written.paths, 1)
            assert compare(open_onnx(MODEL), found, drawn(size)[:2])[0] <= LOGIT_TOLERANCE
    assert all(path.exists() for path in written.paths)


@pytest.mark.slow
def test_integers_alone_follow_the_model_file(tmp_path: Path) -> None:
    need(Format.litert_int8)
    squares = np.stack([np.rint(s * 255) for s in drawn(read_card(MODEL).input_size)])
    written = export(MODEL, Format.litert_int8, tmp_path, squares=squares.astype("u1"))
    same_in_litert_micro(written.paths[0])
    assert written.correlation is not None
    assert written.correlation > 0.9
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(written.paths[0]))
    interpreter.allocate_tensors()
    types = {np.dtype(detail["dtype"]).name for detail in interpreter.get_tensor_details()}
    assert types <= {"int8", "int32"}


def test_integers_need_radiographs(tmp_path: Path) -> None:
    with pytest.raises(NanoRayError, match="calibration"):
        export(MODEL, Format.litert_int8, tmp_path)
    assert not list(tmp_path.iterdir())


def test_int8_model_files_are_refused_with_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match="FP32"):
        export(packaged_model(), Format.litert, tmp_path)
    assert not list(tmp_path.iterdir())


def test_an_export_that_differs_is_not_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = write_tiny_model(tmp_path / "tiny.onnx", tiny_card())
    moved = tmp_path / "moved.onnx"
    write_card(model, tiny_card(), output=moved, shift=1.0)

    def wrong(job: converters.Job) -> None:
        job.paths[0].write_bytes(moved.read_bytes())

    monkeypatch.setitem(converters._WRITERS, Format.onnx, wrong)
    with pytest.raises(NanoRayError, match="nothing was written"):
        export(model, Format.onnx, tmp_path / "out")
    assert not list((tmp_path / "out").iterdir())


def test_the_model_file_is_not_overwritten(tmp_path: Path) -> None:
    model = write_tiny_model(tmp_path / "tiny.onnx", tiny_card())
    before = model.read_bytes()
    with pytest.raises(NanoRayError, match="--output"):
        export(model, Format.onnx, tmp_path)
    assert model.read_bytes() == before


@pytest.mark.parametrize("form", HEAVY)
def test_a_missing_converter_is_named(form: Format, tmp_path: Path) -> None:
    if all(find_spec(package) for package in FORMATS[form].packages):
        pytest.skip(f"the converter of {form.value} is installed")
    command = ["export", str(MODEL), "--format", form.value, "--output", str(tmp_path)]
    result = CliRunner().invoke(app, [*command, "--calibration", str(tmp_path)])
    assert result.exit_code == 2
    assert f"nanoray[{FORMATS[form].extra}]" in result.output
    assert not list(tmp_path.iterdir())


def test_ranges_of_integers_hold_every_sample() -> None:
    class Averaging:
        """Like the quantizer's own calibration, whose averages forget."""

        def calibrate(self, given: dict[str, list[dict[str, np.ndarray]]]) -> dict[str, Any]:
            averages: dict[str, Any] = {}
            for sample in given["serving_default"]:
                (values,) = sample.values()
                low, high = values.min(), values.max()
                if averages:
                    low = 0.9 * averages["map"]["min"] + 0.1 * low
                    high = 0.9 * averages["map"]["max"] + 0.1 * high
                averages["map"] = {"min": low, "max": high}
            return averages

    radiographs = [[-5.0, 1.0], [0.0, 9.0], [-1.0, 6.0], [-2.0, 7.0]]
    samples = [{"a": np.array(values)} for values in radiographs]
    assert converters._ranges(Averaging(), samples) == {"map": {"min": -5.0, "max": 9.0}}
    # Their middle range is from -1.5 to 6.5, its width 7.5.
    samples.append({"a": np.array([-300.0, 900.0])})
    found = converters._ranges(Averaging(), samples)["map"]
    assert -15 < found["min"] < -5
    assert 9 < found["max"] < 20


def same_in_litert_micro(trunk: Path) -> None:
    """Check that LiteRT Micro gives what LiteRT's reference kernels give, where it is installed."""
    if find_spec("tflite_micro") is None:
        return
    from ai_edge_litert.interpreter import Interpreter, OpResolverType
    from tflite_micro.python.tflite_micro import runtime

    whole = Interpreter(str(trunk), experimental_op_resolver_type=OpResolverType.BUILTIN_REF)
    whole.allocate_tensors()
    entry = whole.get_input_details()[0]
    levels = np.random.default_rng(0).integers(-128, 128, entry["shape"]).astype(np.int8)
    whole.set_tensor(entry["index"], levels)
    whole.invoke()
    micro = runtime.Interpreter.from_file(str(trunk), arena_size=4_000_000)
    micro.set_input(levels, 0)
    micro.invoke()
    for number, output in enumerate(whole.get_output_details()):
        np.testing.assert_array_equal(micro.get_output(number), whole.get_tensor(output["index"]))


@pytest.mark.parametrize("model", [MODEL, packaged_model()], ids=["fp32", "int8"])
def test_hugging_face_folder_runs_its_own_example(model: Path, tmp_path: Path) -> None:
    folder = export(model, Format.huggingface, tmp_path).paths[0]
    assert folder.name == f"{model.stem}-huggingface"
    assert {one.name for one in folder.iterdir()} == {
        *("model.onnx", "README.md", "LICENSE", "preprocessing.json")
    }
    assert (folder / "model.onnx").read_bytes() == model.read_bytes()
    card = read_card(model)
    readme = (folder / "README.md").read_text(encoding="utf-8")
    _, head, body = readme.split("---\n", 2)
    values = yaml.safe_load(head)
    assert values["model-index"][0]["name"] == card.name
    (result,) = values["model-index"][0]["results"]
    measured = {one["name"]: one["value"] for one in result["metrics"]}
    for name in ("cross-validated AUROC challenge", "cross-validated AUPRC"):
        assert measured[name] == pytest.approx(card.metrics[name][0], abs=1e-4)
    assert card.notice in body
    assert json.loads((folder / "preprocessing.json").read_text())["preprocessing"]["size"] == 256
    # The example of the README, in the folder, beside a radiograph.
    (example,) = re.findall(r"```python\n(.*?)```", body, re.DOTALL)
    write_dicom(draw(3, size=300, opacity=True), folder / "radiograph.dcm")
    done = subprocess.run(
        [sys.executable, "-c", example], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    found = load(model).predict(folder / "radiograph.dcm")
    assert float(done.stdout) == pytest.approx(found.probability, abs=1e-6)


def test_monai_runs_the_bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bundle = pytest.importorskip("monai.bundle", reason="needs monai")
    model = packaged_model()
    folder = export(model, Format.monai, tmp_path).paths[0]
    assert (folder / "models" / "model.onnx").read_bytes() == model.read_bytes()
    assert read_card(model).notice in (folder / "docs" / "README.md").read_text(encoding="utf-8")
    images = folder / "images"
    images.mkdir()
    write_dicom(draw(3, size=300, opacity=True), images / "a.dcm")
    (images / "b.dcm").write_bytes(b"not an image")
    (images / "notes.txt").write_text("not read")
    monkeypatch.chdir(folder)
    # MONAI adds the working folder to it.
    monkeypatch.setattr(sys, "path", list(sys.path))
    workflow = bundle.ConfigWorkflow(
        workflow_type="infer",
        config_file="configs/inference.json",
        meta_file="configs/metadata.json",
        logging_file=False,
    )
    workflow.initialize()
    # Names of required properties that are missing.
    assert workflow.check_properties() == []
    assert workflow.version == read_card(model).version
    workflow.run()
    first, second = map(json.loads, Path("predictions.jsonl").read_text().splitlines())
    found = load(model).predict(images / "a.dcm")
    assert first["probability"] == pytest.approx(found.probability, abs=1e-6)
    assert second["error"]
    (example,) = re.findall(
        r"```python\n(.*?)```", Path("docs/README.md").read_text(encoding="utf-8"), re.DOTALL
    )
    assert Path(re.findall(r'load\("(.*?)"\)', example)[0]).is_file()
