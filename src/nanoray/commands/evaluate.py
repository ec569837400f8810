"""`nanoray evaluate`: comparison of model files on the same images."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from nanoray.commands.extras import require_extra

if TYPE_CHECKING:
    from nanoray.datasets.folder import Case


def evaluate(
    models: Annotated[list[Path], typer.Argument(help="Model files.", exists=True)],
    data: Annotated[Path, typer.Option(help="Labelled data set.", show_default=False)],
    split: Annotated[
        Path | None,
        typer.Option(
            help="CSV with image,part; default: the data set's split.csv, or by the seed.",
            exists=True,
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of the split, if no split file exists.")] = 0,
    part: Annotated[
        Literal["train", "validation", "test", "all"] | None,
        typer.Option(
            help="Images for the evaluation: a part, or all of an external data set. Default: "
            "test, if there is a split file.",
            show_default=False,
        ),
    ] = None,
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder of the results.")] = (
        Path("results")
    ),
    others: Annotated[
        Path | None,
        typer.Option(help="Folder of images that are not chest radiographs, to evaluate the gate."),
    ] = None,
    record: Annotated[
        bool, typer.Option("--record", help="Write the figures into the model files' cards.")
    ] = False,
    draws: Annotated[
        int, typer.Option(help="Draws of the bootstrap over patients.", min=100)
    ] = 2000,
    robustness: Annotated[
        int, typer.Option(help="Images for the test of robustness; 0: none.", min=0)
    ] = 300,
    stress: Annotated[
        bool,
        typer.Option(
            "--stress",
            help="Grey out the lungs, borders, corners and halves: what the models lean on.",
        ),
    ] = False,
    rounds: Annotated[
        int, typer.Option(help="Rounds of the latency measurement; 0: none.", min=0)
    ] = 50,
    cache: Annotated[Path, typer.Option(help="Folder of prepared images.")] = Path("cache"),
    external: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="External validation under this name: frozen thresholds, by view, in one table. "
            "Models of other authors (ONNX, TorchScript) need a description, MODEL.json.",
        ),
    ] = None,
    listed: Annotated[
        Path | None,
        typer.Option(
            "--list",
            metavar="FILE",
            exists=True,
            dir_okay=False,
            help="With --external: only the images of a published list.",
        ),
    ] = None,
) -> None:
    """Evaluate model files on the same images: figures with intervals, tests, pictures, a report.

    Latencies are relative to the first model. The operating points and the gallery of cases are
    those of the last.
    """
    require_extra("evaluate")
    if record:
        require_extra("train")
    from rich.console import Console
    from rich.progress import Progress

    from nanoray.datasets.images import load_squares
    from nanoray.datasets.labelled import cases_to_judge
    from nanoray.detecting.model_file import read_card
    from nanoray.evaluating.evaluation import evaluate_models
    from nanoray.evaluating.gate import judge_gate
    from nanoray.reporting.evaluation_folder import write_results
    from nanoray.reporting.results_table import defined, few_images, markdown

    labelled, chosen, judged = cases_to_judge(data, part=part, split=split, seed=seed)
    cases = [labelled.cases[index] for index in chosen]
    typer.echo(
        f"{data}: {len(cases)} of {len(labelled.cases)} images are evaluated ({judged})", err=True
    )
    if external is not None:
        typer.echo(_external(models, cases, external, listed, cache, output, draws))
        return
    if listed is not None:
        raise typer.BadParameter("--list requires --external")
    sizes = {read_card(path).input_size for path in models}
    stores = {size: load_squares(labelled.cases, size, cache) for size in sorted(sizes)}
    output.mkdir(parents=True, exist_ok=True)
    console = Console(stderr=True)
    with Progress(console=console, disable=not console.is_terminal, transient=True) as bars:

        def progress(stage: str, total: int) -> Callable[[], None]:
            task = bars.add_task(stage, total=total)
            return lambda: bars.advance(task)

        evaluation = evaluate_models(
            models,
            lambda size: stores[size][chosen],
            cases,
            data=data.resolve().name,
            part=judged,
            draws=draws,
            robustness_images=robustness,
            stress=stress,
            rounds=rounds,
            progress=progress,
        )
        if others is not None:
            for path, model in zip(models, evaluation.models, strict=True):
                gate = judge_gate(path, model.card, model.scores.novelty, others)
                model.metrics["gate auroc"] = (gate.auroc,) * 3
                typer.echo(
                    f"{model.label}: gate AUROC {gate.auroc:.4f}; refuses "
                    f"{gate.others_refused:.1%} of {gate.others} other images and "
                    f"{model.refused:.1%} of {len(cases)} radiographs"
                )
        written = write_results(evaluation, output, progress)
    if record:
        from nanoray.exporting.package import record_metrics

        for path, model in zip(models, evaluation.models, strict=True):
            record_metrics(path, model.card, defined(model.metrics))
    if few := few_images(evaluation.targets):
        typer.echo(f"nanoray: warning: {few}", err=True)
    typer.echo(markdown(evaluation))
    typer.echo(f"written: {output}/{', '.join(path.name for path in written)}")


def _external(
    models: list[Path],
    cases: list[Case],
    name: str,
    listed: Path | None,
    cache: Path,
    output: Path,
    draws: int,
) -> str:
    from nanoray.datasets.images import load_squares
    from nanoray.evaluating.external import choose, evaluate_external, markdown
    from nanoray.files import written_whole

    chosen = [cases[index] for index in choose(cases, listed)]
    found = evaluate_external(
        models, lambda size: load_squares(chosen, size, cache), chosen, name=name, draws=draws
    )
    output.mkdir(parents=True, exist_ok=True)
    table = markdown(found)
    with written_whole(output / "external.md", encoding="utf-8") as stream:
        stream.write(table)
    return f"{table}\nwritten: {output}/external.md"
