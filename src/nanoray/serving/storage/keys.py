"""API keys: made once, shown once, kept as digests.

A key is "nr_" + 12 characters of its id + "_" + 43 characters of 256 random bits. A digest of 256
random bits needs neither a salt nor a slow function, since it cannot be guessed.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import threading
import time
from dataclasses import dataclass
from typing import Literal

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from nanoray.errors import NanoRayError
from nanoray.serving.storage.database import Database
from nanoray.serving.storage.tables import KeyRow, now

_KEY = re.compile(r"nr_([0-9a-f]{12})_([A-Za-z0-9_-]{43})")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._-]{0,63}")
_REMEMBERED_SECONDS = 5.0

READ, SUBMIT, ADMIN = "read", "submit", "admin"
ROLES = (READ, SUBMIT, ADMIN)
"""Roles of keys; each includes the previous ones: view results, send files,
delete results and repeat deliveries."""


@dataclass(frozen=True, slots=True)
class Owner:
    """The owner of a key.

    Attributes:
        id: the key's, which is not secret, or the subject of a token.
        role: one of `ROLES`.
        kind: an API key, or a token of an issuer.
    """

    id: str
    role: str
    kind: Literal["key", "token"] = "key"

    def may(self, role: str) -> bool:
        """Return whether the owner's role includes `role`."""
        return ROLES.index(self.role) >= ROLES.index(role)


class TokenError(NanoRayError):
    """An issuer's token is invalid; `forbidden` if it is valid but has no role."""

    def __init__(self, reason: str, *, forbidden: bool = False) -> None:
        super().__init__(reason)
        self.forbidden = forbidden


def add(database: Database, name: str, role: str) -> str:
    """Make a key and return it; it cannot be shown again.

    Raises:
        NanoRayError: the name is taken or invalid, or the role is unknown.
    """
    if role not in ROLES:
        raise NanoRayError("a key's role must be " + ", ".join(ROLES))
    if not _NAME.fullmatch(name):
        raise NanoRayError(
            "a key's name must have at most 64 letters, digits, spaces, dots and dashes"
        )
    public, secret = secrets.token_hex(6), secrets.token_urlsafe(32)
    try:
        with database.writing() as session:
            session.add(KeyRow(id=public, name=name, role=role, digest=_digest(secret)))
    except IntegrityError:
        raise NanoRayError("a key of that name already exists") from None
    return f"nr_{public}_{secret}"


def listed(database: Database) -> list[KeyRow]:
    """Return all keys, including revoked ones, by age."""
    with database.reading() as session:
        return list(session.scalars(select(KeyRow).order_by(KeyRow.created_at)))


def public(key: str) -> str:
    """Return the id of a key, which is not secret."""
    return key.split("_")[1]


def revoke(database: Database, name: str) -> str:
    """Revoke a key, within seconds, and return its id.

    Raises:
        NanoRayError: unknown key.
    """
    with database.writing() as session:
        row = session.scalars(select(KeyRow).where(KeyRow.name == name)).one_or_none()
        if row is None:
            raise NanoRayError("key not found")
        row.revoked_at = row.revoked_at or now()
        return row.id


class Keyring:
    """Checks keys, with a cache of valid ones for a few seconds."""

    def __init__(self, database: Database) -> None:
        """Check against the keys in `database`."""
        self.database = database
        self._lock = threading.Lock()
        self._known: dict[str, tuple[float, str, Owner]] = {}

    def remembered(self, key: str) -> Owner | None:
        """Return the owner of a key from the cache."""
        match = _KEY.fullmatch(key)
        if match is None:
            return None
        with self._lock:
            seen = self._known.get(match[1])
        if seen is None or time.monotonic() - seen[0] > _REMEMBERED_SECONDS:
            return None
        return seen[2] if hmac.compare_digest(seen[1], _digest(match[2])) else None

    def owner(self, key: str) -> Owner | None:
        """Return the owner of a key; None for any other text.

        Raises:
            DatabaseUnavailableError: the key cannot be checked now.
        """
        match = _KEY.fullmatch(key)
        if match is None:
            return None
        digest = _digest(match[2])
        with self.database.reading() as session:
            row = session.get(KeyRow, match[1])
        stored = row.digest if row is not None and row.revoked_at is None else ""
        if row is None or not hmac.compare_digest(stored, digest):
            return None
        owner = Owner(row.id, row.role)
        with self._lock:
            if len(self._known) > 1000:
                self._known.clear()
            self._known[row.id] = time.monotonic(), digest, owner
        return owner


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
