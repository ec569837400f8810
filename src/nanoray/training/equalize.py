"""`nanoray.reading.equalize` for batches of tensors."""

from __future__ import annotations

import torch
from torch import Tensor

from nanoray.reading.equalize import BLACK, LEVELS


def equalize(images: Tensor) -> Tensor:
    """Equalise float32 [N, 1, S, S] in 0..1 one by one, as a prediction does."""
    count = len(images)
    level = (images.flatten(1) * (LEVELS - 1) + 0.5).long()
    # float64 adds ones exactly, in any order.
    counts = torch.zeros(count, LEVELS, dtype=torch.float64, device=images.device)
    counts.scatter_add_(1, level, torch.ones_like(counts[:, :1]).expand_as(level))
    counts[:, :BLACK] = 0
    below = counts.cumsum(1)
    shares = (below - 0.5 * counts) / below[:, -1:].clamp(min=1)
    shares[:, :BLACK] = 0
    return shares.float().gather(1, level).view_as(images)
