"""Summary of an archive's rows: a page, its numbers, and a ranked list."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from nanoray.archives.run_folder import RunFolder
from nanoray.detecting.detector import Detector
from nanoray.detecting.flags import WORDS
from nanoray.detecting.model_file import NOTICE
from nanoray.detecting.prediction import ABSTAINED, NOT_SUSPECTED, SUSPECTED
from nanoray.evaluating.shift import AgainstReference, Shift, advice
from nanoray.files import csv_cell
from nanoray.reading.candidates import HEATMAP_SUFFIX
from nanoray.reporting import page

if TYPE_CHECKING:
    import pyarrow as pa

TOP: Final = 1000
"""Radiographs in the ranked list by default."""
ON_PAGE: Final = 50
CATEGORIES: Final = ("view", "modality", "sex", "transfer_syntax")
COLUMNS: Final = (
    "source",
    "content",
    "probability",
    "decision",
    "novelty",
    "brightness",
    "contrast",
    "sharpness",
    "flags",
    "code",
    "error",
    *CATEGORIES,
)


@dataclass(frozen=True, slots=True)
class Ranked:
    """An entry of the ranked list; `copies` are the files with the same content."""

    source: str
    content: str
    probability: float
    decision: str
    flags: tuple[str, ...]
    copies: int = 1


@dataclass(slots=True)
class Summary:
    """Counts of an archive's rows.

    Attributes:
        files: number of rows.
        distinct: number of different contents among the fetched files.
        copies: files with the content of another.
        decisions, errors, flags: counts; errors by reason in words.
        categories: counts of the values of each of `CATEGORIES`.
        below, above: histogram of the probabilities with a decision, by the threshold of the view.
        shifts: from the validation images of the model; empty if its card has none.
        outline: shares of the validation images in the bins of the histogram.
        ranked: by falling probability.
    """

    files: int = 0
    distinct: int = 0
    copies: int = 0
    decisions: Counter[str] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)
    flags: Counter[str] = field(default_factory=Counter)
    categories: dict[str, Counter[str]] = field(default_factory=dict)
    below: list[int] = field(default_factory=lambda: [0] * page.BINS)
    above: list[int] = field(default_factory=lambda: [0] * page.BINS)
    shifts: dict[str, Shift] = field(default_factory=dict)
    outline: list[float] | None = None
    ranked: list[Ranked] = field(default_factory=list)

    @property
    def unread(self) -> int:
        """Files without a prediction."""
        return sum(self.errors.values())


def summarise(run: RunFolder, detector: Detector, *, top: int = TOP) -> Summary:
    """Summarise all rows in one pass, a part at a time.

    Memory contains only the list of the `top`, and 8 bytes per file to count distinct contents.
    """
    summary = Summary(categories={name: Counter() for name in CATEGORIES})
    reference = detector.card.reference
    against = AgainstReference(reference) if reference is not None and reference.count else None
    contents: list[NDArray[np.uint64]] = []
    best: list[Ranked] = []
    for table in run.tables(list(COLUMNS)):
        _count(summary, table)
        contents.append(_short(table.column("content")))
        best = _best([*best, *_candidates(table, best, top)], top)
        if against is not None:
            decided = _decided(table)
            for name in against.names:
                against.add(name, _numbers(decided.column(name)))
    every = np.concatenate(contents) if contents else np.zeros(0, np.uint64)
    summary.distinct = len(np.unique(every))
    summary.copies = len(every) - summary.distinct
    summary.ranked = best
    if against is not None:
        summary.shifts = {shift.name: shift for shift in against.shifts()}
        if "probability" in against.names:
            summary.outline = against.shares("probability", page.BINS)
    return summary


def _decided(table: pa.Table) -> pa.Table:
    import pyarrow.compute as pc

    decision = table.column("decision").cast("string")
    return table.filter(pc.fill_null(pc.not_equal(decision, ABSTAINED), False))


def _numbers(column: pa.ChunkedArray) -> NDArray[np.float64]:
    return np.asarray(column.cast("float64").to_numpy(), np.float64)


def _tally(column: pa.ChunkedArray) -> Counter[str]:
    found = column.cast("string").value_counts().to_pylist()
    return Counter({item["values"]: item["counts"] for item in found if item["values"] is not None})


def _count(summary: Summary, table: pa.Table) -> None:
    import pyarrow.compute as pc

    summary.files += table.num_rows
    summary.decisions += _tally(table.column("decision"))
    summary.errors += _tally(table.column("error"))
    for name in CATEGORIES:
        summary.categories[name] += _tally(table.column(name))
    flags = table.column("flags")
    for chunk in flags.chunks:
        summary.flags += Counter(chunk.flatten().to_pylist())
    decided = _decided(table)
    values = _numbers(decided.column("probability"))
    suspected = pc.equal(decided.column("decision").cast("string"), SUSPECTED)
    over = np.asarray(suspected.to_numpy(), bool)
    finite = np.isfinite(values)
    values, over = values[finite], over[finite]
    for counts, chosen in ((summary.below, ~over), (summary.above, over)):
        found = np.histogram(values[chosen], bins=page.BINS, range=(0.0, 1.0))[0]
        counts[:] = [a + int(b) for a, b in zip(counts, found, strict=True)]


def _short(contents: pa.ChunkedArray) -> NDArray[np.uint64]:
    """Cut digests to 8 bytes: of 4000 archives with 100 million files, one has a collision."""
    digests = b"".join(bytes.fromhex(value[:16]) for value in contents.drop_null().to_pylist())
    return np.frombuffer(digests, np.uint64)


def _candidates(table: pa.Table, best: Sequence[Ranked], top: int) -> list[Ranked]:
    """Return the rows that may still enter the list."""
    decided = _decided(table)
    values = _numbers(decided.column("probability"))
    lowest = best[-1].probability if len(best) >= top else -1.0
    order = np.argsort(-values, kind="stable")[:top]
    chosen = order[values[order] >= lowest]
    return [
        Ranked(
            row["source"], row["content"], row["probability"], row["decision"], tuple(row["flags"])
        )
        for row in decided.take(chosen).to_pylist()
    ]


def _best(entries: Sequence[Ranked], top: int) -> list[Ranked]:
    """Choose the `top` by probability, each content once; ties in listing order."""
    found: dict[str, Ranked] = {}
    for entry in entries:
        earlier = found.get(entry.content)
        if earlier is None:
            found[entry.content] = entry
        else:
            found[entry.content] = Ranked(
                earlier.source,
                earlier.content,
                earlier.probability,
                earlier.decision,
                earlier.flags,
                earlier.copies + entry.copies,
            )
    return sorted(found.values(), key=lambda entry: -entry.probability)[:top]


def write_summary(
    run: RunFolder, detector: Detector, summary: Summary, *, when: datetime | None = None
) -> None:
    """Write `summary.html`, `summary.json` and `ranked.csv` into the run's folder."""
    when = when or datetime.now().astimezone()
    run.write("ranked.csv", _ranked_csv(summary.ranked))
    run.write("summary.json", _json(summary, detector, when))
    run.write("summary.html", _html(run, detector, summary, when).encode())


