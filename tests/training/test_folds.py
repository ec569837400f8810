"""Recipes as files, and their cross-validation from drawn radiographs to the report."""

from __future__ import annotations

import copy
import csv
import json
from collections import Counter
from pathlib import Path

import pytest
import yaml

from nanoray.datasets.folder import Case, read_folder, select
from nanoray.datasets.splits import split_into_folds
from nanoray.errors import DataSetError
from nanoray.evaluating.poststratification import cell_of
from nanoray.exporting.package import crossvalidated_metrics
from nanoray.reporting.crossvalidation_report import report
from nanoray.training.folds import SCORES, Plan, folds_of, gather
from nanoray.training.recipe_file import Places, check_places, read_recipe, sources_of
from small_runs import draw_phantoms, nanoray

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
TINY = {"role": "baseline", "size": 32, "epochs": 1, "keep": "last", "batch_size": 8}


def recipe(name: str, **steps: dict[str, object]) -> dict[str, object]:
    return {"name": name, "data": "drawn", "steps": steps}


PLAIN = recipe("plain", student={"settings": TINY, "pretrained": False})
TAUGHT = recipe(
    "taught",
    teacher={
        "settings": TINY | {"role": "teacher", "architecture": "resnet18"},
        "pretrained": False,
    },
    student={
        "settings": TINY | {"role": "student"},
        "extras": ["further"],
        "untaught": ["further"],
        "teachers": ["teacher"],
        "pretrained": False,
    },
)


def write(folder: Path, content: object) -> Path:
    path = folder / "recipe.yaml"
    path.write_text(yaml.safe_dump(content, sort_keys=False))
    return path


@pytest.mark.parametrize("path", sorted((ROOT / "recipes").glob("*.yaml")), ids=lambda p: p.stem)
def test_packaged_recipes_are_valid(path: Path) -> None:
    found = read_recipe(path)
    assert found.name == path.stem
    # Cross-validation may not choose an epoch by the images that judge it.
    assert all(step.settings.keep == "last" for step in found.steps)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ([1], "expected data, name, steps"),
        ({"name": "x", "data": "y"}, "steps is missing"),
        (recipe("x"), "at least one training run"),
        (recipe("x", a={"settings": TINY, "weight": "w"}), "a: unknown key weight; use"),
        (recipe("x", a={"settings": {"size": 32}}), "a: role must be one of pretrain"),
        (recipe("x", a={"settings": TINY | {"size": 8}}), "a: size: 8 is less than 32"),
        (recipe("x", a={"settings": TINY | {"speed": 8}}), "a: no such setting: speed"),
        (
            recipe("x", a={"settings": TINY | {"architecture": "resnet19"}}),
            r"did you mean .*resnet18",
        ),
        (recipe("x", a={"settings": TINY, "start": "b"}), "a: no earlier step 'b'"),
        (recipe("x", a={"settings": TINY, "teachers": "a"}), "a: teachers must be a list"),
        (
            recipe("x", a={"settings": TINY, "extras": ["b/c"], "apart": ["b"]}),
            "a: apart: not among the extras: b",
        ),
        (PLAIN | {"package": {"step": "teacher"}}, "package: no step 'teacher'"),
    ],
)
def test_bad_recipes_name_the_place(tmp_path: Path, content: object, reason: str) -> None:
    with pytest.raises(DataSetError, match=reason):
        read_recipe(write(tmp_path, content))


def test_names_become_places(tmp_path: Path) -> None:
    student = read_recipe(write(tmp_path, TAUGHT)).steps[1]
    places = Places(Path("data"), Path("weights"), Path("cache"))
    sources = sources_of(student, places, {"teacher": Path("runs/teacher")})
    assert sources.extras == [Path("data/further")]
    assert sources.teachers == [Path("runs/teacher")]
    with pytest.raises(DataSetError, match="not found: data/drawn, data/further"):
        check_places(read_recipe(write(tmp_path, TAUGHT)), places)
    assert sources.pretrained is False
    assert sources.untaught == ["further"]
    # Settings that a step leaves out are those of its role.
    assert student.settings.attention_weight == 0.5


