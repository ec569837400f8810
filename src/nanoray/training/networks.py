"""The networks: a normalising front, a convolutional trunk, and one linear layer.

Global average pooling and one linear layer make the class-activation map exact: the logit is the
mean of the map plus the bias (Zhou et al. 2016, "Learning deep features for discriminative
localization").
"""

from __future__ import annotations

import gzip
import itertools
from pathlib import Path
from typing import Any, NamedTuple

import onnx
import torch
import torchvision
from safetensors import SafetensorError, safe_open
from safetensors.torch import load as load_safetensors
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from nanoray.detecting.modelfile import read_card
from nanoray.errors import DataSetError

ARCHITECTURES = ("mobilenet_v3_small", "resnet18", "resnet50", "resnet50_v1")


class Outputs(NamedTuple):
    """logit [N, 1], cam [N, 1, h, w], and the trunk's last feature map [N, F, h, w]."""

    logit: Tensor
    cam: Tensor
    features: Tensor


class Normalise(nn.Module):
    """Give every radiograph zero mean and unit variance over its non-black pixels.

    Window and exposure then matter little. What is further than `REACH` deviations from the mean is
    set to that, so that the black bars beside a bright radiograph are no blacker than its air.
    [N, 1, S, S] in 0..1 to the same shape.
    """

    REACH = 2.5

    def forward(self, radiograph: Tensor) -> Tensor:
        inside = (radiograph > 0).to(radiograph.dtype)
        count = inside.sum((2, 3), keepdim=True).clamp(min=1.0)
        mean = radiograph.sum((2, 3), keepdim=True) / count
        centred = radiograph - mean
        variance = (centred * centred * inside).sum((2, 3), keepdim=True) / count
        return (centred * torch.rsqrt(variance + 1e-4)).clamp(-self.REACH, self.REACH)


