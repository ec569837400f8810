"""Priors: earlier radiographs of the patient, by DICOMweb."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import pydicom
import pytest

from dicom_nodes import archive, delivered, node, send
from dicom_peers import radiograph
from dicom_web import Web, dicom_web, item
from nanoray.errors import NanoRayError
from nanoray.serving.dicom.settings import NodeSettings
from serving_helpers import wait_for


def serve(web: Web, folder: Path, images: list[pydicom.Dataset]) -> None:
    """Let a server have images, and ignore the filters of searches, as some do."""
    files = {}
    for number, image in enumerate(images):
        path = folder / f"served-{number}.dcm"
        image.save_as(path)
        files[str(image.SOPInstanceUID)] = (image, path.read_bytes())

    def study(image: pydicom.Dataset) -> dict[str, Any]:
        return {
            "0020000D": {"vr": "UI", "Value": [str(image.StudyInstanceUID)]},
            "00080020": {"vr": "DA", "Value": [str(image.StudyDate)]},
        }

    def answer(handler: Any, path: str, query: dict[str, list[str]]) -> None:
        parts = path.strip("/").split("/")
        if parts == ["studies"]:
            found = [study(image) for image in images]
            handler.reply(json.dumps(found).encode())
        elif parts[-1] == "instances":
            of_study = [one for one in images if str(one.StudyInstanceUID) == parts[1]]
            found = [
                item(str(one.SOPClassUID), str(one.SeriesInstanceUID), str(one.SOPInstanceUID))
                for one in of_study
            ]
            handler.reply(json.dumps(found).encode())
        else:
            handler.reply(files[parts[-1]][1], "application/dicom")

    web.answer = answer


def test_earlier_radiographs_are_compared(tmp_path: Path, tiny_model: Path) -> None:
    image = radiograph(tmp_path / "now.dcm", 3, ViewPosition="PA")
    cases: dict[str, dict[str, Any]] = {
        "latest": {"StudyDate": "20251101", "ViewPosition": "AP"},
        "older": {"StudyDate": "20240101", "ViewPosition": "PA"},
        "oldest": {"StudyDate": "20230101", "ViewPosition": "PA"},
        "lateral": {"StudyDate": "20251215", "ViewPosition": "LL"},
        "somebody else's": {"StudyDate": "20251220", "PatientID": "OTHER"},
        "later": {"StudyDate": "20260301"},
        "of no date": {"StudyDate": ""},
    }
    served = [
        radiograph(tmp_path / f"{number}.dcm", 10 + number, opacity=number % 2 == 0, **changes)
        for number, changes in enumerate(cases.values())
    ]
    with (
        archive() as kept,
        dicom_web() as (web, url),
        node(
            tmp_path / "data",
            tiny_model,
            destinations=(kept.destination,),
            source=url,
            priors=2,
        ) as client,
    ):
        serve(web, tmp_path, [*served, image])
        service = client.app.state.service
        latest, older = (
            service.detector.predict(tmp_path / f"{number}.dcm").probability for number in (0, 1)
        )
        assert send(client.app.state.node.port, image) == [0]
        wait_for(lambda: delivered(client))
        (prediction,) = client.get("/v1/predictions").json()["items"]
        study = wait_for(
            lambda: (
                (found := client.post("/v1/studies/search", json={}).json()["items"])
                and found[0]["prior"]
                and found[0]
            )
        )
        details = client.get(f"/v1/studies/{study['id']}").json()
        # Priors are neither results nor files of this service.
        assert service.store.spool.names() == {prediction["id"]} | objects(service)
    probability = prediction["probability"]
    assert study["prior"]["date"] == "2025-11-01"
    assert study["prior"]["probability"] == pytest.approx(latest, abs=1e-5)
    assert study["prior"]["change"] == pytest.approx(probability - latest, abs=1e-5)
    assert [
        (prior["date"], prior["view"], prior["verdict"], prior["threshold"])
        for prior in details["priors"]
    ] == [
        ("2025-11-01", "AP", "opacity suspected", 0.1),
        ("2024-01-01", "PA", "opacity suspected", 0.1),
    ]
    assert [prior["change"] for prior in details["priors"]] == pytest.approx(
        [probability - latest, probability - older], abs=1e-5
    )
    text = comments(next(one for one in kept.stored if one.Modality == "SR"))
    for date, view, value in (("2025-11-01", "AP", latest), ("2024-01-01", "PA", older)):
        assert f"Prior of {date} ({view}): probability {value:.2f}" in text
        assert f"change to this study {probability - value:+.2f}" in text
    assert text.count("Prior of") == 2
    searched = [query for query in web.queries if "ModalitiesInStudy" in query]
    assert [query["ModalitiesInStudy"] for query in searched] == [["CR"], ["DX"]]
    assert {query["PatientID"][0] for query in searched} == {"ZZCANARY-ID"}
    assert {query["StudyDate"][0] for query in searched} == {"-20260102"}


def comments(report: pydicom.Dataset) -> str:
    """Return the texts of a structured report."""
    return "\n".join(
        str(element.value) for element in report.iterall() if element.keyword == "TextValue"
    )


def objects(service: Any) -> set[str]:
    """Return the names of the files of all reports."""
    from nanoray.serving.storage.tables import ReportRow

    with service.store.database.reading() as session:
        return {name for row in session.query(ReportRow) for name in row.objects}


def test_a_report_does_not_wait_long_for_priors(
    tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nanoray.serving.dicom.priors.WAIT_SECONDS", 1.0)
    release = threading.Event()
    with (
        archive() as kept,
        dicom_web() as (web, url),
        node(
            tmp_path / "data",
            tiny_model,
            destinations=(kept.destination,),
            source=url,
            priors=1,
        ) as client,
    ):

        def answer(handler: Any, path: str, query: dict[str, list[str]]) -> None:
            release.wait()
            handler.send_error(503)

        web.answer = answer
        port = client.app.state.node.port
        try:
            assert send(port, radiograph(tmp_path / "1.dcm", 3)) == [0]
            # The server still holds the search.
            wait_for(lambda: len(delivered(client)) == 1)
            assert not release.is_set()
        finally:
            release.set()
        assert "Prior" not in comments(kept.stored[0])
        # A server that fails is left alone, and the next report does not wait.
        wait_for(lambda: client.app.state.node.priors._rest_until)
        asked = len(web.queries)
        assert send(port, radiograph(tmp_path / "2.dcm", 4)) == [0]
        wait_for(lambda: len(delivered(client)) == 2)
        assert len(web.queries) == asked


def test_priors_are_off_by_default(tmp_path: Path, tiny_model: Path) -> None:
    with (
        archive() as kept,
        dicom_web() as (web, url),
        node(
            tmp_path / "data",
            tiny_model,
            destinations=(kept.destination,),
            source=url,
        ) as client,
    ):
        assert send(client.app.state.node.port, radiograph(tmp_path / "1.dcm", 3)) == [0]
        wait_for(lambda: delivered(client))
    assert web.queries == []
    with pytest.raises(NanoRayError, match="--priors: name the server"):
        NodeSettings(priors=1).check()
