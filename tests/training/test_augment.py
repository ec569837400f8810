"""Augmentation: borders and photographs."""

from __future__ import annotations

import pytest
import torch

from nanoray.training.augment import _border, augment


def squares(count: int = 8, side: int = 48) -> torch.Tensor:
    ramp = torch.linspace(0.2, 0.8, side)
    return (ramp[:, None] * 0.5 + ramp * 0.5).repeat(count, 1, 1, 1)


def changed(seed: int = 0, **shares: float) -> torch.Tensor:
    torch.manual_seed(seed)
    images, _ = augment(squares(), torch.zeros(8, 1, 4, 4), **shares)
    return images


@pytest.mark.parametrize("what", ["photographs", "borders"])
def test_a_share_of_nothing_changes_nothing_and_a_share_of_one_everything(what: str) -> None:
    plain = changed()
    assert torch.equal(changed(**{what: 0.0}), plain)
    other = changed(**{what: 1.0})
    assert other.shape == plain.shape
    assert other.min() >= 0
    assert other.max() <= 1
    assert torch.equal(changed(**{what: 1.0}), other)
    assert ((other - plain).abs().amax((1, 2, 3)) > 0.02).all()


def test_a_border_covers_less_than_a_tenth_of_an_edge() -> None:
    torch.manual_seed(0)
    images = torch.full((64, 1, 60, 60), 0.5)
    bordered = _border(images, 1.0)
    assert torch.equal(images, torch.full_like(images, 0.5))
    assert torch.equal(bordered[:, :, 6:-6, 6:-6], images[:, :, 6:-6, 6:-6])
    edges = torch.stack(
        [bordered[:, 0, 0], bordered[:, 0, -1], bordered[:, 0, :, 0], bordered[:, 0, :, -1]]
    )
    covered = (edges != 0.5).float().mean(2) > 0.5
    assert set(covered.sum(0).tolist()) <= {1, 2}
    assert (bordered == 1).flatten(1).any(1).float().mean() > 0.3


def test_masks_move_as_without_photographs() -> None:
    masks = torch.rand(8, 1, 12, 12)
    torch.manual_seed(3)
    _, plain = augment(squares(), masks)
    torch.manual_seed(3)
    _, moved = augment(squares(), masks, photographs=1.0, borders=1.0)
    assert torch.equal(plain, moved)
