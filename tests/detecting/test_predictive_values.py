"""Predictive values against numbers worked out by hand."""

from __future__ import annotations

import math

import pytest

from nanoray.detecting.operating_point import OperatingPoint
from nanoray.detecting.predictive_values import at_prevalence, predictive_values

POINT = OperatingPoint("balanced", 0.5, 0.80, 0.75, (0.74, 0.85), (0.70, 0.80))


def test_values_by_hand() -> None:
    found = predictive_values(POINT, 0.10)
    # Of 1,000: 100 with the finding, 80 called; 900 without, 225 called.
    assert found.calls == pytest.approx(305)
    assert found.true_calls == pytest.approx(80)
    assert found.misses == pytest.approx(20)
    assert found.ppv[0] == pytest.approx(80 / 305)
    assert found.npv[0] == pytest.approx(675 / 695)
    assert found.lr_positive[0] == pytest.approx(3.2)
    assert found.lr_negative[0] == pytest.approx(0.2 / 0.75)
    for interval in (found.ppv, found.npv, found.lr_positive, found.lr_negative):
        assert interval[1] < interval[0] < interval[2]
    assert "PPV 26.2 % (" in found.words()
    assert "Of 1,000 radiographs 305 are called, 80 of them" in found.words()


def test_the_interval_is_narrower_than_the_corners() -> None:
    found = predictive_values(POINT, 0.10)
    assert found.lr_positive[1] > 0.74 / 0.30
    assert found.lr_positive[2] < 0.85 / 0.20


def test_perfect_and_useless_points() -> None:
    perfect = OperatingPoint("p", 0.5, 1.0, 1.0, (0.9, 1.0), (0.9, 1.0))
    found = predictive_values(perfect, 0.2)
    assert (found.ppv[0], found.npv[0]) == (1.0, 1.0)
    assert found.record()["lr_positive"][0] is None
    assert found.ppv[1] == pytest.approx(0.2 * 0.9 / (0.2 * 0.9 + 0.8 * 0.1))
    nothing = OperatingPoint("n", 1.0, 0.0, 1.0, (0.0, 0.1), (0.9, 1.0))
    found = predictive_values(nothing, 0.2)
    assert found.calls == 0
    assert found.npv[0] == pytest.approx(0.8)


@pytest.mark.parametrize("prevalence", [0.0, 1.0, -0.1, 1.5, math.nan])
def test_impossible_prevalences(prevalence: float) -> None:
    with pytest.raises(ValueError, match="above 0 and below 1"):
        predictive_values(POINT, prevalence)
    with pytest.raises(ValueError, match="above 0 and below 1"):
        at_prevalence(0.5, 0.2, prevalence)


def test_unmeasured_point() -> None:
    point = OperatingPoint("x", 0.5, math.nan, 0.5, (0.0, 1.0), (0.4, 0.6))
    with pytest.raises(ValueError, match="no measured sensitivity"):
        predictive_values(point, 0.1)


def test_probability_at_another_prevalence() -> None:
    # Odds 1 at 22.5 %: likelihood ratio 0.775 / 0.225; at 5 % odds of 0.181.
    expected = (0.775 / 0.225) * (0.05 / 0.95)
    assert at_prevalence(0.5, 0.225, 0.05) == pytest.approx(expected / (1 + expected))
    assert at_prevalence(0.3, 0.2, 0.2) == pytest.approx(0.3)
    assert at_prevalence(0.0, 0.2, 0.5) == 0.0
    assert at_prevalence(1.0, 0.2, 0.5) == 1.0
