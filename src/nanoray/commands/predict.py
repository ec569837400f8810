"""`nanoray predict`: screen files with a model."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from enum import Enum
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nanoray.commands.options import (
    Exact,
    Guarantee,
    IgnoreHeader,
    ModelFile,
    OperatingPoint,
    Readers,
    Threshold,
    Timeout,
    View,
    load_detector,
)

if TYPE_CHECKING:
    from rich.console import Console

    from nanoray.detecting.detector import Detector
    from nanoray.detecting.guarantee import SourceWatch
    from nanoray.detecting.prediction import Result
    from nanoray.detecting.predictive_values import PredictiveValues
    from nanoray.detecting.views import Calibration

SOME_UNREADABLE = 1


class Format(str, Enum):
    """Output formats of the results."""

    table = "table"
    json = "json"
    jsonl = "jsonl"
    csv = "csv"


def predict(
    paths: Annotated[
        list[str],
        typer.Argument(
            metavar="PATH",
            help="Radiographs (DICOM or pictures), folders with all folders below, quoted patterns "
            "such as 'in/**/*.dcm', ZIP and tar files, a DICOMDIR, or - for standard input.",
            show_default=False,
        ),
    ],
    form: Annotated[
        Format,
        typer.Option(
            "--format",
            "-f",
            help="table and json are written at the end, jsonl and csv for each result.",
        ),
    ] = Format.table,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            dir_okay=False,
            help="Write to this file, not to stdout.",
        ),
    ] = None,
    heatmaps: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", file_okay=False, help="Write an overlay PNG for each radiograph here."
        ),
    ] = None,
    report: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", dir_okay=False, help="Write a self-contained HTML report here."
        ),
    ] = None,
    operating_point: OperatingPoint = None,
    threshold: Threshold = None,
    guarantee: Guarantee = None,
    view: View = None,
    ignore_header: IgnoreHeader = False,
    exact: Exact = False,
    prevalence: Annotated[
        float | None,
        typer.Option(
            metavar="SHARE",
            help="Share of your radiographs with an opacity, for example 0.05. Adds predictive "
            "values, and each probability at this prevalence.",
        ),
    ] = None,
    model: ModelFile = None,
    workers: Readers = None,
    threads: Annotated[int, typer.Option(min=1, help="Threads of the network for one image.")] = 1,
    provider: Annotated[
        str,
        typer.Option(
            metavar="NAME", help="Execution provider: cpu, cuda, openvino, coreml or directml."
        ),
    ] = "cpu",
    timeout: Timeout = 30.0,
) -> None:
    """Screen radiographs: probability, decision, quality flags and heat maps.

    Exit code: 0 all files read, 1 some could not be read (named on stderr), 2 wrong use.
    """
    _check_destinations(output, report)

    from rich.console import Console

    from nanoray.detecting.model_file import NOTICE
    from nanoray.files import printable, written_whole
    from nanoray.reading.finding import find
    from nanoray.reporting import outputs
    from nanoray.reporting.prediction_report import Report

    detector = load_detector(
        model,
        operating_point,
        threshold,
        guarantee=guarantee,
        view=view,
        ignore_header=ignore_header,
        exact=exact,
        threads=threads,
        provider=provider,
    )
    values = _predictive_values(detector, prevalence)
    kept = ExitStack()

    def unpacked() -> Path:
        """Make a folder for members of archives; a read-only system may not have one."""
        return Path(kept.enter_context(TemporaryDirectory(prefix="nanoray-")))

    found = find(paths, unpacked)
    errors = Console(stderr=True, highlight=False)
    tally = Tally(watch=detector.source_watch())
    begun = perf_counter()
    with ExitStack() as stack:
        stack.enter_context(kept)
        stream: Any = sys.stdout
        if output is not None:
            stream = stack.enter_context(
                written_whole(output, encoding="utf-8", newline="", errors="backslashreplace")
            )
        keepers: list[Callable[[Result], object]] = []
        if heatmaps is not None:
            keepers.append(outputs.HeatmapFolder(heatmaps).add)
        if report is not None:
            keepers.append(stack.enter_context(Report(report, detector)).add)
        # Lines would disturb a progress bar on the same terminal.
        streaming = form in (Format.jsonl, Format.csv) and output is None and sys.stdout.isatty()
        results = _watched(
            detector.predict_many(
                found.paths, workers=workers, timeout=timeout, thumbnails=bool(keepers)
            ),
            len(found.paths),
            keepers,
            tally,
            errors,
            bar=errors.is_terminal and not streaming,
        )
        _write(results, form, stream, detector, prevalence)
    _say(errors, tally.words(perf_counter() - begun))
    for calibration, value in values:
        of_view = f"{calibration.view} radiographs: " if calibration.view else ""
        _say(errors, of_view + value.words())
    if tally.watch is not None and tally.watch.unlike:
        _say(
            errors,
            "the guarantee does not hold for these radiographs: they differ from the calibration "
            "by more than chance; run nanoray check on labelled radiographs of this source",
        )
    if found.passed_over:
        _say(errors, f"skipped in the folders and archives: {found.words()}")
    for folder in found.unlisted:
        _say(errors, f"{printable(str(folder))}: listing the folder is not permitted")
    for name, path in (("heat maps", heatmaps), ("report", report), ("results", output)):
        if path is not None:
            _say(errors, f"{name}: {path}")
    if form in (Format.jsonl, Format.csv):
        _say(errors, NOTICE)
    if tally.unread or found.unlisted:
        raise typer.Exit(SOME_UNREADABLE)


def _predictive_values(
    detector: Detector, prevalence: float | None
) -> list[tuple[Calibration, PredictiveValues]]:
    """Describe the operating point at a prevalence, for each calibration of the model."""
    from nanoray.detecting.predictive_values import check_prevalence, predictive_values

    if prevalence is None:
        return []
    try:
        check_prevalence(prevalence)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--prevalence") from None
    point = detector.operating_point
    if point is None:
        raise typer.BadParameter(
            "the sensitivity of --threshold is unknown; give --operating-point with --prevalence"
        )
    calibrations = detector.card.views or (detector.card.calibration(),)
    return [
        (one, predictive_values(one.operating_point(point.name), prevalence))
        for one in calibrations
    ]


def _write(
    results: Iterator[Result],
    form: Format,
    stream: Any,
    detector: Detector,
    prevalence: float | None,
) -> None:
    from rich.console import Console

    from nanoray.reporting import outputs

    if form is Format.json:
        point = detector.operating_point
        outputs.write_json(
            results,
            detector.card,
            stream,
            prevalence=prevalence,
            operating_point=point.name if point else None,
        )
    elif form is Format.jsonl:
        outputs.write_jsonl(results, stream, prevalence=prevalence)
    elif form is Format.csv:
        outputs.write_csv(results, stream, prevalence=prevalence)
    else:
        outputs.write_table(list(results), Console(file=stream, highlight=False))


@dataclass(slots=True)
class Tally:
    """Numbers of results of each kind."""

    decisions: dict[str, int] = field(default_factory=dict)
    unread: int = 0
    watch: SourceWatch | None = None

    def count(self, result: Result) -> None:
        """Count one result."""
        if result.error is not None:
            self.unread += 1
        else:
            self.decisions[result.decision] = self.decisions.get(result.decision, 0) + 1
            if self.watch is not None:
                self.watch.add(result.novelty)

    def words(self, seconds: float) -> str:
        """Return the counts as one line."""
        total = self.unread + sum(self.decisions.values())
        counts = self.decisions | {"unreadable": self.unread}
        parts = [
            f"{counts[kind]} {kind}"
            for kind in (
                "opacity suspected",
                "unsure",
                "no opacity suspected",
                "abstained",
                "unreadable",
            )
            if counts.get(kind)
        ]
        return f"{total} file{'' if total == 1 else 's'} in {seconds:.1f} s: {', '.join(parts)}"


def _watched(
    results: Iterator[Result],
    total: int,
    keepers: list[Callable[[Result], object]],
    tally: Tally,
    errors: Console,
    *,
    bar: bool,
) -> Iterator[Result]:
    """Pass results on, show progress, name unread files, and release the pictures."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

    from nanoray.detecting.prediction import Unread
    from nanoray.files import printable

    with Progress(
        "Screening",
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=errors,
        transient=True,
        disable=not bar,
    ) as progress:
        task = progress.add_task("", total=total)
        for result in results:
            tally.count(result)
            for keep in keepers:
                keep(result)
            if isinstance(result, Unread):
                _say(errors, f"{printable(result.source)}: {result.error.reason}")
                yield result
            else:
                yield replace(result, thumbnail=None)
            progress.advance(task)


def _say(console: Console, message: str) -> None:
    console.print(f"nanoray: {message}", markup=False, soft_wrap=True)


def _check_destinations(*paths: Path | None) -> None:
    for path in paths:
        if path is not None and not path.parent.is_dir():
            raise typer.BadParameter(f"{path}: no such folder as {path.parent}")
        if path is not None and not os.access(path.parent, os.W_OK):
            # Checked now, not after an hour of screening.
            raise typer.BadParameter(f"{path}: writing to {path.parent} is not permitted")
    named = [path.resolve() for path in paths if path is not None]
    if len(set(named)) < len(named):
        raise typer.BadParameter("--output and --report name the same file")
