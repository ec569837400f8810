"""The worklist page, in a real Chromium."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from nanoray.datasets.phantom import draw, write_dicom
from nanoray.serving.http.application import PAGE
from serving_helpers import PATIENCE, Server, files, picture, server

sync_api = pytest.importorskip("playwright.sync_api", reason="needs playwright")

CHROMIUM = (
    os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
)
pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="needs a Chromium: apt-get install chromium"
)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A browser without a window."""
    with sync_api.sync_playwright() as playwright:
        started = playwright.chromium.launch(
            executable_path=CHROMIUM,
            args=["--no-sandbox", "--disable-gpu"],
            timeout=1000 * PATIENCE,
        )
        yield started
        started.close()


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Iterator[Server]:
    """A server with three radiographs, an abstention, and a file that is none."""
    folder = tmp_path_factory.mktemp("page")
    with server(folder / "data", tiny_model) as started:
        with started.client() as client:
            for seed in (3, 4, 5):
                path = folder / f"{seed}.dcm"
                write_dicom(draw(seed, size=400, opacity=True), path)
                client.post("/v1/predictions", files=files(path.read_bytes()))
            client.post("/v1/predictions", files=files(picture(0.0), b"nothing"))
        yield started


def complaint(message: Any) -> list[str]:
    """What the page complains of. Files that are refused are none of it: see `missing`."""
    refused = message.text.startswith("Failed to load resource")
    return [] if message.type != "error" or refused else [message.text]


def elsewhere(url: str, service: str) -> list[str]:
    return [] if url.startswith((service, "blob:", "data:")) else [url]


def missing(answer: Any) -> list[str]:
    return [answer.url] if answer.request.method == "GET" and answer.status >= 400 else []


@pytest.fixture
def page(browser: Any, running: Server) -> Iterator[Any]:
    """The page, of which nothing may go wrong unseen or come from elsewhere."""
    context = browser.new_context(
        viewport={"width": 1360, "height": 900}, base_url=running.url, accept_downloads=True
    )
    context.set_default_timeout(1000 * PATIENCE)
    opened = context.new_page()
    wrong: list[str] = []
    opened.on("pageerror", lambda error: wrong.append(str(error)))
    opened.on("console", lambda message: wrong.extend(complaint(message)))
    opened.on("request", lambda request: wrong.extend(elsewhere(request.url, running.url)))
    opened.on("response", lambda answer: wrong.extend(missing(answer)))
    opened.goto("/")
    opened.locator("#worklist [data-id]").nth(4).wait_for()
    yield opened
    context.close()
    assert not wrong


def lit(page: Any) -> float:
    """Mean brightness of the canvas."""
    return float(
        page.evaluate(
            """() => {
              const canvas = document.getElementById("canvas");
              const data = canvas.getContext("2d")
                .getImageData(0, 0, canvas.width, canvas.height).data;
              let sum = 0;
              for (let i = 0; i < data.length; i += 4) sum += data[i] + data[i + 1] + data[i + 2];
              return sum / (data.length / 4) / 3;
            }"""
        )
    )


def shown(page: Any) -> str:
    """Choose the first radiograph, and wait for its picture: its id."""
    first = page.locator("#worklist [data-id]").first
    first.click()
    name = str(first.get_attribute("data-id"))
    page.wait_for_function("id => document.getElementById('canvas').dataset.shown === id", arg=name)
    page.evaluate(
        "() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))"
    )
    return name


def settled(page: Any, before: float) -> float:
    """The brightness once it is another."""
    page.evaluate(
        "() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))"
    )
    after = lit(page)
    assert after != pytest.approx(before, abs=0.05)
    return after


