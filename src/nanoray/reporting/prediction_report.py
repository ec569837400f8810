"""The report of a run of `nanoray predict`: one HTML page with its pictures.

The style sheet switches heat maps and kinds of results on and off, without a script.
"""

from __future__ import annotations

import tempfile
from base64 import b64encode
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from io import BytesIO
from pathlib import Path, PurePath
from types import TracebackType
from typing import IO, Final

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray
from PIL import Image

from nanoray.detecting import heatmap
from nanoray.detecting.detector import Detector
from nanoray.detecting.flags import WORDS
from nanoray.detecting.prediction import (
    ABSTAINED,
    NOT_SUSPECTED,
    SUSPECTED,
    UNSURE,
    Prediction,
    Result,
    Unread,
    rank,
)
from nanoray.files import written_whole
from nanoray.reporting import page

PICTURE_PIXELS: Final = 448
"""Longer side of the pictures in the report."""
_JPEG_QUALITY = 72
# An outline and a tint compress to a few kilobytes at this size.
_LAYER_PIXELS = 320
_KINDS = {SUSPECTED: "suspected", UNSURE: "unsure", ABSTAINED: "abstained"}
"""Names of the decisions in the style sheet; any other is clear."""
_DECIDED = ("suspected", "unsure", "clear")


@dataclass(frozen=True, slots=True)
class _Entry:
    """A result with its HTML in the temporary file."""

    rank: tuple[int, float, str]
    kind: str
    flagged: bool
    offset: int
    length: int


class Report:
    """Collects results and writes the page at the end.

    Pictures are stored in a temporary file, not in memory. Used as a context manager: the page is
    written when the block ends without an error.

        with Report("report.html", detector) as report:
            for result in detector.predict_many(paths, thumbnails=True):
                report.add(result)
    """

    def __init__(
        self, path: str | Path, detector: Detector, *, when: datetime | None = None
    ) -> None:
        """Prepare a report at `path` of results of `detector`, dated `when` (now by default)."""
        self.path = Path(path)
        self._detector = detector
        self._when = when or datetime.now().astimezone()
        # Closed in __exit__.
        self._spool: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115
        self._entries: list[_Entry] = []

    def add(self, result: Result) -> None:
        """Add a result; a prediction needs its thumbnail to have a picture."""
        if isinstance(result, Unread):
            kind, flagged, body = "unread", False, _unread_row(result)
        else:
            kind = _KINDS.get(result.decision, "clear")
            flagged, body = bool(result.flags), _card(result)
        data = body.encode("utf-8")
        entry = _Entry(rank(result), kind, flagged, self._spool.tell(), len(data))
        self._entries.append(entry)
        self._spool.write(data)

    def __enter__(self) -> Report:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with self._spool:
            if kind is None:
                with written_whole(self.path, "wb") as stream:
                    self._write(stream)

    def _write(self, stream: IO[bytes]) -> None:
        entries = sorted(self._entries, key=lambda entry: entry.rank)
        decided = [entry for entry in entries if entry.kind in _DECIDED]
        counts = Counter(entry.kind for entry in entries)
        page.templates().get_template("prediction_report.html.j2").stream(
            title="Screening report",
            css=page.style("page.css"),
            detector=self._detector,
            when=self._when,
            files=len(entries),
            counts=_tiles(counts, unsure=self._detector.guarantee is not None),
            chart=_histogram(decided, page.thresholds(self._detector)),
            shows=_shows(counts, len(decided), sum(entry.flagged for entry in decided)),
            decided=decided,
            abstained=[entry for entry in entries if entry.kind == "abstained"],
            unread=[entry for entry in entries if entry.kind == "unread"],
            body=self._body,
        ).dump(stream, encoding="utf-8")

    def _body(self, entry: _Entry) -> Markup:
        self._spool.seek(entry.offset)
        return Markup(self._spool.read(entry.length).decode("utf-8"))


def write_report(
    results: Iterable[Result],
    detector: Detector,
    path: str | Path,
    *,
    when: datetime | None = None,
) -> None:
    """Write a report of results (with thumbnails) as one HTML page."""
    with Report(path, detector, when=when) as report:
        for result in results:
            report.add(result)


