"""The losses, by hand and by what must hold of them."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from nanoray.training.distillation import (
    METHODS,
    cam_loss,
    dist_loss,
    feature_loss,
    relational_loss,
    response_loss,
    standardised_loss,
)
from nanoray.training.learner import Learner, attention_losses
from nanoray.training.networks import Outputs, build
from nanoray.training.samples import GRID, Batch
from nanoray.training.settings import Settings

OF_LOGITS = (response_loss, standardised_loss, dist_loss)


def draws(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_response_is_the_divergence_of_softened_probabilities() -> None:
    teacher, student = torch.tensor([2.0, -1.0]), torch.tensor([0.5, 0.5])
    temperature = 4.0
    expected = 0.0
    for t, s in zip(teacher.tolist(), student.tolist(), strict=True):
        p, q = (1 / (1 + math.exp(-x / temperature)) for x in (t, s))
        expected += p * math.log(p / q) + (1 - p) * math.log((1 - p) / (1 - q))
    loss = response_loss(student, teacher, temperature)
    assert loss.item() == pytest.approx(expected / 2 * temperature**2, rel=1e-4)


def test_standardised_is_the_response_of_standard_scores() -> None:
    teacher, student = torch.tensor([3.0, 1.0]), torch.tensor([-2.0, 0.0])
    # Two numbers standardised are +1 and -1, whatever they were.
    expected = response_loss(torch.tensor([-1.0, 1.0]), torch.tensor([1.0, -1.0]), 2.0)
    assert standardised_loss(student, teacher, 2.0).item() == pytest.approx(expected.item(), 1e-4)


def test_dist_is_twice_one_minus_the_correlation() -> None:
    teacher, student = draws(20), draws(20, seed=1)
    pair = torch.stack([torch.sigmoid(student / 3), torch.sigmoid(teacher / 3)])
    expected = 2 * (1 - torch.corrcoef(pair)[0, 1])
    assert dist_loss(student, teacher, 3.0).item() == pytest.approx(expected.item(), abs=1e-4)


@pytest.mark.parametrize("loss", OF_LOGITS)
def test_losses_of_logits_vanish_for_the_teacher_and_grow_with_noise(loss: object) -> None:
    teacher, noise = draws(64), draws(64, seed=1)
    values = [loss(teacher + share * noise, teacher, 2.0).item() for share in (0.0, 0.3, 1.0, 3.0)]  # type: ignore[operator]
    assert values[0] == pytest.approx(0, abs=1e-5)
    assert values == sorted(values)
    assert values[-1] > 10 * values[1] > 0


def test_standardised_alone_leaves_the_student_its_scale() -> None:
    teacher = draws(64)
    moved = 3 * teacher + 1
    assert standardised_loss(moved, teacher, 2.0).item() == pytest.approx(0, abs=1e-5)
    assert response_loss(moved, teacher, 2.0).item() > 0.1


def test_cam_compares_patterns_not_strengths() -> None:
    teacher = draws(3, 1, 4, 4)
    assert cam_loss(5 * teacher, teacher).item() == pytest.approx(0, abs=1e-5)
    assert cam_loss(-teacher, teacher).item() == pytest.approx(4, abs=1e-4)
    left, right = torch.zeros(1, 1, 2, 2), torch.zeros(1, 1, 2, 2)
    left[..., 0], right[..., 1] = 1.0, 1.0
    assert cam_loss(left, right).item() == pytest.approx(2, abs=1e-5)


def test_relational_does_not_see_scale_place_or_rotation() -> None:
    features = draws(12, 5)
    rotation, _ = torch.linalg.qr(draws(5, 5, seed=2))
    same = (features @ rotation) * 3 + 7
    assert relational_loss(same, features).item() == pytest.approx(0, abs=1e-4)
    # It also compares spaces of different widths.
    wide = torch.cat([features, torch.zeros(12, 30)], 1)
    assert relational_loss(features, wide).item() == pytest.approx(0, abs=1e-4)
    other = relational_loss(draws(12, 5, seed=3), features).item()
    stretched = features * torch.tensor([10.0, 1, 1, 1, 1])
    assert other > 0.01
    assert relational_loss(stretched, features).item() > 0.01


def test_relational_by_hand() -> None:
    # Distances 3, 4, 5 of mean 4 against 1, 1, 1; a right angle and its two others against 60°.
    right = torch.tensor([[0.0, 0.0], [3.0, 0.0], [0.0, 4.0]])
    even = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.5, math.sqrt(0.75)]])
    distances = ((3 / 4 - 1) ** 2 + 0 + (5 / 4 - 1) ** 2) / 2 / 3
    cosines = [0.0 - 0.5, 3 / 5 - 0.5, 4 / 5 - 0.5]
    # 27 entries; each angle occurs twice, the rest agree (0 with 0, 1 with 1).
    angles = 2 * sum(difference**2 / 2 for difference in cosines) / 27
    assert relational_loss(right, even).item() == pytest.approx(distances + 2 * angles, abs=1e-5)


def test_features_are_compared_by_direction() -> None:
    teacher = draws(6, 8)
    assert feature_loss(2 * teacher, teacher).item() == pytest.approx(0, abs=1e-5)
    assert feature_loss(-teacher, teacher).item() == pytest.approx(4, abs=1e-4)


@pytest.mark.parametrize(
    ("loss", "shape"),
    [
        (lambda s, t: response_loss(s, t, 4.0), (16,)),
        (lambda s, t: standardised_loss(s, t, 4.0), (16,)),
        (lambda s, t: dist_loss(s, t, 4.0), (16,)),
        (cam_loss, (8, 1, 3, 3)),
        (relational_loss, (8, 6)),
        (feature_loss, (8, 6)),
    ],
    ids=["response", "standardised", "dist", "cam", "relational", "feature"],
)
def test_descending_a_loss_brings_the_student_to_the_teacher(
    loss: object, shape: tuple[int, ...]
) -> None:
    teacher, student = draws(*shape), draws(*shape, seed=1).requires_grad_()
    first = loss(student, teacher)  # type: ignore[operator]
    optimizer = torch.optim.Adam([student], 0.05)
    for _ in range(300):
        optimizer.zero_grad()
        value = loss(student, teacher)  # type: ignore[operator]
        value.backward()
        assert student.grad is not None
        assert student.grad.isfinite().all()
        optimizer.step()
    assert value.item() < 0.05 * first.item()


def test_constant_outputs_give_finite_gradients() -> None:
    for loss in OF_LOGITS:
        student = torch.zeros(8, requires_grad=True)
        loss(student, draws(8), 4.0).backward()
        assert student.grad is not None
        assert student.grad.isfinite().all()
    features = torch.zeros(8, 4, requires_grad=True)
    relational_loss(features, draws(8, 4)).backward()
    assert features.grad is not None
    assert features.grad.isfinite().all()


def test_attention_wants_the_evidence_in_the_box() -> None:
    shares = torch.zeros(1, 1, 4, 4)
    shares[0, 0, 1, 2] = 1.0
    inside, outside = torch.zeros(1, 1, 4, 4), torch.zeros(1, 1, 4, 4)
    inside[0, 0, 1, 2] = outside[0, 0, 3, 3] = 8.0
    even = attention_losses(torch.zeros(1, 1, 4, 4), shares).item()
    assert even == pytest.approx(math.log(16), abs=1e-3)
    assert attention_losses(inside, shares).item() < 0.01
    assert attention_losses(outside, shares).item() > even


def test_attention_is_against_evidence_where_there_is_no_box() -> None:
    nothing = torch.zeros(1, 1, 4, 4)
    spot = nothing - 5
    spot[0, 0, 0, 0] = 5.0
    assert attention_losses(nothing - 5, nothing).item() == pytest.approx(
        math.log1p(math.exp(-5)), abs=1e-5
    )
    assert attention_losses(spot, nothing) > attention_losses(nothing - 5, nothing)


def _batch(teacher: Tensor) -> Batch:
    count = len(teacher)
    nothing = torch.full((count,), math.nan)
    return Batch(
        images=(draws(count, 1, 64, 64).sigmoid() * 255).byte(),
        masks=torch.zeros(count, 1, GRID, GRID),
        target=torch.arange(count) % 2.0,
        classes=torch.zeros(count, dtype=torch.int64),
        folder=torch.zeros(count, dtype=torch.int64),
        teacher=teacher,
        teacher_features=draws(count, 8, seed=3),
        teacher_cam=draws(count, 1, GRID, GRID, seed=4),
        answer=nothing,
        findings=torch.zeros(count, 0),
        answers=torch.zeros(count, 0),
    )


@pytest.mark.parametrize("method", METHODS)
def test_cases_that_the_teacher_does_not_know_are_learned_without_it(method: str) -> None:
    network = build("mobilenet_v3_small_minimal", pretrained=False).eval()
    settings = Settings("student", distillation_method=method)  # type: ignore[arg-type]
    learner = Learner(network, settings, torch.ones(1, 1, dtype=torch.bool), 10, teacher_width=8)
    taught = _batch(draws(8, seed=5))
    half = taught.teacher.clone()
    half[4:] = math.nan
    outputs = network(network.prepare(taught.images))

    def losses(batch: Batch, rows: slice) -> dict[str, float]:
        part = Batch(*(values[rows] for values in batch))
        found = Outputs(*(values[rows] for values in outputs))
        values = learner._losses(part, part.masks, part.teacher_cam, found)
        return {name: loss.item() for name, loss in values.items()}

    every, known = losses(taught._replace(teacher=half), slice(None)), losses(taught, slice(4))
    for name in {"soft", method} & every.keys():
        assert every[name] == pytest.approx(known[name], rel=1e-4)
    assert losses(taught._replace(teacher=half), slice(4, None))["soft"] == 0
