"""The losses, by hand."""

from __future__ import annotations

import math

import pytest
import torch

from nanoray.training.learner import attention_loss, distillation_loss


def test_distillation_loss_is_the_divergence_of_softened_probabilities() -> None:
    teacher, student = torch.tensor([2.0, -1.0]), torch.tensor([0.5, 0.5])
    temperature = 4.0
    expected = 0.0
    for t, s in zip(teacher.tolist(), student.tolist(), strict=True):
        p, q = (1 / (1 + math.exp(-x / temperature)) for x in (t, s))
        expected += p * math.log(p / q) + (1 - p) * math.log((1 - p) / (1 - q))
    loss = distillation_loss(student, teacher, temperature)
    assert loss.item() == pytest.approx(expected / 2 * temperature**2, rel=1e-4)
    assert distillation_loss(teacher, teacher, temperature).item() == pytest.approx(0, abs=1e-6)


def test_attention_loss_wants_the_evidence_in_the_box() -> None:
    shares = torch.zeros(1, 1, 4, 4)
    shares[0, 0, 1, 2] = 1.0
    inside, outside = torch.zeros(1, 1, 4, 4), torch.zeros(1, 1, 4, 4)
    inside[0, 0, 1, 2] = outside[0, 0, 3, 3] = 8.0
    even = attention_loss(torch.zeros(1, 1, 4, 4), shares).item()
    assert even == pytest.approx(math.log(16), abs=1e-3)
    assert attention_loss(inside, shares).item() < 0.01
    assert attention_loss(outside, shares).item() > even


def test_attention_loss_is_against_evidence_where_there_is_no_box() -> None:
    nothing = torch.zeros(1, 1, 4, 4)
    spot = nothing - 5
    spot[0, 0, 0, 0] = 5.0
    assert attention_loss(nothing - 5, nothing).item() == pytest.approx(
        math.log1p(math.exp(-5)), abs=1e-5
    )
    assert attention_loss(spot, nothing) > attention_loss(nothing - 5, nothing)
