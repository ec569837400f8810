"""Scores of other networks are brought to the scale of a model file's logits."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from nanoray.errors import DataSetError
from nanoray.evaluating.view_calibration import Scored
from nanoray.exporting.guarantee import rescaled


def some_scores(count: int = 600) -> Scored:
    rng = np.random.default_rng(0)
    targets = rng.integers(0, 2, count)
    logits = 2.0 * targets - 1.0 + rng.normal(0, 1.5, count)
    return Scored(logits, targets, ["AP"] * count, [str(i) for i in range(count)], np.ones(count))


def test_linear_changes_of_scale_are_undone() -> None:
    scored = some_scores()
    own = 1.7 * scored.logits - 0.6
    apart = np.arange(600) < 300
    found = rescaled(scored, own, apart)
    np.testing.assert_allclose(found, own, atol=1e-3)
    # The held-out images may have another composition than the scores.
    easy = np.where(apart, 0.0, 3.0) * (2 * scored.targets - 1)
    harder = replace(scored, logits=scored.logits + easy)
    found = rescaled(harder, 1.7 * harder.logits - 0.6, apart)
    np.testing.assert_allclose(found, 1.7 * harder.logits - 0.6, atol=1e-3)


def test_too_few_held_out_images() -> None:
    scored = some_scores()
    with pytest.raises(DataSetError, match="validation part"):
        rescaled(scored, np.asarray(scored.logits), np.arange(600) < 12)
