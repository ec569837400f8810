"""What several commands ask for in the same words."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from nanoray.detecting.detector import Detector

ModelFile = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="A model file; the packaged model by default."),
]
OperatingPoint = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="The model's threshold for a purpose: screening, balanced or confirm.",
    ),
]
Threshold = Annotated[
    float | None,
    typer.Option(min=0.0, max=1.0, help="A threshold of your own on the probability."),
]
Readers = Annotated[
    int | None,
    typer.Option(min=1, help="Processes that read files.", show_default="as suits the machine"),
]
Timeout = Annotated[float, typer.Option(min=0.1, help="Seconds after which a file is given up.")]


def load_detector(
    model: Path | None, operating_point: str | None, threshold: float | None, *, threads: int = 1
) -> Detector:
    """The detector that the options ask for.

    Raises:
        typer.BadParameter: both an operating point and a threshold, or one that there is not.
        ModelFileError: no such model file, or not one of NanoRay's.
    """
    from nanoray.detecting.detector import load

    if operating_point is not None and threshold is not None:
        raise typer.BadParameter("give --operating-point or --threshold, not both")
    try:
        return load(model, operating_point=operating_point, threshold=threshold, threads=threads)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
