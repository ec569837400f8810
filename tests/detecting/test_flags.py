"""Quality flags."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from nanoray.detecting.flags import WORDS, find
from nanoray.reading.radiograph import Facts

PLAIN = Facts("DICOM", 2000, 2400, 12, modality="DX", body_part="CHEST", view="PA", age_years=50.0)


def test_an_ordinary_radiograph_has_no_flags() -> None:
    assert find(PLAIN, 0.25) == ()
    assert find(Facts("PNG", 1024, 1024, 8), 0.25) == ()


@pytest.mark.parametrize(
    ("changes", "flag"),
    [
        ({"view": "LL"}, "lateral-view"),
        ({"view": "RL"}, "lateral-view"),
        ({"view": "LATERAL"}, "lateral-view"),
        ({"view": "XTABLE LATERAL"}, "lateral-view"),
        ({"view": "L"}, "lateral-view"),
        ({"view": "LA"}, "lateral-view"),
        ({"view": "LATL"}, "lateral-view"),
        ({"view": "SWIMMERS"}, "lateral-view"),
        ({"view": "CHEST LAT"}, "lateral-view"),
        ({"view": "LEFT LATERAL"}, "lateral-view"),
        ({"view": "RAO"}, "oblique-view"),
        ({"view": "AP OBLIQUE"}, "oblique-view"),
        ({"body_part": "HIP LEFT"}, "other-body-part"),
        ({"body_part": "THORACIC SPINE"}, "other-body-part"),
        ({"for_processing": True}, "for-processing"),
        ({"orientation": 6}, "turned"),
        # By Patient Orientation R\F the picture is mirrored, and the sides are not those stored.
        ({"orientation": 2}, "turned"),
        ({"body_part": "HAND"}, "other-body-part"),
        ({"body_part": "SKULL"}, "other-body-part"),
        ({"modality": "CT"}, "other-modality"),
        ({"modality": "MG"}, "other-modality"),
        ({"age_years": 17.99}, "child"),
        ({"age_years": 0.0}, "child"),
        ({"colour": True}, "colour"),
        ({"rows": 255}, "tiny-image"),
        ({"columns": 31}, "tiny-image"),
    ],
)
def test_one_fact_raises_one_flag(changes: dict[str, Any], flag: str) -> None:
    assert find(replace(PLAIN, **changes), 0.25) == (flag,)


@pytest.mark.parametrize(
    "changes",
    [
        {"view": "AP"},
        {"view": "LLD"},
        {"view": "AP LLD"},
        {"view": "LATERAL DECUB"},
        {"view": "PA LAT"},
        {"body_part": "PECHO"},
        {"body_part": "BORST"},
        {"body_part": "KLATKA_PIERS"},
        {"body_part": "TÓRAX"},
        {"body_part": "胸部"},
        {"view": None},
        {"view": ""},
        {"body_part": None},
        {"body_part": "PORT CHEST"},
        {"body_part": "THORAX"},
        {"body_part": "UNKNOWN"},
        {"modality": "CR"},
        {"modality": "OT"},
        {"age_years": 18.0},
        {"age_years": None},
        {"rows": 256},
    ],
)
def test_what_raises_no_flag(changes: dict[str, Any]) -> None:
    assert find(replace(PLAIN, **changes), 0.25) == ()


def test_contrast() -> None:
    assert find(PLAIN, 0.0) == ("low-contrast",)
    assert find(PLAIN, 0.049) == ("low-contrast",)
    assert find(PLAIN, 0.05) == ()


def test_flags_keep_their_order() -> None:
    facts = replace(PLAIN, view="LL", age_years=3.0, colour=True, rows=100)
    found = find(facts, 0.0)
    assert found == ("lateral-view", "child", "colour", "low-contrast", "tiny-image")
    assert set(found) <= set(WORDS)
