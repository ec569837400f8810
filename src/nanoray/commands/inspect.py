"""`nanoray inspect`: the steps from a file to the network's input."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from nanoray.commands.options import ModelFile, Timeout
from nanoray.detecting import flags
from nanoray.detecting.model_file import packaged_model, read_card
from nanoray.errors import NanoRayError
from nanoray.files import exact, printable
from nanoray.reading.equalize import equalize
from nanoray.reading.pool import read_many
from nanoray.reading.prepared import Reading
from nanoray.reading.resize import to_uint8

UNREADABLE = 1


def inspect(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="A DICOM file or a picture.", show_default=False)
    ],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")] = False,
    picture: Annotated[
        Path | None,
        typer.Option(metavar="PNG", dir_okay=False, help="Write the network's input here."),
    ] = None,
    model: ModelFile = None,
    timeout: Timeout = 30.0,
) -> None:
    """Show the steps from a file to the network's input.

    Exit code: 0 the file was read, 1 it could not be read, 2 wrong use.
    """
    if not file.exists():
        raise NanoRayError(f"{printable(str(file))}: no such file")
    card = read_card(packaged_model() if model is None else model)
    (reading,) = read_many([file], card.input_size, workers=1, timeout=timeout)
    if picture is not None and reading.square is not None:
        _write(reading, picture, equalized=card.equalize)
    if as_json:
        typer.echo(json.dumps(_values(reading), indent=2, ensure_ascii=False))
    else:
        _print(reading)
    if reading.error is not None:
        raise typer.Exit(UNREADABLE)


def _values(reading: Reading) -> dict[str, Any]:
    values: dict[str, Any] = {"file": exact(reading.source)}
    if reading.error is not None:
        return values | {"error": {"code": reading.error.code, "reason": reading.error.reason}}
    facts, place, crop = reading.facts, reading.placement, reading.crop
    assert facts is not None
    assert place is not None
    return values | {
        "facts": {name: getattr(facts, name) for name in facts.__slots__},
        "steps": [{"step": step.name, "detail": step.detail} for step in reading.steps],
        "flags": list(flags.find(facts, reading.contrast)),
        "contrast": round(reading.contrast, 4),
        "placement": {name: getattr(place, name) for name in place.__slots__},
        "crop": None if crop is None else {name: getattr(crop, name) for name in crop.__slots__},
        "milliseconds": round(reading.milliseconds, 2),
    }


def _print(reading: Reading) -> None:
    if reading.error is not None:
        typer.echo(f"{printable(reading.source)}: {reading.error.reason}")
        return
    typer.echo(printable(reading.source))
    for step in reading.steps:
        typer.echo(f"  {step.name:<16} {step.detail}")
    assert reading.facts is not None
    for flag in flags.find(reading.facts, reading.contrast):
        typer.echo(f"  {'flag':<16} {flags.WORDS[flag]}")
    typer.echo(f"  {'time':<16} {reading.milliseconds:.1f} ms")


def _write(reading: Reading, path: Path, *, equalized: bool) -> None:
    from PIL import Image

    assert reading.square is not None
    square = equalize(reading.square) if equalized else reading.square
    Image.fromarray(to_uint8(square)).save(path, "PNG")
