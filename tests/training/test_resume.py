"""A run that was killed goes on to what it would have become."""

from __future__ import annotations

import csv
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from safetensors.numpy import load_file

from nanoray.training.fit import WholeCheckpoints
from small_runs import KILLED_AT, QUICK, draw_phantoms, nanoray, python

pytestmark = pytest.mark.slow


@pytest.mark.usefixtures("one_thread")
def test_killed_run_ends_with_the_weights_of_an_uninterrupted_one(tmp_path: Path) -> None:
    data = draw_phantoms(tmp_path / "data", 60)
    command = ("train", "baseline", data, *QUICK, "--epochs", 3, "--cache", tmp_path / "cache")
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    nanoray(*command, "--output", whole)
    last = torch.load(whole / "last.ckpt", weights_only=False)
    assert last["epoch"] == 2
    steps = int(last["global_step"]) // 3
    (tmp_path / "killed.py").write_text(KILLED_AT)
    # In the midst of the second epoch.
    done = python(
        tmp_path / "killed.py", *command, "--output", killed, KILL_STEP=str(steps + steps // 2)
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert (killed / "last.ckpt").is_file()
    assert not (killed / "result.json").exists()
    nanoray(*command, "--output", killed)
    ours, theirs = (load_file(folder / "weights.safetensors") for folder in (killed, whole))
    assert ours.keys() == theirs.keys()
    for name, value in theirs.items():
        assert np.array_equal(ours[name], value), name
    assert _metrics(killed) == _metrics(whole)
    sessions = yaml.safe_load((killed / "run.yaml").read_text())["sessions"]
    assert len(sessions) == 2


def _metrics(run: Path) -> list[dict[str, str]]:
    with (run / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {row["epoch"] for row in rows} == {"0", "1", "2"}
    return rows


def test_checkpoint_is_replaced_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writer, path = WholeCheckpoints(), tmp_path / "last.ckpt"
    writer.save_checkpoint({"epoch": 1}, path)

    def torn(_: Any, file: Any) -> None:
        file.write(b"half of")
        raise KeyboardInterrupt

    monkeypatch.setattr(torch, "save", torn)
    with pytest.raises(KeyboardInterrupt):
        writer.save_checkpoint({"epoch": 2}, path)
    assert torch.load(path, weights_only=False) == {"epoch": 1}
