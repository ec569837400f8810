"""Paired tests against values known by other ways."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binomtest
from sklearn.metrics import roc_auc_score

from nanoray.evaluating.comparison import compare, delong, holm, mcnemar
from nanoray.evaluating.resampling import draw_patients


def three_models(seed: int, count: int = 200) -> tuple[np.ndarray, np.ndarray]:
    """Scores [3, count] of a good model, one much like it, and a worse one, with ties."""
    rng = np.random.default_rng(seed)
    targets = (np.arange(count) % 3 == 0).astype(int)
    good = targets * 1.2 + rng.standard_normal(count)
    like = good + 0.3 * rng.standard_normal(count)
    worse = targets * 0.2 + rng.standard_normal(count)
    return np.round(np.stack([good, like, worse]), 1), targets


def test_delong_is_its_definition() -> None:
    """The fast ranks against the structural components of the paper of 1988, pair by pair."""
    scores, targets = three_models(0, 90)
    areas, covariance = delong(scores, targets)
    positive, negative = scores[:, targets == 1], scores[:, targets == 0]
    wins = (positive[:, :, None] > negative[:, None]) + 0.5 * (
        positive[:, :, None] == negative[:, None]
    )
    expected = np.cov(wins.mean(2)) / wins.shape[1] + np.cov(wins.mean(1)) / wins.shape[2]
    np.testing.assert_allclose(covariance, expected, rtol=1e-10)
    np.testing.assert_allclose(areas, [roc_auc_score(targets, row) for row in scores])


def test_delong_needs_two_of_each() -> None:
    with pytest.raises(ValueError, match="two positive"):
        delong(np.zeros((2, 5)), np.array([1, 0, 0, 0, 0]))


@pytest.mark.parametrize(("first", "second"), [(1, 7), (7, 1), (12, 12), (0, 9), (30, 41)])
def test_mcnemar_is_a_sign_test(first: int, second: int) -> None:
    mid_p, exact_p = mcnemar(first, second)
    assert exact_p == pytest.approx(binomtest(first, first + second).pvalue)
    assert mid_p <= exact_p


def test_mcnemar_mid_p_of_the_literature() -> None:
    """Fagerland, Lydersen and Laake 2013, airway hyper-responsiveness: 0.039, exact 0.070."""
    assert mcnemar(1, 7) == pytest.approx((0.0391, 0.0703), abs=1e-4)
    assert mcnemar(0, 0) == (1.0, 1.0)


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9]) == [0.9]


def test_pairs_say_what_is_shown_and_what_is_not() -> None:
    scores, targets = three_models(1, 400)
    patients = [str(i) for i in range(400)]
    resampling = draw_patients(patients, targets, samples=500)
    pairs = compare(
        ["good", "like", "worse"], list(scores), list(scores > 0.6), targets, resampling
    )
    assert [(pair.first, pair.second) for pair in pairs] == [
        ("good", "like"),
        ("good", "worse"),
        ("like", "worse"),
    ]
    assert pairs[0].verdict().startswith("No difference shown between good and like")
    assert pairs[1].verdict().startswith("good ranks better than worse")
    (turned,) = compare(
        ["worse", "good"],
        [scores[2], scores[0]],
        [scores[2] > 1, scores[0] > 1],
        targets,
        resampling,
    )
    # The better model first, and so a difference above zero, whatever the order.
    assert turned.verdict().startswith("good ranks better than worse: AUROC difference +")
    # DeLong's interval and the bootstrap's are two ways to the same.
    for pair in pairs:
        assert pair.auroc[2] - pair.auroc[1] == pytest.approx(
            pair.delong[2] - pair.delong[1], rel=0.2
        )


def test_a_model_is_no_better_than_itself() -> None:
    scores, targets = three_models(2)
    resampling = draw_patients([str(i) for i in range(200)], targets, samples=100)
    called = scores[0] > 0.5
    (pair,) = compare(["a", "b"], [scores[0], scores[0]], [called, called], targets, resampling)
    assert pair.auroc == (0.0, 0.0, 0.0)
    assert (pair.delong_p, pair.mcnemar_p, pair.only_first, pair.only_second) == (1.0, 1.0, 0, 0)
