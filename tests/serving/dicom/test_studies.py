"""Studies as they come in practice: late, corrected, mixed up, and with headers of all kinds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom.uid import generate_uid

from dicom_nodes import archive, delivered, node, send
from dicom_peers import radiograph
from nanoray.serving.dicom.documents import Compare
from nanoray.serving.dicom.source import source
from nanoray.serving.storage.tables import ReportRow
from serving_helpers import wait_for


def reports(client: Any, status: str = "reported") -> list[dict[str, Any]]:
    found = client.get("/v1/dicom/reports", params={"status": status}).json()["items"]
    return sorted(found, key=lambda item: str(item["created_at"]))


def documents(kept: Any) -> list[pydicom.Dataset]:
    return [item for item in kept.stored if item.Modality == "SR"]


def text_of(document: pydicom.Dataset) -> str:
    return str(document)


def test_a_late_image_gives_a_report_on_the_whole_study(tmp_path: Path, tiny_model: Path) -> None:
    first = radiograph(tmp_path / "1.dcm", 3)
    late = radiograph(tmp_path / "2.dcm", 4, StudyInstanceUID=first.StudyInstanceUID)
    other = radiograph(
        tmp_path / "3.dcm", 5, StudyInstanceUID=first.StudyInstanceUID, PatientID="SOMEBODY-ELSE"
    )
    with (
        archive() as kept,
        node(tmp_path / "data", tiny_model, destinations=(kept.destination,)) as client,
    ):
        port = client.app.state.node.port
        assert send(port, first) == [0]
        wait_for(lambda: len(delivered(client)) == 1)
        assert send(port, late) == [0]
        wait_for(lambda: len(delivered(client)) == 2)
        # The same study UID with another patient is another case.
        assert send(port, other) == [0]
        wait_for(lambda: len(delivered(client)) == 3)
        before, after, apart = reports(client)
        assert after["predecessor"] == before["id"]
        assert apart["predecessor"] is None
    one, two, three = documents(kept)
    (reference,) = two.PredecessorDocumentsSequence
    (series,) = reference.ReferencedSeriesSequence
    assert series.SeriesInstanceUID == one.SeriesInstanceUID
    assert series.ReferencedSOPSequence[0].ReferencedSOPInstanceUID == one.SOPInstanceUID
    for image in (first, late):
        assert image.SOPInstanceUID in text_of(two)
    assert late.SOPInstanceUID not in text_of(one)
    assert "PredecessorDocumentsSequence" not in three
    assert three.PatientID == "SOMEBODY-ELSE"
    assert first.SOPInstanceUID not in text_of(three)
    # A picture of each image, and not again with the second report.
    pictures = [item for item in kept.stored if item.Modality == "OT"]
    assert len(pictures) == 3


def test_a_corrected_image_is_reported_and_a_collision_refused(
    tmp_path: Path, tiny_model: Path
) -> None:
    image = radiograph(tmp_path / "1.dcm", 3)
    uids = {
        keyword: image[keyword].value
        for keyword in ("SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID")
    }
    corrected = radiograph(tmp_path / "2.dcm", 9, **uids)
    renamed = radiograph(tmp_path / "3.dcm", 9, **uids, PatientName="NEW^NAME")
    stranger = radiograph(tmp_path / "4.dcm", 9, **uids, PatientID="SOMEBODY-ELSE")
    moved = radiograph(tmp_path / "5.dcm", 9, **(uids | {"StudyInstanceUID": generate_uid()}))
    for item in (corrected, renamed, stranger, moved):
        item.file_meta.MediaStorageSOPInstanceUID = image.SOPInstanceUID
    with (
        archive() as kept,
        node(tmp_path / "data", tiny_model, destinations=(kept.destination,)) as client,
    ):
        port = client.app.state.node.port
        assert send(port, image) == [0]
        wait_for(lambda: len(delivered(client)) == 1)
        # The same picture under another file meta information is the same.
        image.file_meta.ImplementationVersionName = "OTHER"
        assert send(port, image) == [0]
        assert send(port, stranger, moved) == [0x0111, 0x0111]
        assert send(port, corrected) == [0xB000]
        wait_for(lambda: len(delivered(client)) == 2)
        assert send(port, renamed) == [0xB000]
        wait_for(lambda: len(delivered(client)) == 3)
        metrics = client.get("/metrics").text
        assert 'nanoray_dicom_conflicts_total{taken_as="correction"} 2.0' in metrics
        assert 'nanoray_dicom_conflicts_total{taken_as="collision"} 2.0' in metrics
    one, two, three = documents(kept)
    for before, after in ((one, two), (two, three)):
        (reference,) = after.PredecessorDocumentsSequence
        (series,) = reference.ReferencedSeriesSequence
        assert series.ReferencedSOPSequence[0].ReferencedSOPInstanceUID == before.SOPInstanceUID
    assert str(three.PatientName) == "NEW^NAME"
    assert {item.PatientID for item in kept.stored} == {"ZZCANARY-ID"}


HEADERS: dict[str, dict[str, Any]] = {
    "no character set": {"SpecificCharacterSet": None},
    "empty": {"SpecificCharacterSet": ""},
    "ISO_IR 6": {"SpecificCharacterSet": "ISO_IR 6"},
    "single code extension": {"SpecificCharacterSet": "ISO 2022 IR 100"},
    "misspelt": {"SpecificCharacterSet": "ISO IR 100"},
    "UTF-8": {"SpecificCharacterSet": "UTF-8"},
    "unknown": {"SpecificCharacterSet": "KLINGON"},
    "GB18030": {"SpecificCharacterSet": "GB18030"},
    "birth date": {"PatientBirthDate": "00000000"},
    "impossible date": {"StudyDate": "20261399"},
    "impossible time": {"StudyTime": "256199"},
    "old forms": {"StudyDate": "2026.01.02", "StudyTime": "03:04:05"},
    "two physicians": {"ReferringPhysicianName": ["ONE^A", "TWO^B"]},
    "no series": {"SeriesInstanceUID": None},
    "two accession numbers": {"AccessionNumber": ["A1", "A2"]},
    "age": {"PatientAge": "50"},
    "sex": {"PatientSex": "weiblich"},
    "leading zero in a UID": {"StudyInstanceUID": "1.2.0003.4"},
    "long texts": {"AccessionNumber": "A" * 40, "StudyDescription": "D" * 200},
    "five name groups": {"PatientName": "A^B=C^D=E^F=G^H"},
    "control characters": {"StudyDescription": "a\x1b[31mb\x00c"},
    "time zone": {"TimezoneOffsetFromUTC": "+0530"},
    "no patient": {"PatientName": None, "PatientID": None},
}


@pytest.fixture
def writer(tmp_path: Path) -> Any:
    """Provide a function that writes the documents on an image with a changed header."""
    from datetime import datetime, timezone

    from nanoray.serving.dicom.documents import WriteReport
    from nanoray.serving.dicom.findings import Finding, Model

    def write(path: Path, *others: Path, **changes: Any) -> list[pydicom.Dataset]:
        model = Model("tiny", "9.1", "ab" * 32, "balanced", 0.4)
        values = np.zeros((8, 8), "<f4")
        values[2:4, 1:3] = 0.8
        findings = tuple(
            Finding(str(one), model, 0.7, True, heatmap=values.tobytes(), heatmap_rows=8,
                    heatmap_columns=8)
            for one in (path, *others)
        )  # fmt: skip
        task = WriteReport("r" * 32, "case", findings, datetime.now(timezone.utc), 60.0, **changes)
        written = task.run()
        assert written.error is None
        return [pydicom.dcmread(pydicom.filebase.DicomBytesIO(data)) for data in written.files]

    return write


@pytest.mark.parametrize("changes", HEADERS.values(), ids=list(HEADERS))
def test_reports_survive_common_headers(
    tmp_path: Path, writer: Any, changes: dict[str, Any]
) -> None:
    path = tmp_path / "1.dcm"
    image = radiograph(path, 3)
    before = pydicom.config.settings.writing_validation_mode
    pydicom.config.settings.writing_validation_mode = pydicom.config.IGNORE
    try:
        for keyword, value in changes.items():
            if value is None:
                del image[keyword]
            else:
                setattr(image, keyword, value)
        charset = image.get("SpecificCharacterSet")
        try:
            image.save_as(path)
        except LookupError:
            # pydicom cannot write an unknown character set: put it in afterwards.
            image.SpecificCharacterSet = "ISO_IR 192"
            image.save_as(path)
            path.write_bytes(
                path.read_bytes().replace(b"ISO_IR 192", str(charset).ljust(10).encode())
            )
        report, *rest = writer(path)
        assert report.Modality == "SR"
        assert report.SpecificCharacterSet == "ISO_IR 192"
        assert rest
        for item in (report, *rest):
            assert item.StudyInstanceUID == image.StudyInstanceUID
            assert item.get("PatientID", "") == image.get("PatientID", "")
            assert str(item.PatientName) == str(image.get("PatientName", ""))
            assert item.AccessionNumber == image.AccessionNumber
            assert item.get("TimezoneOffsetFromUTC") == image.get("TimezoneOffsetFromUTC")
            pydicom.dcmwrite(tmp_path / "again.dcm", item)
        if "StudyDate" in changes:
            assert report.StudyDate == ("20260102" if "." in changes["StudyDate"] else "")
    finally:
        pydicom.config.settings.writing_validation_mode = before


@pytest.mark.parametrize(
    ("charset", "encoded", "name"),
    [
        (
            ["", "ISO 2022 IR 87"],
            b"Yamada^Tarou=" + "山田".encode("iso2022_jp") + b"^"
            + "太郎".encode("iso2022_jp"),
            "Yamada^Tarou=山田^太郎",
        ),
        (
            ["", "ISO 2022 IR 149"],
            b"Hong^Gildong=\x1b$)C" + "洪".encode("euc_kr") + b"^\x1b$)C" + "吉洞".encode("euc_kr"),
            "Hong^Gildong=洪^吉洞",
        ),
        (["ISO IR 100"], "Müller^Jörg".encode("latin-1"), "Müller^Jörg"),
        (["ISO 2022 IR 100"], "Müller^Jörg".encode("latin-1"), "Müller^Jörg"),
        (["UTF-8"], "Müller^Jörg".encode(), "Müller^Jörg"),
        (["ISO_IR 144"], "Иванов".encode("iso8859_5"), "Иванов"),
        ([""], "Müller^Jörg".encode("latin-1"), "Müller^Jörg"),
        (["ISO_IR 192"], "Müller^Jörg".encode("latin-1"), "Müller^Jörg"),
    ],
    ids=["japanese", "korean", "misspelt", "single", "utf-8", "cyrillic", "undeclared", "wrong"],
)  # fmt: skip
def test_names_are_read_as_they_were_meant(
    tmp_path: Path, charset: list[str], encoded: bytes, name: str
) -> None:
    path = tmp_path / "1.dcm"
    # Put into the file as they are: pydicom would encode them again.
    radiograph(path, 3)
    data = path.read_bytes()
    for tag, vr, before, after in (
        (b"\x08\0\x05\0", b"CS", b"ISO_IR 100", "\\".join(charset).encode()),
        (b"\x10\0\x10\0", b"PN", b"ZZCANARY^LEAK ", encoded),
    ):
        after += b" " * (len(after) % 2)  # noqa: PLW2901
        old = tag + vr + len(before).to_bytes(2, "little") + before
        assert data.count(old) == 1
        data = data.replace(old, tag + vr + len(after).to_bytes(2, "little") + after)
    path.write_bytes(data)
    assert str(source(path).PatientName) == name


def test_what_a_negative_study_says(tmp_path: Path, tiny_model: Path) -> None:
    image = radiograph(tmp_path / "1.dcm", 3)
    with (
        archive() as kept,
        node(tmp_path / "data", tiny_model, threshold=0.999, destinations=(kept.destination,))
        as client,
    ):  # fmt: skip
        assert send(client.app.state.node.port, image) == [0]
        wait_for(lambda: delivered(client))
    report, picture = kept.stored
    groups = [
        item
        for item in report.ContentSequence[-1].ContentSequence
        if item.ConceptNameCodeSequence[0].CodeValue == "125007"
    ]
    assert len(groups) == 2
    for group in groups:
        by_code: dict[str, Any] = {
            item.ConceptNameCodeSequence[0].CodeValue: item for item in group.ContentSequence
        }
        # No finding is named, and its absence is coded.
        assert "121071" not in by_code
        assert by_code["112033"].ConceptCodeSequence[0].CodeMeaning == "Absent"
        # Without coordinates some viewers show nothing at all.
        assert by_code["111030"].ValueType == "SCOORD"
    assert "TimezoneOffsetFromUTC" not in report
    assert picture.BurnedInAnnotation == "YES"
    assert picture.LossyImageCompression == "00"
    assert picture.Rows > picture.Columns


def test_requests_spacing_and_compression_are_passed_on(tmp_path: Path, writer: Any) -> None:
    path = tmp_path / "1.dcm"
    image = radiograph(
        path,
        3,
        PixelSpacing=None,
        ImagerPixelSpacing=[0.2, 0.2],
        LossyImageCompression="01",
        LossyImageCompressionRatio=8,
    )
    item = pydicom.Dataset()
    item.RequestedProcedureID, item.ScheduledProcedureStepID = "RP1", "SPS1"
    image.RequestAttributesSequence = [item]
    image.save_as(path)
    report, picture, *_ = writer(path)
    (request,) = report.ReferencedRequestSequence
    assert (request.RequestedProcedureID, request.AccessionNumber) == ("RP1", "ZZCANARY-ACC")
    assert picture.RequestAttributesSequence[0].ScheduledProcedureStepID == "SPS1"
    assert picture.LossyImageCompression == "01"
    assert [float(value) for value in picture.PixelSpacing] == [0.2, 0.2]


def test_images_that_are_not_judged_are_reported_by_setting(
    tmp_path: Path, tiny_model: Path
) -> None:
    lateral = radiograph(tmp_path / "1.dcm", 3, ViewPosition="LL")
    with (
        archive() as kept,
        node(
            tmp_path / "data",
            tiny_model,
            destinations=(kept.destination,),
            report_unprocessed=True,
        ) as client,
    ):
        assert send(client.app.state.node.port, lateral) == [0]
        wait_for(lambda: delivered(client))
        assert reports(client)[0]["error_code"] == "none-eligible"
    (status,) = kept.stored
    assert "Not processed: lateral view" in text_of(status)
    assert "Probability" not in text_of(status)


def test_dead_reports_are_listed_retried_and_cancelled(
    tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from nanoray.serving.dicom.documents import Written

    image = radiograph(tmp_path / "1.dcm", 3)
    with (
        archive() as kept,
        node(tmp_path / "data", tiny_model, destinations=(kept.destination,)) as client,
    ):
        pipeline = client.app.state.service.pipeline
        call = pipeline.call
        broken = True

        def failing(task: Any) -> Any:
            if broken and type(task).__name__ == "WriteReport":
                return Written(error="document")
            return call(task)

        monkeypatch.setattr(pipeline, "call", failing)
        assert send(client.app.state.node.port, image) == [0]
        (dead,) = wait_for(lambda: reports(client, "dead"))
        assert (dead["error_code"], dead["images"]) == ("document", 1)
        assert "nanoray_dead_reports 1.0" in client.get("/metrics").text
        cancelled = client.post(f"/v1/dicom/reports/{dead['id']}/cancel")
        assert cancelled.json()["status"] == "cancelled"
        assert client.post("/v1/dicom/reports/retry").json() == {"retried": 0}
        broken = False
        assert client.post(f"/v1/dicom/reports/{dead['id']}/retry").status_code == 200
        wait_for(lambda: delivered(client))
        assert client.post(f"/v1/dicom/reports/{dead['id']}/cancel").status_code == 409
        assert client.post(f"/v1/dicom/reports/{'0' * 32}/retry").status_code == 404
    assert len(documents(kept)) == 1


def test_deliveries_are_retried_together_and_cancelled(tmp_path: Path, tiny_model: Path) -> None:
    images = [radiograph(tmp_path / f"{seed}.dcm", seed) for seed in (3, 4)]
    with (
        archive() as kept,
        node(tmp_path / "data", tiny_model, destinations=(kept.destination,), attempts=1) as client,
    ):
        kept.status = 0xA700
        assert send(client.app.state.node.port, *images) == [0, 0]
        dead = wait_for(
            lambda: len(found := client.get("/v1/dicom/deliveries?status=dead").json()["items"])
            == 2 and found
        )  # fmt: skip
        name = dead[0]["id"]
        cancelled = client.post(f"/v1/dicom/deliveries/{name}/cancel")
        assert cancelled.json()["status"] == "cancelled"
        kept.status = 0x0000
        assert client.post("/v1/dicom/deliveries/retry").json() == {"retried": 1}
        wait_for(lambda: len(delivered(client)) == 1)
        metrics = client.get("/metrics").text
        assert "nanoray_pending_deliveries 0.0" in metrics
        assert "nanoray_oldest_pending_delivery_seconds 0.0" in metrics
        assert client.post(f"/v1/dicom/deliveries/{dead[1]['id']}/cancel").status_code == 409
        assert client.post(f"/v1/dicom/deliveries/{name}/retry").json()["status"] == "pending"
        wait_for(lambda: len(delivered(client)) == 2)


def test_a_hung_destination_does_not_hold_up_another(tmp_path: Path, tiny_model: Path) -> None:
    import socket

    from nanoray.serving.dicom.destinations import DicomDestination

    image = radiograph(tmp_path / "1.dcm", 3)
    with socket.socket() as hung:
        hung.bind(("127.0.0.1", 0))
        hung.listen()
        silent = DicomDestination("HUNG", "127.0.0.1", hung.getsockname()[1])
        with (
            archive() as kept,
            node(tmp_path / "data", tiny_model, destinations=(silent, kept.destination)) as client,
        ):
            assert send(client.app.state.node.port, image) == [0]
            wait_for(lambda: delivered(client))
            (waiting,) = client.get("/v1/dicom/deliveries?status=pending").json()["items"]
            assert waiting["destination"] == silent.name
            assert waiting["attempts"] == 0
            hung.close()
            client.app.state.service.store.database.check()


def test_retries_outlast_a_weekend() -> None:
    from nanoray.serving.dicom.reports import pause
    from nanoray.serving.dicom.settings import NodeSettings

    settings = NodeSettings()
    hours = sum(pause(settings, attempt) for attempt in range(1, settings.attempts)) / 3600
    assert 60 < hours < 100


def test_comparing_two_files_of_one_image(tmp_path: Path) -> None:
    one = radiograph(tmp_path / "1.dcm", 3)
    for name, changes in (
        ("same", {"InstitutionName": "Elsewhere"}),
        ("header", {"PatientName": "NEW^NAME"}),
        ("other", {"PatientID": "SOMEBODY-ELSE"}),
        ("pixels", {"PixelData": one.PixelData[:-2] + b"\1\1"}),
    ):
        radiograph(tmp_path / "2.dcm", 3, **changes)
        changed = pydicom.dcmread(tmp_path / "2.dcm")
        for keyword in ("SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID"):
            setattr(changed, keyword, one[keyword].value)
        changed.save_as(tmp_path / "2.dcm")
        said = Compare(str(tmp_path / "1.dcm"), str(tmp_path / "2.dcm"), 9.0).run()
        assert said == name
    assert Compare(str(tmp_path / "0.dcm"), str(tmp_path / "2.dcm"), 9.0).run() == "gone"


def test_reports_of_version_1_are_predecessors_too(tmp_path: Path, tiny_model: Path) -> None:
    first = radiograph(tmp_path / "1.dcm", 3)
    late = radiograph(tmp_path / "2.dcm", 4, StudyInstanceUID=first.StudyInstanceUID)
    with (
        archive() as kept,
        node(tmp_path / "data", tiny_model, destinations=(kept.destination,)) as client,
    ):
        assert send(client.app.state.node.port, first) == [0]
        wait_for(lambda: len(delivered(client)) == 1)
        with client.app.state.service.store.database.writing() as session:
            session.query(ReportRow).one().patient_key = ""
        assert send(client.app.state.node.port, late) == [0]
        wait_for(lambda: len(delivered(client)) == 2)
    assert "PredecessorDocumentsSequence" in documents(kept)[1]
