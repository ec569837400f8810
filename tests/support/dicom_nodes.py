"""A service with its DICOM node, and an archive beside it, in the process of the tests."""

from __future__ import annotations

import ssl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pydicom
from fastapi.testclient import TestClient

from nanoray.serving.dicom.destinations import Destination, DicomDestination
from nanoray.serving.dicom.node import Node
from nanoray.serving.dicom.peers import connect
from nanoray.serving.dicom.settings import NodeSettings
from nanoray.serving.http.application import create
from nanoray.serving.service import Service
from serving_helpers import PATIENCE, settings


@contextmanager
def node(
    folder: Path,
    model: Path,
    *,
    max_file_bytes: int = 1 << 27,
    threshold: float = 0.1,
    answer_timeout: float = PATIENCE,
    tls: ssl.SSLContext | None = None,
    destinations: Sequence[Destination] = (),
    **changes: Any,
) -> Iterator[Any]:
    """Provide a client of a service with a DICOM node; `client.app.state.node` is the node."""
    values: dict[str, Any] = {
        "port": 0,
        "allowed_titles": ("MODALITY", "ORTHANC"),
        "quiet_seconds": 0.0,
        "first_pause": 0.05,
        "attempts": 3,
    }
    limits = {"max_file_bytes": max_file_bytes, "answer_timeout": answer_timeout}
    service = Service(settings(folder, model, threshold=threshold, **limits))
    node_settings = NodeSettings(**(values | changes))
    peers = connect(node_settings, None, None)
    peers = replace(peers, tls=tls, destinations=(*peers.destinations, *destinations))
    app = create(service, Node(service, node_settings, peers))
    with TestClient(app, raise_server_exceptions=False) as client:
        yield client


class Archive:
    """A DICOM node in this process that stores what it is sent, or refuses to."""

    def __init__(self) -> None:
        """Nothing is stored yet."""
        self.stored: list[pydicom.Dataset] = []
        self.status = 0x0000
        self.requests = 0
        self.port = 0

    @property
    def destination(self) -> DicomDestination:
        """It, as a destination."""
        return DicomDestination("ARCHIVE", "127.0.0.1", self.port)

    def _store(self, event: Any) -> int:
        self.requests += 1
        if self.status == 0x0000:
            data_set = event.dataset
            data_set.file_meta = event.file_meta
            self.stored.append(data_set)
        return self.status


@contextmanager
def archive() -> Iterator[Archive]:
    """Provide an archive that listens."""
    from pynetdicom import AE, AllStoragePresentationContexts, evt

    kept = Archive()
    entity = AE(ae_title="ARCHIVE")
    entity.supported_contexts = AllStoragePresentationContexts
    server = entity.start_server(
        ("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_STORE, kept._store)]
    )
    assert server is not None
    kept.port = server.server_address[1]
    try:
        yield kept
    finally:
        server.shutdown()


def send(port: int, *data_sets: pydicom.Dataset, title: str = "MODALITY") -> list[int]:
    """Send data sets to the node: the statuses, none if it does not accept the association."""
    return [int(answer.Status) for answer in answers(port, *data_sets, title=title)]


def answers(
    port: int, *data_sets: pydicom.Dataset, title: str = "MODALITY"
) -> list[pydicom.Dataset]:
    """Send data sets like `send`: the whole answers."""
    from pynetdicom import AE

    entity = AE(ae_title=title)
    entity.acse_timeout = entity.dimse_timeout = PATIENCE
    for data_set in data_sets:
        entity.add_requested_context(data_set.SOPClassUID, data_set.file_meta.TransferSyntaxUID)
    association = entity.associate("127.0.0.1", port, ae_title="NANORAY")
    if not association.is_established:
        return []
    try:
        return [association.send_c_store(data_set) for data_set in data_sets]
    finally:
        association.release()


def delivered(client: Any) -> list[dict[str, Any]]:
    """Return the deliveries that are done."""
    return list(client.get("/v1/dicom/deliveries", params={"status": "delivered"}).json()["items"])
