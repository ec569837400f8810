"""Further outputs of the model file: linear functions of the trained trunk's feature maps.

`view` separates AP from PA, `pose` an upright frontal radiograph from a turned or inverted one.
Both are logistic regressions, fitted when the network is exported. The weights of the network, and
therefore its other outputs, do not change.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from nanoray.datasets.images import Squares
from nanoray.detecting.model_file import POSES
from nanoray.training.networks import Network

CELLS = 4
"""Cells per side of the grid over which features are pooled.

The positions of lungs, diaphragm and surrounding air reveal the orientation.
"""

# Inverse strength of the ridge penalty on standardised features.
INVERSE_PENALTY = 0.002
# Number of radiographs that are used in every pose; more change little.
SHOWN = 1500


def grid_features(maps: Sequence[Tensor]) -> Tensor:
    """Average all feature maps but the last over a grid, [N, F_i, h_i, w_i] to [N, D].

    The last one is rounded in INT8 files. The others are not, so one fit is valid for both files.
    """
    parts = []
    for features in maps[:-1]:
        side = features.shape[-1] // CELLS
        parts.append(functional.avg_pool2d(features, side).flatten(1))
    return torch.cat(parts, 1)


def has_grid(maps: Sequence[Tensor]) -> bool:
    """Return whether the feature maps divide into the grid."""
    return all(side % CELLS == 0 and side > 0 for one in maps[:-1] for side in one.shape[-2:])


class Heads(nn.Module):
    """Feature maps to `view` [N, 1] and `pose` [N, 5], logits; see `POSES` for the latter."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.view = nn.Linear(width, 1)
        self.pose = nn.Linear(width, len(POSES))

    def forward(self, maps: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        features = grid_features(maps)
        return self.view(features), self.pose(features)


def fit_heads(network: Network, squares: Squares, views: Sequence[str | None]) -> Heads | None:
    """Fit the heads on training radiographs.

    Args:
        squares: uint8 [N, S, S], upright.
        views: "AP", "PA" or None, of each.

    Returns:
        None if the network's feature maps do not divide into the grid, or if the radiographs lack
        one of the views.
    """
    known = [index for index, view in enumerate(views) if view in ("AP", "PA")]
    targets = np.array([views[index] == "AP" for index in known])
    with torch.inference_mode():
        if not known or not has_grid(network.tapped(network.prepare(_tensor(squares[:1])))):
            return None
    if targets.all() or not targets.any():
        return None
    shown = squares[np.sort(np.random.default_rng(0).permutation(len(squares))[:SHOWN])]
    posed = [_features(network, posed_squares(shown, pose)) for pose in range(len(POSES))]
    heads = Heads(posed[0].shape[1])
    _fit(heads.view, _features(network, squares[known]), targets.astype(int))
    _fit(heads.pose, np.concatenate(posed), np.repeat(np.arange(len(POSES)), len(shown)))
    return heads.eval()


def posed_squares(squares: Squares, pose: int) -> Squares:
    """Return radiographs uint8 [N, S, S] in a pose, an index of `POSES`."""
    if POSES[pose] == "negative":
        return np.where(squares > 0, 255 - squares, 0).astype(np.uint8)
    return np.ascontiguousarray(np.rot90(squares, pose, (1, 2)))


def _tensor(squares: Squares) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(squares))[:, None]


def _features(network: Network, squares: Squares, batch_size: int = 32) -> NDArray[np.float32]:
    with torch.inference_mode():
        found = [
            grid_features(
                network.tapped(network.prepare(_tensor(squares[first : first + batch_size])))
            ).numpy()
            for first in range(0, len(squares), batch_size)
        ]
    features: NDArray[np.float32] = np.concatenate(found)
    return features


@torch.no_grad()
def _fit(layer: nn.Linear, features: NDArray[np.float32], targets: NDArray[np.int_]) -> None:
    """Fit a linear layer as a logistic regression; standardisation is folded into it."""
    from sklearn.linear_model import LogisticRegression

    mean, deviation = features.mean(0), features.std(0) + 1e-3
    model = LogisticRegression(C=INVERSE_PENALTY, max_iter=300)
    model.fit((features - mean) / deviation, targets)
    weight = model.coef_ / deviation
    bias = model.intercept_ - weight @ mean
    layer.weight.copy_(torch.from_numpy(weight))
    layer.bias.copy_(torch.from_numpy(bias))
