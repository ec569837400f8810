"""The worklist page, in real browsers."""

from __future__ import annotations

import json
import os
import re
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pydicom
import pytest

from nanoray.datasets.phantom import draw, write_dicom
from nanoray.serving.http.application import PAGE
from serving_helpers import Server, files, picture, server, wait_for

sync_api = pytest.importorskip("playwright.sync_api", reason="needs playwright")

CHROMIUM = (
    os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
)
pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="needs a Chromium: apt-get install chromium"
)
PATIENCE = 60_000
UID = "1.2.826.0.1.3680043.8.498.5"
ROWS = "#worklist [data-id]"


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Provide a browser without a window."""
    with sync_api.sync_playwright() as playwright:
        started = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"], timeout=PATIENCE
        )
        yield started
        started.close()


def radiograph(folder: Path, seed: int, **changes: Any) -> bytes:
    """Return a phantom of an invented person."""
    path = folder / f"{seed}.dcm"
    write_dicom(draw(seed, size=300, opacity=True), path)
    header = pydicom.dcmread(path)
    values = {
        "SpecificCharacterSet": "ISO_IR 192",
        "StudyInstanceUID": f"{UID}.{seed}",
        "PatientName": f"Müller^Person {seed}",
        "PatientID": f"P{seed}",
        "AccessionNumber": f"ACC{seed}",
        "PatientAge": "050Y",
        "StudyDate": "20260102",
        "ViewPosition": "PA",
        "InstanceNumber": "1",
        "PixelSpacing": ["0.5", "0.5"],
    }
    for keyword, value in (values | changes).items():
        setattr(header, keyword, value)
    header.save_as(path)
    return path.read_bytes()


def search(client: httpx.Client, **query: Any) -> Any:
    return client.post("/v1/studies/search", json=query).raise_for_status().json()


def add_priors(data: Path, study: str, client: httpx.Client) -> None:
    """Give the images of a study two priors, as the DICOM node does."""
    details = client.get(f"/v1/studies/{study}").raise_for_status().json()
    priors = [
        {"date": "2025-11-03", "view": "AP", "probability": 0.125, "threshold": 0.5,
         "suspected": False, "unsure": False},
        {"date": "", "view": None, "probability": 1.0, "threshold": 0.5, "suspected": True,
         "unsure": False},
    ]  # fmt: skip
    with closing(sqlite3.connect(data / "nanoray.db", timeout=60)) as database, database:
        for image in details["image_list"]:
            database.execute(
                "UPDATE predictions SET priors = ? WHERE id = ?", (json.dumps(priors), image["id"])
            )


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Iterator[Server]:
    """Provide a server with three studies, one of two views, an abstention, and a bad file."""
    folder = tmp_path_factory.mktemp("page")
    link = "https://pacs.example/viewer?study={study_uid}"
    with server(folder / "data", tiny_model, "--viewer-link", link) as started:
        with started.client() as client:
            images = [radiograph(folder, seed) for seed in (3, 4, 5)]
            # The row takes patient and accession number from the image that is read first.
            study = {"StudyInstanceUID": f"{UID}.3", "AccessionNumber": "ACC3"}
            patient = {"PatientName": "Müller^Person 3", "PatientID": "P3"}
            lateral = {"ViewPosition": "LL", "InstanceNumber": "2"}
            images.append(radiograph(folder, 6, **study, **patient, **lateral))
            client.post("/v1/predictions", files=files(*images, picture(0.0), b"nothing"))
            wait_for(lambda: sum(study["images"] for study in search(client)["items"]) == 6)
            add_priors(folder / "data", search(client, text="ACC3")["items"][0]["id"], client)
        yield started
        log = started.log.read_text(encoding="utf-8", errors="replace")
        assert "/v1/studies/search" in log
        assert not re.search("Müller|Person [0-9]|ACC[0-9]|20260102", log)


def complaint(message: Any) -> list[str]:
    """Return the errors of the page. Refused files are not among them: see `missing`."""
    refused = message.text.startswith("Failed to load resource")
    return [] if message.type != "error" or refused else [message.text]


def elsewhere(url: str, service: str) -> list[str]:
    return [] if url.startswith((service, "blob:", "data:")) else [url]


def missing(answer: Any) -> list[str]:
    return [answer.url] if answer.request.method == "GET" and answer.status >= 400 else []


@pytest.fixture
def page(browser: Any, running: Server) -> Iterator[Any]:
    """Provide the page, of which nothing may go wrong unseen or come from elsewhere."""
    context = browser.new_context(
        viewport={"width": 1360, "height": 900},
        base_url=running.url,
        accept_downloads=True,
        locale="en-GB",
    )
    context.set_default_timeout(PATIENCE)
    opened = context.new_page()
    wrong: list[str] = []
    opened.on("pageerror", lambda error: wrong.append(str(error)))
    opened.on("console", lambda message: wrong.extend(complaint(message)))
    opened.on("request", lambda request: wrong.extend(elsewhere(request.url, running.url)))
    opened.on("response", lambda answer: wrong.extend(missing(answer)))
    opened.goto("/")
    opened.locator(ROWS).nth(4).wait_for()
    yield opened
    context.close()
    assert not wrong


def shown(page: Any, text: str) -> str:
    """Choose the study whose row has a text, and wait for its pictures: its id."""
    row = page.locator(ROWS).filter(has_text=text).first
    row.click()
    loaded(page)
    return str(row.get_attribute("data-id"))


def loaded(page: Any) -> None:
    page.wait_for_function(
        "() => document.querySelectorAll('#films canvas').length > 0 && "
        "[...document.querySelectorAll('#films canvas')].every((c) => c.dataset.shown)"
    )
    drawn(page)


def drawn(page: Any) -> None:
    page.evaluate(
        "() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))"
    )


def colours(page: Any) -> tuple[float, float]:
    """Mean brightness of the active picture, and the share of its pixels that are coloured."""
    drawn(page)
    return tuple(
        page.evaluate(
            """() => {
              const canvas = document.querySelector("#films .active canvas, #films canvas");
              const { width, height } = canvas;
              const data = canvas.getContext("2d").getImageData(0, 0, width, height).data;
              let sum = 0;
              let coloured = 0;
              for (let i = 0; i < data.length; i += 4) {
                sum += data[i] + data[i + 1] + data[i + 2];
                if (Math.abs(data[i] - data[i + 2]) > 8) coloured++;
              }
              return [sum / (data.length / 4) / 3, coloured / (data.length / 4)];
            }"""
        )
    )


def test_a_study_is_one_row_and_its_images_stand_side_by_side(page: Any) -> None:
    assert page.locator(ROWS).count() == 5
    row = page.locator(ROWS).filter(has_text="Müller, Person 3")
    assert "PA, LL" in row.inner_text()
    assert "PA, threshold 0.500" in row.inner_text()
    assert "ACC3" in row.inner_text()
    name = shown(page, "Müller, Person 3")
    assert page.locator("#films canvas").count() == 2
    assert "lateral LL" in page.locator("#films figcaption").nth(1).inner_text()
    link = page.get_by_role("link", name="Open in the PACS viewer")
    assert link.get_attribute("href") == f"https://pacs.example/viewer?study={UID}.3"
    # The choice is kept when the page is loaded again; the address names no patient.
    page.reload()
    loaded(page)
    assert page.locator(f"{ROWS}[aria-current]").get_attribute("data-id") == name
    assert page.url.endswith(f"#study={name}")
    page.get_by_role("button", name="Side by side").click()
    page.wait_for_function("() => document.querySelectorAll('#films canvas').length === 1")
    page.get_by_role("button", name="Side by side").click()
    # A deep link by the accession number, from another system.
    page.goto("about:blank")
    page.goto("/#accession=ACC4")
    page.get_by_role("heading", name="Müller, Person 4").wait_for()


def test_the_list_is_searched_and_filtered(page: Any) -> None:
    def rows(count: int) -> None:
        page.wait_for_function(
            "count => document.querySelectorAll('#worklist [data-id]').length === count", arg=count
        )

    page.keyboard.press("/")
    page.keyboard.type("person 4")
    rows(1)
    page.reload()  # the filters are kept, but not in the address
    rows(1)
    assert "person" not in page.url.casefold()
    page.get_by_role("searchbox").fill("")
    rows(5)
    page.locator("[name=verdict]").select_option("unreadable")
    rows(1)
    page.locator("[name=verdict]").select_option("")
    page.get_by_text("More filters").click()
    page.locator("[name=view]").fill("ll")
    rows(1)
    page.get_by_role("button", name="Clear filters").click()
    rows(5)
    with page.expect_download() as download:
        page.get_by_role("button", name="Export CSV").click()
    table = Path(download.value.path()).read_text(encoding="utf-8")
    assert "Müller, Person 5" in table
    assert len(table.splitlines()) == 6


def test_a_study_is_compared_with_earlier_radiographs(page: Any, running: Server) -> None:
    name = shown(page, "Müller, Person 3")
    with running.client() as client:
        study = client.get(f"/v1/studies/{name}").json()
    page.locator("#priors").wait_for()
    rows = page.locator("#prior-results tr").all_inner_texts()
    own, latest, older = (row.split("\t") for row in rows)
    assert own[0] == "This study · PA"
    assert float(own[1]) == pytest.approx(study["probability"], abs=5e-4)
    assert (latest[:2], latest[3]) == (["03 Nov 2025 · AP", "0.125"], "no opacity suspected")
    change = study["probability"] - 0.125
    assert float(latest[2]) == pytest.approx(change, abs=6e-4)
    assert latest[2].startswith("+")
    assert (older[:2], older[3]) == (["earlier", "1.000"], "opacity suspected")
    assert float(older[2].replace("\u2212", "-")) == pytest.approx(change - 0.875, abs=6e-4)
    assert [prior["change"] for prior in study["priors"]] == pytest.approx([change, change - 0.875])
    # Another study has none.
    shown(page, "Müller, Person 4")
    assert not page.locator("#priors").is_visible()


def test_the_map_is_off_until_asked_for(page: Any) -> None:
    shown(page, "Müller, Person 4")
    assert not page.locator("#legend").is_visible()
    before, coloured = colours(page)
    assert before > 5
    assert coloured == 0
    page.keyboard.press("h")
    page.locator("#legend").wait_for()
    assert "0.500" in page.locator("#legend").inner_text()
    _, coloured = colours(page)
    assert coloured > 0 or "Nowhere" in page.locator("#legend").inner_text()
    page.get_by_role("button", name="Map", exact=True).click()
    assert colours(page) == (before, 0)
    # An abstention and a lateral view have none.
    page.locator(ROWS).filter(has_text="abstained").click()
    loaded(page)
    assert page.get_by_role("button", name="Map", exact=True).is_disabled()
    page.keyboard.press("h")
    assert not page.locator("#legend").is_visible()


def test_outlines_enclose_what_reaches_the_threshold(page: Any) -> None:
    found = page.evaluate(
        """async () => {
          const { outlines, valueAt } = await import("/assets/region.js");
          const inside = (rings, x, y) => rings.reduce((odd, ring) => {
            for (let i = 0, j = ring.length - 1; i < ring.length; j = i++) {
              const [[xi, yi], [xj, yj]] = [ring[i], ring[j]];
              if (yi > y !== yj > y && x < ((xj - xi) * (y - yi)) / (yj - yi) + xi) odd = !odd;
            }
            return odd;
          }, false);
          let random = 1;
          const next = () => (random = (random * 16807) % 2147483647) / 2147483647;
          const wrong = [];
          for (const [rows, columns] of [[8, 8], [16, 16], [5, 9], [1, 3], [16, 11]]) {
            const row = () => Array.from({ length: columns }, next);
            const values = Array.from({ length: rows }, row);
            const map = { rows, columns, values };
            const rings = outlines(map, 0.5);
            for (let n = 0; n < 400; n++) {
              const [x, y] = [next(), next()];
              const value = valueAt(map, x, y);
              // Within a square of the fine grid the level line is straight.
              if (Math.abs(value - 0.5) > 0.05 && inside(rings, x, y) !== value >= 0.5) {
                wrong.push([rows, columns, x, y, value]);
              }
            }
          }
          const flat = (v) => ({ rows: 2, columns: 2, values: [[v, v], [v, v]] });
          return [wrong, outlines(flat(0.1), 0.5).length, outlines(flat(0.9), 0.5).length];
        }"""
    )
    assert found == [[], 0, 1]


def test_the_display_is_changed_by_mouse_and_keys(page: Any) -> None:
    shown(page, "Müller, Person 4")
    before, _ = colours(page)
    box = page.locator("#films canvas").bounding_box()
    middle = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(*middle)
    page.mouse.down()
    page.mouse.move(middle[0] - 60, middle[1] + 120, steps=4)
    page.mouse.up()
    assert float(page.get_by_label("Level").input_value()) > 500
    assert colours(page)[0] != before
    page.mouse.wheel(0, -600)
    page.wait_for_function("() => document.getElementById('zoom').value > 100")
    page.keyboard.press("0")
    assert page.get_by_label("Zoom").input_value() == "100"
    for key, field, changed in (
        ("2", "Level", True),
        ("i", "Level", True),
        ("1", "Level", False),
        ("w", "Level", True),
        ("a", "Window", True),
        ("+", "Zoom", True),
    ):
        value = page.get_by_label(field, exact=True).input_value()
        bright = colours(page)[0]
        page.keyboard.press(key)
        drawn(page)
        now = page.get_by_label(field, exact=True).input_value()
        assert (now != value or colours(page)[0] != bright) or not changed
    page.keyboard.press("0")
    page.keyboard.press("m")
    page.mouse.move(middle[0] - 50, middle[1])
    page.mouse.down()
    page.mouse.move(middle[0] + 50, middle[1], steps=3)
    page.mouse.up()
    assert colours(page)[1] > 0
    page.keyboard.press("Delete")
    assert colours(page)[1] == 0
    page.keyboard.press("o")
    drawn(page)
    # 300 pixels of the file on as many of the screen.
    shorter = min(box["width"], box["height"])
    zoom = int(page.get_by_label("Zoom").input_value()) / 100
    assert zoom == pytest.approx(max(1, 300 / shorter), abs=0.02)


def test_a_study_is_read_and_reviewed_with_the_keyboard(page: Any, running: Server) -> None:
    name = shown(page, "Müller, Person 5")
    page.keyboard.press("y")
    page.get_by_text("Finding: ").wait_for()
    page.keyboard.press("c")
    page.keyboard.type("j is typed here")
    page.get_by_role("button", name="Save note").click()
    with running.client() as client:
        study = wait_for(
            lambda: (s := client.get(f"/v1/studies/{name}").json())["review"]["note"] and s
        )
    assert study["review"]["note"] == "j is typed here"
    assert study["review"]["agrees"] is True
    assert study["read_at"] is not None
    page.locator("body").click(position={"x": 5, "y": 5})
    page.keyboard.press("r")
    page.get_by_role("button", name="Mark as read").wait_for()
    page.keyboard.press("j")
    page.wait_for_function("name => !location.hash.endsWith(name)", arg=name)
    page.keyboard.press("?")
    assert "Next study" in page.locator("#help").inner_text()
    page.keyboard.press("Escape")
    with page.expect_download() as download:
        page.get_by_role("button", name="Export labels").click()
    assert Path(download.value.path()).read_text().count("\n") == 2


@pytest.mark.parametrize("width", [390, 1099])
def test_list_and_study_are_two_screens_on_small_displays(page: Any, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 800})
    assert not page.locator("#viewer").is_visible()
    shown(page, "Müller, Person 3")
    assert not page.locator("#worklist").is_visible()
    box = page.locator("#films canvas").first.bounding_box()
    assert box["y"] + 100 < 800  # the picture is on the screen
    wide = page.evaluate("() => document.documentElement.scrollWidth")
    assert wide <= width
    page.go_back()
    page.locator(ROWS).first.wait_for()
    assert not page.locator("#viewer").is_visible()
    assert page.evaluate("() => document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize(
    ("language", "scheme", "width"),
    [("en", "light", 1360), ("en", "dark", 1360), ("de", "light", 900), ("ar", "dark", 390)],
)
def test_axe_finds_nothing(page: Any, language: str, scheme: str, width: int) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    page.evaluate("code => localStorage.setItem('nanoray-language', code)", language)
    page.emulate_media(color_scheme=scheme)
    page.reload()
    page.locator("body[data-ready]").wait_for()
    assert page.locator("html").get_attribute("lang") == language
    page.set_viewport_size({"width": width, "height": 900})
    page.locator(ROWS).first.wait_for()
    found = axe.run(page).response["violations"]
    shown(page, "Müller, Person 3")
    page.keyboard.press("h")
    found += axe.run(page).response["violations"]
    page.keyboard.press("?")
    page.locator("#help").wait_for()
    found += axe.run(page).response["violations"]
    assert [(one["id"], [node["html"] for node in one["nodes"]]) for one in found] == []
    assert page.evaluate("() => document.documentElement.scrollWidth") <= width


def test_translations_are_complete() -> None:
    """No word is missing in a language, is left over, or asks for a value that is not given."""
    source = "".join(path.read_text() for path in [*PAGE.glob("*.js"), PAGE / "index.html"])
    tables = {
        path.stem: json.loads(path.read_text(encoding="utf-8"))
        for path in (PAGE / "locales").glob("*.json")
    }
    assert sorted(tables) == ["ar", "de", "en"]

    def plain(keys: Any) -> set[str]:
        return {re.sub(r"\.(zero|one|two|few|many|other)$", "", key) for key in keys}

    used = set(re.findall(r"""data-t(?:-[a-z-]+)?="([^"]+)\"""", source))
    used |= set(re.findall(r"""\bt\(\s*["']([\w.]+)["']""", source))
    used |= set(re.findall(r"""text: ["`]([\w.]+)["`]""", source))
    english = tables["en"]
    assert used <= plain(english), used - plain(english)
    for language, table in tables.items():
        assert plain(table) == plain(english), language
        for key, text in table.items():
            like = next(value for name, value in english.items() if plain([name]) == plain([key]))
            places = set(re.findall(r"\{(\w+)\}", text)) - {"count"}
            assert places == set(re.findall(r"\{(\w+)\}", like)) - {"count"}, (language, key)


def test_files_are_chosen_and_dropped(page: Any, tmp_path: Path) -> None:
    chosen = tmp_path / "chosen.dcm"
    chosen.write_bytes(radiograph(tmp_path, 77))
    (tmp_path / "broken.dcm").write_bytes(b"broken")
    page.get_by_label("Choose radiographs").set_input_files([chosen, tmp_path / "broken.dcm"])
    page.locator("#uploads-errors").get_by_text("broken.dcm").wait_for()
    assert "is not a DICOM" in page.locator("#uploads-errors").inner_text()
    page.get_by_role("heading", name="Müller, Person 77").wait_for()
    page.evaluate(
        """(bytes) => {
          const transfer = new DataTransfer();
          transfer.items.add(new File([new Uint8Array(bytes)], "dropped.png"));
          document.dispatchEvent(new DragEvent("drop", {dataTransfer: transfer, bubbles: true}));
        }""",
        list(picture(0.55, seed=991)),
    )
    page.locator("#worklist").get_by_text("dropped.png").wait_for()


def test_new_results_arrive_by_themselves_and_are_deleted(page: Any, running: Server) -> None:
    page.locator(".live.live b", has_text="live").wait_for()
    with running.client() as client:
        client.post("/v1/predictions", files=files(picture(0.99, seed=4242)))
        page.get_by_text("New result: opacity suspected").wait_for(state="attached")
        first = page.locator(ROWS).first
        assert "0.9" in first.inner_text()
        name = first.get_attribute("data-id")
        first.click()
        loaded(page)
        with page.expect_download() as download:
            page.get_by_role("button", name="Save as JSON").click()
        assert f'"id": "{name}"' in Path(download.value.path()).read_text()
        page.get_by_role("button", name="Delete", exact=True).click()
        page.locator("#confirm").get_by_role("button", name="Delete").click()
        page.locator(f"#worklist [data-id='{name}']").wait_for(state="detached")
        assert client.get(f"/v1/studies/{name}").status_code == 404


def test_a_print_has_date_identity_and_notice(page: Any) -> None:
    shown(page, "Müller, Person 4")
    page.evaluate("() => { window.print = () => {}; }")
    page.keyboard.press("p")
    page.emulate_media(media="print")
    assert not page.locator("#worklist").is_visible()
    text = page.locator("#shown").inner_text()
    assert "Printed on" in text
    assert "Müller, Person 4" in text
    assert "Not a medical device" in text
    assert page.pdf()[:5] == b"%PDF-"


def test_roles_lock_and_hidden_patients(browser: Any, tmp_path: Path, tiny_model: Path) -> None:
    from nanoray.serving.settings import Settings
    from nanoray.serving.storage import keys
    from nanoray.serving.storage.database import Database

    folder = tmp_path / "data"
    folder.mkdir()
    database = Database(Settings(data=folder).database_url)
    database.migrate()
    made = {role: keys.add(database, role, role) for role in (keys.READ, keys.ADMIN)}
    database.close()
    with server(folder, tiny_model, "--lock-minutes", "0.5", no_auth=False) as secured:
        with secured.client(headers={"Authorization": f"Bearer {made['admin']}"}) as client:
            client.post("/v1/predictions", files=files(radiograph(tmp_path, 3)))
            (study,) = wait_for(lambda: search(client)["items"])
            add_priors(folder, study["id"], client)
            (latest, _) = client.get(f"/v1/studies/{study['id']}").json()["priors"]
            assert latest["date"] == "2025-11-03"
        # Dates of studies are patients' data.
        with secured.client(headers={"Authorization": f"Bearer {made['read']}"}) as client:
            (latest, _) = client.get(f"/v1/studies/{study['id']}").json()["priors"]
            assert (latest["date"], latest["view"]) == (None, "AP")
        context = browser.new_context(base_url=secured.url)
        context.set_default_timeout(PATIENCE)
        page = context.new_page()
        page.goto("/")
        page.get_by_label("Key", exact=True).fill("nr_wrong")
        page.get_by_role("button", name="Continue").click()
        page.get_by_text("That key is not valid.").wait_for()
        page.get_by_label("Key", exact=True).fill(made["read"])
        page.get_by_role("button", name="Continue").click()
        page.locator(ROWS).first.wait_for()
        # A key that only looks is offered nothing else, and sees no patient.
        assert "Müller" not in page.locator("body").inner_text()
        assert not page.get_by_text("Choose radiographs").is_visible()
        # Without use, the page forgets the key and what it showed.
        page.get_by_label("Key", exact=True).wait_for()
        assert page.evaluate("() => sessionStorage.getItem('nanoray-key')") is None
        assert page.locator(ROWS).count() == 0
        context.close()


def test_the_page_is_packaged_as_it_is() -> None:
    index = (PAGE / "index.html").read_text()
    assert not re.search(r"https?://", index)
    for name in re.findall(r'"/assets/([^"]+)"', index):
        assert (PAGE / name).is_file()
    for module in PAGE.glob("*.js"):
        for name in re.findall(r'from "\./([^"]+)"', module.read_text()):
            assert (PAGE / name).is_file()
