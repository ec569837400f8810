"""The spool and the database stay together: nothing accepted is lost by a start or a move."""

from __future__ import annotations

import os
from contextlib import closing
from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import create_engine, text

from nanoray.errors import NanoRayError
from nanoray.serving.service import Service
from nanoray.serving.storage import binding, database
from nanoray.serving.storage.database import Database, DatabaseUnavailableError
from nanoray.serving.storage.moving import move
from nanoray.serving.storage.spool import Spool
from serving_helpers import files, picture, server, serving, settings

MIGRATIONS = Path(database.__file__).parent / "migrations"


def accepted(folder: Path, model: Path, count: int = 3) -> list[str]:
    """Ids of predictions that a service made, and that it is gone again."""
    with serving(settings(folder, model)) as client:
        answer = client.post(
            "/v1/predictions", files=files(*(picture(0.6, seed=seed) for seed in range(count)))
        )
        return [result["id"] for result in answer.json()["results"]]


def listed(folder: Path) -> set[str]:
    return {path.name for path in (folder / "spool" / "files").iterdir()}


@pytest.mark.parametrize("remove_database", [False, True], ids=["other", "deleted"])
def test_another_database_is_refused_and_no_file_is_touched(
    tmp_path: Path, tiny_model: Path, remove_database: bool
) -> None:
    folder = tmp_path / "data"
    names = accepted(folder, tiny_model)
    changes = {"database": f"sqlite:///{tmp_path / 'other.db'}"}
    if remove_database:
        for path in folder.glob("nanoray.db*"):
            path.unlink()
        changes = {}
    service = Service(settings(folder, tiny_model, **changes))
    with pytest.raises(NanoRayError, match="not the database of this folder") as caught:
        service.start()
    service.stop()
    assert "nanoray store move" in str(caught.value)
    assert listed(folder) == set(names)


def test_a_command_names_the_mismatch(tmp_path: Path, tiny_model: Path) -> None:
    folder = tmp_path / "data"
    names = accepted(folder, tiny_model, 1)
    (folder / "nanoray.db").unlink()
    with pytest.raises(AssertionError, match="not the database of this folder"):
        server(folder, tiny_model).__enter__()
    assert listed(folder) == set(names)


def test_binding_by_force_sets_unknown_files_aside(tmp_path: Path, tiny_model: Path) -> None:
    folder = tmp_path / "data"
    names = accepted(folder, tiny_model)
    (folder / "nanoray.db").unlink()
    with closing(Database(f"sqlite:///{folder / 'nanoray.db'}")) as empty:
        empty.migrate()
        spool = Spool(folder / "spool")
        binding.bind(empty, spool, force=True)
        spool.close()
    with serving(settings(folder, tiny_model)) as client:
        assert "nanoray_lost_files 3.0" in client.get("/metrics").text
    lost = {path.name for path in (folder / "spool" / "lost").iterdir()}
    assert lost == set(names)


def test_a_restored_backup_is_taken(tmp_path: Path, tiny_model: Path) -> None:
    folder = tmp_path / "data"
    names = accepted(folder, tiny_model)
    # As the files were copied by a backup of an earlier version: without the store's identity.
    (folder / "spool" / "store.id").unlink()
    (folder / "nanoray.db").chmod(0o644)
    with serving(settings(folder, tiny_model)) as client:
        assert client.get("/v1/predictions").json()["total"] == 3
    assert listed(folder) == set(names)
    if os.name != "nt":
        assert (folder / "nanoray.db").stat().st_mode & 0o077 == 0


def test_a_second_service_on_the_folder_is_refused(tmp_path: Path, tiny_model: Path) -> None:
    folder = tmp_path / "data"
    with serving(settings(folder, tiny_model)) as client:
        with pytest.raises(NanoRayError, match="another NanoRay service uses this folder"):
            Service(settings(folder, tiny_model))
        with pytest.raises(AssertionError, match="another NanoRay service"):
            server(folder, tiny_model).__enter__()
        assert client.post("/v1/predictions", files=files(picture(0.6))).status_code == 201
    accepted(folder, tiny_model, 1)


