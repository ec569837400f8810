"""The networks: a normalising front, a convolutional trunk, and one linear layer.

The linear layer is applied to every cell of the feature map. Its output is the class-activation
map, the local evidence. The logit is the mean of the map (Zhou et al. 2016, "Learning deep features
for discriminative localization"). Alternatively it is the log-mean-exp, which gives small lesions
more weight (Pinheiro and Collobert 2015, "From image-level to pixel-level labeling with
convolutional networks").
"""

from __future__ import annotations

import gzip
import itertools
import json
import math
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, NamedTuple

import onnx
import timm
import torch
import torchvision
from safetensors import SafetensorError, safe_open
from safetensors.torch import load as load_safetensors
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval
from torchvision.ops import SqueezeExcitation

from nanoray.detecting.model_file import Pooling, read_card
from nanoray.errors import DataSetError
from nanoray.training.equalize import equalize

# The recipe's architectures; any name of timm's is accepted too.
ARCHITECTURES = (
    "mobilenet_v3_small",
    "mobilenet_v3_small_minimal",
    "mobilenet_v3_small_minimal_100",
    "mobilenet_v3_small_minimal_075",
    "mobilenet_v3_small_minimal_050",
    "mobilenet_v3_small_minimal_035",
    "mobilenet_v3_small_minimal_025",
    "resnet18",
    "resnet50",
    "resnet50_v1",
)


# Side of the square with which a trunk's widths are measured: a multiple of 32 and, for
# transformers whose patches have 14 pixels, of 14.
PROBE = 224


class Outputs(NamedTuple):
    """logit [N, 1], cam [N, 1, h, w], and the trunk's last feature map [N, F, h, w]."""

    logit: Tensor
    cam: Tensor
    features: Tensor


class Normalise(nn.Module):
    """Give every radiograph zero mean and unit variance over its non-black pixels.

    This reduces the influence of window and exposure. Values are clipped at `REACH` deviations from
    the mean, so the black bars beside a bright radiograph are no darker than its air. [N, 1, S, S]
    in 0..1 to the same shape.
    """

    REACH = 2.5

    def forward(self, radiograph: Tensor) -> Tensor:
        # Black pixels are 0 and add nothing to any sum. In 0..1 all others have the ceiling 1; ONNX
        # Runtime's sign took 5 % of the network's time.
        count = _total(radiograph.ceil()).clamp(min=1.0)
        mean = _total(radiograph) / count
        square = _total(radiograph * radiograph) / count
        scale = torch.rsqrt((square - mean * mean).clamp(min=0.0) + 1e-4)
        return ((radiograph - mean) * scale).clamp(-self.REACH, self.REACH)


def _total(images: Tensor) -> Tensor:
    """Sum each image row by row.

    Some runtimes add sequentially, and would lose digits over the whole image.
    """
    return images.sum(3, keepdim=True).sum(2, keepdim=True)


class Stages(nn.Sequential):
    """A convolutional trunk: consecutive stages, with feature maps after some of them."""

    def __init__(self, *stages: nn.Module, taps: tuple[int, ...]) -> None:
        """`taps`: indices of stages, the last one included."""
        super().__init__(*stages)
        self.taps = taps

    def forward(self, x: Tensor) -> list[Tensor]:
        maps = []
        for index, stage in enumerate(self):
            x = stage(x)
            if index in self.taps:
                maps.append(x)
        return maps


