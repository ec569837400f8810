"""Paired tests against values known by other ways."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import chi2
from sklearn.metrics import roc_auc_score

from nanoray.evaluating.comparison import compare, delong, holm, mcnemar
from nanoray.evaluating.metrics import auroc
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
    with pytest.raises(ValueError, match="two patients with positive"):
        delong(np.zeros((2, 5)), np.array([1, 0, 0, 0, 0]))


def test_persons_with_one_image_are_delongs_case() -> None:
    scores, targets = three_models(3)
    np.testing.assert_allclose(
        delong(scores, targets, np.arange(200)[::-1])[1], delong(scores, targets)[1], rtol=1e-10
    )


def test_clustered_variance_is_that_of_repeated_draws() -> None:
    """Obuchowski's variance against the spread over data sets with four like images a person."""
    found, clustered, alone = [], [], []
    for seed in range(300):
        rng = np.random.default_rng(seed)
        sick = np.arange(60) % 3 == 0
        noise = np.repeat(rng.standard_normal(60), 4) + 0.3 * rng.standard_normal(240)
        targets = np.repeat(sick, 4).astype(int)
        # A few images of sick persons are negative, so that persons have both.
        targets[::16] = 0
        scores = (targets + noise)[None]
        person = np.repeat(np.arange(60), 4)
        area, covariance = delong(scores, targets, person)
        found.append(area[0])
        clustered.append(covariance[0, 0])
        alone.append(delong(scores, targets)[1][0, 0])
    spread = np.var(found)
    assert np.mean(clustered) == pytest.approx(spread, rel=0.25)
    assert np.mean(alone) < 0.6 * spread


def test_mcnemar_of_single_images_and_of_copies() -> None:
    """Against (b - c)^2 / (b + c); copies of the images of a person add no evidence."""
    only_first, only_second, count = 21, 9, 400
    first, second = np.ones(count, bool), np.ones(count, bool)
    second[:only_first] = False
    first[only_first : only_first + only_second] = False
    expected = chi2.sf((only_first - only_second) ** 2 / (only_first + only_second), 1)
    single = mcnemar(first, second, np.arange(count))
    assert single == pytest.approx(expected, rel=0.02)
    copies = mcnemar(np.repeat(first, 3), np.repeat(second, 3), np.repeat(np.arange(count), 3))
    assert copies == pytest.approx(single)
    assert mcnemar(first, first, np.arange(count)) == 1.0


def test_tests_that_were_not_made_stay_so() -> None:
    assert holm([0.01, math.nan, 0.04]) == pytest.approx([0.02, math.nan, 0.04], nan_ok=True)
    with pytest.raises(ValueError, match="between 0 and 1"):
        holm([0.5, 1.5])


def test_scores_without_a_rank_are_refused() -> None:
    with pytest.raises(ValueError, match="1 of 3 scores are not a number"):
        auroc(np.array([0.1, np.nan, 0.3]), np.array([0, 1, 1]), np.ones((1, 3)))


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
