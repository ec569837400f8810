"""Size against AUROC: the packaged student in several widths, every width with the same recipe.

    python benchmarks/pareto.py DATASETS [--model models/nanoray-student-fp32.onnx]
        [--output runs/pareto]

Each network begins with the strongest channels of the packaged student and learns its logits, its
heat maps and the labels, at 160 pixels. What the packaged student was validated on, a fold of the
challenge mix, judges all of them; neither teacher nor students trained on its patients. Prints the
validation AUROC of each width and seed in floating point. Started again, it resumes.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from nanoray.datasets.folder import read_folder, select
from nanoray.datasets.labelled import LabelledData
from nanoray.datasets.splits import split_into_folds
from nanoray.training.recipe import Sources, train
from nanoray.training.settings import Settings

WIDTHS = ("050", "025", "100", "075", "035")
EXTRAS = ("rsna_normals",)


def settings_of(width: str, seed: int) -> Settings:
    """Return the settings, which differ in width and seed alone."""
    return Settings(
        role="student",
        architecture=f"mobilenet_v3_small_minimal_{width}",
        size=160,
        epochs=4,
        batch_size=32,
        learning_rate=1e-3,
        average_decay=0.998,
        class_weight=0.5,
        box_weight=1.0,
        attention_weight=0.1,
        equalize=True,
        fine_map=True,
        pooling="lse",
        pooling_sharpness=0.5,
        distillation_method="cam",
        keep="last",
        seed=seed,
    )


def judged_data(folder: Path) -> LabelledData:
    """Return the challenge's images; validation is the packaged student's fold, the rest trains."""
    cases = read_folder(folder)
    judged = select(cases, "publisher", "challenge-mix")
    return LabelledData(folder, cases, split_into_folds(cases, judged, folds=5)[0])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, help="folder of the data sets")
    parser.add_argument("--model", type=Path, default=Path("models/nanoray-student-fp32.onnx"))
    parser.add_argument("--output", type=Path, default=Path("runs/pareto"))
    parser.add_argument("--cache", type=Path, default=Path("cache"))
    parser.add_argument("--widths", nargs="+", default=WIDTHS, choices=WIDTHS)
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    data = judged_data(options.data / "rsna")
    sources = Sources(
        start=options.model,
        teachers=[options.model],
        extras=[options.data / name for name in EXTRAS],
        shares=[28, 4],
        cache=options.cache,
    )
    for seed in range(options.seeds):
        for width in options.widths:
            folder = options.output / f"width-{width}" / f"seed-{seed}"
            score = train(settings_of(width, seed), data, folder, sources, show_progress=False)
            print(f"width {width}, seed {seed}: {score:.4f}", flush=True)


if __name__ == "__main__":
    main()
