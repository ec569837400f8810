"""`nanoray export-mobile`: a model file for the runtimes of phones."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from nanoray.commands.extras import require_extra, require_package


class Form(str, Enum):
    """The runtimes, and the extras that their converters come with."""

    litert = "litert"
    executorch = "executorch"


_CONVERTERS = {Form.litert: "litert_torch", Form.executorch: "executorch"}


def export_mobile(
    model: Annotated[Path, typer.Argument(help="An FP32 model file.", exists=True)],
    forms: Annotated[
        list[Form], typer.Option("--format", "-f", help="May be given for each that is wanted.")
    ],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Folder of the files; default: that of the model."),
    ] = None,
) -> None:
    """Export a model for phones: LiteRT (.tflite) or ExecuTorch with XNNPACK (.pte).

    Each file is compared with the model file on drawn radiographs before it takes its name; the
    model card is written beside it as JSON.
    """
    require_extra("train")
    for form in forms:
        require_package(form.value, _CONVERTERS[form])
    from nanoray.exporting.mobile import SUFFIXES
    from nanoray.exporting.mobile import export_mobile as export

    folder = output or model.parent
    folder.mkdir(parents=True, exist_ok=True)
    for form in forms:
        path = folder / f"{model.stem}{SUFFIXES[form.value]}"
        difference = export(model, form.value, path)
        size = path.stat().st_size / 1e6
        typer.echo(f"{path}: {size:.2f} MB, outputs within {difference:.1e} of {model.name}")
