"""Decisions by view and under a guarantee, with a model worked out by hand."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from nanoray.detecting import load
from nanoray.detecting.guarantee import Guarantee, SourceWatch
from nanoray.detecting.model_file import ModelCard
from nanoray.detecting.operating_point import OperatingPoint
from nanoray.detecting.views import CERTAIN, Calibration, check_view, view_of
from nanoray.errors import ModelFileError
from tiny_model import tiny_card


def points(threshold: float) -> tuple[OperatingPoint, ...]:
    return tuple(
        OperatingPoint(name, value, 0.8, 0.8, (0.7, 0.9), (0.7, 0.9))
        for name, value in (
            ("screening", threshold - 0.1),
            ("balanced", threshold),
            ("confirm", threshold + 0.1),
        )
    )


VIEWS = (
    Calibration("AP", 2.0, 1.0, 0.38, points(0.6), 500, 200),
    Calibration("PA", 1.0, -1.0, 0.09, points(0.2), 600, 50),
)
GUARANTEE = Guarantee(
    0.05,
    0.95,
    {"any": 0.2, "AP": 0.3, "PA": 0.1},
    0.4,
    {"any": (0.02, 0.0, 0.04)},
    {"any": 0.6},
    222,
)


@pytest.mark.parametrize(
    ("header", "logit", "given", "expected"),
    [
        ("AP", None, None, ("AP", "header")),
        ("pa", -9.0, "AP", ("PA", "header")),
        ("AP SUPINE", None, None, ("AP", "header")),
        ("PA_ERECT", None, None, ("PA", "header")),
        ("CHEST PA", None, None, ("PA", "header")),
        ("LL", 9.0, "AP", (None, None)),
        ("APICAL", 9.0, None, (None, None)),
        (None, None, "PA", ("PA", "given")),
        ("", CERTAIN, None, ("AP", "pixels")),
        (None, -CERTAIN, None, ("PA", "pixels")),
        (None, 0.5, None, (None, None)),
        (None, float("nan"), None, (None, None)),
        ("AP/PA", 9.0, None, ("AP", "pixels")),
        (None, None, None, (None, None)),
    ],
)
def test_view_of(
    header: str | None,
    logit: float | None,
    given: str | None,
    expected: tuple[str | None, str | None],
) -> None:
    assert view_of(header, logit, check_view(given)) == expected


def test_unknown_view(tiny_model: Path) -> None:
    with pytest.raises(ValueError, match="unknown view 'lateral': choose AP or PA"):
        load(tiny_model, view="lateral")


def test_each_view_has_its_calibration(make_model: Callable[..., Path]) -> None:
    path = make_model(views=VIEWS)
    pixels = np.zeros((32, 32), np.float32)
    pixels[:16] = 1.0
    # The logit is 0.5.
    pooled = load(path).predict(pixels)
    assert (pooled.view, pooled.threshold) == (None, 0.5)
    assert pooled.prevalence is None
    ap = load(path, view="ap").predict(pixels)
    assert (ap.view, ap.view_source, ap.threshold) == ("AP", "given", 0.6)
    assert ap.probability == pytest.approx(1 / (1 + np.exp(-0.75)))
    assert ap.suspected
    assert ap.prevalence == 0.38
    pa = load(path, view="PA", operating_point="confirm").predict(pixels)
    assert pa.probability == pytest.approx(1 / (1 + np.exp(0.5)))
    assert pa.threshold == pytest.approx(0.3)
    # A threshold of one's own is the same for all views.
    assert load(path, view="PA", threshold=0.9).predict(pixels).threshold == 0.9
    # The map is calibrated as the probability is.
    np.testing.assert_allclose(ap.heatmap[:2], 1 / (1 + np.exp(-(4.5 + 1.0) / 2.0)), rtol=1e-5)
    assert pooled.logit == ap.logit == pa.logit


def test_decisions_under_a_guarantee(make_model: Callable[..., Path]) -> None:
    path = make_model(views=VIEWS, guarantees=(GUARANTEE,))
    detector = load(path, view="AP", guarantee=0.05)
    decisions: dict[str, list[float]] = {}
    for rows in range(1, 33):
        pixels = np.zeros((32, 32), np.float32)
        pixels[:rows] = 1.0
        found = detector.predict(pixels)
        decisions.setdefault(found.decision, []).append(found.probability)
        assert (found.guarantee, found.clear_below) == (0.05, 0.3)
    assert max(decisions["no opacity suspected"]) < 0.3 <= min(decisions["unsure"])
    assert max(decisions["unsure"]) < 0.6 <= min(decisions["opacity suspected"])
    without = load(path, view="AP").predict(pixels)
    assert without.guarantee is None
    assert without.clear_below is None


def test_what_is_unlike_the_calibration_is_never_clear(make_model: Callable[..., Path]) -> None:
    path = make_model(guarantees=(GUARANTEE,))
    detector = load(path, guarantee=0.05)
    # Novelty is 1 less the brightest pixel: 0.45 is above 0.4 and below the limit to abstain, 0.5.
    for brightest, decision in (
        (0.7, "no opacity suspected"),
        (0.55, "unsure"),
        (0.4, "abstained"),
    ):
        pixels = np.zeros((32, 32), np.float32)
        pixels[0, 0] = brightest
        assert detector.predict(pixels).decision == decision


def test_a_source_unlike_the_calibration_is_noticed() -> None:
    reference = tuple(np.linspace(0.0, 0.42, 21))
    rng = np.random.default_rng(0)
    alike, unlike = (SourceWatch(GUARANTEE, reference) for _ in range(2))
    for _ in range(300):
        novelty = rng.uniform(0, 0.41)
        alike.add(novelty)
        unlike.add(novelty * 1.25)
    assert not alike.unlike
    assert unlike.unlike
    few = SourceWatch(GUARANTEE, None)
    for _ in range(19):
        few.add(float("nan"))
    assert not few.unlike
    few.add(float("nan"))
    assert few.unlike


def test_a_guarantee_that_the_model_lacks(
    tiny_model: Path, make_model: Callable[..., Path]
) -> None:
    with pytest.raises(ValueError, match="this model file has no guarantee"):
        load(tiny_model, guarantee=0.05)
    with pytest.raises(ValueError, match=r"no guarantee of 0\.01; this model has 0\.05"):
        load(make_model(guarantees=(GUARANTEE,)), guarantee=0.01)


def test_card_round_trip() -> None:
    card = tiny_card(views=VIEWS, guarantees=(GUARANTEE,))
    assert ModelCard.from_json(card.to_json()) == card
    # Fields of later releases of the same format do not matter.
    later = card.to_json().replace('{"architecture"', '{"added_later": 1, "architecture"', 1)
    assert "added_later" in later
    assert ModelCard.from_json(later) == card


@pytest.mark.parametrize("damage", ['"views": [{"view": "AP"}]', '"guarantees": [7]'])
def test_damaged_card(damage: str) -> None:
    name = damage.split(":", maxsplit=1)[0]
    text = tiny_card().to_json().replace(f"{name}: []", damage)
    assert damage in text
    with pytest.raises(ModelFileError, match="damaged"):
        ModelCard.from_json(text)
