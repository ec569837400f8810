"""Check that an extra is installed before a command fails with an ImportError.

`pyproject.toml` defines the extras and their packages; the installed package's metadata repeats
them.
"""

from __future__ import annotations

import re
from importlib import metadata
from importlib.util import find_spec

from nanoray.errors import MissingExtraError

# A requirement of one extra on every system: `name[extras]>=1; extra == "train"`.
_OF_EXTRA = re.compile(r"([\w.-]+)(?:\[([\w,. -]+)\])?[^;]*; extra == ['\"]([\w-]+)['\"]")

_ON_DEMAND = {"scale": frozenset({"ray"})}
"""Packages that only some commands of an extra need; these commands check them."""


def packages(extra: str) -> list[str]:
    """List the distributions of an extra, with those of its included extras.

    Empty if nanoray runs from a source tree without installation.
    """
    try:
        requirements = metadata.requires("nanoray") or []
    except metadata.PackageNotFoundError:
        return []
    found: list[str] = []
    for requirement in requirements:
        match = _OF_EXTRA.fullmatch(requirement)
        if match is None or match[3] != extra:
            continue
        if match[1] == "nanoray":
            for included in (match[2] or "").split(","):
                found += packages(included.strip())
        else:
            found.append(match[1])
    return found


def require_extra(extra: str) -> None:
    """Check that the packages of an extra are installed.

    Raises:
        MissingExtraError: a package is missing.
    """
    for name in packages(extra):
        if name not in _ON_DEMAND.get(extra, ()):
            try:
                metadata.distribution(name)
            except metadata.PackageNotFoundError:
                raise MissingExtraError(extra, name) from None


def require_package(extra: str, package: str) -> None:
    """Check that one importable package of an extra is installed.

    Raises:
        MissingExtraError: the package is missing.
    """
    if find_spec(package) is None:
        raise MissingExtraError(extra, package)
