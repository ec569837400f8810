"""Load on the service: 64 clients for a minute, beside `predict_many` on the same files.

Starts `nanoray serve` itself, sends files of mixed sizes and encodings that are all new to it, and
writes the figures as JSON to standard output: answers by status, files a second, the ratio to
`predict_many` (measured before and after, for the machine has other things to do), and the most
memory that the server and its reading processes held.

    python benchmarks/serving_load.py [--files hospital] [--clients 64] [--seconds 60]

`--files`: "hospital", the kinds of `benchmarks/end_to_end.py` (DICOM as JPEG of a megapixel,
uncompressed and JPEG 2000 of 6 to 9 megapixels, PNG; 0.1 to 18 MB); "small", DICOM, PNG and JPEG of
256 to 2,048 pixels; or one kind of the former. The smaller a file's work, the more of the time goes
into receiving and keeping it, and into the clients, which share the processors.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import itertools
import json
import os
import re
import struct
import subprocess
import sys
import tempfile
import time
import zlib
from collections import Counter
from pathlib import Path
from statistics import quantiles
from typing import Any

from end_to_end import KINDS, write_samples
from PIL import Image
from processes import family, processor_seconds, unshared

from nanoray import load
from nanoray.datasets.phantom import draw, write_dicom
from nanoray.reading.pool import processors

SIZES = (256, 512, 1024, 1024, 2048)


def samples(which: str, folder: Path) -> list[bytes]:
    """Return the files that `--files` names."""
    if which == "small":
        return small_samples(folder)
    written = write_samples(folder / "samples")
    kinds = KINDS if which == "hospital" else [which]
    return [written[kind].read_bytes() for kind in kinds]


def small_samples(folder: Path) -> list[bytes]:
    """Phantoms as DICOM, PNG and JPEG, in several sizes."""
    found = []
    for number, size in enumerate(SIZES):
        phantom = draw(100 + number, size=size, opacity=number % 2 == 0)
        path = folder / f"sample-{number}.dcm"
        write_dicom(phantom, path)
        found.append(path.read_bytes())
        picture = Image.fromarray((phantom.pixels * 255).astype("uint8"))
        for form, options in (("PNG", {}), ("JPEG", {"quality": 92})):
            buffer = io.BytesIO()
            picture.save(buffer, form, **options)
            found.append(buffer.getvalue())
    return found


_HEADER = 4096
_UID = re.compile(rb"\x20\x00[\x0d\x0e]\x00UI|\x08\x00\x18\x00UI|\x02\x00\x03\x00UI")
"""The tags of the UIDs of study, series and image, with their VR."""


def renewed(data: bytes, number: int) -> bytes:
    """Vary a radiograph's file: a comment, or the UIDs, so that each is a study of its own."""
    text = b"%016d" % number
    if data[:4] == b"\x89PNG":
        chunk = b"tEXt" + b"Comment\0" + text
        packed = struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk))
        return data[:33] + packed + data[33:]
    if data[:2] == b"\xff\xd8":
        return data[:2] + b"\xff\xfe" + struct.pack(">H", len(text) + 2) + text + data[2:]
    head = bytearray(data[:_HEADER])
    for found in _UID.finditer(data, 0, _HEADER):
        (length,) = struct.unpack_from("<H", data, found.end())
        end = found.end() + 2 + length
        end -= data[end - 1] == 0  # padding
        head[end - 12 : end] = b"%012d" % number
    return bytes(head) + data[_HEADER:]


def baseline(
    files: list[bytes], folder: Path, model: Path | None, seconds: float
) -> tuple[float, float]:
    """Files a second of `predict_many`, and milliseconds that it computes for each."""
    paths = []
    for number, data in enumerate(files):
        path = folder / f"baseline-{number}"
        path.write_bytes(data)
        paths.append(path)
    detector = load(model)
    endless = itertools.cycle(paths)
    started = counted = computed = 0.0
    for number, _ in enumerate(detector.predict_many(endless)):
        # The processes are running after the first few.
        if number == 2 * len(paths):
            started, computed = time.perf_counter(), computed_seconds(os.getpid())
        elif started:
            counted += 1
            if time.perf_counter() - started > seconds:
                computed = computed_seconds(os.getpid()) - computed
                break
    return counted / (time.perf_counter() - started), 1000 * computed / counted


def memory(pid: int) -> float:
    """MiB that a process and those below it hold, without files and libraries."""
    return sum(unshared(process) for process in family(pid))


def computed_seconds(pid: int) -> float:
    """Time that a process and those below it have computed for."""
    return sum(processor_seconds(process) for process in family(pid))


