"""The Ray engine on a cluster of two raylets on this machine."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ray = pytest.importorskip("ray", reason="needs the extra scale")
pytest.importorskip("pyarrow", reason="needs the extra scale")

from archives import begin_run, command, rows, wait_for, write_pictures  # noqa: E402

from nanoray.screening.archive.engines import run_ray  # noqa: E402
from nanoray.screening.archive.folder import RunFolder  # noqa: E402
from nanoray.screening.archive.screener import Screener, Task  # noqa: E402
from nanoray.screening.archive.sources import list_items  # noqa: E402

pytestmark = pytest.mark.skipif(os.name == "nt", reason="Ray's raylets are not killed so there")

COUNT = 150


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("archive")
    write_pictures(folder, COUNT, side=400)
    return folder


@pytest.fixture(scope="module")
def expected(
    archive: Path, tiny_model: Path, tmp_path_factory: pytest.TempPathFactory
) -> list[dict[str, Any]]:
    """The rows as one process without an engine gives them."""
    run = begin_run(str(tmp_path_factory.mktemp("expected") / "run"), str(archive), tiny_model)
    list(run.list_parts(list_items(str(archive)), 16))
    with Screener(Task(run.place)) as screener:
        for number in run.listed():
            screener.screen(number)
    return rows(run.place)


@pytest.fixture
def cluster() -> Iterator[Any]:
    from ray.cluster_utils import Cluster

    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    made = Cluster(
        initialize_head=True,
        head_node_args={"num_cpus": 1, "include_dashboard": False},
    )
    try:
        yield made
    finally:
        ray.shutdown()
        made.shutdown()


def test_a_raylet_is_killed(
    cluster: Any, archive: Path, expected: list[Any], tiny_model: Path, tmp_path: Path
) -> None:
    second = cluster.add_node(num_cpus=1)
    cluster.wait_for_nodes()
    ray.init(address=cluster.address, log_to_driver=False, logging_level="ERROR")
    assert sum(node["Alive"] for node in ray.nodes()) == 2
    run = begin_run(str(tmp_path / "run"), str(archive), tiny_model, part_size=16)
    list(run.list_parts(list_items(str(archive)), 16))
    parts = run_ray(Task(run.place), run.listed())
    done = [next(parts), next(parts)]
    cluster.remove_node(second, allow_graceful=False)
    done += parts
    assert sorted(part.number for part in done) == run.listed() == run.finished()
    assert rows(run.place) == expected


def test_the_driver_is_killed_and_resumed(
    cluster: Any, archive: Path, expected: list[Any], tiny_model: Path, tmp_path: Path
) -> None:
    arguments = ("screen", archive, "--out", tmp_path / "run", "--model", tiny_model)
    options = ("--part-size", 16, "--engine", "ray", "--address", cluster.address)
    run = RunFolder(str(tmp_path / "run"))
    driver = subprocess.Popen(
        command(*arguments, *options), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        assert wait_for(lambda: run.finished() or driver.poll() is not None)
    finally:
        os.kill(driver.pid, signal.SIGKILL)
        driver.wait()
    assert driver.returncode == -signal.SIGKILL
    again = subprocess.run(
        command(*arguments, *options), capture_output=True, text=True, check=False, timeout=900
    )
    assert again.returncode == 0, again.stderr
    assert "files are done already" in again.stderr
    assert rows(run.place) == expected


def test_no_cluster_there(tmp_path: Path, archive: Path, tiny_model: Path) -> None:
    code = (
        "from nanoray.screening.archive.engines import run_ray\n"
        "from nanoray.screening.archive.screener import Task\n"
        "from nanoray.errors import NanoRayError\n"
        "try:\n    list(run_ray(Task('x'), [0], address='127.0.0.1:1'))\n"
        "except NanoRayError as error:\n    print('no Ray cluster' in str(error))\n"
    )
    environment = os.environ | {"RAY_gcs_rpc_server_connect_timeout_s": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True, text=True, check=False, timeout=900, env=environment,
    )  # fmt: skip
    assert done.stdout.strip().endswith("True"), done.stderr
