"""The results of `nanoray evaluate` as one HTML page."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import ClassVar

from markupsafe import Markup, escape
from PIL import Image

from nanoray.evaluating.evaluation import Evaluation
from nanoray.files import written_whole
from nanoray.reporting import page
from nanoray.reporting import results_table as table

_INTERVAL = re.compile(r"^(.*?) (\([^()]* to [^()]*\))$")

CAPTIONS = {
    "curves": "Receiver operating characteristic with the operating points of the last model, "
    "precision and recall with the prevalence in grey, and reliability in eight bins of as many "
    "radiographs each.",
    "confusion": "Radiographs at each model's default operating point; shares of each row.",
    "decision": "Decision curve: true positives, less the false positives weighed at the odds of "
    "the threshold, for each radiograph. A model is of use where it is above both marking all and "
    "marking none.",
    "pareto": "What a model costs and what it gives; bars are 95 % intervals, the area of a point "
    "follows the size of the file, the grey line joins the models that no other beats in both.",
    "groups": "Groups of the test images with 95 % intervals; in brackets positive and all images.",
    "robustness": "AUROC of the sample of pictures made worse; dotted, of the same pictures as "
    "they are.",
}


@dataclass(frozen=True, slots=True)
class Note:
    """A paragraph, in which asterisks emphasise."""

    text: str
    kind: ClassVar = "note"


@dataclass(frozen=True, slots=True)
class List:
    """Sentences, one below the other."""

    items: list[str]
    kind: ClassVar = "list"


@dataclass(frozen=True, slots=True)
class Table:
    """A table; `stacked`: with intervals below their figures."""

    rows: table.Rows
    stacked: bool = False
    kind: ClassVar = "table"


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture within the page."""

    url: str
    width: int
    height: int
    description: str
    caption: str


@dataclass(frozen=True, slots=True)
class Figures:
    """Pictures, one below the other."""

    pictures: list[Picture]
    kind: ClassVar = "figures"


@dataclass(frozen=True, slots=True)
class Section:
    """A section of the page with its heading; `key` is its anchor."""

    key: str
    title: str
    parts: tuple[Note | List | Table | Figures, ...]


def write_report(
    evaluation: Evaluation,
    pictures: dict[str, Path],
    gallery: Path | None,
    path: Path,
    *,
    when: datetime | None = None,
) -> None:
    """Write the page.

    Args:
        evaluation: the results.
        pictures: by name, see `nanoray.reporting.plots.PICTURES`.
        gallery: the sheet of best and worst cases.
        path: the page; it appears under this name when it is complete.
        when: the date on the page; now by default.
    """
    templates = page.templates().overlay()
    templates.filters = {**templates.filters, "figure": _figure, "emphasised": _emphasised}
    text = templates.get_template("evaluation_report.html.j2").render(
        title="Evaluation report",
        css=page.style("page.css", "evaluation.css"),
        when=when or datetime.now().astimezone(),
        data=evaluation.data,
        part=evaluation.part,
        introduction=table.introduction(evaluation),
        sections=list(_sections(evaluation, pictures, gallery)),
    )
    with written_whole(path, encoding="utf-8") as stream:
        stream.write(text)


def _figure(text: str) -> tuple[str, str]:
    """Split a cell into its figure and the interval in brackets, which may be empty."""
    found = _INTERVAL.match(text)
    return (found[1], found[2]) if found else (text, "")


def _emphasised(text: str) -> Markup:
    """Turn Markdown's emphasis, the only mark-up in the notes, into HTML's."""
    return Markup(re.sub(r"\*(.+?)\*", r"<em>\1</em>", str(escape(text))))


def _sections(
    evaluation: Evaluation, pictures: dict[str, Path], gallery: Path | None
) -> Iterator[Section]:
    def figures(*names: str) -> Figures:
        return Figures(
            [
                _picture(pictures[name], CAPTIONS[name].split(":")[0], CAPTIONS[name])
                for name in names
                if name in pictures
            ]
        )

    yield Section(
        "models",
        "The models",
        (
            Table(table.main_table(evaluation), stacked=True),
            Note(table.main_note(evaluation)),
            figures("pareto"),
        ),
    )
    if evaluation.pairs:
        yield Section(
            "pairs",
            "Is one better than another?",
            (
                Note(
                    "Differences are first minus second. Intervals draw patients and keep the "
                    "pairing; DeLong's test (Obuchowski 1997) and McNemar's (Obuchowski 1998) "
                    "allow for several images of a patient. A difference is called shown where "
                    "Holm's p is below 0.05 and the interval leaves out zero. “Right alone”: "
                    "images that only the first or only the second decides rightly."
                ),
                List([pair.verdict() for pair in evaluation.pairs]),
                Table(table.pairs_table(evaluation.pairs)),
            ),
        )
    yield Section(
        "discrimination",
        "Discrimination and calibration",
        (
            figures("curves"),
            Table(table.calibration_table(evaluation)),
            Note(
                "Before and after the division of the logit by the temperature of the model's "
                "card, which was fitted on validation images. Slope and intercept of the "
                "target's logistic regression on the logit: 1 and 0 are perfect."
            ),
        ),
    )
    yield Section(
        "points",
        "Operating points",
        (
            Table(table.points_table(evaluation)),
            Note("The thresholds were chosen on validation images and are fixed here."),
            figures("confusion", "decision"),
        ),
    )
    yield Section(
        "groups",
        "Groups of patients and images",
        (
            Note(_sentence(table.groups_note(evaluation))),
            figures("groups"),
            Table(table.groups_table(evaluation)),
        ),
    )
    if len(table.localisation_table(evaluation)) > 1:
        yield Section(
            "localisation",
            "Where the models look",
            (
                Note(_sentence(table.localisation_note(evaluation))),
                Table(table.localisation_table(evaluation)),
            ),
        )
    if evaluation.sample and evaluation.models[0].robustness:
        yield Section(
            "robustness",
            "Worse pictures",
            (
                Note(_sentence(table.robustness_note(evaluation))),
                figures("robustness"),
                Table(table.robustness_table(evaluation)),
            ),
        )
    if gallery is not None:
        caption = (
            f"The heat map is the local probability of {evaluation.models[-1].label}; it shows "
            "what raised the probability and is no outline of a finding."
        )
        shown = Figures([_picture(gallery, "Best and worst cases", caption)])
        yield Section("gallery", "Best and worst cases", (shown,))
    yield Section("files", "The model files", (Table(_files(evaluation)),))


def _sentence(note: str) -> str:
    """End a note that stands above a table in Markdown with a full stop."""
    return note.rstrip(":") + "."


def _files(evaluation: Evaluation) -> table.Rows:
    rows = [["model", "network", "input", "temperature", "refused", "bytes", "SHA-256"]]
    for model in evaluation.models:
        card = model.card
        rows.append(
            [
                model.label,
                f"{card.architecture}, {card.precision}",
                f"{card.input_size} × {card.input_size}",
                f"{card.temperature:.3f}",
                table.percent(model.refused),
                f"{model.size:,}".replace(",", "\u202f"),
                model.sha256[:16],
            ]
        )
    return rows


def _picture(path: Path, description: str, caption: str) -> Picture:
    with Image.open(path) as image:
        width, height = image.size
    kind = "jpeg" if path.suffix == ".jpg" else "png"
    data = b64encode(path.read_bytes()).decode("ascii")
    return Picture(f"data:image/{kind};base64,{data}", width, height, description, caption)
