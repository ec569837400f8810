"""A narrow network starts from the strongest channels of a wider one."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from nanoray.errors import DataSetError
from nanoray.training.narrowing import narrowed
from nanoray.training.networks import (
    Head,
    Network,
    build,
    fold_batch_norm,
    load_weights,
    save_weights,
    width_of,
)
from nanoray.training.recipe import _started

MINIMAL = "mobilenet_v3_small_minimal"


@pytest.fixture(scope="module")
def radiographs() -> Tensor:
    return torch.rand(8, 1, 96, 96, generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="module")
def trained(radiographs: Tensor) -> Network:
    """Return a network with normalisations as on the radiographs, every channel another."""
    torch.manual_seed(3)
    network = build(MINIMAL, pretrained=False, options=Head(fine_map=True, pooling="lse"))
    for module in network.trunk.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.2, 2.0)
            nn.init.normal_(module.bias)
            module.momentum = None
    nn.init.normal_(network.lateral.weight)
    with torch.no_grad():
        network.train()(radiographs)
    return network.eval()


@pytest.mark.parametrize("folded", [False, True])
def test_at_the_same_width_nothing_changes(
    folded: bool, trained: Network, radiographs: Tensor, tmp_path: Path
) -> None:
    save_weights(trained, tmp_path / "a.safetensors")
    start = load_weights(tmp_path / "a.safetensors")
    if folded:
        fold_batch_norm(start)
    found = narrowed(start, f"{MINIMAL}_100", radiographs)
    assert sum(isinstance(m, nn.BatchNorm2d) for m in found.trunk.modules()) == 34
    with torch.inference_mode():
        expected, outputs = trained(radiographs), found.eval()(radiographs)
    torch.testing.assert_close(outputs.logit, expected.logit, rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(outputs.cam, expected.cam, rtol=1e-2, atol=1e-2)


def test_channels_that_nothing_reads_are_cut_first(trained: Network, radiographs: Tensor) -> None:
    network = load_copy(trained)
    # A quarter of the channels of the last layer, and of those between two layers, lead nowhere.
    with torch.no_grad():
        network.classifier.weight[:, ::4] = 0
        hidden = network.trunk.get_submodule("9.block.3.0")
        hidden.weight[:, ::4] = 0  # type: ignore[index, operator]
    found = narrowed(network, f"{MINIMAL}_050", radiographs)
    assert found.width == 288
    assert (found.classifier.weight != 0).all()
    assert (found.trunk.get_submodule("9.block.3.0").weight != 0).all()  # type: ignore[union-attr]


@pytest.mark.parametrize("width", ["025", "035", "050", "075"])
def test_narrow_networks_are_trainable(width: str, trained: Network, radiographs: Tensor) -> None:
    found = narrowed(trained, f"{MINIMAL}_{width}", radiographs)
    assert width_of(found.architecture) == int(width) / 100
    assert all(
        module.out_channels % 8 == 0 for module in found.trunk.modules() if is_convolution(module)
    )
    outputs = found(radiographs)
    outputs.logit.sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in found.parameters())
    sizes = [sum(p.numel() for p in one.parameters()) for one in (found, trained)]
    assert sizes[0] < sizes[1] * int(width) / 100


def test_it_is_saved_and_found_again(trained: Network, radiographs: Tensor, tmp_path: Path) -> None:
    found = narrowed(trained, f"{MINIMAL}_025", radiographs).eval()
    save_weights(found, tmp_path / "narrow.safetensors")
    again = load_weights(tmp_path / "narrow.safetensors")
    with torch.inference_mode():
        assert torch.equal(again(radiographs).logit, found(radiographs).logit)


def test_a_narrower_start_is_refused(trained: Network, radiographs: Tensor, tmp_path: Path) -> None:
    narrow = narrowed(trained, f"{MINIMAL}_025", radiographs)
    save_weights(narrow, tmp_path / "narrow.safetensors")
    some = (radiographs * 255).byte()
    with pytest.raises(DataSetError, match="is narrower than"):
        _started(tmp_path / "narrow.safetensors", f"{MINIMAL}_050", Head(), some)


def load_copy(network: Network) -> Network:
    copy = build(MINIMAL, pretrained=False, options=network.options)
    copy.load_state_dict(network.state_dict())
    return copy.eval()


def is_convolution(module: nn.Module) -> bool:
    return isinstance(module, nn.Conv2d)