class Load:
    """Clients that each send one file after another."""

    def __init__(self, host: str, port: int, files: list[bytes]) -> None:
        self.host, self.port, self.files = host, port, files
        self.answers: Counter[str] = Counter()
        self.latencies: list[float] = []
        self.numbers = itertools.count()
        self.peak = 0.0

    async def client(self, until: float) -> None:
        reader: Any = None
        writer: Any = None
        while time.monotonic() < until:
            number = next(self.numbers)
            body = renewed(self.files[number % len(self.files)], number)
            head = (
                f"POST /v1/predictions HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {len(body)}"
                "\r\nContent-Type: application/octet-stream\r\n\r\n"
            )
            started = time.monotonic()
            try:
                if writer is None:
                    reader, writer = await asyncio.open_connection(self.host, self.port)
                writer.write(head.encode() + body)
                await writer.drain()
                status, retry = await self.answer(reader)
            except (OSError, asyncio.IncompleteReadError, ValueError) as error:
                self.answers[type(error).__name__] += 1
                writer = None
                continue
            self.answers[str(status)] += 1
            if status in (200, 201):
                self.latencies.append(time.monotonic() - started)
            if status in (429, 503):
                await asyncio.sleep(retry)
        if writer is not None:
            writer.close()

    @staticmethod
    async def answer(reader: asyncio.StreamReader) -> tuple[int, float]:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
        lines = head.split("\r\n")
        fields = dict(line.split(": ", 1) for line in lines[1:] if ": " in line)
        await reader.readexactly(int(fields.get("content-length", 0)))
        return int(lines[0].split()[1]), float(fields.get("retry-after", 1))

    async def run(self, clients: int, seconds: float, pid: int) -> float:
        """Files a second that were screened."""
        started = time.monotonic()
        tasks = [asyncio.create_task(self.client(started + seconds)) for _ in range(clients)]
        while not all(task.done() for task in tasks):
            self.peak = max(self.peak, memory(pid))
            await asyncio.sleep(0.5)
        await asyncio.gather(*tasks)
        return (self.answers["201"] + self.answers["200"]) / (time.monotonic() - started)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--files", choices=["hospital", "small", *KINDS], default="hospital")
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--model", type=Path)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="nanoray-load-") as name:
        folder = Path(name)
        files = samples(given.files, folder)
        rates = [baseline(files, folder, given.model, given.seconds / 3)]
        command = [sys.executable, "-m", "nanoray", "serve", "--port", "0", "--no-auth"]
        command += ["--rate-limit", "0", "--data", str(folder / "data")]
        command += ["--model", str(given.model)] if given.model else []
        server = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        try:
            assert server.stdout is not None
            address = next(line for line in server.stdout if "serving on" in line)
            port = int(address.rpartition(":")[2])
            load_ = Load("127.0.0.1", port, files)
            idle = memory(server.pid)
            # The reading processes start with the first files, as those of the baseline did.
            asyncio.run(load_.run(given.clients, 8.0, server.pid))
            load_.answers.clear()
            load_.latencies.clear()
            computed, sending = computed_seconds(server.pid), time.process_time()
            rate = asyncio.run(load_.run(given.clients, given.seconds, server.pid))
            computed = computed_seconds(server.pid) - computed
            sending = time.process_time() - sending
        finally:
            server.terminate()
            server.wait()
        rates.append(baseline(files, folder, given.model, given.seconds / 3))
    cuts = quantiles(load_.latencies, n=20)
    result = {
        "files": given.files,
        "megabytes": [round(len(data) / 1e6, 2) for data in files],
        "clients": given.clients,
        "seconds": given.seconds,
        "processors": processors(),
        "load_average": os.getloadavg()[0],
        "answers": dict(load_.answers),
        "files_per_second": round(rate, 2),
        "predict_many_per_second": [round(one, 2) for one, _ in rates],
        "ratio": round(rate * len(rates) / sum(one for one, _ in rates), 3),
        "processor_milliseconds_per_file": round(1000 * computed / len(load_.latencies), 1),
        "clients_processor_milliseconds_per_file": round(1000 * sending / len(load_.latencies), 1),
        "predict_many_processor_milliseconds_per_file": [round(ms, 1) for _, ms in rates],
        "seconds_to_answer_median": round(cuts[9], 3),
        "seconds_to_answer_95th": round(cuts[18], 3),
        "memory_idle_mib": round(idle),
        "memory_peak_mib": round(load_.peak),
    }
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