def test_the_list_is_ranked_and_filtered(page: Any) -> None:
    numbers = page.locator("#worklist .number").all_inner_texts()
    ranked = [float(number) for number in numbers if number != "–"]
    assert len(ranked) == 3
    assert ranked == sorted(ranked, reverse=True)
    assert page.locator("#worklist .chip").all_inner_texts()[3:] == ["abstained", "unreadable"]
    assert "Research use only" in page.get_by_role("note").inner_text()
    page.get_by_label("Show", exact=True).select_option("status=unreadable")
    page.wait_for_function("() => document.querySelectorAll('#worklist li').length === 1")


def test_a_radiograph_is_looked_at_with_the_mouse(page: Any) -> None:
    shown(page)
    assert page.locator("#points tr").count() == 3
    assert page.locator("#points tr.used th").inner_text() == "balanced"
    # The bar and the marks of the operating points stand where the numbers say.
    width = page.locator("#meter").bounding_box()["width"]
    filled = page.locator("#meter i").bounding_box()["width"] / width
    assert filled == pytest.approx(float(page.locator("#probability").inner_text()), abs=0.02)
    assert page.locator("#meter b").count() == 3
    left = page.locator("#meter").bounding_box()["x"]
    second = page.locator("#meter b").nth(1).bounding_box()["x"]
    assert (second - left) / width == pytest.approx(0.5, abs=0.02)
    before = lit(page)
    assert before > 5
    box = page.locator("#canvas").bounding_box()
    middle = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(*middle)
    page.mouse.down()
    page.mouse.move(middle[0] - 60, middle[1] + 120, steps=4)
    page.mouse.up()
    assert float(page.get_by_label("Level").input_value()) > 500
    before = settled(page, before)
    page.mouse.wheel(0, -600)
    page.wait_for_function("() => document.getElementById('zoom').value > 100")
    before = settled(page, before)
    page.get_by_label("Heat map", exact=True).fill("0")
    before = settled(page, before)
    page.get_by_role("button", name="Invert").click()
    settled(page, before)
    page.get_by_role("button", name="Reset").click()
    assert page.get_by_label("Zoom").input_value() == "100"


def test_everything_is_reached_with_the_keyboard(page: Any) -> None:
    page.locator("#worklist [data-id]").first.focus()
    page.keyboard.press("ArrowDown")
    second = page.locator("#worklist [data-id]").nth(1)
    assert second.evaluate("element => element === document.activeElement")
    page.keyboard.press("Enter")
    assert second.get_attribute("aria-current") == "true"
    name = second.get_attribute("data-id")
    page.wait_for_function("id => document.getElementById('canvas').dataset.shown === id", arg=name)
    page.locator("#canvas").focus()
    before = lit(page)
    page.keyboard.press("s")
    before = settled(page, before)
    page.keyboard.press("+")
    settled(page, before)
    page.keyboard.press("0")
    assert page.get_by_label("Level").input_value() == "500"
    # Nothing that can be used is without a name.
    unnamed = page.evaluate(
        """() => [...document.querySelectorAll("button, select, input, canvas, a")]
          .filter((e) => e.checkVisibility())
          .filter((e) => !(e.textContent.trim() || e.getAttribute("aria-label") ||
                           e.labels?.length)).map((e) => e.outerHTML)"""
    )
    assert not unnamed


def test_files_are_chosen_and_dropped(page: Any, tmp_path: Path) -> None:
    path = tmp_path / "chosen.dcm"
    write_dicom(draw(77, size=300), path)
    (tmp_path / "broken.dcm").write_bytes(b"broken")
    page.get_by_label("Choose radiographs").set_input_files([path, tmp_path / "broken.dcm"])
    page.get_by_text("broken.dcm").wait_for()
    assert "is not a DICOM" in page.locator("#uploads-errors").inner_text()
    page.get_by_role("heading", name="chosen.dcm").wait_for()
    content = list(picture(0.55, seed=991))
    page.evaluate(
        """(bytes) => {
          const transfer = new DataTransfer();
          transfer.items.add(new File([new Uint8Array(bytes)], "dropped.png"));
          document.dispatchEvent(new DragEvent("drop", {dataTransfer: transfer, bubbles: true}));
        }""",
        content,
    )
    page.locator("#worklist").get_by_text("dropped.png").wait_for()


