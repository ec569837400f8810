"""Several processes train as one would."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from nanoray.training.samples import EpochSampler
from small_runs import KILLED_AT, QUICK, draw_phantoms, nanoray, python

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("processes", [2, 3])
def test_processes_share_the_batches_of_one(processes: int) -> None:
    sizes, extra, batch = [50, 40], 13, 12
    alone = EpochSampler(sizes, extra, 7, batch)
    together = [
        EpochSampler(sizes, extra, 7, batch, rank=rank, processes=processes)
        for rank in range(processes)
    ]
    orders = []
    for epoch in (0, 1):
        for sampler in (alone, *together):
            sampler.set_epoch(epoch)
        order = np.array(list(alone)).reshape(-1, batch)
        shares = [np.array(list(one)).reshape(len(order), -1) for one in together]
        assert all(share.size == len(one) for share, one in zip(shares, together, strict=True))
        joined = np.concatenate(shares, 1)
        assert np.array_equal(np.sort(joined, 1), np.sort(order, 1))
        orders.append(order)
    assert len(np.unique(orders[0])) == orders[0].size
    assert not np.array_equal(orders[0], orders[1])


def test_two_processes_of_which_one_is_killed_give_what_one_gives(tmp_path: Path) -> None:
    data = draw_phantoms(tmp_path / "data", 200)
    command = ("train", "baseline", data, *QUICK, "--epochs", 2, "--cache", tmp_path / "cache")
    # Slowly, for thirty radiographs to validate on.
    command += ("--learning-rate", 1e-4)
    nanoray(*command, "--output", tmp_path / "one")
    (tmp_path / "killed.py").write_text(KILLED_AT)
    done = python(
        *("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", 2),
        *("--max-restarts", 1, tmp_path / "killed.py", *command, "--output", tmp_path / "two"),
        # In the second epoch.
        KILL_RANK="1",
        KILL_STEP="20",
        TORCH_DISABLE_SHARE_RDZV_TCP_STORE="1",
    )
    assert done.returncode == 0, done.stderr[-3000:]
    one, two = (_last_loss(tmp_path / name / "metrics.csv") for name in ("one", "two"))
    assert two == pytest.approx(one, rel=0.1)
    results = [json.loads((tmp_path / n / "result.json").read_text()) for n in ("one", "two")]
    assert results[1]["validation_auroc"] == pytest.approx(results[0]["validation_auroc"], abs=0.1)


def _last_loss(metrics: Path) -> float:
    with metrics.open() as file:
        found = [row["validation/loss"] for row in csv.DictReader(file)]
    return float([value for value in found if value][-1])
