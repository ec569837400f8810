"""Population stability index and Kolmogorov-Smirnov distance."""

from __future__ import annotations

import math

import numpy as np
import pytest

pytest.importorskip("scipy", reason="needs the extra scale")

from nanoray.evaluating.shift import (
    LEVELS,
    AgainstReference,
    advice,
    compare,
    compare_categories,
    population_stability_index,
    reference_of,
)

RNG = np.random.default_rng(5)


def test_index_of_a_worked_example() -> None:
    # Shares 0.5, 0.5 against 0.8, 0.2, of so many cases that the half added does not count.
    r, a = np.array([5e7, 5e7]), np.array([8e7, 2e7])
    expected = 0.3 * math.log(1.6) - 0.3 * math.log(0.4)
    assert population_stability_index(r, a) == pytest.approx(expected, rel=1e-6)
    assert population_stability_index(r, r) == 0


@pytest.mark.parametrize(("shift", "verdict"), [(0.0, "stable"), (0.3, "watch"), (0.8, "drifted")])
@pytest.mark.parametrize("size", [800, 50_000])
def test_shifted_normal(shift: float, verdict: str, size: int) -> None:
    a, b = RNG.normal(size=size), RNG.normal(shift, size=size)
    found = compare("novelty", a, b)
    assert found is not None
    assert found.verdict == verdict
    # The distance of two normal distributions of width 1.
    expected = math.erf(shift / 2 / math.sqrt(2))
    assert found.distance == pytest.approx(expected, abs=0.08)


def test_few_cases_are_not_called_drift() -> None:
    verdicts = [
        compare("novelty", RNG.normal(size=40), RNG.normal(size=40)).verdict for _ in range(60)
    ]
    assert verdicts.count("stable") >= 55


def test_one_category_cannot_drift() -> None:
    found = compare_categories("modality", {"DX": 30}, {"DX": 40})
    assert (found.psi, found.psi_chance, found.verdict) == (0.0, 0.0, "stable")


def test_chance_level_is_kept() -> None:
    over = 0
    for _ in range(300):
        found = compare("novelty", RNG.normal(size=500), RNG.normal(size=700))
        over += found.psi > found.psi_chance
    # 1 in 100 is promised; the bins follow the reference, which makes it a little less exact.
    assert over <= 15


@pytest.mark.parametrize("size", [2_000, 40_000])
def test_against_a_card(size: int) -> None:
    old = RNG.beta(2, 5, size=5000)
    reference = reference_of({"probability": old, "novelty": np.full(5000, np.nan)})
    assert list(reference.quantiles) == ["probability"]
    assert len(reference.quantiles["probability"]) == LEVELS
    for values, verdict in ((RNG.beta(2, 5, size), "stable"), (RNG.beta(4, 4, size), "drifted")):
        against = AgainstReference(reference)
        for piece in np.array_split(values, 7):
            against.add("probability", piece)
        (shift,) = against.shifts()
        exact = compare("probability", old, values)
        assert shift.verdict == exact.verdict == verdict
        assert shift.psi == pytest.approx(exact.psi, rel=0.15, abs=0.01)
        assert shift.distance == pytest.approx(exact.distance, abs=0.03)
        assert shift.distance <= exact.distance + 1e-3
        assert shift.current_median == pytest.approx(np.median(values), abs=0.03)
    assert sum(against.shares("probability", 25)) == pytest.approx(1)


def test_equal_values() -> None:
    old = np.repeat([0.0, 1.0], [900, 100])
    against = AgainstReference(reference_of({"brightness": old}))
    against.add("brightness", np.repeat([0.0, 1.0], [880, 120]))
    (shift,) = against.shifts()
    assert shift.verdict == "stable"
    against = AgainstReference(reference_of({"brightness": old}))
    against.add("brightness", np.repeat([0.0, 1.0], [200, 800]))
    assert against.shifts()[0].verdict == "drifted"
    assert compare("brightness", old, np.repeat([0.0, 1.0], [880, 120])).verdict == "stable"


def test_categories() -> None:
    same = compare_categories("view", {"PA": 600, "AP": 400}, {"PA": 590, "AP": 410})
    assert same.verdict == "stable"
    moved = compare_categories("view", {"PA": 600, "AP": 400}, {"PA": 100, "AP": 500, "LL": 400})
    assert moved.verdict == "drifted"
    assert compare_categories("view", {}, {"PA": 1}) is None
    assert compare("novelty", np.array([np.nan]), np.ones(3)) is None


def test_advice() -> None:
    stable = compare("probability", RNG.normal(size=900), RNG.normal(size=900))
    far = compare("x", RNG.normal(size=900), RNG.normal(2, size=900))
    assert advice({"probability": stable}) == "No need to recalibrate."
    assert advice({"probability": far}).startswith("Recalibrate")
    assert advice({"probability": stable, "sharpness": far}).startswith("Look at the images")
