"""Maps against boxes, worse pictures, groups, fronts and decision curves."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from nanoray.datasets.folder import Case
from nanoray.evaluating.groups import find_groups, measure_groups
from nanoray.evaluating.latency import summarise, time_rounds
from nanoray.evaluating.localisation import box_mask, localise
from nanoray.evaluating.resampling import draw_patients
from nanoray.evaluating.robustness import CHANGES, worsen
from nanoray.reading.resize import placement
from nanoray.reporting.plots import net_benefit, pareto_front


def test_maps_that_point_into_boxes_and_beside_them() -> None:
    boxes = [[(0.0, 0.5, 0.5, 0.5)], [(0.5, 0.0, 0.5, 0.5), (0.0, 0.0, 0.2, 0.2)], []]
    places = [placement(100, 100, 64)] * 3
    cams = np.zeros((3, 8, 8), np.float32)
    cams[0, 4:, :4] = 1  # exactly the box
    cams[1, 6, 1] = 1  # far from both
    targets = np.array([1, 1, 0])
    drawn = draw_patients(["a", "b", "c"], targets, samples=100)
    found = localise(boxes, places, cams, np.array([True, False, False]), drawn)
    assert found is not None
    assert found.images == 2
    assert found.pointing[0] == 0.5
    assert found.pointing_called == 1.0
    assert found.iou[0] == pytest.approx(0.5, abs=0.06)
    assert found.chance == pytest.approx((0.25 + 0.25 + 0.04) / 2, abs=0.01)
    assert found.fixed == 0.5
    assert localise(boxes[2:], places[2:], cams[2:], np.array([False]), drawn) is None


def test_map_of_a_narrow_radiograph_is_read_without_its_padding() -> None:
    """A box on the left edge of a narrow radiograph lies well inside of the padded square."""
    boxes = [[(0.0, 0.0, 0.25, 1.0)], []]
    place = placement(64, 32, 64)
    assert place.left == 16
    cams = np.zeros((2, 16, 16), np.float32)
    cams[0, :, 4:6] = 1  # columns 16 to 23 of 64, a quarter of the radiograph
    drawn = draw_patients(["a", "b"], np.array([1, 0]), samples=100)
    found = localise(boxes, [place, place], cams, np.array([True, False]), drawn)
    assert found is not None
    assert found.pointing[0] == 1.0
    assert found.iou[0] > 0.8


def test_box_mask_is_the_union() -> None:
    mask = box_mask([(0.25, 0.5, 0.5, 0.25), (0.25, 0.5, 0.25, 0.25)])
    assert mask.mean() == pytest.approx(0.125, abs=0.002)


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.name)
def test_worse_pictures_keep_their_size_and_depend_on_the_seed_alone(change) -> None:
    picture = np.random.default_rng(1).integers(20, 230, (80, 60)).astype(np.uint8)
    worse = worsen(picture, change, np.random.default_rng(3))
    assert worse.shape == picture.shape
    assert worse.dtype == np.uint8
    assert (worse != picture).any() or change.kind == "resolution"
    np.testing.assert_array_equal(worse, worsen(picture, change, np.random.default_rng(3)))


def test_changes_do_what_they_are_named_for() -> None:
    rng = np.random.default_rng(0)
    picture = rng.integers(60, 200, (128, 128)).astype(np.uint8)
    by_name = {change.name: worsen(picture, change, rng).astype(float) for change in CHANGES}
    assert by_name["exposure 0.5 gamma"].mean() > picture.mean() + 20
    assert by_name["exposure 2 gamma"].mean() < picture.mean() - 20
    assert by_name["noise 0.1 of full scale"].std() > picture.std()
    assert by_name["blur 4 px"].std() < by_name["blur 1 px"].std() < picture.std()
    assert by_name["resolution 64 px"].std() < picture.std()
    error = [np.abs(by_name[f"JPEG {q} quality"] - picture).mean() for q in (50, 20, 10)]
    assert error == sorted(error)


def test_specificity_of_each_class_of_negatives() -> None:
    classes = ["Lung Opacity"] * 20 + ["Not Normal"] * 40 + ["Normal"] * 40 + ["Rare"] * 4
    probabilities = np.concatenate(
        [np.full(20, 0.9), np.repeat([0.6, 0.2], [30, 10]), np.full(40, 0.1), np.full(4, 0.1)]
    )
    cases = [
        Case(Path(f"{i}.png"), f"p{i}", name, int(name == "Lung Opacity"), view="AP", age=i)
        for i, name in enumerate(classes)
    ]
    targets = np.array([case.target for case in cases])
    drawn = draw_patients([case.patient for case in cases], targets, samples=200)
    groups = find_groups(cases)
    # One view for all is no group; ages are, and "80 and over" comes last.
    assert {group.kind for group in groups} == {"age", "class"}
    assert [g.name for g in groups if g.kind == "age"][-1] == "80 and over"
    calls = {"balanced": probabilities >= 0.5}
    results = {
        result.name: result
        for result in measure_groups(groups, probabilities, calls, targets, drawn)
    }
    not_normal = results["Not Normal"].specificity["balanced"]
    assert not_normal is not None
    assert not_normal[0] == 0.25
    assert not_normal[1] < 0.25 < not_normal[2]
    assert results["Normal"].specificity["balanced"][0] == 1.0
    assert results["Rare"].specificity["balanced"] is None
    assert results["Normal"].sensitivity["balanced"] is None
    assert results["Lung Opacity"].sensitivity["balanced"][0] == 1.0
    assert results["Normal"].auroc[0] == 1.0


def test_pareto_front_by_hand() -> None:
    assert pareto_front([3, 1, 2, 2, 4], [0.9, 0.7, 0.8, 0.75, 0.85]) == [1, 2, 0]


def test_net_benefit_of_marking_all_and_of_knowing() -> None:
    targets = np.array([1, 0, 0, 0])
    thresholds = np.array([0.1, 0.2])
    all_marked = net_benefit(np.ones(4), targets, thresholds)
    np.testing.assert_allclose(all_marked, 0.25 - 0.75 * thresholds / (1 - thresholds))
    np.testing.assert_allclose(net_benefit(targets.astype(float), targets, thresholds), 0.25)


def test_latency_is_a_ratio_to_the_reference(tiny_model: Path) -> None:
    seconds = np.stack(list(time_rounds([tiny_model, tiny_model], 3)))
    assert seconds.shape == (3, 2)
    assert (seconds > 0).all()
    first, second = summarise(np.array([[1.0, 2.0], [2.0, 2.0], [1.0, 5.0]]))
    assert (first.milliseconds, first.ratio) == (1000.0, (1.0, 1.0, 1.0))
    assert (second.milliseconds, second.ratio[0]) == (2000.0, 2.0)
