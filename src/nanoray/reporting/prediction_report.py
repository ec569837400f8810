"""A report of a screening run: one HTML page that needs nothing but itself.

The page holds no script and asks the network for nothing (its Content-Security-Policy forbids
both); pictures are in it. What is switched on it, is switched by style sheet.
"""

from __future__ import annotations

import tempfile
from base64 import b64encode
from collections.abc import Iterable, Sequence
from datetime import datetime
from io import BytesIO
from pathlib import Path, PurePath
from types import TracebackType
from typing import IO, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from nanoray.detecting import heatmap
from nanoray.detecting.detector import Detector
from nanoray.detecting.flags import WORDS
from nanoray.detecting.prediction import SUSPECTED, UNSURE, Prediction, Result, Unread, rank
from nanoray.files import written_whole
from nanoray.reporting import prediction_page as page

PICTURE_PIXELS: Final = 448
"""Longer side of the pictures in the report."""
_JPEG_QUALITY = 72
# The browser enlarges the heat map smoothly, so that a small picture of it is enough.
_LAYER_PIXELS = 64


class Report:
    """Collects results and writes the page at the end.

    Pictures wait in a temporary file, not in memory. Used as a context manager; the page appears,
    whole, when the block ends without an error.

        with Report("report.html", detector) as report:
            for result in detector.predict_many(paths, thumbnails=True):
                report.add(result)
    """

    def __init__(
        self, path: str | Path, detector: Detector, *, when: datetime | None = None
    ) -> None:
        """Prepare a report at `path` of what `detector` says, dated `when` (now by default)."""
        self.path = Path(path)
        self._detector = detector
        self._when = when or datetime.now().astimezone()
        # Closed in __exit__.
        self._spool: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115
        # Rank, kind, whether flagged, and place in the temporary file of each result.
        self._entries: list[tuple[tuple[int, float, str], str, bool, int, int]] = []

    def add(self, result: Result) -> None:
        """Add a result; a prediction needs its thumbnail to have a picture."""
        if isinstance(result, Unread):
            kind, fragment, flagged = "unread", _unread_row(result), False
        elif result.abstained:
            kind, fragment, flagged = "abstained", _card(result, "abstained"), bool(result.flags)
        else:
            kind = {SUSPECTED: "suspected", UNSURE: "unsure"}.get(result.decision, "clear")
            fragment, flagged = _card(result, kind), bool(result.flags)
        data = fragment.encode("utf-8")
        self._entries.append((rank(result), kind, flagged, self._spool.tell(), len(data)))
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
        def put(text: str) -> None:
            stream.write(text.encode("utf-8"))

        entries = sorted(self._entries)
        counts = {
            kind: sum(entry[1] == kind for entry in entries)
            for kind in ("suspected", "unsure", "clear", "abstained", "unread")
        }
        flagged = sum(entry[2] for entry in entries if entry[1] in _DECIDED)
        probabilities = [-entry[0][1] for entry in entries if entry[1] in _DECIDED]
        words = page.run_words(self._detector.card, len(entries), self._when)
        put(page.head("Screening report", words))
        put(_summary(counts, probabilities, self._detector))
        put(_toolbar(counts, flagged))
        put('<main class="wrap" id="results">')
        for kinds, start, end in (
            (_DECIDED, _RANKED, "</ol></section>"),
            (("abstained",), _ABSTAINED, "</ol></section>"),
            (("unread",), _UNREAD, "</tbody></table></div></section>"),
        ):
            chosen = [entry for entry in entries if entry[1] in kinds]
            if not chosen:
                continue
            put(start)
            for number, (_, kind, has_flags, offset, length) in enumerate(chosen, 1):
                if kind != "unread":
                    flag = " flagged" if has_flags else ""
                    put(f'<li class="card {kind}{flag}" style="--rank:{number}">')
                self._spool.seek(offset)
                stream.write(self._spool.read(length))
            put(end)
        if not probabilities:
            put('<p class="muted">No file has a probability to rank.</p>')
        put(page.model_card(self._detector))
        put("</main>")
        put(page.foot())


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
    """A radiograph, uint8 [h, w], as the report shows it: above a strip with the caption."""
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


def _name(source: str) -> str:
    path = PurePath(source)
    folder = str(path.parent)
    above = "" if folder in ("", ".") else f'<span class="folder">{page.text(folder)}</span>'
    return f'<p class="name">{page.text(path.name or source)}{above}</p>'


def _film(prediction: Prediction) -> str:
    if prediction.thumbnail is None:
        return ""
    rows, columns = prediction.thumbnail.shape
    image = picture(prediction.thumbnail)
    width, height = image.size
    shape = "tall" if height >= width else "wide"
    # The heat map covers the radiograph, not the caption below it.
    film = 100.0 * rows * width / (columns * height)
    name = page.text(PurePath(prediction.source).name or prediction.source)
    pictures = f'<img src="{_jpeg(image)}" alt="Radiograph {name}">'
    if not prediction.abstained and heatmap.opacity(prediction.heatmap).max() > 0.02:
        scale = _LAYER_PIXELS / max(rows, columns)
        layer = heatmap.layer(
            prediction.heatmap, max(1, round(rows * scale)), max(1, round(columns * scale))
        )
        pictures += (
            f'<img class="heat" src="{_data_url("image/png", _small_png(layer))}" alt="Heat map">'
        )
    return (
        f'<figure class="film"><span class="frame {shape}" '
        f'style="aspect-ratio:{width}/{height};--film:{film:.2f}%">{pictures}</span></figure>'
    )


