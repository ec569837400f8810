"""What is kept for a number of days, and what is kept longer."""

from __future__ import annotations

from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest

pytest.importorskip("sqlalchemy", reason="needs the extra: pip install 'nanoray[serve]'")

from nanoray.serving.storage.database import Database
from nanoray.serving.storage.spool import Spool
from nanoray.serving.storage.store import Identity, Store
from nanoray.serving.storage.tables import DeliveryRow, ReportRow, new_id, now


def test_what_waits_for_a_destination_that_is_gone_expires(tmp_path: Path) -> None:
    with closing(Database(f"sqlite:///{tmp_path / 'a.db'}")) as database:
        database.migrate()
        spool = Spool(tmp_path / "spool")
        store = Store(database, spool, Identity("m", "1", "x" * 64, None, 0.5))
        names = {}
        with database.writing() as session:
            for number, (destination, status) in enumerate(
                (("here", "pending"), ("gone", "pending"), ("here", "cancelled"), ("here", "dead"))
            ):
                report, document = new_id(), new_id()
                spool.write(document, b"DICM")
                names[destination, status] = document
                session.add(
                    ReportRow(
                        id=report, study_uid=f"1.{number}", status="reported", due_at=now(),
                        created_at=now() - timedelta(days=9), objects=[document],
                    )
                )  # fmt: skip
                session.flush()
                session.add(DeliveryRow(report_id=report, destination=destination, status=status))
        store.expire(30.0, ("here",))
        assert spool.names() == set(names.values())
        store.expire(7.0, ("here",))
        assert spool.names() == {names["here", "pending"]}
