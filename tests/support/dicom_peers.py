"""Real DICOM peers for the tests: dcmtk, dicom3tools and Orthanc, where Debian's are installed."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pydicom
import pytest

from nanoray.datasets.phantom import draw, write_dicom
from serving_helpers import PATIENCE

CANARY = "ZZCANARY^LEAK"
"""A patient's name that must never be seen outside of DICOM objects."""

needs_dcmtk = pytest.mark.skipif(
    shutil.which("storescu") is None or shutil.which("dsrdump") is None,
    reason="needs dcmtk: apt-get install dcmtk",
)
needs_dciodvfy = pytest.mark.skipif(
    shutil.which("dciodvfy") is None, reason="needs dicom3tools: apt-get install dicom3tools"
)
needs_orthanc = pytest.mark.skipif(
    shutil.which("Orthanc") is None, reason="needs Orthanc: apt-get install orthanc"
)
_PLUGINS = Path("/usr/share/orthanc/plugins")


def has_dicomweb() -> bool:
    """Whether Orthanc's DICOMweb plug-in is installed."""
    return any(_PLUGINS.glob("libOrthancDicomWeb.so*"))


def radiograph(path: Path, seed: int, *, opacity: bool = True, **changes: Any) -> pydicom.Dataset:
    """Write a phantom as a patient's radiograph, and give its data set."""
    write_dicom(draw(seed, size=300, opacity=opacity), path)
    data_set = pydicom.dcmread(path)
    data_set.SpecificCharacterSet = "ISO_IR 100"
    data_set.PatientName, data_set.PatientID = CANARY, "ZZCANARY-ID"
    data_set.AccessionNumber, data_set.StudyID = "ZZCANARY-ACC", "1"
    data_set.StudyDate, data_set.StudyTime = "20260102", "030405"
    data_set.PatientAge, data_set.BodyPartExamined = "050Y", "CHEST"
    for keyword, value in changes.items():
        setattr(data_set, keyword, value)
    data_set.save_as(path)
    return data_set


def run(*command: object) -> subprocess.CompletedProcess[str]:
    """Run a peer's command."""
    return subprocess.run(
        [str(part) for part in command],
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
        timeout=PATIENCE,
    )


def storescu(
    port: int, *paths: Path, calling: str = "MODALITY", called: str = "NANORAY"
) -> subprocess.CompletedProcess[str]:
    """Send files to a port of this machine as a modality does."""
    return run("storescu", "-v", "-aet", calling, "-aec", called, "127.0.0.1", port, *paths)


def free_port() -> int:
    """Return a port that is free now, for servers that cannot choose one by themselves."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass(frozen=True)
class Orthanc:
    """A running Orthanc."""

    http: int
    dicom: int

    @property
    def url(self) -> str:
        """Address of its REST API."""
        return f"http://127.0.0.1:{self.http}"

    @property
    def web(self) -> str:
        """Address of its DICOMweb services."""
        return f"{self.url}/dicom-web"

    def get(self, path: str) -> Any:
        """Return what its REST API says at a path."""
        return httpx.get(self.url + path, timeout=PATIENCE).json()

    def post(self, path: str, content: Any) -> Any:
        """Return the REST API's answer to a request."""
        data = content if isinstance(content, bytes) else json.dumps(content).encode()
        return httpx.post(self.url + path, content=data, timeout=PATIENCE).json()

    def instances(self, study_uid: str) -> list[pydicom.Dataset]:
        """All objects of a study."""
        found: list[pydicom.Dataset] = []
        for name in self.post(
            "/tools/find", {"Level": "Instance", "Query": {"StudyInstanceUID": study_uid}}
        ):
            data = httpx.get(f"{self.url}/instances/{name}/file", timeout=PATIENCE).content
            found.append(pydicom.dcmread(pydicom.filebase.DicomBytesIO(data)))
        return found


@contextmanager
def orthanc(folder: Path, node_port: int | None = None) -> Iterator[Orthanc]:
    """Provide an Orthanc called ORTHANC that knows NANORAY at `node_port`, gone after the block."""
    for _ in range(5):
        server = Orthanc(free_port(), free_port())
        folder.mkdir(exist_ok=True)
        configuration = {
            "Name": "test",
            "StorageDirectory": str(folder / "storage"),
            "IndexDirectory": str(folder / "storage"),
            "HttpPort": server.http,
            "DicomPort": server.dicom,
            "DicomAet": "ORTHANC",
            "RemoteAccessAllowed": False,
            "AuthenticationEnabled": False,
            "DicomAlwaysAllowStore": True,
            "DicomScuTimeout": int(PATIENCE),
            "DicomScpTimeout": int(PATIENCE),
            "Plugins": [str(path) for path in sorted(_PLUGINS.glob("libOrthancDicomWeb.so*"))[:1]],
            "DicomWeb": {"Enable": True, "Root": "/dicom-web/"},
            "DicomModalities": {"nanoray": ["NANORAY", "127.0.0.1", node_port or 1]},
        }
        path = folder / "orthanc.json"
        path.write_text(json.dumps(configuration))
        with (folder / "orthanc.log").open("ab") as log:
            process = subprocess.Popen(["Orthanc", str(path)], stdout=log, stderr=log)
        try:
            if _answers(server, process):
                yield server
                return
        finally:
            process.terminate()
            try:
                process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
    raise AssertionError("Orthanc does not start: " + (folder / "orthanc.log").read_text()[-2000:])


def _answers(server: Orthanc, process: subprocess.Popen[bytes]) -> bool:
    deadline = time.monotonic() + PATIENCE
    while process.poll() is None and time.monotonic() < deadline:
        try:
            return bool(server.get("/system")["Name"] == "test")
        except (httpx.HTTPError, ValueError):
            time.sleep(0.1)
    return False
