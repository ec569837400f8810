"""The audit trail: messages that other programs can read, and nothing of a patient's name."""

from __future__ import annotations

import os
import socket
import ssl
import time
from pathlib import Path
from xml.etree import ElementTree

import pytest
from typer.testing import CliRunner

from audit_messages import messages, said
from certificates import write_certificate
from dicom_nodes import archive, delivered, node, send
from dicom_peers import radiograph
from nanoray.commands.app import app
from nanoray.errors import NanoRayError
from nanoray.serving.audit import Audit, Entry, Event
from serving_helpers import files, picture, serving, settings, wait_for


def test_requests_are_recorded(tmp_path: Path, tiny_model: Path) -> None:
    from nanoray.serving.storage import keys

    given = settings(tmp_path / "data", tiny_model, no_auth=False)
    with serving(given) as client:
        key = keys.add(client.app.state.service.keyring.database, "x", "submit")
        public = key.split("_")[1]
        client.get("/v1/predictions")
        bearer = {"Authorization": f"Bearer {key}"}
        made = client.post("/v1/predictions", files=files(picture(0.6)), headers=bearer)
        name = made.json()["results"][0]["id"]
        client.get(f"/v1/predictions/{name}", headers=bearer)
        client.delete(f"/v1/predictions/{name}", headers=bearer)
        client.get("/healthz")
    path = tmp_path / "data" / "audit.log"
    assert path.stat().st_mode & 0o077 == 0
    found = messages(path)
    assert [said(message) for message in found] == [
        ("Application Activity", "E", "0", "unknown"),
        ("User Authentication", "E", "4", "unknown"),
        ("Import", "C", "0", f"key {public}"),
        ("DICOM Instances Accessed", "R", "0", f"key {public}"),
        ("Security Alert", "E", "4", f"key {public}"),
        ("Application Activity", "E", "0", "unknown"),
    ]
    assert key not in path.read_text()
    item = found[3].find("ParticipantObjectIdentification")
    assert item is not None
    assert item.attrib["ParticipantObjectID"] == name
    participant = found[1].find("ActiveParticipant")
    assert participant is not None
    assert participant.attrib["NetworkAccessPointID"] == "testclient"


def test_stores_and_strangers_are_recorded(tmp_path: Path, tiny_model: Path) -> None:
    image = radiograph(tmp_path / "1.dcm", 3)
    with node(tmp_path / "data", tiny_model) as client:
        port = client.app.state.node.port
        assert send(port, image) == [0]
        assert send(port, image, title="STRANGER") == []
    found = [said(message) for message in messages(tmp_path / "data" / "audit.log")]
    assert ("DICOM Instances Transferred", "C", "0", "MODALITY") in found
    assert ("User Authentication", "E", "4", "STRANGER") in found
    text = (tmp_path / "data" / "audit.log").read_text()
    assert str(image.SOPInstanceUID) in text
    assert "ZZCANARY" not in text


@pytest.mark.parametrize("kind", ["udp", "tcp"])
def test_messages_reach_a_syslog_server(kind: str) -> None:
    form = socket.SOCK_DGRAM if kind == "udp" else socket.SOCK_STREAM
    with socket.socket(socket.AF_INET, form) as server:
        server.bind(("127.0.0.1", 0))
        server.settimeout(60)
        if kind == "tcp":
            server.listen()
        audit = Audit(None, f"{kind}://127.0.0.1:{server.getsockname()[1]}")
        audit.record(Entry(event=Event.QUERY, action="E", user='<&">', object_id="x"))
        if kind == "udp":
            data = server.recv(9000)
        else:
            connection, _ = server.accept()
            with connection:
                count, _, data = connection.recv(9000).partition(b" ")
                assert int(count) == len(data)
        audit.close()
    assert b"DICOM+RFC3881" in data
    assert ElementTree.fromstring(data.partition(b" - ")[2]).tag == "AuditMessage"


@pytest.mark.parametrize("trusted", [True, False])
def test_messages_travel_by_tls_to_a_trusted_server_alone(tmp_path: Path, trusted: bool) -> None:
    certificate, key = write_certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    (tmp_path / "other").mkdir()
    authority = certificate if trusted else write_certificate(tmp_path / "other")[0]
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(60)
        audit = Audit(None, f"tls://localhost:{server.getsockname()[1]}", authority)
        audit.record(Entry(event=Event.QUERY, action="E", object_id="x"))
        plain, _ = server.accept()
        if trusted:
            with context.wrap_socket(plain, server_side=True) as secure:
                count, _, data = secure.recv(9000).partition(b" ")
                assert secure.version() in ("TLSv1.2", "TLSv1.3")
            assert int(count) == len(data)
            assert b"<AuditMessage>" in data
        else:
            with plain, pytest.raises(ssl.SSLError):
                context.wrap_socket(plain, server_side=True).recv(1)
        audit.close()


