"""The model for phones: LiteRT (`.tflite`) and ExecuTorch with XNNPACK (`.pte`).

Both are made of an FP32 model file, with the same input and outputs, for one radiograph at a time.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from nanoray.datasets.phantom import draw
from nanoray.detecting.model_file import INPUT, OUTPUTS, open_model
from nanoray.errors import DataSetError, NanoRayError
from nanoray.exporting.novelty import Novelty
from nanoray.exporting.onnx_graph import Exported
from nanoray.training.networks import load_weights

SUFFIXES: Final = {"litert": ".tflite", "executorch": ".pte"}
TOLERANCE: Final = 1e-3
"""Largest difference of an output from the model file's, relative to its largest value."""

Square = NDArray[np.float32]
Run = Callable[[Square], dict[str, NDArray[np.float32]]]


class Named(nn.Module):
    """The graph of the model file with its outputs by name, and shifted as the file's are."""

    def __init__(self, exported: Exported, shift: float) -> None:
        super().__init__()
        self.exported = exported
        self.shift = shift

    def forward(self, radiograph: Tensor) -> dict[str, Tensor]:
        logit, cam, novelty = self.exported(radiograph)
        return {"logit": logit + self.shift, "cam": cam, "novelty": novelty}


def rebuild(path: Path) -> Named:
    """The network of an FP32 model file, with its novelty and the shift of its calibration.

    Raises:
        DataSetError: not an FP32 model file.
    """
    network = load_weights(path)
    tensors = {
        tensor.name: onnx.numpy_helper.to_array(tensor)
        for tensor in onnx.load(path).graph.initializer
    }
    prefix = "novelty."
    state = {
        name.removeprefix(prefix): torch.from_numpy(values.copy())
        for name, values in tensors.items()
        if name.startswith(prefix)
    }
    shift = sum(float(v) for name, v in tensors.items() if name.startswith("logit.shift."))
    try:
        novelty = Novelty(*state["axes"].shape)
        novelty.load_state_dict(state)
    except (KeyError, TypeError, RuntimeError):
        raise DataSetError(f"{path}: not an FP32 model file: its novelty is missing") from None
    return Named(Exported(network, novelty), shift).eval()


def export_mobile(model: Path, form: str, output: Path) -> float:
    """Write the model of an FP32 model file for phones, and compare both.

    Args:
        model: an FP32 model file.
        form: a key of `SUFFIXES`.
        output: the file to write; beside it, with the suffix `.json`, comes the model card.

    Returns:
        The largest difference of an output from the model file's, relative to its largest value.

    Raises:
        DataSetError: not an FP32 model file.
        NanoRayError: the written file's outputs differ; it is removed.
    """
    _, card = open_model(model, optimise=False)
    module = rebuild(model)
    example = torch.zeros(1, 1, card.input_size, card.input_size)
    partial = output.with_name(f"{output.name}.partial")
    try:
        (write_litert if form == "litert" else write_executorch)(module, example, partial)
        difference = parity(model, open_mobile(partial, form), card.input_size)
        if not difference <= TOLERANCE:
            raise NanoRayError(f"{output}: its outputs differ by {difference:.2g} from {model}'s")
        partial.replace(output)
    finally:
        partial.unlink(missing_ok=True)
    output.with_suffix(".json").write_text(card.to_json() + "\n")
    return difference


def write_litert(module: nn.Module, example: Tensor, path: Path) -> None:
    """Write a LiteRT file: signature "serving_default", input and outputs by their names."""
    import litert_torch

    litert_torch.convert(module, sample_kwargs={INPUT: example}).export(str(path))


def write_executorch(module: nn.Module, example: Tensor, path: Path) -> None:
    """Write an ExecuTorch program, method "forward", for XNNPACK; outputs as in `OUTPUTS`."""
    from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
    from executorch.exir import to_edge_transform_and_lower

    program = torch.export.export(module, (example,))
    lowered = to_edge_transform_and_lower(program, partitioner=[XnnpackPartitioner()])
    path.write_bytes(lowered.to_executorch().buffer)


def open_mobile(path: Path, form: str) -> Run:
    """Open a written file with its runtime for Python: float32 [1, 1, S, S] to its outputs."""
    if form == "litert":
        from ai_edge_litert.interpreter import Interpreter

        runner = Interpreter(str(path), num_threads=1).get_signature_runner()
        return lambda square: {name: np.array(v) for name, v in runner(**{INPUT: square}).items()}
    from executorch.runtime import Runtime

    # Both must live as long as the method does.
    data = path.read_bytes()
    program = Runtime.get().load_program(data)
    method = program.load_method("forward")

    def run(square: Square, _kept: Any = (data, program)) -> dict[str, NDArray[np.float32]]:
        found = method.execute([torch.from_numpy(square)])
        return {name: v.numpy().copy() for name, v in zip(OUTPUTS, found, strict=True)}

    return run


def parity(model: Path, run: Run, size: int) -> float:
    """Largest difference of an output on phantoms and noise, relative to its largest value."""
    session, _ = open_model(model)
    squares = [draw(seed, size=size, opacity=seed % 2 == 1).pixels for seed in range(4)]
    squares.append(np.random.default_rng(0).random((size, size), np.float32))
    worst = 0.0
    for pixels in squares:
        square = np.zeros((1, 1, size, size), np.float32)
        square[0, 0, : pixels.shape[0], : pixels.shape[1]] = pixels[:size, :size]
        expected = dict(zip(OUTPUTS, session.run(list(OUTPUTS), {INPUT: square}), strict=True))
        found = run(square)
        for name, values in expected.items():
            distance = float(np.abs(found[name] - values).max())
            worst = max(worst, distance / max(1.0, float(np.abs(values).max())))
    return worst
