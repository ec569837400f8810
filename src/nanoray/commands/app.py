"""The Typer application behind the command `nanoray`."""

from __future__ import annotations

import errno
import sys
from io import TextIOWrapper
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from nanoray.commands.table import COMMANDS
from nanoray.errors import NanoRayError
from nanoray.version import __version__

WRONG_USE = 2
INTERRUPTED = 130


class Commands(TyperGroup):
    """The commands of the table, imported when they run.

    NanoRay's errors become one line on standard error instead of a traceback.
    """

    def __init__(self, **options: Any) -> None:
        """Fill the group with placeholders, which have only a help text."""
        super().__init__(**options)
        for name, command in COMMANDS.items():
            self.commands[name] = TyperCommand(
                name, help=command.help, rich_help_panel=command.panel
            )

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        """Import the command of the arguments."""
        name, command, rest = super().resolve_command(ctx, args)
        return name, COMMANDS[name].load(name) if name in COMMANDS else command, rest

    def invoke(self, ctx: Any) -> Any:
        """Run a command; exit code 2 for NanoRay's errors and 130 for an interrupt."""
        try:
            return super().invoke(ctx)
        except NanoRayError as error:
            _complain(str(error))
        except OSError as error:
            # Typer handles a closed pipe, as in `nanoray predict . | head`.
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
    # A traceback with local variables could show values of a header.
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


def main() -> None:
    """Run the command line."""
    for stream in (sys.stdout, sys.stderr):
        # A file name that the terminal's encoding lacks must not end a batch.
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    app()


def _complain(message: str) -> None:
    typer.echo(f"nanoray: {message}", err=True)
