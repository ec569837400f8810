"""MLflow and Weights & Biases beside a run, offline."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from nanoray.errors import DataSetError, MissingExtraError
from nanoray.training import loggers
from small_runs import QUICK, draw_phantoms

# A training in which every connection to another machine is an error.
OFFLINE = """
import socket, sys
real = socket.socket.connect
def connect(self, address):
    if self.family != socket.AF_UNIX and address[0] not in ("127.0.0.1", "::1", "localhost"):
        raise SystemExit(f"connected to {address}")
    return real(self, address)
socket.socket.connect = connect
from nanoray.commands.app import app
app(sys.argv[1:])
"""


def test_unknown_or_missing_logger(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DataSetError, match="use mlflow, wandb"):
        loggers.check_logger("comet")
    monkeypatch.setattr(loggers, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"nanoray\[mlflow\]"):
        loggers.check_logger("mlflow")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["mlflow", "wandb"])
def test_runs_are_logged_into_their_folder_and_continued(name: str, tmp_path: Path) -> None:
    pytest.importorskip(name, reason=f"{name} is not installed: pip install 'nanoray[{name}]'")
    data = draw_phantoms(tmp_path / "data", 60)
    run = tmp_path / "run"
    command = ["train", "baseline", str(data), *map(str, QUICK), "--cache", str(tmp_path / "cache")]
    command += ["--output", str(run), "--log-to", name]
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("MLFLOW", "WANDB"))}
    done = subprocess.run(
        [sys.executable, "-c", OFFLINE, *command, "--epochs", "1"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    if name == "mlflow":
        (metric,) = (run / "mlflow").rglob("metrics/validation/auroc")
        assert len(metric.read_text().splitlines()) == 1
        (rate,) = (run / "mlflow").rglob("params/learning_rate")
        assert float(rate.read_text()) > 0
        kept = (run / "mlflow-run.txt").read_text()
        again = loggers.make_logger("mlflow", run)
        assert again.version == kept
    else:
        (folder,) = (run / "wandb").glob("offline-run-*")
        assert list(folder.glob("*.wandb"))


def test_a_connection_would_be_noticed() -> None:
    code = (
        OFFLINE.split("from nanoray", maxsplit=1)[0]
        + "socket.create_connection(('192.0.2.1', 9), 1)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "connected to" in done.stderr
