"""What is accepted is done once, whatever breaks meanwhile."""

from __future__ import annotations

import os
import signal
import threading
from concurrent.futures import Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert, inspect, text

from dicom_nodes import archive, send
from dicom_peers import radiograph
from nanoray.reading.worker import Reading, refused
from nanoray.serving.pipeline import BusyError
from nanoray.serving.storage.database import Database, DatabaseUnavailableError
from nanoray.serving.storage.spool import Draft, StorageFullError
from nanoray.serving.storage.store import Arrival
from nanoray.serving.storage.studies import Studies, StudyFilter
from nanoray.serving.storage.tables import Base, StudyRow
from serving_helpers import files, picture, server, serving, settings, wait_for


def contents(count: int) -> list[bytes]:
    return [picture(0.6, side=600, seed=seed) for seed in range(count)]


def all_done(client: Any, count: int) -> bool:
    return bool(client.get("/v1/predictions?status=done").json()["total"] == count)


def test_accepted_work_survives_the_servers_death(tmp_path: Path, tiny_model: Path) -> None:
    folder = tmp_path / "data"
    with server(folder, tiny_model, "--workers", "1") as first, first.client() as client:
        job = client.post("/v1/jobs", files=files(*contents(40)))
        assert job.status_code == 202
        first.kill()
    # What was being received is no more; what was accepted is.
    (folder / "spool" / "drafts" / ("0" * 32)).write_bytes(b"half")
    (folder / "spool" / "files" / ("0" * 32)).write_bytes(b"of no prediction")
    with server(folder, tiny_model, "--workers", "1") as second, second.client() as client:
        wait_for(lambda: all_done(client, 40))
        assert client.get(job.headers["location"]).json()["status"] == "done"
        assert client.get("/v1/predictions").json()["total"] == 40
        again = client.post("/v1/predictions", files=files(*contents(40)))
        assert again.status_code == 200
        assert second.stop() is not None
    assert not list((folder / "spool" / "drafts").iterdir())
    assert len(list((folder / "spool" / "files").iterdir())) == 40
    # A file that no row knows may be somebody's radiograph.
    assert (folder / "spool" / "lost" / ("0" * 32)).read_bytes() == b"of no prediction"


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs POSIX signals")
def test_a_reading_process_that_is_killed_costs_no_file(tmp_path: Path, tiny_model: Path) -> None:
    with serving(settings(tmp_path / "data", tiny_model, workers=2)) as client:
        client.post("/v1/predictions", files=files(picture(0.3)))
        job = client.post("/v1/jobs", files=files(*contents(40))).headers["location"]
        # Twice in all, which is less often than a file is given up after.
        for _ in range(2):
            pool = client.app.state.service.pipeline._pool
            workers = [worker.process.pid for worker in list(pool._all)]
            for pid in workers:
                os.kill(pid, signal.SIGKILL)
            done = client.get(job).json()["finished"]
            wait_for(lambda done=done: client.get(job).json()["finished"] > min(done, 39))
        wait_for(lambda: client.get(job).json()["status"] == "done")
        assert client.get(job).json()["unreadable"] == 0


