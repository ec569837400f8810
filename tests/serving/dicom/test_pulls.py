"""Fetching studies from DICOMweb servers that mean no good, or know no filters."""

from __future__ import annotations

import gzip
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dicom_nodes import node
from dicom_peers import radiograph
from dicom_web import Web, dicom_web, item
from nanoray.serving.dicom.node import IMAGE_CLASSES


@pytest.fixture
def web() -> Iterator[tuple[Web, str]]:
    """Provide a server, and its address."""
    with dicom_web() as found:
        yield found


def test_images_are_found_among_many_others(
    tmp_path: Path, tiny_model: Path, web: tuple[Web, str]
) -> None:
    state, url = web
    image = radiograph(tmp_path / "1.dcm", 3)
    series, sop = str(image.SeriesInstanceUID), str(image.SOPInstanceUID)
    # A server that ignores the filter: 250 slices of a CT before the radiograph.
    every = [item("1.2.840.10008.5.1.4.1.1.2", "1.2.3", f"1.2.3.{n}") for n in range(250)]
    every.append(item(str(image.SOPClassUID), series, sop))

    def answer(handler: Any, path: str, query: dict[str, list[str]]) -> None:
        if path.endswith("/instances"):
            start = int(query["offset"][0])
            handler.reply(json.dumps(every[start : start + 100]).encode())
        else:
            handler.reply((tmp_path / "1.dcm").read_bytes(), "application/dicom")

    state.answer = answer
    with node(tmp_path / "data", tiny_model, port=None, source=url) as client:
        wanted = {"study_instance_uid": str(image.StudyInstanceUID)}
        pulled = client.post("/v1/dicom/pulls", json=wanted)
        assert pulled.json() == {"accepted": 1, "known": 0, "refused": 0}
    asked = {query["SOPClassUID"][0] for query in state.queries if "SOPClassUID" in query}
    assert asked == set(IMAGE_CLASSES)


def test_without_a_server_the_answer_states_how_to_name_one(
    tmp_path: Path, tiny_model: Path
) -> None:
    with node(tmp_path / "data", tiny_model) as client:
        refused = client.post("/v1/dicom/pulls", json={"study_instance_uid": "1.2.3"})
    assert (refused.status_code, refused.json()["code"]) == (409, "no-source")
    assert "no DICOMweb server is configured" in refused.json()["detail"]
    assert "--dicomweb" in refused.json()["detail"]


@pytest.mark.parametrize("how", ["endless", "slow", "compressed", "nested", "no list"])
def test_answers_are_bounded(
    tmp_path: Path, tiny_model: Path, web: tuple[Web, str], how: str
) -> None:
    state, url = web

    def answer(handler: Any, path: str, query: dict[str, list[str]]) -> None:
        if how == "endless":
            handler.reply(b"[")
            for _ in range(700):
                handler.wfile.write(b" " * (1 << 20))
                state.sent += 1 << 20
        elif how == "slow":
            handler.reply(b"[")
            for _ in range(100):
                handler.wfile.write(b" ")
                time.sleep(0.1)
        elif how == "compressed":
            body = gzip.compress(b" " * (64 << 20))
            handler.reply(body, Content_Encoding="gzip")
        else:
            handler.reply(b"[" * 100_000 if how == "nested" else b'{"a": 1}')

    state.answer = answer
    with node(tmp_path / "data", tiny_model, port=None, source=url) as client:
        if how == "slow":
            object.__setattr__(client.app.state.service.settings, "upload_timeout", 0.5)
        started = time.monotonic()
        refused = client.post("/v1/dicom/pulls", json={"study_instance_uid": "1.2.3"})
        assert refused.status_code == 502
        code = {"endless": "too-large", "slow": "too-slow"}.get(how, "answer")
        assert refused.json()["code"] == code
        assert refused.json()["detail"].startswith("the DICOMweb server ")
        if how == "slow":
            assert time.monotonic() - started < 9
    assert state.sent < 100 << 20
