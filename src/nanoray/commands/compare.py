"""`nanoray compare`: models of several evaluations, on the same images."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nanoray.commands.extras import require_extra


def compare(
    results: Annotated[
        list[Path], typer.Argument(help="Result folders of `nanoray evaluate`.", exists=True)
    ],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Markdown file of the table.")
    ] = None,
    draws: Annotated[
        int, typer.Option(help="Draws of the bootstrap over patients.", min=100)
    ] = 2000,
) -> None:
    """Test every pair of the models of several evaluations."""
    require_extra("evaluate")
    from nanoray.evaluating.comparison import compare as compare_models
    from nanoray.evaluating.resampling import draw_patients
    from nanoray.reporting.results_table import pairs_markdown, read_scores

    judged = read_scores(results)
    pairs = compare_models(
        list(judged.logits),
        list(judged.logits.values()),
        [judged.called[label] for label in judged.logits],
        judged.targets,
        draw_patients(judged.people, judged.targets, samples=draws),
    )
    table = pairs_markdown(pairs)
    if output is not None:
        output.write_text(table)
    typer.echo(table)
