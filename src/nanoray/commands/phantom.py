"""`nanoray phantom`: a data set of synthetic radiographs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nanoray.errors import DataSetError


def phantom(
    folder: Annotated[Path, typer.Argument(help="Folder of the data set.", show_default=False)],
    count: Annotated[int, typer.Option(help="How many radiographs.", min=1)] = 100,
    seed: Annotated[int, typer.Option(help="Decides everything drawn.", min=0)] = 0,
    size: Annotated[int, typer.Option(help="Longer side, pixels.", min=64, max=4096)] = 512,
    prevalence: Annotated[float, typer.Option(help="Share with opacity.", min=0, max=1)] = 0.5,
    force: Annotated[
        bool, typer.Option("--force", help="Write into a folder that is not empty.")
    ] = False,
) -> None:
    """Draw synthetic chest radiographs as DICOM with labels.csv, for tests and tutorials."""
    from rich.console import Console
    from rich.progress import track

    from nanoray.datasets.phantom import write_data_set

    if folder.is_dir() and any(folder.iterdir()) and not force:
        raise DataSetError(f"{folder}: not empty; use --force to write there")
    drawn = write_data_set(folder, count=count, seed=seed, size=size, prevalence=prevalence)
    console = Console(stderr=True)
    for _ in track(drawn, "Drawing", total=count, console=console, disable=not console.is_terminal):
        pass
    typer.echo(f"{folder}: {count} synthetic radiographs and labels.csv")
