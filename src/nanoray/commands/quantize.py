"""`nanoray quantize`: from a training run to calibrated model files."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from nanoray.commands.extras import require_extra

LICENCE = (
    "Research and non-commercial use, under the terms of the training images "
    "(RSNA Pneumonia Detection Challenge 2018, from NIH ChestX-ray14)"
)


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
        str, typer.Option(help="Ranges of the activations: minmax, percentile or entropy.")
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
        str, typer.Option(help="What the card says of the training data; default: the folder.")
    ] = "",
    licence: Annotated[str, typer.Option(help="What the card says of the licence.")] = LICENCE,
    cache: Annotated[Path, typer.Option(help="Where prepared images are kept.")] = Path("cache"),
) -> None:
    """Export a run as FP32 and static INT8 ONNX, calibrated on its validation part."""
    require_extra("train")
    from nanoray.datasets.folder import read_folder
    from nanoray.datasets.images import load_squares
    from nanoray.datasets.labelled import SPLIT, open_labelled
    from nanoray.exporting.package import Provenance, write_model_files
    from nanoray.training.fit import load_run
    from nanoray.version import __version__

    network, settings = load_run(run)
    labelled = open_labelled(data, split=run / SPLIT)
    provenance = Provenance(
        name=name or f"nanoray-{settings.role}",
        version=__version__,
        training_data=training_data or f"{data.name}, {len(labelled.split.train)} radiographs",
        licence=licence,
        command=shlex.join(["nanoray", *sys.argv[1:]]),
    )
    paths = write_model_files(
        network,
        labelled.cases,
        load_squares(labelled.cases, settings.size, cache),
        labelled.split,
        output,
        provenance,
        further=[load_squares(read_folder(path), settings.size, cache) for path in extra],
        int8=int8,
        calibration_method=calibration,
        prevalence=prevalence,
    )
    for path in paths:
        typer.echo(f"{path}: {path.stat().st_size / 1e6:.2f} MB")
