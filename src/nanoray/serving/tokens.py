"""Bearer tokens of an OpenID Connect issuer, checked and mapped to the roles of API keys.

A token is a JWT (RFC 7519) signed with a key of the issuer's JSON Web Key Set (RFC 7517). Only
asymmetric signatures are accepted. With a public key as an HMAC secret anyone could sign (RFC 8725
2.1), and "none" is not a signature.
"""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import httpx
import jwt

from nanoray.errors import NanoRayError
from nanoray.serving.journal import log, log_error
from nanoray.serving.settings import Settings
from nanoray.serving.storage.keys import ROLES, Owner, TokenError

_ALGORITHMS: Final[dict[str, tuple[str, ...]]] = {
    "RSA": ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
    "EC": ("ES256", "ES384", "ES512"),
    "OKP": ("EdDSA",),
}
# Clocks of two machines differ by seconds.
_LEEWAY_SECONDS: Final = 30
_FRESH_SECONDS: Final = 600.0
# An unknown key may be a new key of the issuer, or a guess.
_PAUSE_SECONDS: Final = 30.0
_MAX_ANSWER_BYTES: Final = 1024 * 1024
_ID_LENGTH: Final = 64


class KeySet:
    """The public keys of an issuer; thread-safe."""

    def __init__(self, issuer: str, place: str | None) -> None:
        """Store the address of the keys; they are loaded at the first use.

        Args:
            issuer: its discovery document has the keys' address if `place` is None.
            place: a file, or an address.

        Raises:
            NanoRayError: an address is neither https:// nor on this machine.
        """
        self._issuer = issuer
        self._place = place
        self._lock = threading.Lock()
        self._keys: list[dict[str, Any]] = []
        self._loaded = self._tried = -_FRESH_SECONDS
        self._changed = 0
        address = place if place is not None else issuer
        if place is None or "://" in place:
            _check_address(address)

    def find(self, header: Mapping[str, Any]) -> dict[str, Any] | None:
        """Return the JSON Web Key of a token's header; None if it is not found."""
        with self._lock:
            found = None if self._is_stale() else self._find(header)
            if found is None and self._may_load():
                self._load()
                found = self._find(header)
            return found if found is not None else self._find(header)

    def _find(self, header: Mapping[str, Any]) -> dict[str, Any] | None:
        name = header.get("kid")
        found = [key for key in self._keys if name is None or key.get("kid") == name]
        return found[0] if len(found) == 1 else None

    def _is_stale(self) -> bool:
        if self._is_file:
            return self._state() != self._changed
        return time.monotonic() - self._loaded > _FRESH_SECONDS

    def _may_load(self) -> bool:
        return self._is_file or time.monotonic() - self._tried > _PAUSE_SECONDS

    @property
    def _is_file(self) -> bool:
        return self._place is not None and "://" not in self._place

    def _state(self) -> int:
        try:
            return Path(self._place or "").stat().st_mtime_ns
        except OSError:
            return -1

    def _load(self) -> None:
        """Load the keys; after a failure, log it and keep the previous keys."""
        self._tried = time.monotonic()
        try:
            if self._is_file:
                self._changed = self._state()
                document = json.loads(Path(self._place or "").read_text(encoding="utf-8"))
            else:
                document = _fetch(self._place or self._discover())
            self._keys = [
                key
                for key in document["keys"]
                if key.get("kty") in _ALGORITHMS and key.get("use", "sig") == "sig"
            ]
        except (OSError, ValueError, TypeError, KeyError, AttributeError, NanoRayError) as error:
            log_error("the issuer's keys cannot be loaded", error)
        except httpx.HTTPError as error:
            log_error("the issuer is not reached", error)
        else:
            self._loaded = self._tried
            log("keys of the issuer loaded", keys=len(self._keys))

    def _discover(self) -> str:
        """Return the address of the keys (OpenID Connect Discovery 1.0, 4)."""
        document = _fetch(self._issuer.rstrip("/") + "/.well-known/openid-configuration")
        if document["issuer"] != self._issuer:
            raise NanoRayError("the discovery document belongs to another issuer")
        return _check_address(str(document["jwks_uri"]))


