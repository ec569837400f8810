"""`nanoray watch`: screen the radiographs of a folder as they arrive."""

from __future__ import annotations

import logging
import signal
import threading
from pathlib import Path
from typing import Annotated

import typer

from nanoray.commands.extras import require_package
from nanoray.commands.options import (
    ModelFile,
    OperatingPoint,
    Threshold,
    Timeout,
    load_detector,
)
from nanoray.detecting.model_file import NOTICE
from nanoray.errors import NanoRayError
from nanoray.reading.pool import Pool
from nanoray.watching.ledger import Ledger
from nanoray.watching.result_files import Form, ResultFiles
from nanoray.watching.structured_reports import StructuredReports
from nanoray.watching.watcher import Watcher

LEDGER = ".nanoray-watch.sqlite"


def watch(
    folder: Annotated[
        Path,
        typer.Argument(
            metavar="FOLDER", help="Folder in which radiographs arrive, with all folders below."
        ),
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="DIR",
            help="Folder of the results and of the ledger; default: FOLDER/nanoray.",
        ),
    ] = None,
    form: Annotated[
        Form,
        typer.Option("--format", "-f", help="Format of the results; a file for each day (UTC)."),
    ] = Form.csv,
    reports: Annotated[
        bool,
        typer.Option(
            "--sr",
            help="Write a DICOM structured report and a heat map of each radiograph to DIR/sr; "
            "needs nanoray[serve].",
        ),
    ] = False,
    interval: Annotated[
        float, typer.Option(min=0.1, help="Seconds between two scans of the folder.")
    ] = 2.0,
    settle: Annotated[
        float,
        typer.Option(min=0.0, help="Seconds for which a file must not change before it is read."),
    ] = 2.0,
    keep_days: Annotated[
        int | None,
        typer.Option(min=1, help="Days after which results are removed; default: keep all."),
    ] = None,
    once: Annotated[
        bool, typer.Option(help="End when every file in the folder has a result.")
    ] = False,
    operating_point: OperatingPoint = None,
    threshold: Threshold = None,
    model: ModelFile = None,
    timeout: Timeout = 30.0,
) -> None:
    """Screen each new radiograph of a folder once, as it arrives: CSV, JSON, DICOM SR.

    A content is screened exactly once, independent of its names and of restarts of this command. If
    the folder vanishes (a network share) or the disk is full, the command waits. SIGTERM and Ctrl-C
    end it after the current file.

    Messages identify files by the beginning of their SHA-256, which is also in the results. File
    names may contain a patient's name.
    """
    if reports:
        require_package("serve", "highdicom")
    if not folder.is_dir():
        raise typer.BadParameter(f"{folder}: no such folder", param_hint="FOLDER")
    detector = load_detector(model, operating_point, threshold)
    # Not a name whose target may change while it is watched.
    folder = folder.absolute()
    target = (output or folder / "nanoray").absolute()
    try:
        target.mkdir(parents=True, exist_ok=True)
    except FileExistsError:
        raise NanoRayError(f"{target}: is not a folder; give another --output") from None
    logging.basicConfig(format="nanoray: %(message)s")
    logging.getLogger("nanoray.watch").setLevel(logging.INFO)
    stopping = threading.Event()
    ledger, pool = Ledger(target / LEDGER), Pool(timeout)
    try:
        watcher = Watcher(
            folder,
            detector,
            ledger,
            ResultFiles(target, form),
            pool,
            StructuredReports(target / "sr", detector, pool, timeout) if reports else None,
            interval,
            settle,
            timeout,
            keep_days,
            frozenset({target}),
        )
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stopping.set())
        typer.echo(f"nanoray: watching; results in {target}. {NOTICE}", err=True)
        watcher.run(stopping, once=once)
    finally:
        pool.close()
        ledger.close()
    counts = watcher.tally
    typer.echo(
        f"nanoray: {counts.judged} judged, {counts.unread} unreadable, "
        f"{counts.duplicates} judged before under another name",
        err=True,
    )
