"""Start a narrow network from the most important channels of a wider trained one.

After Li et al. 2017, "Pruning filters for efficient ConvNets". The importance of a channel is its
deviation on radiographs times the norm of the weights that read it, instead of the norm of its
filter. The information of a removed channel is lost. The normalisation after each convolution
restores the mean and the deviation of the remaining channels.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torchvision.models.mobilenetv3 import InvertedResidual

from nanoray.training.networks import Network, Stages, build, fold_batch_norm

FINER = 8
"""The stage whose map the lateral layer of a fine heat map reads."""


@dataclass(frozen=True, slots=True)
class _Seen:
    """Mean and deviation of each output channel of a convolution, and deviation after ReLU."""

    mean: Tensor
    deviation: Tensor
    spread: Tensor


@torch.no_grad()
def narrowed(network: Network, architecture: str, radiographs: Tensor) -> Network:
    """Return a minimal MobileNetV3-Small that starts from a trained one of the same width or wider.

    In the result every convolution has a batch normalisation, even if those of the trained network
    are folded, as in a model file. At the same width the outputs on `radiographs` are the same.

    Args:
        network: a trained minimal MobileNetV3-Small.
        architecture: of the result, see `nanoray.training.networks.build`.
        radiographs: float32 [N, 1, S, S], from `Network.prepare`.
    """
    wide = fold_batch_norm(copy.deepcopy(network))
    narrow = build(architecture, pretrained=False, options=network.options)
    old: Any = wide.trunk
    new: Any = narrow.trunk
    seen, spreads = _watch(wide, radiographs)
    streams = _streams(old)
    kept: dict[int, Tensor] = {}
    for stages in streams:
        readers = [_layers(old[stage + 1])[0][0] for stage in stages if stage + 1 < len(old)]
        if FINER in stages and network.options.fine_map:
            readers.append(wide.lateral)
        if len(old) - 1 in stages:
            readers.append(wide.classifier)
        read = torch.stack([_read(reader) for reader in readers]).norm(dim=0)
        spread = torch.stack([spreads[stage] for stage in stages]).norm(dim=0)
        width = _layers(new[stages[0]])[-1][0].out_channels
        chosen = _strongest(spread * read, width)
        kept |= dict.fromkeys(stages, chosen)
    for stage in range(len(old)):
        entering = kept[stage - 1] if stage else torch.tensor([0])
        layers = _layers(old[stage])
        for place, (source, target) in enumerate(zip(layers, _layers(new[stage]), strict=True)):
            depthwise = source[0].groups > 1
            if source is layers[-1]:
                leaving = kept[stage]
            elif depthwise:
                leaving = entering
            else:
                # The following depthwise convolution passes each channel on to the projection.
                spread = seen[layers[place + 1][0]].spread
                leaving = _strongest(spread * _read(layers[-1][0]), target[0].out_channels)
            weight = source[0].weight[leaving]
            target[0].weight.copy_(weight if depthwise else weight[:, entering])
            deviation = seen[source[0]].deviation[leaving]
            target[1].weight.copy_((deviation.square() + target[1].eps).sqrt())
            target[1].bias.copy_(seen[source[0]].mean[leaving])
            entering = leaving
    narrow.classifier.weight.copy_(wide.classifier.weight[:, kept[len(old) - 1]])
    narrow.classifier.bias.copy_(wide.classifier.bias)  # type: ignore[union-attr, arg-type]
    if network.options.fine_map:
        narrow.lateral.weight.copy_(wide.lateral.weight[:, kept[FINER]])
    _measure(narrow, radiographs)
    return narrow.train()


def _watch(network: Network, radiographs: Tensor) -> tuple[dict[nn.Module, _Seen], list[Tensor]]:
    """Measure the outputs of the convolutions, and the deviations of each stage's channels."""
    seen: dict[nn.Module, _Seen] = {}
    spreads: list[Tensor] = []

    def written(module: nn.Module, _: Any, values: Tensor) -> None:
        by_channel = values.transpose(0, 1).flatten(1)
        seen[module] = _Seen(
            by_channel.mean(1), by_channel.std(1, False), by_channel.relu().std(1, False)
        )

    def passed(_: nn.Module, __: Any, values: Tensor) -> None:
        spreads.append(values.transpose(0, 1).flatten(1).std(1, False))

    convolutions = [m for m in network.trunk.modules() if isinstance(m, nn.Conv2d)]
    hooks = [module.register_forward_hook(written) for module in convolutions]
    hooks += [stage.register_forward_hook(passed) for stage in network.trunk.children()]
    network(radiographs)
    for hook in hooks:
        hook.remove()
    return seen, spreads


def _streams(trunk: Stages) -> list[list[int]]:
    """Group the stages whose outputs are added, since they must keep the same channels."""
    streams: list[list[int]] = []
    for stage, module in enumerate(trunk):
        if isinstance(module, InvertedResidual) and module.use_res_connect:
            streams[-1].append(stage)
        else:
            streams.append([stage])
    return streams


def _layers(stage: Any) -> list[Any]:
    """Return the layers of a stage: convolution, normalisation and perhaps ReLU each."""
    if not isinstance(stage, InvertedResidual):
        return [stage]
    return [layer for layer in stage.block if not isinstance(layer, nn.Identity)]


def _read(convolution: nn.Conv2d) -> Tensor:
    """Return the norm of the weights that read each input channel; depthwise: its own filter."""
    weight = convolution.weight
    by_input = weight if convolution.groups > 1 else weight.transpose(0, 1)
    norms: Tensor = by_input.flatten(1).norm(dim=1)
    return norms


def _strongest(scores: Tensor, count: int) -> Tensor:
    """Return the indices of the `count` greatest scores, in the order of the channels."""
    return scores.topk(count).indices.sort().values


def _measure(network: Network, radiographs: Tensor) -> None:
    """Set the normalisations' means and variances to those on `radiographs`.

    Training divides by the biased variance. PyTorch stores the unbiased one, which is larger. For
    few small maps the difference would accumulate over the layers.
    """

    def keep(norm: nn.Module, entering: tuple[Tensor], _: Tensor) -> None:
        by_channel = entering[0].transpose(0, 1).flatten(1)
        norm.running_mean.copy_(by_channel.mean(1))  # type: ignore[operator, union-attr]
        norm.running_var.copy_(by_channel.var(1, False))  # type: ignore[operator, union-attr]

    norms = [m for m in network.trunk.modules() if isinstance(m, nn.BatchNorm2d)]
    hooks = [norm.register_forward_hook(keep) for norm in norms]
    network.train()(radiographs)
    for hook in hooks:
        hook.remove()
