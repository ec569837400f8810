"""Decisions of an evaluation: those that a detector makes, view by view."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from nanoray.detecting.operating_point import OperatingPoint
from nanoray.detecting.views import Calibration
from nanoray.evaluating.scores import judge
from tiny_model import tiny_card


def test_each_view_has_its_calibration_and_thresholds() -> None:
    card = tiny_card()
    points = tuple(
        OperatingPoint(point.name, 0.2, 0.8, 0.8, (0.7, 0.9), (0.7, 0.9))
        for point in card.operating_points
    )
    card = replace(card, views=(Calibration("PA", 2.0, 1.0, None, points),))
    logits = np.array([-3.0, -3.0, -3.0, 3.0])
    found = judge(logits, card, ["PA", "AP", None, "PA"])
    own = (-3.0 + 1.0) / 2.0
    pooled = -3.0 / card.temperature
    assert found.logits == pytest.approx([own, pooled, pooled, 2.0])
    assert found.probabilities == pytest.approx(1 / (1 + np.exp(-found.logits)))
    # A view that the card does not have gets the calibration of all views together.
    assert found.calls["balanced"].tolist() == [True, False, False, True]
    everything = judge(logits, card, ["PA", "AP", None, "PA"], pooled=True)
    assert everything.logits == pytest.approx(logits / card.temperature)
    assert everything.calls["balanced"].tolist() == [False, False, False, True]
