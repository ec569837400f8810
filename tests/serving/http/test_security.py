"""Who may ask what, how often, and what is never told."""

from __future__ import annotations

import http.client
import json
import logging
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import text
from typer.testing import CliRunner

from certificates import write_certificate
from nanoray.commands.app import app
from nanoray.errors import NanoRayError
from nanoray.serving.rate_limit import RateLimit, TooManyRequestsError
from nanoray.serving.settings import is_loopback
from nanoray.serving.storage import keys
from nanoray.serving.storage.database import Database
from nanoray.serving.storage.spool import Spool
from serving_helpers import PATIENCE, files, picture, server, serving, settings


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Iterator[Any]:
    """Provide a service that asks for keys: a client, and a valid key."""
    folder = tmp_path_factory.mktemp("secured")
    given = settings(folder, tiny_model, no_auth=False, allowed_hosts=(), max_files=3)
    with serving(given) as client:
        client.valid = keys.add(Database(given.database_url), "tests", keys.ADMIN)
        yield client


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


def test_every_route_but_health_and_the_page_needs_a_key(shared: Any) -> None:
    open_routes = {"/healthz", "/readyz"}
    for path, methods in shared.get("/openapi.json").json()["paths"].items():
        for method in methods:
            address = path.replace("{name}", "0" * 32)
            answer = shared.request(method.upper(), address)
            if path in open_routes:
                assert answer.status_code == 200
                continue
            assert answer.status_code == 401, path
            assert answer.headers["www-authenticate"] == "Bearer"
            assert answer.json()["code"] == "api-key"
            wrong = shared.valid[:-1] + ("A" if shared.valid[-1] != "A" else "B")
            for bad in (wrong, "", "nr_x", "x" * 5000):
                assert (
                    shared.request(method.upper(), address, headers=bearer(bad)).status_code == 401
                )
    assert shared.get("/v1/model", headers=bearer(shared.valid)).status_code == 200


def test_keys_are_kept_as_digests_and_can_be_revoked(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'keys.db'}")
    database.migrate()
    key = keys.add(database, "Ward 4", keys.READ)
    keyring = keys.Keyring(database)
    assert keyring.remembered(key) is None
    assert keyring.owner(key) == keys.Owner(key.split("_")[1], "read")
    assert keyring.remembered(key) == keyring.owner(key)
    assert keyring.remembered(key[:-1] + ("A" if key[-1] != "A" else "B")) is None
    with pytest.raises(NanoRayError, match="already"):
        keys.add(database, "Ward 4", keys.READ)
    with pytest.raises(NanoRayError, match="letters"):
        keys.add(database, "../x", keys.READ)
    with pytest.raises(NanoRayError, match="role"):
        keys.add(database, "Ward 5", "root")
    keys.revoke(database, "Ward 4")
    assert keys.Keyring(database).owner(key) is None
    with pytest.raises(NanoRayError, match="key not found"):
        keys.revoke(database, "nobody")
    database.close()
    secret = key.rpartition("_")[2]
    assert all(secret.encode() not in path.read_bytes() for path in tmp_path.iterdir())


def test_keys_may_do_what_their_role_says(tmp_path: Path, tiny_model: Path) -> None:
    given = settings(tmp_path / "data", tiny_model, no_auth=False, allowed_hosts=())
    with serving(given) as client:
        database = client.app.state.service.keyring.database
        read, submit, admin = (bearer(keys.add(database, role, role)) for role in keys.ROLES)

        def statuses(method: str, path: str, **request: Any) -> list[int]:
            return [
                client.request(method, path, headers=headers, **request).status_code
                for headers in (read, submit, admin)
            ]

        sent = {"files": files(picture(0.4))}
        assert statuses("POST", "/v1/predictions", **sent) == [403, 201, 200]
        assert statuses("POST", "/v1/jobs", **sent) == [403, 202, 202]
        assert statuses("GET", "/v1/predictions") == [200, 200, 200]
        assert statuses("GET", "/metrics") == [200, 200, 200]
        name = client.get("/v1/predictions", headers=read).json()["items"][0]["id"]
        refused = client.delete(f"/v1/predictions/{name}", headers=submit)
        assert refused.headers["content-type"] == "application/problem+json"
        assert (refused.status_code, refused.json()["code"]) == (403, "role")
        assert statuses("DELETE", f"/v1/predictions/{name}") == [403, 403, 204]


