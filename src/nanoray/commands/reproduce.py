"""`nanoray reproduce`: a complete recipe, from radiographs to the table of its networks."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from nanoray.commands.table import COMMANDS
from nanoray.errors import DataSetError
from nanoray.exporting.reproduction import reproduce_recipe
from nanoray.training.recipe_file import Places

PHANTOM = "phantom"
# In the repository; an installed package lacks it.
PACKAGED = Path("models/nanoray-student-fp32.onnx")
SMALL, STUDENT = "mobilenet_v3_small", "mobilenet_v3_small_minimal"
TRANSFORMER = "vit_tiny_patch16_224"


@dataclass(frozen=True, slots=True)
class Stage:
    """A command of NanoRay, and the files that exist when it is finished."""

    arguments: tuple[str, ...]
    leaves: tuple[Path, ...]

    @property
    def finished(self) -> bool:
        return all(path.is_file() for path in self.leaves)


def reproduce(
    recipe: Annotated[
        Path | None,
        typer.Argument(
            help="Recipe file (YAML): run its steps and export its model. --data and --weights "
            "are then the folders of data sets and of weights.",
            exists=True,
            dir_okay=False,
            show_default=False,
        ),
    ] = None,
    *,
    data: Annotated[
        str,
        typer.Option(
            help="Data set, Kaggle's RSNA folder, or class folders; or 'phantom' to draw one.",
            show_default=False,
        ),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder of all results.")] = (
        Path("runs/reproduced")
    ),
    extra: Annotated[
        list[Path],
        typer.Option(
            "--extra", help="Further data set for pre-training and training.", exists=True
        ),
    ] = [],  # noqa: B006
    start: Annotated[
        Path | None,
        typer.Option(
            "--from",
            help="FP32 model file or run with the starting weights of the small networks, in place "
            "of pre-training. Default for phantoms: the repository's model.",
            exists=True,
        ),
    ] = None,
    weights: Annotated[
        Path | None,
        typer.Option(help="ImageNet weights of the small network; default: hub.", exists=True),
    ] = None,
    teacher_weights: Annotated[
        Path | None,
        typer.Option(help="ImageNet weights of the teacher; default: hub.", exists=True),
    ] = None,
    teacher_architecture: Annotated[
        str, typer.Option(help="Default for phantoms: that of the small network.")
    ] = "resnet50",
    transformer: Annotated[
        bool, typer.Option("--vit/--no-vit", help="Also distil a ViT-Tiny.")
    ] = True,
    random_weights: Annotated[
        bool, typer.Option("--random-weights", help="Start without ImageNet weights.")
    ] = False,
    size: Annotated[int, typer.Option(help="Input of the small networks, pixels.", min=32)] = 256,
    epochs: Annotated[
        int, typer.Option(help="Epochs of each training; 0: the commands' defaults.", min=0)
    ] = 0,
    phantoms: Annotated[int, typer.Option(help="Number of drawn radiographs.", min=40)] = 420,
    robustness: Annotated[
        int, typer.Option(help="Images for the test of robustness.", min=0)
    ] = 300,
    rounds: Annotated[int, typer.Option(help="Rounds of the latency measurement.", min=0)] = 50,
    crossvalidation: Annotated[
        Path | None,
        typer.Option(
            help="results.json of `nanoray crossvalidate` for the card of a recipe's model.",
            exists=True,
            dir_okay=False,
        ),
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress bars.")] = False,
) -> None:
    """Prepare, train teacher, baseline, student and ViT-Tiny, quantize and evaluate.

    With a recipe, it makes the training runs in order and exports the model; the packaged model was
    made like this. Without a recipe, each stage is a command, which is printed. Finished stages are
    skipped, an interrupted one is resumed. At the end OUTPUT/results has the table and report.html.
    `--data phantom` takes some minutes on two cores, with drawn radiographs, small inputs and
    networks that start from the repository's model. Its figures only show that the pipeline works.
    """
    if recipe is not None:
        _run_recipe(
            recipe, Path(data), weights or Path("weights"), output, crossvalidation, quiet=quiet
        )
        return
    drawn = data == PHANTOM
    plan = Plan(output, quiet=quiet)
    if drawn:
        start = start or (PACKAGED if PACKAGED.is_file() else None)
        if start is None:
            typer.echo(
                f"nanoray: warning: {PACKAGED} is not found: the networks start from random "
                "weights and learn little from a few phantoms. Run this in a clone of the "
                "repository, or give a model file or a run with --from",
                err=True,
            )
        size, epochs, random_weights = (128 if size == 256 else size), epochs or 4, True
        robustness, rounds = min(robustness, 30), min(rounds, 20)
        # Few steps: use larger ones, and average over fewer of them.
        plan.common += ["--batch-size", 16, "--learning-rate", 1e-3, "--average-decay", 0.9]
    if epochs:
        plan.common += ["--epochs", epochs]
    folder = _add_data(plan, data, phantoms, size)
    hub = ["--random-weights"] if random_weights else []
    extras = [word for path in extra for word in ("--extra", path)]
    begin = ["--weights", weights] if weights else hub
    if start:
        begin = ["--from", start]
    elif extra:
        narrow = ("--size", max(32, size * 3 // 4))
        plan.train("pretrain", "train", "pretrain", folder, *extras, *begin, *narrow)
        begin = ["--from", output / "pretrain"]
    small: list[object] = [*extras, *begin, "--size", size]
    large: list[object] = ["--architecture", teacher_architecture, *extras]
    large += ["--weights", teacher_weights] if teacher_weights else hub
    if drawn:
        # From random weights a large network would learn nothing from a few hundred drawings.
        large = ["--architecture", STUDENT if start else SMALL, *extras, *begin]
        large += ["--size", size * 5 // 4]
    plan.train("teacher", "train", "teacher", folder, *large)
    distill = ("distill", folder, "--teacher", output / "teacher")
    plan.train("baseline", "train", "baseline", folder, *small)
    if transformer:
        wide = ("--size", size if drawn else 224)
        plan.train("vit-tiny", *distill, "--architecture", TRANSFORMER, *extras, *hub, *wide)
    plan.train("student", *distill, "--architecture", STUDENT, *small)
    _add_results(plan, folder, robustness, rounds)
    plan.run()
    typer.echo(f"the results are in {output}; the report is {output}/results/report.html")


def _run_recipe(
    file: Path,
    data: Path,
    weights: Path,
    output: Path,
    crossvalidation: Path | None,
    *,
    quiet: bool,
) -> None:
    written = reproduce_recipe(
        file,
        Places(data, weights, output / "cache"),
        output,
        crossvalidation=crossvalidation,
        command=shlex.join(["nanoray", *sys.argv[1:]]),
        show_progress=not quiet,
        announce=typer.echo,
    )
    for path in written:
        typer.echo(f"{path}: {path.stat().st_size / 1e6:.2f} MB")


class Plan:
    """Plan the stages in order. `common`: options of every training."""

    def __init__(self, output: Path, *, quiet: bool) -> None:
        self.output = output
        self.cache = ("--cache", output / "cache")
        self.common: list[object] = ["--quiet"] if quiet else []
        self.runs: list[str] = []
        self.stages: list[Stage] = []

    def add(self, *words: object, leaves: Sequence[Path]) -> None:
        """Add a command that writes some files."""
        self.stages.append(Stage(tuple(str(word) for word in words), tuple(leaves)))

    def train(self, name: str, *words: object) -> None:
        """Add a training; its options precede the common ones."""
        run = self.output / name
        arguments = (*words[:2], *self.common, *self.cache, *words[2:], "--output", run)
        self.add(*arguments, leaves=[run / "result.json"])
        self.runs.append(name)

    def run(self) -> None:
        """Run the unfinished stages.

        Raises:
            typer.Exit: a stage failed.
        """
        for number, stage in enumerate(self.stages, 1):
            place = f"[{number}/{len(self.stages)}]"
            line = shlex.join(["nanoray", *stage.arguments])
            if stage.finished:
                typer.echo(f"{place} finished before: {line}")
                continue
            typer.echo(f"{place} {line}")
            name, *arguments = stage.arguments
            command = COMMANDS[name].load(name)
            code = command.main(arguments, prog_name=f"nanoray {name}", standalone_mode=False)
            # Some files may be unreadable (1); the others suffice for the next stage.
            if code and not (code == 1 and stage.finished):
                raise typer.Exit(code)


def _add_data(plan: Plan, data: str, phantoms: int, size: int) -> Path:
    """Add the command that makes the data set, if needed; return its folder."""
    made = plan.output / "data"
    done = [made / "labels.csv"]
    if data == PHANTOM:
        plan.add(
            "phantom", made, "--count", phantoms, "--size", size, "--seed", 3, "--force",
            leaves=done,
        )  # fmt: skip
        return made
    folder = Path(data)
    if (folder / "labels.csv").is_file():
        return folder
    if not folder.is_dir():
        raise DataSetError(f"{folder}: no such folder")
    kaggle = (folder / "stage_2_train_labels.csv").is_file()
    plan.add("prepare", "rsna" if kaggle else "folder", folder, "--output", made, leaves=done)
    return made


def _add_results(plan: Plan, folder: Path, robustness: int, rounds: int) -> None:
    """Add the model files and their evaluation, the teacher first and the INT8 student last."""
    models, results = plan.output / "models", plan.output / "results"
    files: list[Path] = []
    for name in plan.runs:
        if name == "pretrain":
            continue
        made = [models / f"nanoray-{name}-fp32.onnx"]
        flags = ["--name", f"nanoray-{name}", "--output", models]
        if name == "student":
            made.append(models / f"nanoray-{name}-int8.onnx")
        else:
            flags.append("--fp32-only")
        plan.add("quantize", plan.output / name, folder, *flags, *plan.cache, leaves=made)
        files += made
    plan.add(
        "evaluate", *files, "--data", folder, "--split", plan.output / "student" / "split.csv",
        "--robustness", robustness, "--rounds", rounds, *plan.cache, "--output", results,
        leaves=[results / "report.html"],
    )  # fmt: skip
