"""Cross-validated figures against scikit-learn, by hand, and from files that are wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, roc_auc_score

from nanoray.datasets.folder import Case
from nanoray.errors import DataSetError
from nanoray.evaluating.calibration import calibration_line
from nanoray.evaluating.crossvalidation import (
    FoldScores,
    crossvalidation,
    read_scores,
)
from nanoray.evaluating.poststratification import (
    Cell,
    Population,
    area_band,
    box_share,
    poststratify,
    read_population,
)
from nanoray.reporting.crossvalidation_report import markdown

POPULATION = Population(
    {
        Cell("Lung Opacity", "AP", "<5%"): 100,
        Cell("Lung Opacity", "AP", ">10%"): 100,
        Cell("Normal", "AP", ""): 200,
        Cell("Normal", "PA", ""): 600,
    }
)


def case(name: str, view: str, boxes: tuple[Any, ...] = (), patient: str | None = None) -> Case:
    target = int(bool(boxes))
    label = "Lung Opacity" if target else "Normal"
    return Case(Path(f"{name}.png"), patient or name, label, target, boxes, view)


SMALL, LARGE = ((0.1, 0.1, 0.1, 0.1),), ((0.1, 0.1, 0.5, 0.5),)


def many(count: int = 240) -> list[Case]:
    kinds = [("AP", SMALL), ("AP", LARGE), ("AP", ()), ("PA", ()), ("PA", ())]
    return [case(str(i), *kinds[i % 5], patient=f"p{i // 2}") for i in range(count)]


def scores_of(cases: list[Case], recipe: str, seed: int, gain: float) -> FoldScores:
    rng = np.random.default_rng((seed, len(recipe)))
    names = [one.path.stem for one in cases]
    # Scales of their own, as the networks of folds have.
    folds = [str(int(one.patient[1:]) % 3) for one in cases]
    logits = [
        gain * int(one.target or 0) + rng.normal() + 5 * int(fold)
        for one, fold in zip(cases, folds, strict=True)
    ]
    return FoldScores(
        recipe, seed, dict(zip(names, folds, strict=True)), dict(zip(names, logits, strict=True))
    )


def test_share_of_the_frame_is_that_of_the_union() -> None:
    assert box_share([(0, 0, 0.5, 0.5), (0.25, 0.25, 0.25, 0.25)]) == pytest.approx(0.25)
    assert box_share([]) == 0
    assert [area_band(share) for share in (0.01, 0.05, 0.1, 0.4)] == [
        "<5%", "5-10%", ">10%", ">10%",
    ]  # fmt: skip


def test_cells_weigh_what_they_are_in_the_population() -> None:
    cases = [case("a", "AP", SMALL), case("b", "AP", SMALL), case("c", "AP", LARGE)]
    cases += [case("d", "AP"), case("e", "PA")]
    strata = poststratify(cases, POPULATION)
    weights = strata.weights(np.ones((1, 5)))[0]
    assert weights == pytest.approx([0.05, 0.05, 0.1, 0.2, 0.6])
    # A draw without the large opacity and without the AP negative.
    drawn = strata.weights(np.array([[1.0, 3.0, 0.0, 0.0, 1.0]]))[0]
    assert drawn == pytest.approx([0.05, 0.15, 0, 0, 0.8])


def test_sample_that_lacks_a_large_cell_is_refused() -> None:
    with pytest.raises(DataSetError, match=r"Normal PA .*75%"):
        poststratify([case("a", "AP", SMALL), case("b", "AP", LARGE), case("c", "AP")], POPULATION)


def test_figures_are_those_of_scikit_learn_fold_by_fold() -> None:
    cases = many()
    one = scores_of(cases, "plain", 0, 1.5)
    found = crossvalidation([one], cases, POPULATION, draws=100).recipes[0].figures
    targets = np.array([c.target for c in cases])
    logits = np.array([one.logit[c.path.stem] for c in cases])
    folds = np.array([one.fold[c.path.stem] for c in cases])
    weights = poststratify(cases, POPULATION).weights(np.ones((1, len(cases))))[0]
    boxes = np.array([c.boxes == SMALL for c in cases])

    def expected(members: np.ndarray, weights: np.ndarray) -> float:
        areas, sizes = [], []
        for fold in sorted(set(folds)):
            i = (folds == fold) & members
            areas.append(roc_auc_score(targets[i], logits[i], sample_weight=weights[i]))
            sizes.append(weights[i & (targets == 1)].sum() * weights[i & (targets == 0)].sum())
        return float(np.average(areas, weights=sizes))

    everyone = np.ones(len(cases), bool)
    assert found["AUROC"][0] == pytest.approx(expected(everyone, np.ones(len(cases))))
    assert found["AUROC challenge"][0] == pytest.approx(expected(everyone, weights))
    small = expected(boxes | (targets == 0), weights)
    assert found["AUROC boxes <5%"][0] == pytest.approx(small)
    view = np.array([c.view == "AP" for c in cases])
    assert found["AUROC within AP"][0] == pytest.approx(expected(view, weights))
    parts = [
        average_precision_score(targets[i], logits[i], sample_weight=weights[i])
        for i in (folds == fold for fold in sorted(set(folds)))
    ]
    of_folds = [weights[(folds == fold) & (targets == 1)].sum() for fold in sorted(set(folds))]
    assert found["AUPRC"][0] == pytest.approx(np.average(parts, weights=of_folds))
    # There is no positive image within PA.
    assert np.isnan(found["AUROC within PA"][0])


def test_gain_is_paired_and_the_mean_over_seeds() -> None:
    cases = many()
    scores = [scores_of(cases, "plain", seed, 1.0) for seed in (0, 1)]
    # The same scores with less noise between the classes.
    better = [
        FoldScores(
            "better",
            one.seed,
            one.fold,
            {name: value + 0.3 * (int(name) % 5 < 2) for name, value in one.logit.items()},
        )
        for one in scores
    ]
    found = crossvalidation([*scores, *better], cases, POPULATION, draws=300)
    first, second = found.recipes
    assert not first.gains
    assert second.seeds == (0, 1)
    for name in ("AUROC", "AUROC challenge"):
        value, low, high = second.gains[name]
        mean = np.mean([second.by_seed[s][name] - first.by_seed[s][name] for s in (0, 1)])
        assert value == pytest.approx(mean)
        assert 0 < low < value < high
        # Unpaired, the interval would be as wide as those of both together.
        wide = first.figures[name][2] - first.figures[name][1]
        assert high - low < wide
    text = markdown(found)
    assert "Paired difference from plain" in text
    assert "| better | +" in text


def test_only_images_that_all_have_scored_are_judged() -> None:
    cases = many()
    whole, part = scores_of(cases, "plain", 0, 1.0), scores_of(cases, "part", 0, 1.0)
    for name in list(part.logit)[:40]:
        del part.logit[name], part.fold[name]
    found = crossvalidation([whole, part], cases, POPULATION, draws=100)
    assert (found.images, found.left_out) == (200, 40)
    assert "40 images are left out" in markdown(found)
    with pytest.raises(DataSetError, match="not in the data set"):
        crossvalidation([whole], cases[10:], POPULATION, draws=100)


def test_calibration_line_is_the_logistic_regression() -> None:
    rng = np.random.default_rng(1)
    logits = rng.normal(0, 2, 3000)
    targets = (rng.random(3000) < 1 / (1 + np.exp(-(0.5 * logits - 1)))).astype(int)
    weights = rng.integers(0, 3, (4, 3000)).astype(float)
    slope, intercept = calibration_line(logits, targets, weights)
    for row, a, b in zip(weights, slope, intercept, strict=True):
        regression = LogisticRegression(C=1e9, tol=1e-8).fit(
            logits[:, None], targets, sample_weight=row
        )
        assert a == pytest.approx(regression.coef_[0, 0], rel=1e-3)
        # In the large: expected and observed positives agree.
        expected = row @ (1 / (1 + np.exp(-(logits + b))))
        assert expected == pytest.approx(row @ targets, rel=1e-6)


def test_separated_classes_have_no_slope() -> None:
    slope, _ = calibration_line(np.array([-1.0, -2, 1, 2]), np.array([0, 0, 1, 1]), np.ones((1, 4)))
    assert np.isnan(slope[0])


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("patientId,fold,seed\na,0,0\n", "no column 'logit'"),
        ("patientId,fold,seed,logit\na,0,0,nan\n", "line 2: the logit is not a finite number"),
        ("patientId,fold,seed,logit\na,0,0,1\na,1,0,2\n", "line 3: scored twice with seed 0"),
        ("patientId,fold,seed,logit\na,0,x,1\n", "line 2: seed and logit must be numbers"),
        ("patientId,fold,seed,logit\n", "no scores"),
    ],
)
def test_bad_scores_are_named(tmp_path: Path, text: str, reason: str) -> None:
    table = tmp_path / "scores.csv"
    table.write_text(text)
    with pytest.raises(DataSetError, match=reason):
        read_scores(table)


def test_scores_of_several_recipes_in_one_table(tmp_path: Path) -> None:
    table = tmp_path / "both.csv"
    table.write_text("recipe,patientId,fold,seed,logit\nx,a,0,0,1\ny,a,0,0,2\nx,a,0,1,3\n")
    assert [(one.recipe, one.seed) for one in read_scores(table)] == [("x", 0), ("y", 0), ("x", 1)]


def test_population_table(tmp_path: Path) -> None:
    table = tmp_path / "mix.csv"
    head = "class_name,view,box_area,sex,images\n"
    table.write_text(head + "LO,AP,10-20%,F,3\nLO,AP,>20%,M,2\nNormal,PA,,F,15\n")
    population = read_population(table)
    assert population.counts == {Cell("LO", "AP", ">10%"): 5, Cell("Normal", "PA", ""): 15}
    assert population.prevalence == 0.25
    table.write_text(head + "LO,AP,huge,F,3\n")
    with pytest.raises(DataSetError, match="unknown box_area 'huge'"):
        read_population(table)
    table.write_text(head + "Normal,PA,,F,3\n")
    with pytest.raises(DataSetError, match="needs cells with an opacity"):
        read_population(table)
