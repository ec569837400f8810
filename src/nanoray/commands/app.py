"""The Typer application behind the command `nanoray`."""

from __future__ import annotations

import errno
import sys
from io import TextIOWrapper
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from nanoray.commands import (
    calibrate,
    compare,
    drift,
    evaluate,
    export_mobile,
    guarantee,
    info,
    keys,
    phantom,
    predict,
    prepare,
    quantize,
    reproduce,
    screen,
    serve,
    store,
    train,
)
from nanoray.errors import NanoRayError
from nanoray.version import __version__

WRONG_USE = 2
INTERRUPTED = 130


class Commands(TyperGroup):
    """The commands, with NanoRay's errors as one line on standard error instead of a traceback."""

    def invoke(self, ctx: Any) -> Any:
        """Run a command; exit code 2 for NanoRay's errors and 130 for an interrupt."""
        try:
            return super().invoke(ctx)
        except NanoRayError as error:
            _complain(str(error))
        except OSError as error:
            # A closed pipe, as in `nanoray predict . | head`, is Typer's to handle.
            if error.errno == errno.EPIPE or error.strerror is None:
                raise
            where = f"{error.filename}: " if error.filename is not None else ""
            _complain(f"{where}{error.strerror}")
        except KeyboardInterrupt:
            _complain("interrupted")
            raise typer.Exit(INTERRUPTED) from None
        raise typer.Exit(WRONG_USE)


app = typer.Typer(
    name="nanoray",
    cls=Commands,
    no_args_is_help=True,
    add_completion=False,
    # A traceback with local variables could show what a header says of a patient.
    pretty_exceptions_show_locals=False,
    help="A pneumonia detector for chest radiographs in one small file. Research use only: "
    "not a medical device; not for diagnosis or treatment.",
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"nanoray {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_version, is_eager=True, help="Print the version and exit."
        ),
    ] = False,
) -> None:
    pass


app.command("predict")(predict.predict)
app.command("screen")(screen.screen)
app.command("info")(info.info)
app.command("phantom")(phantom.phantom)
app.add_typer(prepare.app, name="prepare")
app.add_typer(train.app, name="train")
app.command("distill")(train.distill)
app.command("quantize")(quantize.quantize)
app.command("export-mobile")(export_mobile.export_mobile)
app.command("evaluate")(evaluate.evaluate)
app.command("compare")(compare.compare)
app.command("reproduce")(reproduce.reproduce)
app.command("serve")(serve.serve)
app.add_typer(keys.app, name="keys")
app.add_typer(store.app, name="store")
app.command("drift")(drift.drift)
app.command("calibrate")(calibrate.calibrate)
app.command("guarantee")(guarantee.guarantee)


def main() -> None:
    """Run the command line."""
    for stream in (sys.stdout, sys.stderr):
        # A file name that the terminal's encoding lacks must not end a batch.
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    app()


def _complain(message: str) -> None:
    typer.echo(f"nanoray: {message}", err=True)