def test_new_results_arrive_by_themselves(page: Any, running: Server) -> None:
    page.locator(".live.live b", has_text="live").wait_for()
    with running.client() as client:
        answer = client.post("/v1/predictions", files=files(picture(0.95, seed=4242)))
        name = answer.json()["results"][0]["id"]
        page.locator(f"#worklist [data-id='{name}']").wait_for()
        assert page.locator("#worklist [data-id]").first.get_attribute("data-id") == name
        page.get_by_text("New result: opacity suspected").wait_for(state="attached")
        client.delete(f"/v1/predictions/{name}")
        page.locator(f"#worklist [data-id='{name}']").wait_for(state="detached")


def test_results_are_saved_printed_and_deleted(page: Any, running: Server) -> None:
    with running.client() as client:
        client.post("/v1/predictions", files=files(picture(0.99, seed=5151)))
    page.reload()
    name = shown(page)
    with page.expect_download() as download:
        page.get_by_role("button", name="Save as JSON").click()
    assert f'"id": "{name}"' in Path(download.value.path()).read_text()
    page.emulate_media(media="print")
    assert not page.locator("#worklist").is_visible()
    assert page.locator("#print-notice").is_visible()
    assert page.pdf()[:5] == b"%PDF-"
    page.emulate_media(media="screen")
    page.get_by_role("button", name="Delete", exact=True).click()
    page.locator("#confirm").get_by_role("button", name="Delete").click()
    page.locator(f"#worklist [data-id='{name}']").wait_for(state="detached")


def test_light_and_dark(page: Any) -> None:
    def background() -> str:
        return str(page.evaluate("() => getComputedStyle(document.body).backgroundColor"))

    page.emulate_media(color_scheme="light")
    light = background()
    page.emulate_media(color_scheme="dark")
    dark = background()
    assert light != dark
    page.get_by_label("Colours").select_option("light")
    assert background() == light
    page.get_by_label("Colours").select_option("auto")
    assert background() == dark


def test_a_key_is_asked_for(browser: Any, tmp_path: Path, tiny_model: Path) -> None:
    from nanoray.serving.settings import Settings
    from nanoray.serving.storage import keys
    from nanoray.serving.storage.database import Database

    folder = tmp_path / "data"
    folder.mkdir()
    database = Database(Settings(data=folder).database_url)
    database.migrate()
    key = keys.add(database, "page", keys.SUBMIT)
    database.close()
    with server(folder, tiny_model, no_auth=False) as secured:
        context = browser.new_context(base_url=secured.url)
        context.set_default_timeout(1000 * PATIENCE)
        page = context.new_page()
        page.goto("/")
        page.get_by_label("Key", exact=True).fill("nr_wrong")
        page.get_by_role("button", name="Continue").click()
        page.get_by_text("That key is not valid.").wait_for()
        page.get_by_label("Key", exact=True).fill(key)
        page.get_by_role("button", name="Continue").click()
        page.locator(".live.live b", has_text="live").wait_for()
        page.get_by_text("Nothing here yet.").wait_for()
        with secured.client(headers={"Authorization": f"Bearer {key}"}) as client:
            client.post("/v1/predictions", files=files(picture(0.6)))
        shown(page)
        # The key is for sending, not for deleting.
        page.get_by_role("button", name="Delete", exact=True).click()
        page.locator("#confirm").get_by_role("button", name="Delete").click()
        page.get_by_text("Not deleted: the API key's role is submit").wait_for()
        context.close()


def test_the_page_is_packaged() -> None:
    index = (PAGE / "index.html").read_text()
    assert "http://" not in index
    assert "https://" not in index
    for name in ("worklist.js", "worklist.css"):
        assert f"/assets/{name}" in index
        assert (PAGE / "assets" / name).is_file()
