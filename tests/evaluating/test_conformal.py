"""The bound on missed opacities: exact numbers, refusals, and coverage by simulation."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("scipy", reason="needs the extra evaluate")

from scipy.stats import binom, binomtest

from nanoray.errors import DataSetError
from nanoray.evaluating.conformal import (
    allowed_misses,
    clear_threshold,
    fewest_patients,
    measure_coverage,
    upper_bound,
)


@pytest.mark.parametrize(("missed", "patients"), [(0, 59), (3, 222), (10, 400)])
def test_upper_bound_is_clopper_pearson(missed: int, patients: int) -> None:
    # The upper end of the two-sided 90 % interval is the one-sided 95 % bound.
    exact = binomtest(missed, patients).proportion_ci(0.9, method="exact").high
    assert upper_bound(missed, patients) == pytest.approx(exact)
    assert binom.cdf(missed, patients, upper_bound(missed, patients)) == pytest.approx(0.05)


def test_fewest_patients() -> None:
    # 0.95 to the power of 59 is the first below 0.05.
    assert fewest_patients(0.05) == 59
    assert allowed_misses(59, 0.05) == 0
    assert allowed_misses(58, 0.05) == -1
    # In expectation one of 20 exchangeable patients is the least.
    assert fewest_patients(0.05, None) == 19
    assert allowed_misses(19, 0.05, None) == 0
    assert allowed_misses(18, 0.05, None) == -1
    assert allowed_misses(222, 0.05) == 5


def test_threshold_misses_no_more_patients_than_allowed() -> None:
    scores = np.arange(200.0)
    targets = np.ones(200, np.int64)
    patients = [str(number) for number in range(200)]
    allowed = allowed_misses(200, 0.05)
    threshold = clear_threshold(scores, targets, patients, 0.05)
    assert (scores < threshold).sum() == allowed > 0


def test_a_patient_counts_once_by_the_least_score() -> None:
    scores = np.concatenate([np.zeros(5), np.arange(1.0, 81.0)])
    patients = ["one"] * 5 + [str(number) for number in range(80)]
    targets = np.ones(85, np.int64)
    assert allowed_misses(81, 0.05) == 0
    assert clear_threshold(scores, targets, patients, 0.05) == 0.0
    # Scores of radiographs without an opacity do not matter.
    low = np.concatenate([scores, np.full(50, -9.0)])
    more = np.concatenate([targets, np.zeros(50, np.int64)])
    assert clear_threshold(low, more, patients + ["other"] * 50, 0.05) == 0.0


@pytest.mark.parametrize(
    ("level", "confidence", "words"),
    [(0.0, 0.95, "level of a guarantee"), (1.0, 0.95, "level"), (0.05, 1.0, "confidence")],
)
def test_refuses_impossible_levels(level: float, confidence: float, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        clear_threshold(np.ones(90), np.ones(90, int), ["a"] * 90, level, confidence=confidence)


def test_refuses_too_few_patients() -> None:
    patients = [str(number) for number in range(58)]
    with pytest.raises(DataSetError, match=r"58 patients .* at least 59 are needed"):
        clear_threshold(np.arange(58.0), np.ones(58, int), patients, 0.05)


def test_the_bound_holds_in_simulation() -> None:
    """In at least 95 % of calibrations the true risk is at most the level, and not idly so."""
    rng = np.random.default_rng(5)
    patients = [str(number) for number in range(150)]
    found = []
    for _ in range(800):
        scores = rng.uniform(size=150)
        found.append(clear_threshold(scores, np.ones(150, int), patients, 0.05))
    risks = np.array(found)
    # Of uniform scores the share below a threshold is the threshold.
    assert (risks <= 0.05).mean() > 0.95 - 2 * np.sqrt(0.05 * 0.95 / 800)
    assert (risks <= 0.05).mean() < 0.99
    assert risks.mean() > 0.015


def test_expected_risk_is_controlled() -> None:
    rng = np.random.default_rng(6)
    patients = [str(number) for number in range(99)]
    found = [
        clear_threshold(rng.uniform(size=99), np.ones(99, int), patients, 0.05, confidence=None)
        for _ in range(2000)
    ]
    # 4 of 99 may be missed; the fifth least of 99 uniform scores is 0.05 on average.
    assert np.mean(found) == pytest.approx(0.05, abs=0.002)


def test_coverage_over_splits() -> None:
    rng = np.random.default_rng(7)
    count = 400
    targets = np.repeat([0, 1], count // 2)
    scores = rng.normal(2.0 * targets, 1.0)
    patients = [str(number) for number in range(count)]

    def rule(fitted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        chosen = np.array(patients)[fitted]
        clear = scores < clear_threshold(scores[fitted], targets[fitted], chosen, 0.10)
        return clear, scores > 1.5

    everything = np.ones(count, bool)
    (found,) = measure_coverage(rule, targets, patients, {"any": everything}, 0.10, splits=100)
    assert found.held >= 0.85
    assert 0.02 < found.missed[0] < 0.08
    assert 0.5 < found.decided <= 1.0
    assert found.refused == 0.0
    nobody = {"any": everything}
    (found,) = measure_coverage(
        lambda fitted: (_ for _ in ()).throw(DataSetError("too few")),
        targets,
        patients,
        nobody,
        0.10,
        splits=3,
    )
    assert found.refused == 1.0
    assert np.isnan(found.held)
