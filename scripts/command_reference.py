"""Write the reference of all commands from their help texts.

python scripts/command_reference.py > docs/reference/commands.md
"""

from __future__ import annotations

import os

# Plain text in place of boxes, as wide as a page.
os.environ.update(TYPER_USE_RICH="0", COLUMNS="100", TERMINAL_WIDTH="100")

from typing import Any

import typer
from typer.main import get_command

from nanoray.commands.app import app
from nanoray.commands.table import COMMANDS


def helps(command: Any, name: str, parent: Any = None) -> list[tuple[str, str]]:
    """List the names and help texts of a command and of those below it."""
    context = command.make_context(name, [], parent=parent, resilient_parsing=True)
    found = [(context.command_path, command.get_help(context))]
    for below in getattr(command, "commands", {}).values():
        found += helps(below, below.name, context)
    return found


def main() -> None:
    """Print the page."""
    typer.echo("# Commands\n\nWritten by `python scripts/command_reference.py`.\n")
    root = get_command(app)
    context = root.make_context("nanoray", [], resilient_parsing=True)
    for name, command in COMMANDS.items():
        for path, text in helps(command.load(name), name, context):
            typer.echo(f"## `{path}`\n\n```text\n{text.rstrip()}\n```\n")


if __name__ == "__main__":
    main()
