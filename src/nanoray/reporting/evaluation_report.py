"""The results as one HTML page that needs nothing but itself, in the style of screening reports."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Iterator
from datetime import datetime
from html import escape
from importlib.resources import files
from pathlib import Path

from PIL import Image

from nanoray.detecting.model_file import NOTICE
from nanoray.evaluating.evaluation import Evaluation
from nanoray.reporting import results_table as table
from nanoray.version import __version__

_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; form-action 'none'"
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
        pictures: by name, see `nanoray.reporting.plots.PICTURES`.
        gallery: the sheet of best and worst cases.
        when: the date on the page; now by default.
    """
    page = "".join(_page(evaluation, pictures, gallery, when or datetime.now().astimezone()))
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(page, encoding="utf-8")
    partial.replace(path)


def _page(
    evaluation: Evaluation, pictures: dict[str, Path], gallery: Path | None, when: datetime
) -> Iterator[str]:
    yield _head(evaluation, when)
    sections = list(_sections(evaluation, pictures, gallery))
    links = "".join(f'<a href="#{key}">{escape(title)}</a>' for key, title, _ in sections)
    yield f'<nav class="contents" aria-label="Contents">{links}</nav>'
    for key, title, content in sections:
        yield f'<section id="{key}"><h2>{escape(title)}</h2>{content}</section>\n'
    yield "</main>" + _foot()


def _sections(
    evaluation: Evaluation, pictures: dict[str, Path], gallery: Path | None
) -> Iterator[tuple[str, str, str]]:
    yield (
        "models",
        "The models",
        _panel(table.main_table(evaluation), stacked=True)
        + _note(table.main_note(evaluation))
        + _figure(pictures, "pareto"),
    )
    if evaluation.pairs:
        verdicts = "".join(f"<li>{escape(pair.verdict())}</li>" for pair in evaluation.pairs)
        yield (
            "pairs",
            "Is one better than another?",
            _note(
                "Differences are first minus second. Intervals draw patients and keep the pairing; "
                "DeLong's test and McNemar's take the images as independent. A difference is "
                "called shown where Holm's p is below 0.05 and the interval leaves out zero. "
                "“Right alone”: images that only the first or only the second decides rightly."
            )
            + f'<div class="panel"><ul class="verdicts">{verdicts}</ul></div>'
            + _panel(table.pairs_table(evaluation.pairs)),
        )
    yield (
        "discrimination",
        "Discrimination and calibration",
        _figure(pictures, "curves")
        + _panel(table.calibration_table(evaluation))
        + _note(
            "Before and after the division of the logit by the temperature of the model's card, "
            "which was fitted on validation images. ECE over ten bins of equal width; it is "
            "biased upwards in few images, for all models alike."
        ),
    )
    yield (
        "points",
        "Operating points",
        _panel(table.points_table(evaluation))
        + _note("The thresholds were chosen on validation images and are fixed here.")
        + _figure(pictures, "confusion", "decision"),
    )
    yield (
        "groups",
        "Groups of patients and images",
        _note(table.groups_note(evaluation).rstrip(":") + ".")
        + _figure(pictures, "groups")
        + _panel(table.groups_table(evaluation)),
    )
    if len(table.localisation_table(evaluation)) > 1:
        yield (
            "localisation",
            "Where the models look",
            _note(table.localisation_note(evaluation).rstrip(":") + ".")
            + _panel(table.localisation_table(evaluation)),
        )
    if evaluation.sample and evaluation.models[0].robustness:
        yield (
            "robustness",
            "Worse pictures",
            _note(table.robustness_note(evaluation).rstrip(":") + ".")
            + _figure(pictures, "robustness")
            + _panel(table.robustness_table(evaluation)),
        )
    if gallery is not None:
        label = evaluation.models[-1].label
        caption = (
            f"The heat map is the local probability of {label}; it shows what raised the "
            "probability and is no outline of a finding."
        )
        yield "gallery", "Best and worst cases", _plate(gallery, "Best and worst cases", caption)
    yield "files", "The model files", _panel(_files(evaluation))


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


def _panel(rows: table.Rows, *, stacked: bool = False) -> str:
    head, *body = rows
    heads = "".join(f'<th scope="col">{escape(name)}</th>' for name in head)
    lines = []
    for first, *others in body:
        cells = "".join(f'<td class="number">{_cell(text)}</td>' for text in others)
        lines.append(f'<tr><th scope="row">{escape(first)}</th>{cells}</tr>')
    style = "panel scroll stacked" if stacked else "panel scroll"
    return (
        f'<div class="{style}"><table><thead><tr>{heads}</tr></thead>'
        f"<tbody>{''.join(lines)}</tbody></table></div>"
    )


def _cell(text: str) -> str:
    found = _INTERVAL.match(text)
    if found:
        return f'{escape(found[1])} <span class="muted small">{escape(found[2])}</span>'
    return escape(text)


def _note(text: str) -> str:
    # The only mark-up in the notes is Markdown's emphasis.
    words = re.sub(r"\*(.+?)\*", r"<em>\1</em>", escape(text))
    return f'<p class="muted small">{words}</p>'


def _figure(pictures: dict[str, Path], *names: str) -> str:
    shown = [
        _plate(pictures[name], CAPTIONS[name].split(":")[0], CAPTIONS[name])
        for name in names
        if name in pictures
    ]
    return f'<div class="figures">{"".join(shown)}</div>' if shown else ""


def _plate(path: Path, description: str, caption: str) -> str:
    with Image.open(path) as image:
        width, height = image.size
    kind = "jpeg" if path.suffix == ".jpg" else "png"
    data = b64encode(path.read_bytes()).decode("ascii")
    return (
        f'<div class="figures"><figure style="--natural:{width}px"><img width="{width}" '
        f'height="{height}" alt="{escape(description)}" src="data:image/{kind};base64,{data}">'
        f"<figcaption>{escape(caption)}</figcaption></figure></div>"
    )


def _head(evaluation: Evaluation, when: datetime) -> str:
    screening = (files("nanoray.reporting") / "prediction_report.css").read_text("utf-8")
    # That page's legend of heat maps is not on this one.
    css = screening.replace("LEGEND", "#000, #fff")
    css += (files("nanoray.reporting") / "evaluation_report.css").read_text("utf-8")
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{_POLICY}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<meta name="generator" content="NanoRay {__version__}">
<title>NanoRay evaluation report</title>
<style>
{css}</style>
</head>
<body>
<a class="skip" href="#models">Skip to the results</a>
<header class="wrap head">
<p class="brand">NanoRay</p>
<h1>Evaluation report</h1>
<p class="muted">{escape(evaluation.data)}, {escape(evaluation.part)} part, {when:%d %B %Y}.
{escape(table.introduction(evaluation))}</p>
<p class="notice" role="note"><strong>{escape(NOTICE)}</strong></p>
</header>
<main class="wrap" id="results">
"""


def _foot() -> str:
    return (
        f'<footer class="wrap"><p><strong>{escape(NOTICE)}</strong></p>'
        "<p>This page is complete in itself: it runs no script and loads nothing from a network. "
        "It may hold pictures of radiographs; keep it as you keep those.</p></footer>\n"
        "</body>\n</html>\n"
    )
