"""Bearer tokens of an OpenID Connect issuer, beside API keys."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import time
from pathlib import Path
from typing import Any

import pytest

from audit_messages import messages, said
from nanoray.errors import NanoRayError
from nanoray.serving.storage import keys
from nanoray.serving.storage.keys import Owner, TokenError
from serving_helpers import files, picture, serving, settings

jwt = pytest.importorskip("jwt", reason="needs the extra: pip install 'nanoray[serve]'")

from cryptography.hazmat.primitives import serialization  # noqa: E402
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa  # noqa: E402

from http_answers import answering  # noqa: E402
from nanoray.serving.tokens import KeySet, Tokens  # noqa: E402

ISSUER, AUDIENCE = "https://login.example/hospital", "nanoray"
RSA_KEY = rsa.generate_private_key(65537, 2048)
OTHER_KEY = rsa.generate_private_key(65537, 2048)
EC_KEY = ec.generate_private_key(ec.SECP256R1())
ED_KEY = ed25519.Ed25519PrivateKey.generate()


def public_jwk(key: Any, name: str, **changes: Any) -> dict[str, Any]:
    algorithm = {
        rsa.RSAPrivateKey: jwt.algorithms.RSAAlgorithm,
        ec.EllipticCurvePrivateKey: jwt.algorithms.ECAlgorithm,
        ed25519.Ed25519PrivateKey: jwt.algorithms.OKPAlgorithm,
    }
    kind = next(one for one in algorithm if isinstance(key, one))
    found = algorithm[kind].to_jwk(key.public_key(), as_dict=True)
    return {**found, "kid": name, **changes}


KEYS = {
    "keys": [
        public_jwk(RSA_KEY, "rsa", alg="RS256"),
        public_jwk(EC_KEY, "ec"),
        public_jwk(ED_KEY, "ed", use="sig"),
        public_jwk(OTHER_KEY, "encryption", use="enc"),
        {"kty": "oct", "kid": "secret", "k": "c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0"},
    ]
}


def token(key: Any = RSA_KEY, name: str | None = "rsa", alg: str = "RS256", **changes: Any) -> str:
    now = int(time.time())
    claims = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": "user-7",
        "iat": now,
        "exp": now + 300,
        "roles": ["submit", "something else"],
    } | changes
    claims = {claim: value for claim, value in claims.items() if value is not None}
    headers = {} if name is None else {"kid": name}
    return str(jwt.encode(claims, key, alg, headers=headers))


@pytest.fixture
def place(tmp_path: Path) -> Path:
    path = tmp_path / "jwks.json"
    path.write_text(json.dumps(KEYS))
    return path


def checker(tmp_path: Path, place: object, **changes: Any) -> Tokens:
    values = {"oidc_issuer": ISSUER, "oidc_audience": AUDIENCE, "oidc_keys": str(place)}
    return Tokens(settings(tmp_path / "data", tmp_path, **(values | changes)))


def part(value: object) -> str:
    text = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(text).decode().rstrip("=")


def unsigned(alg: str) -> str:
    body = token().split(".")[1]
    return f"{part({'alg': alg, 'typ': 'JWT', 'kid': 'rsa'})}.{body}."


def signed_with_public_key(name: str = "rsa") -> str:
    """Sign with the public key as the secret of an HMAC (RFC 8725 2.1)."""
    pem = RSA_KEY.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    text = f"{part({'alg': 'HS256', 'kid': name})}.{token().split('.')[1]}"
    return f"{text}.{part(hmac.new(pem, text.encode(), hashlib.sha256).digest())}"


def signed_with_listed_secret() -> str:
    secret = base64.urlsafe_b64decode(KEYS["keys"][-1]["k"])
    text = f"{part({'alg': 'HS256', 'kid': 'secret'})}.{token().split('.')[1]}"
    return f"{text}.{part(hmac.new(secret, text.encode(), hashlib.sha256).digest())}"


def tampered() -> str:
    head, body, signature = token().split(".")
    claims = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    return f"{head}.{part(claims | {'roles': ['admin']})}.{signature}"


def own_key_in_header() -> str:
    """Sign with a key of one's own that the header brings along."""
    own = public_jwk(OTHER_KEY, "mine")
    claims = jwt.decode(token(), options={"verify_signature": False})
    return str(jwt.encode(claims, OTHER_KEY, "RS256", headers={"kid": "mine", "jwk": own}))


def with_critical_extension() -> str:
    claims = jwt.decode(token(), options={"verify_signature": False})
    headers = {"kid": "rsa", "crit": ["exp"], "exp": 1}
    return str(jwt.encode(claims, RSA_KEY, "RS256", headers=headers))


