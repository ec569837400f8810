"""Gaps between groups, on decisions whose gap is known."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="needs the extra evaluate")

from nanoray.evaluating.fairness import find_gaps
from nanoray.evaluating.groups import Group
from nanoray.evaluating.resampling import draw_patients


def test_gaps() -> None:
    rng = np.random.default_rng(0)
    count = 2000
    women = rng.random(count) < 0.5
    targets = (rng.random(count) < 0.4).astype(np.int64)
    # 90 % of the women's opacities are called, 60 % of the men's; 80 % of negatives are right.
    share = np.where(targets == 1, np.where(women, 0.9, 0.6), 0.2)
    called = rng.random(count) < share
    logits = rng.normal(targets, 1.0)
    old = rng.random(count) < 0.01
    groups = [
        Group("sex", "F", women),
        Group("sex", "M", ~women),
        Group("age", "80 and over", old),
        Group("age", "18 to 39", ~old),
        Group("class", "Normal", targets == 0),
    ]
    resampling = draw_patients([str(n) for n in range(count)], targets, samples=300)
    gaps = {
        (gap.kind, gap.measure): gap
        for gap in find_gaps(groups, logits, called, targets, resampling)
    }
    # One in a hundred has no ten positives: no gap by age is told.
    assert set(gaps) <= {("sex", m) for m in ("sensitivity", "specificity", "AUROC")} | {
        ("age", "specificity")
    }
    sensitivity = gaps["sex", "sensitivity"]
    assert (sensitivity.high, sensitivity.low) == ("F", "M")
    assert sensitivity.gap[0] == pytest.approx(0.3, abs=0.06)
    assert sensitivity.gap[1] < sensitivity.gap[0] < sensitivity.gap[2]
    assert sensitivity.verdict == "beyond the bound"
    assert gaps["sex", "specificity"].verdict == "within the bound"
    assert gaps["sex", "AUROC"].bound == pytest.approx(0.075)