class TimmTrunk(nn.Module):
    """A network of timm's without its head: feature maps early, in the middle and at the end.

    Tokens of a transformer, normalised, come as a map of its patches.
    """

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model
        depth = len(model.forward_intermediates(torch.zeros(1, 1, PROBE, PROBE))[1])
        self.taps = [depth // 3, 2 * depth // 3, depth - 1]

    def forward(self, x: Tensor) -> list[Tensor]:
        last, maps = self.model.forward_intermediates(x, indices=self.taps, norm=True)
        # A convolutional network has layers after its last stage.
        return [*maps[:-1], last if last.ndim == 4 else maps[-1]]


@dataclass(frozen=True, slots=True)
class Head:
    """Options of the layers before and after the trunk.

    Attributes:
        equalize: histogram-equalise the radiograph before the network (`Network.prepare`).
        fine_map: the map has twice the resolution of the last feature map. A second linear layer
            reads the preceding feature map, as in a feature pyramid (Lin et al. 2017).
        pooling: of the map to the logit, "mean" or "lse" (log-mean-exp).
        pooling_sharpness: r of log-mean-exp; near 0 it is the mean, with a large r the maximum.
    """

    equalize: bool = False
    fine_map: bool = False
    pooling: Pooling = "mean"
    pooling_sharpness: float = 1.0


class Network(nn.Module):
    """Radiographs [N, 1, S, S] in 0..1, from `prepare`, to `Outputs`.

    `trunk` returns feature maps from fine to coarse, from which the novelty is computed. The last
    one is the input of the linear layer.
    """

    def __init__(
        self, architecture: str, trunk: Stages | TimmTrunk, options: Head | None = None
    ) -> None:
        super().__init__()
        self.architecture = architecture
        self.normalise = Normalise()
        self.trunk = trunk
        self.options = Head()
        with torch.no_grad():
            maps = trunk.eval()(torch.zeros(1, 1, PROBE, PROBE))
        self.width, self.finer_width = maps[-1].shape[1], maps[-2].shape[1]
        self.dropout = nn.Dropout2d(0.2)
        self.classifier = nn.Conv2d(self.width, 1, 1)
        self.configure(options or Head())

    def configure(self, options: Head) -> None:
        """Replace the head of the network; the weights of new layers start at 0."""
        if options.fine_map and not self.options.fine_map:
            self.lateral = nn.Conv2d(self.finer_width, 1, 1, bias=False)
            nn.init.zeros_(self.lateral.weight)
        elif self.options.fine_map and not options.fine_map:
            del self.lateral
        self.options = options

    def prepare(self, squares: Tensor) -> Tensor:
        """Turn squares uint8 [N, 1, S, S] into the network's input, float32 in 0..1."""
        radiographs = squares.float() / 255
        return equalize(radiographs) if self.options.equalize else radiographs

    def tapped(self, radiograph: Tensor) -> list[Tensor]:
        """Return the trunk's feature maps, from fine to coarse."""
        maps: list[Tensor] = self.trunk(self.normalise(radiograph))
        return maps

    def head(self, maps: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Compute logit [N, 1] and cam [N, 1, h, w] from the trunk's feature maps."""
        bias = self.classifier.bias
        assert bias is not None
        cam = nn.functional.conv2d(maps[-1], self.classifier.weight)
        if self.options.fine_map:
            cam = nn.functional.interpolate(cam, scale_factor=2.0, mode="nearest")
            cam = cam + self.lateral(maps[-2])
        return self._pooled(cam) + bias, cam

    def _pooled(self, cam: Tensor) -> Tensor:
        if self.options.pooling == "mean":
            return cam.mean((2, 3))
        r, cells = self.options.pooling_sharpness, cam.shape[2] * cam.shape[3]
        return (torch.logsumexp(cam.flatten(2) * r, 2) - math.log(cells)) / r

    def forward(self, radiograph: Tensor) -> Outputs:
        maps = self.tapped(radiograph)
        logit, cam = self.head([*maps[:-1], self.dropout(maps[-1])])
        return Outputs(logit, cam, maps[-1])


def check_architecture(name: str) -> None:
    """Refuse a name that is unknown to `build`.

    Raises:
        DataSetError: the message lists the nearest names.
    """
    if name in ARCHITECTURES or timm.is_model(name):
        return
    near = get_close_matches(name, {*ARCHITECTURES, *timm.list_models()}, 3)
    raise DataSetError(
        f"unknown architecture {name!r}; "
        + (f"did you mean {' or '.join(near)}? " if near else "")
        + f"Use {', '.join(ARCHITECTURES)} or a name of timm's"
    )


def is_minimal(architecture: str) -> bool:
    """Return whether the name is the minimal MobileNetV3-Small, in any width."""
    return architecture in ARCHITECTURES and "_minimal" in architecture


def width_of(architecture: str) -> float | None:
    """Return the width multiplier at the end of a name; None without one."""
    found = re.fullmatch(r"mobilenet_v3_small_minimal_(\d{3})", architecture)
    return int(found[1]) / 100 if found else None


def build(
    architecture: str,
    *,
    weights: Path | None = None,
    pretrained: bool = True,
    options: Head | None = None,
) -> Network:
    """Return a network with an ImageNet-initialised trunk and a fresh linear layer.

    Args:
        architecture: one of `ARCHITECTURES` or a name of timm's, for example "vit_tiny_patch16_224"
            or "tf_efficientnet_lite0". "resnet50_v1" has its strides on the first 1 x 1 convolution
            and a ceil-mode max-pool, as in He et al. 2016; "resnet50" is torchvision's.
            "mobilenet_v3_small_minimal" is MobileNetV3-Small with ReLU for hard-swish and without
            squeeze-and-excite, since INT8 arithmetic is slow at both. (The "minimalistic" model of
            Howard et al. 2019 has only kernels of 3 x 3; this one also has those of 5 x 5.) A
            number after it is the width in
            hundredths: channels are multiplied by it and rounded to multiples of 8. Such a network
                has random weights; `nanoray.training.narrowing` starts it from a wider one.
        weights: a safetensors file (may be gzipped) with torchvision's or timm's tensor names.
        pretrained: without `weights`, take them from the model hub; False starts from random
            weights.
        options: of the head; default: no equalisation, mean of the last feature map.

    Raises:
        DataSetError: unknown architecture, or the weights do not fit it.
    """
    check_architecture(architecture)
    hub = "DEFAULT" if pretrained and weights is None else None
    width = width_of(architecture)
    if width is not None and weights is not None:
        raise DataSetError(f"{weights}: the weights do not fit {architecture}")
    if architecture == "mobilenet_v3_small" or is_minimal(architecture):
        with _fetching(architecture, hub):
            mobile = (
                torchvision.models.mobilenet_v3_small(weights=hub)
                if width is None
                else torchvision.models.mobilenet_v3_small(width_mult=width)
            )
        if weights is not None:
            _fill(mobile, weights)
        trunk = Stages(*mobile.features, taps=(3, 8, 12))
        if is_minimal(architecture):
            _make_minimal(trunk)
        # After rounding to multiples of 8 its input and output may have equal channels: still add
        # nothing, as the whole network does.
        trunk[7].use_res_connect = False  # type: ignore[assignment]
    elif architecture in ARCHITECTURES:
        shape = architecture.removesuffix("_v1")
        with _fetching(architecture, hub):
            residual = torchvision.models.get_model(shape, weights=hub)
        if architecture == "resnet50_v1":
            _use_v1_strides(residual)
        if weights is not None:
            _fill(residual, weights)
        trunk = Stages(
            nn.Sequential(residual.conv1, residual.bn1, residual.relu, residual.maxpool),
            residual.layer1,
            residual.layer2,
            residual.layer3,
            residual.layer4,
            taps=(2, 3, 4),
        )
    else:
        timm_trunk = TimmTrunk(_timm(architecture, weights, hub is not None))
        return Network(architecture, timm_trunk, options)
    _make_single_channel(trunk[0])
    for module in trunk.modules():
        if isinstance(module, nn.BatchNorm2d):
            # torchvision's 0.01 for MobileNetV3 is for runs of a million steps.
            module.momentum = 0.1
    return Network(architecture, trunk, options).train()


@contextmanager
def _fetching(name: str, hub: str | None) -> Iterator[None]:
    """Convert the errors of a download; a wrong checksum is a RuntimeError.

    Raises:
        DataSetError: the weights cannot be fetched from the model hub.
    """
    try:
        yield
    except (OSError, RuntimeError) as error:
        if hub is None:
            raise
        raise _not_fetched(name, error) from None


def _not_fetched(name: str, error: Exception) -> DataSetError:
    return DataSetError(
        f"the weights of {name} could not be fetched from the model hub; give them by --weights "
        f"(in a recipe: weights), or --random-weights ({type(error).__name__})"
    )


def _timm(name: str, weights: Path | None, hub: bool) -> nn.Module:
    """timm's model for grey images; timm sums the first layer's weights."""
    options: dict[str, Any] = {"pretrained": hub, "in_chans": 1, "num_classes": 0}
    if weights is not None:
        options |= {"pretrained": True, "pretrained_cfg_overlay": {"file": str(weights)}}
    try:
        try:
            # Transformers: positions are interpolated to the size of the input.
            return timm.create_model(name, dynamic_img_size=True, **options)
        except TypeError:
            return timm.create_model(name, **options)
    except (RuntimeError, SafetensorError, OSError) as error:
        if weights is None:
            raise _not_fetched(name, error) from None
        raise DataSetError(f"{weights}: the weights do not fit {name}") from None


def _make_minimal(trunk: nn.Module) -> None:
    for name, child in trunk.named_children():
        if isinstance(child, nn.Hardswish):
            setattr(trunk, name, nn.ReLU(inplace=True))
        elif isinstance(child, SqueezeExcitation):
            setattr(trunk, name, nn.Identity())
        else:
            _make_minimal(child)


@torch.no_grad()
def simplified(network: Network, radiographs: Tensor) -> Network:
    """Return a minimal MobileNetV3-Small that starts from a trained full one.

    Each squeeze-and-excite becomes the mean of its factors over `radiographs` (float32 [N, 1, S,
    S]), multiplied into the following convolution. Further training must compensate for ReLU in
    place of hard-swish.
    """
    means: dict[str, Tensor] = {}
    hooks = [
        module.scale_activation.register_forward_hook(
            lambda _, __, factors, name=name: means.update({name: factors.mean((0, 2, 3))})
        )
        for name, module in network.trunk.named_modules()
        if isinstance(module, SqueezeExcitation)
    ]
    network.eval()(radiographs)
    for hook in hooks:
        hook.remove()
    minimal = build(f"{network.architecture}_minimal", pretrained=False, options=network.options)
    minimal.load_state_dict(network.state_dict(), strict=False)
    for name, factors in means.items():
        block, _, index = name.rpartition(".")
        projection = minimal.trunk.get_submodule(f"{block}.{int(index) + 1}.0")
        projection.weight.mul_(factors[:, None, None])  # type: ignore[operator, union-attr]
    return minimal.train()


def freeze_stages(network: Network, count: int) -> None:
    """Stop gradients of the trunk's first `count` children (a teacher's early layers)."""
    for stage in list(network.trunk.children())[:count]:
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
    """Replace the RGB convolution by one for grey images: the sum of its three kernels."""
    old = stem[0]
    new = nn.Conv2d(
        1, old.out_channels, old.kernel_size, old.stride, old.padding, bias=old.bias is not None
    )
    with torch.no_grad():
        new.weight.copy_(old.weight.sum(1, keepdim=True))
    stem[0] = new


def fold_batch_norm(network: Network) -> Network:
    """Fold every batch normalisation into the convolution before it, in place; for inference.

    A folded network can be trained further, without batch statistics.
    """
    network.eval()
    if isinstance(network.trunk, TimmTrunk):
        # timm's normalisations may contain activations; runtimes fold these themselves.
        return network
    for parent in network.trunk.modules():
        children = list(parent.named_children())
        for (_, first), (name, second) in itertools.pairwise(children):
            if isinstance(first, nn.Conv2d) and isinstance(second, nn.BatchNorm2d):
                fused = fuse_conv_bn_eval(first, second)
                first.weight, first.bias = fused.weight, fused.bias
                setattr(parent, name, nn.Identity())
    return network


def save_weights(network: Network, path: Path) -> None:
    """Write the network's tensors as safetensors, with architecture and head in the header."""
    state = {name: tensor.contiguous() for name, tensor in network.state_dict().items()}
    about = {"architecture": network.architecture, "head": asdict(network.options)}
    # One entry: several would be written in a random order, and equal runs would give different
    # files.
    save_file(state, path, metadata={"network": json.dumps(about)})


def load_weights(path: Path) -> Network:
    """Read a file of `save_weights`, or the weights of an FP32 model file (`.onnx`).

    Raises:
        DataSetError: not such a file.
    """
    try:
        if path.suffix == ".onnx":
            architecture, options, state = _read_onnx(path)
        else:
            with safe_open(str(path), framework="pt") as file:
                metadata = file.metadata() or {}
                about = json.loads(metadata.get("network", "{}")) or metadata
                architecture = about.get("architecture", "")
                options = Head(**about.get("head", {}))
                state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        network = build(architecture, pretrained=False, options=options)
        if not any(name.endswith("running_mean") for name in state):
            fold_batch_norm(network)
        network.load_state_dict(state)
    except (SafetensorError, OSError, TypeError, ValueError, RuntimeError, DataSetError):
        raise DataSetError(f"{path}: not the weights of a trained network") from None
    return network.eval()


def _read_onnx(path: Path) -> tuple[str, Head, dict[str, Tensor]]:
    """Read architecture, head and trained tensors of a model file, by the network's names."""
    prefix = "network."
    state = {
        tensor.name.removeprefix(prefix): torch.from_numpy(
            onnx.numpy_helper.to_array(tensor).copy()
        )
        for tensor in onnx.load(path).graph.initializer
        if tensor.name.startswith(prefix)
    }
    card = read_card(path)
    options = Head(card.equalize, "lateral.weight" in state, card.pooling, card.pooling_sharpness)
    return card.architecture, options, state
