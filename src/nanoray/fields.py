"""Fields of settings: each has its help text, bounds and name on the command line."""

from __future__ import annotations

from dataclasses import field
from typing import Any


def setting(
    default: Any,
    text: str,
    *,
    least: float | None = None,
    most: float | None = None,
    options: tuple[str, ...] = (),
    metavar: str | None = None,
    variable: str | None = None,
    shown: str | bool = True,
    unit: int = 1,
    panel: str | None = None,
    **about: Any,
) -> Any:
    """Return a field of a settings dataclass that becomes an option of a command.

    Args:
        default: the default value, or a function that returns it.
        text: one line for `--help` and the reference.
        least, most: bounds of the option's value, both allowed.
        options: names on the command line, if they differ from the field's.
        metavar: placeholder of the value in the help.
        variable: environment variable with the value.
        shown: the default in the help; False for none.
        unit: the field's value for an option of 1, for example bytes in a mebibyte.
        panel: heading of the option in the help.
        about: further metadata.
    """
    metadata = {
        "help": text,
        "least": least,
        "most": most,
        "options": options,
        "metavar": metavar,
        "variable": variable,
        "shown": shown,
        "unit": unit,
        "panel": panel,
        **about,
    }
    if callable(default):
        return field(default_factory=default, metadata=metadata)
    return field(default=default, metadata=metadata)
