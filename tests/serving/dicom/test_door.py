"""The DICOM port stays open to those who have business there."""

from __future__ import annotations

import json
import socket
import threading
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from dicom_nodes import node
from nanoray.serving.dicom import door
from nanoray.serving.dicom.door import MAX_WAITING, title
from serving_helpers import PATIENCE, wait_for


def echo(port: int, calling: str = "MODALITY", *, hold: ExitStack | None = None) -> bool:
    """Whether an association is accepted and a C-ECHO answered."""
    from pynetdicom import AE

    entity = AE(ae_title=calling)
    entity.acse_timeout = entity.dimse_timeout = PATIENCE
    entity.add_requested_context("1.2.840.10008.1.1")
    association = entity.associate("127.0.0.1", port, ae_title="NANORAY")
    if not association.is_established:
        return False
    answered = association.send_c_echo().get("Status") == 0
    if hold is None:
        association.release()
    else:
        hold.callback(association.release)
    return bool(answered)


def silent(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)


def test_silent_connections_do_not_shut_the_port(tmp_path: Path, tiny_model: Path) -> None:
    with node(tmp_path / "data", tiny_model) as client, ExitStack() as stack:
        port = client.app.state.node.port
        before = threading.active_count()
        for _ in range(3 * MAX_WAITING):
            stack.enter_context(silent(port))
        assert echo(port)
        # Renewed while the first ones are still there.
        for _ in range(MAX_WAITING):
            stack.enter_context(silent(port))
        assert echo(port)
        wait_for(lambda: threading.active_count() - before <= 2 * MAX_WAITING + 12)
        assert "nanoray_dicom_connections_dropped_total 0.0" not in client.get("/metrics").text


def test_a_connection_that_asks_for_nothing_is_closed(
    tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(door, "REQUEST_SECONDS", 0.5)
    with node(tmp_path / "data", tiny_model) as client:
        port = client.app.state.node.port
        with silent(port) as quiet, silent(port) as slow:
            started = time.monotonic()
            slow.sendall(b"\1\0")
            assert quiet.recv(1) == b""
            assert slow.recv(1) == b""
            assert time.monotonic() - started < PATIENCE / 2
        assert echo(port)


def test_associations_are_limited_and_rejections_logged(
    tmp_path: Path, tiny_model: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "nanoray.serving")
    limits = {"max_associations": 3, "max_associations_per_address": 2}
    with node(tmp_path / "data", tiny_model, **limits) as client:
        port = client.app.state.node.port
        with ExitStack() as stack:
            assert echo(port, hold=stack)
            assert echo(port, hold=stack)
            assert not echo(port)
        assert wait_for(lambda: echo(port))
        assert not echo(port, calling="STRANGER\x20X")
        facts: list[dict[str, Any]] = [
            record.facts for record in caplog.records if record.msg == "association rejected"
        ]
        assert facts[0]["reason"] == "limit"
        assert facts[-1] == {
            "reason": "AE title",
            "peer": "127.0.0.1",
            "calling": "STRANGER X",
            "called": "NANORAY",
        }
        json.dumps(facts)


def test_titles_in_the_log_are_plain() -> None:
    assert title(b"A\x1b[31mB\xff") == "A?[31mB?"
    assert title("  X\nY  " + "Z" * 40) == "X?Y  " + "Z" * 11
