"""A full disk and a clock that jumps: what was acknowledged is reported, the rest is refused."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime, timedelta, tzinfo
from pathlib import Path
from typing import Any

import pydicom
import pytest

from dicom_nodes import Archive, archive, delivered, node, send
from dicom_peers import radiograph
from nanoray.serving.storage import tables
from serving_helpers import files, picture, wait_for

OUT_OF_RESOURCES = 0xA700


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Provide a file system of 16 MiB of its own."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = shutil.which("mount")
    if mount is None or os.name != "posix" or os.geteuid() != 0:
        pytest.skip("only root can mount a small file system")
    made = subprocess.run(
        [mount, "-t", "tmpfs", "-o", "size=16m,mode=700", "tmpfs", str(folder)],
        capture_output=True,
        check=False,
    )
    if made.returncode:
        pytest.skip("mounting is not permitted here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def fill(path: Path) -> None:
    """Write a file until the disk is full."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT)
    try:
        with suppress(OSError):
            while os.write(handle, bytes(4096)):
                pass
    finally:
        os.close(handle)


def reported(kept: Archive) -> set[str]:
    """Return the SOP Instance UIDs of the images that the stored reports are about."""
    return {
        str(item.ReferencedSOPInstanceUID)
        for report in kept.stored
        if report.Modality == "SR"
        for item in sequences(report)
        if "ReferencedSOPInstanceUID" in item
    }


def sequences(data_set: pydicom.Dataset) -> Iterator[pydicom.Dataset]:
    """Yield all items of all sequences."""
    for element in data_set:
        if element.VR == "SQ":
            for item in element.value:
                yield item
                yield from sequences(item)


def test_on_a_full_disk_nothing_acknowledged_is_lost(small_disk: Path, tiny_model: Path) -> None:
    images = [radiograph(small_disk.parent / f"{seed}.dcm", seed) for seed in range(12)]
    with (
        archive() as kept,
        # An upload may be stored whose result finds no room: it is answered 202.
        node(
            small_disk / "data",
            tiny_model,
            destinations=(kept.destination,),
            attempts=1000,
            answer_timeout=2,
        ) as client,
    ):
        port = client.app.state.node.port
        assert send(port, images[0]) == [0]
        wait_for(lambda: len(delivered(client)) == 1)
        ballast = small_disk / "ballast"
        # Room for a few images, with their reports, pictures and the database's log.
        free = shutil.disk_usage(small_disk).free
        ballast.write_bytes(bytes(free - (1 << 20)))
        names = [str(one.SOPInstanceUID) for one in images[1:]]
        statuses = dict(zip(names, send(port, *images[1:]), strict=True))
        assert set(statuses.values()) <= {0, OUT_OF_RESOURCES}
        assert OUT_OF_RESOURCES in statuses.values()
        uploads = [
            client.post("/v1/predictions", files=files(picture(0.6, side=900, seed=seed)))
            for seed in range(3)
        ]
        fill(small_disk / "rest")
        refused = client.post("/v1/predictions", files=files(picture(0.6, side=901)))
        assert refused.status_code in (503, 507)
        assert int(refused.headers["retry-after"]) >= 1
        (small_disk / "rest").unlink()
        ballast.unlink()
        # The senders try again what was refused, as they do.
        later = [one for one in images if statuses.get(str(one.SOPInstanceUID))]
        assert set(send(port, *later)) == {0}
        wait_for(lambda: reported(kept) == {str(one.SOPInstanceUID) for one in images})
        for upload in uploads:
            assert upload.status_code in (201, 202, 503, 507)
            if upload.status_code < 300:
                name = upload.json()["results"][0]["id"]
                found = f"/v1/predictions/{name}"
                wait_for(lambda found=found: client.get(found).json()["status"] == "done")
        wait_for(lambda: not client.get("/v1/predictions?status=queued").json()["items"])
        assert client.get("/v1/dicom/reports?status=dead").json()["items"] == []
        assert client.get("/v1/dicom/deliveries?status=dead").json()["items"] == []
        assert client.get("/readyz").status_code == 200


class Clock:
    """A clock of the service that jumps."""

    def __init__(self) -> None:
        """Go right."""
        self.wrong = timedelta()

    def now(self, zone: tzinfo | None = None) -> datetime:
        """Return the time that this clock shows."""
        return datetime.now(zone) + self.wrong


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Provide the clock that all times of the database come from."""
    wrong = Clock()

    class Jumping(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Any:
            return wrong.now(tz)

    monkeypatch.setattr(tables, "datetime", Jumping)
    return wrong


@pytest.mark.parametrize("hours", [-2, 2000])
def test_a_clock_that_jumps_loses_and_delays_nothing(
    tmp_path: Path, tiny_model: Path, clock: Clock, hours: int
) -> None:
    before = [radiograph(tmp_path / f"{seed}.dcm", seed) for seed in (1, 2)]
    late = radiograph(tmp_path / "3.dcm", 3, StudyInstanceUID=before[0].StudyInstanceUID)
    other = radiograph(tmp_path / "4.dcm", 4)
    with (
        archive() as kept,
        node(
            tmp_path / "data",
            tiny_model,
            destinations=(kept.destination,),
            attempts=1000,
            first_pause=0.2,
            longest_pause=0.4,
        ) as client,
    ):
        port = client.app.state.node.port
        kept.status = OUT_OF_RESOURCES
        assert send(port, *before) == [0, 0]
        wait_for(lambda: kept.requests >= 2)
        # Deliveries wait for their next attempt, at a time of the old clock.
        clock.wrong = timedelta(hours=hours)
        kept.status = 0x0000
        wait_for(lambda: len(delivered(client)) == 2)
        assert send(port, late, other) == [0, 0]
        wait_for(lambda: len(delivered(client)) == 4)
        every = {str(one.SOPInstanceUID) for one in (*before, late, other)}
        assert every <= reported(kept)
        upload = client.post("/v1/predictions", files=files(picture(0.6)))
        assert upload.status_code == 201
        assert client.get("/v1/dicom/reports?status=dead").json()["items"] == []
    reports = [one for one in kept.stored if one.Modality == "SR"]
    (whole,) = [one for one in reports if "PredecessorDocumentsSequence" in one]
    assert whole.StudyInstanceUID == late.StudyInstanceUID
