"""Data sets and their splits."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from nanoray.datasets.folder import Case, read_folder
from nanoray.datasets.images import grid_masks
from nanoray.datasets.labelled import SPLIT, cases_to_judge, check_trainable, open_labelled
from nanoray.datasets.splits import (
    PARTS,
    load_split,
    save_split,
    split_by_patient,
    without_patients,
)
from nanoray.errors import DataSetError
from nanoray.training.teachers import refuse_leaks

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
    path.write_text("image,part\n")
    with pytest.raises(DataSetError, match="lists no image"):
        load_split(path, cases)
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
    for value in ("zero", "0.7", "2"):
        (tmp_path / "labels.csv").write_text(f"patientId,class_name,Target\na,Normal,{value}\n")
        with pytest.raises(DataSetError, match=f"line 2: the target must be 0 or 1, not '{value}'"):
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


@pytest.fixture
def labelled(tmp_path: Path) -> Path:
    """Sixty empty images of thirty patients with targets, and a split by their order."""
    (tmp_path / "images").mkdir()
    rows = ["patientId,class_name,Target,source_patient"]
    parts = ["image,part"]
    for index in range(60):
        (tmp_path / "images" / f"i{index}.png").write_bytes(b"")
        rows.append(f"i{index},{('Normal', 'Lung Opacity')[index % 2]},{index % 2},p{index // 2}")
        parts.append(f"i{index},{PARTS[index // 20]}")
    (tmp_path / "labels.csv").write_text("\n".join(rows))
    (tmp_path / SPLIT).write_text("\n".join(parts))
    return tmp_path


def test_resplit_overrides_the_split_on_file(labelled: Path) -> None:
    assert open_labelled(labelled, seed=1).split.test == tuple(range(40, 60))
    first = open_labelled(labelled, seed=1, resplit=True).split
    assert first.test != tuple(range(40, 60))
    assert first != open_labelled(labelled, seed=2, resplit=True).split


def test_what_is_judged_is_never_a_silent_quarter(labelled: Path) -> None:
    assert cases_to_judge(labelled)[1:] == (list(range(40, 60)), "test")
    assert cases_to_judge(labelled, part="all")[1:] == (list(range(60)), "all")
    (labelled / SPLIT).unlink()
    with pytest.raises(DataSetError, match=r"has no split\.csv.*--part all.*--split RUN"):
        cases_to_judge(labelled)
    assert len(cases_to_judge(labelled, part="all")[1]) == 60
    # Asked for by name, the part is drawn from the seed.
    assert 8 <= len(cases_to_judge(labelled, part="test", seed=3)[1]) <= 20
    split = labelled / "mine.csv"
    split.write_text("image,part\ni0,train\ni2,validation\n")
    with pytest.raises(DataSetError, match="the test part is empty"):
        cases_to_judge(labelled, split=split)


def test_a_part_of_one_target_cannot_be_trained_on(labelled: Path) -> None:
    check_trainable(open_labelled(labelled))
    split = labelled / "mine.csv"
    split.write_text("image,part\ni0,train\ni1,train\ni2,validation\ni4,validation\ni6,test\n")
    with pytest.raises(DataSetError, match="the validation part has 0 positive images of 2"):
        check_trainable(open_labelled(labelled, split=split))


def test_a_run_that_knows_the_judged_patients_is_refused(labelled: Path, tmp_path: Path) -> None:
    data = open_labelled(labelled)
    run = tmp_path / "run"
    run.mkdir()
    # Not the validation image itself, but another of its patient.
    (run / SPLIT).write_text("image,part\ni0,train\n")
    refuse_leaks([run], data)
    split = labelled / "mine.csv"
    split.write_text("image,part\ni0,train\ni1,train\ni20,validation\ni22,test\n")
    (run / SPLIT).write_text("image,part\ni21,train\n")
    with pytest.raises(DataSetError, match="trained on 1 images of patients in this validation"):
        refuse_leaks([run], open_labelled(labelled, split=split))
    model = tmp_path / "model.onnx"
    model.write_bytes(b"")
    with pytest.warns(UserWarning, match="training patients of a model file are unknown"):
        refuse_leaks([model], data)
