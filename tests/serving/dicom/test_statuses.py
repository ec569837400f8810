"""A status goes back for each image that is not judged, by setting."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pydicom
import pytest

from dicom_nodes import archive, delivered, node, send
from dicom_peers import radiograph
from nanoray.detecting.prediction import NOT_A_CHEST_RADIOGRAPH
from nanoray.errors import UnreadableError
from nanoray.reading.prepared import Reading
from nanoray.reading.refusals import REASONS
from nanoray.serving.dicom.node import TRANSFER_SYNTAXES
from nanoray.serving.dicom.settings import Kind
from serving_helpers import wait_for

HTJ2K = ("1.2.840.10008.1.2.4.201", "1.2.840.10008.1.2.4.202", "1.2.840.10008.1.2.4.203")

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
