"""The audit trail: messages that other programs can read, and nothing of a patient's name."""

from __future__ import annotations

import re
import socket
from pathlib import Path
from xml.etree import ElementTree

import pytest

from dicom_nodes import node, send
from dicom_peers import radiograph
from nanoray.errors import NanoRayError
from nanoray.serving.audit import Audit, Entry, Event
from serving_helpers import files, picture, serving, settings, wait_for


def messages(path: Path) -> list[ElementTree.Element]:
    found = []
    for line in path.read_text().splitlines():
        match = re.fullmatch(r"<8[45]>1 \S+ \S+ nanoray \d+ DICOM\+RFC3881 - (<.*>)", line)
        assert match is not None, line
        found.append(ElementTree.fromstring(match[1]))
    return found


def said(message: ElementTree.Element) -> tuple[str, str, str, str]:
    """Event, action, outcome and user of a message."""
    event = message.find("EventIdentification")
    participant = message.find("ActiveParticipant")
    assert event is not None
    assert participant is not None
    name = event.find("EventID")
    assert name is not None
    return (
        name.attrib["originalText"],
        event.attrib["EventActionCode"],
        event.attrib["EventOutcomeIndicator"],
        participant.attrib["UserID"],
    )


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
