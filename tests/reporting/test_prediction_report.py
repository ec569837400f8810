"""The report: complete in itself, ranked, and safe against what files are called."""

from __future__ import annotations

import re
from base64 import b64decode
from datetime import datetime, timezone
from html.parser import HTMLParser
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nanoray.detecting import load
from nanoray.detecting.model_file import NOTICE, packaged_model
from nanoray.reporting import page as page_of
from nanoray.reporting.prediction_report import Report, write_report
from sample_results import abstention, prediction, unread

VOID = {"meta", "img", "input", "br", "rect", "line", "path"}
LOADS = {"src", "href", "action", "data", "srcset", "poster", "formaction", "background"}


class Page(HTMLParser):
    """The elements of a page, which must be properly nested."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text: list[str] = []
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.text.append(data)

    @property
    def pieces(self) -> list[str]:
        return [piece.strip() for piece in self.text if piece.strip()]

    @property
    def words(self) -> str:
        return " ".join("".join(self.text).split())


@pytest.fixture
def report(tiny_model: Path, tmp_path: Path):
    def write(*results, **options) -> str:
        path = tmp_path / "report.html"
        when = datetime(2026, 2, 3, 4, 5, tzinfo=timezone.utc)
        write_report(results, load(tiny_model, **options), path, when=when)
        return path.read_text("utf-8")

    return write


def test_holds_everything_and_loads_nothing(report) -> None:
    text = report(prediction("a.dcm", 0.8), abstention("b.jpg", 0.9), unread("c.dcm"))
    page = Page(text)
    assert not re.search(r"https?:|url\(|@import|//[a-z]+\.", text)
    loaded = [
        value
        for tag, attributes in page.elements
        for name, value in attributes.items()
        if name in LOADS and tag != "a"
    ]
    assert loaded
    assert all(value.startswith("data:image/") for value in loaded)
    assert not {"script", "link", "iframe", "object", "form"} & {tag for tag, _ in page.elements}
    policy = [a["content"] for _, a in page.elements if "http-equiv" in a]
    assert policy
    assert policy[0].startswith("default-src 'none'; img-src data:")


def test_says_what_it_is(report) -> None:
    words = Page(report(prediction("a.dcm", 0.8))).words
    assert words.count(NOTICE) == 2
    assert "03 February 2026, 04:05" in words
    assert "tiny 9.1" in words
    assert "operating point balanced" in words
    assert "sensitivity of 80.0" in words
    assert "95 % interval 74.0 to 85.0" in words
    assert "specificity of 75.0" in words
    assert "of 100 without about 25" in words
    assert "brightness <above> average" in words
    assert "0.900 (0.850 to 0.950)" in words


def test_ranked_by_probability_with_abstentions_and_unread_files_apart(report) -> None:
    page = Page(
        report(
            prediction("mid.dcm", 0.61),
            unread("empty.dcm"),
            prediction("top.dcm", 0.93),
            abstention("photo.jpg", 0.987),
            prediction("tie-b.dcm", 0.25),
            prediction("tie-a.dcm", 0.25),
        )
    )
    words = page.words
    order = ["top.dcm", "mid.dcm", "tie-a.dcm", "tie-b.dcm", "Abstained", "photo.jpg",
             "Could not be read", "empty.dcm", "the file is empty"]  # fmt: skip
    places = [words.index(word) for word in order]
    assert places == sorted(places)
    assert "0.930" in words
    # The probability of an abstention is no finding.
    assert "0.987" not in words
    assert "not a frontal chest radiograph" in words
    assert page.pieces[6:14] == ["2", "opacity suspected", "2", "no opacity suspected",
                                 "1", "abstained", "1", "could not be read"]  # fmt: skip


def test_histogram_counts_each_side_of_the_threshold(report) -> None:
    # All but the first are in one bin, two of them below the threshold of 0.5.
    values = (0.1, 0.485, 0.49, 0.5, 0.505, 0.51, 0.515)
    page = Page(report(*(prediction(f"{value}.dcm", value) for value in values)))
    bars = [a for tag, a in page.elements if tag == "rect" and a.get("class")]
    assert [(a["class"], float(a["height"])) for a in bars] == [
        ("below", 18.3),
        ("below", 36.7),
        ("above", 73.3),
    ]


def test_histogram_has_the_threshold_of_each_view() -> None:
    detector = load(packaged_model())
    assert [label for label, _ in page_of.thresholds(detector)] == ["AP", "PA"]
    chart = page_of.histogram([1], [0], page_of.thresholds(detector))
    parts = page_of.templates().get_template("parts.html.j2").module
    drawn = str(parts.histogram(chart))
    assert drawn.count('class="cut"') == 2
    for view in detector.card.views:
        assert f">{view.view} {view.operating_point('balanced').threshold:.2f}<" in drawn


def test_own_threshold_has_no_measured_sensitivity(report) -> None:
    words = Page(report(prediction("a.dcm", 0.8), threshold=0.42)).words
    assert "at least 0.420, a threshold chosen for this run" in words
    assert "used here" not in words


def test_names_cannot_break_out(report) -> None:
    evil = '"><script>alert(1)</script><img src=x onerror=alert(2)>&amp;\n.dcm'
    page = Page(report(prediction(evil, 0.8), abstention(evil, 0.9), unread(evil, evil)))
    assert not [tag for tag, _ in page.elements if tag == "script"]
    assert not [a for _, a in page.elements if any(name.startswith("on") for name in a)]
    assert "<script>alert(1)</script>" in page.words


def test_holds_nothing_from_a_header(report) -> None:
    text = re.sub(r"base64,[^\"]*", "", report(prediction("a.dcm", 0.8), abstention("b", 0.9)))
    assert not [word for word in ("DOE", "JANE", "1970", "56.7", "MONOCHROME") if word in text]


def test_pictures_and_heat_maps(report) -> None:
    tall = prediction("tall.dcm", 0.8, thumbnail=np.full((512, 256), 77, np.uint8))
    cold = prediction("cold.dcm", 0.1, heatmap=np.full((2, 2), 0.01, np.float32))
    page = Page(report(tall, cold, abstention("photo.jpg", 0.9)))
    images = [attributes for tag, attributes in page.elements if tag == "img"]
    # A heat map only for the one that has something to show and is no abstention.
    assert [image["alt"] for image in images] == [
        "Radiograph tall.dcm",
        "Heat map",
        "Radiograph cold.dcm",
        "Radiograph photo.jpg",
    ]
    kind, data = images[0]["src"].split(",")
    assert kind == "data:image/jpeg;base64"
    with Image.open(BytesIO(b64decode(data))) as image:
        # 448 rows of radiograph, and a strip below it for the caption.
        assert image.size == (224, 448 + 14)
        pixels = np.asarray(image.convert("L")).astype(int)
    assert abs(pixels[:440] - 77).max() < 12
    assert pixels[450:].max() > 150
    with Image.open(BytesIO(b64decode(images[1]["src"].split(",")[1]))) as image:
        assert (image.mode, image.size) == ("RGBA", (160, 320))


def test_every_control_has_a_label(report) -> None:
    page = Page(report(prediction("a.dcm", 0.8, flags=("child",))))
    controls = {a["id"] for tag, a in page.elements if tag == "input"}
    labels = {a["for"] for tag, a in page.elements if tag == "label"}
    assert controls == labels
    assert all(a.get("aria-label") for tag, a in page.elements if tag == "input")
    assert "child" in page.words


def test_only_unread_files(report) -> None:
    words = Page(report(unread("a.dcm"), unread("b.dcm"))).words
    assert "No radiograph was given a probability." in words
    assert "Radiographs by probability" not in words


def test_a_thousand_files_stay_small(tiny_model: Path, tmp_path: Path) -> None:
    noise = np.random.default_rng(3).normal(128, 8, (512, 448))
    film = np.clip(noise, 0, 255).astype(np.uint8)
    path = tmp_path / "report.html"
    with Report(path, load(tiny_model)) as report:
        for number in range(10):
            report.add(prediction(f"{number}.dcm", 0.5 + number / 100, thumbnail=film))
        assert not path.exists()
    # Noise is the worst that a radiograph can be; 40 MB for a thousand of them.
    assert path.stat().st_size < 10 * 60_000


def test_an_interrupted_run_leaves_no_report(tiny_model: Path, tmp_path: Path) -> None:
    path = tmp_path / "report.html"

    def interrupted() -> None:
        with Report(path, load(tiny_model)) as report:
            report.add(prediction("a.dcm", 0.8))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert list(tmp_path.iterdir()) == []
