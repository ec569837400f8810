"""The documentation site builds, has no dead link, and loads nothing from elsewhere."""

from __future__ import annotations

import os
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urldefrag, urljoin

import pytest

pytest.importorskip("mkdocs", reason="mkdocs is not installed: pip install 'nanoray[docs]'")

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]
HOME = "https://site.invalid/"


class Links(HTMLParser):
    """Collects what a page links to, what it loads, and its anchors."""

    def __init__(self, text: str) -> None:
        """Read a page."""
        super().__init__()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.anchors: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note the attributes of a tag."""
        values = dict(attrs)
        if name := values.get("id") or (tag == "a" and values.get("name")):
            self.anchors.add(str(name))
        if tag == "a" and values.get("href"):
            self.links.append(str(values["href"]))
        elif values.get("src"):
            self.loaded.append(str(values["src"]))
        elif tag == "link" and values.get("rel") in ("stylesheet", "icon", "preload", "preconnect"):
            self.loaded.append(str(values["href"]))


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Links]:
    """Provide the pages of the site by their addresses."""
    site = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir"]
    built = subprocess.run(
        [*command, str(site)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1"},
        check=False,
    )
    assert built.returncode == 0, built.stderr
    files = {path.relative_to(site).as_posix(): path for path in site.rglob("*") if path.is_file()}
    found = {
        HOME + name.removesuffix("index.html"): Links(path.read_text(encoding="utf-8"))
        for name, path in files.items()
        if name.endswith(".html") and name != "404.html"
    }
    found |= {HOME + name: Links("") for name in files if not name.endswith(".html")}
    return found


def test_every_document_has_a_page(pages: dict[str, Links]) -> None:
    for path in (ROOT / "docs").rglob("*.md"):
        name = path.relative_to(ROOT / "docs").with_suffix("").as_posix()
        assert HOME + ("" if name == "index" else f"{name}/") in pages, path
    for name in ("model-card", "security", "contributing", "changelog", "mobile", "documents"):
        assert f"{HOME}{name}/" in pages
    assert sum("tutorials/" in address for address in pages) == 5


def test_no_link_is_dead(pages: dict[str, Links]) -> None:
    dead = []
    for address, page in pages.items():
        for link in page.links + page.loaded:
            target, anchor = urldefrag(unquote(urljoin(address, link)))
            if not target.startswith(HOME):
                continue
            target = target.removesuffix("index.html")
            missing = target not in pages
            if missing or (anchor and target.endswith("/") and anchor not in pages[target].anchors):
                dead.append((address, link))
    assert not dead


def test_pages_load_nothing_from_elsewhere(pages: dict[str, Links]) -> None:
    loaded = {urljoin(address, one) for address, page in pages.items() for one in page.loaded}
    assert loaded
    assert not [one for one in loaded if not one.startswith((HOME, "data:"))]


def test_python_reference_shows_the_docstrings(pages: dict[str, Links]) -> None:
    anchors = pages[f"{HOME}reference/api/"].anchors
    assert "nanoray.detecting.detector.Detector.predict_many" in anchors
    assert "nanoray.training.settings.Settings" in anchors
