"""Screening over HTTP."""

from __future__ import annotations

import io
import json
import math
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from PIL import Image

from nanoray import NOTICE, load
from nanoray.datasets.phantom import draw, write_dicom
from nanoray.detecting.views import Calibration
from nanoray.reading.refusals import REASONS
from nanoray.reporting.outputs import record
from nanoray.serving.storage.database import DatabaseUnavailableError
from nanoray.serving.storage.tables import DONE, Base
from serving_helpers import files, picture, serving, settings, wait_for
from tiny_model import tiny_card, tiny_views, write_tiny_model


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def shared(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, tiny_model: Path
) -> Iterator[Any]:
    """Provide a service, once with each database."""
    url = None
    if request.param == "postgresql":
        url = request.getfixturevalue("postgresql").create()
    folder = tmp_path_factory.mktemp(request.param)
    given = settings(folder, tiny_model, database=url, workers=2, batch_size=4, batch_wait=0.2)
    with serving(given) as client:
        yield client


@pytest.fixture
def client(shared: Any) -> Any:
    """Provide the service, empty."""
    store = shared.app.state.service.store
    for attempt in range(10):
        try:
            with store.database.writing() as session:
                for table in reversed(Base.metadata.sorted_tables):
                    session.execute(table.delete())
            break
        except DatabaseUnavailableError:
            # PostgreSQL ends one of two that wait for each other: this, and the indexer.
            if attempt == 9:
                raise
            time.sleep(0.2)
    for name in store.spool.names():
        store.spool.remove(name)
    return shared


def test_a_file_is_screened_as_the_library_does(
    client: Any, tmp_path: Path, tiny_model: Path
) -> None:
    path = tmp_path / "phantom.dcm"
    write_dicom(draw(3, size=300, opacity=True), path)
    expected = load(tiny_model).predict(path)
    answer = client.post("/v1/predictions", files=files(path.read_bytes()))
    assert answer.status_code == 201
    (result,) = answer.json()["results"]
    assert answer.headers["location"] == f"/v1/predictions/{result['id']}"
    assert result["status"] == "done"
    assert result["probability"] == pytest.approx(expected.probability, abs=1e-6)
    assert result["decision"] == expected.decision
    assert result["threshold"] == expected.threshold
    assert result["operating_point"] == "balanced"
    assert result["model_version"] == "9.1"
    assert result["notice"] == NOTICE
    assert result["facts"]["view"] in ("AP", "PA")
    assert np.allclose(result["heatmap"]["values"], expected.heatmap, atol=1e-4)
    assert client.get(f"/v1/predictions/{result['id']}").json() == result


@pytest.mark.parametrize("position", ["AP", "PA", "LL"])
def test_an_answer_tells_what_predict_tells(tmp_path: Path, position: str) -> None:
    card = tiny_card(views=tiny_views(0.3, 0.2), novelty_limit=2.0)
    model = write_tiny_model(tmp_path / "views.onnx", card)
    path = tmp_path / "radiograph.dcm"
    write_dicom(draw(3, size=300, opacity=True), path)
    header = pydicom.dcmread(path)
    header.ViewPosition = position
    header.save_as(path)
    expected = record(load(model).predict(path))
    assert expected["threshold"] == {"AP": 0.3, "PA": 0.2, "LL": 0.5}[position]
    assert bool(expected["boxes"]) == (expected["decision"] == "opacity suspected")
    with serving(settings(tmp_path / "data", model)) as client:
        answer = client.post("/v1/predictions", files=files(path.read_bytes()))
        (result,) = answer.json()["results"]
        names = expected.keys() & result.keys() - {"read_milliseconds", "infer_milliseconds"}
        assert names >= {"view", "view_source", "threshold", "guarantee", "clear_below", "boxes"}
        assert {name: result[name] for name in names} == {name: expected[name] for name in names}


@pytest.mark.parametrize(
    ("kind", "save"),
    [
        ("image/webp", {"format": "WEBP", "lossless": True}),
        ("image/avif", {"format": "AVIF"}),
        ("image/jp2", {"format": "JPEG2000"}),
        # The contents decide; the extra for HEIF is not needed to accept the type.
        ("image/heic", {"format": "PNG"}),
        ("image/heif", {"format": "PNG"}),
        ("image/tiff; charset=binary", {"format": "TIFF"}),
    ],
)
def test_every_kind_of_picture_is_taken_as_a_body(
    client: Any, kind: str, save: dict[str, Any]
) -> None:
    data = io.BytesIO()
    Image.open(io.BytesIO(picture(0.7))).convert("L").save(data, **save)
    answer = client.post("/v1/predictions", content=data.getvalue(), headers={"Content-Type": kind})
    assert answer.status_code in (200, 201), answer.text
    assert answer.json()["results"][0]["decision"]


def test_raw_bodies_and_multipart_are_the_same_file(client: Any) -> None:
    first = client.post(
        "/v1/predictions", content=picture(0.7), headers={"Content-Type": "image/png"}
    )
    again = client.post("/v1/predictions", files=files(picture(0.7)))
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json() == again.json()
    assert client.get("/v1/predictions").json()["total"] == 1


