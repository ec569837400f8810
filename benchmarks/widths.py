"""Size against AUROC: a student and narrower ones, cross-validated with one recipe.

    nanoray crossvalidate recipes/own-kind.yaml recipes/widths.yaml --data DATA --weights WEIGHTS \\
        --validate-on publisher=challenge-mix -o runs/widths
    python benchmarks/widths.py runs/widths DATA/rsna [--output docs/results/widths.md]

AUROC and the paired difference come from that cross-validation. Size is that of the INT8 file of
the first fold's network, with the full ranges of 64 radiographs; multiply-adds are those of its
convolutions. Prints a table; with --output it is written there, and a picture beside it.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import nn

from nanoray.datasets.folder import read_folder
from nanoray.datasets.images import Squares, load_squares
from nanoray.exporting.novelty import fit_novelty, pooled_features
from nanoray.exporting.onnx_graph import export
from nanoray.exporting.quantize import quantize, store_compactly
from nanoray.training.networks import Network
from nanoray.training.run_folder import load_run

METRIC = "AUROC challenge"
RECIPE = "widths"


@dataclass(frozen=True, slots=True)
class Width:
    """A network of the curve.

    Attributes:
        size: side of its input in pixels.
        parameters, multiply_adds: of the network, and of its convolutions for one image.
        bytes: of its INT8 file.
        area, gain: weighted AUROC, and its paired difference from the recipe own-kind, each with
            the bounds of its 95 % interval.
    """

    name: str
    size: int
    parameters: int
    multiply_adds: int
    bytes: int
    area: tuple[float, float, float]
    gain: tuple[float, float, float] | None


def measure(folder: Path, data: Path, cache: Path) -> list[Width]:
    """Return the networks of a cross-validation, the full one first."""
    results = {
        one["recipe"]: one for one in json.loads((folder / "results.json").read_text())["recipes"]
    }
    cases = read_folder(data)[:64]
    found = []
    for recipe, one in results.items():
        step = recipe.removeprefix(f"{RECIPE}/")
        narrowest = recipe == RECIPE
        if recipe != "own-kind" and not narrowest and not step.startswith("width-"):
            continue
        # "student-" and a key of ten letters; "student-192-" and a key is another step.
        (run,) = folder.glob(f"seed-0/fold-1/{_step(step, narrowest)}-" + "?" * 10)
        network, settings = load_run(run)
        squares = load_squares(cases, settings.size, cache)
        found.append(
            Width(
                f"{100 if recipe == 'own-kind' else int(network.architecture[-3:])} %",
                settings.size,
                sum(tensor.numel() for tensor in network.parameters()),
                multiply_adds(network, settings.size),
                int8_bytes(network, squares),
                tuple(one["figures"][METRIC]),
                tuple(one["gains"][METRIC]) if one["gains"] else None,
            )
        )
    return sorted(found, key=lambda width: -width.bytes)


def _step(step: str, narrowest: bool) -> str:
    if narrowest:
        return "width-025"
    return "student" if step == "own-kind" else step


def multiply_adds(network: Network, size: int) -> int:
    """Count the multiply-adds of the convolutions for one image of `size` pixels."""
    total = 0

    def count(layer: nn.Module, _: Any, made: torch.Tensor) -> None:
        nonlocal total
        assert isinstance(layer, nn.Conv2d)
        weights = layer.weight.numel() // layer.out_channels
        total += weights * made[0].numel()

    hooks = [
        layer.register_forward_hook(count)
        for layer in network.modules()
        if isinstance(layer, nn.Conv2d)
    ]
    with torch.inference_mode():
        network.eval()(torch.zeros(1, 1, size, size))
    for hook in hooks:
        hook.remove()
    return total


def int8_bytes(network: Network, squares: Squares) -> int:
    """Return the size of the network's INT8 file."""
    with TemporaryDirectory() as folder:
        fp32, int8 = Path(folder) / "fp32.onnx", Path(folder) / "int8.onnx"
        export(network, fit_novelty(pooled_features(network, squares)), squares.shape[1], fp32)
        quantize(fp32, int8, squares, equalized=network.options.equalize)
        store_compactly(int8)
        return int8.stat().st_size


def as_markdown(widths: list[Width]) -> str:
    """Return the table."""
    lines = [
        "| channels | input | parameters | multiply-adds | INT8 file | AUROC challenge (95 %) "
        "| paired difference from own-kind |",
        "| ---: | ---: | ---: | ---: | ---: | --- | --- |",
    ]
    for width in widths:
        value, low, high = width.area
        gain = "{:+.3f} ({:+.3f} to {:+.3f})".format(*width.gain) if width.gain else ""
        lines.append(
            f"| {width.name} | {width.size} | {width.parameters / 1e3:.0f} k "
            f"| {width.multiply_adds / 1e6:.1f} M | {width.bytes / 1e6:.2f} MB "
            f"| {value:.3f} ({low:.3f} to {high:.3f}) | {gain} |"
        )
    return "\n".join(lines) + "\n"


def draw(widths: list[Width], path: Path) -> None:
    """Draw AUROC over the size of the file."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(6, 4), layout="constrained")
    for index, width in enumerate(widths):
        value, low, high = width.area
        at = width.bytes / 1e6
        bars = [[value - low], [high - value]]
        axes.errorbar(at, value, yerr=bars, fmt="o", capsize=3, color="C0")
        # Above and below in turn: narrow networks lie close to each other.
        up = index % 2 == 0
        axes.annotate(
            f"{width.name}, {width.size} px",
            (at, high if up else low),
            textcoords="offset points",
            xytext=(0, 5 if up else -14),
            ha="center",
        )
    axes.set_xlabel("INT8 file (MB)")
    axes.set_ylabel("AUROC, weighted to the challenge")
    axes.margins(x=0.2, y=0.15)
    axes.grid(alpha=0.3)
    figure.savefig(path, dpi=120)
    pyplot.close(figure)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="folder of the cross-validation")
    parser.add_argument("data", type=Path, help="the data set that it judged")
    parser.add_argument("--cache", type=Path, default=Path("cache"))
    parser.add_argument("--output", type=Path, help="Markdown file; a picture goes beside it")
    options = parser.parse_args()
    widths = measure(options.folder, options.data, options.cache)
    table = as_markdown(widths)
    print(table)
    if options.output is not None:
        draw(widths, options.output.with_suffix(".png"))
        options.output.write_text(f"{table}\n![AUROC over size]({options.output.stem}.png)\n")


if __name__ == "__main__":
    main()
