"""Decoys: every kind, varied, reproducible, in range."""

from __future__ import annotations

import numpy as np
import pytest

from nanoray.datasets.decoys import KINDS, draw_decoy


@pytest.mark.parametrize("kind", KINDS)
def test_decoy(kind: str) -> None:
    first, again, other = (draw_decoy(kind, seed, size=96) for seed in (1, 1, 2))
    assert first.dtype == np.float32
    assert first.shape == (96, 96)
    assert first.min() >= 0
    assert first.max() <= 1
    assert first.std() > 0.02
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).mean() > 0.01


def test_unknown_kind() -> None:
    with pytest.raises(ValueError, match="noise"):
        draw_decoy("unicorn", 1)