def test_keys_by_command(tmp_path: Path) -> None:
    def run(*arguments: str) -> Any:
        return CliRunner().invoke(app, ["keys", *arguments, "--data", str(tmp_path / "data")])

    for command in (["list"], ["revoke", "CT room"]):
        mistyped = run(*command)
        assert mistyped.exit_code == 2
        assert "is not the folder of a service" in mistyped.output
    assert not (tmp_path / "data").exists()
    other = run("list", "--database", "mysql://u:secret@x/y")
    assert "is not the folder" in other.output
    made = run("add", "CT room")
    assert made.exit_code == 0
    other = run("list", "--database", "mysql://u:secret@x/y")
    assert "a database of mysql is not supported" in other.output
    assert "secret" not in other.output
    assert made.stdout.startswith("nr_")
    assert run("add", "Office", "--role", "read").exit_code == 0
    assert run("add", "Nobody", "--role", "root").exit_code == 2
    assert "CT room\tsubmit\tmade " in run("list").stdout
    assert "Office\tread\tmade " in run("list").stdout
    assert run("revoke", "CT room").exit_code == 0
    assert "revoked" in run("list").stdout
    assert run("revoke", "nobody").exit_code == 2


def test_no_auth_is_for_loopback_only(tmp_path: Path, tiny_model: Path) -> None:
    for host in ("0.0.0.0", "::", "192.0.2.1", "example.org"):
        assert not is_loopback(host)
        command = ["serve", "--no-auth", "--host", host, "--model", str(tiny_model)]
        refused = CliRunner().invoke(app, [*command, "--data", str(tmp_path / "d")])
        assert refused.exit_code == 2
        assert "loopback" in refused.output
    for host in ("127.0.0.1", "127.9.9.9", "::1", "localhost"):
        assert is_loopback(host)


def test_pages_of_other_origins_are_refused(tmp_path: Path, tiny_model: Path) -> None:
    with serving(settings(tmp_path / "data", tiny_model)) as client:
        content = files(picture(0.5))

        def status(**headers: str) -> int:
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            return int(client.post("/v1/predictions", files=content, headers=named).status_code)

        assert status(Sec_Fetch_Site="cross-site") == 403
        assert status(Sec_Fetch_Site="same-site") == 403
        assert status(Origin="http://evil.example") == 403
        assert status(Origin="null") == 403
        # A name that was made to lead to this machine (DNS rebinding).
        assert status(Host="evil.example") == 421
        assert client.get("/v1/predictions", headers={"Host": "evil.example:80"}).status_code == 421
        assert client.get("/v1/predictions").json()["total"] == 0
        assert status(Origin="http://testserver", Sec_Fetch_Site="same-origin") == 201
        assert "access-control-allow-origin" not in client.get("/v1/model").headers


def test_headers_on_every_answer(shared: Any) -> None:
    for path in ("/healthz", "/v1/model", "/nowhere", "/"):
        answer = shared.get(path)
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert "unsafe" not in answer.headers["content-security-policy"]
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["x-frame-options"] == "DENY"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert "server" not in answer.headers
        assert len(answer.headers["x-request-id"]) == 32
    assert shared.get("/healthz").headers["cache-control"] == "no-store"


def test_rate_limits() -> None:
    limit = RateLimit(60)
    for _ in range(6):
        limit.check("a")
    with pytest.raises(TooManyRequestsError) as caught:
        limit.check("a")
    assert caught.value.wait >= 1
    limit.check("b")
    for _ in range(100):
        RateLimit(0).check("a")


def test_guessing_keys_is_slowed_down(tmp_path: Path, tiny_model: Path) -> None:
    given = settings(tmp_path / "data", tiny_model, no_auth=False, rate_limit=60)
    with serving(given) as client:
        codes = [client.get("/v1/model", headers=bearer("guess")).status_code for _ in range(4)]
        assert codes[0] == 401
        assert codes[-1] == 429