def _ranked_csv(ranked: Sequence[Ranked]) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["rank", "probability", "decision", "source", "content", "copies", "flags"])
    for number, entry in enumerate(ranked, 1):
        source = entry.source
        if source.startswith(("=", "+", "-", "@")):
            # A spreadsheet would interpret the name as a formula; this is the same path.
            source = "./" + source
        writer.writerow(
            [
                number,
                entry.probability,
                entry.decision,
                csv_cell(source),
                entry.content,
                entry.copies,
                " ".join(entry.flags),
            ]
        )
    return text.getvalue().encode("utf-8", "backslashreplace")


def _json(summary: Summary, detector: Detector, when: datetime) -> bytes:
    document = {
        "notice": NOTICE,
        "date": when.isoformat(timespec="seconds"),
        "model": detector.card.name,
        "model_version": detector.card.version,
        "threshold": detector.threshold,
        "files": summary.files,
        "distinct_contents": summary.distinct,
        "copies": summary.copies,
        "decisions": dict(summary.decisions),
        "unreadable": summary.unread,
        "errors": dict(summary.errors.most_common()),
        "flags": dict(summary.flags.most_common()),
        "categories": {name: dict(c.most_common()) for name, c in summary.categories.items()},
        "histogram": {
            "bins": page.BINS,
            "below_threshold": summary.below,
            "above_threshold": summary.above,
        },
        "drift": {
            name: asdict(shift) | {"verdict": shift.verdict}
            for name, shift in summary.shifts.items()
        },
        "advice": advice(summary.shifts) if summary.shifts else None,
    }
    return (json.dumps(document, indent=2, ensure_ascii=False) + "\n").encode()


def _html(run: RunFolder, detector: Detector, summary: Summary, when: datetime) -> str:
    return (
        page.templates()
        .get_template("archive_summary.html.j2")
        .render(
            title="Archive summary",
            css=page.style("page.css"),
            detector=detector,
            when=when,
            summary=summary,
            counts=[
                ("suspected", summary.decisions[SUSPECTED], SUSPECTED),
                ("clear", summary.decisions[NOT_SUSPECTED], NOT_SUSPECTED),
                ("abstained", summary.decisions[ABSTAINED], ABSTAINED),
                ("unread", summary.unread, "could not be read"),
            ],
            chart=page.histogram(
                summary.below, summary.above, page.thresholds(detector), summary.outline
            ),
            advice=advice(summary.shifts) if summary.shifts else "",
            errors=_ordered(summary.errors),
            flags=_ordered(Counter({WORDS[flag]: n for flag, n in summary.flags.items()})),
            categories={name: _ordered(counts) for name, counts in summary.categories.items()},
            ranked=[(entry, _overlay(run, entry)) for entry in summary.ranked[:ON_PAGE]],
            suspected=SUSPECTED,
            words=WORDS,
            hashed=run.settings.key_check is not None,
        )
    )


def _ordered(counts: Counter[str]) -> list[tuple[str, int]]:
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))


def _overlay(run: RunFolder, entry: Ranked) -> str:
    """Return the path of an entry's heat map in the run's folder; empty if it has none."""
    pictured = run.settings.heatmaps
    if pictured == "all" or (pictured == "suspected" and entry.decision == SUSPECTED):
        return f"heatmaps/{entry.content[:2]}/{entry.content}{HEATMAP_SUFFIX}"
    return ""