def picture(thumbnail: NDArray[np.uint8]) -> Image.Image:
    """Return a radiograph, uint8 [h, w], for the report: above a strip with the caption."""
    image = Image.fromarray(thumbnail)
    image.thumbnail((PICTURE_PIXELS, PICTURE_PIXELS), Image.Resampling.BILINEAR)
    strip = max(14, round(min(image.size) / 20))
    film = Image.new("L", (image.width, image.height + strip))
    film.paste(image)
    return heatmap.caption(film)


def _jpeg(image: Image.Image) -> str:
    buffer = BytesIO()
    image.save(buffer, "JPEG", quality=_JPEG_QUALITY, optimize=True)
    return _data_url("image/jpeg", buffer.getvalue())


def _data_url(kind: str, data: bytes) -> str:
    return f"data:{kind};base64,{b64encode(data).decode('ascii')}"


@dataclass(frozen=True, slots=True)
class _Film:
    """A radiograph's picture with its caption, and the heat map over it, as data URLs.

    Attributes:
        share: height of the radiograph without the caption, per cent of its width.
        layer: the heat map; empty without one.
    """

    picture: str
    width: int
    height: int
    share: float
    layer: str


def _film(prediction: Prediction) -> _Film | None:
    if prediction.thumbnail is None:
        return None
    rows, columns = prediction.thumbnail.shape
    image = picture(prediction.thumbnail)
    layer = ""
    if not prediction.abstained and heatmap.evident(prediction.heatmap, prediction.threshold):
        scale = _LAYER_PIXELS / max(rows, columns)
        small = heatmap.layer(
            prediction.heatmap,
            max(1, round(rows * scale)),
            max(1, round(columns * scale)),
            prediction.threshold,
        )
        layer = _data_url("image/png", _small_png(small))
    # The heat map covers the radiograph, not the caption below it.
    share = 100.0 * rows * image.width / (columns * image.height)
    return _Film(_jpeg(image), image.width, image.height, share, layer)


def _small_png(pixels: NDArray[np.uint8]) -> bytes:
    buffer = BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def _card(prediction: Prediction) -> str:
    path = PurePath(prediction.source)
    return (
        page.templates()
        .get_template("prediction_card.html.j2")
        .render(
            result=prediction,
            film=_film(prediction),
            name=path.name or prediction.source,
            folder="" if str(path.parent) == "." else str(path.parent),
            words=WORDS,
        )
    )


def _unread_row(result: Unread) -> str:
    return page.templates().get_template("unread_row.html.j2").render(result=result)


def _tiles(counts: Counter[str], *, unsure: bool) -> list[tuple[str, int, str]]:
    """List kind, count and label of each tile; "unsure" only with a guarantee."""
    return [
        (kind, counts[kind], label)
        for kind, label in (
            ("suspected", SUSPECTED),
            ("unsure", UNSURE),
            ("clear", NOT_SUSPECTED),
            ("abstained", ABSTAINED),
            ("unread", "could not be read"),
        )
        if unsure or kind != "unsure"
    ]


def _histogram(decided: Sequence[_Entry], cuts: Sequence[tuple[str, float]]) -> page.Histogram:
    values = np.array([-entry.rank[1] for entry in decided])
    # By the decision: the views have different thresholds.
    over = np.array([entry.kind == "suspected" for entry in decided], bool)
    below, above = (
        np.histogram(values[chosen], bins=page.BINS, range=(0.0, 1.0))[0].tolist()
        for chosen in (~over, over)
    )
    return page.histogram(below, above, cuts)


def _shows(counts: Counter[str], decided: int, flagged: int) -> list[tuple[str, str]]:
    """List the filters of the page: a key of the style sheet, and a label."""
    shows = [
        ("all", f"all {decided}"),
        ("only-suspected", f"{SUSPECTED} {counts['suspected']}"),
        ("only-clear", f"{NOT_SUSPECTED} {counts['clear']}"),
        ("only-flagged", f"with flags {flagged}"),
    ]
    if counts["unsure"]:
        shows.insert(2, ("only-unsure", f"{UNSURE} {counts['unsure']}"))
    return shows
