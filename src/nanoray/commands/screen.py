"""`nanoray screen`: Parquet and a summary of an archive."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeRemainingColumn,
)

from nanoray.archives import run
from nanoray.archives.screener import PartDone
from nanoray.commands.extras import require_package
from nanoray.commands.options import ModelFile, OperatingPoint, Threshold, Timeout, load_detector
from nanoray.detecting.model_file import NOTICE

SOME_UNREADABLE = 1


def screen(
    source: Annotated[
        str,
        typer.Argument(
            metavar="SOURCE",
            help="Folder, quoted pattern, manifest (.csv or .parquet), ZIP or tar file, DICOMDIR, "
            "URL such as s3://bucket/folder, a DICOMweb server's http(s) URL, or - for standard "
            "input.",
            show_default=False,
        ),
    ],
    out: Annotated[
        str,
        typer.Option(
            "--out",
            "-o",
            metavar="DIR",
            help="Folder or URL of the run; an interrupted run is resumed.",
            show_default=False,
        ),
    ],
    engine: Annotated[
        run.Engine, typer.Option(help="Processes of this machine, or a Ray cluster.")
    ] = "local",
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
        run.Heatmaps, typer.Option(help="Overlays to write, named by content.")
    ] = "none",
    hash_key: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            exists=True,
            dir_okay=False,
            help="Secret of at least 16 bytes. Adds keyed hashes of patient, study and instance, "
            "and replaces file names by hashes.",
        ),
    ] = None,
    part_size: Annotated[
        int,
        typer.Option(
            min=16, help="Largest number of files in a part, which a killed process loses."
        ),
    ] = 500,
    top: Annotated[int, typer.Option(min=1, help="Radiographs in the ranked list.")] = 1000,
    timeout: Timeout = 30.0,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress bar.")] = False,
) -> None:
    """Screen an archive: partitioned Parquet with a row for every file, and a summary page.

    The same command resumes an interrupted or killed run. After a finished run it lists the source
    again and screens new files.

    Exit code: 0 all files read, 1 some could not be read (rows with a reason), 2 wrong use.
    """
    if any(urlsplit(place).password is not None for place in (source, out)):
        # The rows contain their sources.
        raise typer.BadParameter("give credentials by the environment or netrc, not in the URL")
    if address is not None and engine != "ray":
        raise typer.BadParameter("--address is for --engine ray")
    if engine == "ray":
        require_package("scale", "ray")
    errors = Console(stderr=True, highlight=False)
    detector = load_detector(model, operating_point, threshold)
    done = run.screen(
        source,
        out,
        detector,
        engine=engine,
        address=address,
        workers=workers,
        heatmaps=heatmaps,
        key=run.read_key(hash_key) if hash_key is not None else None,
        part_size=part_size,
        top=top,
        timeout=timeout,
        watcher=_Shown(out, errors, bar=errors.is_terminal and not quiet),
    )
    if done.files:
        _say(
            errors,
            f"{done.files} files in {done.seconds:.1f} s, {done.files / done.seconds:.1f} a second",
        )
    summary = done.summary
    counts = ", ".join(f"{count} {kind}" for kind, count in summary.decisions.most_common())
    _say(errors, f"{summary.files} files: {counts or 'no decision'}, {summary.unread} unreadable")
    _say(errors, f"summary: {out}/summary.html")
    _say(errors, NOTICE)
    if summary.unread:
        raise typer.Exit(SOME_UNREADABLE)


@dataclass(frozen=True, slots=True)
class _Shown:
    """Shows the progress of a run on standard error."""

    out: str
    errors: Console
    bar: bool

    def listing(self, files: Iterator[int]) -> None:
        columns = (SpinnerColumn(), TextColumn("Listing {task.completed} files"))
        with Progress(
            *columns, console=self.errors, transient=True, disable=not self.bar
        ) as progress:
            task = progress.add_task("", total=None)
            for count in files:
                progress.advance(task, count)

    def begun(self, total: int, done: int) -> None:
        _say(self.errors, f"{self.out}: {done} of {total} files are done already")

    def watched(self, parts: Iterator[PartDone], total: int, done: int) -> Iterator[PartDone]:
        with Progress(
            "Screening",
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(elapsed_when_finished=True),
            console=self.errors,
            transient=True,
            disable=not self.bar,
        ) as progress:
            task = progress.add_task("", total=total, completed=done)
            for part in parts:
                progress.advance(task, part.files)
                yield part

    def dashboard(self, address: str) -> None:
        _say(self.errors, f"Ray's dashboard: {address}")


def _say(console: Console, message: str) -> None:
    console.print(f"nanoray: {message}", markup=False, soft_wrap=True)
