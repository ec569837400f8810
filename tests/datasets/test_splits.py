"""Data sets and their splits."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from nanoray.datasets.folder import Case, read_folder
from nanoray.datasets.images import grid_masks
from nanoray.datasets.splits import (
    PARTS,
    load_split,
    save_split,
    split_by_patient,
    without_patients,
)
from nanoray.errors import DataSetError

CLASSES = ("Lung Opacity", "Normal", "Not Normal")


@pytest.fixture
def cases() -> list[Case]:
    rng = np.random.default_rng(5)
    made = []
    for index in range(600):
        name = CLASSES[int(rng.integers(3))]
        made.append(
            Case(
                path=Path(f"{index}.jpg"),
                patient=f"person-{int(rng.integers(350))}",
                class_name=name,
                target=int(name == "Lung Opacity"),
                source="native" if rng.random() < 0.5 else "enhanced",
            )
        )
    return made


def test_no_person_is_in_two_parts_and_only_native_images_are_judged(cases: list[Case]) -> None:
    split = split_by_patient(cases, seed=4)
    people = [{cases[i].patient for i in split.part(part)} for part in PARTS]
    assert not people[0] & people[1]
    assert not people[0] & people[2]
    assert not people[1] & people[2]
    assert {cases[i].source for i in split.validation + split.test} == {"native"}
    assert {cases[i].source for i in split.train} == {"native", "enhanced"}


def test_split_is_stratified_and_depends_on_the_seed_alone(cases: list[Case]) -> None:
    split = split_by_patient(cases, seed=1)
    assert split == split_by_patient(cases, seed=1)
    assert split != split_by_patient(cases, seed=2)
    shares = [np.mean([cases[i].target for i in split.part(part)]) for part in PARTS]
    assert np.ptp(shares) < 0.15


def test_split_file_round_trip_and_refusals(cases: list[Case], tmp_path: Path) -> None:
    split = split_by_patient(cases)
    path = tmp_path / "split.csv"
    save_split(path, cases, split)
    assert load_split(path, cases) == split
    text = path.read_text()
    path.write_text(text + "nobody,test\n")
    with pytest.raises(DataSetError, match=r"split\.csv"):
        load_split(path, cases)
    stem = cases[split.train[0]].path.stem
    path.write_text(text + f"{stem},test\n")
    with pytest.raises(DataSetError, match="two parts"):
        load_split(path, cases)


def test_without_patients_drops_persons_and_images(cases: list[Case]) -> None:
    held_out = cases[:50]
    kept = without_patients(cases, held_out)
    assert kept
    assert not {case.patient for case in kept} & {case.patient for case in held_out}


def test_table_errors_name_the_line(tmp_path: Path) -> None:
    with pytest.raises(DataSetError, match="no such folder"):
        read_folder(tmp_path / "absent")
    with pytest.raises(DataSetError, match="no cases"):
        read_folder(tmp_path)
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "a.png").write_bytes(b"")
    (tmp_path / "labels.csv").write_text("patientId,class_name,Target\na,Normal,0\nb,Normal,0\n")
    with pytest.raises(DataSetError, match="line 3"):
        read_folder(tmp_path)
    (tmp_path / "labels.csv").write_text("patientId,class_name,Target\na,Normal,zero\n")
    with pytest.raises(DataSetError, match="line 2"):
        read_folder(tmp_path)


def test_class_folders(tmp_path: Path) -> None:
    for name in ("NORMAL/a.png", "PNEUMONIA/b.jpg", "PNEUMONIA/notes.txt"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"")
    found = read_folder(tmp_path)
    assert [(case.class_name, case.target) for case in found] == [
        ("NORMAL", None),
        ("PNEUMONIA", None),
    ]


def test_grid_masks_are_shares_of_cells() -> None:
    box = (0.25, 0.5, 0.25, 0.375)
    masks = grid_masks([Case(Path("a"), "p", "x", 1, (box, box))], 4)
    expected = np.zeros((4, 4))
    expected[2, 1], expected[3, 1] = 1.0, 0.5
    np.testing.assert_allclose(masks[0], expected)
