"""`nanoray info`: the metadata stored in a model file."""

from __future__ import annotations

import json
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from nanoray.detecting.model_file import ModelCard


class Format(str, Enum):
    """Output formats of the card."""

    text = "text"
    json = "json"
    chai = "chai"
    huggingface = "huggingface"
    google = "google"


def info(
    model: Annotated[
        Path | None,
        typer.Argument(
            metavar="[MODEL]",
            help="A model file; the packaged model by default.",
            show_default=False,
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the card as JSON.")] = False,
    form: Annotated[
        Format,
        typer.Option(
            "--format",
            "-f",
            help="chai: XML of the Coalition for Health AI's Applied Model Card 0.2; huggingface: "
            "README with a YAML head; google: JSON of the Model Card Toolkit.",
        ),
    ] = Format.text,
) -> None:
    """Print the model card from a model file's metadata."""
    from rich.console import Console

    from nanoray.detecting.model_file import packaged_model, read_card
    from nanoray.exporting import card_formats

    path = packaged_model() if model is None else model
    card = read_card(path)
    if form is Format.chai:
        typer.echo(card_formats.chai(card), nl=False)
        return
    if form is Format.huggingface:
        typer.echo(card_formats.huggingface(card), nl=False)
        return
    if form is Format.google:
        typer.echo(json.dumps(card_formats.google(card), indent=2, ensure_ascii=False))
        return
    if as_json or form is Format.json:
        typer.echo(json.dumps(json.loads(card.to_json()), indent=2, ensure_ascii=False))
        return
    console = Console(highlight=False)
    if not console.is_terminal:
        # Lines are not wrapped for a file or a pipe.
        console = Console(highlight=False, width=10_000)
    _show(card, path, console)


def _show(card: ModelCard, path: Path, console: Console) -> None:
    from rich.table import Table
    from rich.text import Text

    from nanoray.files import printable

    console.print(Text(f"{card.name} {card.version}", "bold"), Text(f"({card.date})", "dim"))
    console.print(Text(card.notice, "yellow"))
    console.print()

    pairs = Table.grid(padding=(0, 2, 0, 0))
    pairs.add_column(style="dim", no_wrap=True)
    pairs.add_column(overflow="fold")
    for label, value in (
        ("File", f"{printable(str(path))} ({path.stat().st_size / 1e6:.2f} MB)"),
        ("Looks for", card.target),
        ("Network", f"{card.architecture}, {card.precision}"),
        ("Input", f"{card.input_size} x {card.input_size} pixels"),
        ("Calibration", f"temperature {card.temperature:.4g}{_prevalence(card)}"),
        ("Abstains above", f"novelty {card.novelty_limit:.4g}"),
        ("Trained on", card.training_data),
        ("Licence", card.licence),
        ("Made by", card.command),
    ):
        pairs.add_row(label, Text(value))
    console.print(pairs)
    console.print()

    points = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 3, 0, 0))
    points.add_column("Operating point", no_wrap=True)
    for heading in ("View", "Threshold", "Sensitivity (95 %)", "Specificity (95 %)"):
        points.add_column(heading, no_wrap=True)
    views = [(one.view, one.operating_points) for one in card.views]
    for view, view_points in [*views, ("unknown" if views else "any", card.operating_points)]:
        for point in view_points:
            default = point.name == card.default_operating_point
            points.add_row(
                Text(point.name + (" *" if default else ""), "bold" if default else ""),
                view,
                f"{point.threshold:.3f}",
                _percent(point.sensitivity, point.sensitivity_interval),
                _percent(point.specificity, point.specificity_interval),
            )
    console.print(points)
    console.print(Text("* default; on the images that chose the thresholds", "dim"))
    if card.metrics:
        console.print()
        metrics = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 3, 0, 0))
        metrics.add_column("Figure", no_wrap=True)
        metrics.add_column("Value (95 %)", no_wrap=True)
        for name, (mean, low, high) in card.metrics.items():
            metrics.add_row(Text(name), f"{mean:.3f} ({low:.3f} to {high:.3f})")
        console.print(metrics)


def _prevalence(card: ModelCard) -> str:
    if card.prevalence is None:
        return ""
    return f", for {100 * card.prevalence:.1f} % of radiographs with the finding"


def _percent(value: float, interval: tuple[float, float]) -> str:
    return f"{100 * value:.1f} ({100 * interval[0]:.1f} to {100 * interval[1]:.1f})"
