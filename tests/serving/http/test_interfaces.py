"""Interfaces beside our own API: STOW-RS, FHIR and the conformance statement."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pydicom
import pytest

from dicom_nodes import archive, delivered, node, send
from dicom_peers import radiograph
from nanoray.serving.dicom.conformance import statement
from nanoray.serving.dicom.destinations import parse
from nanoray.serving.dicom.node import IMAGE_CLASSES, TRANSFER_SYNTAXES
from serving_helpers import serving, settings, wait_for

ROOT = Path(__file__).parents[3]


def related(*contents: bytes) -> dict[str, Any]:
    """Return a STOW-RS request."""
    body = b"".join(
        b"--XX\r\nContent-Type: application/dicom\r\n\r\n" + data + b"\r\n" for data in contents
    )
    kind = 'multipart/related; type="application/dicom"; boundary=XX'
    return {"content": body + b"--XX--\r\n", "headers": {"Content-Type": kind}}


def test_images_come_by_stow(tmp_path: Path, tiny_model: Path) -> None:
    image = radiograph(tmp_path / "1.dcm", 3)
    data = (tmp_path / "1.dcm").read_bytes()
    other = radiograph(tmp_path / "2.dcm", 4, SOPClassUID="1.2.840.10008.5.1.4.1.1.2")
    other.file_meta.MediaStorageSOPClassUID = other.SOPClassUID
    other.save_as(tmp_path / "2.dcm")
    slice_ = (tmp_path / "2.dcm").read_bytes()
    with (
        archive() as kept,
        node(tmp_path / "data", tiny_model, port=None, destinations=(kept.destination,)) as client,
    ):
        whole = client.post("/dicom-web/studies", **related(data))
        assert whole.status_code == 200
        (item,) = whole.json()["00081199"]["Value"]
        assert item["00081155"]["Value"] == [str(image.SOPInstanceUID)]
        assert client.post("/dicom-web/studies", **related(data)).status_code == 200
        part = client.post("/dicom-web/studies", **related(data, slice_))
        assert part.status_code == 202
        (item,) = part.json()["00081198"]["Value"]
        assert item["00081197"]["Value"] == [0x0122]
        assert client.post("/dicom-web/studies", **related(b"nonsense")).status_code == 409
        assert client.post("/dicom-web/studies", content=data).status_code == 415
        wait_for(lambda: delivered(client))
        assert client.get("/v1/predictions").json()["total"] == 1
    assert {item.Modality for item in kept.stored} == {"SR", "OT"}


@pytest.fixture
def fhir_server() -> Iterator[tuple[list[dict[str, Any]], str]]:
    """Provide a server that takes transactions, and its address."""
    taken: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            taken.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield taken, f"fhir+http://127.0.0.1:{server.server_address[1]}/fhir"
    server.shutdown()
    server.server_close()


def test_reports_are_fhir_resources_too(
    tmp_path: Path, tiny_model: Path, fhir_server: tuple[list[dict[str, Any]], str]
) -> None:
    pytest.importorskip("fhir.resources", reason="needs fhir.resources")
    from fhir.resources.R4B.bundle import Bundle
    from fhir.resources.R4B.diagnosticreport import DiagnosticReport

    taken, url = fhir_server
    image = radiograph(tmp_path / "1.dcm", 3)
    with node(tmp_path / "data", tiny_model, destinations=(parse(url),)) as client:
        assert send(client.app.state.node.port, image) == [0]
        wait_for(lambda: delivered(client))
        (report,) = client.get("/v1/dicom/reports?status=reported").json()["items"]
        answer = client.get(f"/fhir/DiagnosticReport/{report['id']}")
        assert answer.headers["content-type"] == "application/fhir+json"
        assert client.get(f"/fhir/DiagnosticReport/{'0' * 32}").status_code == 404
        probability = client.get("/v1/predictions").json()["items"][0]["probability"]
    found = DiagnosticReport.model_validate(answer.json())
    assert found.id == report["id"]
    assert found.subject.identifier.value == "ZZCANARY-ID"
    case, one = answer.json()["contained"]
    assert (case["code"]["text"], one["code"]["text"]) == ("Case", "Image 1")
    assert case["valueCodeableConcept"]["coding"][0]["display"] == "Present"
    assert case["component"][0]["valueQuantity"]["value"] == pytest.approx(probability, abs=1e-6)
    assert str(image.StudyInstanceUID) in answer.text
    (bundle,) = taken
    Bundle.model_validate(bundle)
    kinds = [entry["resource"]["resourceType"] for entry in bundle["entry"]]
    assert kinds == ["DiagnosticReport", "Observation", "Observation"]
    references = {item["reference"] for item in bundle["entry"][0]["resource"]["result"]}
    assert references == {entry["fullUrl"] for entry in bundle["entry"][1:]}


def test_the_conformance_statement_is_that_of_the_code() -> None:
    text = statement()
    assert (ROOT / "docs/reference/conformance-statement.md").read_text() == text
    for uid in (*IMAGE_CLASSES, *TRANSFER_SYNTAXES):
        assert uid in text
        assert pydicom.uid.UID(uid).name in text


def test_without_a_node_its_routes_name_the_options(tmp_path: Path, tiny_model: Path) -> None:
    with serving(settings(tmp_path / "data", tiny_model)) as client:
        document = client.get("/openapi.json").json()["paths"]
        routes = [
            (method, path.replace("{name}", "0" * 32))
            for path, methods in document.items()
            for method in methods
            if path.startswith(("/v1/dicom/", "/fhir/", "/dicom-web/"))
        ]
        assert len(routes) >= 10
        for method, path in routes:
            content = b"" if method == "get" else b"{}"
            answer = client.request(method, path, content=content)
            assert answer.status_code == 409, path
            assert answer.json()["code"] == "no-node"
            assert "--dicom-port" in answer.json()["detail"]
