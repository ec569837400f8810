"""Published radiographs to a prepared data set: Kaggle's layout, class folders, tables."""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from nanoray.commands.app import app
from nanoray.datasets import prepare
from nanoray.datasets.flow import count_flow, draw_flow
from nanoray.datasets.folder import Case, read_folder, select
from nanoray.datasets.images import load_squares
from nanoray.datasets.labelled import open_labelled
from nanoray.datasets.labels import read_labels
from nanoray.datasets.phantom import Phantom, draw, write_dicom
from nanoray.datasets.sources import Source, folder_sources, rsna_sources, table_sources
from nanoray.datasets.splits import (
    PARTS,
    read_published,
    shared_people,
    split_official,
    split_published,
    split_recipe,
)
from nanoray.errors import DataSetError
from nanoray.evaluating.crossvalidation import read_scores
from nanoray.evaluating.poststratification import read_population

COUNT = 24
CORRUPT = "patient-05"


def run(*arguments: object, code: int = 0) -> str:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == code, result.output
    return result.output


@pytest.fixture(scope="module")
def kaggle(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Phantom]]:
    """Kaggle's layout with drawn radiographs, one of them cut off, two boxes for some."""
    folder = tmp_path_factory.mktemp("kaggle")
    images = folder / "stage_2_train_images"
    images.mkdir()
    drawn: dict[str, Phantom] = {}
    labels, classes = [], []
    for index in range(COUNT):
        name = f"patient-{index:02d}"
        phantom = draw(index, size=96, opacity=index % 3 == 0)
        drawn[name] = phantom
        write_dicom(phantom, images / f"{name}.dcm")
        for box in phantom.boxes or [("", "", "", "")]:
            labels.append([name, *box, int(bool(phantom.boxes))])
            kind = ("Lung Opacity", "Normal", "No Lung Opacity / Not Normal")[index % 3]
            classes.append([name, kind])
    cut = images / f"{CORRUPT}.dcm"
    cut.write_bytes(cut.read_bytes()[:900])
    write_csv(
        folder / "stage_2_train_labels.csv",
        ["patientId", "x", "y", "width", "height", "Target"],
        labels,
    )
    write_csv(folder / "stage_2_detailed_class_info.csv", ["patientId", "class"], classes)
    return folder, drawn