def test_a_file_that_ends_its_process_is_given_up_and_may_be_sent_again(
    tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(settings(tmp_path / "data", tiny_model)) as client:
        pool = client.app.state.service.pipeline._pool
        run = pool.run
        attempts = 0

        def crash(job: Any) -> Reading:
            nonlocal attempts
            attempts += 1
            return Reading(job.source, error=refused(job.source, "crash"))

        monkeypatch.setattr(pool, "run", crash)
        given_up = client.post("/v1/predictions", files=files(picture(0.6)))
        assert (given_up.status_code, given_up.json()["code"]) == (422, "crash")
        assert attempts == 3
        monkeypatch.setattr(pool, "run", run)
        again = client.post("/v1/predictions", files=files(picture(0.6)))
        assert again.status_code == 201
        assert again.json()["results"][0]["id"] == given_up.json()["results"][0]["id"]
        assert again.json()["results"][0]["status"] == "done"
        assert again.json()["results"][0]["error"] is None


def test_stopping_finishes_what_was_accepted(tmp_path: Path, tiny_model: Path) -> None:
    folder = tmp_path / "data"
    with server(folder, tiny_model, "--workers", "1", "--drain", "600") as running:
        with running.client() as client:
            assert client.post("/v1/jobs", files=files(*contents(20))).status_code == 202
        assert running.stop() in (0, -signal.SIGTERM, 128 + signal.SIGTERM)
        assert '"waiting": 0' in running.log.read_text().splitlines()[-1]
    database = Database(f"sqlite:///{folder / 'nanoray.db'}")
    with database.reading() as session:
        rows = session.execute(text("SELECT status, count(*) FROM predictions GROUP BY status"))
        assert [tuple(row) for row in rows] == [("done", 20)]
    database.close()


def test_too_much_is_refused_and_nothing_grows(tmp_path: Path, tiny_model: Path) -> None:
    given = settings(tmp_path / "data", tiny_model, queue_limit=3)
    with serving(given) as client:
        service = client.app.state.service
        with pytest.raises(BusyError):
            service.pipeline.reserve(4, 0)
        # More than may ever wait: to come again later would not help.
        four = client.post("/v1/predictions", files=files(*contents(4)))
        assert (four.status_code, four.json()["code"]) == (413, "too-many-files")
        service.pipeline.reserve(1, 0)
        three = client.post("/v1/predictions", files=files(*contents(3)))
        assert (three.status_code, three.json()["code"]) == (503, "busy")
        assert int(three.headers["retry-after"]) >= 1
        service.pipeline.release(1, 0)
        assert client.get("/v1/predictions").json()["total"] == 0
        assert client.post("/v1/predictions", files=files(*contents(3))).status_code == 201
        # A job is not in the way of those who wait.
        assert client.post("/v1/jobs", files=files(*contents(9))).status_code == 202
        assert service.pipeline._reserved == [0, 0, 0]
        assert not service.pipeline._watchers


def test_an_answer_that_takes_too_long_comes_later(tmp_path: Path, tiny_model: Path) -> None:
    given = settings(tmp_path / "data", tiny_model, answer_timeout=0.05)
    with serving(given) as client:
        pipeline = client.app.state.service.pipeline
        gate = threading.Event()
        judge = pipeline.detector.judge

        def slow(readings: Any) -> Any:
            gate.wait()
            return judge(readings)

        pipeline.detector.judge = slow
        answer = client.post("/v1/predictions", files=files(picture(0.6)))
        assert answer.status_code == 202
        (result,) = answer.json()["results"]
        assert result["status"] == "queued"
        gate.set()
        where = answer.headers["location"]
        wait_for(lambda: client.get(where).json()["status"] == "done")


def test_what_arrives_together_is_accepted_together(tmp_path: Path, tiny_model: Path) -> None:
    with serving(settings(tmp_path / "data", tiny_model)) as client:
        store = client.app.state.service.store
        transactions = 0
        accept_all = store._accept_all

        def counted(group: Any) -> None:
            nonlocal transactions
            transactions += 1
            accept_all(group)

        def refuse(*_: Any) -> None:
            raise ValueError("of one of them")

        def arrival(seed: int, **more: Any) -> Arrival:
            draft = store.spool.draft()
            draft.write(picture(0.6, seed=seed))
            draft.finish()
            return Arrival([draft], "http", 2, **more)

        def together(*arrivals: Arrival) -> list[Future[Any]]:
            # Those who wait for their turn, until all do.
            with store._turn, ThreadPoolExecutor(len(arrivals)) as threads:
                taken = [threads.submit(store.accept, one) for one in arrivals]
                wait_for(lambda: len(store._arrivals) == len(arrivals))
                store._turn.release()
                wait(taken)
                store._turn.acquire()
            return taken

        store._accept_all = counted
        taken = together(*(arrival(seed) for seed in (1, 2, 3, 3)))
        ids = [one.result()[0][0] for one in taken]
        assert transactions == 1
        assert sum(new for _, new in ids) == 3
        assert ids[2][0] == ids[3][0]
        # What is wrong with one of them is not the others' affair.
        taken = together(arrival(4), arrival(5, also=refuse), arrival(6))
        assert [one.exception() is None for one in taken] == [True, False, True]
        assert client.get("/v1/predictions").json()["total"] == 5
        assert len(store.spool.names()) == 5


def test_a_full_disk_is_said_and_leaves_nothing(
    tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(settings(tmp_path / "data", tiny_model)) as client:
        spool = client.app.state.service.store.spool
        monkeypatch.setattr(spool, "_min_free_bytes", 1 << 62)
        full = client.post("/v1/predictions", files=files(picture(0.6)))
        assert (full.status_code, full.json()["code"]) == (507, "storage-full")
        assert "retry-after" in full.headers
        assert client.get("/readyz").json()["checks"]["storage"] == "failing"
        monkeypatch.setattr(spool, "_min_free_bytes", 0)

        def no_space(self: Draft) -> None:
            raise StorageFullError

        with monkeypatch.context() as patch:
            patch.setattr(Draft, "finish", no_space)
            full = client.post("/v1/predictions", files=files(picture(0.6)))
            assert full.status_code == 507
        assert not list((tmp_path / "data" / "spool" / "drafts").glob("*/*"))
        assert client.post("/v1/predictions", files=files(picture(0.6))).status_code == 201


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_disk_that_fills_up_while_writing(tmp_path: Path) -> None:
    draft = Draft(tmp_path / "draft")
    draft._file = Path("/dev/full").open("wb")  # noqa: SIM115
    draft.write(b"less than is buffered")
    with pytest.raises(StorageFullError):
        draft.finish()
    draft.discard()
    assert not (tmp_path / "draft").exists()


def test_the_database_goes_and_comes_back(
    tmp_path: Path, tiny_model: Path, postgresql: Any
) -> None:
    url = postgresql.create()
    given = settings(tmp_path / "data", tiny_model, database=url, workers=1)
    with serving(given) as client:
        service = client.app.state.service
        assert client.post("/v1/predictions", files=files(picture(0.3))).status_code == 201
        gate = threading.Event()
        judge = service.detector.judge

        def held(readings: Any) -> Any:
            gate.wait()
            return judge(readings)

        service.detector.judge = held
        job = client.post("/v1/jobs", files=files(*contents(10)))
        assert job.status_code == 202
        postgresql.stop()
        try:
            gate.set()
            refused = client.post("/v1/predictions", files=files(picture(0.9)))
            assert (refused.status_code, refused.json()["code"]) == (503, "database")
            assert "retry-after" in refused.headers
            assert client.get("/readyz").json()["checks"]["database"] == "failing"
            with pytest.raises(DatabaseUnavailableError):
                service.store.database.check()
            wait_for(lambda: b"nanoray_database_failures_total 0.0" not in service.metrics.text())
        finally:
            postgresql.start()
        wait_for(lambda: client.get("/readyz").status_code == 200)
        where = job.headers["location"]
        wait_for(lambda: client.get(where).json()["status"] == "done")
        assert client.get("/v1/predictions").json()["total"] == 11
        assert len(service.store.spool.names()) == 11


def test_studies_survive_the_servers_death_and_are_reported_once(
    tmp_path: Path, tiny_model: Path
) -> None:
    images = [radiograph(tmp_path / f"{seed}.dcm", seed) for seed in range(3)]
    with archive() as kept:
        kept.status = 0xA700
        options = ("--workers", "1", "--threshold", "0.1", "--study-wait", "0")
        options += ("--dicom-port", "0", "--allow-ae", "MODALITY", "--delivery-pause", "0.05")
        options += ("--send-to", kept.destination.name, "--delivery-attempts", "100000")
        with server(tmp_path / "data", tiny_model, *options) as first:
            port = int(first.word("DICOM node NANORAY on port "))
            assert send(port, *images) == [0, 0, 0]
            wait_for(lambda: kept.requests)
            first.kill()
        kept.status = 0x0000
        with server(tmp_path / "data", tiny_model, *options) as second:
            port = int(second.word("DICOM node NANORAY on port "))
            # The modality is not sure either, and sends again.
            assert send(port, *images) == [0, 0, 0]
            with second.client() as client:
                wait_for(
                    lambda: (
                        len(client.get("/v1/dicom/deliveries?status=delivered").json()["items"])
                        == 3
                    )
                )
                assert len(client.get("/v1/dicom/deliveries").json()["items"]) == 3
            second.kill()
    # A report and a heat map of each study, and each object once.
    assert len({item.SOPInstanceUID for item in kept.stored}) == 6
    assert len({item.StudyInstanceUID for item in kept.stored}) == 3


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_migrations_make_the_tables(
    tmp_path: Path, kind: str, request: pytest.FixtureRequest
) -> None:
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    url = f"sqlite:///{tmp_path / 'a.db'}"
    if kind == "postgresql":
        url = request.getfixturevalue("postgresql").create()
    database = Database(url)
    threads = [threading.Thread(target=database.migrate) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with database.engine.connect() as connection:
        # Alembic compares every index with every database; some are made on one dialect only.
        options = {"include_object": lambda item, *_: item.info.get("dialect", kind) == kind}
        context = MigrationContext.configure(connection, opts=options)
        assert not compare_metadata(context, Base.metadata)
        assert "predictions" in inspect(connection).get_table_names()
    database.close()


def test_text_search_in_postgresql_reads_an_index(postgresql: Any) -> None:
    database = Database(postgresql.create())
    database.migrate()
    with database.writing() as session:
        session.execute(
            insert(StudyRow),
            [
                {"key": f"{number:064}", "identified": True, "search": f"a, b p{number:07}"}
                for number in range(3000)
            ],
        )
    studies = Studies(database, keep_identity=True)
    wanted = StudyFilter(text="p0001234", by_identity=True)
    assert len(studies.page(wanted, sort="-received_at", cursor=None, limit=10).rows) == 1
    with database.writing() as session:
        # Reading 3,000 rows would be cheaper; 200,000 are not.
        session.execute(text("SET LOCAL enable_seqscan = off"))
        plan = session.scalars(
            text("EXPLAIN SELECT id FROM studies WHERE search LIKE '%p0001234%' ESCAPE '/'")
        ).all()
    assert any("ix_studies_trigrams" in line for line in plan), plan
    database.close()


def test_postgresql_without_trigrams_searches_all_rows(postgresql: Any) -> None:
    import psycopg

    url = postgresql.create()
    base, _, place = url.removeprefix("postgresql://nanoray@/").partition("?host=")
    with psycopg.connect(host=place, user="nanoray", dbname=base, autocommit=True) as connection:
        # May make tables, but no extensions.
        role = f"r{base}"
        connection.execute(f'CREATE ROLE "{role}" LOGIN'.encode())
        connection.execute(f'GRANT ALL ON SCHEMA public TO "{role}"'.encode())
    database = Database(url.replace("nanoray@", f"{role}@"))
    database.migrate()
    with database.engine.connect() as connection:
        indices = {index["name"] for index in inspect(connection).get_indexes("studies")}
    assert "ix_studies_rank" in indices
    assert "ix_studies_trigrams" not in indices
    wanted = StudyFilter(text="nobody", by_identity=True)
    studies = Studies(database, keep_identity=True)
    assert not studies.page(wanted, sort="-received_at", cursor=None, limit=10).rows
    database.close()
