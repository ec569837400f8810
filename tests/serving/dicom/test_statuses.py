"""A status goes back for each image that is not judged, by setting."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest

from dicom_nodes import archive, delivered, node, send
from dicom_peers import radiograph
from nanoray.detecting.prediction import NOT_A_CHEST_RADIOGRAPH
from nanoray.errors import NanoRayError, UnreadableError
from nanoray.reading.prepared import Reading
from nanoray.reading.refusals import REASONS
from nanoray.serving.dicom.documents import WriteReport
from nanoray.serving.dicom.findings import Finding, Model
from nanoray.serving.dicom.node import TRANSFER_SYNTAXES, Node
from nanoray.serving.dicom.settings import Kind, NodeSettings
from nanoray.serving.service import Service
from serving_helpers import settings, wait_for

HTJ2K = ("1.2.840.10008.1.2.4.201", "1.2.840.10008.1.2.4.202", "1.2.840.10008.1.2.4.203")

MODEL = Model("tiny", "9.1", "0" * 64, "balanced", 0.5)
MADE = datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone.utc)

NOT_JUDGED = {
    "abstained": NOT_A_CHEST_RADIOGRAPH,
    "lateral": "lateral view",
    "child": "child",
    "unreadable": "Rows and Columns do not agree",
    "given up": REASONS["timeout"][:20],
}


def image(folder: Path, case: str) -> pydicom.Dataset:
    """Write an image that is not judged."""
    changes: dict[str, Any] = {
        "lateral": {"ViewPosition": "LL"},
        "child": {"PatientAge": "005Y"},
    }.get(case, {})
    path = folder / "1.dcm"
    made = radiograph(path, 3, **changes)
    if case == "abstained":
        made.PixelData = bytes(len(made.PixelData))
    elif case == "unreadable":
        made.PixelData = made.PixelData[: len(made.PixelData) // 2]
    return made


@pytest.mark.parametrize("kinds", [("sr", "sc"), ("sc",)], ids=["document", "note"])
@pytest.mark.parametrize("case", NOT_JUDGED)
def test_what_is_not_judged_is_told(
    tmp_path: Path,
    tiny_model: Path,
    monkeypatch: pytest.MonkeyPatch,
    case: str,
    kinds: tuple[Kind, ...],
) -> None:
    with (
        archive() as kept,
        node(
            tmp_path / "data",
            tiny_model,
            destinations=(kept.destination,),
            report_unprocessed=True,
            kinds=kinds,
        ) as client,
    ):
        if case == "given up":
            # A file that takes longer than --timeout; waiting for one would be slow.
            code = "timeout"
            monkeypatch.setattr(
                client.app.state.service.pipeline._pool,
                "run",
                lambda job: Reading(job.path, error=UnreadableError(job.path, code, REASONS[code])),
            )
        sent = image(tmp_path, case)
        assert send(client.app.state.node.port, sent) == [0]
        wait_for(lambda: delivered(client))
        (report,) = client.get("/v1/dicom/reports").json()["items"]
        assert (report["status"], report["error_code"]) == ("reported", "none-eligible")
        reason = client.get("/v1/predictions").json()["items"][0]
    (status,) = kept.stored
    assert status.PatientName == sent.PatientName
    assert status.StudyInstanceUID == sent.StudyInstanceUID
    if "sr" in kinds:
        assert f"Not processed: {NOT_JUDGED[case]}" in str(status), reason
        assert "Probability" not in str(status)
    else:
        (reference,) = status.SourceImageSequence
        assert reference.ReferencedSOPInstanceUID == sent.SOPInstanceUID
        assert status.BurnedInAnnotation == "YES"
        # White words on black, and no radiograph.
        assert set(status.pixel_array[:100].ravel()) == {0}
        assert 0.005 < (status.pixel_array > 128).mean() < 0.2


@pytest.mark.parametrize("kinds", [("seg",), ("gsps",), ("seg", "gsps")])
def test_a_note_needs_an_object_that_was_chosen(kinds: tuple[Kind, ...]) -> None:
    with pytest.raises(NanoRayError, match=r"--send-unprocessed.*--send-as sc"):
        NodeSettings(kinds=kinds, report_unprocessed=True).check()


def test_no_note_is_written_as_an_object_that_was_not_chosen(tmp_path: Path) -> None:
    path = tmp_path / "1.dcm"
    radiograph(path, 3).save_as(path)
    finding = Finding(str(path), MODEL, excluded="child")
    for kinds, count in ((("seg",), 0), (("gsps",), 0), (("sc", "seg"), 1), (("sr", "seg"), 1)):
        written = WriteReport("1" * 32, "case", (finding,), MADE, 60.0, kinds=kinds).run()
        assert written.error is None
        assert len(written.files) == count, kinds


@pytest.mark.parametrize("suspected", [True, False])
def test_without_the_map_no_object_tells_where(tmp_path: Path, suspected: bool) -> None:
    path = tmp_path / "1.dcm"
    source = radiograph(path, 3)
    source.save_as(path)
    values = np.linspace(0.0, 0.9, 64, dtype="<f4").tobytes()
    finding = Finding(str(path), MODEL, 0.8, suspected, False, values, 8, 8)

    def objects(localise: bool, heatmap: bytes) -> list[pydicom.Dataset]:
        given = replace(finding, heatmap=heatmap)
        task = WriteReport("1" * 32, "case", (given,), MADE, 60.0, localise=localise)
        written = task.run()
        assert written.error is None
        return [pydicom.dcmread(io.BytesIO(data)) for data in written.files]

    for made in (objects(False, values), objects(True, b"")):
        assert [item.Modality for item in made] == ["SR", "OT", "PR"]
        report, capture, state = made
        (region,) = {tuple(item.GraphicData) for item in _items(report) if "GraphicData" in item}
        rows, columns = float(source.Rows), float(source.Columns)
        assert region == (0, 0, columns, 0, columns, rows, 0, rows, 0, 0)
        assert "GraphicObjectSequence" not in state.GraphicAnnotationSequence[0]
        grey = capture.pixel_array[:-200]
        assert (grey[..., 0] == grey[..., 1]).all()
        assert (grey[..., 0] == grey[..., 2]).all()
    if suspected:
        assert [item.Modality for item in objects(True, values)] == ["SR", "OT", "SEG", "PR"]


def _items(data_set: pydicom.Dataset) -> Iterator[pydicom.Dataset]:
    yield data_set
    for item in data_set.get("ContentSequence", ()):
        yield from _items(item)


def test_a_segmentation_alone_needs_the_map(tmp_path: Path, tiny_model: Path) -> None:
    service = Service(settings(tmp_path / "data", tiny_model, show_map=False))
    try:
        with pytest.raises(NanoRayError, match="--send-as seg sends nothing without the map"):
            Node(service, NodeSettings(kinds=("seg",)))
    finally:
        service.stop()


@pytest.mark.parametrize("kinds", [("sc",), ("sr",)])
def test_nothing_is_told_without_the_setting(
    tmp_path: Path, tiny_model: Path, kinds: tuple[Kind, ...]
) -> None:
    with (
        archive() as kept,
        node(tmp_path / "data", tiny_model, destinations=(kept.destination,), kinds=kinds)
        as client,
    ):  # fmt: skip
        assert send(client.app.state.node.port, image(tmp_path, "child")) == [0]
        wait_for(
            lambda: client.get("/v1/dicom/reports", params={"status": "reported"}).json()["items"]
        )
    assert kept.stored == []


@pytest.mark.parametrize("syntax", HTJ2K)
def test_high_throughput_jpeg_2000_is_negotiated(
    tmp_path: Path, tiny_model: Path, syntax: str
) -> None:
    from pynetdicom import AE

    assert syntax in TRANSFER_SYNTAXES
    with node(tmp_path / "data", tiny_model) as client:
        entity = AE(ae_title="MODALITY")
        entity.add_requested_context("1.2.840.10008.5.1.4.1.1.1.1", syntax)
        association = entity.associate("127.0.0.1", client.app.state.node.port, ae_title="NANORAY")
        assert association.is_established
        (context,) = association.accepted_contexts
        assert context.transfer_syntax == [syntax]
        association.release()
