"""Chaos on the service: processes are killed, PACS and database go, with an exact account.

Starts `nanoray serve` with a DICOM node and sends it images by C-STORE. Meanwhile it ends the
service and its reading processes with SIGKILL, in turn, stops the PACS, and with `--postgresql URL`
ends the database's connections. In the end each acknowledged image must be reported or visibly
waiting, and no object may have reached the PACS with two contents. Memory is measured throughout.
The figures are written as JSON to standard output; the exit code is 1 if the account does not
close.

    python benchmarks/serving_chaos.py [--minutes 2] [--seed 1] [--postgresql URL]

`--minutes 30 --quiet` is the soak: load without any of this, all the time, for the memory.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pydicom
from processes import family, unshared
from pydicom.uid import generate_uid
from pynetdicom import AE, AllStoragePresentationContexts, evt

from nanoray.datasets.phantom import draw, write_dicom

DX = "1.2.840.10008.5.1.4.1.1.1.1"


class Pacs:
    """A DICOM node that stores what it is sent, while it is there."""

    def __init__(self) -> None:
        self.stored: dict[str, bytes] = {}
        self.doubled = 0
        self.studies: set[str] = set()
        self.port = 0
        self._server: Any = None

    def start(self) -> None:
        entity = AE(ae_title="PACS")
        entity.supported_contexts = AllStoragePresentationContexts
        self._server = entity.start_server(
            ("127.0.0.1", self.port), block=False, evt_handlers=[(evt.EVT_C_STORE, self._store)]
        )
        self.port = self._server.server_address[1]

    def stop(self) -> None:
        self._server.shutdown()

    def _store(self, event: Any) -> int:
        data = event.encoded_dataset(include_meta=False)
        uid = str(event.request.AffectedSOPInstanceUID)
        self.doubled += self.stored.get(uid, data) != data
        self.stored[uid] = data
        self.studies.add(str(event.dataset.StudyInstanceUID))
        return 0


class Service:
    """`nanoray serve` in another process, started again after each kill."""

    def __init__(self, folder: Path, options: list[str]) -> None:
        self.folder, self.options = folder, options
        self.http = self.dicom = 0
        self.starts = 0
        self.start()

    def start(self) -> None:
        command = [sys.executable, "-m", "nanoray", "serve", "--no-auth", "--data"]
        command += [str(self.folder / "data"), "--port", str(self.http), *self.options]
        command += ["--dicom-port", str(self.dicom)]
        self.process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=(self.folder / "log").open("ab"),
            text=True,
            start_new_session=True,
        )
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if "DICOM node" in line:
                self.dicom = int(line.rsplit(" ", 1)[1])
            if "serving on" in line:
                self.http = int(line.rsplit(":", 1)[1])
                break
        self.starts += 1

    def kill(self) -> None:
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.http}"

    def get(self, path: str) -> Any:
        return httpx.get(self.url + path, timeout=60).json()


class Sender(threading.Thread):
    """A modality: sends one image after another, each until it is acknowledged or refused."""

    def __init__(self, service: Service, images: Iterable[pydicom.Dataset], until: float) -> None:
        super().__init__(daemon=True)
        self.service, self.images, self.until = service, images, until
        self.acknowledged: set[str] = set()
        self.answers: Counter[str] = Counter()

    def run(self) -> None:
        for image in self.images:
            while time.monotonic() < self.until:
                status = self.send(image)
                self.answers[status] += 1
                if status == "0000":
                    self.acknowledged.add(str(image.StudyInstanceUID))
                    break
                time.sleep(0.5)
            if time.monotonic() >= self.until:
                return
            time.sleep(0.2)

    def send(self, image: pydicom.Dataset) -> str:
        entity = AE(ae_title="MODALITY")
        entity.acse_timeout = entity.dimse_timeout = entity.network_timeout = 60
        entity.add_requested_context(DX, image.file_meta.TransferSyntaxUID)
        try:
            association = entity.associate("127.0.0.1", self.service.dicom, ae_title="NANORAY")
            if not association.is_established:
                return "no association"
            status = association.send_c_store(image).get("Status")
            association.release()
        except (OSError, RuntimeError, ValueError):
            return "broken"
        return "broken" if status is None else f"{status:04x}"


def images_of(folder: Path, count: int) -> list[pydicom.Dataset]:
    """Radiographs of one study each."""
    found: list[pydicom.Dataset] = []
    for seed in range(count):
        path = folder / f"{seed}.dcm"
        write_dicom(draw(seed, size=256, opacity=seed % 2 == 0), path)
        found.append(pydicom.dcmread(path))
        found[-1].PixelData  # noqa: B018  read before another thread does
    return found


def repeated(images: list[pydicom.Dataset]) -> Iterator[pydicom.Dataset]:
    """Yield the images again and again, each time as those of a new study."""
    while True:
        for image in images:
            for keyword in ("SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID"):
                setattr(image, keyword, generate_uid())
            image.file_meta.MediaStorageSOPInstanceUID = image.SOPInstanceUID
            yield image


def disturb(service: Service, pacs: Pacs, chance: random.Random, url: str | None) -> str:
    """Do one thing that should cost nothing."""
    kinds = ["service", "reader", "pacs", *(["database"] if url else [])]
    kind = chance.choice(kinds)
    if kind == "service":
        service.kill()
        service.start()
    elif kind == "reader":
        readers = [pid for pid in family(service.process.pid) if pid != service.process.pid]
        for pid in readers:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
    elif kind == "pacs":
        pacs.stop()
        time.sleep(3)
        pacs.start()
    elif url:
        import psycopg

        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
    return kind


def settle(service: Service, seconds: float) -> None:
    """Wait until nothing is under way."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        waiting = service.get("/v1/predictions?status=queued&limit=1")["total"]
        reports = service.get("/v1/dicom/reports?limit=500")["items"]
        pending = service.get("/v1/dicom/deliveries?status=pending&limit=500")["items"]
        open_ = [item for item in reports if item["status"] in ("collecting", "writing")]
        if not waiting and not open_ and not pending:
            return
        time.sleep(1)


