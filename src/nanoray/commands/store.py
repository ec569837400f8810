"""`nanoray store`: the database and the files of the service."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nanoray.commands.extras import require_extra

app = typer.Typer(
    no_args_is_help=True, help="Move or repair the database and files of `nanoray serve`."
)

Data = Annotated[
    Path, typer.Option("--data", metavar="DIR", help="The folder given to `nanoray serve`.")
]


@app.command()
def move(
    to: Annotated[
        str,
        typer.Option(
            "--to",
            metavar="URL",
            envvar="NANORAY_DATABASE",
            help="Empty database: postgresql://...",
            show_default=False,
        ),
    ],
    data: Data = Path("nanoray-data"),
) -> None:
    """Move a stopped service's store from SQLite to PostgreSQL. The files are not moved."""
    require_extra("serve")
    from nanoray.serving.storage.moving import move as move_store

    counts = move_store(
        data, to, progress=lambda table, rows: typer.echo(f"{table}: {rows}", err=True)
    )
    typer.echo(
        f"moved {counts['predictions']} predictions and {counts['reports']} reports; start with "
        "--database or NANORAY_DATABASE from now on"
    )


@app.command()
def bind(
    data: Data = Path("nanoray-data"),
    database: Annotated[
        str | None,
        typer.Option(
            "--database", envvar="NANORAY_DATABASE", help="The URL given to `nanoray serve`."
        ),
    ] = None,
) -> None:
    """Bind a stopped service's folder and database to each other, regardless of their contents.

    The next start moves files that are unknown to the database to spool/lost.
    """
    require_extra("serve")
    from nanoray.serving.settings import Settings
    from nanoray.serving.storage import binding
    from nanoray.serving.storage.database import Database
    from nanoray.serving.storage.spool import Spool

    settings = Settings(data=data, database=database)
    settings.check_store()
    store = Database(settings.database_url)
    with binding.locked(data, shared=False):
        store.migrate()
        spool = Spool(data / "spool")
        name = binding.bind(store, spool, force=True)
        spool.close()
    store.close()
    typer.echo(f"bound: store {name}")
