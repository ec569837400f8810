"""The verdict on a place: each kind of place gets its own word."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

pytest.importorskip("scipy", reason="needs the extra evaluate")
pytest.importorskip("jinja2", reason="needs the extra evaluate")

from nanoray.commands.app import app
from nanoray.detecting.detector import Detector, load
from nanoray.detecting.prediction import ABSTAINED, NOT_SUSPECTED, SUSPECTED, Prediction, Unread
from nanoray.errors import DataSetError, UnreadableError
from nanoray.evaluating import fit_here
from nanoray.evaluating.calibration import fit_platt, sigmoid
from nanoray.evaluating.fit_here import Labelled, check
from nanoray.reading.radiograph import Facts
from nanoray.reporting.check_page import as_record, as_text, write_page
from tiny_model import grey_picture


def result(probability: float, *, abstained: bool = False) -> Prediction:
    decision = SUSPECTED if probability >= 0.5 else NOT_SUSPECTED
    return Prediction(
        "x.png",
        probability,
        ABSTAINED if abstained else decision,
        "not a frontal chest radiograph" if abstained else None,
        0.5,
        "balanced",
        float(np.log(probability / (1 - probability))),
        0.1,
        np.zeros((2, 2), np.float32),
        (),
        "tiny",
        "9.1",
        Facts("PNG", 1024, 1024, 8, view="PA", sex="F", age_years=50.0),
        1.0,
        1.0,
    )


def place(
    count: int, *, gain: float = 1.0, shift: float = 0.0, wrong: bool = False
) -> tuple[list[Prediction], list[Labelled]]:
    """Radiographs whose right probability is sigmoid(logit); the detector gives another."""
    rng = np.random.default_rng(1)
    logits = rng.normal(0, 2.0, count)
    targets = rng.random(count) < sigmoid(logits)
    results = [result(float(sigmoid(np.float64(gain * x + shift)))) for x in logits]
    labels = [Labelled(int(t != wrong), str(n)) for n, t in enumerate(targets)]
    return results, labels


@pytest.fixture(scope="module")
def detector(tiny_model: Path) -> Detector:
    return load(tiny_model)


def test_fits(detector: Detector) -> None:
    found = check(detector, *place(200))
    assert found.verdict == "fits", found.reasons
    assert found.measured is not None
    assert found.measured.area[1] < 0.86 < found.measured.area[2]
    assert found.measured.slope[1] < 1 < found.measured.slope[2]
    assert found.measured.needed["AUROC to within 0.05"] > 100


def test_needs_a_recalibration(detector: Detector) -> None:
    found = check(detector, *place(200, shift=2.5))
    assert found.verdict == "recalibrate"
    assert found.measured is not None
    assert found.measured.enough in fit_here.SIZES
    assert "nanoray calibrate --shift" in found.advice[0]
    first, *_, last = found.measured.curve
    assert last.loss[0] < first.loss[0] < found.measured.loss
    assert "calibration intercept is" in " ".join(found.reasons)


def test_does_not_fit(detector: Detector) -> None:
    results, labels = place(200)
    rng = np.random.default_rng(3)
    found = check(
        detector, results, [Labelled(int(rng.random() < 0.5), one.patient) for one in labels]
    )
    assert found.verdict == "does not fit"
    assert found.reasons[0].startswith("AUROC is only 0.")
    strange = [result(0.3, abstained=number % 4 == 0) for number in range(100)]
    found = check(detector, strange, None)
    assert found.verdict == "does not fit"
    assert "abstains on 25.0 %" in found.reasons[0]


@pytest.mark.parametrize(
    ("results", "labels", "words"),
    [
        (*place(12), "12 radiographs are too few"),
        (place(200)[0], None, "There are no labels"),
        (*place(200, wrong=True), "The labels are mixed up"),
        (place(80)[0], [Labelled(1, str(n)) for n in range(80)], "80 labelled radiographs with"),
    ],
    ids=["few", "unlabelled", "mixed-up", "one-class"],
)
def test_cannot_tell(
    detector: Detector, results: list[Any], labels: list[Any] | None, words: str
) -> None:
    found = check(detector, results, labels)
    assert found.verdict == "cannot tell"
    assert found.reasons[0].startswith(words) or words in found.reasons[0]
    assert found.advice
    text = as_text(found, detector)
    assert "0.000 to 1.000" not in text
    assert "nan" not in text


def test_nothing_read(detector: Detector) -> None:
    unread = Unread("x", UnreadableError("x", "truncated", "the file ends early"))
    with pytest.raises(DataSetError, match="no file could be read"):
        check(detector, [unread], None)


def test_platt_of_many_subsets_is_that_of_each() -> None:
    rng = np.random.default_rng(0)
    targets = (rng.random(150) < 0.4).astype(np.int64)
    logits = rng.normal(1.5 * targets - 1, 1.5)
    members = rng.random((4, 150)) < 0.6
    slopes, shifts = fit_here._fit_platt_many(logits, targets, members)
    for chosen, slope, shift in zip(members, slopes, shifts, strict=True):
        temperature, offset = fit_platt(logits[chosen], targets[chosen])
        assert slope == pytest.approx(1 / temperature, abs=2e-3)
        assert shift == pytest.approx(offset / temperature, abs=2e-3)


def test_no_patient_is_on_both_sides_of_the_curve() -> None:
    # With one patient everything would be fitted and nothing be left.
    logits, targets = np.linspace(-1, 1, 90), np.tile([0, 1], 45)
    assert fit_here._learning_curve(logits, targets, np.zeros(90, np.intp)) == ()


def test_page_and_record(detector: Detector, tmp_path: Path) -> None:
    found = check(detector, *place(200, gain=2.0))
    page = tmp_path / "check.html"
    write_page(found, detector, "<b>ward & co</b>", page)
    text = page.read_text("utf-8")
    assert "&lt;b&gt;ward &amp; co&lt;/b&gt;" in text
    assert "<script" not in text
    assert "Research use only" in text
    assert "<polyline" in text
    record = as_record(found)
    assert record["verdict"] == "recalibrate"
    assert record["measured"]["curve"][0]["cases"] == 20


def run(folder: Path, model: Path, *options: str) -> tuple[int, str]:
    found = CliRunner().invoke(app, ["check", str(folder), "--model", str(model), *options])
    return found.exit_code, " ".join(found.output.replace("│", " ").split())


def test_command(tiny_model: Path, tmp_path: Path) -> None:
    folder = tmp_path / "place"
    folder.mkdir()
    reason = "the folder is empty; name a folder or file with DICOM files or pictures"
    assert run(folder, tiny_model) == (2, f"nanoray: no images to read: {folder}: {reason}")
    rows: Sequence[str] = [f"{n}.png,{n % 2},p{n}" for n in range(6)]
    for number in range(6):
        grey_picture(folder / f"{number}.png", 0.2 + 0.5 * (number % 2))
    code, output = run(folder, tiny_model, "--report", str(tmp_path / "page.html"))
    assert code == 0
    assert "6 radiographs are too few for a verdict" in output
    assert "There are too few data" in (tmp_path / "page.html").read_text("utf-8")
    for table, words in (
        ("file,target\nother.png,1\n", "its 1 labels match no file in the folder"),
        ("file,target\n1.png,2\n", "line 2: the target must be 0 or 1"),
        ("file,target\n1.png,1\n1.png,0\n", "line 3: this file has a label already"),
        ("file,finding\n1.png,1\n", "needs the columns file and target"),
        ("file,target\n", "has no rows"),
    ):
        labels = tmp_path / "labels.csv"
        labels.write_text(table)
        code, output = run(folder, tiny_model, "--labels", str(labels))
        assert (code, words in output) == (2, True), output
    labels.write_bytes("file,target\nJürgen.png,1\n".encode("cp1252"))
    code, output = run(folder, tiny_model, "--labels", str(labels))
    assert (code, "save it as UTF-8" in output) == (2, True), output
    labels.write_text("\n".join(["file,target,patient", *rows, "gone.png,1,p8", "away.png,0,p9"]))
    code, output = run(folder, tiny_model, "--labels", str(labels))
    assert "2 of 8 labels fit no radiograph in the folder, the first: gone.png" in output
    labels.write_text("\n".join(["File,Target,Patient", *rows]))
    code, output = run(folder, tiny_model, "--labels", str(labels), "--format", "json")
    assert code == 0
    assert '"verdict": "cannot tell"' in output
