"""Answers of other networks: reading, matching, and a teacher that has not seen the label."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest

from nanoray.datasets.folder import Case
from nanoray.errors import DataSetError
from nanoray.training.answers import opacity_logits, read_answers

TABLE = """patientId,logit_Edema,logit_Mass,nih_Edema,nih_Mass
a,1.0,-2.0,1,0
b,3.0,,0,
c,-1.0,4.0,,1
"""


def case(name: str, target: int | None = 0, patient: str = "") -> Case:
    return Case(Path(f"images/{name}.png"), patient or name, "some", target)


def test_answers_are_standardised_and_matched_by_name(tmp_path: Path) -> None:
    path = tmp_path / "answers.csv.gz"
    path.write_bytes(gzip.compress(TABLE.encode()))
    answers = read_answers(path)
    assert answers.findings == ("Edema", "Mass")
    labels, logits = answers.of([case("c"), case("unknown"), case("a")])
    assert np.isnan(labels[1]).all()
    assert np.isnan(logits[1]).all()
    assert np.isnan(labels[0, 0])
    assert labels[0, 1] == 1
    assert logits[2, 0] > logits[0, 0]


@pytest.mark.parametrize("text", ["", "patientId,other\na,1\n", "patientId,logit_x\na,seven\n"])
def test_other_tables_are_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "answers.csv"
    path.write_text(text)
    with pytest.raises(DataSetError, match=r"answers\.csv"):
        read_answers(path)


def test_opacity_logits_rank_and_do_not_repeat_the_label() -> None:
    rng = np.random.default_rng(0)
    targets = rng.integers(0, 2, 400)
    logits = (targets[:, None] + rng.normal(0, 1, (400, 3))).astype(np.float32)
    logits[:20] = np.nan
    cases = [case(str(i), int(t), patient=str(i // 2)) for i, t in enumerate(targets)]
    found = opacity_logits(cases, logits, [True] * 400)
    assert np.isnan(found[:20]).all()
    known = ~np.isnan(found)
    assert known.sum() == 380
    assert found[known & (targets == 1)].mean() > found[known & (targets == 0)].mean() + 1
    # A case's own label changes the other patients' values, never its own.
    flipped = [
        case(str(i), int(1 - t if i == 50 else t), patient=str(i // 2))
        for i, t in enumerate(targets)
    ]
    again = opacity_logits(flipped, logits, [True] * 400)
    assert again[50] == found[50]
    assert not np.array_equal(again[known], found[known])
