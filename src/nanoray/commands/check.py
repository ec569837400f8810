"""`nanoray check`: whether the detector fits the radiographs of a site."""

from __future__ import annotations

import json
from collections.abc import Sequence
from enum import Enum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import track

from nanoray.commands.options import (
    Guarantee,
    ModelFile,
    OperatingPoint,
    Readers,
    Timeout,
    View,
    load_detector,
)
from nanoray.datasets.labels import LabelledFile, match_labels, read_labels
from nanoray.evaluating import fit_here
from nanoray.files import printable
from nanoray.reading.finding import find
from nanoray.reporting.check_page import as_record, as_text, write_page

DOES_NOT_FIT = 1


class Format(str, Enum):
    """Output formats of the check."""

    text = "text"
    json = "json"


def check(
    folder: Annotated[
        Path,
        typer.Argument(
            metavar="FOLDER",
            help="50 to 200 radiographs of the site.",
            exists=True,
            file_okay=False,
            show_default=False,
        ),
    ],
    labels: Annotated[
        Path | None,
        typer.Option(
            metavar="CSV",
            help="Labels: file, target (1 with an opacity, 0 without) and, if a patient has "
            "several images, patient.",
            exists=True,
            dir_okay=False,
        ),
    ] = None,
    form: Annotated[
        Format, typer.Option("--format", "-f", help="Form of the output.")
    ] = Format.text,
    report: Annotated[
        Path | None, typer.Option(metavar="FILE", dir_okay=False, help="Write an HTML page here.")
    ] = None,
    operating_point: OperatingPoint = None,
    guarantee: Guarantee = None,
    view: View = None,
    model: ModelFile = None,
    workers: Readers = None,
    timeout: Timeout = 30.0,
) -> None:
    """Check whether the detector fits a site: images, drift and, with labels, accuracy.

    Exit code: 0 the detector fits or more data are needed, 1 it does not fit, 2 wrong use.
    """
    if report is not None and not report.parent.is_dir():
        raise typer.BadParameter(f"{report}: no such folder as {report.parent}")
    detector = load_detector(model, operating_point, None, guarantee=guarantee, view=view)
    table = read_labels(labels) if labels is not None else None
    # Labels cannot name files within archives.
    found_files = find([str(folder)]).paths
    paths = [path for path in found_files if isinstance(path, Path) and path != labels]
    if not paths:
        raise typer.BadParameter(f"{folder}: has no radiographs outside archives; unpack them")
    matched = None
    if labels is not None and table is not None:
        found_labels = match_labels(table, paths, labels)
        _name_unmatched(table, found_labels, labels)
        matched = [
            None if label is None else fit_here.Labelled(label.target, label.patient)
            for label in found_labels
        ]
    errors = Console(stderr=True, highlight=False)
    results = list(
        track(
            detector.predict_many(paths, workers=workers, timeout=timeout),
            "Judging",
            total=len(paths),
            console=errors,
            transient=True,
            disable=not errors.is_terminal,
        )
    )
    found = fit_here.check(detector, results, matched)
    if form is Format.json:
        typer.echo(json.dumps(as_record(found), indent=2))
    else:
        typer.echo(as_text(found, detector))
    if report is not None:
        write_page(found, detector, folder.resolve().name, report)
        typer.echo(f"nanoray: report: {report}", err=True)
    if found.verdict == "does not fit":
        raise typer.Exit(DOES_NOT_FIT)


def _name_unmatched(
    table: Sequence[LabelledFile], matched: Sequence[LabelledFile | None], path: Path
) -> None:
    """Count the labels without a radiograph, and name the first."""
    unmatched = [label for label in table if label not in matched]
    if unmatched:
        typer.echo(
            f"nanoray: {path}: {len(unmatched)} of {len(table)} labels fit no radiograph in the "
            f"folder, the first: {printable(unmatched[0].name)}",
            err=True,
        )
