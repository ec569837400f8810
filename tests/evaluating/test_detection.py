"""Boxes from maps, and their measures, on cases worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from nanoray.detecting.boxes import Box, find_boxes
from nanoray.evaluating.detection import (
    best_fixed,
    image_precision,
    measure_boxes,
    overlaps,
)
from nanoray.evaluating.resampling import draw_patients

LEFT, RIGHT = (0.1, 0.2, 0.3, 0.4), (0.6, 0.2, 0.3, 0.4)


def bumps(size: int, *peaks: tuple[float, float, float]) -> np.ndarray:
    """Return a map with a smooth bump of a given height at each (x, y)."""
    y, x = (np.mgrid[:size, :size] + 0.5) / size
    logit = np.full((size, size), -4.0)
    for px, py, height in peaks:
        logit = np.maximum(logit, height - ((x - px) ** 2 + (y - py) ** 2) / 0.01)
    return np.asarray(1 / (1 + np.exp(-logit)), np.float32)


@pytest.mark.parametrize("size", [8, 16, 20])
def test_a_box_around_each_peak(size: int) -> None:
    first, second = find_boxes(bumps(size, (0.25, 0.4, 2.0), (0.75, 0.6, 1.0)), 0.5)
    assert first.score > second.score
    for box, x, y in ((first, 0.25, 0.4), (second, 0.75, 0.6)):
        assert box.left < x < box.left + box.width
        assert box.top < y < box.top + box.height
        assert 0.05 < box.width < 0.5


def test_peaks_that_hardly_part_are_one() -> None:
    assert len(find_boxes(bumps(16, (0.45, 0.5, 2.0), (0.52, 0.5, 1.9)), 0.5)) == 1


@pytest.mark.parametrize(
    "heatmap",
    [np.zeros((8, 8)), np.full((16, 16), 0.4), np.full((8, 8), np.nan), np.zeros((1, 1))],
)
def test_a_map_without_evidence_has_no_box(heatmap: np.ndarray) -> None:
    assert find_boxes(heatmap.astype(np.float32), 0.5) == ()


def test_an_even_map_is_one_box_of_everything() -> None:
    (box,) = find_boxes(np.full((8, 5), 0.9, np.float32), 0.5)
    assert (box.left, box.top, box.width, box.height) == (0, 0, 1, 1)
    assert box.score == pytest.approx(0.9, abs=1e-5)


def test_overlap_by_hand() -> None:
    # Two unit squares shifted by half share a third of their union.
    assert overlaps([(0, 0, 1, 1)], [(0.5, 0, 1, 1)])[0, 0] == pytest.approx(1 / 3)
    assert overlaps([], [LEFT]).shape == (0, 1)


def test_precision_of_an_image_by_hand() -> None:
    assert np.isnan(image_precision([], []))
    assert image_precision([LEFT], []) == 0.0
    assert image_precision([], [LEFT]) == 0.0
    assert image_precision([LEFT, RIGHT], [RIGHT, LEFT]) == 1.0
    # One of two found and nothing false: a half at every threshold.
    assert image_precision([LEFT], [LEFT, RIGHT]) == pytest.approx(0.5)
    # Overlap 0.6 passes at 0.40 to 0.60, five of eight thresholds.
    assert image_precision([(0.0, 0.0, 0.6, 1.0)], [(0.0, 0.0, 1.0, 1.0)]) == pytest.approx(5 / 8)
    # A second box on the same opacity is false.
    assert image_precision([LEFT, LEFT], [LEFT]) == pytest.approx(0.5)


def test_measures() -> None:
    sure, unsure = Box(*LEFT, 0.9), Box(*RIGHT, 0.2)
    predicted = [(sure,), (unsure,), (sure, unsure), ()]
    true = [[LEFT], [], [LEFT, RIGHT], []]
    targets = np.array([1, 0, 1, 0])
    resampling = draw_patients(["a", "b", "c", "d"], targets, samples=200)
    found = measure_boxes(predicted, true, resampling)
    # 1, 0 and 1; the last image does not count.
    assert found.precision[0] == pytest.approx(2 / 3)
    assert (found.images, found.boxes) == (4, 3)
    # The false box has the same score as the third true one; before it two are found.
    assert found.froc[0.125] == pytest.approx(2 / 3)
    assert found.froc[0.25] == pytest.approx(1.0)
    assert found.overlap[0] == pytest.approx(1.0)
    # Not called, the second image has no box that could be false.
    called = np.array([True, False, True, False])
    assert measure_boxes(predicted, true, resampling, called=called).precision[0] == 1.0


def test_best_fixed_boxes() -> None:
    true = [[LEFT, RIGHT], [LEFT, RIGHT], [LEFT], []]
    assert [(box.left, box.top, box.width, box.height) for box in best_fixed(true)] == [LEFT, RIGHT]
    assert len(best_fixed([[LEFT], [LEFT], [LEFT, RIGHT]])) == 1
    assert best_fixed([[], []]) == ()