def write_csv(path: Path, header: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([header, *rows])


@pytest.fixture(scope="module")
def prepared(kaggle: tuple[Path, dict[str, Phantom]]) -> Path:
    output = kaggle[0].parent / "prepared"
    text = run("prepare", "rsna", kaggle[0], "-o", output, "--size", 64, code=1)
    assert f"{COUNT - 1} radiographs (0 from an earlier run)" in text
    assert "1 files unreadable" in text
    assert f"Flow diagram of the images: {output / 'flow.svg'}" in text
    # Without the patients' numbers a split is one by image.
    assert "warning: every image counts as a separate patient" in text
    assert "pneumonia-challenge-dataset-mappings_2018.json" in text
    assert "images only: its figures will be uncertain" in text
    return output


def test_labels_boxes_and_facts_of_the_files(
    kaggle: tuple[Path, dict[str, Phantom]], prepared: Path
) -> None:
    cases = {case.path.stem: case for case in read_folder(prepared)}
    assert len(cases) == COUNT - 1
    for name, case in cases.items():
        phantom = kaggle[1][name]
        assert case.target == int(bool(phantom.boxes))
        assert (case.view, case.sex, case.age) == (phantom.view, phantom.sex, phantom.age)
        assert (case.class_name == "Lung Opacity") == bool(phantom.boxes)
        assert case.boxes is not None
        rows, columns = phantom.pixels.shape
        for box, (x, y, width, height) in zip(case.boxes, phantom.boxes, strict=True):
            expected = (x / columns, y / rows, width / columns, height / rows)
            assert box == pytest.approx(expected, abs=1e-4)


def test_images_are_what_a_prediction_would_read(
    kaggle: tuple[Path, dict[str, Phantom]], prepared: Path, tmp_path: Path
) -> None:
    cases = read_folder(prepared)
    originals = [
        Case(kaggle[0] / "stage_2_train_images" / f"{case.path.stem}.dcm", "", "") for case in cases
    ]
    once = load_squares(cases, 64, tmp_path, show_progress=False)
    np.testing.assert_array_equal(once, load_squares(originals, 64, tmp_path, show_progress=False))
    for case in cases:
        with Image.open(case.path) as image:
            assert image.mode == "L"
            assert max(image.size) == 64


def test_unreadable_files_are_listed_with_the_reason(prepared: Path) -> None:
    with (prepared / "unreadable.csv").open() as file:
        (row,) = csv.DictReader(file)
    assert row["image"] == CORRUPT
    assert len(row["reason"]) > 10
    assert not (prepared / "images" / f"{CORRUPT}.png").exists()


def test_flow_of_images_counts_exclusions_parts_and_classes(prepared: Path) -> None:
    flow = json.loads((prepared / "flow.json").read_text())
    with (prepared / "unreadable.csv").open() as file:
        assert flow["excluded"] == {row["reason"]: 1 for row in csv.DictReader(file)}
    cases = read_folder(prepared)
    assert flow["listed"] == COUNT == len(cases) + 1
    assert flow["kept"]["patients"] == len({case.patient for case in cases})
    assert flow["kept"]["classes"] == Counter(case.class_name for case in cases)
    with (prepared / "split.csv").open() as file:
        sizes = Counter(row["part"] for row in csv.DictReader(file))
    assert {part: group["images"] for part, group in flow["parts"].items()} == sizes
    for group in flow["parts"].values():
        assert sum(group["classes"].values()) == group["images"]
    drawing = ElementTree.parse(prepared / "flow.svg")
    text = [found.text for found in drawing.iter("{http://www.w3.org/2000/svg}text")]
    assert f"{COUNT} images, {flow['listed_patients']} patients" in text
    assert "Excluded: 1 image" in text
    assert text.count("Train") == 1


def test_flow_diagram_takes_any_name_and_reason() -> None:
    source = Source("a", Path("a.png"), "<b> & \x00", 1, "p")
    reasons = [f"reason {number} <&>" for number in range(9)]
    flow = count_flow([source], [(source, reason) for reason in reasons], {})
    text = [found.text for found in ElementTree.fromstring(draw_flow(flow)).iter()]
    assert flow["parts"].keys() == {"in no part"}
    assert "1 <b> &" in text
    assert "1 reason 0 <&>" in text
    assert "3 others (3 kinds)" in text


def test_prepared_split_is_the_one_that_is_opened(prepared: Path) -> None:
    data = open_labelled(prepared)
    about = json.loads((prepared / "dataset.json").read_text())
    assert {part: len(data.split.part(part)) for part in PARTS} == about["parts"]
    assert sum(about["parts"].values()) == COUNT - 1
    assert not shared_people(data.cases, data.split)


def test_a_second_run_goes_on_where_the_first_was(
    kaggle: tuple[Path, dict[str, Phantom]], prepared: Path, tmp_path: Path
) -> None:
    """As after a kill: an image lost, one cut off, a line of the journal half written."""
    output = tmp_path / "again"
    run("prepare", "rsna", kaggle[0], "-o", output, "--size", 64, code=1)
    whole = {path.name: path.read_bytes() for path in (output / "images").iterdir()}
    lost, short = sorted((output / "images").iterdir())[:2]
    lost.unlink()
    short.write_bytes(short.read_bytes()[:50])
    journal = output / "journal.jsonl"
    journal.write_text(journal.read_text().rstrip("\n")[:-40])
    (output / "labels.csv").unlink()
    text = run("prepare", "rsna", kaggle[0], "-o", output, "--size", 64, code=1)
    assert f"({COUNT - 4} from an earlier run)" in text
    assert {path.name: path.read_bytes() for path in (output / "images").iterdir()} == whole
    for name in ("labels.csv", "split.csv", "manifest.csv"):
        assert (output / name).read_bytes() == (prepared / name).read_bytes()
    result = run("prepare", "rsna", kaggle[0], "-o", output, "--size", 96, code=2)
    assert "was prepared with a size of 64" in result


def test_an_original_that_changed_is_made_again(tmp_path: Path) -> None:
    folder, output = tmp_path / "data", tmp_path / "out"
    for name, grey in (("a/1", 40), ("a/2", 50), ("pneumonia/3", 60)):
        path = folder / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (40, 40), grey).save(path)
    sources = folder_sources(folder)
    list(prepare.prepare_images(sources, output, size=32, workers=1))
    Image.new("L", (40, 44), 90).save(folder / "a" / "1.png")
    steps = list(prepare.prepare_images(sources, output, size=32, workers=1))
    assert {step.source.name for step in steps if not step.resumed} == {"1"}
    with Image.open(output / "images" / "1.png") as image:
        assert image.size == (29, 32)


