"""QIDO-RS and WADO-RS against a small server."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from nanoray.errors import NanoRayError

pytest.importorskip("httpx", reason="needs the extra scale")
pytest.importorskip("pyarrow", reason="needs the extra scale")

from nanoray import dicomweb
from nanoray.archives.screener import Screener, Task
from nanoray.archives.sources import list_items
from small_archives import PRIVATE, begin_run, rows, write_dicom


class Server:
    """Studies 1 to `studies`, each with a series of radiographs and one of CT slices.

    It gives two studies a page at most, fails the first request for each instance, and lacks the
    instance of study 3.
    """

    def __init__(self, content: bytes, *, studies: int = 5) -> None:
        self.content = content
        self.studies = studies
        self.requests: list[tuple[str, str | None]] = []
        self.lock = threading.Lock()
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                server.answer(self)

            def log_message(self, *_: Any) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}/dicom-web"
        self.thread = threading.Thread(target=self.http.serve_forever, daemon=True)
        self.thread.start()

    def close(self) -> None:
        self.http.shutdown()
        self.http.server_close()
        self.thread.join()

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        with self.lock:
            seen = sum(path == handler.path for path, _ in self.requests)
            self.requests.append((handler.path, handler.headers.get("Authorization")))
        parts = urlsplit(handler.path)
        names = parts.path.removeprefix("/dicom-web/").split("/")
        query = parse_qs(parts.query)
        if names == ["studies"]:
            first = int(query["offset"][0])
            numbers = range(first + 1, min(self.studies, first + 2) + 1)
            self.reply_json(handler, [{"0020000D": value(f"1.2.{n}")} for n in numbers])
        elif names[-1] == "series":
            series = [("CR", "1"), ("CT", "2")]
            self.reply_json(
                handler,
                [{"00080060": value(m), "0020000E": value(f"{names[1]}.{n}")} for m, n in series],
            )
        elif names[-1] == "instances":
            self.reply_json(handler, [{"00080018": value(f"{names[3]}.1")}])
        elif names[1] == "1.2.3":
            handler.send_error(404)
        elif not seen:
            handler.send_error(503)
        else:
            assert "application/dicom" in handler.headers["Accept"]
            body = (
                b"--edge\r\nContent-Type: application/dicom\r\n\r\n"
                + self.content
                + b"\r\n--edge--\r\n"
            )
            handler.send_response(200)
            kind = 'multipart/related; type="application/dicom"; boundary=edge'
            handler.send_header("Content-Type", kind)
            handler.send_header("Content-Length", str(len(body)))
            handler.end_headers()
            handler.wfile.write(body)

    def reply_json(self, handler: BaseHTTPRequestHandler, found: list[Any]) -> None:
        body = json.dumps(found).encode()
        handler.send_response(200 if found else 204)
        handler.send_header("Content-Type", "application/dicom+json")
        handler.send_header("Content-Length", str(len(body) if found else 0))
        handler.end_headers()
        if found:
            handler.wfile.write(body)


def value(text: str) -> dict[str, Any]:
    return {"vr": "UI", "Value": [text]}


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setattr(dicomweb.time, "sleep", lambda _: None)
    made = Server(write_dicom(tmp_path / "film.dcm").read_bytes())
    yield made
    made.close()


def test_lists_radiographs_page_by_page(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(dicomweb.AUTHORIZATION, "Bearer secret")
    found = [item.location for item in list_items(f"{server.url}?StudyDate=2025-")]
    assert found == [
        f"{server.url}/studies/1.2.{n}/series/1.2.{n}.1/instances/1.2.{n}.1.1" for n in range(1, 6)
    ]
    assert {token for _, token in server.requests} == {"Bearer secret"}
    studies = [path for path, _ in server.requests if "/studies?" in path]
    assert all("StudyDate=2025-" in path for path in studies)


def test_screens_what_it_fetches(server: Server, tmp_path: Path, tiny_model: Path) -> None:
    run = begin_run(str(tmp_path / "run"), server.url, tiny_model)
    assert list(run.list_parts(list_items(server.url), 500)) == [5]
    key = b"0123456789abcdef"
    with Screener(Task(run.place, key)) as screener:
        assert screener.screen(0).unread == 1
        assert not list(screener.temporary_folder.iterdir())
    found = rows(run.place)
    assert [row["code"] for row in found] == [None, None, "missing", None, None]
    assert {row["decision"] for row in found} == {"opacity suspected", None}
    # One content, five places.
    assert len({row["content"] for row in found if row["content"]}) == 1
    assert len({row["source"] for row in found}) == 5
    words = str(found)
    assert not any(word in words for word in (*PRIVATE, "1.2.1", "127.0.0.1"))


def test_faults_of_the_server(server: Server) -> None:
    with dicomweb.Client() as client:
        place = f"{server.url}/studies/1.2.3/x"
        assert client.search(place, missing_ok=True) == []
        for request in (client.search, client.fetch):
            with pytest.raises(NanoRayError, match="HTTP status 404"):
                request(place)
    nobody = server.url.replace(str(server.http.server_port), "1")
    with pytest.raises(NanoRayError, match="cannot be reached"):
        list(list_items(nobody))


@pytest.mark.parametrize(
    ("kind", "body", "expected"),
    [
        ("application/dicom", b"whole", b"whole"),
        (
            'multipart/related; type="application/dicom"; boundary=x',
            b"\r\n--x\r\nContent-Type: application/dicom\r\n\r\nDATA\r\n\r\nMORE\r\n--x--",
            b"DATA\r\n\r\nMORE",
        ),
        ('multipart/related; boundary="a b"', b"--a b\r\nX: y\r\n\r\none\r\n--a b--", b"one"),
        ("multipart/related; boundary=e", b"\r\n--e\r\n\r\n1\r\n--e\r\n\r\n2\r\n--e--", b"1"),
    ],
)
def test_first_part(kind: str, body: bytes, expected: bytes) -> None:
    assert dicomweb.first_part(body, kind) == expected


def test_damaged_multipart() -> None:
    for kind, body in (("multipart/related", b"x"), ("multipart/related; boundary=e", b"--e\r\n")):
        with pytest.raises(dicomweb.DicomWebError):
            dicomweb.first_part(body, kind)
