"""The curves behind the threshold explorer."""

from __future__ import annotations

import numpy as np
import pytest

from nanoray.evaluating.resampling import draw_patients
from nanoray.evaluating.threshold_curves import THRESHOLDS, threshold_curves


def test_shares_at_every_threshold() -> None:
    rng = np.random.default_rng(0)
    targets = np.repeat([1, 0], 60)
    probabilities = np.clip(rng.normal(0.3 + 0.3 * targets, 0.15), 0, 1)
    views = ["AP"] * 40 + ["PA"] * 40 + [None] * 40
    drawn = draw_patients([f"p{i // 2}" for i in range(120)], targets, samples=300)
    curves = {curve.view: curve for curve in threshold_curves(probabilities, targets, views, drawn)}
    # No radiograph with a view of AP lacks an opacity.
    assert curves.keys() == {None, "PA"}
    pa = np.array([view == "PA" for view in views])
    assert (curves["PA"].positive, curves["PA"].negative) == (20, 20)
    for index in (0, 30, 55, 100):
        called = probabilities >= THRESHOLDS[index]
        assert curves[None].sensitivity[index, 0] == pytest.approx(called[targets == 1].mean())
        assert curves["PA"].specificity[index, 0] == pytest.approx(
            (~called)[pa & (targets == 0)].mean()
        )
    assert curves[None].sensitivity[0].tolist() == [1, 1, 1]
    value, low, high = curves[None].sensitivity[45]
    assert low < value < high
    # A percentile interval is about as wide as Wald's.
    wald = 1.96 * np.sqrt(value * (1 - value) / 60)
    assert high - low == pytest.approx(2 * wald, rel=0.35)