class Network(nn.Module):
    """Radiograph [N, 1, S, S] in 0..1 to `Outputs`.

    `trunk` is a Sequential whose children at the indices `taps` give the feature maps from which
    the novelty is computed; the last of them is the trunk's output.
    """

    def __init__(self, architecture: str, trunk: nn.Sequential, taps: tuple[int, ...]) -> None:
        super().__init__()
        self.architecture = architecture
        self.normalise = Normalise()
        self.trunk = trunk
        self.taps = taps
        with torch.no_grad():
            width = trunk.eval()(torch.zeros(1, 1, 64, 64)).shape[1]
        self.width = width
        self.dropout = nn.Dropout2d(0.2)
        self.classifier = nn.Conv2d(width, 1, 1)

    def tapped(self, radiograph: Tensor) -> list[Tensor]:
        """The feature maps at the taps, from fine to coarse."""
        x = self.normalise(radiograph)
        maps = []
        for index, stage in enumerate(self.trunk):
            x = stage(x)
            if index in self.taps:
                maps.append(x)
        return maps

    def head(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """logit [N, 1] and cam [N, 1, h, w] of the trunk's last feature map."""
        bias = self.classifier.bias
        assert bias is not None
        cam = nn.functional.conv2d(features, self.classifier.weight)
        return cam.mean((2, 3)) + bias, cam

    def forward(self, radiograph: Tensor) -> Outputs:
        features = self.tapped(radiograph)[-1]
        logit, cam = self.head(self.dropout(features))
        return Outputs(logit, cam, features)


def build(architecture: str, *, weights: Path | None = None, pretrained: bool = True) -> Network:
    """A network with an ImageNet-initialised trunk and a fresh linear layer.

    Args:
        architecture: one of `ARCHITECTURES`. "resnet50_v1" has its strides on the first 1 x 1
            convolution and a ceil-mode max-pool, as in He et al. 2016; "resnet50" is torchvision's.
        weights: a safetensors file (may be gzipped) with torchvision's tensor names.
        pretrained: without `weights`, take torchvision's from the model hub; False starts from
            random weights.

    Raises:
        DataSetError: the weights do not fit the architecture.
        ValueError: unknown architecture.
    """
    if architecture not in ARCHITECTURES:
        raise ValueError(f"no architecture {architecture!r}; choose from {ARCHITECTURES}")
    hub = "DEFAULT" if pretrained and weights is None else None
    if architecture == "mobilenet_v3_small":
        mobile = torchvision.models.mobilenet_v3_small(weights=hub)
        if weights is not None:
            _fill(mobile, weights)
        trunk = mobile.features
        stem, taps = trunk[0], (3, 8, 12)
    else:
        shape = architecture.removesuffix("_v1")
        residual = torchvision.models.get_model(shape, weights=hub)
        if architecture == "resnet50_v1":
            _use_v1_strides(residual)
        if weights is not None:
            _fill(residual, weights)
        trunk = nn.Sequential(
            nn.Sequential(residual.conv1, residual.bn1, residual.relu, residual.maxpool),
            residual.layer1,
            residual.layer2,
            residual.layer3,
            residual.layer4,
        )
        stem, taps = trunk[0], (2, 3, 4)
    _make_single_channel(stem)
    for module in trunk.modules():
        if isinstance(module, nn.BatchNorm2d):
            # torchvision's 0.01 for MobileNetV3 is for runs of a million steps.
            module.momentum = 0.1
    return Network(architecture, trunk, taps).train()


def freeze_stages(network: Network, count: int) -> None:
    """Stop gradients of the trunk's first `count` children (a teacher's early layers)."""
    for stage in list(network.trunk)[:count]:
        stage.requires_grad_(False)


def _use_v1_strides(residual: Any) -> None:
    residual.maxpool = nn.MaxPool2d(3, 2, 0, ceil_mode=True)
    for layer in (residual.layer2, residual.layer3, residual.layer4):
        layer[0].conv1.stride, layer[0].conv2.stride = (2, 2), (1, 1)


def _fill(model: nn.Module, weights: Path) -> None:
    try:
        data = weights.read_bytes()
        state = load_safetensors(gzip.decompress(data) if weights.suffix == ".gz" else data)
    except Exception:
        raise DataSetError(f"{weights}: not a readable safetensors file") from None
    missing, unexpected = model.load_state_dict(state, strict=False)
    lacking = [
        name
        for name in missing
        if not name.startswith(("classifier", "fc")) and not name.endswith("num_batches_tracked")
    ]
    if lacking or [name for name in unexpected if not name.startswith(("classifier", "fc"))]:
        raise DataSetError(f"{weights}: the weights do not fit this architecture")


def _make_single_channel(stem: Any) -> None:
    """Replace the RGB convolution by one for grey images: its three kernels added up."""
    old = stem[0]
    new = nn.Conv2d(
        1, old.out_channels, old.kernel_size, old.stride, old.padding, bias=old.bias is not None
    )
    with torch.no_grad():
        new.weight.copy_(old.weight.sum(1, keepdim=True))
    stem[0] = new


def fold_batch_norm(network: Network) -> Network:
    """Fold every batch normalisation into the convolution before it, in place; for inference.

    A folded network can be trained on, then without batch statistics.
    """
    network.eval()
    for parent in network.trunk.modules():
        children = list(parent.named_children())
        for (_, first), (name, second) in itertools.pairwise(children):
            if isinstance(first, nn.Conv2d) and isinstance(second, nn.BatchNorm2d):
                fused = fuse_conv_bn_eval(first, second)
                first.weight, first.bias = fused.weight, fused.bias
                setattr(parent, name, nn.Identity())
    return network


def save_weights(network: Network, path: Path) -> None:
    """Write the network's tensors as safetensors, with its architecture in the header."""
    state = {name: tensor.contiguous() for name, tensor in network.state_dict().items()}
    save_file(state, path, metadata={"architecture": network.architecture})


def load_weights(path: Path) -> Network:
    """Read what `save_weights` wrote, or the weights of an FP32 model file (`.onnx`).

    Raises:
        DataSetError: not such a file.
    """
    try:
        if path.suffix == ".onnx":
            architecture, state = _read_onnx(path)
        else:
            with safe_open(str(path), framework="pt") as file:
                architecture = (file.metadata() or {}).get("architecture", "")
                state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        network = build(architecture, pretrained=False)
        if not any(name.endswith("running_mean") for name in state):
            fold_batch_norm(network)
        network.load_state_dict(state)
    except (SafetensorError, OSError, ValueError, RuntimeError):
        raise DataSetError(f"{path}: not the weights of a trained network") from None
    return network.eval()


def _read_onnx(path: Path) -> tuple[str, dict[str, Tensor]]:
    """Architecture and trained tensors of a model file; they carry the network's own names."""
    prefix = "network."
    state = {
        tensor.name.removeprefix(prefix): torch.from_numpy(
            onnx.numpy_helper.to_array(tensor).copy()
        )
        for tensor in onnx.load(path).graph.initializer
        if tensor.name.startswith(prefix)
    }
    return read_card(path).architecture, state
