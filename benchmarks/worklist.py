"""Times of the worklist's queries with many studies, in SQLite or PostgreSQL.

python benchmarks/worklist.py --rows 200000
python benchmarks/worklist.py --rows 200000 --database postgresql://user@/empty
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from datetime import timedelta
from typing import Any

import numpy as np
from sqlalchemy import insert, text

from nanoray.serving.storage.database import Database
from nanoray.serving.storage.studies import Studies, StudyFilter
from nanoray.serving.storage.tables import StudyRow, new_id, now

REPEATS = 5
FIRST = ("Anna", "Ben", "Chidi", "Díaz", "Elif", "Fatima", "Georg", "Hiroshi")
LAST = ("Aalto", "Bianchi", "Cheng", "Eze", "Fischer", "Müller", "Novák", "Okafor", "Silva")


def fill(database: Database, rows: int) -> None:
    """Write invented studies."""
    random = np.random.default_rng(0)
    start = now() - timedelta(days=365)
    for begin in range(0, rows, 5000):
        values = []
        for number in range(begin, min(rows, begin + 5000)):
            probability = float(random.random())
            name = f"{LAST[number % 9]}, {FIRST[number % 8]}"
            values.append(
                {
                    "id": new_id(),
                    "key": f"{number:064}",
                    "identified": True,
                    "patient_name": name,
                    "patient_id": f"P{number:07}",
                    "accession": f"A{number:07}",
                    "search": f"{name} p{number:07} a{number:07}".casefold(),
                    "study_date": (start + timedelta(minutes=2.6 * number)).date().isoformat(),
                    "received_at": start + timedelta(minutes=2.6 * number),
                    "verdict": "opacity suspected" if probability > 0.7 else "no opacity suspected",
                    "probability": probability,
                    "rank": probability,
                    "images": 1,
                    "flags": ["child"] if number % 50 == 0 else [],
                    "views": ["PA" if number % 3 else "AP"],
                }
            )
        with database.writing() as session:
            session.execute(insert(StudyRow), values)


def _settle(database: Database, dropped: str | None) -> None:
    """Drop an index, and do the work that PostgreSQL does by itself some minutes later."""
    with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        if dropped is not None:
            connection.execute(text(f'DROP INDEX "{dropped}"'))
        if not database.is_sqlite:
            connection.execute(text("VACUUM ANALYZE studies"))


def main() -> None:
    """Fill a database and time queries."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--database", help="an empty database; SQLite in a folder by default")
    parser.add_argument("--drop", metavar="INDEX", help="an index to do without, for comparison")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        database = Database(given.database or f"sqlite:///{folder}/nanoray.db")
        database.migrate()
        fill(database, given.rows)
        _settle(database, given.drop)
        studies = Studies(database, keep_identity=True)
        middle = studies.page(
            StudyFilter(min_probability=0.5), sort="-probability", cursor=None, limit=200
        ).cursor
        day = (now() - timedelta(days=30)).date().isoformat()
        queries: dict[str, tuple[StudyFilter, dict[str, Any]]] = {
            "first page by probability": (StudyFilter(), {"sort": "-probability"}),
            "a later page": (StudyFilter(), {"sort": "-probability", "cursor": middle}),
            "latest": (StudyFilter(), {"sort": "-received_at"}),
            "unread and suspected": (
                StudyFilter(read=False, verdict="opacity suspected"),
                {"sort": "-received_at"},
            ),
            "an accession number": (
                StudyFilter(text="a0123456", by_identity=True),
                {"sort": "-received_at"},
            ),
            "a name": (StudyFilter(text="müller ben", by_identity=True), {"sort": "-study_date"}),
            "a flag in the last 30 days": (
                StudyFilter(flag="child", study_from=day),
                {"sort": "-study_date"},
            ),
        }
        print(f"{given.rows:,} studies, {database.url.get_backend_name()}, medians of {REPEATS}\n")
        # On a busy machine the time of the process is the one to compare. PostgreSQL's work is in
        # processes of its own, so there the elapsed time alone counts.
        print("| query | process, ms | elapsed, ms | found |\n| --- | --- | --- | --- |")
        for name, (wanted, options) in queries.items():
            elapsed, process = [], []
            for _ in range(REPEATS):
                started, used = time.perf_counter(), time.process_time()
                page = studies.page(wanted, **{"cursor": None, "limit": 100} | options)
                elapsed.append(1000 * (time.perf_counter() - started))
                process.append(1000 * (time.process_time() - used))
            print(
                f"| {name} | {statistics.median(process):.0f} | {statistics.median(elapsed):.0f} "
                f"| {page.total:,} |"
            )
        database.close()


if __name__ == "__main__":
    main()
