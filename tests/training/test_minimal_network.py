"""MobileNetV3-Small without what INT8 is slow at, and training that rounds as INT8 does."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from torch import nn
from torchvision.ops import SqueezeExcitation

from nanoray.evaluating.scores import open_session
from nanoray.exporting.novelty import fit_novelty, pooled_features
from nanoray.exporting.onnx_graph import export
from nanoray.exporting.quantize import quantize
from nanoray.training.fake_quantization import prepare, remove
from nanoray.training.networks import build, fold_batch_norm, load_weights, simplified
from small_runs import QUICK, draw_phantoms, nanoray

pytestmark = pytest.mark.slow


def full_network() -> nn.Module:
    torch.manual_seed(0)
    return build("mobilenet_v3_small", pretrained=False).eval()


def test_simplified_keeps_what_squeeze_and_excite_does_on_average() -> None:
    network = full_network()
    for module in network.modules():
        if isinstance(module, SqueezeExcitation):
            # The same factors for every image, so that their mean says all.
            nn.init.zeros_(module.fc2.weight)
            nn.init.uniform_(module.fc2.bias, -2, 2)
    radiographs = torch.rand(4, 1, 64, 64)
    minimal = simplified(network, radiographs).eval()
    assert not any(isinstance(m, (SqueezeExcitation, nn.Hardswish)) for m in minimal.modules())
    for parent in list(network.modules()):
        for name, child in parent.named_children():
            if isinstance(child, nn.Hardswish):
                setattr(parent, name, nn.ReLU())
    with torch.no_grad():
        torch.testing.assert_close(minimal(radiographs).cam, network(radiographs).cam)


def test_rounding_is_there_while_training_and_gone_afterwards() -> None:
    network = build("mobilenet_v3_small_minimal", pretrained=False).eval()
    radiographs = torch.rand(2, 1, 64, 64)
    folded = {name: value.clone() for name, value in fold_batch_norm(network).state_dict().items()}
    with torch.no_grad():
        exact = network(radiographs).cam
    prepare(network)
    network.dropout.eval()
    last = network.trunk.get_submodule("10.block.3.0")
    for channel in last.weight.detach().flatten(1)[:20]:
        assert len(channel.unique()) <= 127
    rounded = network(radiographs).cam
    rounded.sum().backward()
    assert not torch.equal(rounded, exact)
    assert last.parametrizations.weight.original.grad.abs().sum() > 0
    remove(network).eval()
    assert {name: value.tolist() for name, value in network.state_dict().items()} == {
        name: value.tolist() for name, value in folded.items()
    }
    with torch.no_grad():
        assert torch.equal(network(radiographs).cam, exact)


def test_only_plain_networks_train_quantization_aware() -> None:
    with pytest.raises(ValueError, match="mobilenet_v3_small is not"):
        prepare(full_network())


def test_quantization_aware_run_is_a_run_like_others(tmp_path: Path) -> None:
    data = draw_phantoms(tmp_path / "data", 60)
    cache = ("--cache", tmp_path / "cache", "--epochs", 1)
    nanoray("train", "baseline", data, *QUICK, *cache, "--output", tmp_path / "baseline")
    nanoray(
        *("distill", data, "--teacher", tmp_path / "baseline", *QUICK, *cache),
        *("--quantization-aware", "--keep", "last", "--output", tmp_path / "aware"),
    )
    network = load_weights(tmp_path / "aware" / "weights.safetensors")
    assert network.architecture == "mobilenet_v3_small_minimal"
    nanoray("quantize", tmp_path / "aware", data, "-o", tmp_path / "models", *cache[:2])
    assert (tmp_path / "models" / "nanoray-student-int8.onnx").is_file()


def test_coarse_layers_compute_in_int8_and_fine_ones_do_not(tmp_path: Path) -> None:
    network = build("mobilenet_v3_small_minimal", pretrained=False).eval()
    squares = np.random.default_rng(0).integers(0, 255, (16, 64, 64), np.uint8)
    fp32, int8 = tmp_path / "fp32.onnx", tmp_path / "int8.onnx"
    export(network, fit_novelty(pooled_features(network, squares)), 64, fp32)
    quantize(fp32, int8, squares)
    graph = onnx.load(int8).graph
    producers = {output: node for node in graph.node for output in node.output}
    weights = {tensor.name for tensor in graph.initializer if tensor.data_type == 3}
    rounded = [
        producers[node.input[1]].input[0] in weights
        for node in graph.node
        if node.op_type == "Conv" and node.input[1] in producers
    ]
    convolutions = sum(node.op_type == "Conv" for node in graph.node)
    assert all(rounded)
    # 34 in the trunk, of which the first 26 see more than a thirty-second of the resolution, and
    # four come after the addition before the last residual block.
    assert (convolutions, len(rounded)) == (35, 4)
    before, after = (
        open_session(path).run(["cam"], {"radiograph": np.float32(squares[:, None]) / 255})[0]
        for path in (fp32, int8)
    )
    assert np.corrcoef(before.ravel(), after.ravel())[0, 1] > 0.98