def _small_png(pixels: NDArray[np.uint8]) -> bytes:
    buffer = BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def _card(prediction: Prediction, kind: str) -> str:
    facts = prediction.facts
    flags = "".join(f"<li>{page.text(WORDS[flag])}</li>" for flag in prediction.flags)
    parts = [
        _film(prediction),
        '<div class="body"><div class="line">',
        f'<span class="chip">{page.text(prediction.decision)}</span>',
        '<span class="rank"></span>' if kind != "abstained" else "",
        "</div>",
    ]
    if kind == "abstained":
        parts.append(f'<p class="small">{page.text(prediction.reason or "")}</p>')
    else:
        value, cut = 100.0 * prediction.probability, 100.0 * prediction.threshold
        parts.append(
            '<div class="probability"><span class="muted small">Probability</span>'
            f'<span class="number">{prediction.probability:.3f}</span></div>'
            f'<div class="meter" style="--value:{value:.1f}%;--cut:{cut:.1f}%"></div>'
        )
    parts += [
        _name(prediction.source),
        f'<ul class="flags" aria-label="Quality flags">{flags}</ul>' if flags else "",
        f'<p class="facts">{page.text(facts.format)}, {facts.columns} × {facts.rows} pixels, '
        f"{prediction.milliseconds:.0f} ms</p>",
        "</div></li>\n",
    ]
    return "".join(parts)


def _unread_row(result: Unread) -> str:
    source, reason = page.text(result.source), page.text(result.error.reason)
    return f"<tr><th>{source}</th><td>{reason}</td></tr>\n"


def _summary(counts: dict[str, int], probabilities: Sequence[float], detector: Detector) -> str:
    words = [
        ("suspected", "opacity suspected"),
        ("clear", "no opacity suspected"),
        ("abstained", "abstained"),
        ("unread", "could not be read"),
    ]
    if detector.guarantee is not None:
        words.insert(1, ("unsure", "unsure"))
    tiles = "".join(
        f'<div class="tile {kind}"><span class="number">{counts[kind]}</span>'
        f'<span class="label">{label}</span></div>'
        for kind, label in words
    )
    return (
        f'<div class="wrap"><div class="summary">{tiles}'
        f'<div class="panel half"><h2>How the decision is made</h2>{page.decision(detector)}</div>'
        f'<div class="panel half"><h2>Probabilities of this run</h2>'
        f"{_histogram(probabilities, detector.threshold)}</div></div></div>\n"
    )


def _histogram(probabilities: Sequence[float], threshold: float) -> str:
    values = np.asarray(probabilities)
    over = values >= threshold
    below, above = (
        np.histogram(values[chosen], bins=page.BINS, range=(0.0, 1.0))[0].tolist()
        for chosen in (~over, over)
    )
    return page.histogram(below, above, threshold)


def _toolbar(counts: dict[str, int], flagged: int) -> str:
    both = sum(counts[kind] for kind in _DECIDED)
    shows = [
        ("all", f"all {both}"),
        ("only-suspected", f"opacity suspected {counts['suspected']}"),
        ("only-clear", f"no opacity suspected {counts['clear']}"),
        ("only-flagged", f"with flags {flagged}"),
    ]
    if counts["unsure"]:
        shows.insert(2, ("only-unsure", f"unsure {counts['unsure']}"))
    radios = "".join(
        f'<input class="choice" type="radio" name="show" id="{key}" aria-label="Show {label}"'
        f"{' checked' if key == 'all' else ''}>"
        for key, label in shows
    )
    labels = "".join(f'<label for="{key}">{label}</label>' for key, label in shows)
    return (
        '<input class="choice" type="checkbox" id="heat" aria-label="Heat map" checked>'
        '<input class="choice" type="checkbox" id="large" aria-label="Large pictures">'
        f'{radios}<div class="toolbar"><div class="wrap"><div class="group">'
        '<label for="heat">Heat map</label><label for="large">Large pictures</label></div>'
        f'<div class="group" role="group" aria-label="Show">{labels}</div>'
        '<div class="legend"><span>local probability 0</span><i></i><span>1</span></div>'
        "</div></div>\n"
    )


_DECIDED = ("suspected", "unsure", "clear")
_RANKED = (
    "<section><h2>Radiographs by probability</h2>"
    '<p class="muted small">The mark on each bar is the threshold. The heat map shows which part '
    "of the picture raised the probability; it is no outline of a finding.</p>"
    '<ol class="results ranked">\n'
)
_ABSTAINED = (
    "<section><h2>Abstained</h2>"
    '<p class="muted small">The detector gives no opinion on these: they are too unlike the '
    "frontal chest radiographs that it was trained on.</p>"
    '<ol class="results">\n'
)
_UNREAD = (
    "<section><h2>Could not be read</h2>"
    '<div class="panel scroll"><table><thead><tr><th scope="col">File</th>'
    '<th scope="col">Reason</th></tr></thead><tbody>\n'
)
