"""What every answer of the API has in common."""

from __future__ import annotations

import socket
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from serving_helpers import files, picture, server, serving, settings


def test_head_is_answered_as_get_without_a_body(tmp_path: Path, tiny_model: Path) -> None:
    with serving(settings(tmp_path / "data", tiny_model)) as client:
        for path in ("/healthz", "/readyz", "/v1/predictions", "/v1/model", "/"):
            head = client.head(path)
            assert (head.status_code, head.content) == (200, b"")
            assert head.headers["content-type"] == client.get(path).headers["content-type"]
        assert client.head("/v1/nothing").status_code == 404
        assert client.head(f"/v1/predictions/{'0' * 32}").status_code == 404


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("/v1/predictions?descision=abstained", "unknown-parameter"),
        ("/v1/model?x=1", "unknown-parameter"),
        ("/metrics?x=1", "unknown-parameter"),
        ("/v1/predictions?limit=0", "parameter"),
        ("/v1/predictions?cursor=abc", "cursor"),
    ],
)
def test_parameters_that_are_wrong_are_named_so(
    tmp_path: Path, tiny_model: Path, path: str, code: str
) -> None:
    with serving(settings(tmp_path / "data", tiny_model)) as client:
        answer = client.get(path)
        assert answer.status_code == 422
        assert (answer.json()["code"], answer.json()["title"]) == (code, "Invalid parameter")
        assert client.get("/v1/predictions?limit=5&decision=abstained").status_code == 200


def test_no_redirect_repeats_the_host(tmp_path: Path, tiny_model: Path) -> None:
    given = settings(tmp_path / "data", tiny_model, no_auth=False, allowed_hosts=())
    with serving(given) as client:
        answer = client.get(
            "/v1/predictions/", headers={"Host": "evil.example"}, follow_redirects=False
        )
        assert answer.status_code == 404
        assert "evil" not in str(answer.headers)


def test_more_files_than_may_wait_are_too_many(tmp_path: Path, tiny_model: Path) -> None:
    with serving(settings(tmp_path / "data", tiny_model, queue_limit=2)) as client:
        three = files(*(picture(0.6, seed=seed) for seed in range(3)))
        answer = client.post("/v1/predictions", files=three)
        assert (answer.status_code, answer.json()["code"]) == (413, "too-many-files")
        assert "/v1/jobs" in answer.json()["detail"]
        assert "retry-after" not in answer.headers
        assert client.post("/v1/jobs", files=three).status_code == 202


def test_no_older_starlette_is_allowed() -> None:
    """Before 0.49.1 a Range header could cost seconds of processor time (CVE-2025-62727)."""
    from importlib.metadata import requires

    from packaging.requirements import Requirement

    floors = [
        one
        for one in map(Requirement, requires("nanoray") or ())
        if one.name == "starlette" and one.marker and one.marker.evaluate({"extra": "serve"})
    ]
    assert floors
    assert not any(floor.specifier.contains("0.49.0") for floor in floors)


def test_long_headers_are_refused_however_they_come(tmp_path: Path, tiny_model: Path) -> None:
    with server(tmp_path / "data", tiny_model) as running:
        address = urlsplit(running.url)
        for size, answered in ((1000, True), (100_000, False)):
            with socket.create_connection((address.hostname, address.port), timeout=60) as raw:
                raw.sendall(
                    b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Long: %b\r\n\r\n"
                    % (b"x" * size)
                )
                try:
                    said = raw.recv(100)
                except ConnectionResetError:
                    said = b""
                assert (b"200" in said) is answered
