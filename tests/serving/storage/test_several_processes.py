"""Two services on one PostgreSQL database and one folder: work is shared, and none done twice."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, text

from dicom_nodes import archive, send
from dicom_peers import radiograph
from nanoray.serving.storage import claims
from nanoray.serving.storage.claims import Claims
from nanoray.serving.storage.database import Database
from nanoray.serving.storage.tables import PredictionRow
from serving_helpers import files, picture, server, wait_for

COUNT = 40


def judged_by(database: Database) -> dict[str | None, int]:
    query = "SELECT claimed_by, count(*) FROM predictions WHERE status = 'done' GROUP BY claimed_by"
    with database.reading() as session:
        return {row[0]: row[1] for row in session.execute(text(query))}


@pytest.mark.slow
def test_two_services_share_the_work_and_outlive_each_other(
    tmp_path: Path, tiny_model: Path, postgresql: Any
) -> None:
    url = postgresql.create()
    folder = tmp_path / "data"
    images = [radiograph(tmp_path / f"{seed}.dcm", seed) for seed in range(4)]
    with archive() as kept, closing(Database(url)) as database:
        options = ["--database", url, "--workers", "1", "--threshold", "0.1", "--study-wait", "0"]
        options += ["--dicom-port", "0", "--allow-ae", "MODALITY"]
        options += ["--send-to", kept.destination.name]
        with (
            server(folder, tiny_model, *options) as one,
            server(folder, tiny_model, *options) as two,
            one.client() as first,
            two.client() as second,
        ):
            ports = [int(each.word("DICOM node NANORAY on port ")) for each in (one, two)]
            job = first.post(
                "/v1/jobs",
                files=files(*(picture(0.6, side=900, seed=seed) for seed in range(COUNT))),
            )
            # The same study over both at once, and the same file to both at once.
            with ThreadPoolExecutor(4) as pool:
                sent = [pool.submit(send, port, *images) for port in ports]
                same = [
                    pool.submit(client.post, "/v1/predictions", files=files(picture(0.3)))
                    for client in (first, second)
                ]
                assert [one_sent.result() for one_sent in sent] == [[0] * 4] * 2
                answers = [answer.result() for answer in same]
            assert len({a.json()["results"][0]["id"] for a in answers}) == 1
            assert {a.json()["results"][0]["status"] for a in answers} == {"done"}
            where = job.headers["location"]
            wait_for(lambda: second.get(where).json()["status"] == "done")
            # The images of the DICOM node may be judged after those of the job.
            wait_for(lambda: sum(judged_by(database).values()) >= COUNT + 5)
            shares = judged_by(database)
            assert len(shares) == 2, shares
            assert sum(shares.values()) == COUNT + 5
            wait_for(
                lambda: len(second.get("/v1/dicom/deliveries?status=delivered").json()["items"])
                == len(second.get("/v1/dicom/reports").json()["items"])
            )  # fmt: skip
            # What one of them has claimed is done by the other after its death.
            job = first.post(
                "/v1/jobs",
                files=files(*(picture(0.7, side=900, seed=seed) for seed in range(COUNT))),
            )
            one.kill()
            wait_for(lambda: second.get(job.headers["location"]).json()["status"] == "done")
            assert second.get("/v1/predictions").json()["total"] == 2 * COUNT + 5
    # Each object was sent once.
    sent_uids = [item.SOPInstanceUID for item in kept.stored]
    assert len(sent_uids) == len(set(sent_uids))
    assert {item.StudyInstanceUID for item in kept.stored} == {
        image.StudyInstanceUID for image in images
    }


def test_claims_are_exclusive_and_those_of_the_dead_are_free(
    postgresql: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(claims, "SILENT_SECONDS", 1.0)
    with closing(Database(postgresql.create())) as database:
        database.migrate()
        with database.writing() as session:
            session.add_all(
                PredictionRow(
                    id=f"{number:032x}", fingerprint=str(number), sha256="x", size=1, origin="http",
                    priority=number % 2 + 1, model="m", model_version="1", model_sha256="x",
                    threshold=0.5,
                )
                for number in range(20)
            )  # fmt: skip
        mine, other = Claims(database, "a" * 32), Claims(database, "b" * 32)
        mine.join()
        other.join()
        with ThreadPoolExecutor(8) as pool:
            taken = list(pool.map(lambda n: (mine, other)[n % 2].take_predictions(3), range(8)))
        names = [name for part in taken for _, name in part]
        assert len(names) == len(set(names))
        rest = mine.take_predictions(100)
        assert len(names) + len(rest) == 20
        assert not other.take_predictions(100)
        # `mine` falls silent.
        time.sleep(1.2)
        assert other.beat() == 1
        freed = len(other.take_predictions(100))
        with database.reading() as session:
            owners = set(session.scalars(select(PredictionRow.claimed_by)))
        assert freed > 0
        assert owners == {"b" * 32}
        other.leave()
        assert len(mine.take_predictions(100)) == 20
