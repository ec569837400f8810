"""`nanoray labels`: reviews of the worklist as labels for `nanoray calibrate`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from nanoray.commands.extras import require_extra


def labels(
    output: Annotated[
        Path,
        typer.Option("--output", "-o", metavar="FILE", help="The CSV file.", show_default=False),
    ],
    data: Annotated[
        Path, typer.Option("--data", metavar="DIR", help="The folder given to `nanoray serve`.")
    ] = Path("nanoray-data"),
    database: Annotated[
        str | None,
        typer.Option(
            "--database", envvar="NANORAY_DATABASE", help="The URL given to `nanoray serve`."
        ),
    ] = None,
) -> None:
    """Write the worklist's reviews as labels for `nanoray calibrate`.

    The table has one row for each image in the model's scope, of each reviewed study. Its paths are
    those of the files in the service's spool, which must be kept until the calibration.
    """
    require_extra("serve")
    from nanoray.serving.http.worklist_api import label_table
    from nanoray.serving.settings import Settings
    from nanoray.serving.storage.database import Database
    from nanoray.serving.storage.studies import Studies

    if not output.parent.is_dir():
        raise typer.BadParameter(f"{output}: no such folder as {output.parent}")
    settings = Settings(data=data, database=database)
    settings.check_store()
    store = Database(settings.database_url)
    store.migrate()
    found = Studies(store, keep_identity=False).labels()
    store.close()
    folder = Path(os.path.relpath((data / "spool" / "files").resolve(), output.parent.resolve()))
    output.write_text("".join(label_table(found, f"{folder.as_posix()}/")), encoding="utf-8")
    opacities = sum(label.target for label in found)
    typer.echo(
        f"nanoray: {output}: {len(found)} radiographs, {opacities} with an opacity", err=True
    )
