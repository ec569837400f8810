"""Random changes to a batch of training radiographs that preserve the label."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from nanoray.datasets.photographs import rephotograph
from nanoray.training.equalize import equalize


def augment(
    images: Tensor,
    masks: Tensor,
    *,
    equalized: bool = False,
    photographs: float = 0.0,
    borders: float = 0.0,
) -> tuple[Tensor, Tensor]:
    """Move, flip, re-expose, blur and blot a batch; the box masks move with it.

    Half of the images are mirrored, since an opacity may be on either side. Exposure (gamma and a
    shift of the grey scale) varies widely, because publishers of the same images stretched them
    differently. Randomness comes from torch's global generator.

    Args:
        images: float32 [N, 1, S, S] in 0..1.
        masks: float32 [N, 1, G, G] in 0..1.
        equalized: equalise the moved image, as a prediction does. Exposure then varies little,
            since equalisation removes it.
        photographs: share of the images that become photographs of a screen or light box; see
            `nanoray.datasets.photographs.rephotograph`.
        borders: share of the images that get a bar of one grey level along one or two edges.

    Returns:
        The same shapes and ranges.
    """
    with images.device:
        theta = _affine(images.shape[0])
        images, masks = _warp(images, theta), _warp(masks, theta)
        # Both change the histogram that is equalised, so they come first.
        images = _photograph(_border(images, borders), photographs)
        exposed = _expose_little(equalize(images)) if equalized else _expose(images)
        images = _blur(exposed)
        noise = _uniform(images.shape[0], 0.0, 0.03).view(-1, 1, 1, 1)
        images = images + torch.randn_like(images) * noise
        return _blot(images.clamp(0, 1)), masks


def _warp(images: Tensor, theta: Tensor) -> Tensor:
    grid = functional.affine_grid(theta, list(images.shape), align_corners=False)
    return functional.grid_sample(images, grid, align_corners=False)


def _uniform(count: int, low: float, high: float) -> Tensor:
    return torch.rand(count) * (high - low) + low


def _affine(count: int) -> Tensor:
    angle = torch.randn(count) * math.radians(6)
    scale = _uniform(count, 0.78, 1.1)
    stretch = torch.exp(torch.randn(count) * 0.05)
    mirror = torch.where(torch.rand(count) < 0.5, -1.0, 1.0)
    cos, sin = torch.cos(angle), torch.sin(angle)
    theta = torch.zeros(count, 2, 3)
    theta[:, 0, 0] = cos * scale * stretch * mirror
    theta[:, 0, 1] = -sin * scale
    theta[:, 1, 0] = sin * scale * mirror
    theta[:, 1, 1] = cos * scale / stretch
    theta[:, :, 2] = _uniform(count * 2, -0.08, 0.08).view(count, 2)
    return theta


def _expose(images: Tensor) -> Tensor:
    count = images.shape[0]
    gamma = torch.exp(torch.randn(count) * 0.3).view(-1, 1, 1, 1)
    gain = _uniform(count, 0.75, 1.25).view(-1, 1, 1, 1)
    shift = _uniform(count, -0.1, 0.1).view(-1, 1, 1, 1)
    outside = images <= 0
    exposed = (images.clamp(0, 1) ** gamma * gain + shift).clamp(0, 1)
    return exposed.masked_fill(outside, 0.0)


def _expose_little(images: Tensor) -> Tensor:
    count = images.shape[0]
    gamma = torch.exp(torch.randn(count) * 0.12).view(-1, 1, 1, 1)
    gain = _uniform(count, 0.9, 1.1).view(-1, 1, 1, 1)
    shift = _uniform(count, -0.04, 0.04).view(-1, 1, 1, 1)
    exposed = (images.clamp(1e-6, 1) ** gamma * gain + shift).clamp(0, 1)
    return exposed.masked_fill(images <= 0, 0.0)


def _border(images: Tensor, share: float) -> Tensor:
    """Cover up to a tenth of the frame at its edges, as frames and bars of viewers do."""
    if not share:
        return images
    images = images.clone()
    side = images.shape[-1]
    for chosen in (torch.rand(len(images)) < share).nonzero()[:, 0].tolist():
        # Half of the bars are white, which weigh most in a histogram.
        level = 1.0 if torch.rand(()) < 0.5 else float(torch.rand(()))
        for edge in torch.randperm(4)[: int(torch.randint(1, 3, ()))].tolist():
            width = int(torch.randint(1, max(2, side // 10), ()))
            # Views of the same memory: rows, then columns.
            square = images[chosen, 0] if edge < 2 else images[chosen, 0].mT
            if edge % 2:
                square[side - width :] = level
            else:
                square[:width] = level
    return images


def _photograph(images: Tensor, share: float) -> Tensor:
    """Replace a share of the images by simulated photographs of them."""
    if not share:
        return images
    images = images.clone()
    for chosen in (torch.rand(len(images)) < share).nonzero()[:, 0].tolist():
        rng = np.random.default_rng(int(torch.randint(2**31, ())))
        square = images[chosen, 0].cpu().numpy()
        taken = rephotograph(square, rng, rng.uniform(0.3, 2.0))
        images[chosen, 0] = torch.from_numpy(taken).to(images)
    return images


def _blur(images: Tensor) -> Tensor:
    chosen = torch.rand(images.shape[0]).view(-1, 1, 1, 1) < 0.25
    padded = functional.pad(images, (1, 1, 1, 1), mode="replicate")
    return torch.where(chosen, functional.avg_pool2d(padded, 3, 1), images)


def _blot(images: Tensor) -> Tensor:
    """Cutout (DeVries and Taylor 2017): grey out one rectangle in half of the images."""
    count, side = images.shape[0], images.shape[-1]
    chosen = torch.rand(count).view(-1, 1, 1, 1) < 0.5
    rows, columns = (_stretch(count, side) for _ in range(2))
    # Without a loop over the images, a GPU never waits for the processor.
    blotted = chosen & rows.view(count, 1, side, 1) & columns.view(count, 1, 1, side)
    return torch.where(blotted, images.mean((1, 2, 3), keepdim=True), images)


def _stretch(count: int, side: int) -> Tensor:
    """Choose a tenth to three tenths of a line's pixels in one piece, bool [count, side]."""
    length = (side * _uniform(count, 0.1, 0.3)).floor()
    first = (torch.rand(count) * (side - length)).floor()
    place = torch.arange(side)
    return (place >= first[:, None]) & (place < (first + length)[:, None])
