"""The results of `nanoray evaluate` as one HTML page."""

from __future__ import annotations

import hashlib
import json
import re
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, ClassVar

from markupsafe import Markup, escape
from PIL import Image

from nanoray.detecting.model_file import ModelCard
from nanoray.evaluating.evaluation import Evaluation
from nanoray.evaluating.resampling import draw_patients
from nanoray.evaluating.threshold_curves import threshold_curves
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
    "stress": "AUROC with a part of every radiograph greyed out, with 95 % intervals; dotted, of "
    "the whole radiographs; grey, of the view alone.",
}


@dataclass(frozen=True, slots=True)
class Note:
    """A paragraph with emphasis by asterisks."""

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
class Explorer:
    """Sliders for threshold and prevalence: the data as JSON, and the page's only script."""

    data: Markup
    script: Markup
    kind: ClassVar = "explorer"

    @property
    def script_hash(self) -> str:
        """Source expression of the script for the page's Content-Security-Policy (CSP 3, 2.3.1)."""
        return "sha256-" + b64encode(hashlib.sha256(self.script.encode()).digest()).decode()


@dataclass(frozen=True, slots=True)
class Section:
    """A section of the page with its heading; `key` is its anchor."""

    key: str
    title: str
    parts: tuple[Note | List | Table | Figures | Explorer, ...]


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
    explorer = explore(evaluation)
    templates = page.templates().overlay()
    templates.filters = {**templates.filters, "figure": _figure, "emphasised": _emphasised}
    text = templates.get_template("evaluation_report.html.j2").render(
        title="Evaluation report",
        css=page.style("page.css", "evaluation.css"),
        when=when or datetime.now().astimezone(),
        data=evaluation.data,
        part=evaluation.part,
        introduction=table.introduction(evaluation),
        sections=list(_sections(evaluation, pictures, gallery, explorer)),
        script_hash=explorer.script_hash,
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
    evaluation: Evaluation, pictures: dict[str, Path], gallery: Path | None, explorer: Explorer
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
                    "allow for several images of a patient. A difference is called shown if Holm's "
                    "p is below 0.05 and the interval excludes zero. “Right alone”: images that "
                    "only the first or only the second classifies correctly."
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
            Table(table.outcomes_table(evaluation)),
            Note(table.OUTCOMES_NOTE),
        ),
    )
    yield Section(
        "explorer",
        "Threshold explorer",
        (
            Note(
                "Figures of a threshold at your prevalence. Predictive values, ratios "
                "and counts follow from the sensitivity and specificity shown, whose intervals "
                "draw patients. A threshold chosen here is chosen on these images: judge it on "
                "others."
            ),
            explorer,
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
    if evaluation.shortcuts is not None:
        yield Section(
            "stress",
            "What the models lean on",
            (
                Note(_sentence(table.stress_note(evaluation))),
                figures("stress"),
                Table(table.stress_table(evaluation)),
            ),
        )
    if gallery is not None:
        caption = (
            f"The heat map is the local probability of {evaluation.models[-1].label}; it shows "
            "the evidence for the probability, not the outline of a finding."
        )
        shown = Figures([_picture(gallery, "Best and worst cases", caption)])
        yield Section("gallery", "Best and worst cases", (shown,))
    yield Section("files", "The model files", (Table(_files(evaluation)),))


def explore(evaluation: Evaluation) -> Explorer:
    """Collect the explorer's data of every model."""
    resampling = draw_patients(
        [case.patient for case in evaluation.cases], evaluation.targets, samples=evaluation.draws
    )
    views = [case.view for case in evaluation.cases]
    models = []
    for model in evaluation.models:
        curves = threshold_curves(model.probabilities, evaluation.targets, views, resampling)
        models.append(
            {
                "name": model.label,
                "usual": model.card.default_operating_point,
                "curves": [
                    {
                        "name": one.view or "all, one threshold",
                        "positive": one.positive,
                        "negative": one.negative,
                        "sensitivity": one.sensitivity.round(4).tolist(),
                        "specificity": one.specificity.round(4).tolist(),
                        "points": _points(model.card, one.view),
                    }
                    for one in curves
                ],
            }
        )
    prevalence = evaluation.models[-1].card.prevalence or float(evaluation.targets.mean())
    document = json.dumps({"prevalence": round(100 * prevalence, 1), "models": models})
    loader = page.templates().loader
    assert loader is not None
    # A label could contain the end tag of the element.
    return Explorer(
        Markup(document.replace("<", "\\u003c")),
        Markup(loader.get_source(page.templates(), "explorer.js")[0]),
    )


def _points(card: ModelCard, view: str | None) -> list[dict[str, Any]]:
    """Return the operating points of a view, or of all views if the card has none by view."""
    if view is None and card.views:
        return []
    calibration = card.calibration(view)
    return [
        {"name": point.name, "threshold": point.threshold} for point in calibration.operating_points
    ]


def _sentence(note: str) -> str:
    """End a note above a table in Markdown with a full stop."""
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
