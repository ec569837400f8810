"""`nanoray train ...` and `nanoray distill`: weights from labelled radiographs."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Annotated, Any

import typer

from nanoray.commands.extras import require_extra
from nanoray.commands.options import option_parameter, settings_parameters, with_parameters
from nanoray.training.settings import ROLE_DEFAULTS, Role, Settings

app = typer.Typer(help="Train a network on labelled radiographs.", no_args_is_help=True)


def _read_settings(context: typer.Context, file: Path | None) -> Path | None:
    """Values from the settings file override the defaults; options override both."""
    if file is not None:
        require_extra("train")
        from nanoray.training.settings import read_values

        context.default_map = {**(context.default_map or {}), **read_values(file)}
    return file


_DATA = Annotated[
    str,
    typer.Argument(
        help="Data set: labels.csv with images/; or folder or URL of `nanoray prepare shards`.",
        show_default=False,
    ),
]
_TEACHER = Annotated[
    list[Path],
    typer.Option(
        help="Run of a teacher; the logits of several are averaged. Shards contain the outputs.",
        exists=True,
    ),
]
_OUTPUT = Annotated[
    Path, typer.Option("--output", "-o", help="Run folder; resumes an existing run.")
]
_OPTIONS: dict[str, tuple[Any, Any]] = {
    "extra": (
        Annotated[
            list[Path], typer.Option("--extra", help="Further data set to train on.", exists=True)
        ],
        (),
    ),
    "settings": (
        Annotated[
            Path | None,
            typer.Option(
                "--settings",
                help="settings.yaml of a run, or a similar file: overrides the defaults.",
                exists=True,
                dir_okay=False,
                is_eager=True,
                callback=_read_settings,
            ),
        ],
        None,
    ),
    "weights": (
        Annotated[
            Path | None,
            typer.Option(
                help="ImageNet weights (safetensors); default: from the model hub.", exists=True
            ),
        ],
        None,
    ),
    "start": (
        Annotated[
            Path | None,
            typer.Option("--from", help="Run, or FP32 model file, to start from.", exists=True),
        ],
        None,
    ),
    "split": (
        Annotated[
            Path | None,
            typer.Option(
                "--split",
                help="CSV with image,part; default: the data set's split.csv, else by patient "
                "from the seed.",
            ),
        ],
        None,
    ),
    "seeds": (
        Annotated[
            int,
            typer.Option(
                help="Number of runs with different seeds, in separate folders.",
                min=1,
            ),
        ],
        1,
    ),
    "resplit": (
        Annotated[
            bool,
            typer.Option(
                "--resplit",
                help="Make a new split by patient for each seed, and ignore the data set's.",
            ),
        ],
        False,
    ),
    "cache": (
        Annotated[Path, typer.Option(help="Folder of prepared images.")],
        Path("cache"),
    ),
    "random_weights": (
        Annotated[bool, typer.Option("--random-weights", help="Start without ImageNet weights.")],
        False,
    ),
    "accelerator": (
        Annotated[str, typer.Option(help="Lightning's accelerator: auto, cpu, gpu, ...")],
        "auto",
    ),
    "devices": (
        Annotated[
            int | None,
            typer.Option(help="Processes per machine; default: one, or torchrun's number.", min=1),
        ],
        None,
    ),
    "num_nodes": (
        Annotated[
            int | None,
            typer.Option(
                "--num-nodes", help="Machines; default: one, or torchrun's number.", min=1
            ),
        ],
        None,
    ),
    "strategy": (
        Annotated[str, typer.Option(help="Lightning's strategy: auto, ddp, ...")],
        "auto",
    ),
    "loggers": (
        Annotated[
            list[str],
            typer.Option(
                "--log-to",
                metavar="[mlflow|wandb]",
                help="Also log to MLflow or Weights & Biases, in the run folder and offline; may "
                "be repeated.",
            ),
        ],
        (),
    ),
    "quiet": (Annotated[bool, typer.Option("--quiet", "-q", help="No progress bars.")], False),
}
"""Options besides the settings, with their defaults; equal for all commands."""


def _parameters(role: Role) -> list[inspect.Parameter]:
    defaults: dict[str, Any] = {"architecture": None, **ROLE_DEFAULTS[role]}
    parameters = [
        inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=annotation)
        for name, annotation in (("context", typer.Context), ("data", _DATA))
    ]
    if role == "student":
        parameters.append(option_parameter("teacher", _TEACHER, ()))
    parameters.append(option_parameter("output", _OUTPUT, Path("runs") / role))
    parameters += [
        option_parameter(name, annotation, default)
        for name, (annotation, default) in _OPTIONS.items()
    ]
    return parameters + settings_parameters(
        Settings, lambda about: role in about.get("roles", (role,)), defaults
    )


def _command(role: Role, what: str) -> Any:
    def command(**options: Any) -> None:
        _train(role, options)

    command.__doc__ = what
    return with_parameters(command, _parameters(role))


app.command("pretrain")(
    _command(
        "pretrain",
        "Train on several data sets together, with separate classes, before fine-tuning.",
    )
)
app.command("teacher")(_command("teacher", "Train the large network that teaches the student."))
app.command("baseline")(
    _command(
        "baseline",
        "Train the small network without a teacher, for comparison with the student.",
    )
)
distill = _command("student", "Train the small network on a teacher's outputs and the labels.")


def _train(role: Role, options: dict[str, Any]) -> None:
    require_extra("train")
    from dataclasses import fields

    from nanoray.datasets.labelled import open_labelled
    from nanoray.training.fit import Hardware
    from nanoray.training.loggers import check_logger
    from nanoray.training.networks import load_weights
    from nanoray.training.recipe import Sources, start_file, train, train_seeds, train_shards

    if options["architecture"] is None:
        start = options["start"]
        options["architecture"] = (
            load_weights(start_file(start)).architecture if start else "mobilenet_v3_small"
        )
    names = {field.name for field in fields(Settings)}
    settings = Settings(
        role=role, **{name: value for name, value in options.items() if name in names}
    )
    sources = Sources(
        weights=options["weights"],
        pretrained=not options["random_weights"],
        start=options["start"],
        extras=options["extra"],
        teachers=options.get("teacher", ()),
        cache=options["cache"],
    )
    hardware = Hardware(
        options["accelerator"], options["devices"], options["num_nodes"], options["strategy"]
    )

    for name in options["loggers"]:
        check_logger(name)
    data, split = options["data"], options["split"]
    streamed = "://" in data or (Path(data) / "shards.json").is_file()
    if options["resplit"] and (streamed or split is not None):
        raise typer.BadParameter(
            "needs a folder without --split: shards and split files define the parts",
            param_hint="--resplit",
        )
    if streamed:
        require_extra("stream")
    elif role == "student" and not sources.teachers:
        raise typer.BadParameter("needed, at least once", param_hint="--teacher")

    def run(settings: Settings, folder: Path) -> float:
        how: dict[str, Any] = {
            "hardware": hardware,
            "loggers": options["loggers"],
            "show_progress": not options["quiet"],
        }
        if streamed:
            return train_shards(settings, data, folder, sources, **how)
        resplit = options["resplit"]
        seed = settings.seed if resplit else options["seed"]
        labelled = open_labelled(Path(data), split=split, seed=seed, resplit=resplit)
        return train(settings, labelled, folder, sources, **how)

    output = options["output"]
    if options["seeds"] == 1:
        typer.echo(f"{output}: validation AUROC {run(settings, output):.4f}")
        return
    spread = train_seeds(run, settings, options["seeds"], output)
    for seed, score in spread.scores.items():
        typer.echo(f"{output}/seed-{seed}: validation AUROC {score:.4f}")
    typer.echo(
        f"{output}: validation AUROC {spread.mean:.4f}, standard deviation {spread.deviation:.4f} "
        f"over {len(spread.scores)} seeds"
    )