def test_bounds_on_uploads(shared: Any) -> None:
    def post(**request: Any) -> Any:
        headers = bearer(shared.valid) | request.pop("headers", {})
        return shared.post("/v1/predictions", headers=headers, **request)

    many = post(files=files(*[picture(0.5)] * 4))
    assert (many.status_code, many.json()["code"]) == (413, "too-many-files")
    for name, headers, content, status in (
        ("compressed", {"Content-Encoding": "gzip"}, b"x", 415),
        ("zip", {"Content-Type": "application/zip"}, b"PK\x03\x04", 415),
        ("no type", {"Content-Type": ""}, b"x", 415),
        ("empty", {"Content-Type": "image/png"}, b"", 400),
        ("no boundary", {"Content-Type": "multipart/form-data"}, b"x", 400),
        ("no parts", {"Content-Type": "multipart/form-data; boundary=b"}, b"x", 400),
        (
            "cut",
            {"Content-Type": "multipart/form-data; boundary=b"},
            b'--b\r\nContent-Disposition: form-data; name="f"; filename="f"\r\n\r\nabc',
            400,
        ),
        (
            "long header",
            {"Content-Type": "multipart/form-data; boundary=b"},
            b"--b\r\nX: " + b"y" * 100_000,
            400,
        ),
        (
            "long field",
            {"Content-Type": "multipart/form-data; boundary=b"},
            b'--b\r\nContent-Disposition: form-data; name="f"\r\n\r\n' + b"y" * 10_000,
            413,
        ),
        (
            "no file",
            {"Content-Type": "multipart/form-data; boundary=b"},
            b'--b\r\nContent-Disposition: form-data; name="f"\r\n\r\ny\r\n--b--\r\n',
            400,
        ),
        (
            "many parts",
            {"Content-Type": "multipart/form-data; boundary=b"},
            b'--b\r\nContent-Disposition: form-data; name="f"\r\n\r\ny\r\n' * 100,
            413,
        ),
    ):
        answer = post(headers=headers, content=content)
        assert answer.status_code == status, name
        assert answer.headers["content-type"] == "application/problem+json"
    service = shared.app.state.service
    assert not list((service.settings.data / "spool" / "drafts").glob("*/*"))
    assert service.pipeline._reserved == [0, 0, 0]


def test_sizes_are_counted_and_not_believed(tmp_path: Path, tiny_model: Path) -> None:
    small = {"max_file_bytes": 50_000, "max_request_bytes": 90_000}
    with serving(settings(tmp_path / "data", tiny_model, **small)) as client:
        kind = {"Content-Type": "application/octet-stream"}
        huge = client.post(
            "/v1/predictions", content=b"x", headers=kind | {"Content-Length": "99999999999"}
        )
        assert (huge.status_code, huge.json()["code"]) == (413, "request-too-large")
        # Without a length, in chunks without end.

        def endless() -> Iterator[bytes]:
            for _ in range(1000):
                yield bytes(10_000)

        answer = client.post("/v1/predictions", content=endless(), headers=kind)
        assert answer.status_code == 413
        assert answer.json()["code"] in ("file-too-large", "request-too-large")
        large = client.post("/v1/predictions", content=bytes(60_000), headers=kind)
        assert (large.status_code, large.json()["code"]) == (413, "file-too-large")
        both = client.post("/v1/predictions", files=files(bytes(48_000), bytes(48_000)))
        assert (both.status_code, both.json()["code"]) == (413, "request-too-large")
        assert client.get("/v1/predictions").json()["total"] == 0


def test_names_of_clients_touch_nothing(tmp_path: Path, tiny_model: Path) -> None:
    with serving(settings(tmp_path / "data", tiny_model)) as client:
        before = {path for path in tmp_path.rglob("*") if path.is_dir()}
        for number, name in enumerate(("../../evil", "/etc/evil", "C:\\evil", "a\0b", "evil\n")):
            content = picture(0.5, seed=number)
            answer = client.post("/v1/predictions", files=[("files", (name, content))])
            assert answer.status_code == 201
        assert {path for path in tmp_path.rglob("*") if path.is_dir()} == before
        assert not any("evil" in path.name for path in tmp_path.rglob("*"))
    spool = Spool(tmp_path / "spool")
    for bad in ("../x", "", "a" * 31, "A" * 32, "0" * 32 + "\n"):
        with pytest.raises(ValueError, match="not a name"):
            spool.path(bad)
    assert (tmp_path / "spool").stat().st_mode & 0o077 == 0


