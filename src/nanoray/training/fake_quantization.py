"""Quantization-aware training: the network is trained with the rounding of its INT8 file.

The forward pass simulates the rounding, the backward pass ignores it (Jacob et al. 2018,
"Quantization and training of neural networks for efficient integer-arithmetic-only inference").
The scheme is that of `nanoray.exporting.quantize`.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from nanoray.training.networks import Network, Stages, fold_batch_norm, is_minimal

# Of the moving averages of the activations' ranges.
RANGE_DECAY = 0.99


class RoundedWeight(nn.Module):
    """A convolution's weight in 7 bits, one scale per output channel."""

    def forward(self, weight: Tensor) -> Tensor:
        scale = weight.detach().abs().amax((1, 2, 3)) / 63 + 1e-12
        zero = torch.zeros_like(scale, dtype=torch.int32)
        return torch.fake_quantize_per_channel_affine(weight, scale, zero, 0, -63, 63)


class RoundedOutput:
    """A hook that rounds a module's output to 8 bits over the observed range."""

    def __init__(self) -> None:
        self.low = self.high = 0.0

    def __call__(self, module: nn.Module, _: Any, output: Tensor) -> Tensor:
        if module.training:
            low, high = (float(bound) for bound in output.detach().aminmax())
            keep = RANGE_DECAY if self.high > self.low else 0.0
            self.low = min(0.0, keep * self.low + (1 - keep) * low)
            self.high = max(0.0, keep * self.high + (1 - keep) * high)
        scale = max(self.high - self.low, 1e-6) / 255
        zero = min(255, max(0, round(-self.low / scale)))
        return torch.fake_quantize_per_tensor_affine(output, scale, zero, 0, 255)


def prepare(network: Network) -> Network:
    """Fold batch normalisation and simulate the INT8 rounding, in place, for more training.

    Raises:
        ValueError: not a plain trunk of this package's (see `nanoray.exporting.quantize`).
    """
    if not isinstance(network.trunk, Stages) or not is_minimal(network.architecture):
        raise ValueError(f"{network.architecture} is not quantized whole; a minimal network is")
    fold_batch_norm(network)
    # INT8 begins at a thirty-second of the input's resolution, with the tenth stage's projection,
    # and ends before the addition of the next stage.
    coarse = nn.ModuleList([network.trunk.get_submodule("9.block.3"), network.trunk[10]])
    for module in list(coarse.modules()):
        if isinstance(module, nn.Conv2d):
            parametrize.register_parametrization(module, "weight", RoundedWeight())
    for module in coarse.modules():
        linear = isinstance(module, nn.Sequential) and isinstance(module[-1], nn.Identity)
        if isinstance(module, nn.ReLU) or linear:
            module.register_forward_hook(RoundedOutput())
    return network.train()


def remove(network: Network) -> Network:
    """Remove the simulated rounding, in place; the learned weights do not change."""
    for module in network.trunk.modules():
        if parametrize.is_parametrized(module, "weight"):
            parametrize.remove_parametrizations(module, "weight", leave_parametrized=False)
        for key, hook in list(module._forward_hooks.items()):
            if isinstance(hook, RoundedOutput):
                del module._forward_hooks[key]
    return network
