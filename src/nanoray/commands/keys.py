"""`nanoray keys`: the API keys of the service."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from nanoray.commands.extras import require_extra

if TYPE_CHECKING:
    from nanoray.serving.storage.database import Database

app = typer.Typer(no_args_is_help=True, help="Make, list and revoke API keys of `nanoray serve`.")

Data = Annotated[
    Path, typer.Option("--data", metavar="DIR", help="The folder given to `nanoray serve`.")
]
Url = Annotated[
    str | None,
    typer.Option("--database", envvar="NANORAY_DATABASE", help="The URL given to `nanoray serve`."),
]
Name = Annotated[str, typer.Argument(help="Name of the key's owner.", show_default=False)]


def _database(data: Path, url: str | None, *, make: bool = False) -> Database:
    """Open the database of a service; only `make` may make a new one."""
    require_extra("serve")
    from nanoray.serving.settings import Settings
    from nanoray.serving.storage.database import Database

    settings = Settings(data=data, database=url)
    if make:
        data.mkdir(mode=0o700, parents=True, exist_ok=True)
    else:
        settings.check_store()
    database = Database(settings.database_url)
    database.migrate()
    return database


def _record(data: Path, action: Literal["C", "D"], name: str, detail: str) -> None:
    """Write a change of keys to the audit log, with the user of this machine."""
    import getpass

    from nanoray.serving.audit import Audit, Change, Entry, Event

    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = str(os.getuid()) if hasattr(os, "getuid") else ""
    audit = Audit(data / "audit.log")
    audit.record(
        Entry(
            event=Event.ALERT,
            action=action,
            change=Change.USER,
            user=user,
            object_id=name,
            detail=detail,
        )
    )
    audit.close()


@app.command()
def add(
    name: Name,
    role: Annotated[
        str,
        typer.Option(help="read: view results; submit: also send radiographs; admin: also delete."),
    ] = "submit",
    data: Data = Path("nanoray-data"),
    database: Url = None,
) -> None:
    """Make a key and print it. It is not stored, and cannot be shown again."""
    store = _database(data, database, make=True)
    from nanoray.serving.storage import keys

    key = keys.add(store, name, role)
    _record(data, "C", f"key {keys.public(key)}", f"key added, role {role}")
    typer.echo(key)
    store.close()


@app.command("list")
def listed(data: Data = Path("nanoray-data"), database: Url = None) -> None:
    """List the names and roles of all keys."""
    store = _database(data, database)
    from nanoray.serving.storage import keys

    for row in keys.listed(store):
        state = f"revoked {row.revoked_at:%Y-%m-%d}" if row.revoked_at else "valid"
        typer.echo(f"{row.name}\t{row.role}\tmade {row.created_at:%Y-%m-%d}\t{state}")
    store.close()


@app.command()
def revoke(name: Name, data: Data = Path("nanoray-data"), database: Url = None) -> None:
    """Revoke a key. A running service applies it within seconds."""
    store = _database(data, database)
    from nanoray.serving.storage import keys

    _record(data, "D", f"key {keys.revoke(store, name)}", "key revoked")
    store.close()