def people(count: int) -> list[Case]:
    kinds = [("Lung Opacity", "AP", 1), ("Normal", "PA", 0), ("Normal", "AP", 0)]
    return [
        Case(
            Path(f"{i}.png"), f"p{i // 3}", *kinds[i % 3][:1], kinds[i % 3][2], view=kinds[i % 3][1]
        )
        for i in range(count)
    ]


def test_folds_keep_patients_together_and_classes_alike() -> None:
    cases = people(300)
    judged = list(range(0, 300, 2))
    splits = split_into_folds(cases, judged)
    assert sorted(i for split in splits for i in split.validation) == judged
    for split in splits:
        inside = {cases[i].patient for i in split.validation}
        assert not inside & {cases[i].patient for i in split.train}
        # Images that are not judged train, but for those of the fold's patients.
        assert len(split.train) == sum(case.patient not in inside for case in cases)
        positive = sum(cases[i].target for i in split.validation)
        assert 8 <= positive <= 12
    with pytest.raises(DataSetError, match="5 folds need at least as many patients"):
        split_into_folds(cases[:9], range(9))


def test_selection_by_a_column_names_what_is_there(tmp_path: Path) -> None:
    cases = [Case(Path("a.png"), "a", "Normal", 0, columns={"publisher": "one"})]
    assert select(cases, "publisher", "one") == [0]
    with pytest.raises(DataSetError, match="no image has the publisher 'two'; there are one"):
        select(cases, "publisher", "two")
    with pytest.raises(DataSetError, match="no column 'printer'; it has publisher"):
        select(cases, "printer", "one")


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("folds")
    draw_phantoms(folder / "drawn", 60, 32)
    draw_phantoms(folder / "further", 40, 32)
    for name, content in (("plain", PLAIN), ("taught", TAUGHT)):
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(content, sort_keys=False))
    return folder


def test_two_recipes_from_radiographs_to_report(work: Path) -> None:
    options = ("--data", work, "--output", work / "cv", "--folds", 2, "--seeds", 1)
    options += ("--draws", 100, "--cache", work / "cache", "--quiet", "--jobs", 1)
    text = nanoray("crossvalidate", work / "plain.yaml", work / "taught.yaml", *options)
    assert "Paired difference from plain" in text
    assert "| taught/teacher |" in text
    tables = [work / f"cv/scores/{name}.csv" for name in ("plain", "taught", "taught-teacher")]
    for table in tables:
        with table.open(newline="") as file:
            assert len(list(csv.DictReader(file))) == 60
    results = json.loads((work / "cv/results.json").read_text())
    assert [one["recipe"] for one in results["recipes"]] == ["plain", "taught", "taught/teacher"]
    # What a model's card carries of them.
    every = {one["recipe"]: one["figures"] for one in results["recipes"]}
    for name in ("plain", "taught"):
        figures = crossvalidated_metrics(work / "cv/results.json", name)
        assert list(figures["cross-validated AUROC"]) == every[name]["AUROC"]
    with pytest.raises(DataSetError, match="name one of its recipes: plain, taught"):
        crossvalidated_metrics(work / "cv/results.json")
    with pytest.raises(DataSetError, match="no recipe 'best'; it has plain, taught"):
        crossvalidated_metrics(work / "cv/results.json", "best")
    with pytest.raises(DataSetError, match=r"not the results\.json"):
        crossvalidated_metrics(work / "plain.yaml")
    for picture in ("figures.png", "gains.png"):
        assert (work / "cv" / picture).stat().st_size > 5000
    # The same figures from the table of scores, and from a population's counts.
    mix = work / "mix.csv"
    mix.write_text("class_name,view,box_area,images\nLung Opacity,PA,<5%,1\n")
    with pytest.raises(DataSetError, match="needs cells with an opacity"):
        report(tables, work / "drawn/labels.csv", mix, draws=100)
    counts = Counter(cell_of(case) for case in read_folder(work / "drawn"))
    rows_of_mix = [f"{c.class_name},{c.view},{c.area},{n}" for c, n in counts.items()]
    mix.write_text("\n".join(["class_name,view,box_area,images", *rows_of_mix]))
    assert report(tables, work / "drawn/labels.csv", mix, draws=100) in text
    # No run has learned from a patient of its fold, in the further data set neither.
    cases = {case.path.stem: case.patient for case in read_folder(work / "drawn")}
    for split in (work / "cv").glob("seed-0/fold-*/student-*/split.csv"):
        rows = list(csv.DictReader(split.open(newline="")))
        parts = [
            {cases[r["image"]] for r in rows if r["part"] == p} for p in ("train", "validation")
        ]
        assert not parts[0] & parts[1]
        assert all(parts)
    # A finished run is not trained again; a folder of another fold would be.
    before = {p: p.stat().st_mtime_ns for p in (work / "cv").rglob("weights.safetensors")}
    assert len(before) == 2 * 3
    again = nanoray("crossvalidate", work / "plain.yaml", work / "taught.yaml", *options)
    assert "4 finished before" in again
    assert before == {p: p.stat().st_mtime_ns for p in (work / "cv").rglob("weights.safetensors")}


