"""`nanoray drift`: whether an archive's scores and images have moved."""

from __future__ import annotations

import json
from dataclasses import asdict
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nanoray.commands.extras import require_extra

if TYPE_CHECKING:
    from nanoray.archives.results import Results
    from nanoray.evaluating.shift import Shift

DRIFTED = 1


class Format(str, Enum):
    """How the comparison is written."""

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
    form: Annotated[Format, typer.Option("--format", "-f")] = Format.table,
    report: Annotated[
        Path | None,
        typer.Option(metavar="FILE", dir_okay=False, help="Write a page with histograms here."),
    ] = None,
) -> None:
    """Compare two sets of results: scores, image statistics, views and devices' formats.

    Population stability index (PSI) with what chance alone gives, and Kolmogorov-Smirnov (KS)
    distance for each, and whether to recalibrate.

    Exit code: 0 nothing has drifted, 1 something has, 2 wrong use.
    """
    require_extra("scale")
    from nanoray.archives.results import Results
    from nanoray.errors import DataSetError
    from nanoray.evaluating.shift import advice

    after = Results(current)
    if reference.lower().endswith(".onnx"):
        shifts = _against_card(Path(reference), after)
    else:
        before = Results(reference)
        versions = before.versions() | after.versions()
        if len(versions) > 1:
            raise DataSetError(
                f"the results are of different models ({', '.join(sorted(versions))}), "
                "whose scores cannot be compared"
            )
        shifts = _between(before, after)
    if not shifts:
        raise DataSetError(f"{reference} and {current} have nothing that can be compared")
    if form is Format.json:
        document = {
            "shifts": [asdict(shift) | {"verdict": shift.verdict} for shift in shifts.values()],
            "advice": advice(shifts),
        }
        typer.echo(json.dumps(document, indent=2))
    else:
        _print(shifts)
    if report is not None:
        from nanoray.archives.drift import write_comparison

        write_comparison(report, reference, after, shifts)
        typer.echo(f"nanoray: report: {report}", err=True)
    if any(shift.verdict == "drifted" for shift in shifts.values()):
        raise typer.Exit(DRIFTED)


def _between(before: Results, after: Results) -> dict[str, Shift]:
    from nanoray.archives.summary import CATEGORIES
    from nanoray.evaluating.shift import QUANTITIES, compare, compare_categories

    both = set(before.names) & set(after.names)
    found = [
        compare(name, before.values(name), after.values(name))
        for name in QUANTITIES
        if name in both
    ]
    found += [
        compare_categories(name, before.counts(name), after.counts(name))
        for name in ("decision", *CATEGORIES)
        if name in both
    ]
    return {shift.name: shift for shift in found if shift is not None}


def _against_card(model: Path, after: Results) -> dict[str, Shift]:
    from nanoray.detecting.model_file import read_card
    from nanoray.errors import DataSetError
    from nanoray.evaluating.shift import AgainstReference

    card = read_card(model)
    if card.reference is None or not card.reference.count:
        raise DataSetError(f"{model}: does not say how its validation images were distributed")
    against = AgainstReference(card.reference)
    for name in against.names:
        if name in after.names:
            against.add(name, after.values(name))
    return {shift.name: shift for shift in against.shifts()}


def _print(shifts: dict[str, Shift]) -> None:
    from rich.console import Console
    from rich.table import Table

    from nanoray.evaluating.shift import advice

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
