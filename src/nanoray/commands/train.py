"""`nanoray train ...` and `nanoray distill`: from labelled radiographs to weights."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from nanoray.commands.extras import require_extra

app = typer.Typer(help="Train a network on labelled radiographs.", no_args_is_help=True)

Data = Annotated[
    Path, typer.Argument(help="Data set: labels.csv with images/.", show_default=False)
]
Output = Annotated[Path, typer.Option("--output", "-o", help="Run folder; resumes what is there.")]
Architecture = Annotated[
    str,
    typer.Option(
        help="mobilenet_v3_small, mobilenet_v3_small_minimal, resnet18, resnet50, resnet50_v1, or "
        "any name of timm's, such as vit_tiny_patch16_224."
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
Seed = Annotated[int, typer.Option(help="Seed of split, order and augmentation.")]
Size = Annotated[int, typer.Option(help="Side of the square input, pixels.", min=32)]
Epochs = Annotated[int, typer.Option(min=1)]
BatchSize = Annotated[int, typer.Option(min=2)]
LearningRate = Annotated[float, typer.Option(help="Peak of the one-cycle schedule.")]
Average = Annotated[float, typer.Option(help="Decay of the moving average of the weights, a step.")]
Precision = Annotated[str, typer.Option(help="32-true, 16-mixed or bf16-mixed.")]
Cache = Annotated[Path, typer.Option(help="Where prepared images are kept.")]
Extra = Annotated[
    list[Path], typer.Option("--extra", help="Further data set to train on.", exists=True)
]
AttentionWeight = Annotated[
    float, typer.Option(help="Of the loss that draws the heat map into the boxes.", min=0)
]
ExtraPerEpoch = Annotated[int, typer.Option(help="Cases of each extra set an epoch.")]
Random = Annotated[bool, typer.Option("--random-weights", help="Start without ImageNet weights.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress bars.")]


@app.command()
def pretrain(
    data: Data,
    extra: Extra = [],  # noqa: B006
    output: Output = Path("runs/pretrain"),
    architecture: Architecture = "mobilenet_v3_small",
    weights: Weights = None,
    split: SplitFile = None,
    seed: Seed = 0,
    size: Size = 160,
    epochs: Epochs = 7,
    batch_size: BatchSize = 64,
    learning_rate: LearningRate = 1e-3,
    average_decay: Average = 0.995,
    extra_per_epoch: ExtraPerEpoch = 5000,
    precision: Precision = "32-true",
    cache: Cache = Path("cache"),
    random_weights: Random = False,
    quiet: Quiet = False,
) -> None:
    """Train on several data sets at once, each with its own classes, before fine-tuning."""
    _run(
        data,
        output,
        cache,
        split,
        dict(
            role="pretrain",
            architecture=architecture,
            size=size,
            epochs=epochs,
            batch_size=batch_size,
            learning_rate=learning_rate,
            average_decay=average_decay,
            extra_per_epoch=extra_per_epoch,
            seed=seed,
            precision=precision,
        ),
        weights=weights,
        extras=extra,
        pretrained=not random_weights,
        show_progress=not quiet,
    )


@app.command()
def teacher(
    data: Data,
    extra: Extra = [],  # noqa: B006
    output: Output = Path("runs/teacher"),
    architecture: Architecture = "resnet50",
    weights: Weights = None,
    start: Start = None,
    split: SplitFile = None,
    seed: Seed = 0,
    size: Size = 224,
    epochs: Epochs = 8,
    batch_size: BatchSize = 32,
    learning_rate: LearningRate = 3e-4,
    average_decay: Average = 0.98,
    frozen_stages: Annotated[
        int, typer.Option(help="First stages of the trunk that keep their weights.", min=0, max=5)
    ] = 0,
    extra_per_epoch: ExtraPerEpoch = 5000,
    precision: Precision = "32-true",
    cache: Cache = Path("cache"),
    random_weights: Random = False,
    quiet: Quiet = False,
) -> None:
    """Train the large network that the student will learn from."""
    _run(
        data,
        output,
        cache,
        split,
        dict(
            role="teacher",
            architecture=architecture,
            size=size,
            epochs=epochs,
            batch_size=batch_size,
            learning_rate=learning_rate,
            average_decay=average_decay,
            frozen_stages=frozen_stages,
            extra_per_epoch=extra_per_epoch,
            seed=seed,
            precision=precision,
        ),
        weights=weights,
        extras=extra,
        start=start,
        pretrained=not random_weights,
        show_progress=not quiet,
    )


@app.command()
def baseline(
    data: Data,
    extra: Extra = [],  # noqa: B006
    output: Output = Path("runs/baseline"),
    architecture: Architecture = "mobilenet_v3_small",
    weights: Weights = None,
    start: Start = None,
    split: SplitFile = None,
    seed: Seed = 0,
    size: Size = 256,
    epochs: Epochs = 12,
    batch_size: BatchSize = 32,
    learning_rate: LearningRate = 5e-4,
    average_decay: Average = 0.99,
    attention_weight: AttentionWeight = 0.5,
    extra_per_epoch: ExtraPerEpoch = 5000,
    precision: Precision = "32-true",
    cache: Cache = Path("cache"),
    random_weights: Random = False,
    quiet: Quiet = False,
) -> None:
    """Train the small network without a teacher, to compare the student with."""
    _run(
        data,
        output,
        cache,
        split,
        dict(
            role="baseline",
            architecture=architecture,
            size=size,
            epochs=epochs,
            batch_size=batch_size,
            learning_rate=learning_rate,
            average_decay=average_decay,
            attention_weight=attention_weight,
            extra_per_epoch=extra_per_epoch,
            seed=seed,
            precision=precision,
        ),
        weights=weights,
        extras=extra,
        start=start,
        pretrained=not random_weights,
        show_progress=not quiet,
    )


def distill(
    data: Data,
    teacher: Annotated[
        list[Path],
        typer.Option(help="Run of the teacher; of several, the mean is taught.", exists=True),
    ],
    extra: Extra = [],  # noqa: B006
    output: Output = Path("runs/student"),
    architecture: Architecture = "mobilenet_v3_small",
    weights: Weights = None,
    start: Start = None,
    split: SplitFile = None,
    seed: Seed = 0,
    size: Size = 256,
    epochs: Epochs = 12,
    batch_size: BatchSize = 32,
    learning_rate: LearningRate = 5e-4,
    average_decay: Average = 0.99,
    temperature: Annotated[float, typer.Option("-T", help="Softens both logits.", min=0.1)] = 4.0,
    hard_label_weight: Annotated[float, typer.Option(min=0.0, max=1.0)] = 0.3,
    attention_weight: AttentionWeight = 0.5,
    extra_per_epoch: ExtraPerEpoch = 5000,
    precision: Precision = "32-true",
    cache: Cache = Path("cache"),
    random_weights: Random = False,
    quiet: Quiet = False,
) -> None:
    """Train the small network on a teacher's softened logits and the labels."""
    _run(
        data,
        output,
        cache,
        split,
        dict(
            role="student",
            architecture=architecture,
            size=size,
            epochs=epochs,
            batch_size=batch_size,
            learning_rate=learning_rate,
            average_decay=average_decay,
            distillation_temperature=temperature,
            hard_label_weight=hard_label_weight,
            attention_weight=attention_weight,
            extra_per_epoch=extra_per_epoch,
            seed=seed,
            precision=precision,
        ),
        weights=weights,
        extras=extra,
        start=start,
        teachers=teacher,
        pretrained=not random_weights,
        show_progress=not quiet,
    )


def _run(
    data: Path,
    output: Path,
    cache: Path,
    split: Path | None,
    values: dict[str, Any],
    **options: Any,
) -> None:
    require_extra("train")
    from nanoray.datasets.labelled import open_labelled
    from nanoray.training.recipe import train
    from nanoray.training.settings import Settings

    labelled = open_labelled(data, split=split, seed=values["seed"])
    score = train(Settings(**values), labelled, output, cache, **options)
    typer.echo(f"{output}: validation AUROC {score:.4f}")
