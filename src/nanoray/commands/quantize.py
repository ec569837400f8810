"""`nanoray quantize`: calibrated model files from a training run."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from nanoray.exporting.package import LICENCE, package_run
from nanoray.exporting.quantize import Arithmetic, Calibration


def quantize(
    run: Annotated[Path, typer.Argument(help="Finished training run.", exists=True)],
    data: Annotated[Path, typer.Argument(help="The data set of the run.")],
    extra: Annotated[
        list[Path],
        typer.Option(
            "--extra",
            help="Radiographs of other populations, from which the model should not abstain.",
            exists=True,
        ),
    ] = [],  # noqa: B006
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder of the model files.")] = (
        Path("models")
    ),
    name: Annotated[
        str, typer.Option(help="Name of the model; default: that of the run.", show_default=False)
    ] = "",
    int8: Annotated[
        bool, typer.Option("--int8/--fp32-only", help="Write the INT8 file beside the FP32 one.")
    ] = True,
    arithmetic: Annotated[
        Arithmetic,
        typer.Option(
            help="How the INT8 file computes: with INT8 weights in FP32, or with activations "
            "rounded to 8 bits too."
        ),
    ] = "integer",
    calibration: Annotated[
        Calibration, typer.Option(help="Method for the ranges of activations (integer arithmetic).")
    ] = "minmax",
    prevalence: Annotated[
        float | None,
        typer.Option(
            help="Share of positive cases to which the probabilities are calibrated; default: that "
            "of the validation part.",
            min=0.001,
            max=0.999,
        ),
    ] = None,
    training_data: Annotated[
        str, typer.Option(help="Training data for the card; default: name of the folder.")
    ] = "",
    licence: Annotated[str, typer.Option(help="Licence in the card.")] = LICENCE,
    crossvalidation: Annotated[
        Path | None,
        typer.Option(
            help="results.json of `nanoray crossvalidate`; the card gets its figures.",
            exists=True,
            dir_okay=False,
        ),
    ] = None,
    recipe: Annotated[
        str, typer.Option(help="Which recipe of --crossvalidation, if it has several.")
    ] = "",
    cache: Annotated[Path, typer.Option(help="Folder of prepared images.")] = Path("cache"),
) -> None:
    """Export a run as FP32 and INT8 ONNX, calibrated on its validation part."""
    paths = package_run(
        run,
        data,
        output,
        name=name,
        extras=extra,
        int8=int8,
        arithmetic=arithmetic,
        calibration=calibration,
        prevalence=prevalence,
        training_data=training_data,
        licence=licence,
        command=shlex.join(["nanoray", *sys.argv[1:]]),
        crossvalidation=crossvalidation,
        recipe=recipe,
        cache=cache,
    )
    for path in paths:
        typer.echo(f"{path}: {path.stat().st_size / 1e6:.2f} MB")
