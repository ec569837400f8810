"""Words for views and body parts in many languages, read from headers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from nanoray.detecting.flags import find
from nanoray.reading import read
from reading_files import chest, dicom

TABLE = json.loads((Path(__file__).parents[2] / "vectors" / "headers.json").read_text("utf-8"))
FLAGS = {
    "lateral": ("lateral-view",),
    "frontal": (),
    "oblique": ("oblique-view",),
    "chest": (),
    "other": ("other-body-part",),
}


def stated() -> Iterator[tuple[str, str, str]]:
    for kind in FLAGS:
        for keyword, values in TABLE[kind].items():
            for value in values:
                yield kind, keyword, value


def flags_of(**elements: Any) -> tuple[str, ...]:
    radiograph = read(dicom(chest(), **elements))
    return tuple(flag for flag in find(radiograph.facts, 0.2) if flag != "tiny-image")


@pytest.mark.parametrize(("kind", "keyword", "value"), list(stated()))
def test_words(kind: str, keyword: str, value: str) -> None:
    charset = None if value.isascii() else "ISO_IR 192"
    assert flags_of(**{keyword: value}, SpecificCharacterSet=charset) == FLAGS[kind]


@pytest.mark.parametrize(("keyword", "charset", "stored", "note", "kind"), TABLE["encoded"])
def test_character_sets(keyword: str, charset: str, stored: str, note: str, kind: str) -> None:
    elements = {keyword: bytes.fromhex(stored), "SpecificCharacterSet": charset or None}
    assert flags_of(**elements) == FLAGS[kind], note


@pytest.mark.parametrize(
    ("kind", "keyword", "value"),
    [
        (kind, keyword, value)
        for kind, stated in TABLE["children"].items()
        for keyword, values in stated.items()
        for value in values
    ],
)
def test_words_for_a_child(kind: str, keyword: str, value: str) -> None:
    charset = None if value.isascii() else "ISO_IR 192"
    elements = {keyword: value, "SpecificCharacterSet": charset, "PatientBirthDate": None}
    assert ("child" in flags_of(**elements)) == (kind == "child")
    # A stated age decides.
    assert "child" not in flags_of(**elements, PatientAge="045Y")
    assert "child" in flags_of(**elements, PatientAge="005Y")


@pytest.mark.parametrize(
    "stored", ["niño".encode("latin-1"), "Дети".encode("cp1251"), "儿童".encode("gb18030")]
)
def test_words_for_a_child_in_a_code_page_that_is_not_stated(stored: bytes) -> None:
    assert "child" in flags_of(StudyDescription=stored, PatientBirthDate=None)


@pytest.mark.parametrize(("written", "years"), TABLE["ages"])
def test_ages(written: str, years: float | None) -> None:
    facts = read(dicom(chest(), PatientAge=("AS", written), PatientBirthDate=None)).facts
    assert facts.age_years == (None if years is None else pytest.approx(years, abs=1e-3))


@pytest.mark.parametrize("birth", ["20150301", "2015.03.01", "2015-03-01"])
@pytest.mark.parametrize("date", ["StudyDate", "SeriesDate", "AcquisitionDate", "ContentDate"])
def test_ages_from_dates(birth: str, date: str) -> None:
    dates: dict[str, Any] = {"StudyDate": None, date: "20240301"}
    facts = read(dicom(chest(), PatientAge=None, PatientBirthDate=("DA", birth), **dates)).facts
    assert facts.age_years == pytest.approx(9.0, abs=0.1)


@pytest.mark.parametrize("view", ["PA", "AP", "AP ERECT", None])
@pytest.mark.parametrize("directions", ["A\\F", "P\\F", "AF\\FP", "F\\A"])
def test_patient_orientation_rules_over_a_frontal_view(view: str | None, directions: str) -> None:
    assert flags_of(ViewPosition=view, PatientOrientation=directions) == ("lateral-view",)


def test_a_view_that_patient_orientation_does_not_contradict() -> None:
    facts = read(dicom(chest(), ViewPosition="RL", PatientOrientation="A\\F")).facts
    assert facts.view == "RL"
    assert flags_of(ViewPosition="RAO", PatientOrientation="A\\F") == ("oblique-view",)
    assert flags_of(ViewPosition="PA", PatientOrientation="L\\F") == ()


@pytest.mark.parametrize(
    ("elements", "view"),
    [
        ({"ViewPosition": "LL\\LL"}, "LL"),
        ({"ViewPosition": "Perfil (SMITH)"}, "LATERAL"),
        ({"ViewPosition": "側面"}, "LATERAL"),
        ({"ViewPosition": "PA, LAT"}, "PA"),
        ({"ViewPosition": "L. SMITH"}, None),
    ],
)
def test_a_view_is_written_in_known_words(elements: dict[str, Any], view: str | None) -> None:
    assert read(dicom(chest(), SpecificCharacterSet="ISO_IR 192", **elements)).facts.view == view


@pytest.mark.parametrize(
    ("written", "part"),
    [
        ("TÓRAX", "CHEST"),
        ("胸部", "CHEST"),
        ("LENDENWIRBELSAEULE", "LENDENWIRBELSAEU"),
        ("ТАЗ", "ТАЗ"),
        ("Brust- und Lendenwirbelsäule", "SPINE OR STERNUM"),
    ],
)
def test_a_body_part_is_shown(written: str, part: str) -> None:
    assert read(dicom(chest(), BodyPartExamined=written)).facts.body_part == part