def test_manifest_notices_change_and_loss(prepared: Path, tmp_path: Path) -> None:
    assert "0 missing or changed" in run("prepare", "verify", prepared)
    copy = tmp_path / "copy"
    for path in sorted(prepared.rglob("*")):
        if path.is_file():
            target = copy / path.relative_to(prepared)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(path.read_bytes())
    first, second = sorted((copy / "images").iterdir())[:2]
    first.unlink()
    data = bytearray(second.read_bytes())
    data[-20] ^= 1
    second.write_bytes(data)
    (copy / "labels.csv").write_text("")
    text = run("prepare", "verify", copy, code=1)
    assert f"images/{first.name}: missing" in text
    assert f"images/{second.name}: changed" in text
    assert "labels.csv: changed" in text
    assert run("prepare", "verify", tmp_path, code=2)


def test_nih_mapping_joins_the_images_of_a_person(
    kaggle: tuple[Path, dict[str, Phantom]], tmp_path: Path
) -> None:
    mapping = tmp_path / "mapping.json"
    mapping.write_text(
        json.dumps(
            [
                {"subset_img_id": f"patient-{i:02d}", "img_id": f"{i // 2:08d}_{i % 2:03d}.png"}
                for i in range(COUNT)
            ]
        )
    )
    sources = rsna_sources(kaggle[0], mapping=mapping)
    assert len({source.patient for source in sources}) == COUNT // 2
    assert sources[0].patient == "00000000"
    text = run(
        *("prepare", "rsna", kaggle[0], "-o", tmp_path / "x", "--mapping", mapping),
        *("--split", "recipe"),
        code=2,
    )
    assert "patients into two parts" in text
    assert not (tmp_path / "x").exists()
    mapping.write_text('[{"img_id": 3}]')
    with pytest.raises(DataSetError, match="subset_img_id"):
        rsna_sources(kaggle[0], mapping=mapping)


def test_patients_that_are_known_give_no_warning(
    kaggle: tuple[Path, dict[str, Phantom]], tmp_path: Path
) -> None:
    mapping = tmp_path / "mapping.json"
    names = [
        {"subset_img_id": f"patient-{i:02d}", "img_id": f"{i:08d}_000.png"} for i in range(COUNT)
    ]
    mapping.write_text(json.dumps(names))
    sources = rsna_sources(kaggle[0], mapping=mapping)
    made = prepare.prepare(sources, tmp_path / "x", kind="rsna", size=32)
    assert made.patients == made.images == COUNT - 1
    assert not [warning for warning in made.warnings if "mapping" in warning]


def test_kaggle_layout_that_is_not_one(tmp_path: Path) -> None:
    with pytest.raises(DataSetError, match="stage_2_train_labels"):
        rsna_sources(tmp_path)
    (tmp_path / "labels.csv").write_text("patientId,class_name\n")
    with pytest.raises(DataSetError, match="nanoray prepare csv"):
        rsna_sources(tmp_path)
    (tmp_path / "stage_2_train_images").mkdir()
    table = tmp_path / "stage_2_train_labels.csv"
    table.write_text("patientId,Target\na,0\na,1\n")
    with pytest.raises(DataSetError, match="line 3"):
        rsna_sources(tmp_path)
    table.write_text("patientId,Target\na,2\n")
    with pytest.raises(DataSetError, match="line 2"):
        rsna_sources(tmp_path)
    table.write_text("patientId\na\n")
    with pytest.raises(DataSetError, match="no column Target"):
        rsna_sources(tmp_path)


