"""Malformed uploads to a running service: answers, time, memory; and a fuzzer for some minutes.

Sends the tests' corpus and the fixtures of others' bugs, then mutated files for as long as is said,
to a `nanoray serve` of its own, and writes the figures as JSON to standard output. A file that got
an answer of 5xx, or no answer, is kept in the folder `--keep`, to become a test.

    python benchmarks/serving_hostile.py [--minutes 3] [--seed 1] [--workers N] [--keep DIR]
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import httpx

ROOT = Path(__file__).parent.parent
sys.path += [str(ROOT / "tests" / "support"), str(ROOT / "benchmarks")]

from serving_load import memory  # noqa: E402

from hostile_uploads import ADVISORIES, Upload, malformed, mutated, wrong_requests  # noqa: E402
from reading_files import SECRET  # noqa: E402


class Peak:
    """The most memory that the server held since it was last asked."""

    def __init__(self, pid: int) -> None:
        self.peak, self._pid, self._stop = 0.0, pid, threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def _look(self) -> None:
        while not self._stop.wait(0.02):
            self.peak = max(self.peak, memory(self._pid))

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()


def send(client: httpx.Client, upload: Upload) -> tuple[str, float, str]:
    headers = [(name.encode(), value.encode("latin-1")) for name, value in upload.headers.items()]
    started = time.perf_counter()
    try:
        answer = client.post("/v1/predictions", content=upload.body, headers=headers)
    except httpx.HTTPError as error:
        return type(error).__name__, time.perf_counter() - started, ""
    seconds = time.perf_counter() - started
    code = "" if answer.status_code < 400 else str(answer.json().get("code"))
    assert SECRET not in answer.text, upload.name
    return str(answer.status_code), seconds, code


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=3.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, help="reading processes; the service's default")
    parser.add_argument("--keep", type=Path, default=Path("cache/fuzz"))
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="nanoray-hostile-") as name:
        command = [sys.executable, "-m", "nanoray", "serve", "--port", "0", "--no-auth"]
        command += ["--rate-limit", "0", "--data", f"{name}/data"]
        command += ["--workers", str(given.workers)] if given.workers else []
        log = Path(name, "log")
        with log.open("wb") as errors:
            server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True)
        try:
            assert server.stdout is not None
            url = next(line for line in server.stdout if "serving on" in line).split()[-1]
            result = measure(url, server.pid, given)
            assert server.poll() is None, "the server ended"
            assert SECRET not in log.read_text()
        finally:
            server.terminate()
            server.wait()
    print(json.dumps(result, indent=2))


def measure(url: str, pid: int, given: argparse.Namespace) -> dict[str, Any]:
    bad: list[str] = []
    watch = Peak(pid)
    with httpx.Client(base_url=url, timeout=120) as client:
        send(client, Upload("first", b"x"))
        advisories = {}
        for name, make in ADVISORIES.items():
            watch.peak = 0.0
            status, seconds, code = send(client, make())
            advisories[name] = {
                "status": status,
                "code": code,
                "seconds": round(seconds, 3),
                "memory_mib": round(watch.peak),
            }
        watch.peak = 0.0
        corpus: Counter[str] = Counter()
        slowest = (0.0, "")
        for upload in (*malformed(), *wrong_requests(), *mutated(240)):
            status, seconds, _ = send(client, upload)
            corpus[status] += 1
            slowest = max(slowest, (seconds, upload.name))
            if not status.startswith(("2", "4")):
                bad.append(upload.name)
        corpus_peak, watch.peak = watch.peak, 0.0
        fuzz: Counter[str] = Counter()
        codes: Counter[str] = Counter()
        until = time.monotonic() + 60 * given.minutes
        seed = given.seed
        longest = 0.0
        while time.monotonic() < until:
            seed += 1
            for upload in mutated(36, seed):
                status, seconds, code = send(client, upload)
                longest = max(longest, seconds)
                fuzz[status] += 1
                codes[code] += 1
                if not status.startswith(("2", "4")) or code in ("unexpected", "crash", "timeout"):
                    bad.append(f"{upload.name} of seed {seed}: {status} {code}")
                    given.keep.mkdir(parents=True, exist_ok=True)
                    (given.keep / f"{seed}-{upload.name}").write_bytes(upload.body)
        alive = client.get("/readyz").status_code == 200
    watch.stop()
    return {
        "advisories": advisories,
        "corpus": dict(corpus),
        "corpus_slowest_seconds": round(slowest[0], 3),
        "corpus_slowest": slowest[1],
        "corpus_memory_mib": round(corpus_peak),
        "fuzz": dict(fuzz),
        "fuzz_reasons": len(codes),
        "fuzz_longest_seconds": round(longest, 3),
        "fuzz_memory_mib": round(watch.peak),
        "bad": bad,
        "ready_afterwards": alive,
    }


if __name__ == "__main__":
    main()