def test_messages_wait_for_a_syslog_server_that_is_away() -> None:
    with socket.create_server(("127.0.0.1", 0)) as reserved:
        port = reserved.getsockname()[1]
    audit = Audit(None, f"tcp://127.0.0.1:{port}")
    for number in range(3):
        audit.record(Entry(event=Event.QUERY, action="E", object_id=f"n{number}"))
    time.sleep(0.3)
    with socket.create_server(("127.0.0.1", port)) as server:
        server.settimeout(60)
        connection, _ = server.accept()
        with connection:
            connection.settimeout(60)
            data = b""
            while data.count(b"</AuditMessage>") < 3:
                data += connection.recv(9000)
        audit.close()
    assert [data.index(b'"n%d"' % number) for number in range(3)] == sorted(
        data.index(b'"n%d"' % number) for number in range(3)
    )


def test_an_authority_that_is_none_is_named(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("nonsense")
    with pytest.raises(NanoRayError, match=r"ca\.pem"):
        Audit(None, "tls://localhost:6514", tmp_path / "ca.pem")


def test_deliveries_are_recorded(tmp_path: Path, tiny_model: Path) -> None:
    image = radiograph(tmp_path / "1.dcm", 3)
    with (
        archive() as kept,
        node(tmp_path / "data", tiny_model, destinations=(kept.destination,)) as client,
    ):
        kept.status = 0xA700
        assert send(client.app.state.node.port, image) == [0]
        wait_for(lambda: kept.requests)
        kept.status = 0
        wait_for(lambda: delivered(client) or client.post("/v1/dicom/deliveries/retry") is None)
        (delivery,) = delivered(client)
    found = messages(tmp_path / "data" / "audit.log")
    sent = [
        (said(message), item.attrib["ParticipantObjectID"])
        for message in found
        if (item := message.find("ParticipantObjectIdentification")) is not None
        and delivery["id"] in str(ElementTree.tostring(item))
        and "delivery " in str(ElementTree.tostring(item))
    ]
    study = str(image.StudyInstanceUID)
    event = "DICOM Instances Transferred"
    assert sent[0] == ((event, "C", "4", "NANORAY"), study)
    assert sent[-1] == ((event, "C", "0", "NANORAY"), study)


def test_changes_of_keys_are_recorded(tmp_path: Path) -> None:
    data = tmp_path / "data"
    made = CliRunner().invoke(app, ["keys", "add", "Ward", "--role", "read", "--data", str(data)])
    assert made.exit_code == 0, made.output
    assert CliRunner().invoke(app, ["keys", "revoke", "Ward", "--data", str(data)]).exit_code == 0
    assert CliRunner().invoke(app, ["keys", "revoke", "None", "--data", str(data)]).exit_code != 0
    added, revoked = messages(data / "audit.log")
    assert [said(one)[:3] for one in (added, revoked)] == [
        ("Security Alert", "C", "0"),
        ("Security Alert", "D", "0"),
    ]
    for one in (added, revoked):
        kind = one.find("EventIdentification/EventTypeCode")
        assert kind is not None
        assert kind.attrib["originalText"] == "User Security Attributes Changed"
        item = one.find("ParticipantObjectIdentification")
        assert item is not None
        assert item.attrib["ParticipantObjectID"] == f"key {made.stdout.split('_')[1]}"
    assert made.stdout.strip().rpartition("_")[2] not in (data / "audit.log").read_text()


def test_a_rotated_file_is_begun_anew(tmp_path: Path) -> None:
    path = tmp_path / "audit.log"
    audit = Audit(path)
    audit.record(Entry(event=Event.QUERY, action="E"))
    path.rename(tmp_path / "audit.log.1")
    audit.record(Entry(event=Event.QUERY, action="E"))
    assert len(messages(path)) == len(messages(tmp_path / "audit.log.1")) == 1
    with pytest.raises(NanoRayError, match="syslog"):
        Audit(None, "localhost")
    wait_for(lambda: True)


def test_a_line_that_was_cut_off_does_not_take_the_next_one_along(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    audit = Audit(tmp_path / "audit.log")
    entry = Entry(event=Event.QUERY, action="E", user="key 1")
    write = os.write
    with monkeypatch.context() as full:
        full.setattr(os, "write", lambda handle, data: write(handle, data[:40]))
        audit.record(entry)
    audit.record(entry)
    audit.close()
    torn, whole, end = (tmp_path / "audit.log").read_bytes().split(b"\n")
    assert len(torn) == 40
    assert whole.startswith(b"<")
    assert whole.endswith(b"</AuditMessage>")
    assert end == b""
