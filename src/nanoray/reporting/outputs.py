"""Results as a table, JSON, JSON Lines and CSV."""

from __future__ import annotations

import csv
import json
import math
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any, Final

from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from nanoray.detecting import heatmap
from nanoray.detecting.flags import WORDS
from nanoray.detecting.guarantee import ANY_VIEW
from nanoray.detecting.model_file import NOTICE, ModelCard
from nanoray.detecting.prediction import (
    ABSTAINED,
    SUSPECTED,
    UNSURE,
    Prediction,
    Result,
    Unread,
    rank,
)
from nanoray.detecting.predictive_values import at_prevalence, predictive_values
from nanoray.files import csv_cell, exact, printable
from nanoray.reading.candidates import EXTENSIONS, HEATMAP_SUFFIX

CSV_COLUMNS: Final = (
    "source",
    "probability",
    "decision",
    "reason",
    "threshold",
    "operating_point",
    "logit",
    "novelty",
    "flags",
    "model",
    "model_version",
    "milliseconds",
    "error",
    "view",
    "view_source",
    "guarantee",
    "probability_at_prevalence",
)

_BAR_CELLS = 8
_EIGHTHS = " ▏▎▍▌▋▊▉"


def record(result: Result, *, prevalence: float | None = None) -> dict[str, Any]:
    """Convert one result to values for JSON, without header values that could identify a patient.

    For an unreadable file the keys are `source`, `error` (the reason in words) and `code`. A number
    that is not finite becomes None. The probability of an abstention is kept; its `decision` shows
    that it is not a finding. `rows`, `columns` and `boxes` are of the image turned upright by the
    EXIF orientation `orientation`.

    Args:
        prevalence: adds `probability_at_prevalence`, if the card has the prevalence of its
            probabilities.
    """
    if isinstance(result, Unread):
        return {
            "source": exact(result.source),
            "error": result.error.reason,
            "code": result.error.code,
        }
    return {
        "source": exact(result.source),
        "probability": _number(result.probability),
        "decision": result.decision,
        "reason": result.reason,
        "threshold": _number(result.threshold),
        "operating_point": result.operating_point,
        "logit": _number(result.logit),
        "novelty": _number(result.novelty),
        "flags": list(result.flags),
        "model": result.model,
        "model_version": result.model_version,
        "format": result.facts.format,
        "rows": result.facts.rows,
        "columns": result.facts.columns,
        "orientation": result.facts.orientation,
        "read_milliseconds": round(result.read_milliseconds, 2),
        "infer_milliseconds": round(result.infer_milliseconds, 2),
        "view": result.view,
        "view_source": result.view_source,
        "guarantee": result.guarantee,
        "boxes": [box.record() for box in result.boxes],
        "clear_below": None if result.clear_below is None else _number(result.clear_below),
    } | _at_prevalence(result, prevalence)


def _at_prevalence(result: Prediction, prevalence: float | None) -> dict[str, Any]:
    if prevalence is None:
        return {}
    value = None
    if result.prevalence is not None and math.isfinite(result.probability):
        value = _number(at_prevalence(result.probability, result.prevalence, prevalence))
    return {"probability_at_prevalence": value}


def write_json(
    results: Iterable[Result],
    card: ModelCard,
    stream: IO[str],
    *,
    prevalence: float | None = None,
    operating_point: str | None = None,
) -> None:
    """Write one JSON document: `notice`, `model`, `results` and `errors`, in the files' order.

    Args:
        prevalence, operating_point: together they add `predictive_values`, by view ("any" for
            an unknown one).
    """
    read: list[dict[str, Any]] = []
    unread: list[dict[str, Any]] = []
    for result in results:
        rows = unread if isinstance(result, Unread) else read
        rows.append(record(result, prevalence=prevalence))
    document: dict[str, Any] = {
        "notice": NOTICE,
        "model": json.loads(card.to_json()),
        "results": read,
        "errors": unread,
    }
    if prevalence is not None and operating_point is not None:
        document["predictive_values"] = {
            one.view or ANY_VIEW: predictive_values(
                one.operating_point(operating_point), prevalence
            ).record()
            for one in (*card.views, card.calibration())
        }
    json.dump(document, stream, ensure_ascii=False, indent=2, allow_nan=False)
    stream.write("\n")


def write_jsonl(
    results: Iterable[Result], stream: IO[str], *, prevalence: float | None = None
) -> None:
    """JSON Lines: one record per line, written immediately, in the order of the files."""
    for result in results:
        line = record(result, prevalence=prevalence)
        stream.write(json.dumps(line, ensure_ascii=False, allow_nan=False) + "\n")
        stream.flush()


