"""Tables, JSON, JSON Lines, CSV and heat map files."""

from __future__ import annotations

import csv
import io
import json
import math
from dataclasses import replace
from pathlib import Path

import pytest
from rich.cells import cell_len
from rich.console import Console

from nanoray.detecting.model_file import NOTICE
from nanoray.reporting import outputs
from sample_results import abstention, prediction, unread
from tiny_model import tiny_card

RESULTS = [
    prediction("low.dcm", 0.25, flags=("child", "lateral-view")),
    unread("bad.dcm"),
    prediction("b/high.dcm", 0.875),
    abstention("photo.jpg", 0.99),
    prediction("a/high.dcm", 0.875),
]
PRIVATE = ("DOE", "JANE", "1970", "56.7", '"F"')


def text_of(write, *arguments) -> str:
    stream = io.StringIO()
    write(*arguments, stream)
    text = stream.getvalue()
    assert not [word for word in PRIVATE if word in text]
    return text


def test_json_is_one_document_in_the_order_of_the_files() -> None:
    document = json.loads(text_of(outputs.write_json, iter(RESULTS), tiny_card()))
    assert list(document) == ["notice", "model", "results", "errors"]
    assert document["notice"] == NOTICE
    assert document["model"]["name"] == "tiny"
    assert [item["source"] for item in document["results"]] == [
        "low.dcm",
        "b/high.dcm",
        "photo.jpg",
        "a/high.dcm",
    ]
    low, _, photo, _ = document["results"]
    assert low["probability"] == 0.25
    assert low["flags"] == ["child", "lateral-view"]
    assert (low["rows"], low["columns"], low["format"]) == (2000, 1000, "DICOM")
    assert low["orientation"] == 1
    assert low["read_milliseconds"] == 12.35
    assert (photo["decision"], photo["reason"]) == ("abstained", "not a frontal chest radiograph")
    assert document["errors"] == [
        {"source": "bad.dcm", "error": "the file is empty", "code": "empty-file"}
    ]


def test_json_has_no_number_that_is_none() -> None:
    result = replace(prediction("a", 0.5), probability=math.nan, novelty=math.inf)
    record = json.loads(text_of(outputs.write_jsonl, [result]), parse_constant=pytest.fail)
    assert record["probability"] is None
    assert record["novelty"] is None


def test_jsonl_is_written_as_results_come() -> None:
    stream = io.StringIO()
    lines = []

    def results():
        for result in RESULTS:
            lines.append(stream.getvalue().count("\n"))
            yield result

    outputs.write_jsonl(results(), stream)
    assert lines == [0, 1, 2, 3, 4]
    records = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [record["source"] for record in records] == [result.source for result in RESULTS]
    assert records[1]["code"] == "empty-file"


def test_csv_parses_with_one_row_a_file() -> None:
    odd = prediction('quo"te,comma\nline.dcm', 0.5)
    rows = list(csv.DictReader(io.StringIO(text_of(outputs.write_csv, [*RESULTS, odd]))))
    assert [row["source"] for row in rows] == [result.source for result in [*RESULTS, odd]]
    assert rows[0]["flags"] == "child lateral-view"
    assert rows[0]["decision"] == "no opacity suspected"
    assert rows[0]["milliseconds"] == "13.35"
    assert (rows[1]["error"], rows[1]["probability"]) == ("the file is empty", "")
    assert float(rows[2]["probability"]) == 0.875


def test_csv_names_are_no_formulas() -> None:
    rows = csv.DictReader(io.StringIO(text_of(outputs.write_csv, [prediction("=1+1.dcm", 0.5)])))
    assert [row["source"] for row in rows] == ["./=1+1.dcm"]


def test_csv_has_no_terminal_escapes() -> None:
    text = text_of(outputs.write_csv, [prediction("a\x1b]0;x\x07\x9b.dcm", 0.5)])
    assert "a\\x1b]0;x\\x07\\x9b.dcm" in text
    assert not {"\x1b", "\x07", "\x9b"} & set(text)


