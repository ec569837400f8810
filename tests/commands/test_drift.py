"""`nanoray drift`, through the command line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

pa = pytest.importorskip("pyarrow", reason="needs the extra scale")
pytest.importorskip("scipy", reason="needs the extra scale")

from nanoray.archives.rows import schema  # noqa: E402
from nanoray.commands.app import app  # noqa: E402
from nanoray.evaluating.shift import reference_of  # noqa: E402


def drift(*arguments: object):
    return CliRunner().invoke(app, ["drift", *map(str, arguments)])


def write_results(path: Path, *, seed: int, shift: float = 0.0, **changes: Any) -> Path:
    """Rows as `nanoray screen` writes them, of 600 radiographs."""
    import pyarrow.parquet as pq

    rng = np.random.default_rng(seed)
    probability = 1 / (1 + np.exp(-rng.normal(shift, 1.0, 600)))
    rows = [
        {
            "probability": float(p),
            "decision": "opacity suspected" if p >= 0.5 else "no opacity suspected",
            "novelty": float(n),
            "sharpness": float(s),
            "view": "PA" if p < 0.7 else "AP",
            "model": "tiny",
            "model_version": "9.1",
        }
        | changes
        for p, n, s in zip(
            probability, rng.lognormal(size=600), rng.normal(0.1, 0.01, 600), strict=True
        )
    ]
    rows += [{"code": "truncated", "error": "words"}] * 3
    rows.append(rows[0] | {"decision": "abstained", "probability": 1.0, "novelty": 99.0})
    pq.write_table(pa.Table.from_pylist(rows, schema()), path)
    return path


def test_alike_and_moved(tmp_path: Path) -> None:
    a = write_results(tmp_path / "a.parquet", seed=1)
    b = write_results(tmp_path / "b.parquet", seed=2)
    same = drift(a, b)
    assert same.exit_code == 0, same.output
    assert "No need to recalibrate." in same.stdout
    c = write_results(tmp_path / "c.parquet", seed=3, shift=1.0)
    moved = drift(a, c, "-f", "json", "--report", tmp_path / "drift.html")
    assert moved.exit_code == 1
    document = json.loads(moved.stdout)
    verdicts = {shift["name"]: shift["verdict"] for shift in document["shifts"]}
    assert verdicts["probability"] == "drifted"
    assert verdicts["sharpness"] == "stable"
    assert set(verdicts) == {"probability", "novelty", "sharpness", "decision", "view"}
    assert document["advice"].startswith("Recalibrate")
    page = (tmp_path / "drift.html").read_text("utf-8")
    assert "Recalibrate" in page
    assert page.count("<polyline") == 6


def test_against_a_model_file(make_model, tmp_path: Path) -> None:
    values = 1 / (1 + np.exp(-np.random.default_rng(4).normal(0, 1, 3000)))
    model = make_model(reference=reference_of({"probability": values}))
    a = write_results(tmp_path / "a.parquet", seed=1)
    report = tmp_path / "r.html"
    assert drift(model, a, "--report", report).exit_code == 0
    assert "Probability" in report.read_text("utf-8")
    c = write_results(tmp_path / "c.parquet", seed=3, shift=1.0)
    assert drift(model, c).exit_code == 1


def test_results_of_predict(tmp_path: Path) -> None:
    lines = ["source,probability,decision,novelty"]
    lines += [f"{n}.png,{n / 100},no opacity suspected,0.1" for n in range(100)]
    (tmp_path / "a.csv").write_text("\n".join(lines) + "\n")
    records = [
        {"source": f"{n}.png", "probability": n / 100, "decision": "no opacity suspected"}
        for n in range(100)
    ]
    (tmp_path / "b.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    result = drift(tmp_path / "a.csv", tmp_path / "b.jsonl")
    assert result.exit_code == 0, result.output


def test_wrong_use(tiny_model: Path, tmp_path: Path) -> None:
    a = write_results(tmp_path / "a.parquet", seed=1)
    (tmp_path / "x.csv").write_text("a,b\n1,2\n")
    (tmp_path / "x.parquet").write_bytes(b"PAR1")
    (tmp_path / "folder.csv").mkdir()
    other = write_results(tmp_path / "b.parquet", seed=2, model_version="9.2")
    for arguments, reason in (
        ((a, other), "different models"),
        ((tiny_model, a), "has no distribution of the validation images"),
        ((a, tmp_path / "x.csv"), "no column of probabilities"),
        ((a, tmp_path / "x.parquet"), "not a readable table"),
        ((a, tmp_path / "absent.csv"), "no such file"),
        ((a, tmp_path / "folder.csv"), "not a readable kind of file"),
        ((a, tmp_path), "no results"),
    ):
        result = drift(*arguments)
        assert result.exit_code == 2, result.output
        assert reason in result.stderr
