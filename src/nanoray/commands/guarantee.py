"""`nanoray guarantee`: thresholds by view and bounds on missed opacities, from held-out scores."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nanoray.commands.extras import require_extra


def guarantee(
    model: Annotated[
        Path, typer.Argument(metavar="MODEL", help="The model file.", exists=True, dir_okay=False)
    ],
    scores: Annotated[
        Path,
        typer.Option(
            help="CSV of out-of-fold scores: patientId, fold, seed, logit.",
            exists=True,
            dir_okay=False,
            show_default=False,
        ),
    ],
    data: Annotated[
        Path,
        typer.Option(
            help="Labelled data set of the scores.",
            exists=True,
            file_okay=False,
            show_default=False,
        ),
    ],
    output: Annotated[
        Path,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            dir_okay=False,
            help="The new model file; may replace the old one.",
            show_default=False,
        ),
    ],
    mix: Annotated[
        Path | None,
        typer.Option(
            help="CSV of the population (class_name, view, box_area, images) of the probabilities; "
            "default: the unweighted images.",
            exists=True,
            dir_okay=False,
        ),
    ] = None,
    levels: Annotated[
        str, typer.Option(help="Largest shares of missed patients, separated by commas.")
    ] = "0.02,0.05,0.1",
    seed: Annotated[
        int | None,
        typer.Option(help="Seed whose scores are used.", show_default="the lowest"),
    ] = None,
    offset: Annotated[
        float | None,
        typer.Option(
            help="Number to add to the scores, to convert them to the scale of the file's logits.",
            show_default="the shifts of earlier calibrations of the file",
        ),
    ] = None,
    recipe: Annotated[
        str | None,
        typer.Option(help="Recipe to use, if the scores are of several.", show_default=False),
    ] = None,
    split: Annotated[
        Path | None,
        typer.Option(
            help="Split of the file's training run; its validation images are used to convert the "
            "scores to the scale of the file's logits.",
            exists=True,
            dir_okay=False,
            show_default=False,
        ),
    ] = None,
    report: Annotated[
        Path | None,
        typer.Option(metavar="DIR", file_okay=False, help="Write the tables and a picture here."),
    ] = None,
    splits: Annotated[
        int, typer.Option(min=0, help="Number of re-splits by patient for the coverage.")
    ] = 1000,
) -> None:
    """Fit calibration, thresholds by view and guarantees to scores of a cross-validation.

    Writes them into the card of a model file. Also writes tables of sensitivity and specificity by
    view, and of the guarantees' coverage over re-splits by patient.
    """
    require_extra("calibrate")
    require_extra("evaluate")
    from nanoray.detecting.detector import load
    from nanoray.exporting.card import shift_of, write_card
    from nanoray.exporting.guarantee import fit_guarantee, parse_levels
    from nanoray.reporting.guarantee_table import markdown, write_guarantee

    try:
        wanted = parse_levels(levels)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--levels") from None
    if not output.parent.is_dir():
        raise typer.BadParameter(f"{output}: no such folder as {output.parent}")
    detector = load(model)
    found = fit_guarantee(
        detector,
        scores,
        data,
        mix=mix,
        levels=wanted,
        seed=seed,
        recipe=recipe,
        split=split,
        offset=shift_of(model) if offset is None else offset,
        splits=splits,
    )
    write_card(model, found.fit.card, output=output, shift=found.fit.shift)
    typer.echo(markdown(found))
    if report is not None:
        report.mkdir(parents=True, exist_ok=True)
        for path in write_guarantee(found, report):
            typer.echo(f"nanoray: written: {path}", err=True)
    typer.echo(f"nanoray: model file: {output}", err=True)