def test_recipe_split_has_the_published_sizes() -> None:
    cases = [Case(Path(f"{i}.png"), str(i), "", int(i % 40 < 9)) for i in range(26684)]
    split = split_recipe(cases)
    assert [len(split.part(part)) for part in PARTS] == [21347, 2668, 2669]
    shares = [np.mean([cases[i].target for i in split.part(part)]) for part in PARTS]
    assert np.ptp(shares) < 0.001
    assert split == split_recipe(cases)


def test_published_lists_in_their_forms(tmp_path: Path) -> None:
    cases = [Case(Path(f"id-{i}.png"), str(i), "", i % 2) for i in range(6)]
    one = tmp_path / "lists.csv"
    one.write_text("patientId,split\nid-0,train\nid-1,val\nid-3.dcm,test\nnot-here,test\n")
    split = split_published(cases, one)
    assert (split.train, split.validation, split.test) == ((0,), (1,), (3,))
    several = tmp_path / "lists"
    several.mkdir()
    (several / "train_1.txt").write_text("stage_2_train_images/id-0.dcm 1\nid-2.png,0\n")
    (several / "valid.csv").write_text("ID,Target\nid-4,0\n")
    (several / "test.txt").write_text("id-5\n\n")
    (several / "notes.txt").write_text("id-1\n")
    split = split_published(cases, several)
    assert (split.train, split.validation, split.test) == ((0, 2), (4,), (5,))
    one.write_text("image,part\nother-0,train\nother-1,test\n")
    with pytest.raises(DataSetError, match=r"its 2 images are not .* lists other-0, .* id-0"):
        split_published(cases, one)
    one.write_text("image,part\nid-0,train\nid-0,test\n")
    with pytest.raises(DataSetError, match="two parts"):
        read_published(one)
    one.write_text("image,fold\nid-0,1\n")
    with pytest.raises(DataSetError, match="column"):
        read_published(one)


def write_picture(path: Path, rng: np.random.Generator) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(rng.integers(0, 255, (24, 20), np.uint8)).save(path)


