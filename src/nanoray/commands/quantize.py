"""`nanoray quantize`: from a training run to calibrated model files."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from nanoray.exporting.package import LICENCE, package_run
from nanoray.exporting.quantize import Calibration


def quantize(
    run: Annotated[Path, typer.Argument(help="Finished training run.", exists=True)],
    data: Annotated[Path, typer.Argument(help="The data set that it was trained on.")],
    extra: Annotated[
        list[Path],
        typer.Option(
            "--extra",
            help="Further radiographs, of other populations, that it is not to abstain on.",
            exists=True,
        ),
    ] = [],  # noqa: B006
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder of the model files.")] = (
        Path("models")
    ),
    name: Annotated[
        str, typer.Option(help="Name of the model; default: of the run.", show_default=False)
    ] = "",
    int8: Annotated[
        bool, typer.Option("--int8/--fp32-only", help="Write the INT8 file beside the FP32 one.")
    ] = True,
    calibration: Annotated[
        Calibration, typer.Option(help="How the ranges of activations are found.")
    ] = "minmax",
    prevalence: Annotated[
        float | None,
        typer.Option(
            help="Share of positive cases that the probabilities are for; default: that of the "
            "validation part.",
            min=0.001,
            max=0.999,
        ),
    ] = None,
    training_data: Annotated[
        str, typer.Option(help="Training data as the card names them; default: the folder.")
    ] = "",
    licence: Annotated[str, typer.Option(help="Licence in the card.")] = LICENCE,
    crossvalidation: Annotated[
        Path | None,
        typer.Option(
            help="results.json of `nanoray crossvalidate`: its last recipe's figures go into the "
            "card.",
            exists=True,
            dir_okay=False,
        ),
    ] = None,
    cache: Annotated[Path, typer.Option(help="Where prepared images are kept.")] = Path("cache"),
) -> None:
    """Export a run as FP32 and static INT8 ONNX, calibrated on its validation part."""
    paths = package_run(
        run,
        data,
        output,
        name=name,
        extras=extra,
        int8=int8,
        calibration=calibration,
        prevalence=prevalence,
        training_data=training_data,
        licence=licence,
        command=shlex.join(["nanoray", *sys.argv[1:]]),
        crossvalidation=crossvalidation,
        cache=cache,
    )
    for path in paths:
        typer.echo(f"{path}: {path.stat().st_size / 1e6:.2f} MB")
