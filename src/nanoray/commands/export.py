"""`nanoray export`: a model file in the format of another runtime."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nanoray.commands.extras import require_package
from nanoray.exporting.formats import FORMATS, Format

CALIBRATION_IMAGES = 256


def export(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="A model file.", exists=True)],
    forms: Annotated[
        list[Format], typer.Option("--format", "-f", help="Repeat it for several formats.")
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="DIR", help="Folder of the files; default: exports/."
        ),
    ] = None,
    calibration: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="For litert-int8: a folder of training images, whose labels are not used; "
            f"{CALIBRATION_IMAGES} of them are drawn at random.",
            exists=True,
        ),
    ] = None,
) -> None:
    """Export a model file for other runtimes, chips and programs.

    ONNX, OpenVINO, ncnn, LiteRT, ExecuTorch, Core ML, a C header, a Hugging Face folder or a MONAI
    bundle.

    If the format's runtime is installed, each export is compared with the model file, and discarded
    if it differs. A JSON file beside it has the model card, the calibration, the operating points
    and the preprocessing.
    """
    for form in forms:
        for package in FORMATS[form].packages:
            require_package(FORMATS[form].extra, package)
    if Format.litert_int8 in forms and calibration is None:
        raise typer.BadParameter("--format litert-int8 needs --calibration with training images")

    from nanoray.detecting.model_file import read_card
    from nanoray.exporting.export import export as write
    from nanoray.exporting.squares import read_squares

    folder = output or Path("exports")
    card = read_card(model)
    squares = None
    if calibration is not None and Format.litert_int8 in forms:
        squares = read_squares(calibration, card, CALIBRATION_IMAGES)
        typer.echo(f"{len(squares)} calibration images of {calibration}", err=True)
    for form in forms:
        written = write(model, form, folder, squares=squares)
        if written.difference is None:
            found = FORMATS[form].unchecked
        else:
            found = f"largest difference {written.difference:.1e}"
            if form is Format.litert_int8:
                found += f" (8-bit integers), correlation of logits {written.correlation:.4f}"
        typer.echo(f"{written.paths[0]}: {written.size / 1e6:.2f} MB, {found}")
