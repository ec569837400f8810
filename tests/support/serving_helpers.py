"""What the tests of serving share: a service in this process, and one in a process of its own."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

pytest.importorskip("fastapi", reason="needs the extra: pip install 'nanoray[serve]'")

from fastapi.testclient import TestClient

from nanoray.serving.http.application import create
from nanoray.serving.service import Service
from nanoray.serving.settings import Settings

PATIENCE = float(os.environ.get("NANORAY_TEST_PATIENCE", "900"))
"""Seconds to wait for what should happen at once; only a failing test waits so long."""


def picture(mean: float, side: int = 300, seed: int | None = None) -> bytes:
    """Draw a PNG of about this mean: the upper part white, one odd pixel row for a seed."""
    pixels = np.zeros((side, side), np.uint8)
    pixels[: round(side * mean)] = 255
    if seed is not None:
        pixels[-1, :32] = [255 * (seed >> bit & 1) for bit in range(32)]
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def files(*contents: bytes) -> list[tuple[str, tuple[str, bytes]]]:
    """Contents as the files of a multipart request."""
    return [("files", (f"{number}.bin", data)) for number, data in enumerate(contents)]


def settings(folder: Path, model: Path, **changes: Any) -> Settings:
    """Return settings for tests."""
    values: dict[str, Any] = {
        "data": folder,
        "model": model,
        "no_auth": True,
        "allowed_hosts": ("testserver",),
        "workers": 1,
        "rate_limit": 0,
        "min_free_bytes": 0,
        "answer_timeout": PATIENCE,
        "upload_timeout": PATIENCE,
        "read_timeout": PATIENCE,
    }
    return Settings(**(values | changes))


@contextmanager
def serving(given: Settings) -> Iterator[TestClient]:
    """Provide a client of a service in this process; `client.app.state.service` is the service."""
    with TestClient(create(Service(given)), raise_server_exceptions=False) as client:
        yield client


def wait_for(condition: Callable[[], Any]) -> Any:
    """Return what `condition` gives once it gives something true."""
    deadline = time.monotonic() + PATIENCE
    while not (value := condition()):
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.02)
    return value


class Server:
    """`nanoray serve` in a process of its own.

    Attributes:
        url: where it listens.
        process: the process, leader of its own group.
        log: file with its standard error.
    """

    def __init__(self, folder: Path, model: Path, *options: str, no_auth: bool = True) -> None:
        """Start and wait until it listens."""
        self.log = folder.parent / f"{folder.name}-{time.monotonic_ns()}.log"
        command = [sys.executable, "-m", "nanoray", "serve", "--data", str(folder)]
        command += ["--model", str(model), "--port", "0", "--rate-limit", "0"]
        command += ["--timeout", str(PATIENCE), "--answer-timeout", str(PATIENCE), *options]
        if no_auth:
            command.append("--no-auth")
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=log, text=True, start_new_session=True
            )
        self.lines: list[str] = []
        self.url = ""
        self._listening = threading.Event()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        if not self._listening.wait(PATIENCE) or not self.url:
            self.kill()
            raise AssertionError("the server did not start:\n" + self.log.read_text())

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line.strip())
            if "serving on " in line:
                self.url = line.rpartition("serving on ")[2].strip()
                self._listening.set()
        self._listening.set()

    def client(self, **options: Any) -> httpx.Client:
        """Return an HTTP client of it."""
        return httpx.Client(base_url=self.url, timeout=PATIENCE, **options)

    def word(self, beginning: str) -> str:
        """Describe what the server said after `beginning`, once it has."""
        return str(
            wait_for(
                lambda: next(
                    (line.partition(beginning)[2] for line in self.lines if beginning in line), ""
                )
            )
        )

    def kill(self) -> None:
        """End it and its processes at once, as a power cut would."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self._wait()

    def stop(self) -> int:
        """Ask it to end, and wait: the exit code."""
        self.process.terminate()
        try:
            return self.process.wait(PATIENCE)
        finally:
            self.kill()

    def _wait(self) -> None:
        self.process.wait(PATIENCE)
        self._reader.join(PATIENCE)
        if self.process.stdout is not None:
            self.process.stdout.close()


@contextmanager
def server(folder: Path, model: Path, *options: str, no_auth: bool = True) -> Iterator[Server]:
    """Provide a server process, which is gone after the block."""
    running = Server(folder, model, *options, no_auth=no_auth)
    try:
        yield running
    finally:
        running.kill()