def test_nothing_is_kept_where_nothing_is_to_be(tmp_path: Path, tiny_model: Path) -> None:
    given = settings(tmp_path / "data", tiny_model, store_nothing=True)
    with serving(given) as client:
        service = client.app.state.service
        first = client.post("/v1/predictions", files=files(picture(0.7), b"no image"))
        again = client.post("/v1/predictions", files=files(picture(0.7)))
        assert (first.status_code, again.status_code) == (201, 201)
        assert "location" not in again.headers
        assert service.store.spool.names() == set()
        with service.store.database.reading() as session:
            assert session.scalar(text("SELECT count(*) FROM predictions")) == 0
        for path in ("/v1/predictions", f"/v1/predictions/{'0' * 32}", "/v1/events"):
            assert client.get(path).json()["code"] == "store-nothing"
        assert client.post("/v1/jobs", files=files(picture(0.7))).status_code == 404
        assert not client.get("/v1/model").json()["stores_results"]
        passing = service.store.spool.folder.parent
        assert passing != tmp_path / "data"
    assert not passing.exists()
    left = [path for path in (tmp_path / "data").rglob("*") if path.is_file()]
    # The keys, and who came when.
    assert all(path.name.startswith(("nanoray.db", "lock", "audit.log")) for path in left)


def test_what_is_old_expires(tmp_path: Path, tiny_model: Path) -> None:
    given = settings(tmp_path / "data", tiny_model, keep_days=1.0)
    with serving(given) as client:
        service = client.app.state.service
        old, new = (
            client.post("/v1/predictions", files=files(picture(mean))).json()["results"][0]["id"]
            for mean in (0.3, 0.6)
        )
        with service.store.database.writing() as session:
            session.execute(
                text("UPDATE predictions SET created_at = '2020-01-01 00:00:00' WHERE id = :id"),
                {"id": old},
            )
        assert service.store.expire(1.0) == 1
        assert service.store.spool.names() == {new}
        assert client.get(f"/v1/predictions/{old}").status_code == 404


def test_the_log_tells_nothing_of_what_was_sent(
    shared: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "nanoray")
    secret = "ZZSECRET"
    headers = bearer(shared.valid)
    shared.post(f"/v1/predictions?x={secret}", files=[("files", (secret, b"x"))], headers=headers)
    shared.get(f"/v1/predictions/{secret}", headers=headers | {"User-Agent": secret})
    shared.get("/v1/predictions", params={"cursor": secret, "limit": secret}, headers=headers)
    shared.get(f"/{secret}")
    shared.request(secret, "/v1/model")
    assert caplog.records
    told = " ".join(json.dumps(record.__dict__, default=str) for record in caplog.records)
    assert secret not in told
    assert secret not in shared.get("/metrics", headers=headers).text
    answer = shared.get("/v1/predictions", params={"limit": secret}, headers=headers)
    assert answer.status_code == 422
    assert secret not in answer.text


def test_a_defect_tells_nothing(shared: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("ZZSECRET")

    monkeypatch.setattr(shared.app.state.service.store, "page", broken)
    answer = shared.get("/v1/predictions", headers=bearer(shared.valid))
    assert (answer.status_code, answer.json()["code"]) == (500, "internal")
    assert "ZZSECRET" not in answer.text


def ask(connection: http.client.HTTPConnection) -> None:
    connection.request("GET", "/healthz")
    connection.getresponse()


def test_https(tmp_path: Path, tiny_model: Path) -> None:
    certificate, key = write_certificate(tmp_path)
    options = ("--tls-cert", str(certificate), "--tls-key", str(key))
    with server(tmp_path / "data", tiny_model, *options) as running:
        assert running.url.startswith("https://")
        context = ssl.create_default_context(cafile=str(certificate))
        with httpx.Client(base_url=running.url, verify=context, timeout=PATIENCE) as client:
            answer = client.post("/v1/predictions", files=files(picture(0.6)))
            assert answer.status_code == 201
            assert "max-age" in answer.headers["strict-transport-security"]
        port = int(running.url.rpartition(":")[2])
        plain = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
        plain.connect()
        with pytest.raises((http.client.HTTPException, OSError)):
            ask(plain)
        plain.close()
        assert running.stop() is not None


def test_wrong_use_is_said(tmp_path: Path, tiny_model: Path) -> None:
    def serve(*options: str) -> Any:
        command = ["serve", "--data", str(tmp_path / "d"), "--model", str(tiny_model), *options]
        return CliRunner().invoke(app, command)

    for options, words in (
        (("--tls-cert", "x"), "require each other"),
        (("--dicom-tls",), "needs --tls-cert"),
        (("--operating-point", "balanced", "--threshold", "0.5"), "not both"),
        (("--operating-point", "nonsense"), "no operating point"),
        (("--send-to", "dicom://A@b:1"), "--dicom-port"),
        (("--dicom-port", "0"), "--allow-ae"),
        (("--database", "nonsense"), "malformed"),
    ):
        done = serve(*options)
        assert done.exit_code == 2, options
        assert words in " ".join(done.output.split()), done.output
