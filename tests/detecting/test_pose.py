"""Radiographs that lie on their side, or are negatives, are set right or not judged."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from nanoray.detecting import load
from nanoray.detecting.model_file import read_card
from nanoray.detecting.pose import PoseLimits, corrected, is_upright, to_correct
from nanoray.detecting.prediction import NOT_UPRIGHT
from nanoray.reading import geometry
from nanoray.reading.prepared import Reading, prepared
from nanoray.reading.radiograph import Facts, Radiograph
from tiny_model import TINY_SIDE, tiny_card, write_tiny_model


def film(rows: int = TINY_SIDE, columns: int = TINY_SIDE) -> np.ndarray:
    """Brighter above than below, with detail."""
    y, x = np.mgrid[0:rows, 0:columns]
    bright = np.where(y < rows // 2, 0.8, 0.15)
    return (bright + 0.1 * np.sin(x * 2.1) * np.cos(y * 1.7)).astype(np.float32).clip(0.05, 1)


@pytest.fixture
def posed(tmp_path: Path) -> Path:
    return write_tiny_model(tmp_path / "posed.onnx", tiny_card(), pose=True)


def test_an_upright_film_is_judged_as_it_is(posed: Path) -> None:
    prediction = load(posed).predict(film())
    assert not prediction.abstained
    assert not {"turned", "inverted"} & set(prediction.flags)


@pytest.mark.parametrize("turns", [1, 2, 3])
@pytest.mark.parametrize("shape", [(32, 32), (32, 20), (40, 64)])
def test_a_turned_film_is_turned_back(posed: Path, turns: int, shape: tuple[int, int]) -> None:
    detector = load(posed)
    upright = film(*shape)
    expected = detector.predict(upright, thumbnail=True)
    found = detector.predict(np.rot90(upright, turns), thumbnail=True)
    assert found.probability == pytest.approx(expected.probability, abs=1e-5)
    np.testing.assert_allclose(found.heatmap, expected.heatmap, atol=1e-5)
    assert found.heatmap.shape == expected.heatmap.shape
    assert found.thumbnail is not None
    assert expected.thumbnail is not None
    assert np.array_equal(found.thumbnail, expected.thumbnail)
    assert found.facts.orientation == {1: 6, 2: 3, 3: 8}[turns]
    assert (found.facts.rows, found.facts.columns) == shape
    assert "turned" in found.flags


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_a_turned_film_beside_a_border_has_its_map_in_place(posed: Path, turns: int) -> None:
    """The map of the whole picture has 0 where the border was cut off."""
    white = np.ones((128, 32), np.float32)
    upright = np.concatenate([film(128, 96), white], axis=1)
    detector = load(posed)
    expected = detector.predict(upright).heatmap
    assert expected.shape == (4, 4)
    assert not expected[:, 3].any()
    found = detector.predict(np.rot90(upright, turns))
    assert "turned" in found.flags
    np.testing.assert_allclose(found.heatmap, expected, atol=1e-5)


def test_the_spacing_turns_with_the_pose() -> None:
    facts = Facts("DICOM", 20, 32, 8, pixel_spacing_mm=(0.1, 0.2))
    reading = prepared("a", Radiograph(film(20, 32), facts), TINY_SIDE, thumbnail=False)
    for turns, spacing in ((1, (0.2, 0.1)), (2, (0.1, 0.2)), (3, (0.2, 0.1))):
        found = corrected(reading, turns).facts
        assert found is not None
        assert found.pixel_spacing_mm == spacing


def test_a_negative_is_inverted_back(posed: Path) -> None:
    detector = load(posed)
    upright = film() * np.float32(0.2) + np.float32(0.12)
    found = detector.predict(1 - upright)
    expected = detector.predict(upright)
    assert found.probability == pytest.approx(expected.probability, abs=1e-5)
    assert "inverted" in found.flags


def test_where_the_pose_is_not_sure_nothing_is_decided(posed: Path) -> None:
    flat = film().copy()
    flat[:] = 0.5 + 0.1 * np.sin(np.arange(TINY_SIDE) * 2.0)[:, None]
    flat[0, 0] = 1.0
    prediction = load(posed).predict(flat)
    assert prediction.abstained
    assert prediction.reason == NOT_UPRIGHT


def test_several_at_once_keep_their_order(posed: Path) -> None:
    detector = load(posed)
    films = [
        film(),
        np.rot90(film()),
        film(32, 20),
        1 - (film() * np.float32(0.2) + np.float32(0.12)),
    ]
    readings = [
        prepared(
            str(n),
            Radiograph(f, Facts("array", f.shape[0], f.shape[1], 8)),
            TINY_SIDE,
            thumbnail=False,
        )
        for n, f in enumerate(films)
    ]
    readings.insert(2, Reading("unread"))
    results = detector.judge(readings)
    assert [result.source for result in results] == ["0", "1", "unread", "2", "3"]
    for result, reading in zip(results, readings, strict=True):
        (alone,) = detector.judge([reading])
        assert type(alone) is type(result)
        if result.error is None:
            assert result.probability == pytest.approx(alone.probability)


def test_limits_travel_in_the_card(tmp_path: Path) -> None:
    card = tiny_card(pose=PoseLimits(0.6, 0.95))
    path = write_tiny_model(tmp_path / "posed.onnx", card, pose=True)
    assert read_card(path).pose == PoseLimits(0.6, 0.95)
    logits = np.array([0, 2, 0, 0, 0], np.float32)
    assert to_correct(logits, PoseLimits(0.5, 0.9)) is None
    assert to_correct(logits, PoseLimits(0.5, 0.6)) == 1
    assert not is_upright(logits, PoseLimits())
    assert not is_upright(np.full(5, np.nan, np.float32), PoseLimits())
    assert to_correct(np.full(5, np.nan, np.float32), PoseLimits()) is None


@pytest.mark.parametrize("first", range(1, 9))
def test_orientations_are_composed(first: int) -> None:
    marked = np.arange(6).reshape(2, 3)
    for second in range(1, 9):
        both = geometry.turned(geometry.turned(marked, first), second)
        assert np.array_equal(both, geometry.turned(marked, geometry.composed(first, second)))
    assert geometry.composed(first, geometry.undone(first)) == 1


def test_a_placement_turns_with_its_square() -> None:
    reading = prepared("a", Radiograph(film(20, 32), Facts("array", 20, 32, 8)), 32, thumbnail=True)
    for turns in (1, 2, 3):
        found = corrected(reading, turns)
        assert found.square is not None
        assert found.placement is not None
        place = found.placement
        assert not found.square[: place.top].any()
        assert not found.square[place.top + place.height :].any()
        assert found.square[place.top, place.left : place.left + place.width].all()
