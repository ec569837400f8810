"""Fixtures that several rooms share: a model worked out by hand, and pictures for it."""

from __future__ import annotations

import re
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest

from tiny_model import TINY_SIDE, grey_picture, tiny_card, write_tiny_model

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # As in a job that a shell put into the background. The commands that tests interrupt would
    # inherit it.
    signal.signal(signal.SIGINT, signal.default_int_handler)


SERVICES = {Path(__file__).parent / room for room in ("serving", "deploy")}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark all tests of the service, which start servers."""
    for item in items:
        if SERVICES & set(item.path.parents):
            item.add_marker(pytest.mark.service)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Name in one line the programs whose absence skipped tests, and how to install them."""
    reasons = [
        report.longrepr[2]
        for report in terminalreporter.stats.get("skipped", [])
        if isinstance(report.longrepr, tuple)
    ]
    programs = [word for reason in reasons for word in _packages(reason)]
    if programs:
        count = sum(1 for reason in reasons if _packages(reason))
        terminalreporter.write_line(
            f"{count} tests were skipped because programs are missing; to run them: "
            f"apt-get install {' '.join(sorted(set(programs)))}",
            yellow=True,
        )


def _packages(reason: str) -> list[str]:
    """Take the Debian packages from a reason such as "needs dcmtk: apt-get install dcmtk"."""
    found = re.search(r"apt-get install ([a-z0-9 .+-]+)", reason)
    return found[1].split() if found else []


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Path of the tiny model."""
    return write_tiny_model(tmp_path_factory.mktemp("model") / "tiny.onnx", tiny_card())


@pytest.fixture
def make_model(tmp_path: Path) -> Callable[..., Path]:
    """Provide a function that writes the tiny model with a changed card."""

    def make(name: str = "changed.onnx", **changes: Any) -> Path:
        return write_tiny_model(tmp_path / name, tiny_card(**changes))

    return make


@pytest.fixture
def make_picture(tmp_path: Path) -> Callable[..., Path]:
    """Provide a function that writes a PNG of a given mean below the test's folder."""

    def make(name: str, mean: float, side: int = TINY_SIDE) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return grey_picture(path, mean, side)

    return make


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Provide a bucket of an S3 server, which fsspec finds."""
    import fsspec

    s3fs = pytest.importorskip("s3fs", reason="needs s3fs")
    server_module = pytest.importorskip("moto.server", reason="needs moto[server]")
    server = server_module.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setitem(fsspec.config.conf, "s3", {"endpoint_url": f"http://{host}:{port}"})
    s3fs.S3FileSystem.clear_instance_cache()
    s3fs.S3FileSystem().mkdir("archive")
    yield "s3://archive"
    s3fs.S3FileSystem.clear_instance_cache()
    # What one server holds, the next one of this process would hold too.
    urlopen(Request(f"http://{host}:{port}/moto-api/reset", method="POST")).close()
    server.stop()
