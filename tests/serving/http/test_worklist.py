"""The worklist's routes: studies, patients by role, reviews and labels."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import pydicom
import pytest
import sqlalchemy
from sqlalchemy import func, select, update
from typer.testing import CliRunner

from nanoray.commands.app import app
from nanoray.datasets.phantom import draw, write_dicom
from nanoray.serving.storage import keys
from nanoray.serving.storage.database import Database
from nanoray.serving.storage.studies import StudyFilter
from nanoray.serving.storage.tables import StudyRow
from serving_helpers import files, picture, serving, settings, wait_for
from tiny_model import tiny_card, tiny_views, write_tiny_model

UID = "1.2.826.0.1.3680043.8.498."


def radiograph(folder: Path, seed: int, **changes: Any) -> bytes:
    """Return a phantom as a radiograph of somebody."""
    path = folder / f"{seed}.dcm"
    write_dicom(draw(seed, size=200, opacity=True), path)
    data_set = pydicom.dcmread(path)
    values = {
        "StudyInstanceUID": UID + str(seed),
        "PatientName": "Doe^Jane",
        "PatientID": "P1",
        "AccessionNumber": "A1",
        "StudyDate": "20260102",
        "PatientAge": "050Y",
        "ViewPosition": "PA",
    }
    for keyword, value in (values | changes).items():
        setattr(data_set, keyword, value)
    data_set.save_as(path)
    return path.read_bytes()


def search(client: Any, **query: Any) -> Any:
    """Answer to a search."""
    answer = client.post("/v1/studies/search", json=query)
    assert answer.status_code == 200, answer.text
    return answer.json()


def indexed(client: Any, images: int) -> list[Any]:
    """Return the studies, once so many images are in them."""
    return wait_for(
        lambda: (
            (found := search(client)["items"])
            and sum(study["images"] for study in found) == images
            and found
        )
    )


def test_two_views_of_a_study_are_one_row(tmp_path: Path, tiny_model: Path) -> None:
    frontal = radiograph(tmp_path, 1, InstanceNumber="2")
    lateral = radiograph(
        tmp_path, 2, StudyInstanceUID=UID + "1", ViewPosition="LL", InstanceNumber="1"
    )
    other = radiograph(tmp_path, 3, StudyInstanceUID=UID + "1", PatientID="P2")
    with serving(settings(tmp_path / "data", tiny_model)) as client:
        client.post("/v1/predictions", files=files(frontal, lateral, other, picture(0.3)))
        found = indexed(client, 4)
        assert sorted(study["images"] for study in found) == [1, 1, 2]
        (study,) = [study for study in found if study["images"] == 2]
        assert sorted(study["views"]) == ["LL", "PA"]
        assert study["patient"]["name"] == "Doe, Jane"
        assert study["patient"]["study_date"] == "2026-01-02"
        detail = client.get(f"/v1/studies/{study['id']}").json()
        assert [image["lateral"] for image in detail["image_list"]] == [True, False]
        # The lateral has no part in the result.
        assert study["probability"] == detail["image_list"][1]["probability"]
        # The last image takes its study along.
        for image in detail["image_list"]:
            client.delete(f"/v1/predictions/{image['id']}")
        assert len(search(client)["items"]) == 2


def test_a_study_without_a_frontal_view_is_out_of_scope(tmp_path: Path, tiny_model: Path) -> None:
    with serving(settings(tmp_path / "data", tiny_model)) as client:
        lateral = radiograph(tmp_path, 1, ViewPosition="LL")
        client.post("/v1/predictions", files=files(lateral, b"nothing"))
        verdicts = [(study["verdict"], study["probability"]) for study in indexed(client, 2)]
        assert verdicts == [("out of scope", None), ("unreadable", None)]


def test_a_search_finds_what_it_names(tmp_path: Path, tiny_model: Path) -> None:
    images = [
        radiograph(tmp_path, 1, PatientName="Müller^Jörg", SpecificCharacterSet="ISO_IR 192"),
        radiograph(
            tmp_path, 2, PatientName="Roe^Richard", AccessionNumber="X%_9", ViewPosition="AP"
        ),
        radiograph(tmp_path, 3, StudyDate="20251231"),
    ]
    with serving(settings(tmp_path / "data", tiny_model)) as client:
        client.post("/v1/predictions", files=files(*images))
        indexed(client, 3)

        def names(**query: Any) -> set[str]:
            return {study["patient"]["name"] for study in search(client, **query)["items"]}

        assert names(text="jörg müller") == {"Müller, Jörg"}
        assert names(text="x%_9") == {"Roe, Richard"}
        assert names(text="%") == {"Roe, Richard"}
        assert names(view="AP") == {"Roe, Richard"}
        assert names(study_to="2025-12-31") == {"Doe, Jane"}
        assert names(study_from="2026-01-02") == {"Müller, Jörg", "Roe, Richard"}
        assert names(verdict="unreadable") == set()
        # Page by page, by each order.
        for sort in ("-probability", "-received_at", "-study_date"):
            pages, cursor = [], None
            while True:
                page = search(client, sort=sort, limit=1, cursor=cursor)
                pages += page["items"]
                cursor = page["next"]
                if cursor is None:
                    break
            assert len({study["id"] for study in pages}) == page["total"] == 3
        refused = client.post("/v1/studies/search", json={"cursor": "bm9uZQ"})
        assert refused.status_code == 422


@pytest.mark.parametrize(
    ("patients", "seen"),
    [
        ("nobody", {"read": False, "submit": False, "admin": False}),
        ("submit", {"read": False, "submit": True, "admin": True}),
        ("read", {"read": True, "submit": True, "admin": True}),
    ],
)
def test_patients_are_shown_by_role(
    tmp_path: Path, tiny_model: Path, patients: str, seen: dict[str, bool]
) -> None:
    given = settings(tmp_path / "data", tiny_model, no_auth=False, patients=patients)
    given.data.mkdir()
    database = Database(given.database_url)
    database.migrate()
    headers = {role: {"Authorization": f"Bearer {keys.add(database, role, role)}"} for role in seen}
    with serving(given) as client:
        image = radiograph(tmp_path, 1)
        client.post("/v1/predictions", files=files(image), headers=headers["submit"])
        client.headers = headers["read"]
        (study,) = indexed(client, 1)
        for role, shown in seen.items():
            client.headers = headers[role]
            (study,) = search(client)["items"]
            assert (study["patient"] is not None) is shown
            assert len(search(client, text="doe")["items"]) == int(shown)
            assert client.get("/v1/session").json()["shows_patients"] is shown
            for answer in (
                client.post("/v1/studies/export", json={}),
                client.get(f"/v1/studies/{study['id']}"),
            ):
                assert ("Jane" in answer.text) is shown
        client.headers = headers["read"]
        where = f"/v1/studies/{study['id']}"
        assert client.put(f"{where}/read", json={"read": True}).status_code == 403
        assert client.put(f"{where}/review", json={"finding": "opacity"}).status_code == 403
        client.headers = headers["submit"]
        assert client.put(f"{where}/read", json={"read": True}).status_code == 200
        assert client.delete(where).status_code == 403
        client.headers = headers["admin"]
        assert client.delete(where).status_code == 204
    stored = b"".join(path.read_bytes() for path in given.data.glob("nanoray.db*"))
    if patients == "nobody":
        assert b"Jane" not in stored
    database.close()


def test_identities_are_forgotten_when_the_setting_says_so(
    tmp_path: Path, tiny_model: Path
) -> None:
    given = settings(tmp_path / "data", tiny_model)
    with serving(given) as client:
        client.post("/v1/predictions", files=files(radiograph(tmp_path, 1)))
        indexed(client, 1)
    with serving(settings(tmp_path / "data", tiny_model, patients="nobody")) as client:
        assert search(client)["items"][0]["patient"] is None
        assert search(client, text="doe")["items"] == []
    with serving(given) as client:
        wait_for(lambda: search(client, text="doe")["items"])


def test_reviews_become_labels(tmp_path: Path, tiny_model: Path) -> None:
    data = tmp_path / "data"
    images = [
        radiograph(tmp_path, 1),
        radiograph(tmp_path, 2, StudyInstanceUID=UID + "1", ViewPosition="LL"),
        radiograph(tmp_path, 3),
        radiograph(tmp_path, 4, PatientID="P2"),
    ]
    with serving(settings(data, tiny_model)) as client:
        client.post("/v1/predictions", files=files(*images))
        studies = indexed(client, 4)
        for number, study in enumerate(studies):
            finding = "opacity" if number % 2 else "no opacity"
            answer = client.put(
                f"/v1/studies/{study['id']}/review", json={"finding": finding, "note": "=1+1"}
            )
            review = answer.json()["review"]
            suspected = study["verdict"] == "opacity suspected"
            assert review["agrees"] is ((finding == "opacity") == suspected)
            assert answer.json()["read_at"] is not None
        assert len(search(client, agrees=True)["items"]) + len(
            search(client, agrees=False)["items"]
        ) == len(studies)
        text = client.get("/v1/labels").text
        rows = list(csv.DictReader(io.StringIO(text)))
        # The lateral is no label; two studies are of one patient; a formula stays text.
        assert len(rows) == 3
        assert len({row["patient"] for row in rows}) == 2
        assert {row["note"] for row in rows} == {"'=1+1"}
        assert "Doe" not in text
        # A review is withdrawn by an empty one.
        where = f"/v1/studies/{studies[0]['id']}/review"
        assert client.put(where, json={}).json()["review"] is None
        assert len(client.get("/v1/labels").text.splitlines()) < 4
        client.put(where, json={"finding": "opacity"})
    table = tmp_path / "labels.csv"
    done = CliRunner().invoke(app, ["labels", "--data", str(data), "-o", str(table)])
    assert done.exit_code == 0, done.output
    rows = list(csv.DictReader(table.open(encoding="utf-8")))
    assert len(rows) == 3
    for row in rows:
        assert (tmp_path / row["file"]).read_bytes() in images
        assert row["target"] in "01"


def test_no_terminal_escape_stands_in_an_export(tmp_path: Path, tiny_model: Path) -> None:
    with serving(settings(tmp_path / "data", tiny_model)) as client:
        client.post("/v1/predictions", files=files(radiograph(tmp_path, 1, PatientID="P\x1b[2J")))
        indexed(client, 1)
        # Written by another program, or by an older version.
        with client.app.state.service.store.database.writing() as session:
            session.execute(update(StudyRow).values(note="\x1b]0;x\x07", accession="A\x9b\x00"))
        text = client.post("/v1/studies/export", json={}).text
    assert not [char for char in text if ord(char) < 32 and char not in "\r\n"]
    assert "\x9b" not in text
    assert "\\x1b]0;x\\x07" in text


def test_a_new_image_makes_a_study_unread(tmp_path: Path, tiny_model: Path) -> None:
    with serving(settings(tmp_path / "data", tiny_model)) as client:
        client.post("/v1/predictions", files=files(radiograph(tmp_path, 1)))
        (study,) = indexed(client, 1)
        client.put(f"/v1/studies/{study['id']}/read", json={"read": True})
        assert search(client, read=True)["total"] == 1
        late = radiograph(tmp_path, 2, StudyInstanceUID=UID + "1")
        client.post("/v1/predictions", files=files(late))
        indexed(client, 2)
        assert search(client, read=False)["total"] == 1


def test_the_viewer_is_linked(tmp_path: Path, tiny_model: Path) -> None:
    link = "https://pacs.example/view?study={study_uid}&accession={accession}"
    with serving(settings(tmp_path / "data", tiny_model, viewer_link=link)) as client:
        images = [
            radiograph(tmp_path, 1, AccessionNumber="A&1#/?"),
            radiograph(tmp_path, 2, AccessionNumber=""),
        ]
        client.post("/v1/predictions", files=files(*images))
        urls = [study["patient"]["viewer_url"] for study in indexed(client, 2)]
        assert (
            sorted(urls, key=str)
            == [
                None,
                f"https://pacs.example/view?study={UID}1&accession=A%261%23%2F%3F",
            ]
            or None in urls
        )
        assert f"https://pacs.example/view?study={UID}1&accession=A%261%23%2F%3F" in urls


def test_the_map_can_be_left_out(tmp_path: Path, tiny_model: Path) -> None:
    with serving(settings(tmp_path / "data", tiny_model, show_map=False)) as client:
        (result,) = client.post("/v1/predictions", files=files(picture(0.7))).json()["results"]
        assert result["probability"] is not None
        assert result["heatmap"] is None
        assert client.get(f"/v1/predictions/{result['id']}/heatmap.png").status_code == 409
        assert client.get("/v1/session").json()["shows_map"] is False


def test_maps_that_were_kept_are_removed_with_the_setting(tmp_path: Path, tiny_model: Path) -> None:
    with serving(settings(tmp_path / "data", tiny_model)) as client:
        (before,) = client.post("/v1/predictions", files=files(picture(0.7))).json()["results"]
        assert before["heatmap"]
        assert before["boxes"]
    with serving(settings(tmp_path / "data", tiny_model, show_map=False)) as client:
        after = client.get(f"/v1/predictions/{before['id']}").json()
        assert after == before | {"heatmap": None, "boxes": []}
        assert client.get(f"/v1/predictions/{before['id']}/heatmap.png").status_code == 409


def test_a_row_names_the_view_and_threshold_that_decide(tmp_path: Path) -> None:
    # An AP image needs more than a PA image: the lower probability is the suspected one.
    card = tiny_card(views=tiny_views(0.9, 0.1), novelty_limit=2.0)
    model = write_tiny_model(tmp_path / "views.onnx", card)
    ap = radiograph(tmp_path, 1, ViewPosition="AP", PhotometricInterpretation="MONOCHROME1")
    pa = radiograph(tmp_path, 2, StudyInstanceUID=UID + "1")
    lateral = radiograph(tmp_path, 3, ViewPosition="", SeriesDescription="Chest LAT")
    with serving(settings(tmp_path / "data", model)) as client:
        client.post("/v1/predictions", files=files(ap, pa, lateral))
        indexed(client, 3)
        (study,) = search(client, view="PA")["items"]
        images = client.get(f"/v1/studies/{study['id']}").json()["image_list"]
        by_view = {image["view"]: image for image in images}
        assert by_view["AP"]["decision"] == "no opacity suspected"
        assert by_view["PA"]["decision"] == "opacity suspected"
        assert by_view["PA"]["probability"] < by_view["AP"]["probability"]
        assert study["verdict"] == "opacity suspected"
        assert (study["view"], study["threshold"]) == ("PA", 0.1)
        assert study["probability"] == by_view["PA"]["probability"]
        (other,) = search(client, view="LATERAL")["items"]
        assert (other["view"], other["threshold"], other["views"]) == (None, None, ["LATERAL"])
        table = client.post("/v1/studies/export", json={"view": "PA"}).text
        (row,) = csv.DictReader(io.StringIO(table))
        assert (row["view"], row["threshold"]) == ("PA", "0.1")


def test_the_worklist_stays_quick_with_many_rows(tmp_path: Path, tiny_model: Path) -> None:
    """20,000 rows here; `benchmarks/worklist.py` measures 200,000."""
    import time

    from nanoray.serving.storage.studies import Studies
    from nanoray.serving.storage.tables import StudyRow, new_id, now

    database = Database(f"sqlite:///{tmp_path}/many.db")
    database.migrate()
    with database.writing() as session:
        session.add_all(
            StudyRow(
                id=new_id(),
                key=f"{number:064}",
                identified=True,
                search=f"doe, john {number}",
                received_at=now(),
                verdict="opacity suspected",
                probability=number / 20_000,
                rank=number / 20_000,
                images=1,
            )
            for number in range(20_000)
        )
    studies = Studies(database, keep_identity=True)
    started = time.perf_counter()
    page = studies.page(StudyFilter(), sort="-probability", cursor=None, limit=100)
    found = studies.page(
        StudyFilter(text="john 19999", by_identity=True), sort="-received_at", cursor=None, limit=9
    )
    assert time.perf_counter() - started < 5
    assert page.total == 20_000
    assert found.total == 1
    # Studies without a date are all alike; each comes once, in the order of the ids.
    names = [row.id for row in studies.every(StudyFilter(), sort="-study_date")]
    assert len(names) == 20_000
    assert names == sorted(set(names))
    unread = StudyFilter(read=False, verdict="opacity suspected")
    assert "USING COVERING INDEX ix_studies_verdict" in plan(database, unread)
    text = StudyFilter(text="john 19999", by_identity=True)
    assert "USING COVERING INDEX ix_studies_search" in plan(database, text)
    database.close()


def plan(database: Database, wanted: StudyFilter) -> str:
    """Return how SQLite counts the studies of a filter."""
    query = select(func.count()).select_from(StudyRow).where(*wanted.conditions())
    sql = query.compile(database.engine, compile_kwargs={"literal_binds": True})
    with database.reading() as session:
        steps = session.execute(sqlalchemy.text(f"EXPLAIN QUERY PLAN {sql}"))
        return "; ".join(str(step.detail) for step in steps)
