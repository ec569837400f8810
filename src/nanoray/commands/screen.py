"""`nanoray screen`: an archive, on one machine or a cluster."""

from __future__ import annotations

import hashlib
import hmac
from enum import Enum
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlsplit

import typer

from nanoray.commands.extras import require_extra, require_package
from nanoray.commands.options import ModelFile, OperatingPoint, Threshold, Timeout, load_detector

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import Console

    from nanoray.archives.run_folder import RunFolder
    from nanoray.archives.screener import PartDone, Task

SOME_UNREADABLE = 1


class Engine(str, Enum):
    """What spreads the work."""

    local = "local"
    ray = "ray"


class Heatmaps(str, Enum):
    """Which radiographs get an overlay."""

    none = "none"
    suspected = "suspected"
    all = "all"


def screen(
    source: Annotated[
        str,
        typer.Argument(
            metavar="SOURCE",
            help="Folder, quoted pattern, manifest (.csv or .parquet), URL such as "
            "s3://bucket/folder, or a DICOMweb server's http(s) URL.",
            show_default=False,
        ),
    ],
    out: Annotated[
        str,
        typer.Option(
            "--out",
            "-o",
            metavar="DIR",
            help="Folder or URL of the run; goes on with what is there.",
            show_default=False,
        ),
    ],
    engine: Annotated[
        Engine, typer.Option(help="Processes of this machine, or a Ray cluster.")
    ] = Engine.local,
    address: Annotated[
        str | None,
        typer.Option(help="Ray cluster: auto, host:port or ray://host:port; default: a new one."),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(min=1, help="Screening processes.", show_default="one per core"),
    ] = None,
    operating_point: OperatingPoint = None,
    threshold: Threshold = None,
    model: ModelFile = None,
    heatmaps: Annotated[
        Heatmaps, typer.Option(help="Overlays to write, named by content.")
    ] = Heatmaps.none,
    hash_key: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            exists=True,
            dir_okay=False,
            help="Secret of at least 16 bytes: adds keyed hashes of patient, study and instance, "
            "and puts one in place of each file's name.",
        ),
    ] = None,
    part_size: Annotated[
        int, typer.Option(min=16, help="Most files in a part: what a kill can cost a process.")
    ] = 500,
    top: Annotated[int, typer.Option(min=1, help="Radiographs in the ranked list.")] = 1000,
    timeout: Timeout = 30.0,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress bar.")] = False,
) -> None:
    """Screen an archive: partitioned Parquet with a row for every file, and a summary page.

    Interrupted or killed, the same command goes on where it stopped. Run again after it has
    finished, it lists the source anew and screens what was added.

    Exit code: 0 all files read, 1 some could not be read (rows with a reason), 2 wrong use.
    """
    if any(urlsplit(place).password is not None for place in (source, out)):
        # The rows name their sources.
        raise typer.BadParameter("give credentials by the environment or netrc, not in the URL")
    if address is not None and engine is not Engine.ray:
        raise typer.BadParameter("--address is for --engine ray")
    require_extra("scale")
    if engine is Engine.ray:
        require_package("scale", "ray")

    from rich.console import Console

    from nanoray.archives.run_folder import RunFolder, RunSettings
    from nanoray.archives.screener import Task
    from nanoray.archives.sources import is_url
    from nanoray.archives.summary import summarise, write_summary
    from nanoray.detecting.model_file import NOTICE

    detector = load_detector(model, operating_point, threshold)
    key = _read_key(hash_key)
    content = detector.path.read_bytes()
    settings = RunSettings(
        source=source if is_url(source) else str(Path(source).absolute()),
        model=detector.card.name,
        model_version=detector.card.version,
        model_digest=hashlib.sha256(content).hexdigest(),
        threshold=detector.threshold,
        operating_point=detector.operating_point.name if detector.operating_point else None,
        part_size=part_size,
        heatmaps=heatmaps.value,
        key_check=hmac.new(key, b"check", hashlib.sha256).hexdigest()[:16] if key else None,
    )
    errors = Console(stderr=True, highlight=False)
    bar = errors.is_terminal and not quiet
    run = RunFolder(out)
    resumed = run.begin(settings, content)
    sizes = _list(run, settings.source, part_size, errors, bar=bar)
    waiting = sorted(set(range(len(sizes))) - set(run.finished()))
    total = sum(sizes)
    already = total - sum(sizes[number] for number in waiting)
    if resumed:
        _say(errors, f"{out}: {already} of {total} files are done already")
    task = Task(run.place, key, timeout)
    begun, done = perf_counter(), 0
    parts = _engine(engine, task, waiting, workers, address, errors)
    for part in _watched(parts, total, already, errors, bar=bar):
        done += part.files
    seconds = perf_counter() - begun
    if done:
        _say(errors, f"{done} files in {seconds:.1f} s, {done / seconds:.1f} a second")
    summary = summarise(run, detector, top=top)
    write_summary(run, detector, summary)
    counts = ", ".join(f"{count} {kind}" for kind, count in summary.decisions.most_common())
    _say(errors, f"{summary.files} files: {counts or 'no decision'}, {summary.unread} unreadable")
    _say(errors, f"summary: {out}/summary.html")
    _say(errors, NOTICE)
    if summary.unread:
        raise typer.Exit(SOME_UNREADABLE)


def _read_key(path: Path | None) -> bytes | None:
    if path is None:
        return None
    key = path.read_bytes().strip()
    if len(key) < 16:
        raise typer.BadParameter(f"{path}: a hash key needs at least 16 bytes, random ones")
    return key


def _list(run: RunFolder, source: str, part_size: int, errors: Console, *, bar: bool) -> list[int]:
    """List the source, unless a listing is complete and not worked off yet; the parts' sizes."""
    from rich.progress import Progress, SpinnerColumn, TextColumn

    from nanoray.archives.sources import list_items

    sizes = run.sizes()
    if sizes is not None and set(range(len(sizes))) - set(run.finished()):
        return sizes
    columns = (SpinnerColumn(), TextColumn("Listing {task.completed} files"))
    with Progress(*columns, console=errors, transient=True, disable=not bar) as progress:
        task = progress.add_task("", total=None)
        for count in run.list_parts(list_items(source), part_size):
            progress.advance(task, count)
    return run.sizes() or []


def _engine(
    engine: Engine,
    task: Task,
    waiting: list[int],
    workers: int | None,
    address: str | None,
    errors: Console,
) -> Iterator[PartDone]:
    from nanoray.archives.engines import run_local, run_ray

    if not waiting:
        return iter(())
    if engine is Engine.ray:
        return run_ray(
            task,
            waiting,
            workers=workers,
            address=address,
            announce=lambda url: _say(errors, f"Ray's dashboard: {url}"),
        )
    return run_local(task, waiting, workers=workers)


def _watched(
    parts: Iterator[PartDone], total: int, already: int, errors: Console, *, bar: bool
) -> Iterator[PartDone]:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

    with Progress(
        "Screening",
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(elapsed_when_finished=True),
        console=errors,
        transient=True,
        disable=not bar,
    ) as progress:
        task = progress.add_task("", total=total, completed=already)
        for part in parts:
            progress.advance(task, part.files)
            yield part


def _say(console: Console, message: str) -> None:
    console.print(f"nanoray: {message}", markup=False, soft_wrap=True)
