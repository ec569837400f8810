"""`nanoray benchmark`: a model in every installed runtime."""

from __future__ import annotations

import platform
from collections.abc import Iterable, Iterator
from pathlib import Path
from time import perf_counter, process_time
from typing import Annotated

import numpy as np
import typer
from rich.console import Console
from rich.progress import track

from nanoray.datasets.images import load_squares
from nanoray.datasets.labelled import open_labelled
from nanoray.detecting.model_file import read_card
from nanoray.exporting.benchmark import candidates, measure
from nanoray.exporting.export import drawn
from nanoray.exporting.squares import as_inputs
from nanoray.files import written_whole
from nanoray.reporting.runtimes_table import draw, markdown


def benchmark(
    model: Annotated[
        Path, typer.Argument(metavar="MODEL", help="The FP32 model file.", exists=True)
    ],
    exports: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Folder of nanoray export.", exists=True),
    ] = None,
    others: Annotated[
        list[Path] | None,
        typer.Option(
            "--also",
            metavar="FILE",
            help="A further model file, such as INT8.",
            exists=True,
        ),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="A labelled data set; its test part is used for decisions and AUROC.",
            exists=True,
        ),
    ] = None,
    split: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Split file, such as a run's split.csv; default: the data set's.",
            exists=True,
        ),
    ] = None,
    cache: Annotated[
        Path, typer.Option(metavar="DIR", help="Folder of the cached squares.")
    ] = Path("cache"),
    limit: Annotated[
        int | None, typer.Option(min=2, help="Largest number of test radiographs, drawn at random.")
    ] = None,
    rounds: Annotated[
        int, typer.Option(min=2, help="Rounds of the latency measurement, in turns.")
    ] = 40,
    cpu_time: Annotated[
        bool, typer.Option(help="Measure processor time, for a busy machine.")
    ] = False,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="DIR", help="Write runtimes.md and runtimes.png here."
        ),
    ] = None,
) -> None:
    """Compare the installed runtimes: equality, latency, memory and size.

    Exit code 1: a floating-point runtime does not equal the model file.
    """
    card = read_card(model)
    squares = [square[None, None] for square in drawn(card.input_size)]
    targets = None
    if data is not None:
        labelled = open_labelled(data, split=split)
        # A run that was validated on a fold has no test part.
        chosen = np.array(labelled.split.test or labelled.split.validation)
        if limit is not None:
            chosen = np.sort(np.random.default_rng(0).permutation(chosen)[:limit])
        cases = [labelled.cases[index] for index in chosen]
        # Before the drawings, which have no labels.
        squares = [*as_inputs(load_squares(cases, card.input_size, cache), card), *squares]
        targets = np.array([int(case.target or 0) for case in cases])
    found = candidates(model, exports, others or [])
    clock = process_time if cpu_time else perf_counter
    rows = measure(found, squares, targets=targets, rounds=rounds, clock=clock, watch=_watched)
    about = (
        f"{model.name} in {len(rows)} ways; {platform.machine()}, one thread, batch 1, {rounds} "
        f"rounds in turns, {'processor' if cpu_time else 'wall'} time; differences on "
        f"{len(squares)} radiographs."
    )
    table = markdown(rows, about)
    typer.echo(table)
    if output is not None:
        output.mkdir(parents=True, exist_ok=True)
        with written_whole(output / "runtimes.md", encoding="utf-8") as stream:
            stream.write(table)
        draw(rows, output / "runtimes.png")
    if not all(row.passes for row in rows if row.exact):
        raise typer.Exit(1)


def _watched(rounds: Iterable[int]) -> Iterator[int]:
    console = Console(stderr=True)
    yield from track(list(rounds), "Measuring", console=console, disable=not console.is_terminal)
