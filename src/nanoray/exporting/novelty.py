"""The novelty: distance of an image from the training radiographs, inside the model's graph.

It is the Mahalanobis distance on pooled features of several stages (Lee et al. 2018, "A simple
unified framework for detecting out-of-distribution samples and adversarial attacks"). The
covariance is that of probabilistic PCA (Tipping and Bishop 1999): the leading directions have
separate variances, all others share one. This needs a narrow matrix instead of a full covariance.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from nanoray.datasets.images import Squares
from nanoray.training.networks import Network


def pooled(maps: Sequence[Tensor]) -> Tensor:
    """Mean and deviation over the image of each feature map; only the mean of the last.

    [N, F_i, h_i, w_i] each to [N, D].
    """
    parts = []
    for features in maps[:-1]:
        mean = features.mean((2, 3), keepdim=True)
        spread = (features - mean).square().mean((2, 3))
        parts += [mean[:, :, 0, 0], torch.sqrt(spread + 1e-6)]
    return torch.cat([*parts, maps[-1].mean((2, 3))], 1)


class Novelty(nn.Module):
    """Pooled features [N, D] to the distance [N, 1]; about 1 for a training radiograph."""

    def __init__(self, width: int, directions: int) -> None:
        super().__init__()
        self.register_buffer("centre", torch.zeros(width))
        self.register_buffer("inverse_scale", torch.ones(width))
        self.register_buffer("axes", torch.zeros(width, directions))
        self.register_buffer("inverse_deviation", torch.ones(directions))
        self.register_buffer("inverse_rest", torch.ones(()))

    centre: Tensor
    inverse_scale: Tensor
    axes: Tensor
    inverse_deviation: Tensor
    inverse_rest: Tensor

    def forward(self, features: Tensor) -> Tensor:
        scaled = (features - self.centre) * self.inverse_scale
        along = scaled @ self.axes
        inside = (along * self.inverse_deviation).square().sum(1, keepdim=True)
        rest = scaled.square().sum(1, keepdim=True) - along.square().sum(1, keepdim=True)
        total = inside + rest.clamp(min=0.0) * self.inverse_rest
        return torch.sqrt(total / features.shape[1])


def fit_novelty(features: np.ndarray, directions: int = 64) -> Novelty:
    """Estimate the distribution of pooled features float32 [N, D] of training radiographs."""
    directions = min(directions, len(features) - 1, features.shape[1] - 1)
    centre = features.mean(0, dtype=np.float64)
    scale = features.std(0, dtype=np.float64)
    scale = np.maximum(scale, 0.05 * np.median(scale) + 1e-6)
    scaled = (features - centre) / scale
    _, singular, axes = np.linalg.svd(scaled, full_matrices=False)
    variance = singular**2 / len(features)
    rest = variance[directions:].sum() / (features.shape[1] - directions)
    novelty = Novelty(features.shape[1], directions)
    novelty.centre.copy_(torch.from_numpy(centre))
    novelty.inverse_scale.copy_(torch.from_numpy(1 / scale))
    novelty.axes.copy_(torch.from_numpy(axes[:directions].T.copy()))
    novelty.inverse_deviation.copy_(torch.from_numpy(1 / np.sqrt(variance[:directions] + 1e-6)))
    novelty.inverse_rest.copy_(torch.tensor(1 / (rest + 1e-6)))
    return novelty


@torch.inference_mode()
def pooled_features(network: Network, squares: Squares, *, batch_size: int = 32) -> np.ndarray:
    """Compute pooled features float32 [N, D] of uint8 [N, S, S]."""
    network.eval()
    return np.concatenate(
        [
            pooled(
                network.tapped(
                    network.prepare(
                        torch.from_numpy(np.array(squares[i : i + batch_size]))[:, None]
                    )
                )
            ).numpy()
            for i in range(0, len(squares), batch_size)
        ]
    )
