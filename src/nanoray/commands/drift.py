"""`nanoray drift`: detect a change of scores and images."""

from __future__ import annotations

import json
from dataclasses import asdict
from enum import Enum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from nanoray.archives.drift import compare_results, write_comparison
from nanoray.evaluating.shift import Shift, advice

DRIFTED = 1


class Format(str, Enum):
    """Output formats of the comparison."""

    table = "table"
    json = "json"


def drift(
    reference: Annotated[
        str,
        typer.Argument(
            metavar="REFERENCE",
            help="Earlier results: a run of nanoray screen, .parquet, .csv or .jsonl; or a model "
            "file, for its validation images.",
            show_default=False,
        ),
    ],
    current: Annotated[
        str,
        typer.Argument(metavar="CURRENT", help="Results to compare with.", show_default=False),
    ],
    form: Annotated[
        Format, typer.Option("--format", "-f", help="Form of the output.")
    ] = Format.table,
    report: Annotated[
        Path | None,
        typer.Option(metavar="FILE", dir_okay=False, help="Write a page with histograms here."),
    ] = None,
) -> None:
    """Compare two sets of results: scores, image statistics, views and file formats.

    Shows the population stability index (PSI) with its value by chance, and the Kolmogorov-Smirnov
    (KS) distance, and recommends a recalibration if needed.

    Exit code: 0 nothing has drifted, 1 something has, 2 wrong use.
    """
    shifts = compare_results(reference, current)
    if form is Format.json:
        document = {
            "shifts": [asdict(shift) | {"verdict": shift.verdict} for shift in shifts.values()],
            "advice": advice(shifts),
        }
        typer.echo(json.dumps(document, indent=2))
    else:
        _print(shifts)
    if report is not None:
        write_comparison(report, reference, current, shifts)
        typer.echo(f"nanoray: report: {report}", err=True)
    if any(shift.verdict == "drifted" for shift in shifts.values()):
        raise typer.Exit(DRIFTED)


def _print(shifts: dict[str, Shift]) -> None:
    console = Console(highlight=False)
    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
    for heading in ("Quantity", "Verdict", "Median", "PSI", "Chance", "KS", "p"):
        table.add_column(heading, no_wrap=True)
    colours = {"stable": "green", "watch": "yellow", "drifted": "bold red"}
    for shift in shifts.values():
        medians, distance, p_value = "-", "-", "-"
        if shift.distance is not None:
            medians = f"{shift.reference_median:.3g} -> {shift.current_median:.3g}"
            distance, p_value = f"{shift.distance:.3f}", f"{shift.p_value:.2g}"
        table.add_row(
            shift.name,
            f"[{colours[shift.verdict]}]{shift.verdict}[/]",
            medians,
            f"{shift.psi:.3f}",
            f"{shift.psi_chance:.3f}",
            distance,
            p_value,
        )
    console.print(table)
    console.print(advice(shifts), soft_wrap=True)