def test_many_files_keep_their_order_and_bad_ones_say_why(client: Any) -> None:
    answer = client.post(
        "/v1/predictions", files=files(picture(0.9), b"no image", picture(0.1), picture(0.9))
    )
    assert answer.status_code == 201
    results = answer.json()["results"]
    assert [result["status"] for result in results] == ["done", "unreadable", "done", "done"]
    assert results[1]["error"] == {
        "code": "not-an-image",
        "detail": REASONS["not-an-image"],
    }
    assert results[0] == results[3]
    assert results[0]["probability"] > results[2]["probability"]


def test_a_bad_file_alone_is_a_problem(client: Any) -> None:
    answer = client.post("/v1/predictions", files=files(picture(0.5)[:200]))
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["code"] == "raster-truncated"
    assert problem["type"] == "urn:nanoray:problem:raster-truncated"
    assert problem["status"] == 422
    assert problem["results"][0]["status"] == "unreadable"
    assert client.post("/v1/predictions", files=files(b"%PDF-1.7")).status_code == 415


def test_the_worklist_is_sorted_paged_and_filtered(client: Any) -> None:
    means = [0.2, 0.8, 0.5, 0.9, 0.35, 0.65]
    for mean in means:
        client.post("/v1/predictions", files=files(picture(mean)))
    dim = io.BytesIO()
    Image.fromarray(np.full((300, 300), 60, np.uint8)).save(dim, "PNG")
    client.post("/v1/predictions", files=files(dim.getvalue()))
    client.post("/v1/predictions", files=files(b"no image"))

    seen: list[dict[str, Any]] = []
    cursor = None
    while True:
        query = {"limit": 3} | ({"cursor": cursor} if cursor else {})
        page = client.get("/v1/predictions", params=query).json()
        assert page["total"] == 8
        seen += page["items"]
        cursor = page["next"]
        if cursor is None:
            break
    assert len({item["id"] for item in seen}) == 8
    ranked = [item["probability"] for item in seen[:6]]
    assert ranked == sorted(ranked, reverse=True)
    assert [item["decision"] for item in seen[6:]] == ["abstained", None]

    def total(**query: Any) -> int:
        return client.get("/v1/predictions", params=query).json()["total"]

    assert total(decision="opacity suspected") == 4
    assert total(decision="abstained") == 1
    assert total(status="unreadable") == 1
    assert total(min_probability=0.9) == sum(item["probability"] >= 0.9 for item in seen[:6])
    assert total(flag="low-contrast") == 1
    assert total(flag="low") == 0
    assert total(origin="dicom") == 0
    newest = client.get("/v1/predictions", params={"sort": "-created_at", "limit": 2}).json()
    assert newest["items"][0]["status"] == "unreadable"
    follow = client.get(
        "/v1/predictions", params={"sort": "-created_at", "limit": 9, "cursor": newest["next"]}
    ).json()
    assert len(follow["items"]) == 6
    assert total(created_before=newest["items"][1]["created_at"]) == 6
    assert client.get("/v1/predictions", params={"cursor": newest["next"]}).status_code == 422
    assert client.get("/v1/predictions", params={"limit": 0}).status_code == 422


def test_pictures(client: Any, tmp_path: Path) -> None:
    path = tmp_path / "phantom.dcm"
    write_dicom(draw(4, size=400), path)
    (result,) = client.post("/v1/predictions", files=files(path.read_bytes())).json()["results"]
    where = f"/v1/predictions/{result['id']}"
    rows, columns = result["facts"]["rows"], result["facts"]["columns"]
    overlay = client.get(f"{where}/heatmap.png")
    assert overlay.headers["content-type"] == "image/png"
    image = Image.open(io.BytesIO(overlay.content))
    assert (image.size, image.mode) == ((columns, rows), "RGB")
    assert image.text["Comment"] == NOTICE
    layer = client.get(f"{where}/heatmap.png", params={"style": "layer"})
    assert Image.open(io.BytesIO(layer.content)).mode == "RGBA"
    for encoding in ("deflate, gzip", "identity", "deflate;q=0"):
        answer = client.get(f"{where}/pixels", headers={"Accept-Encoding": encoding})
        compressed = answer.headers.get("content-encoding") == "deflate"
        assert compressed == (encoding == "deflate, gzip")
        assert (answer.headers["x-rows"], answer.headers["x-columns"]) == (str(rows), str(columns))
        values = np.frombuffer(answer.content, "<u2").reshape(rows, columns)
        assert values.max() > 60_000
    dim = io.BytesIO()
    Image.fromarray(np.full((300, 300), 60, np.uint8)).save(dim, "PNG")
    (other,) = client.post("/v1/predictions", files=files(dim.getvalue())).json()["results"]
    assert other["decision"] == "abstained"
    assert client.get(f"/v1/predictions/{other['id']}/heatmap.png").status_code == 409


