"""`nanoray conformance`: the DICOM Conformance Statement."""

from __future__ import annotations

import typer

from nanoray.commands.extras import require_extra


def conformance() -> None:
    """Print the DICOM Conformance Statement (PS3.2) as Markdown."""
    require_extra("serve")
    from nanoray.serving.dicom.conformance import statement

    typer.echo(statement(), nl=False)