HOUR = 3600
REFUSED = {
    "none": lambda: unsigned("none"),
    "None": lambda: unsigned("None"),
    "RS256 without a signature": lambda: unsigned("RS256"),
    "HS256 with the public key": signed_with_public_key,
    "HS256 with the public key of another kind": lambda: signed_with_public_key("ec"),
    "HS256 with a listed secret": signed_with_listed_secret,
    "expired": lambda: token(exp=int(time.time()) - 60),
    "without an expiry": lambda: token(exp=None),
    "not yet valid": lambda: token(nbf=int(time.time()) + HOUR),
    "another audience": lambda: token(aud="pacs"),
    "without an audience": lambda: token(aud=None),
    "another issuer": lambda: token(iss="https://login.example/other"),
    "without an issuer": lambda: token(iss=None),
    "without a subject": lambda: token(sub=None),
    "another key": lambda: token(OTHER_KEY),
    "a key for encryption": lambda: token(OTHER_KEY, "encryption"),
    "an unknown key": lambda: token(OTHER_KEY, "new"),
    "a key of its own": own_key_in_header,
    "no name of a key, of several": lambda: token(name=None),
    "an algorithm that the key is not for": lambda: token(alg="RS512"),
    "tampered": tampered,
    "a critical extension": with_critical_extension,
    "an expiry that is no number": lambda: token(exp="soon"),
    "nonsense": lambda: "a.b.c",
    "empty parts": lambda: "..",
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_no_valid_token_is_refused(tmp_path: Path, place: Path, case: str) -> None:
    tokens = checker(tmp_path, place)
    assert tokens.owner(token()) == Owner("oidc:user-7", "submit", "token")
    with pytest.raises(TokenError) as caught:
        tokens.owner(REFUSED[case]())
    assert not caught.value.forbidden


def test_signatures_of_other_kinds_and_several_audiences(tmp_path: Path, place: Path) -> None:
    tokens = checker(tmp_path, place)
    assert tokens.owner(token(EC_KEY, "ec", "ES256")).role == "submit"
    assert tokens.owner(token(ED_KEY, "ed", "EdDSA")).role == "submit"
    assert tokens.owner(token(aud=["pacs", AUDIENCE])).role == "submit"


def test_roles_come_from_the_claim(tmp_path: Path, place: Path) -> None:
    tokens = checker(tmp_path, place)
    assert tokens.owner(token(roles=["read", "admin", "submit"])).role == "admin"
    assert tokens.owner(token(roles="openid read")).role == "read"
    for none in ([], "root", None, {"admin": True}, [["admin"]], 7):
        with pytest.raises(TokenError) as caught:
            tokens.owner(token(roles=none))
        assert caught.value.forbidden
    mapped = checker(
        tmp_path,
        place,
        oidc_claim="realm_access.roles",
        oidc_roles=("radiology=submit", "a=b=admin"),
    )
    assert mapped.owner(token(realm_access={"roles": ["radiology"]})).role == "submit"
    assert mapped.owner(token(realm_access={"roles": ["a=b"]})).role == "admin"
    assert mapped.owner(token(**{"realm_access.roles": ["radiology"]})).role == "submit"
    with pytest.raises(TokenError):
        # With a mapping the roles' own names give nothing.
        mapped.owner(token(realm_access={"roles": ["admin"]}))


def test_subjects_fit_where_keys_ids_stand(tmp_path: Path, place: Path) -> None:
    tokens = checker(tmp_path, place)
    found = {tokens.owner(token(sub=sub)).id for sub in ("x" * 255, "x" * 254, "a\nb", "ä")}
    assert len(found) == 4
    assert all(len(one) <= 64 and one.isascii() and one.isprintable() for one in found)


def test_settings_that_do_not_go_together(tmp_path: Path, place: Path) -> None:
    with pytest.raises(NanoRayError, match="--oidc-audience"):
        checker(tmp_path, place, oidc_audience=None)
    with pytest.raises(NanoRayError, match="VALUE=ROLE"):
        checker(tmp_path, place, oidc_roles=("x=root",))
    for bad in ("http://login.example/keys", "ftp://login.example/keys", "https://"):
        with pytest.raises(NanoRayError, match="https://"):
            checker(tmp_path, bad)


def test_a_file_of_keys_is_read_again_when_it_changes(tmp_path: Path, place: Path) -> None:
    tokens = checker(tmp_path, place)
    tokens.owner(token())
    place.write_text(json.dumps({"keys": [public_jwk(OTHER_KEY, "next")]}))
    os.utime(place, (1, 1))
    assert tokens.owner(token(OTHER_KEY, "next")).role == "submit"
    assert tokens.owner(token(OTHER_KEY, None)).role == "submit"
    with pytest.raises(TokenError):
        tokens.owner(token())
    # A file that cannot be read leaves the keys of before.
    place.write_text("nonsense")
    assert tokens.owner(token(OTHER_KEY, "next")).role == "submit"


def test_keys_come_from_the_issuer(tmp_path: Path) -> None:
    with answering() as server:
        issuer = server.url
        server.answers = {
            "/.well-known/openid-configuration": {"issuer": issuer, "jwks_uri": f"{issuer}/keys"},
            "/keys": KEYS,
        }
        tokens = checker(tmp_path, "", oidc_issuer=issuer, oidc_keys=None)
        assert tokens.owner(token(iss=issuer)).role == "submit"
        assert server.seen == ["/.well-known/openid-configuration", "/keys"]
        tokens.owner(token(iss=issuer))
        # Guesses do not make the service ask each time.
        for number in range(5):
            with pytest.raises(TokenError):
                tokens.owner(token(OTHER_KEY, f"guess {number}", iss=issuer))
        assert len(server.seen) == 2


@pytest.mark.parametrize(
    "answers",
    [
        {},
        {"/.well-known/openid-configuration": {"issuer": "https://other", "jwks_uri": "URL/keys"}},
        {"/.well-known/openid-configuration": {"issuer": "URL", "jwks_uri": "http://other/keys"}},
        {"/.well-known/openid-configuration": ["URL"]},
        {"/.well-known/openid-configuration": {"issuer": "URL", "jwks_uri": "URL/keys"},
         "/keys": {"keys": 7}},
        {"/.well-known/openid-configuration": {"issuer": "URL", "jwks_uri": "URL/keys"},
         "/keys": {"keys": ["x" * (2 << 20)]}},
    ],
    ids=["missing", "other issuer", "not HTTPS", "no object", "no list", "too long"],
)  # fmt: skip
def test_an_issuer_that_answers_wrongly_lets_nobody_in(
    tmp_path: Path, answers: dict[str, Any]
) -> None:
    with answering() as server:
        server.answers = json.loads(json.dumps(answers).replace("URL", server.url))
        server.answers.setdefault("/keys", KEYS)
        tokens = checker(tmp_path, "", oidc_issuer=server.url, oidc_keys=None)
        with pytest.raises(TokenError, match="unknown key"):
            tokens.owner(token(iss=server.url))


def test_private_keys_are_not_used(tmp_path: Path, place: Path) -> None:
    private = jwt.algorithms.RSAAlgorithm.to_jwk(RSA_KEY, as_dict=True)
    place.write_text(json.dumps({"keys": [{**private, "kid": "rsa"}]}))
    with pytest.raises(TokenError, match="private"):
        checker(tmp_path, place).owner(token())
    assert KeySet(ISSUER, str(place)).find({"kid": "other"}) is None


def test_tokens_and_keys_at_one_service(tmp_path: Path, tiny_model: Path, place: Path) -> None:
    given = settings(
        tmp_path / "data",
        tiny_model,
        no_auth=False,
        oidc_issuer=ISSUER,
        oidc_audience=AUDIENCE,
        oidc_keys=str(place),
    )

    def bearer(text: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {text}"}

    with serving(given) as client:
        key = keys.add(client.app.state.service.keyring.database, "x", "read")
        assert client.get("/v1/model", headers=bearer(key)).status_code == 200
        assert client.get("/v1/model", headers=bearer(token())).status_code == 200
        sent = client.post("/v1/predictions", files=files(picture(0.6)), headers=bearer(token()))
        assert sent.status_code == 201
        name = sent.json()["results"][0]["id"]
        address = f"/v1/predictions/{name}"
        assert client.delete(address, headers=bearer(token())).status_code == 403
        without = client.get("/v1/model", headers=bearer(token(roles=[])))
        assert (without.status_code, without.json()["code"]) == (403, "role")
        for case in ("none", "HS256 with the public key", "expired", "another audience"):
            refused = client.get("/v1/model", headers=bearer(REFUSED[case]()))
            assert (refused.status_code, refused.json()["code"]) == (401, "api-key")
        assert client.get("/v1/model", headers=bearer(token() * 50)).status_code == 401
        assert client.delete(address, headers=bearer(token(roles="admin"))).status_code == 204
    trail = [said(message) for message in messages(tmp_path / "data" / "audit.log")]
    assert [entry[:3] for entry in trail if entry[3] == "token oidc:user-7"] == [
        ("Import", "C", "0"),
        ("Security Alert", "E", "4"),  # the deletion that the role does not permit
        ("DICOM Study Deleted", "D", "0"),
    ]
    assert token().split(".")[0] not in (tmp_path / "data" / "audit.log").read_text()
