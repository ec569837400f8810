"""Answers by target, the indeterminate ones too."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from nanoray.detecting.guarantee import Guarantee
from nanoray.detecting.model_file import read_card
from nanoray.evaluating.evaluation import ModelResult
from nanoray.evaluating.scores import Judgement, Scores

BOUND = Guarantee(0.05, 0.95, {"AP": 0.3, "PA": 0.1, "any": 0.1}, 5.0, {}, {}, 100)


def test_every_radiograph_has_one_answer(tiny_model: Path) -> None:
    card = replace(read_card(tiny_model), novelty_limit=8.0, guarantees=(BOUND,))
    probabilities = np.array([0.9, 0.9, 0.2, 0.2, 0.2, 0.05, 0.05, 0.6])
    novelty = np.array([1.0, 9.0, 1.0, 1.0, 6.0, 1.0, np.nan, 1.0], np.float32)
    views = ["AP", "AP", "AP", "PA", "AP", None, "PA", "LATERAL"]
    targets = np.array([1, 1, 1, 0, 0, 0, 1, 0])
    calls = {point.name: probabilities >= 0.5 for point in card.operating_points}
    logits = np.log(probabilities / (1 - probabilities))
    scores = Scores(logits.astype(np.float32), novelty, np.zeros((8, 2, 2), np.float32))
    judged = Judgement(logits, probabilities, calls)
    model = ModelResult("x", card, 1, "", scores, judged, {}, 0.0, [])
    plain, bounded = model.outcomes(targets, views)
    assert (plain.level, plain.unsure) == (None, (0, 0))
    assert (plain.suspected, plain.clear, plain.abstained) == ((1, 1), (3, 1), (0, 2))
    # The third is below its view's limit; the fourth is not, the fifth is too strange.
    assert (bounded.level, bounded.suspected, bounded.abstained) == (0.05, (1, 1), (0, 2))
    assert (bounded.clear, bounded.unsure) == ((1, 1), (2, 0))
