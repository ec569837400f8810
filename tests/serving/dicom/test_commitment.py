"""Storage commitment, against an archive of pynetdicom that keeps, refuses, or is silent."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal

import pytest
from pydicom import Dataset

from dicom_nodes import Archive, delivered, node, send
from dicom_peers import radiograph
from nanoray.serving.dicom.commitment import ATTEMPTS, INSTANCE, PUSH_MODEL
from nanoray.serving.storage.tables import DeliveryRow, ReportRow, now
from serving_helpers import wait_for

Way = Literal["same", "new", "silent", "refused"]


class CommittingArchive(Archive):
    """An archive that answers requests for storage commitment in one way."""

    def __init__(self, way: Way) -> None:
        """Nothing is asked for yet."""
        super().__init__()
        self.way = way
        self.failing = 0
        self.asked: list[Dataset] = []
        self.answers: list[int] = []
        self.node_port = 0
        self._threads: list[threading.Thread] = []

    def _action(self, event: Any) -> tuple[int, None]:
        asked = event.action_information
        self.asked.append(asked)
        if self.way == "refused":
            return 0x0122, None
        if self.way != "silent":
            thread = threading.Thread(target=self._report, args=(event.assoc, asked))
            self._threads.append(thread)
            thread.start()
        return 0x0000, None

    def _report(self, association: Any, asked: Dataset) -> None:
        answer = Dataset()
        answer.TransactionUID = asked.TransactionUID
        items = list(asked.ReferencedSOPSequence)
        failed, self.failing = items[: self.failing], 0
        answer.ReferencedSOPSequence = items[len(failed) :]
        for item in failed:
            item.FailureReason = 0x0112
        if failed:
            answer.FailedSOPSequence = failed
        kind = 2 if failed else 1
        if self.way == "same":
            status, _ = association.send_n_event_report(answer, kind, PUSH_MODEL, INSTANCE)
            self.answers.append(int(status.Status))
            return
        from pynetdicom import AE, build_role

        entity = AE(ae_title="ARCHIVE")
        entity.add_requested_context(PUSH_MODEL)
        entity.add_requested_context("1.2.840.10008.5.1.4.1.1.1.1")
        role = build_role(PUSH_MODEL, scp_role=True)
        own = entity.associate("127.0.0.1", self.node_port, ae_title="NANORAY", ext_neg=[role])
        status, _ = own.send_n_event_report(answer, kind, PUSH_MODEL, INSTANCE)
        self.answers.append(int(status.Status))
        own.release()

    def close(self) -> None:
        """Wait for the answers under way."""
        for thread in self._threads:
            thread.join()


@contextmanager
def committing(way: Way) -> Iterator[CommittingArchive]:
    """Provide an archive that listens."""
    from pynetdicom import AE, AllStoragePresentationContexts, evt

    kept = CommittingArchive(way)
    entity = AE(ae_title="ARCHIVE")
    entity.supported_contexts = AllStoragePresentationContexts
    entity.add_supported_context(PUSH_MODEL)
    handlers = [(evt.EVT_C_STORE, kept._store), (evt.EVT_N_ACTION, kept._action)]
    server = entity.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers)
    assert server is not None
    kept.port = server.server_address[1]
    try:
        yield kept
    finally:
        kept.close()
        server.shutdown()


def states(client: Any) -> list[tuple[str, str | None]]:
    items = client.get("/v1/dicom/deliveries").json()["items"]
    return [(item["status"], item["commitment"]) for item in items]


@pytest.mark.parametrize("way", ["same", "new"])
def test_an_archive_confirms_what_it_keeps(tmp_path: Path, tiny_model: Path, way: Way) -> None:
    with (
        committing(way) as kept,
        node(
            tmp_path / "data", tiny_model, destinations=(kept.destination,), commitment=True
        ) as client,
    ):
        kept.node_port = client.app.state.node.port
        assert send(kept.node_port, radiograph(tmp_path / "1.dcm", 3)) == [0]
        wait_for(lambda: states(client) == [("delivered", "committed")])
        (asked,) = kept.asked
        assert {(item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID)
                for item in asked.ReferencedSOPSequence} == {
            (item.SOPClassUID, item.SOPInstanceUID) for item in kept.stored
        }  # fmt: skip
        kept.close()
        assert kept.answers == [0x0000]
        # The archive may answer, and not send.
        assert send(kept.node_port, radiograph(tmp_path / "2.dcm", 4), title="ARCHIVE") == [0x0124]
        metrics = client.get("/metrics").text
        assert "nanoray_uncommitted_deliveries 0.0" in metrics


def test_what_an_archive_lost_is_sent_again(tmp_path: Path, tiny_model: Path) -> None:
    with (
        committing("same") as kept,
        node(
            tmp_path / "data", tiny_model, destinations=(kept.destination,), commitment=True
        ) as client,
    ):
        kept.failing = 1
        assert send(client.app.state.node.port, radiograph(tmp_path / "1.dcm", 3)) == [0]
        wait_for(lambda: states(client) == [("delivered", "committed")])
        uids = [item.SOPInstanceUID for item in kept.stored]
        assert len(uids) == 2 * len(set(uids)) == 4
        first, second = (asked.TransactionUID for asked in kept.asked)
        assert first != second
        # An answer to a request that is none, or was replaced, is refused.
        stale = Dataset()
        stale.TransactionUID = first
        stale.ReferencedSOPSequence = []
        event = type("Event", (), {"event_information": stale})
        assert client.app.state.node.deliveries.commitments.heard(event)[0] == 0x0115
        assert client.app.state.node.deliveries.commitments.heard(object())[0] == 0x0115
        assert states(client) == [("delivered", "committed")]


@pytest.mark.parametrize("way", ["silent", "refused"])
def test_an_archive_that_does_not_answer_is_asked_again_and_shown(
    tmp_path: Path, tiny_model: Path, way: Way, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nanoray.serving.dicom.commitment._STAY_SECONDS", 0.01)
    with (
        committing(way) as kept,
        node(
            tmp_path / "data", tiny_model, destinations=(kept.destination,), commitment=True
        ) as client,
    ):
        service = client.app.state.service
        assert send(client.app.state.node.port, radiograph(tmp_path / "1.dcm", 3)) == [0]
        wait_for(lambda: len(kept.asked) >= 2)
        assert len({asked.TransactionUID for asked in kept.asked}) == len(kept.asked)
        assert states(client) == [("delivered", "requested")]
        # What is not confirmed yet is not expired.
        with service.store.database.writing() as session:
            session.query(ReportRow).one().created_at = now() - timedelta(days=9)
        service.store.expire(1.0, service.destinations)
        assert delivered(client)
        with service.store.database.writing() as session:
            row = session.query(DeliveryRow).one()
            row.commit_attempts, row.commit_at = ATTEMPTS, now()
        wait_for(lambda: states(client) == [("delivered", "unanswered")])
        assert "nanoray_uncommitted_deliveries 1.0" in client.get("/metrics").text


def test_no_commitment_is_asked_for_by_default(tmp_path: Path, tiny_model: Path) -> None:
    with (
        committing("same") as kept,
        node(tmp_path / "data", tiny_model, destinations=(kept.destination,)) as client,
    ):
        assert send(client.app.state.node.port, radiograph(tmp_path / "1.dcm", 3)) == [0]
        wait_for(lambda: states(client) == [("delivered", None)])
        # The archive's title is not one that may associate.
        image = radiograph(tmp_path / "2.dcm", 4)
        assert send(client.app.state.node.port, image, title="ARCHIVE") == []
    assert kept.asked == []
