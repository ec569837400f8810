"""`nanoray prepare ...`: data sets for training and evaluation from published radiographs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nanoray.commands.extras import require_extra

if TYPE_CHECKING:
    from nanoray.datasets.sources import Source

app = typer.Typer(
    help="Turn published radiographs into a data set for training and evaluation.",
    no_args_is_help=True,
)

Output = Annotated[
    Path,
    typer.Option(
        "--output",
        "-o",
        help="Folder of the data set; an interrupted run is resumed.",
        show_default=False,
    ),
]
Size = Annotated[int, typer.Option(help="Longer side of the images, pixels.", min=32, max=4096)]
SplitOption = Annotated[
    str,
    typer.Option(
        "--split",
        help="patient, recipe (scikit-learn, stratified, seed 42), official, or a CSV or folder of "
        "published lists. Default: official if the data have parts, else patient.",
        show_default=False,
    ),
]
Seed = Annotated[int, typer.Option(help="Seed of the split.")]
Validation = Annotated[float, typer.Option(help="Share of the patients.", min=0.0, max=0.9)]
Test = Annotated[float, typer.Option(help="Share of the patients.", min=0.0, max=0.9)]
Workers = Annotated[
    int | None, typer.Option(help="Reading processes; the default depends on the machine.", min=1)
]
Positive = Annotated[
    list[str],
    typer.Option(
        "--positive", help="Class with target 1, if no column has targets (may be repeated)."
    ),
]


def _column(words: str) -> Any:
    return typer.Option(help=f"Column of {words}", show_default=False)


Patient = Annotated[
    str,
    typer.Option(
        "--patient-pattern",
        help="Regular expression of the patient in a file's name; default: Kermany's names.",
        show_default=False,
    ),
]


@app.command()
def rsna(
    folder: Annotated[Path, typer.Argument(help="Folder as downloaded from Kaggle.")],
    output: Output,
    classes: Annotated[
        Path | None,
        typer.Option(help="Detailed classes; default: the file in the folder.", exists=True),
    ] = None,
    mapping: Annotated[
        Path | None,
        typer.Option(
            help="The challenge's JSON of NIH names, which identify the patients.", exists=True
        ),
    ] = None,
    size: Size = 512,
    split: SplitOption = "",
    seed: Seed = 0,
    validation: Validation = 0.1,
    test: Test = 0.1,
    workers: Workers = None,
) -> None:
    """Prepare the RSNA Pneumonia Detection Challenge 2018: DICOM files, boxes, classes."""
    from nanoray.datasets.sources import rsna_sources

    sources = rsna_sources(folder, classes=classes, mapping=mapping)
    _prepare(sources, output, "rsna", size, split, seed, validation, test, workers)


@app.command("folder")
def class_folders(
    folder: Annotated[
        Path, typer.Argument(help="A folder per class, or class folders below train and test.")
    ],
    output: Output,
    positive: Positive = [],  # noqa: B006
    patient: Patient = "",
    size: Size = 512,
    split: SplitOption = "",
    seed: Seed = 0,
    validation: Validation = 0.1,
    test: Test = 0.1,
    workers: Workers = None,
) -> None:
    """Prepare class folders, such as those of Kermany et al. 2018; a test part is kept."""
    from nanoray.datasets.sources import PATIENT_PATTERN, folder_sources

    sources = folder_sources(folder, positive=positive, patient_pattern=patient or PATIENT_PATTERN)
    _prepare(sources, output, "folder", size, split, seed, validation, test, workers)


@app.command("csv")
def table(
    file: Annotated[Path, typer.Argument(help="Table with one row per image.", exists=True)],
    output: Output,
    images: Annotated[
        Path | None,
        typer.Option(
            help="Folder of the images; default: images/ beside the table, or its folder."
        ),
    ] = None,
    image_column: Annotated[
        str, _column("the images' names; default: image, file, path, ...")
    ] = "",
    class_column: Annotated[
        str, _column("the classes; default: class_name, class, finding, ...")
    ] = "",
    target_column: Annotated[str, _column("the targets, 1 or 0; default: Target, target.")] = "",
    patient_column: Annotated[
        str, _column("the patients; default: source_patient, patient, ...")
    ] = "",
    part_column: Annotated[str, _column("the parts; default: part, split, set.")] = "",
    positive: Positive = [],  # noqa: B006
    patient: Patient = "",
    size: Size = 512,
    split: SplitOption = "",
    seed: Seed = 0,
    validation: Validation = 0.1,
    test: Test = 0.1,
    workers: Workers = None,
) -> None:
    """Prepare a CSV table with images, classes or targets, patients, views, boxes."""
    from nanoray.datasets.sources import PATIENT_PATTERN, table_sources

    chosen = {
        "image": image_column,
        "class": class_column,
        "target": target_column,
        "patient": patient_column,
        "part": part_column,
    }
    sources = table_sources(
        file,
        images=images,
        positive=positive,
        columns={what: column for what, column in chosen.items() if column},
        patient_pattern=patient or PATIENT_PATTERN,
    )
    _prepare(sources, output, "csv", size, split, seed, validation, test, workers)


@app.command("shards")
def sharded(
    data: Annotated[Path, typer.Argument(help="Data set: labels.csv with images/.")],
    output: Annotated[
        str,
        typer.Option(
            "--output",
            "-o",
            help="Folder or fsspec URL (s3://, gs://, ...); an interrupted run is resumed.",
            show_default=False,
        ),
    ],
    size: Annotated[int, typer.Option(help="Input size of the network, pixels.", min=32)] = 256,
    split: Annotated[
        Path | None, typer.Option(help="CSV with image,part; default: the data set's split.csv.")
    ] = None,
    seed: Seed = 0,
    per_shard: Annotated[int, typer.Option(help="Radiographs in a tar file.", min=1)] = 1000,
    teacher: Annotated[
        list[Path],
        typer.Option(
            "--teacher",
            help="Run of a teacher, whose outputs are stored for distillation.",
            exists=True,
        ),
    ] = [],  # noqa: B006
    workers: Workers = None,
) -> None:
    """Write tar files to stream while training (WebDataset)."""
    require_extra("stream")
    from rich.console import Console
    from rich.progress import track

    from nanoray.datasets.labelled import open_labelled
    from nanoray.datasets.shards import open_shards, write_shards
    from nanoray.datasets.splits import PARTS

    describe = None
    if teacher:
        require_extra("train")
        from nanoray.training.streaming import describe_by

        describe = describe_by(teacher)
    labelled = open_labelled(data, split=split, seed=seed)
    total = sum(len(labelled.split.part(part)) for part in PARTS)
    console = Console(stderr=True)
    steps = write_shards(
        labelled, output, size=size, per_shard=per_shard, describe=describe, workers=workers
    )
    unreadable = 0
    for reason in track(
        steps, "Writing shards", total=total, console=console, disable=not console.is_terminal
    ):
        if reason is not None:
            unreadable += 1
            typer.echo(reason, err=True)
    shards = open_shards(output)
    counts = ", ".join(f"{shards.count(part)} {part}" for part in PARTS)
    files = sum(len(shards.parts[part]) for part in PARTS)
    typer.echo(f"{output}: {counts} in {files} shards; {unreadable} files unreadable")
    if unreadable:
        raise typer.Exit(1)


@app.command("verify")
def verify_manifest(
    folder: Annotated[Path, typer.Argument(help="A prepared data set.")],
) -> None:
    """Compare every file of a prepared data set with its checksum."""
    from nanoray.datasets.prepare import verify

    count, wrong = 0, 0
    for file, problem in verify(folder):
        count += 1
        if problem is not None:
            wrong += 1
            typer.echo(f"{file}: {problem}")
    typer.echo(f"{folder}: {count} files, {wrong} missing or changed")
    if wrong:
        raise typer.Exit(1)


def _prepare(
    sources: Sequence[Source],
    output: Path,
    kind: str,
    size: int,
    split: str,
    seed: int,
    validation: float,
    test: float,
    workers: int | None,
) -> None:
    from rich.console import Console
    from rich.progress import Progress

    from nanoray.datasets.prepare import FLOW, prepare
    from nanoray.datasets.splits import PARTS

    if split == "recipe":
        require_extra("evaluate")
    console = Console(stderr=True)
    with Progress(console=console, disable=not console.is_terminal, transient=True) as bars:
        task = bars.add_task("Preparing radiographs", total=len(sources))
        made = prepare(
            sources,
            output,
            kind=kind,
            size=size,
            split=split,
            seed=seed,
            validation=validation,
            test=test,
            workers=workers,
            step=lambda: bars.advance(task),
        )
    for path, reason in made.unreadable[:20]:
        typer.echo(f"{path}: {reason}", err=True)
    if len(made.unreadable) > 20:
        typer.echo(f"... and {len(made.unreadable) - 20} more: {output}/unreadable.csv", err=True)
    for warning in made.warnings:
        typer.echo(f"nanoray: warning: {warning}", err=True)
    parts = made.parts.values()
    counts = ", ".join(f"{sum(value == part for value in parts)} {part}" for part in PARTS)
    typer.echo(
        f"{output}: {made.images} radiographs ({made.resumed} from an earlier run) of "
        f"{made.patients} patients; {counts}; {made.images - len(parts)} in no part; "
        f"{len(made.unreadable)} files unreadable"
    )
    typer.echo(f"Flow diagram of the images: {output / FLOW}")
    if made.unreadable:
        raise typer.Exit(1)