def test_kermany_patients_and_official_test(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for person in range(1, 31):
        for image in range(1 + person % 2):
            name = f"train/PNEUMONIA/person{person}_bacteria_{100 * person + image}.jpeg"
            write_picture(tmp_path / "k" / name, rng)
            write_picture(tmp_path / "k" / f"train/NORMAL/IM-{person:04d}-{image:04d}.jpeg", rng)
            name = f"train/NORMAL/NORMAL2-IM-{person:04d}-{image:04d}.jpeg"
            write_picture(tmp_path / "k" / name, rng)
    write_picture(tmp_path / "k" / "val/NORMAL/NORMAL2-IM-1427-0001.jpeg", rng)
    for person in range(1, 6):
        # The same number as a bacterial case of the training part: another person.
        write_picture(tmp_path / "k" / f"test/PNEUMONIA/person{person}_virus_{person}.jpeg", rng)
        write_picture(tmp_path / "k" / f"test/NORMAL/IM-{500 + person:04d}-0001.jpeg", rng)
    sources = folder_sources(tmp_path / "k")
    patients = {source.name: source.patient for source in sources}
    assert patients["person3_bacteria_301"] == "person3_bacteria"
    assert patients["IM-0003-0001"] == "IM-0003"
    assert patients["NORMAL2-IM-0003-0001"] == "NORMAL2-IM-0003"
    assert {(source.class_name, source.target) for source in sources} == {
        ("NORMAL", 0),
        ("PNEUMONIA", 1),
    }
    # One image is less than 1 % of a hundred: as Kermany's 16, it is no validation part.
    run("prepare", "folder", tmp_path / "k", "-o", tmp_path / "out", "--size", 32)
    data = open_labelled(tmp_path / "out")
    test = {data.cases[i].path.stem for i in data.split.test}
    assert test == {source.name for source in sources if source.part == "test"}
    assert 6 <= len(data.split.validation) <= 20
    assert not shared_people(data.cases, data.split)
    assert len(data.cases) == len(sources)


def test_files_of_one_name_are_told_apart(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for name in ("train/A/1.png", "test/A/1.png", "train/B/1.png", "train/B/2.png"):
        write_picture(tmp_path / name, rng)
    sources = folder_sources(tmp_path, positive=["b"])
    assert [source.name for source in sources] == ["test__A__1", "train__A__1", "train__B__1", "2"]
    assert [source.target for source in sources] == [0, 0, 1, 1]
    with pytest.raises(DataSetError, match="--positive"):
        folder_sources(tmp_path)
    with pytest.raises(DataSetError, match="regular expression"):
        folder_sources(tmp_path, positive=["B"], patient_pattern="(")
    with pytest.raises(DataSetError, match="no class folders"):
        folder_sources(tmp_path / "train" / "A", positive=["B"])


def test_positive_classes_are_never_ignored(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for index in range(4):
        write_picture(tmp_path / f"scan{index}.png", rng)
    table = tmp_path / "table.csv"
    rows = [
        [f"scan{index}.png", ("Pneumonia", "Normal")[index % 2], index % 2] for index in range(4)
    ]
    write_csv(table, ["image", "class", "Target"], rows)
    with pytest.raises(DataSetError, match="column Target has the targets"):
        table_sources(table, positive=["Normal"])
    assert [source.target for source in table_sources(table)] == [0, 1, 0, 1]
    write_csv(table, ["image", "class"], [row[:2] for row in rows])
    found = table_sources(table, positive=["Pneumonia"])
    assert [source.target for source in found] == [1, 0, 1, 0]
    with pytest.raises(DataSetError, match="no class 'Foo'"):
        table_sources(table, positive=["Pneumonia", "Foo"])


def test_tables_of_another_encoding_are_refused_with_the_remedy(tmp_path: Path) -> None:
    table = tmp_path / "table.csv"
    table.write_bytes("image,file,target\nJürgen.png,Jürgen.png,1\n".encode("cp1252"))
    for read in (table_sources, read_labels, read_population, read_scores, read_published):
        with pytest.raises(DataSetError, match="in Excel: CSV UTF-8"):
            read(table)


def test_table_with_its_own_columns(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    rows = []
    for index in range(30):
        write_picture(tmp_path / "pictures" / f"scan{index}.png", rng)
        label = "COVID" if index % 3 == 0 else "Normal"
        rows.append([f"scan{index}.png", label, f"p{index // 2}", 30 + index, "[]"])
    table = tmp_path / "table.csv"
    write_csv(table, ["filename", "finding", "who", "age", "boxes"], rows)
    with pytest.raises(DataSetError, match="--positive"):
        table_sources(table, images=tmp_path / "pictures")
    with pytest.raises(DataSetError, match="no column 'nobody'"):
        table_sources(table, columns={"patient": "nobody"})
    output = tmp_path / "out"
    run(
        *("prepare", "csv", table, "-o", output, "--images", tmp_path / "pictures"),
        *("--patient-column", "who", "--positive", "covid", "--size", 32),
        *("--validation", 0.2, "--test", 0.2),
    )
    cases = read_folder(output)
    assert sum(case.target or 0 for case in cases) == 10
    assert cases[4].patient == "p2"
    assert cases[4].age == 34
    data = open_labelled(output)
    assert not shared_people(data.cases, data.split)


def test_table_of_a_prepared_data_set_is_read_again(prepared: Path) -> None:
    again = table_sources(prepared / "labels.csv")
    cases = read_folder(prepared)
    assert [source.path for source in again] == [case.path for case in cases]
    assert [source.target for source in again] == [case.target for case in cases]
    with_boxes = next(source for source in again if source.boxes)
    case = next(case for case in cases if case.path == with_boxes.path)
    assert case.boxes is not None
    assert with_boxes.boxes is not None
    assert with_boxes.boxes[0][0] == pytest.approx(1024 * case.boxes[0][0])


def test_one_column_label_is_of_numbers_or_of_words(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for name in ("a", "b"):
        write_picture(tmp_path / f"{name}.png", rng)
    table = tmp_path / "table.csv"
    write_csv(table, ["image", "label"], [["a", 1], ["b.png", 0]])
    assert [source.target for source in table_sources(table)] == [1, 0]
    write_csv(table, ["image", "label"], [["a", "Pneumonia"], ["b", "Normal"]])
    assert [source.class_name for source in table_sources(table)] == ["Pneumonia", "Normal"]
    write_csv(table, ["image", "target"], [["a", "yes"]])
    with pytest.raises(DataSetError, match="line 2"):
        table_sources(table)
    write_csv(table, ["label"], [["1"]])
    with pytest.raises(DataSetError, match="--image-column"):
        table_sources(table)


def test_targets_are_0_or_1(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for name in ("a", "b"):
        write_picture(tmp_path / f"{name}.png", rng)
    table = tmp_path / "table.csv"
    for value in ("0.7", "2", "-1", "nan"):
        write_csv(table, ["image", "Target"], [["a", 1], ["b", value]])
        with pytest.raises(DataSetError, match=f"line 3: the target must be 0 or 1, not '{value}'"):
            table_sources(table)
    write_csv(table, ["image", "Target"], [["a", 1], ["b", ""]])
    with pytest.raises(DataSetError, match="1 of 2 rows have no Target"):
        table_sources(table)
    write_csv(table, ["image", "Target"], [["a", "1.0"], ["b", "0.0"]])
    assert [source.target for source in table_sources(table)] == [1, 0]


def test_publisher_is_kept(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    rows = []
    for index in range(20):
        write_picture(tmp_path / f"{index}.png", rng)
        rows.append([f"{index}.png", index % 2, f"p{index // 2}", "AP", ("one", "two")[index % 2]])
    table = tmp_path / "table.csv"
    write_csv(table, ["image", "Target", "patient", "view", "publisher"], rows)
    made = prepare.prepare(
        table_sources(table), tmp_path / "x", kind="csv", size=32, validation=0.2, test=0.2
    )
    assert made.images == 20
    cases = read_folder(tmp_path / "x")
    assert {case.view for case in cases} == {"AP"}
    assert len(select(cases, "publisher", "two")) == 10


def test_file_names_without_a_patient_are_pointed_out(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for index in range(40):
        label = ("normal", "pneumonia")[index % 2]
        write_picture(tmp_path / "raw" / label / f"case7_{index}.png", rng)
    text = run("prepare", "folder", tmp_path / "raw", "-o", tmp_path / "x", "--size", 32)
    assert "40 of 40 images count as separate patients" in text
    assert "--patient-pattern" in text
    text = run(
        *("prepare", "folder", tmp_path / "raw", "-o", tmp_path / "y", "--size", 32),
        *("--patient-pattern", r"case\d+_\d", "--validation", 0.2, "--test", 0.2),
    )
    assert "separate patients" not in text


def test_official_parts_that_share_a_person() -> None:
    cases = [Case(Path(f"{i}.png"), f"p{i // 2}", "x", i % 2) for i in range(200)]
    parts = ["train"] * 149 + ["test"] * 51
    with pytest.raises(DataSetError, match="two of the data set's own parts"):
        split_official(cases, parts)
    with pytest.raises(DataSetError, match="lack"):
        split_official(cases, ["train"] * 200)


def test_wrong_use(kaggle: tuple[Path, dict[str, Phantom]], tmp_path: Path) -> None:
    text = run("prepare", "rsna", kaggle[0], "-o", tmp_path / "x", "--split", "mrm", code=2)
    assert "no such list" in text
    assert "class folders" in run("prepare", "folder", tmp_path, "-o", tmp_path / "x", code=2)