def main() -> int:
    """Disturb, count and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=2.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--images", type=int, default=60)
    parser.add_argument("--quiet", action="store_true", help="no disturbances: the soak")
    parser.add_argument("--postgresql", metavar="URL")
    parser.add_argument("--model", type=Path)
    given = parser.parse_args()
    chance = random.Random(given.seed)
    pacs = Pacs()
    pacs.start()
    with tempfile.TemporaryDirectory(prefix="nanoray-chaos-") as name:
        folder = Path(name)
        options = ["--allow-ae", "MODALITY", "--send-to", f"dicom://PACS@127.0.0.1:{pacs.port}"]
        options += ["--study-wait", "1", "--delivery-pause", "1", "--rate-limit", "0"]
        options += ["--send-unprocessed", "--send-as", "sr"]
        options += ["--database", given.postgresql] if given.postgresql else []
        options += ["--model", str(given.model)] if given.model else []
        service = Service(folder, options)
        started, until = time.monotonic(), time.monotonic() + 60 * given.minutes
        images = images_of(folder, given.images)
        shares = [images[n::2] for n in range(2)]
        senders = [
            Sender(service, repeated(share) if given.quiet else share, until) for share in shares
        ]
        for sender in senders:
            sender.start()
        done: Counter[str] = Counter()
        memory = []
        while time.monotonic() < until:
            time.sleep(chance.uniform(2, 8))
            memory.append(round(sum(unshared(pid) for pid in family(service.process.pid)), 1))
            if not given.quiet:
                done[disturb(service, pacs, chance, given.postgresql)] += 1
        for sender in senders:
            sender.join(120)
        settle(service, 300)
        acknowledged = set().union(*(sender.acknowledged for sender in senders))
        unread = service.get("/v1/predictions?status=unreadable&limit=1")["total"]
        pending = len(service.get("/v1/dicom/deliveries?status=pending&limit=500")["items"])
        dead = len(service.get("/v1/dicom/deliveries?status=dead&limit=500")["items"])
        total = service.get("/v1/predictions?limit=1")["total"]
        service.kill()
    pacs.stop()
    missing = len(acknowledged - pacs.studies)
    answers = sum((sender.answers for sender in senders), Counter())
    print(
        json.dumps(
            {
                "seconds": round(time.monotonic() - started),
                "disturbances": dict(done),
                "starts": service.starts,
                "answers": dict(answers),
                "acknowledged": len(acknowledged),
                "predictions": total,
                "reported": len(acknowledged & pacs.studies),
                "waiting": pending,
                "set aside": dead,
                "unreadable": unread,
                "objects with two contents": pacs.doubled,
                "memory of all processes, MiB": memory[:: max(1, len(memory) // 12)],
            },
            indent=2,
        )
    )
    return int(missing > pending + dead or pacs.doubled > 0)


if __name__ == "__main__":
    sys.exit(main())
