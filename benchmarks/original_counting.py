"""The original recipe's way of counting, beside what a device sees.

    python benchmarks/original_counting.py [MODEL.onnx ...] [--output table.md]

The original table gives the "size" of a network as the bytes of its parameters, its "latency" as
the time of a batch of 16 divided by 16 with all threads, and its "INT8" as PyTorch's dynamic
quantization of linear layers. Here the same networks are counted that way and by what matters on a
device: the bytes of a file on disk and the time of one radiograph in one thread. Neither depends on
the weights' values, so they are random.

What comes of it:

- Dynamic quantization leaves convolutions alone, which hold nearly all weights of ResNet-50 and
  most of MobileNetV3-Small. Its quantized weights are no `parameters()` any more, so that they
  vanish from the count instead of shrinking to a quarter.
- Parameters leave out the running statistics of batch normalisation, which are stored too.
- A batch of 16 keeps all cores busy; a device that is given one radiograph cannot.

Times are taken in turn, in one process, and given as ratios to the first row; those of one thread
are its CPU time, which other work on the machine does not lengthen.
"""

from __future__ import annotations

import argparse
import copy
import io
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter, thread_time

import numpy as np
import onnxruntime
import torch
import torchvision
from torch import nn

from nanoray.detecting.model_file import read_card

BATCH = 16
SIDE = 224


@dataclass
class Row:
    """A network as both ways see it; `seconds` are filled in by `time_in_turn`."""

    name: str
    parameter_bytes: int | None
    file_bytes: int
    batch: Callable[[], object]
    single: Callable[[], object]
    batch_ratio: float = 0.0
    single_ratio: float = 0.0


def networks() -> dict[str, nn.Module]:
    """Return the recipe's networks with two classes, as torchvision has them."""
    mobile = torchvision.models.mobilenet_v3_small(num_classes=2)
    # ViT-Tiny, patches of 16 (Touvron et al. 2021).
    vit = torchvision.models.VisionTransformer(
        image_size=SIDE,
        patch_size=16,
        num_layers=12,
        num_heads=3,
        hidden_dim=192,
        mlp_dim=768,
        num_classes=2,
    )
    return {
        "ResNet-50": torchvision.models.resnet50(num_classes=2),
        "MobileNetV3-Small": mobile,
        "ViT-Tiny": vit,
    }


def dynamically_quantized(network: nn.Module) -> nn.Module:
    """Return the recipe's INT8: `quantize_dynamic` of the linear layers."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        quantized: nn.Module = torch.ao.quantization.quantize_dynamic(
            copy.deepcopy(network), {nn.Linear}, dtype=torch.qint8
        )
    return quantized


def of_torch(name: str, network: nn.Module) -> Row:
    network.eval()
    stored = io.BytesIO()
    torch.save(network.state_dict(), stored)
    batch, single = torch.rand(BATCH, 3, SIDE, SIDE), torch.rand(1, 3, SIDE, SIDE)
    return Row(
        name,
        sum(p.numel() * p.element_size() for p in network.parameters()),
        len(stored.getvalue()),
        lambda: network(batch),
        lambda: network(single),
    )


def of_file(path: Path) -> Row:
    card = read_card(path)
    side = card.input_size

    def session(threads: int) -> onnxruntime.InferenceSession:
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        options.intra_op_num_threads = threads
        return onnxruntime.InferenceSession(str(path), options, ["CPUExecutionProvider"])

    all_threads, one_thread = session(0), session(1)
    rng = np.random.default_rng(0)
    batch = {"radiograph": rng.random((BATCH, 1, side, side), np.float32)}
    single = {"radiograph": rng.random((1, 1, side, side), np.float32)}
    return Row(
        f"NanoRay {card.name.removeprefix('nanoray-')} {card.precision.upper()}, {side} px, ONNX",
        None,
        path.stat().st_size,
        lambda: all_threads.run(None, batch),
        lambda: one_thread.run(None, single),
    )


def time_in_turn(rows: list[Row], rounds: int) -> None:
    """Median over the rounds of each row's time by the first row's."""
    threads = torch.get_num_threads()
    batch, single = np.zeros((rounds, len(rows))), np.zeros((rounds, len(rows)))
    with torch.inference_mode():
        for number in range(-1, rounds):
            for index, row in enumerate(rows):
                torch.set_num_threads(threads)
                start = perf_counter()
                row.batch()
                middle = perf_counter()
                torch.set_num_threads(1)
                row.single()
                start_single = thread_time()
                row.single()
                if number >= 0:
                    batch[number, index] = (middle - start) / BATCH
                    single[number, index] = thread_time() - start_single
    for index, row in enumerate(rows):
        row.batch_ratio = float(np.median(batch[:, index] / batch[:, 0]))
        row.single_ratio = float(np.median(single[:, index] / single[:, 0]))
    share = np.median(batch[:, 0] / single[:, 0])
    print(f"{rows[0].name}: an image of a batch takes {share:.2f} of the time of one alone")


def markdown(rows: list[Row]) -> str:
    """Write the table: two columns of figures as the original counts, then a device's."""
    lines = [
        "| network | parameters, MB | batch-16 time | file, MB | batch-1 time, one thread |",
        "| --- | --- | --- | --- | --- |",
    ]
    for row in rows:
        counted = "" if row.parameter_bytes is None else f"{row.parameter_bytes / 1e6:.2f}"
        lines.append(
            f"| {row.name} | {counted} | {row.batch_ratio:.3f} x | {row.file_bytes / 1e6:.2f} "
            f"| {row.single_ratio:.3f} x |"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="*", type=Path, help="NanoRay model files to set beside")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--output", type=Path, help="Markdown file of the table")
    options = parser.parse_args()
    rows = []
    for name, network in networks().items():
        rows.append(of_torch(name, network))
        rows.append(of_torch(f"{name}, dynamic INT8", dynamically_quantized(network)))
    rows += [of_file(path) for path in options.models]
    time_in_turn(rows, options.rounds)
    table = markdown(rows)
    print(table)
    if options.output:
        options.output.write_text(table)


if __name__ == "__main__":
    main()
