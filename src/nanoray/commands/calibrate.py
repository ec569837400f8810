"""`nanoray calibrate`: a model file's calibration for a site."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nanoray.commands.extras import require_extra
from nanoray.commands.options import ModelFile, Readers

if TYPE_CHECKING:
    from nanoray.detecting.detector import Detector
    from nanoray.detecting.model_file import Reference
    from nanoray.evaluating.recalibration import LabelledScores, Recalibration


def calibrate(
    labels: Annotated[
        Path,
        typer.Option(
            help="CSV: file (relative to it), target (1 or 0), and patient if persons have "
            "several.",
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

    Writes a new model file with a version of its own, and shows what changes, with 95 % intervals.
    """
    require_extra("calibrate")
    from nanoray.detecting.detector import load
    from nanoray.evaluating.recalibration import recalibrate
    from nanoray.exporting.card import write_card

    if not re.fullmatch(r"[A-Za-z0-9]+(\.[A-Za-z0-9]+)*", site):
        raise typer.BadParameter(f"--site {site}: letters and digits, in parts joined by dots")
    detector = load(model)
    if output.exists() and output.samefile(detector.path):
        raise typer.BadParameter(f"{output}: is the model file itself")
    if not output.parent.is_dir():
        raise typer.BadParameter(f"{output}: no such folder as {output.parent}")
    scores, reference = _judge(detector, labels, workers)
    found = recalibrate(detector.card, scores, site, shift=shift, reference=reference)
    write_card(detector.path, found.card, output=output, shift=found.shift)
    _print(found, detector, len(scores.targets))
    typer.echo(f"nanoray: model file: {output}, version {found.card.version}", err=True)


def _judge(
    detector: Detector, table: Path, workers: int | None
) -> tuple[LabelledScores, Reference]:
    import numpy as np
    from rich.console import Console
    from rich.progress import track

    from nanoray.datasets.labels import read_labels
    from nanoray.detecting.prediction import Unread
    from nanoray.evaluating.recalibration import LabelledScores
    from nanoray.evaluating.shift import QUANTITIES, SCORES, reference_of
    from nanoray.files import printable

    errors = Console(stderr=True, highlight=False)
    chosen, logits, unread, abstained = [], [], 0, 0
    values: dict[str, list[float]] = {name: [] for name in QUANTITIES}
    cases = read_labels(table)
    paths = [Path(table.parent, case.name) for case in cases]
    results = detector.predict_many(paths, workers=workers)
    shown = track(
        results,
        "Judging",
        total=len(cases),
        console=errors,
        transient=True,
        disable=not errors.is_terminal,
    )
    for case, result in zip(cases, shown, strict=True):
        if isinstance(result, Unread):
            unread += 1
            typer.echo(f"nanoray: {printable(result.source)}: {result.error.reason}", err=True)
        elif result.abstained:
            abstained += 1
        else:
            chosen.append(case)
            logits.append(result.logit)
            for name in QUANTITIES:
                value = getattr(result if name in SCORES else result.statistics, name)
                values[name].append(value)
    typer.echo(
        f"nanoray: {len(chosen)} of {len(cases)} labelled radiographs used; "
        f"{unread} could not be read, {abstained} were abstained from",
        err=True,
    )
    scores = LabelledScores(
        np.array(logits),
        np.array([case.target for case in chosen], np.int64),
        [case.patient for case in chosen],
    )
    return scores, reference_of({name: np.array(v) for name, v in values.items()})


def _print(found: Recalibration, detector: Detector, count: int) -> None:
    from rich.console import Console
    from rich.table import Table

    def words(interval: tuple[float, float, float], digits: int = 3) -> str:
        value, low, high = (f"{x:.{digits}f}" for x in interval)
        return f"{value} ({low} to {high})"

    console = Console(highlight=False)
    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
    for heading in (f"{count} radiographs", "Before", "After"):
        table.add_column(heading, no_wrap=True)
    table.add_row("temperature", f"{detector.card.temperature:.3f}", words(found.temperature))
    if found.shift:
        table.add_row("shift of the logits", "-", f"{found.shift:+.3f}")
    for name, old in found.before.items():
        table.add_row(name, words(old), words(found.after[name]))
    for point in found.card.operating_points:
        before = detector.card.operating_point(point.name).threshold
        table.add_row(
            f"{point.name} threshold", f"{before:.3f}", words(found.thresholds[point.name])
        )
    console.print(table)
    console.print(
        "95 % bootstrap intervals over patients. After: every radiograph judged by a fit without "
        "its patient.",
        style="dim",
        soft_wrap=True,
    )
    if found.shift_needed:
        console.print(
            "A temperature alone leaves the probabilities too high or too low here, as with "
            "another prevalence: consider --shift.",
            soft_wrap=True,
        )