def test_deleting_leaves_nothing(client: Any) -> None:
    (result,) = client.post("/v1/predictions", files=files(picture(0.6))).json()["results"]
    service = client.app.state.service
    assert service.store.spool.names() == {result["id"]}
    where = f"/v1/predictions/{result['id']}"
    assert client.delete(where).status_code == 204
    assert client.get(where).status_code == 404
    assert client.delete(where).status_code == 404
    assert service.store.spool.names() == set()
    # Sent again it is new.
    assert client.post("/v1/predictions", files=files(picture(0.6))).status_code == 201


def test_jobs(client: Any) -> None:
    contents = [picture(0.5, seed=seed) for seed in range(12)] + [b"no image", picture(0.5, seed=0)]
    begun = client.post("/v1/jobs", files=files(*contents))
    assert begun.status_code == 202
    where = begun.headers["location"]
    assert begun.json()["total"] == 14
    wait_for(lambda: client.get(where).json()["status"] == "done")
    job = client.get(where).json()
    assert (job["total"], job["finished"], job["unreadable"]) == (14, 14, 1)
    assert [item["status"] for item in job["items"]].index("unreadable") == 12
    assert job["items"][0] == job["items"][13]
    assert client.get("/v1/jobs/" + "0" * 32).status_code == 404


def test_the_model_and_health(client: Any, tiny_model: Path) -> None:
    model = client.get("/v1/model").json()
    assert model["card"]["name"] == "tiny"
    assert model["threshold"] == 0.5
    assert client.get("/healthz").json()["status"] == "ok"
    assert client.get("/readyz").json()["checks"] == {
        "database": "ok",
        "screening": "ok",
        "storage": "ok",
    }
    client.post("/v1/predictions", files=files(picture(0.9), b"nothing"))
    text = client.get("/metrics").text
    assert 'nanoray_screened_total{decision="opacity suspected"}' in text
    assert 'nanoray_refused_total{code="not-an-image"}' in text
    assert 'route="/v1/predictions",status="201"' in text


def test_results_of_another_threshold_are_others(tmp_path: Path, tiny_model: Path) -> None:
    with serving(settings(tmp_path / "data", tiny_model)) as client:
        (first,) = client.post("/v1/predictions", files=files(picture(0.55))).json()["results"]
    with serving(settings(tmp_path / "data", tiny_model, threshold=0.99)) as client:
        answer = client.post("/v1/predictions", files=files(picture(0.55)))
        assert answer.status_code == 201
        (second,) = answer.json()["results"]
        assert client.get("/v1/predictions").json()["total"] == 2
    assert first["probability"] == second["probability"]
    assert (first["decision"], second["decision"]) == ("opacity suspected", "no opacity suspected")
    assert second["operating_point"] is None


def test_news_comes_as_events(client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[tuple[str, list[Any]]] = []
    events = client.app.state.service.events
    monkeypatch.setattr(events, "tell", lambda kind, items: heard.append((kind, items)))
    (result,) = client.post("/v1/predictions", files=files(picture(0.6))).json()["results"]
    client.delete(f"/v1/predictions/{result['id']}")
    # Studies are told of as the indexer comes to them, which is when it likes.
    told = [(kind, items) for kind, items in heard if kind != "study"]
    assert told == [("prediction", [{"id": result["id"]}]), ("deleted", [{"id": result["id"]}])]


def test_openapi_has_examples_and_problems(client: Any) -> None:
    document = client.get("/openapi.json").json()
    post = document["paths"]["/v1/predictions"]["post"]
    assert "multipart/form-data" in post["requestBody"]["content"]
    assert post["responses"]["422"]["content"]["application/problem+json"]
    for name in ("Prediction", "Results", "Job", "Model", "Problem", "PredictionList"):
        assert document["components"]["schemas"][name]["examples"], name
    assert "HTTPValidationError" not in json.dumps(document)
    # The examples are of the form that they are examples of.
    from nanoray.serving.http import schemas

    for name in ("Prediction", "Results", "Job", "Model", "PredictionList"):
        model = getattr(schemas, name)
        for example in document["components"]["schemas"][name]["examples"]:
            model.model_validate(example)


def test_files_are_judged_together(client: Any, tiny_model: Path) -> None:
    def runs() -> float:
        registry = client.app.state.service.metrics.registry
        return registry.get_sample_value("nanoray_batch_files_count") or 0.0

    before = runs()
    contents = [picture(0.1 + 0.05 * number) for number in range(12)]
    results = client.post("/v1/predictions", files=files(*contents)).json()["results"]
    expected = load(tiny_model)
    for content, result in zip(contents, results, strict=True):
        alone = expected.predict(content).probability
        assert result["probability"] == pytest.approx(alone, abs=1e-6)
    assert runs() - before < 12


def test_numbers_that_are_not_finite_abstain(client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Calibration, "probability", lambda self, logit: math.nan)
    (result,) = client.post("/v1/predictions", files=files(picture(0.6))).json()["results"]
    assert result["probability"] is None
    assert result["status"] == DONE
