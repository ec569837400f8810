"""`nanoray evaluate`: model files side by side on the same images."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nanoray.commands.extras import require_extra


def evaluate(
    models: Annotated[list[Path], typer.Argument(help="Model files.", exists=True)],
    data: Annotated[Path, typer.Option(help="Labelled data set.", show_default=False)],
    split: Annotated[
        Path | None, typer.Option(help="CSV with image,part; default: from the seed.", exists=True)
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of the split.")] = 0,
    part: Annotated[str, typer.Option(help="train, validation or test.")] = "test",
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder of the results.")] = (
        Path("results")
    ),
    others: Annotated[
        Path | None,
        typer.Option(help="Folder of images that are no chest radiographs, to judge the gate."),
    ] = None,
    record: Annotated[
        bool, typer.Option("--record", help="Write the figures into the model files' cards.")
    ] = False,
    cache: Annotated[Path, typer.Option(help="Where prepared images are kept.")] = Path("cache"),
) -> None:
    """AUROC, accuracy, sensitivity, specificity and ECE with 95 % intervals, and curves."""
    require_extra("train")
    import numpy as np
    from sklearn.metrics import roc_auc_score

    from nanoray.compressing.modelfiles import record_metrics
    from nanoray.datasets.images import load_squares
    from nanoray.detecting.modelfile import read_card
    from nanoray.evaluating.gate import read_others
    from nanoray.evaluating.metrics import measure
    from nanoray.evaluating.scores import score
    from nanoray.evaluating.table import Row, draw, markdown, save_results
    from nanoray.training.recipe import open_data

    labelled = open_data(data, split=split, seed=seed)
    chosen = list(labelled.split.part(part))
    targets = np.array([int(labelled.cases[index].target or 0) for index in chosen])
    patients = [labelled.cases[index].patient for index in chosen]
    output.mkdir(parents=True, exist_ok=True)
    rows = []
    for path in models:
        card = read_card(path)
        squares = load_squares(labelled.cases, card.input_size, cache)[chosen]
        scores = score(path, squares)
        probabilities = scores.probabilities(card)
        metrics = measure(probabilities, targets, patients, card)
        refused = float(np.mean(scores.novelty > card.novelty_limit))
        label = f"{card.name.removeprefix('nanoray-')} {card.precision.upper()}"
        if others is not None:
            strange = score(path, read_others(others, card.input_size)).novelty
            both = np.concatenate([scores.novelty, strange])
            is_other = np.arange(len(both)) >= len(scores.novelty)
            metrics["gate auroc"] = (float(roc_auc_score(is_other, both)),) * 3
            typer.echo(
                f"{label}: gate AUROC {metrics['gate auroc'][0]:.4f}; refuses "
                f"{np.mean(strange > card.novelty_limit):.1%} of {len(strange)} other images and "
                f"{refused:.1%} of {len(targets)} radiographs"
            )
        rows.append(Row(label, card, path.stat().st_size, metrics, refused, probabilities))
        if record:
            record_metrics(path, card, metrics)
    table = markdown(rows, targets, len(set(patients)))
    (output / "results.md").write_text(table)
    save_results(rows, targets, output / "results.json")
    draw(rows, targets, output / "curves.png")
    typer.echo(table)
    typer.echo(f"written: {output}/results.md, results.json, curves.png")