def test_report_is_limited_to_some_of_the_validated_images(work: Path, tmp_path: Path) -> None:
    options = (
        "--data",
        work,
        "--output",
        tmp_path / "cv",
        "--folds",
        2,
        "--seeds",
        1,
        "--draws",
        100,
    )
    options += ("--cache", work / "cache", "--quiet", "--jobs", 1)
    nanoray("crossvalidate", work / "plain.yaml", *options)
    views = Counter(case.view for case in read_folder(work / "drawn"))
    text = nanoray("crossvalidate", work / "plain.yaml", *options, "--report-on", "view=AP")
    assert "2 finished before" in text
    assert f"{views['AP']} images of" in text
    assert 0 < views["AP"] < views.total()
    text = nanoray(
        "crossvalidate", work / "plain.yaml", *options, "--validate-on", "view=AP",
        "--report-on", "view=PA", fails=True,
    )  # fmt: skip
    assert "--report-on view=PA: no image of --validate-on" in text


def test_report_on_what_is_finished_trains_nothing(work: Path, tmp_path: Path) -> None:
    text = nanoray(
        "crossvalidate", work / "plain.yaml", "--data", work, "--output", tmp_path / "cv",
        "--report", fails=True,
    )  # fmt: skip
    assert "no fold is finished" in text


def test_a_recipe_that_chooses_its_epoch_is_refused(work: Path, tmp_path: Path) -> None:
    best = recipe("best", student={"settings": TINY | {"keep": "best"}, "pretrained": False})
    text = nanoray(
        "crossvalidate", write(tmp_path, best), "--data", work, "--output", tmp_path / "cv",
        fails=True,
    )  # fmt: skip
    assert "keep: last" in text


def test_recipes_share_the_runs_of_equal_steps(tmp_path: Path) -> None:
    cases = people(60)
    other = copy.deepcopy(TAUGHT) | {"name": "other"}
    other["steps"]["student"]["settings"]["hard_label_weight"] = 0.9
    chosen = [read_recipe(write(tmp_path, content)) for content in (TAUGHT, other)]
    places = Places(tmp_path, tmp_path, tmp_path)
    plan = Plan(chosen, tmp_path, cases, range(60), places, tmp_path / "cv", folds=2, seeds=(0,))
    first, _, second, _ = folds_of(plan)
    assert first.runs["teacher"] == second.runs["teacher"]
    assert first.runs["student"] != second.runs["student"]
    short = chosen[0].resized(32)
    assert (short.name, short.steps[0].settings.size) == ("taught-32", 32)
    assert gather(folds_of(plan)) == []
    for fold in folds_of(plan):
        for step in fold.scored:
            fold.runs[step.name].mkdir(parents=True, exist_ok=True)
            (fold.runs[step.name] / SCORES).write_text("patientId,logit\nx,1\n")
    assert [one.recipe for one in gather(folds_of(plan))] == ["taught", "taught/teacher", "other"]