def write_csv(
    results: Iterable[Result], stream: IO[str], *, prevalence: float | None = None
) -> None:
    """CSV (RFC 4180) with the columns `CSV_COLUMNS`, line by line, in the order of the files.

    Flags are separated by spaces. An unreadable file has only `source` and `error`.
    """
    writer = csv.DictWriter(stream, CSV_COLUMNS, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    for result in results:
        writer.writerow(csv_row(result, prevalence=prevalence))
        stream.flush()


def csv_row(result: Result, *, prevalence: float | None = None) -> dict[str, Any]:
    """Return the values of `CSV_COLUMNS`, and others, for one result."""
    row = record(result, prevalence=prevalence)
    row["flags"] = " ".join(row.get("flags", ()))
    row["milliseconds"] = round(result.milliseconds, 2)
    if row["source"].startswith(("=", "+", "-", "@")):
        # A spreadsheet would interpret the name as a formula; this is the same path.
        row["source"] = "./" + row["source"]
    return {name: csv_cell(value, keep="\n") for name, value in row.items()}


def write_table(results: Sequence[Result], console: Console) -> None:
    """Print results by probability, then abstentions; fitted to a terminal, else plain rows."""
    ranked = sorted(results, key=rank)
    if console.is_terminal:
        _pretty(ranked, console)
    else:
        for line in _plain(ranked):
            console.file.write(line + "\n")
    line = NOTICE if ranked else "No results."
    console.print(Text(line, "dim" if console.is_terminal else ""), soft_wrap=True)


def _pretty(ranked: Sequence[Result], console: Console) -> None:
    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
    table.add_column("Probability", no_wrap=True)
    table.add_column("Decision", no_wrap=True)
    # AP and PA have separate thresholds, so the order of the rows is not that of the decisions.
    table.add_column("View", no_wrap=True)
    table.add_column("File", no_wrap=True)
    # The columns on the left have known widths: 15, 20 and 4 cells, each with a gap of 2.
    room = max(16, console.width - 15 - 20 - 4 - 6)
    for result in ranked:
        if isinstance(result, Unread):
            continue
        name = Text(shorten(printable(result.source), room))
        if result.reason:
            name.append("\n" + shorten_end(result.reason, room), "magenta")
        if result.flags:
            words = ", ".join(WORDS[flag] for flag in result.flags)
            name.append("\n" + shorten_end(words, room), "yellow")
        if result.abstained:
            decision = Text(ABSTAINED, "magenta")
            dash = Text("-".rjust(_BAR_CELLS + 6), "dim")
            table.add_row(dash, decision, result.view or "-", name)
            continue
        style = {SUSPECTED: "bold red", UNSURE: "yellow"}.get(result.decision, "green")
        value = Text(bar(result.probability, ascii_only=console.options.ascii_only), style)
        value.append(f" {result.probability:6.3f}", "bold")
        table.add_row(value, Text(result.decision, style), result.view or "-", name)
    if table.row_count:
        console.print(table)
        console.print()


def _plain(ranked: Sequence[Result]) -> Iterator[str]:
    rows = [("probability", "decision", "view", "flags", "file")]
    for result in ranked:
        if isinstance(result, Unread):
            continue
        rows.append(
            (
                "-" if result.abstained else f"{result.probability:.4f}",
                result.decision + (f": {result.reason}" if result.reason else ""),
                result.view or "-",
                ",".join(result.flags) or "-",
                printable(result.source),
            )
        )
    if len(rows) == 1:
        return
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=False)]
        yield "  ".join([*cells, row[4]])


def bar(value: float, *, ascii_only: bool = False) -> str:
    """Return a bar of 8 cells for a value in 0..1, to an eighth of a cell; whole cells in ASCII."""
    eighths = round(min(max(value, 0.0), 1.0) * _BAR_CELLS * 8)
    full, part = divmod(eighths, 8)
    if ascii_only:
        return ("#" * (full + (part >= 4))).ljust(_BAR_CELLS)
    return ("█" * full + (_EIGHTHS[part] if part else "")).ljust(_BAR_CELLS)


def shorten(path: str, room: int) -> str:
    """Return a path cut at its beginning to fit `room` terminal cells; its end is more specific."""
    if cell_len(path) <= room:
        return path
    while path and cell_len(path) > room - 1:
        path = path[1:]
    return "…" + path


def shorten_end(text: str, room: int) -> str:
    """Return a text cut at its end to fit `room` terminal cells."""
    if cell_len(text) <= room:
        return text
    while text and cell_len(text) > room - 1:
        text = text[:-1]
    return text + "…"


class HeatmapFolder:
    """A folder with one overlay PNG for each radiograph with a decision.

    A picture is named after its file ("IM1.dcm" becomes "IM1.heatmap.png"; the next of that name
    "IM1-2.heatmap.png") and contains no other fact of it. Abstentions have none, since a heat map
    would be a finding.
    """

    def __init__(self, folder: Path) -> None:
        """Use `folder`, which is created if needed."""
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self._taken: set[str] = set()

    def add(self, result: Result) -> Path | None:
        """Write the picture of a result with a thumbnail, and return its path."""
        if isinstance(result, Unread) or result.abstained or result.thumbnail is None:
            return None
        path = self.folder / self._name(result.source)
        heatmap.write_png(path, heatmap.overlay(result.thumbnail, result.heatmap, result.threshold))
        return path

    def _name(self, source: str) -> str:
        path = Path(source)
        stem = path.stem if path.suffix.lower() in EXTENSIONS else path.name
        # Characters that all common file systems accept; long names would leave no room for the
        # suffix.
        stem = re.sub(r'[\x00-\x1f<>:"/\\|?*]', "_", exact(stem)).strip(". ")[:80] or "radiograph"
        name, number = stem, 1
        while name.casefold() in self._taken:
            number += 1
            name = f"{stem}-{number}"
        self._taken.add(name.casefold())
        return name + HEATMAP_SUFFIX


def _number(value: float) -> float | None:
    return round(value, 7) if math.isfinite(value) else None