def _check_address(address: str) -> str:
    parts = urlsplit(address)
    local = parts.hostname in ("localhost", "127.0.0.1", "::1")
    if not parts.hostname or not (parts.scheme == "https" or (parts.scheme == "http" and local)):
        raise NanoRayError("an issuer and its keys need an https:// address, or one of loopback")
    return address


def _fetch(address: str) -> Any:
    found = bytearray()
    with httpx.stream("GET", address, timeout=5.0, follow_redirects=False) as answer:
        answer.raise_for_status()
        for part in answer.iter_bytes():
            found += part
            if len(found) > _MAX_ANSWER_BYTES:
                raise NanoRayError("the issuer's answer is longer than 1 MiB")
    return json.loads(found)


class Tokens:
    """Checks tokens of one issuer; thread-safe."""

    def __init__(self, settings: Settings) -> None:
        """Prepare the check from the settings `oidc_...`.

        Raises:
            NanoRayError: contradictory settings.
        """
        if not settings.oidc_issuer or not settings.oidc_audience:
            raise NanoRayError("tokens need both --oidc-issuer and --oidc-audience")
        self._issuer, self._audience = settings.oidc_issuer, settings.oidc_audience
        self._claim = settings.oidc_claim
        self._roles = dict(zip(ROLES, ROLES, strict=True))
        if settings.oidc_roles:
            self._roles = dict(_mapping(text) for text in settings.oidc_roles)
        self._keys = KeySet(self._issuer, settings.oidc_keys)

    def owner(self, token: str) -> Owner:
        """Return the owner of a token.

        Raises:
            TokenError: it is invalid, or has no role.
        """
        try:
            claims = self._claims(token)
        except (jwt.PyJWTError, ValueError, TypeError) as error:
            # The class is the reason; the message may quote the token.
            raise TokenError(type(error).__name__) from None
        found = [self._roles[value] for value in self._values(claims) if value in self._roles]
        if not found:
            raise TokenError("no role", forbidden=True)
        return Owner(_identity(str(claims["sub"])), max(found, key=ROLES.index), "token")

    def _claims(self, token: str) -> dict[str, Any]:
        header = jwt.get_unverified_header(token)
        if "crit" in header:
            raise TokenError("extensions that are critical")
        key = self._keys.find(header)
        if key is None:
            raise TokenError("unknown key")
        allowed = [
            name for name in _ALGORITHMS[key["kty"]] if key.get("alg") is None or key["alg"] == name
        ]
        if header.get("alg") not in allowed:
            raise TokenError("the key is for another algorithm")
        public = jwt.PyJWK(key, algorithm=header["alg"]).key
        if hasattr(public, "private_numbers") or hasattr(public, "private_bytes"):
            raise TokenError("a private key among the issuer's keys")
        claims: dict[str, Any] = jwt.decode(
            token,
            public,
            algorithms=allowed,
            audience=self._audience,
            issuer=self._issuer,
            leeway=_LEEWAY_SECONDS,
            options={"require": ["exp", "iss", "aud", "sub"]},
        )
        return claims

    def _values(self, claims: Mapping[str, Any]) -> list[str]:
        """Return the values of the roles' claim, which may be nested: realm_access.roles."""
        value: Any = claims.get(self._claim)
        if value is None:
            value = claims
            for part in self._claim.split("."):
                value = value.get(part) if isinstance(value, dict) else None
        if isinstance(value, str):
            return value.split()
        return [one for one in value if isinstance(one, str)] if isinstance(value, list) else []


def _mapping(text: str) -> tuple[str, str]:
    value, _, role = text.rpartition("=")
    if not value or role not in ROLES:
        raise NanoRayError(f"--oidc-role must be VALUE=ROLE, with a role of {', '.join(ROLES)}")
    return value, role


def _identity(subject: str) -> str:
    """Return a subject as a key id; a digest if it is too long or has other characters."""
    name = f"oidc:{subject}"
    if len(name) <= _ID_LENGTH and name.isascii() and name.isprintable():
        return name
    return f"oidc:{hashlib.sha256(subject.encode('utf-8', 'replace')).hexdigest()[:48]}"
