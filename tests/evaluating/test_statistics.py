"""Calibration, operating points and intervals against values known by other ways."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import (
    average_precision_score,
    brier_score_loss,
    f1_score,
    roc_auc_score,
)

from nanoray.evaluating.calibration import (
    calibration_error,
    fit_platt,
    fit_temperature,
    reliability_curve,
    sigmoid,
)
from nanoray.evaluating.metrics import (
    at_point,
    auroc,
    average_precision,
    brier,
    measure_at_point,
)
from nanoray.evaluating.operating_points import (
    at_threshold,
    choose_operating_points,
    wilson_interval,
)
from nanoray.evaluating.resampling import draw_patients


@pytest.fixture
def cases() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 2, 4000)
    targets = (rng.random(4000) < sigmoid((logits - 0.8) / 2.5)).astype(int)
    return logits, targets


def test_platt_finds_the_temperature_and_shift_that_made_the_labels(cases) -> None:
    logits, targets = cases
    temperature, shift = fit_platt(logits, targets)
    regression = LogisticRegression(C=1e9).fit(logits[:, None], targets)
    assert 1 / temperature == pytest.approx(regression.coef_[0, 0], rel=0.01)
    assert shift / temperature == pytest.approx(regression.intercept_[0], abs=0.01)
    assert temperature == pytest.approx(2.5, rel=0.15)
    assert shift == pytest.approx(-0.8, abs=0.2)


def error_of(probabilities: NDArray[np.float64], targets: NDArray[np.int64]) -> float:
    """Return the calibration error of images that weigh the same."""
    return float(calibration_error(probabilities, targets, np.ones((1, len(targets))))[0])


def test_temperature_alone_lowers_the_error_of_overconfident_logits(cases) -> None:
    logits, targets = cases
    centred = (logits - 0.8) * 3
    temperature = fit_temperature(centred, targets)
    before = error_of(sigmoid(centred), targets)
    after = error_of(sigmoid(centred / temperature), targets)
    assert after < 0.03 < before


def test_calibration_needs_both_classes() -> None:
    with pytest.raises(ValueError, match="positive and negative"):
        fit_temperature(np.zeros(3), np.ones(3, int))


def test_calibration_error_by_hand() -> None:
    probabilities = np.array([0.05, 0.05, 0.95, 0.95])
    assert error_of(probabilities, np.array([0, 0, 1, 1])) == pytest.approx(0.05)
    assert error_of(probabilities, np.array([1, 1, 0, 0])) == pytest.approx(0.95)


@pytest.mark.parametrize(
    ("hits", "count", "low", "high"),
    # Newcombe 1998, table I, method 3.
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611)],
)
def test_wilson_interval(hits: int, count: int, low: float, high: float) -> None:
    assert wilson_interval(hits, count) == pytest.approx((low, high), abs=1e-4)


def test_operating_points_reach_what_they_are_for(cases) -> None:
    logits, targets = cases
    probabilities = sigmoid(logits)
    screening, balanced, confirm = choose_operating_points(probabilities, targets)
    assert screening.sensitivity >= 0.95
    assert confirm.specificity >= 0.95
    assert screening.threshold <= balanced.threshold <= confirm.threshold
    best = max(
        point.sensitivity + point.specificity
        for t in np.linspace(0, 1, 201)
        for point in [at_threshold("", t, probabilities, targets)]
    )
    assert balanced.sensitivity + balanced.specificity >= best


def test_operating_points_of_a_saturated_model() -> None:
    probabilities, targets = np.ones(6), np.array([0, 0, 0, 1, 1, 1])
    points = choose_operating_points(probabilities, targets)
    assert [point.name for point in points] == ["screening", "balanced", "confirm"]
    assert all(0 <= point.threshold <= 1 for point in points)


def test_weights_of_operating_points_are_repetitions() -> None:
    rng = np.random.default_rng(2)
    targets = rng.integers(0, 2, 300)
    probabilities = rng.random(300)
    weights = rng.integers(1, 4, 300)
    repeated = np.repeat(np.arange(300), weights)
    weighted = choose_operating_points(probabilities, targets, weights=weights.astype(float))
    plain = choose_operating_points(probabilities[repeated], targets[repeated])
    for found, wanted in zip(weighted, plain, strict=True):
        assert found.threshold == wanted.threshold
        assert found.sensitivity == pytest.approx(wanted.sensitivity)
        assert found.specificity == pytest.approx(wanted.specificity)
        # Unequal weights add no cases.
        low, high = found.specificity_interval
        assert low < wanted.specificity_interval[0] < wanted.specificity_interval[1] < high
    scaled = at_threshold("", 0.5, probabilities, targets, np.full(300, 0.01))
    assert scaled.sensitivity_interval == pytest.approx(
        at_threshold("", 0.5, probabilities, targets).sensitivity_interval
    )


def test_bootstrap_draws_patients() -> None:
    """Ten copies of each image under one patient leave the interval as wide as it was."""
    rng = np.random.default_rng(1)
    targets = rng.integers(0, 2, 60)
    probabilities = np.clip(targets * 0.3 + rng.random(60) * 0.7, 0, 1)
    patients = [f"p{i}" for i in range(60)]

    def accuracy(p: np.ndarray, t: np.ndarray, people: list[str]) -> tuple[float, float, float]:
        drawn = draw_patients(people, t, samples=400)
        return drawn.interval(partial(at_point, "accuracy", p > 0.5, t))

    value, low, high = accuracy(probabilities, targets, patients)
    value10, low10, high10 = accuracy(
        np.repeat(probabilities, 10), np.repeat(targets, 10), list(np.repeat(patients, 10))
    )
    assert low < value < high
    assert value10 == pytest.approx(value)
    assert high10 - low10 == pytest.approx(high - low, rel=0.15)


def test_draws_have_both_classes_and_as_many_patients() -> None:
    targets = np.array([1, 0, 0, 0, 0, 0])
    drawn = draw_patients(list("aabcde"), targets, samples=200)
    assert drawn.counts.shape == (200, 5)
    assert (drawn.counts.sum(1) == 5).all()
    # The only positive is of patient "a", who must be in every draw.
    assert (drawn.counts[:, 0] > 0).all()


@pytest.mark.parametrize("decimals", [1, 8])
def test_weighted_metrics_are_those_of_scikit_learn(decimals: int) -> None:
    rng = np.random.default_rng(decimals)
    targets = rng.integers(0, 2, 300)
    # One decimal makes many ties.
    scores = np.round(targets * 0.2 + rng.random(300) * 0.8, decimals)
    weights = rng.integers(0, 4, (5, 300)).astype(float)
    areas = auroc(scores, targets, weights)
    precisions = average_precision(scores, targets, weights)
    briers = brier(scores, targets, weights)
    scores_f1 = at_point("f1", scores > 0.5, targets, weights)
    for draw, weight in enumerate(weights):
        assert areas[draw] == pytest.approx(roc_auc_score(targets, scores, sample_weight=weight))
        assert precisions[draw] == pytest.approx(
            average_precision_score(targets, scores, sample_weight=weight)
        )
        assert briers[draw] == pytest.approx(
            brier_score_loss(targets, scores, sample_weight=weight)
        )
        assert scores_f1[draw] == pytest.approx(
            f1_score(targets, scores > 0.5, sample_weight=weight)
        )


def test_weights_are_repetitions_for_the_calibration_error() -> None:
    rng = np.random.default_rng(2)
    targets, probabilities = rng.integers(0, 2, 50), rng.random(50)
    weights = rng.integers(0, 3, 50)
    repeated = error_of(np.repeat(probabilities, weights), np.repeat(targets, weights))
    weighted = calibration_error(probabilities, targets, weights[None].astype(float))
    assert weighted[0] == pytest.approx(repeated)


def test_a_share_of_all_has_an_interval_of_width() -> None:
    targets = np.array([1] * 20 + [0] * 20)
    drawn = draw_patients([str(i) for i in range(40)], targets, samples=100)
    everything = np.ones(40, bool)
    value, low, high = measure_at_point("sensitivity", targets == 1, targets, everything, drawn)
    assert (value, high) == (1.0, 1.0)
    assert low == pytest.approx(wilson_interval(20, 20)[0])


def test_prevalence_moves_probabilities_as_bayes_says() -> None:
    rng = np.random.default_rng(4)
    targets = (rng.random(20_000) < 0.5).astype(int)
    logits = rng.normal(2.0 * targets - 1.0, 1.0)
    temperature, shift = fit_platt(logits, targets, prevalence=0.2)
    assert temperature == pytest.approx(0.5, rel=0.05)
    assert shift / temperature == pytest.approx(np.log(0.2 / 0.8), abs=0.05)
    rare = np.concatenate([np.flatnonzero(targets == 0), np.flatnonzero(targets == 1)[:2500]])
    probabilities = sigmoid((logits[rare] + shift) / temperature)
    assert error_of(probabilities, targets[rare]) < 0.02
    with pytest.raises(ValueError, match="positive and negative"):
        fit_platt(logits, np.ones_like(targets), prevalence=0.2)


def test_reliability_curve_of_fewer_cases_than_bins() -> None:
    predicted, observed = reliability_curve(
        np.array([0.9, 0.2, 0.4]), np.array([1, 0, 1]), np.ones(3)
    )
    assert predicted.tolist() == [0.2, 0.4, 0.9]
    assert observed.tolist() == [0, 1, 1]
    assert reliability_curve(np.array([]), np.array([]), np.array([]))[0].size == 0


def test_reliability_curve_weighs_cases() -> None:
    probabilities = np.array([0.1, 0.1, 0.9, 0.9])
    targets = np.array([0, 1, 0, 1])
    predicted, observed = reliability_curve(
        probabilities, targets, np.array([3.0, 1.0, 1.0, 3.0]), bins=2
    )
    assert predicted.tolist() == pytest.approx([0.1, 0.9])
    assert observed.tolist() == pytest.approx([0.25, 0.75])
