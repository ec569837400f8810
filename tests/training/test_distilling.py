"""Distillation by every method, from one teacher whose outputs are computed once."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import load_file

from nanoray.datasets.images import load_squares
from nanoray.datasets.labelled import open_labelled
from nanoray.detecting.model_file import read_card
from nanoray.errors import DataSetError
from nanoray.evaluating.scores import score
from nanoray.training import teachers
from nanoray.training.distillation import METHODS
from nanoray.training.run_folder import load_run
from small_runs import QUICK, draw_phantoms, nanoray

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Provide a folder with phantoms in `data` and a trained `teacher`."""
    folder = tmp_path_factory.mktemp("distilling")
    draw_phantoms(folder / "data", 60)
    nanoray(
        *(
            "train",
            "teacher",
            folder / "data",
            *QUICK,
            "--architecture",
            "mobilenet_v3_small_minimal",
        ),
        *("--epochs", 1, "--cache", folder / "cache", "--output", folder / "teacher"),
    )
    return folder


def distill(work: Path, output: str, *more: object, fails: bool = False) -> str:
    return nanoray(
        *("distill", work / "data", "--teacher", work / "teacher", *QUICK, "--epochs", 1),
        *("--cache", work / "cache", "--output", work / output, *more),
        fails=fails,
    )