def test_plain_table_is_ranked_and_never_folded() -> None:
    deep = "/".join(["folder"] * 40) + "/film.dcm"
    stream = io.StringIO()
    console = Console(file=stream, width=80)
    outputs.write_table([*RESULTS, prediction(deep, 0.6)], console)
    lines = stream.getvalue().splitlines()
    assert [line.split()[-1] for line in lines[:-1]] == [
        "file",
        "a/high.dcm",
        "b/high.dcm",
        deep,
        "low.dcm",
        "photo.jpg",
    ]
    assert lines[4].split()[0] == "0.2500"
    assert "child,lateral-view" in lines[4]
    # The probability of an abstention is no finding.
    assert lines[5].split()[:2] == ["-", "abstained:"]
    assert "abstained: not a frontal chest radiograph  " in lines[5]
    assert "0.99" not in stream.getvalue()
    assert lines[-1] == NOTICE


def test_table_fits_a_terminal_of_80_columns() -> None:
    stream = io.StringIO()
    console = Console(file=stream, width=80, force_terminal=True, color_system=None)
    wide = prediction("/data/" + "胸部" * 40 + "/IM0001.dcm", 0.75, flags=("child",))
    outputs.write_table([*RESULTS, wide], console)
    lines = stream.getvalue().splitlines()
    assert max(cell_len(line) for line in lines) <= 80
    text = stream.getvalue()
    assert "IM0001.dcm" in text
    assert "lateral view" in text or "child, lateral view" in text
    assert "███████   0.875  opacity suspected     -     a/high.dcm" in text
    assert text.index("a/high.dcm") < text.index("IM0001.dcm") < text.index("low.dcm")
    assert "not a frontal chest radiograph" in text
    assert "0.99" not in text
    assert NOTICE in text


def test_table_shows_names_as_they_are() -> None:
    stream = io.StringIO()
    console = Console(file=stream, width=80, force_terminal=True, color_system=None)
    outputs.write_table([prediction("[red]a[/red]\x1b]0;x\x07.dcm", 0.75)], console)
    assert "[red]a[/red]\\x1b]0;x\\x07.dcm" in stream.getvalue()


def test_table_without_results() -> None:
    stream = io.StringIO()
    outputs.write_table([unread("bad.dcm")], Console(file=stream, width=80))
    assert stream.getvalue() == NOTICE + "\n"


@pytest.mark.parametrize(
    ("value", "expected"),
    [(0, ""), (1, "████████"), (0.5, "████"), (0.0625, "▌"), (-1, ""), (7, "████████")],
)
def test_bar(value: float, expected: str) -> None:
    assert outputs.bar(value) == expected.ljust(8)


def test_bar_in_ascii() -> None:
    assert outputs.bar(0.5, ascii_only=True) == "####    "
    assert outputs.bar(0.5625, ascii_only=True) == "#####   "


def test_shortening_counts_cells() -> None:
    assert outputs.shorten("short", 5) == "short"
    assert outputs.shorten("folder/film.dcm", 9) == "…film.dcm"
    assert cell_len(outputs.shorten("胸部胸部胸部", 6)) <= 6
    assert outputs.shorten_end("a long reason", 7) == "a long…"


def test_heatmap_files_are_named_after_their_files_and_unique(tmp_path: Path) -> None:
    folder = outputs.HeatmapFolder(tmp_path / "new" / "maps")
    written = [
        folder.add(result)
        for result in [
            prediction("one/IM1.dcm", 0.2),
            prediction("two/im1.PNG", 0.7),
            prediction("two/1.2.840.5", 0.7),
            prediction("odd/a:b?<c>.dcm", 0.7),
            abstention("photo.jpg", 0.9),
            unread("bad.dcm"),
            prediction("none.dcm", 0.5, thumbnail=None),
        ]
    ]
    names = [path.name if path else None for path in written]
    assert names == [
        "IM1.heatmap.png",
        "im1-2.heatmap.png",
        "1.2.840.5.heatmap.png",
        "a_b__c_.heatmap.png",
        None,
        None,
        None,
    ]
    assert sorted(path.name for path in folder.folder.iterdir()) == sorted(filter(None, names))
    assert b"DOE" not in b"".join(path.read_bytes() for path in folder.folder.iterdir())
