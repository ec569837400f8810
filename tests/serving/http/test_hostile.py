"""Uploads from people who mean harm: an answer of 4xx, no crash, little memory, no trace."""

from __future__ import annotations

import shutil
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from hostile_uploads import ADVISORIES, SECRET, Upload, malformed, mutated, wrong_requests
from serving_helpers import PATIENCE, Server, picture, server

MEMORY_BYTES = 512 * 1024 * 1024
MUTATED = 240


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Iterator[Server]:
    """Provide a server process with one reading process."""
    folder = tmp_path_factory.mktemp("hostile")
    with server(folder / "data", tiny_model, "--workers", "1") as started:
        yield started


def memory(server_process: int) -> int:
    """Bytes that a process and those below it hold in memory (Linux)."""
    total = 0
    waiting = [server_process]
    while waiting:
        pid = waiting.pop()
        try:
            status = Path(f"/proc/{pid}/status").read_text()
            waiting += map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())
        except OSError:
            continue
        for line in status.splitlines():
            if line.startswith(("RssAnon", "RssShmem")):
                total += 1024 * int(line.split()[1])
    return total


def post(client: httpx.Client, upload: Upload) -> httpx.Response:
    headers = [(name.encode(), value.encode("latin-1")) for name, value in upload.headers.items()]
    return client.post("/v1/predictions", content=upload.body, headers=headers)


def check(answer: httpx.Response, upload: Upload) -> None:
    if answer.status_code in (200, 201):
        assert upload.may_succeed, f"{upload.name}: {answer.text[:300]}"
        return
    assert 400 <= answer.status_code < 500, f"{upload.name}: {answer.status_code}"
    assert answer.headers["content-type"] == "application/problem+json", upload.name
    assert answer.json()["code"] != "unexpected", upload.name
    assert SECRET not in answer.text, upload.name


def still_works(running: Server, seed: int) -> None:
    with running.client() as client:
        kind = {"Content-Type": "image/png"}
        answer = client.post("/v1/predictions", content=picture(0.6, seed=seed), headers=kind)
        assert answer.status_code == 201
        assert client.get("/readyz").status_code == 200
    assert memory(running.process.pid) < MEMORY_BYTES


def test_a_corpus_of_malformed_uploads(running: Server) -> None:
    uploads = [*malformed(), *wrong_requests(), *mutated(MUTATED)]
    assert len(uploads) >= 300
    with running.client() as client:
        for upload in uploads:
            check(post(client, upload), upload)
    still_works(running, 1)
    assert SECRET not in running.log.read_text()


@pytest.mark.parametrize("name", ADVISORIES)
def test_the_bugs_of_others(running: Server, name: str) -> None:
    upload = ADVISORIES[name]()
    with running.client() as client:
        check(post(client, upload), upload)
    still_works(running, sum(name.encode()))
    assert not Path("/tmp/evil").exists()


def test_a_length_that_lies(running: Server) -> None:
    host, _, port = running.url.removeprefix("http://").rpartition(":")

    def ask(length: str, body: bytes) -> bytes:
        with socket.create_connection((host, int(port)), timeout=PATIENCE) as connection:
            connection.sendall(
                b"POST /v1/predictions HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
                b"Content-Type: image/png\r\nContent-Length: "
                + length.encode()
                + b"\r\n\r\n"
                + body
            )
            return connection.recv(100)

    assert b" 413 " in ask("999999999999", b"x")
    for wrong in ("-1", "1e9", "99999999999999999999999999", "0x10"):
        assert ask(wrong, b"")[9:10] in (b"4", b"")
    # Announced and never sent: the connection's end ends it, and nothing is left behind.
    with socket.create_connection((host, int(port)), timeout=PATIENCE) as connection:
        connection.sendall(
            b"POST /v1/predictions HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\n"
            b"Content-Length: 100000\r\n\r\nabc"
        )
    still_works(running, 2)


def test_the_canary_is_seen_nowhere(tmp_path: Path, tiny_model: Path) -> None:
    from dicom_peers import CANARY, radiograph, storescu

    secret = "ZZCANARY"
    image = radiograph(tmp_path / "ZZCANARY.dcm", 3)
    data = (tmp_path / "ZZCANARY.dcm").read_bytes()
    assert CANARY.encode() in data
    options = ("--dicom-port", "0", "--allow-ae", "MODALITY", "--study-wait", "0", "--workers", "1")
    told: list[str] = []
    with server(tmp_path / "data", tiny_model, *options) as started, started.client() as client:

        def see(answer: httpx.Response) -> Any:
            told.append(answer.text + str(answer.headers))
            return answer

        form = [("files", (f"{secret}.dcm", data)), ("files", (f"{secret}.dcm", data[:900]))]
        result = see(client.post("/v1/predictions", files=form)).json()["results"][0]
        see(client.post("/v1/jobs", files=form))
        damaged = data.replace(b"MONOCHROME2", b"ZZCANARY2XX")
        see(client.post("/v1/predictions", files=[("files", (secret, damaged))]))
        where = f"/v1/predictions/{result['id']}"
        for path in ("", "/heatmap.png", "/pixels", f"?{secret}", f"/{secret}"):
            see(client.get(where + path))
        for path in ("/v1/predictions", "/v1/model", "/metrics", "/readyz", f"/{secret}"):
            see(client.get(path, headers={"User-Agent": secret}))
        see(client.post("/v1/dicom/pulls", json={"study_instance_uid": secret}))
        see(client.get("/v1/dicom/deliveries"))
        if shutil.which("storescu"):
            port = int(started.word("DICOM node NANORAY on port "))
            assert storescu(port, tmp_path / "ZZCANARY.dcm").returncode == 0
            # The AE title of a peer that is turned away is logged: it names a machine.
            storescu(port, tmp_path / "ZZCANARY.dcm", calling="STRANGER")
        see(client.get("/metrics"))
        see(client.delete(where))
        assert started.stop() is not None
    told += [started.log.read_text(), *started.lines]
    told += [str(path.relative_to(tmp_path)) for path in (tmp_path / "data").rglob("*")]
    assert '"event": "request"' in " ".join(told)
    for text in told:
        assert secret not in text
        assert str(image.StudyInstanceUID) not in text
