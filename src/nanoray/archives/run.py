"""Screening an archive into a run's folder: list, predict part by part, summarise."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Final, Literal, Protocol

from nanoray.archives.engines import run_local, run_ray
from nanoray.archives.run_folder import RunFolder, RunSettings
from nanoray.archives.screener import PartDone, Task
from nanoray.archives.sources import is_url, list_items
from nanoray.archives.summary import TOP, Summary, summarise, write_summary
from nanoray.detecting.detector import Detector
from nanoray.errors import NanoRayError
from nanoray.files import printable
from nanoray.reading.unpacking import STANDARD_INPUT, standard_input

Engine = Literal["local", "ray"]
Heatmaps = Literal["none", "suspected", "all"]

SHORTEST_KEY: Final = 16
"""Bytes of a hash key."""


class Watcher(Protocol):
    """Receives the progress of a run."""

    def listing(self, files: Iterator[int]) -> None:
        """Consume the listing, which yields the number of files found in each step."""

    def begun(self, total: int, done: int) -> None:
        """Receive the number of files in the run, and of those done before."""

    def watched(self, parts: Iterator[PartDone], total: int, done: int) -> Iterator[PartDone]:
        """Pass the finished parts on, and show the number of finished files."""

    def dashboard(self, address: str) -> None:
        """Receive the address of Ray's dashboard."""


class Unwatched:
    """A watcher that shows nothing."""

    def listing(self, files: Iterator[int]) -> None:
        for _ in files:
            pass

    def begun(self, total: int, done: int) -> None:
        pass

    def watched(self, parts: Iterator[PartDone], total: int, done: int) -> Iterator[PartDone]:
        return parts

    def dashboard(self, address: str) -> None:
        pass


@dataclass(frozen=True, slots=True)
class Screened:
    """A finished run; `files` and `seconds` count only this session."""

    summary: Summary
    files: int
    seconds: float


def read_key(path: Path) -> bytes:
    """Read the secret of keyed hashes from a file.

    Raises:
        NanoRayError: it is too short.
    """
    key = path.read_bytes().strip()
    if len(key) < SHORTEST_KEY:
        raise NanoRayError(
            f"{path}: a hash key needs at least {SHORTEST_KEY} bytes, drawn at random"
        )
    return key


def screen(
    source: str,
    out: str,
    detector: Detector,
    *,
    engine: Engine = "local",
    address: str | None = None,
    workers: int | None = None,
    heatmaps: Heatmaps = "none",
    key: bytes | None = None,
    part_size: int = 500,
    top: int = TOP,
    timeout: float = 30.0,
    watcher: Watcher | None = None,
) -> Screened:
    """Screen an archive, or resume a run that was interrupted.

    Args:
        source: folder, pattern, manifest, ZIP or tar file, DICOMDIR, URL or DICOMweb server (see
            `nanoray.archives.sources`). "-" is the standard input, which is stored in the run's
            folder until the run is finished.
        out: folder or URL of the run.
        detector: its model file, threshold and operating point are those of the run.
        engine: processes of this machine, or a Ray cluster.
        address: of the cluster; by default a new one.
        workers: screening processes; by default one a core.
        heatmaps: which radiographs get an overlay.
        key: secret of at least 16 bytes; adds keyed hashes, and replaces file names by hashes.
        part_size: largest number of files in a part.
        top: radiographs in the ranked list.
        timeout: seconds after which reading a file is stopped.
        watcher: receives the progress.

    Raises:
        NanoRayError: the folder has a run with other settings, or the engine fails.
    """
    watcher = watcher or Unwatched()
    content = detector.path.read_bytes()
    as_given = is_url(source) or source in STANDARD_INPUT
    settings = RunSettings(
        source=source if as_given else str(Path(source).absolute()),
        model=detector.card.name,
        model_version=detector.card.version,
        model_digest=hashlib.sha256(content).hexdigest(),
        threshold=detector.threshold,
        operating_point=detector.operating_point.name if detector.operating_point else None,
        part_size=part_size,
        heatmaps=heatmaps,
        key_check=hmac.new(key, b"check", hashlib.sha256).hexdigest()[:16] if key else None,
    )
    run = RunFolder(out)
    resumed = run.begin(settings, content)
    kept = _kept_input(run) if source in STANDARD_INPUT else None
    sizes = _sizes(run, str(kept or settings.source), part_size, watcher)
    waiting = sorted(set(range(len(sizes))) - set(run.finished()))
    total = sum(sizes)
    done = total - sum(sizes[number] for number in waiting)
    if resumed:
        watcher.begun(total, done)
    task = Task(run.place, key, timeout)
    parts: Iterator[PartDone] = iter(())
    if waiting and engine == "ray":
        parts = run_ray(task, waiting, workers=workers, address=address, announce=watcher.dashboard)
    elif waiting:
        parts = run_local(task, waiting, workers=workers)
    begun = perf_counter()
    files = sum(part.files for part in watcher.watched(parts, total, done))
    seconds = perf_counter() - begun
    summary = summarise(run, detector, top=top)
    write_summary(run, detector, summary)
    if kept is not None:
        kept.unlink()
    return Screened(summary, files, seconds)


def _kept_input(run: RunFolder) -> Path:
    """Write the standard input to the run's folder, for all processes and for a resumed run."""
    if run.local is None:
        raise NanoRayError(
            f"{printable(run.place)}: the standard input needs a run's folder on this machine"
        )
    return standard_input(run.local)


def _sizes(run: RunFolder, source: str, part_size: int, watcher: Watcher) -> list[int]:
    """List the source, unless a complete listing has unfinished parts; return the parts' sizes."""
    sizes = run.sizes()
    if sizes is not None and set(range(len(sizes))) - set(run.finished()):
        return sizes
    watcher.listing(run.list_parts(list_items(source), part_size))
    return run.sizes() or []
