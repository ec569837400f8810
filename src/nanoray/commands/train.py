"""`nanoray train ...` and `nanoray distill`: from labelled radiographs to weights."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from nanoray.commands.extras import require_extra

app = typer.Typer(help="Train a network on labelled radiographs.", no_args_is_help=True)


def _read_settings(context: typer.Context, file: Path | None) -> Path | None:
    """What a file says stands in for the defaults; what the command line says goes before both."""
    if file is not None:
        require_extra("train")
        from nanoray.training.settings import read_values

        values = {_OPTIONS.get(name, name): value for name, value in read_values(file).items()}
        context.default_map = {**(context.default_map or {}), **values}
    return file


# Settings whose options have other names.
_OPTIONS = {
    "distillation_method": "method",
    "distillation_weight": "method_weight",
    "distillation_temperature": "temperature",
}

Data = Annotated[
    str,
    typer.Argument(
        help="Data set: labels.csv with images/; or where `nanoray prepare shards` put one.",
        show_default=False,
    ),
]
Output = Annotated[Path, typer.Option("--output", "-o", help="Run folder; resumes what is there.")]
SettingsFile = Annotated[
    Path | None,
    typer.Option(
        "--settings",
        help="settings.yaml of a run, or one like it: values for what is not given here.",
        exists=True,
        dir_okay=False,
        is_eager=True,
        callback=_read_settings,
    ),
]
Architecture = Annotated[
    str | None,
    typer.Option(
        help="mobilenet_v3_small, mobilenet_v3_small_minimal, resnet18, resnet50, resnet50_v1, or "
        "any name of timm's, such as vit_tiny_patch16_224; default: that of --from, or "
        "mobilenet_v3_small.",
        show_default=False,
    ),
]
Weights = Annotated[
    Path | None,
    typer.Option(help="ImageNet weights (safetensors); default: from the model hub.", exists=True),
]
Start = Annotated[
    Path | None, typer.Option("--from", help="Run, or FP32 model file, to go on from.", exists=True)
]
SplitFile = Annotated[
    Path | None, typer.Option("--split", help="CSV with image,part; default: from the seed.")
]
Seed = Annotated[int, typer.Option(help="Seed of split, order and augmentation.", min=0)]
Seeds = Annotated[
    int,
    typer.Option(help="Runs with as many seeds, in folders of their own: mean and spread.", min=1),
]
Resplit = Annotated[bool, typer.Option("--resplit", help="Another split for each of the seeds.")]
Size = Annotated[int, typer.Option(help="Side of the square input, pixels.", min=32)]
Epochs = Annotated[int, typer.Option(min=1)]
BatchSize = Annotated[int, typer.Option(help="Of all processes together.", min=2)]
LearningRate = Annotated[float, typer.Option(help="Peak of the one-cycle schedule.")]
WeightDecay = Annotated[float, typer.Option(help="Of AdamW.", min=0)]
Patience = Annotated[
    int, typer.Option(help="Epochs without a better AUROC before it stops; 0: never.", min=0)
]
Average = Annotated[float, typer.Option(help="Decay of the moving average of the weights, a step.")]
Frozen = Annotated[
    int, typer.Option(help="First stages of the trunk that keep their weights.", min=0, max=5)
]
PosWeight = Annotated[float, typer.Option(help="Weight of a positive case.", min=0)]
ClassWeight = Annotated[float, typer.Option(help="Of the loss of the detailed class.", min=0)]
BoxWeight = Annotated[float, typer.Option(help="Of the loss of the box mask.", min=0)]
AttentionWeight = Annotated[
    float, typer.Option(help="Of the loss that draws the heat map into the boxes.", min=0)
]
Extra = Annotated[
    list[Path], typer.Option("--extra", help="Further data set to train on.", exists=True)
]
ExtraPerEpoch = Annotated[int, typer.Option(help="Cases of each extra set an epoch.")]
Keep = Annotated[str, typer.Option(help="Which epoch's weights: best (validation AUROC) or last.")]
Precision = Annotated[str, typer.Option(help="32-true, 16-mixed or bf16-mixed.")]
Cache = Annotated[Path, typer.Option(help="Where prepared images are kept.")]
Random = Annotated[bool, typer.Option("--random-weights", help="Start without ImageNet weights.")]
Accelerator = Annotated[str, typer.Option(help="auto, cpu, gpu, ...: as Lightning has it.")]
Devices = Annotated[
    int | None, typer.Option(help="Processes on a machine; default: one, or torchrun's.", min=1)
]
Nodes = Annotated[
    int | None, typer.Option("--num-nodes", help="Machines; default: one, or torchrun's.", min=1)
]
Strategy = Annotated[str, typer.Option(help="auto, ddp, ...: as Lightning has it.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress bars.")]


def _command(role: str, what: str, **defaults: Any) -> None:
    """Add `nanoray train <role>`; the commands differ in their defaults alone."""

    def command(
        context: typer.Context,
        data: Data,
        extra: Extra = [],  # noqa: B006
        output: Output = Path("runs") / role,
        settings: SettingsFile = None,
        architecture: Architecture = None,
        weights: Weights = None,
        start: Start = None,
        split: SplitFile = None,
        seed: Seed = 0,
        seeds: Seeds = 1,
        resplit: Resplit = False,
        size: Size = 256,
        epochs: Epochs = 12,
        batch_size: BatchSize = 32,
        learning_rate: LearningRate = 5e-4,
        weight_decay: WeightDecay = 0.05,
        patience: Patience = 0,
        average_decay: Average = 0.99,
        frozen_stages: Frozen = 0,
        pos_weight: PosWeight = 1.0,
        class_weight: ClassWeight = 0.5,
        box_weight: BoxWeight = 1.0,
        attention_weight: AttentionWeight = 0.0,
        extra_per_epoch: ExtraPerEpoch = 5000,
        keep: Keep = "best",
        precision: Precision = "32-true",
        cache: Cache = Path("cache"),
        random_weights: Random = False,
        accelerator: Accelerator = "auto",
        devices: Devices = None,
        num_nodes: Nodes = None,
        strategy: Strategy = "auto",
        quiet: Quiet = False,
    ) -> None:
        _train(role, context.params)

    app.command(role, help=what, context_settings={"default_map": defaults})(command)


_command(
    "pretrain",
    "Train on several data sets at once, each with its own classes, before fine-tuning.",
    size=160,
    epochs=7,
    batch_size=64,
    learning_rate=1e-3,
    average_decay=0.995,
)
_command(
    "teacher",
    "Train the large network that the student will learn from.",
    architecture="resnet50",
    size=224,
    epochs=8,
    learning_rate=3e-4,
    average_decay=0.98,
)
_command(
    "baseline",
    "Train the small network without a teacher, to compare the student with.",
    attention_weight=0.5,
)


def distill(
    context: typer.Context,
    data: Data,
    teacher: Annotated[
        list[Path],
        typer.Option(
            help="Run of the teacher; of several, the mean is taught. Shards have their own.",
            exists=True,
        ),
    ] = [],  # noqa: B006
    method: Annotated[
        str,
        typer.Option(
            help="response (softened logits, Hinton 2015), standardised (Sun 2024), dist (Huang "
            "2022); or response and cam (heat maps, Zagoruyko 2017), relational (Park 2019) or "
            "feature (FitNets, Romero 2015)."
        ),
    ] = "response",
    method_weight: Annotated[
        float, typer.Option(help="Of what cam, relational and feature add.", min=0)
    ] = 1.0,
    temperature: Annotated[float, typer.Option("-T", help="Softens both logits.", min=0.1)] = 4.0,
    hard_label_weight: Annotated[float, typer.Option(min=0.0, max=1.0)] = 0.3,
    quantization_aware: Annotated[
        bool,
        typer.Option(
            "--quantization-aware", help="Round as the INT8 file will (a minimal network's)."
        ),
    ] = False,
    extra: Extra = [],  # noqa: B006
    output: Output = Path("runs/student"),
    settings: SettingsFile = None,
    architecture: Architecture = None,
    weights: Weights = None,
    start: Start = None,
    split: SplitFile = None,
    seed: Seed = 0,
    seeds: Seeds = 1,
    resplit: Resplit = False,
    size: Size = 256,
    epochs: Epochs = 12,
    batch_size: BatchSize = 32,
    learning_rate: LearningRate = 5e-4,
    weight_decay: WeightDecay = 0.05,
    patience: Patience = 0,
    average_decay: Average = 0.99,
    frozen_stages: Frozen = 0,
    pos_weight: PosWeight = 1.0,
    class_weight: ClassWeight = 0.5,
    box_weight: BoxWeight = 1.0,
    attention_weight: AttentionWeight = 0.5,
    extra_per_epoch: ExtraPerEpoch = 5000,
    keep: Keep = "best",
    precision: Precision = "32-true",
    cache: Cache = Path("cache"),
    random_weights: Random = False,
    accelerator: Accelerator = "auto",
    devices: Devices = None,
    num_nodes: Nodes = None,
    strategy: Strategy = "auto",
    quiet: Quiet = False,
) -> None:
    """Train the small network on what a teacher knows, and the labels."""
    _train("student", context.params)


def _train(role: str, options: dict[str, Any]) -> None:
    require_extra("train")
    from dataclasses import fields

    from nanoray.datasets.labelled import open_labelled
    from nanoray.training.fit import Hardware
    from nanoray.training.networks import load_weights
    from nanoray.training.recipe import Sources, start_file, train, train_seeds, train_shards
    from nanoray.training.settings import Settings

    if options["architecture"] is None:
        start = options["start"]
        options["architecture"] = (
            load_weights(start_file(start)).architecture if start else "mobilenet_v3_small"
        )
    named = {name: _OPTIONS.get(name, name) for name in (field.name for field in fields(Settings))}
    settings = Settings(
        role=role,
        **{name: options[option] for name, option in named.items() if option in options},
    )
    if settings.keep not in ("best", "last"):
        raise typer.BadParameter("best or last", param_hint="--keep")
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

    data, split = options["data"], options["split"]
    streamed = "://" in data or (Path(data) / "shards.json").is_file()
    if streamed:
        require_extra("stream")

    elif role == "student" and not sources.teachers:
        raise typer.BadParameter("needed, at least once", param_hint="--teacher")

    def run(settings: Settings, folder: Path) -> float:
        how: dict[str, Any] = {"hardware": hardware, "show_progress": not options["quiet"]}
        if streamed:
            return train_shards(settings, data, folder, sources, **how)
        seed = settings.seed if options["resplit"] else options["seed"]
        labelled = open_labelled(Path(data), split=split, seed=seed)
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
