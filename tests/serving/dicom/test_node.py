"""The DICOM node, with real peers where they are installed."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

from dicom_nodes import answers, archive, delivered, node, send
from dicom_peers import (
    CANARY,
    has_dicomweb,
    needs_dciodvfy,
    needs_dcmtk,
    needs_orthanc,
    orthanc,
    radiograph,
    run,
    storescu,
)
from nanoray.errors import NanoRayError
from nanoray.reading.refusals import REASONS
from nanoray.serving.dicom.destinations import DicomDestination, WebDestination, parse
from nanoray.serving.dicom.documents import Identify
from nanoray.serving.dicom.node import INVALID_UIDS, REFUSED, Node
from nanoray.serving.dicom.settings import NodeSettings
from nanoray.serving.dicom.uids import is_uid
from nanoray.serving.service import Service
from nanoray.serving.storage.tables import InstanceRow, ReportRow, now
from serving_helpers import PATIENCE, settings, wait_for


def test_a_study_comes_back_as_one_report(tmp_path: Path, tiny_model: Path) -> None:
    first = radiograph(tmp_path / "1.dcm", 3)
    second = radiograph(
        tmp_path / "2.dcm", 4, StudyInstanceUID=first.StudyInstanceUID, PatientName="Müller^Jörg"
    )
    with (
        archive() as kept,
        node(
            tmp_path / "data", tiny_model, destinations=(kept.destination,), quiet_seconds=1e6
        ) as client,
    ):
        port = client.app.state.node.port
        assert send(port, first, second) == [0, 0]
        # Sent again, as modalities do: it is known.
        assert send(port, first) == [0]
        assert not client.get("/v1/dicom/deliveries").json()["items"]
        with client.app.state.service.store.database.writing() as session:
            session.query(ReportRow).one().due_at = now()
        wait_for(lambda: delivered(client))
        total = client.get("/v1/predictions", params={"origin": "dicom"}).json()
        assert total["total"] == 2
    report, *pictures = kept.stored
    assert len(pictures) == 2
    assert {item.StudyInstanceUID for item in kept.stored} == {first.StudyInstanceUID}
    assert {item.PatientID for item in kept.stored} == {"ZZCANARY-ID"}
    assert {str(item.PatientName) for item in pictures} == {CANARY, "Müller^Jörg"}
    assert report.Modality == "SR"
    assert report.ContentTemplateSequence[0].TemplateIdentifier == "1500"
    assert (report.VerificationFlag, report.PreliminaryFlag) == ("UNVERIFIED", "PRELIMINARY")
    text = str(report)
    probability = max(item["probability"] for item in total["items"])
    assert f"{round(probability, 6)}" in text
    assert "Research use only" in text
    assert "Flagged: opacity suspected" in text
    for picture in pictures:
        assert picture.SOPClassUID == "1.2.840.10008.5.1.4.1.1.7"
        assert picture.SourceImageSequence[0].ReferencedSOPInstanceUID in (
            first.SOPInstanceUID,
            second.SOPInstanceUID,
        )
        assert picture.pixel_array.shape[2] == 3


@pytest.mark.parametrize(
    "changes",
    [
        {"PatientAge": "012Y"},
        {"ViewPosition": "LL"},
        {"BodyPartExamined": "HAND"},
    ],
    ids=["child", "lateral", "hand"],
)
def test_nothing_is_reported_of_images_outside_the_intended_use(
    tmp_path: Path, tiny_model: Path, changes: dict[str, Any]
) -> None:
    image = radiograph(tmp_path / "1.dcm", 5, **changes)
    with (
        archive() as kept,
        node(tmp_path / "data", tiny_model, destinations=(kept.destination,)) as client,
    ):
        assert send(client.app.state.node.port, image) == [0]
        database = client.app.state.service.store.database

        def reported() -> bool:
            with database.reading() as session:
                return session.query(ReportRow).one().status == "reported"

        wait_for(reported)
        with database.reading() as session:
            assert session.query(ReportRow).one().error_code == "none-eligible"
        assert not client.get("/v1/dicom/deliveries").json()["items"]
    assert not kept.requests


def test_strangers_and_nonsense_are_turned_away(tmp_path: Path, tiny_model: Path) -> None:
    image = radiograph(tmp_path / "1.dcm", 3)
    with node(tmp_path / "data", tiny_model) as client:
        port = client.app.state.node.port
        assert send(port, image, title="STRANGER") == []
        image.StudyInstanceUID = "../../etc/passwd"
        assert send(port, image) == [0xC000]
        image.StudyInstanceUID = "1.2.3"
        del image.StudyInstanceUID
        assert send(port, image) == [0xC000]
        assert client.get("/v1/predictions").json()["total"] == 0
        service = client.app.state.service
        assert service.store.spool.names() == set()
        with service.store.database.reading() as session:
            assert session.query(InstanceRow).count() == 0
        assert b"nanoray_dicom_associations_rejected_total 1.0" in service.metrics.text()


def test_a_refused_image_has_its_reason(
    tmp_path: Path, tiny_model: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "nanoray.serving")
    image = radiograph(tmp_path / "1.dcm", 3)
    with node(tmp_path / "data", tiny_model) as client:
        port = client.app.state.node.port
        (kept,) = answers(port, image)
        assert kept.Status == 0
        assert "ErrorComment" not in kept
        image.StudyInstanceUID = "../../etc/passwd"
        (invalid,) = answers(port, image)
        image.StudyInstanceUID = "1.2.3"
        (other,) = answers(port, image)
        large = radiograph(tmp_path / "2.dcm", 4)
        object.__setattr__(client.app.state.service.settings, "max_file_bytes", 1000)
        (refused,) = answers(port, large)
    assert "UID is missing or invalid" in invalid.ErrorComment
    assert "another patient's or study's" in other.ErrorComment
    assert "larger than the service accepts" in refused.ErrorComment
    told = [record.facts for record in caplog.records if record.msg == "image received"]
    assert [facts["status"] for facts in told] == ["0000", "c000", "0111", "a700"]
    assert {facts["sender"] for facts in told} == {"MODALITY"}
    assert "reason" not in told[0]
    assert [facts["reason"] for facts in told[1:]] == [
        answer.ErrorComment for answer in (invalid, other, refused)
    ]
    assert CANARY not in caplog.text
    assert image.SOPInstanceUID not in caplog.text


def test_reasons_fit_into_an_error_comment() -> None:
    """VR LO (PS3.5 6.2) has 64 characters."""
    codes = ("malformed-dicom", "crash", "timeout", "memory")
    reasons = [*REFUSED.values(), INVALID_UIDS, *(REASONS[code] for code in codes)]
    assert max(map(len, reasons)) <= 64


def test_a_full_disk_is_told_to_the_sender(
    tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = radiograph(tmp_path / "1.dcm", 3)
    with node(tmp_path / "data", tiny_model) as client:
        spool = client.app.state.service.store.spool
        monkeypatch.setattr(spool, "_min_free_bytes", 1 << 62)
        assert send(client.app.state.node.port, image) == [0xA700]
        monkeypatch.setattr(spool, "_min_free_bytes", 0)
        assert send(client.app.state.node.port, image) == [0]


def test_a_destination_that_is_down_gets_its_report_later_and_once(
    tmp_path: Path, tiny_model: Path
) -> None:
    image = radiograph(tmp_path / "1.dcm", 3)
    with (
        archive() as kept,
        node(tmp_path / "data", tiny_model, destinations=(kept.destination,)) as client,
    ):
        kept.status = 0xA700
        assert send(client.app.state.node.port, image) == [0]
        # Given up after three attempts, and set aside.
        (dead,) = wait_for(
            lambda: client.get("/v1/dicom/deliveries", params={"status": "dead"}).json()["items"]
        )
        assert (dead["attempts"], dead["error_code"]) == (3, "status-a700")
        assert "nanoray_dead_deliveries 1.0" in client.get("/metrics").text
        assert not kept.stored
        kept.status = 0x0000
        again = client.post(f"/v1/dicom/deliveries/{dead['id']}/retry")
        assert again.json()["status"] == "pending"
        (done,) = wait_for(lambda: delivered(client))
        assert done["id"] == dead["id"]
        assert client.post(f"/v1/dicom/deliveries/{'0' * 32}/retry").status_code == 404
    assert len(kept.stored) == 2
    assert len({item.SOPInstanceUID for item in kept.stored}) == 2


def test_reports_outlive_the_process_and_keep_their_uids(tmp_path: Path, tiny_model: Path) -> None:
    image = radiograph(tmp_path / "1.dcm", 3)
    with archive() as kept:
        kept.status = 0xA700
        with node(
            tmp_path / "data", tiny_model, destinations=(kept.destination,), attempts=10_000
        ) as client:
            assert send(client.app.state.node.port, image) == [0]
            wait_for(lambda: kept.requests)
        kept.status = 0x0000
        with node(tmp_path / "data", tiny_model, destinations=(kept.destination,)) as client:
            wait_for(lambda: delivered(client))
            names = client.app.state.service.store.spool.names()
    assert len(kept.stored) == 2
    # The image, the report and its heat map.
    assert len(names) == 3


@needs_dcmtk
@needs_dciodvfy
def test_what_is_written_satisfies_other_toolkits(tmp_path: Path, tiny_model: Path) -> None:
    radiograph(tmp_path / "1.dcm", 3)
    with (
        archive() as kept,
        node(tmp_path / "data", tiny_model, destinations=(kept.destination,)) as client,
    ):
        port = client.app.state.node.port
        assert (
            run("echoscu", "-aet", "MODALITY", "-aec", "NANORAY", "127.0.0.1", port).returncode == 0
        )
        assert run("echoscu", "-aet", "OTHER", "-aec", "NANORAY", "127.0.0.1", port).returncode != 0
        sent = storescu(port, tmp_path / "1.dcm")
        assert sent.returncode == 0, sent.stderr
        assert "Success" in sent.stdout + sent.stderr
        wait_for(lambda: delivered(client))
    for number, item in enumerate(kept.stored):
        path = tmp_path / f"out{number}.dcm"
        item.save_as(path, enforce_file_format=True)
        verified = run("dciodvfy", path)
        said = verified.stdout + verified.stderr
        assert verified.returncode == 0, said
        assert "Error" not in said
        # Codes of our own are of a scheme that it cannot know.
        warnings = [line for line in said.splitlines() if "Warning" in line]
        assert all("99NANORAY" in line for line in warnings), said
    dump = run("dsrdump", tmp_path / "out0.dcm")
    assert dump.returncode == 0, dump.stderr
    assert "Imaging Measurement Report" in dump.stdout
    assert '(112033,DCM,"Abnormal opacity")' in dump.stdout
    assert "Image Library" not in dump.stdout


@needs_orthanc
def test_from_orthanc_and_back(tmp_path: Path, tiny_model: Path) -> None:
    if not has_dicomweb():
        pytest.skip("needs Orthanc's plug-in: apt-get install orthanc-dicomweb")
    image = radiograph(tmp_path / "1.dcm", 3)
    other = radiograph(tmp_path / "2.dcm", 8)
    with node(tmp_path / "data", tiny_model) as client:
        running = client.app.state.node
        with orthanc(tmp_path / "orthanc", running.port) as pacs:
            destinations = (
                DicomDestination("ORTHANC", "127.0.0.1", pacs.dicom),
                WebDestination(pacs.web),
            )
            running.source = destinations[1]
            for destination in destinations:
                running.add(destination)
            running.deliveries.start()
            for path in ("1.dcm", "2.dcm"):
                pacs.post("/instances", (tmp_path / path).read_bytes())

            # Routing: Orthanc sends a study, and gets it back by both ways, as the same objects.
            (study,) = pacs.post(
                "/tools/find",
                {"Level": "Study", "Query": {"StudyInstanceUID": image.StudyInstanceUID}},
            )
            pacs.post("/modalities/nanoray/store", study)
            wait_for(lambda: len(delivered(client)) == 2)
            objects = pacs.instances(image.StudyInstanceUID)
            assert sorted(item.Modality for item in objects) == ["DX", "OT", "SR"]
            assert {str(item.PatientName) for item in objects} == {CANARY}

            # Fetching by QIDO-RS and WADO-RS.
            wanted = {"study_instance_uid": other.StudyInstanceUID}
            pulled = client.post("/v1/dicom/pulls", json=wanted)
            assert pulled.json() == {"accepted": 1, "known": 0, "refused": 0}
            assert client.post("/v1/dicom/pulls", json=wanted).json()["known"] == 1
            wait_for(lambda: len(delivered(client)) == 4)
            assert len(pacs.instances(other.StudyInstanceUID)) == 3
            missing = client.post("/v1/dicom/pulls", json={"study_instance_uid": "1.2.3.4"})
            assert missing.status_code == 404
            assert missing.json()["code"] == "no-study"
        gone = client.post("/v1/dicom/pulls", json=wanted)
        assert (gone.status_code, gone.json()["code"]) == (502, "unreachable")


def test_dicom_over_tls(tmp_path: Path, tiny_model: Path) -> None:
    from certificates import write_certificate
    from nanoray.serving.dicom.peers import tls_context

    certificate, key = write_certificate(tmp_path)
    image = radiograph(tmp_path / "1.dcm", 3)
    context = tls_context(certificate, key, certificate, server=True)
    with node(tmp_path / "data", tiny_model, tls=context) as client:
        port = client.app.state.node.port
        peer = tls_context(certificate, key, certificate, server=False)
        from nanoray.serving.dicom.delivery_error import DeliveryError

        data = (tmp_path / "1.dcm").read_bytes()
        DicomDestination("NANORAY", "localhost", port, peer).send([data], "MODALITY")
        assert client.get("/v1/predictions").json()["total"] == 1
        # Without TLS, or without a certificate, nobody is heard.
        with pytest.raises(DeliveryError):
            DicomDestination("NANORAY", "localhost", port).send([data], "MODALITY")
    assert image.SOPInstanceUID


def test_settings_that_would_open_the_node_are_refused(tmp_path: Path, tiny_model: Path) -> None:
    with pytest.raises(NanoRayError, match="allow-ae"):
        NodeSettings(port=0).check()
    with pytest.raises(NanoRayError, match="AE title"):
        NodeSettings(port=0, allowed_titles=("back\\slash",)).check()
    service = Service(settings(tmp_path / "data", tiny_model, store_nothing=True))
    try:
        with pytest.raises(NanoRayError, match="must store files"):
            Node(service, NodeSettings())
    finally:
        service.stop()


def test_destinations_are_parsed_strictly() -> None:
    destination = parse("dicom://PACS@host.example:11112")
    assert isinstance(destination, DicomDestination)
    assert (destination.title, destination.port) == ("PACS", 11112)
    assert destination.name == "dicom://PACS@host.example:11112"
    assert parse("https://host/dicom-web/").name == "https://host/dicom-web"
    for bad in (
        "dicom://host:104",
        "dicom://PACS@host",
        "dicom://PACS@host:99999",
        "ftp://host/",
        "https://user:secret@host/",
        "PACS",
    ):
        with pytest.raises(NanoRayError) as caught:
            parse(bad)
        assert "secret" not in str(caught.value)


def test_uids() -> None:
    assert is_uid("1.2.840.10008")
    for bad in ("", "1..2", "1.2.", "1.2/3", "1" * 65, "a.b", "1.2\n"):
        assert not is_uid(bad)
    assert Identify("/nowhere", 1.0).run().error == "malformed-dicom"


def test_the_node_answers_several_at_once(tmp_path: Path, tiny_model: Path) -> None:
    images = [radiograph(tmp_path / f"{seed}.dcm", seed) for seed in range(4)]
    statuses: list[list[int]] = []
    with node(tmp_path / "data", tiny_model) as client:
        port = client.app.state.node.port
        threads = [
            threading.Thread(target=lambda image=image: statuses.append(send(port, image)))
            for image in images
            for _ in range(2)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(PATIENCE)
        assert statuses == [[0]] * 8
        assert client.get("/v1/predictions").json()["total"] == 4
        with client.app.state.service.store.database.reading() as session:
            assert session.query(InstanceRow).count() == 4