@pytest.fixture
def version_1(tmp_path: Path) -> Path:
    """Provide a data folder as version 0.1 left it: queued, done and reported, and no identity."""
    folder = tmp_path / "old"
    stored = folder / "spool" / "files"
    stored.mkdir(parents=True)
    (folder / "spool" / "drafts").mkdir()
    (folder / "spool" / "drafts" / ("d" * 32)).write_bytes(b"half received")
    engine = create_engine(f"sqlite:///{folder / 'nanoray.db'}")
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0002")
        for number, state in enumerate(("queued", "queued", "done", "unreadable")):
            name = f"{number:032x}"
            (stored / name).write_bytes(picture(0.6, seed=number))
            connection.execute(
                text(
                    "INSERT INTO predictions (id, fingerprint, sha256, size, origin, priority, "
                    "status, rank, created_at, model, model_version, model_sha256, threshold, "
                    "flags, facts, probability, decision) VALUES (:name, :name, :name, 1, 'dicom', "
                    "1, :state, -3, '2026-01-02 03:04:05', 'tiny', '9.1', 'x', 0.5, '[]', '{}', "
                    "0.7, 'opacity suspected')"
                ),
                {"name": name, "state": state},
            )
        objects = f'["{"a" * 32}", "{"b" * 32}"]'
        for name in ("a" * 32, "b" * 32):
            (stored / name).write_bytes(b"DICM")
        connection.execute(
            text(
                "INSERT INTO reports (id, study_uid, status, created_at, due_at, attempts, objects)"
                " VALUES ('r', '1.2.3', 'reported', '2026-01-02', '2026-01-02', 0, :objects), "
                "('s', '1.2.4', 'collecting', '2026-01-02', '2099-01-02', 0, '[]')"
            ),
            {"objects": objects},
        )
        connection.execute(
            text(
                "INSERT INTO instances (id, sop_uid, prediction_id, report_id, received_at) VALUES "
                "('i', '1.2.3.1', :first, 'r', '2026-01-02'), "
                "('j', '1.2.4.1', :second, 's', '2026-01-02')"
            ),
            {"first": f"{2:032x}", "second": f"{0:032x}"},
        )
        connection.execute(
            text(
                "INSERT INTO deliveries (id, report_id, destination, status, attempts, next_at) "
                "VALUES ('v', 'r', 'dicom://PACS@h:1', 'pending', 3, '2026-01-02')"
            )
        )
    engine.dispose()
    return folder


def test_an_upgrade_loses_nothing(version_1: Path, tiny_model: Path) -> None:
    before = listed(version_1)
    with serving(settings(version_1, tiny_model)) as client:
        store = client.app.state.service.store
        with store.database.reading() as session:
            counts = {
                table: session.scalar(text(f"SELECT count(*) FROM {table}"))
                for table in ("predictions", "reports", "instances", "deliveries")
            }
        assert counts == {"predictions": 4, "reports": 2, "instances": 2, "deliveries": 1}
        assert client.app.state.service.pipeline.depth <= 2
    assert listed(version_1) == before
    assert not (version_1 / "spool" / "lost").exists()


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_a_move_loses_nothing(
    version_1: Path, tiny_model: Path, kind: str, request: pytest.FixtureRequest
) -> None:
    url = f"sqlite:///{version_1.parent / 'new.db'}"
    if kind == "postgresql":
        url = request.getfixturevalue("postgresql").create()
    before = listed(version_1)
    counts = move(version_1, url)
    assert (counts["predictions"], counts["deliveries"], counts["instances"]) == (4, 1, 2)
    assert (version_1 / "nanoray.db.moved").is_file()
    # A second time there is no SQLite store to move; and without the new database nothing starts.
    with pytest.raises(NanoRayError, match="no SQLite store to move"):
        move(version_1, url)
    service = Service(settings(version_1, tiny_model))
    with pytest.raises(NanoRayError, match="not the database"):
        service.start()
    service.stop()
    for path in version_1.glob("nanoray.db"):
        path.unlink()
    with serving(settings(version_1, tiny_model, database=url)) as client:
        items = client.get("/v1/predictions").json()["items"]
        assert len(items) == 4
        done = next(item for item in items if item["id"] == f"{2:032x}")
        assert (done["probability"], done["created_at"]) == (0.7, "2026-01-02T03:04:05Z")
    assert listed(version_1) == before


def test_a_move_to_a_database_in_use_is_refused(tmp_path: Path, tiny_model: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    accepted(first, tiny_model)
    accepted(second, tiny_model, 1)
    with pytest.raises(NanoRayError, match="not empty"):
        move(first, f"sqlite:///{second / 'nanoray.db'}")
    with pytest.raises(NanoRayError, match="the same as the source"):
        move(first, f"sqlite:///{first / 'nanoray.db'}")
    with serving(settings(first, tiny_model)) as client:
        assert client.get("/v1/predictions").json()["total"] == 3
        with pytest.raises(NanoRayError, match="another NanoRay service"):
            move(first, f"sqlite:///{tmp_path / 'third.db'}")


def test_a_database_that_is_down_is_named_and_waited_for(tmp_path: Path, tiny_model: Path) -> None:
    url = "postgresql://nanoray:secret@127.0.0.1:1/nanoray"
    service = Service(settings(tmp_path / "data", tiny_model, database=url, database_wait=0.0))
    with pytest.raises(DatabaseUnavailableError, match=r"127\.0\.0\.1:1/nanoray") as caught:
        service.start()
    service.stop()
    assert "secret" not in str(caught.value)


@pytest.mark.skipif(not Path("/dev/shm").is_dir(), reason="needs /dev/shm")
def test_what_a_killed_service_held_in_memory_is_removed(tmp_path: Path, tiny_model: Path) -> None:
    def held() -> set[Path]:
        return set(Path("/dev/shm").glob("nanoray-*"))

    before = held()
    with server(tmp_path / "data", tiny_model, "--store-nothing") as running:
        (left,) = held() - before
        running.kill()
    assert left.exists()
    with serving(settings(tmp_path / "data", tiny_model, store_nothing=True)):
        assert not left.exists()
        # The folder of a service that runs stays.
        assert len(held() - before) == 1
        with serving(settings(tmp_path / "more", tiny_model, store_nothing=True)):
            assert len(held() - before) == 2
    assert held() <= before