def losses(run: Path) -> dict[str, float]:
    with (run / "metrics.csv").open() as file:
        return {
            name.removeprefix("train/"): float(value)
            for row in csv.DictReader(file)
            for name, value in row.items()
            if name.startswith("train/") and value
        }


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize("method", METHODS)
def test_every_method_trains(work: Path, method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    distill(work, method, "--method", method)
    found = losses(work / method)
    assert {"hard", "soft", "class", "box", "attention"} <= found.keys()
    assert (method in found) == (method in ("cam", "relational", "feature"))
    assert all(np.isfinite(value) for value in found.values())
    assert (work / method / "weights.safetensors").is_file()
    assert list((work / method / "tensorboard").glob("events.*"))
    # The teacher has been run once; its outputs are what another run would find.
    monkeypatch.setattr(teachers, "run_network", None)
    distill(work, f"{method}-again", "--method", method)
    assert losses(work / f"{method}-again") == found


@pytest.mark.usefixtures("one_thread")
def test_teacher_answers_on_the_students_pictures(
    work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # No outputs of unchanged radiographs are computed.
    monkeypatch.setattr(teachers, "run_network", None)
    distill(work, "augmented", "--teacher-view", "augmented", "--method", "feature")
    found = losses(work / "augmented")
    assert np.isfinite([found["soft"], found["feature"]]).all()
    ours, theirs = (
        load_file(work / run / "weights.safetensors") for run in ("augmented", "teacher")
    )
    assert ours.keys() == theirs.keys()
    assert any(not torch.equal(ours[name], theirs[name]) for name in ours)


def test_teachers_answer_as_their_kept_outputs(work: Path) -> None:
    data = open_labelled(work / "data")
    chosen = list(data.split.train)[:8]
    network, settings = load_run(work / "teacher")
    squares = load_squares(data.cases, settings.size, work / "cache", show_progress=False)
    kept = teachers.run_network(network, squares, chosen)
    asked = teachers.Teachers([work / "teacher"], equalized=False)
    images = torch.from_numpy(squares[chosen])[:, None].float() / 255
    logit, features, cam = asked.answer(images)
    assert torch.allclose(logit, torch.from_numpy(kept.logit), atol=1e-4)
    assert torch.allclose(cam[:, 0], torch.from_numpy(kept.cam.astype(np.float32)), atol=0.01)
    assert features.shape == (8, asked.width)
    with pytest.raises(DataSetError, match="equalize"):
        teachers.Teachers([work / "teacher"], equalized=True)


def test_kept_outputs_are_the_teachers(work: Path) -> None:
    data = open_labelled(work / "data")
    chosen = list(data.split.train)
    kept = teachers.teacher_outputs(
        [work / "teacher"], data.cases, chosen, "data", work / "cache", show_progress=False
    )
    network, settings = load_run(work / "teacher")
    squares = load_squares(data.cases, settings.size, work / "cache", show_progress=False)
    anew = teachers.run_network(network, squares, chosen[:5])
    assert np.allclose(kept.logit[:5], anew.logit, atol=1e-3)
    assert np.allclose(kept.features[:5], anew.features, atol=1e-2)
    assert kept.cam.shape == (len(chosen), 32, 32)
    # The logit is the mean of the map plus the bias.
    bias = float(network.classifier.bias.item())  # type: ignore[union-attr]
    assert np.allclose(kept.cam.mean((1, 2), np.float32) + bias, kept.logit, atol=0.05)
    both = teachers.joined([kept, kept])
    assert np.allclose(both.logit, kept.logit)
    assert both.features.shape[1] == 2 * kept.features.shape[1]


def test_seeds_share_the_split_and_go_on(work: Path) -> None:
    output = distill(work, "seeds", "--seeds", 2)
    runs = [work / "seeds" / f"seed-{seed}" for seed in (0, 1)]
    scores = [json.loads((run / "result.json").read_text())["validation_auroc"] for run in runs]
    summary = json.loads((work / "seeds" / "seeds.json").read_text())
    assert summary["mean"] == pytest.approx(np.mean(scores))
    assert summary["standard_deviation"] == pytest.approx(np.std(scores, ddof=1))
    assert f"{np.mean(scores):.4f}" in output
    assert (runs[0] / "split.csv").read_text() == (runs[1] / "split.csv").read_text()
    weights = [(run / "weights.safetensors").read_bytes() for run in runs]
    assert weights[0] != weights[1]
    times = [run.stat().st_mtime_ns for run in runs]
    assert distill(work, "seeds", "--seeds", 2) == output
    assert [run.stat().st_mtime_ns for run in runs] == times
    # Another split would let the teacher have seen what the student is judged on.
    assert "was trained on" in distill(work, "again", "--seeds", 2, "--resplit", fails=True)


def test_run_folder_describes_itself(work: Path) -> None:
    distill(work, "described")
    record = yaml.safe_load((work / "described" / "run.yaml").read_text())
    assert record["data"][0]["name"] == "data"
    assert record["data"][0]["parts"]["train"] > 20
    assert len(record["data"][0]["fingerprint"]) == 64
    assert record["teachers"][0]["name"] == "teacher"
    assert record["from"]["name"] == "nanoray-student-fp32.onnx"
    assert record["sessions"][0]["versions"]["torch"]
    said = distill(work, "described", "--learning-rate", 0.1, fails=True)
    assert "another learning_rate" in said
    assert "unknown" in distill(work, "unknown", "--method", "unknown", fails=True)


def test_patience_ends_a_run_early(work: Path) -> None:
    # A rate so low that no epoch is better than the first.
    distill(
        work, "patient", "--epochs", 6, "--patience", 1, "--learning-rate", 1e-12,
    )  # fmt: skip
    with (work / "patient" / "metrics.csv").open() as file:
        epochs = {int(row["epoch"]) for row in csv.DictReader(file)}
    assert epochs == {0, 1}


def test_transformer_is_distilled_exported_and_judged(work: Path) -> None:
    nanoray(
        *("distill", work / "data", "--teacher", work / "teacher", "--random-weights", "--quiet"),
        *("--architecture", "vit_tiny_patch16_224", "--size", 64, "--epochs", 1),
        *("--batch-size", 8, "--cache", work / "cache", "--output", work / "vit"),
    )
    nanoray(
        *("quantize", work / "vit", work / "data", "--fp32-only", "--name", "vit"),
        *("--cache", work / "cache", "--output", work / "models"),
    )
    model = work / "models" / "vit-fp32.onnx"
    assert read_card(model).architecture == "vit_tiny_patch16_224"
    network, _ = load_run(work / "vit")
    data = open_labelled(work / "data")
    squares = load_squares(data.cases, 64, work / "cache", show_progress=False)
    ours = teachers.run_network(network, squares, range(8)).logit
    theirs = score(model, squares[:8]).logits
    # Exported with a bias that calibrates: the same but for a shift.
    assert np.allclose(theirs - theirs.mean(), ours - ours.mean(), atol=1e-3)
    nanoray(
        *("evaluate", model, "--data", work / "data", "--split", work / "vit" / "split.csv"),
        *("--robustness", 0, "--rounds", 0, "--draws", 100, "--cache", work / "cache"),
        *("--output", work / "results"),
    )
    assert (work / "results" / "report.html").is_file()
