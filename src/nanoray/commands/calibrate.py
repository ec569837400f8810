"""`nanoray calibrate`: a model file's calibration for a site."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from nanoray.commands.options import ModelFile, Readers
from nanoray.exporting.site_calibration import SiteCalibration
from nanoray.exporting.site_calibration import calibrate as calibrate_site
from nanoray.files import printable


def calibrate(
    labels: Annotated[
        Path,
        typer.Option(
            help="CSV: file (relative to it), target (1 or 0), and patient if a patient has "
            "several images.",
            exists=True,
            dir_okay=False,
            show_default=False,
        ),
    ],
    output: Annotated[
        Path,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help="The new model file.",
            dir_okay=False,
            show_default=False,
        ),
    ],
    model: ModelFile = None,
    site: Annotated[
        str, typer.Option(help="Name of the site in the version: letters, digits and dots.")
    ] = "site",
    shift: Annotated[
        bool,
        typer.Option("--shift", help="Also move all logits, for a site with another prevalence."),
    ] = False,
    workers: Readers = None,
) -> None:
    """Refit temperature and operating points to a few hundred labelled radiographs of a site.

    Writes a model file with a new version, and shows the changes with 95 % intervals.
    """
    errors = Console(stderr=True, highlight=False)
    with Progress(console=errors, transient=True, disable=not errors.is_terminal) as bars:
        task = bars.add_task("Judging", total=None)
        made = calibrate_site(
            labels,
            output,
            model=model,
            site=site,
            shift=shift,
            workers=workers,
            refused=lambda unread: typer.echo(
                f"nanoray: {printable(unread.source)}: {unread.error.reason}", err=True
            ),
            step=lambda total: bars.update(task, total=total, advance=1),
        )
    typer.echo(
        f"nanoray: {made.used} of {made.used + made.unread + made.abstained} labelled radiographs "
        f"used; {made.unread} unreadable, {made.abstained} with an abstention",
        err=True,
    )
    _print(made)
    typer.echo(f"nanoray: model file: {output}, version {made.found.card.version}", err=True)


def _print(made: SiteCalibration) -> None:
    found = made.found

    def words(interval: tuple[float, float, float], digits: int = 3) -> str:
        value, low, high = (f"{x:.{digits}f}" for x in interval)
        return f"{value} ({low} to {high})"

    console = Console(highlight=False)
    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
    for heading in (f"{made.used} radiographs", "Before", "After"):
        table.add_column(heading, no_wrap=True)
    table.add_row("temperature", f"{made.before.temperature:.3f}", words(found.temperature))
    if found.shift:
        table.add_row("shift of the logits", "-", f"{found.shift:+.3f}")
    for name, old in found.before.items():
        table.add_row(name, words(old), words(found.after[name]))
    for point in found.card.operating_points:
        before = made.before.operating_point(point.name).threshold
        table.add_row(
            f"{point.name} threshold", f"{before:.3f}", words(found.thresholds[point.name])
        )
    console.print(table)
    console.print(
        "95 % bootstrap intervals over patients. After: cross-validated by patient.",
        style="dim",
        soft_wrap=True,
    )
    if found.shift_needed:
        console.print(
            "With a temperature alone the probabilities are too high or too low, as with another "
            "prevalence: consider --shift.",
            soft_wrap=True,
        )
