"""Parts of a radiograph that are greyed out, and what ranks without a network."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from nanoray.datasets.folder import Case
from nanoray.evaluating.resampling import draw_patients
from nanoray.evaluating.stress import PARTS, find_shortcuts, grey_out
from nanoray.reading.geometry import Box

SHAPE = (300, 240)


@pytest.mark.parametrize(
    ("part", "inside", "outside"),
    [
        ("lungs", [(150, 67), (150, 172)], [(5, 120), (150, 120), (295, 67)]),
        ("all but the lungs", [(5, 120), (150, 120)], [(150, 67), (150, 172)]),
        ("borders", [(2, 100), (150, 2), (297, 100)], [(150, 120), (150, 67)]),
        ("corners", [(5, 5), (5, 235), (295, 5), (295, 235)], [(150, 5), (5, 120), (150, 120)]),
        ("lower half", [(290, 10)], [(10, 10)]),
        ("upper half", [(10, 10)], [(290, 10)]),
    ],
)
def test_a_part_gets_the_mean_grey(
    part: str, inside: list[tuple[int, int]], outside: list[tuple[int, int]]
) -> None:
    picture = np.random.default_rng(0).integers(1, 256, SHAPE).astype(np.uint8)
    # Padding is no part of the mean.
    picture[:, :2] = 0
    mean = round(float(picture[picture > 0].mean()))
    changed = grey_out(picture, part)
    assert changed.dtype == np.uint8
    assert all(changed[place] == mean for place in inside)
    assert all(changed[place] == picture[place] for place in outside)
    assert picture[:, :2].sum() == 0, "the picture itself is unchanged"


def test_parts_complement_each_other() -> None:
    assert np.array_equal(PARTS["lungs"](SHAPE), ~PARTS["all but the lungs"](SHAPE))
    assert np.array_equal(PARTS["lower half"](SHAPE), ~PARTS["upper half"](SHAPE))
    lungs = PARTS["lungs"](SHAPE)
    assert np.array_equal(lungs, lungs[:, ::-1])


def test_a_black_picture_stays_dark() -> None:
    assert grey_out(np.zeros(SHAPE, np.uint8), "lungs").max() == 1


def case(number: int, view: str | None, target: int) -> Case:
    return Case(Path(f"{number}.png"), str(number), "", target, view=view)


def test_view_alone_and_the_boxes_in_the_lungs() -> None:
    cases = [case(n, "AP" if n % 4 else "PA", int(n % 4 > 1)) for n in range(40)]
    boxes: list[list[Box]] = [[] for _ in cases]
    boxes[2] = [(0.24, 0.45, 0.08, 0.1)]
    targets = np.array([one.target for one in cases])
    resampling = draw_patients([one.patient for one in cases], targets, samples=200)
    found = find_shortcuts(cases, boxes, targets, resampling)
    # Of the 20 without an opacity 10 are PA; the other 10 tie with all 20 that have one.
    assert found.view[0] == pytest.approx(0.75)
    assert found.covered == 1.0
    boxes[6] = [(0.46, 0.02, 0.08, 0.1)]
    half = find_shortcuts(cases, boxes, targets, resampling)
    assert half.covered == pytest.approx(0.5, abs=0.02)
    without = [case(n, None, int(one.target or 0)) for n, one in enumerate(cases)]
    alone = find_shortcuts(without, [[] for _ in cases], targets, resampling)
    assert np.isnan(alone.view[0])
    assert np.isnan(alone.covered)
