"""Conversion of a model file to the formats of other runtimes, by their converters.

Each function writes the files of a job; `nanoray.exporting.export` checks and describes them.
"""

from __future__ import annotations

import contextlib
import io
import logging
import shutil
import subprocess
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import onnx
from numpy.typing import NDArray

from nanoray.detecting.model_file import INPUT, LOGIT, ModelCard
from nanoray.errors import ModelFileError, NanoRayError
from nanoray.exporting.formats import FORMATS, Format
from nanoray.exporting.model_folders import write_huggingface, write_monai
from nanoray.exporting.partition import Parts, one_radiograph, partition
from nanoray.exporting.squares import as_inputs

if TYPE_CHECKING:
    from torch import Tensor

    from nanoray.exporting.torch_graph import TorchGraph

INT8_INPUT: Final = "normalised"


@dataclass(frozen=True, slots=True)
class Job:
    """One export.

    Attributes:
        model: the model file, and its card.
        stem: beginning of the files' names.
        folder: of the files.
        squares: uint8 [N, S, S] radiographs for measuring the ranges of integers; may be empty for
            formats in floating point.
    """

    model: Path
    card: ModelCard
    form: Format
    stem: str
    folder: Path
    squares: NDArray[np.uint8]

    @property
    def paths(self) -> tuple[Path, ...]:
        """The files to write, the one to open first."""
        return tuple(self.folder / f"{self.stem}{s}" for s in FORMATS[self.form].suffixes)


def write(job: Job) -> None:
    """Write the files of a job.

    Raises:
        ModelFileError: the format does not support this model file.
        NanoRayError: the converter fails.
    """
    if job.card.precision == "int8" and not FORMATS[job.form].from_int8:
        raise ModelFileError(
            f"{job.model}: --format {job.form.value} needs an FP32 model file, but this one is "
            f"INT8; the FP32 file of the packaged model is models/nanoray-student-fp32.onnx"
        )
    with _silent():
        _WRITERS[job.form](job)


def _write_onnx(job: Job) -> None:
    shutil.copyfile(job.model, job.paths[0])


def _write_openvino(job: Job) -> None:
    import openvino

    graph = openvino.convert_model(str(job.model), input={INPUT: _shape(job.card)})
    graph.set_rt_info(job.card.to_json(), ["nanoray", "card"])
    openvino.save_model(graph, str(job.paths[0]), compress_to_fp16=False)


def _write_ncnn(job: Job) -> None:
    import torch

    # pnnx reads ONNX too, but misreads a sum over one axis (version 20261020).
    traced = torch.jit.trace(  # type: ignore[no-untyped-call]
        _in_order(_graph(job)), torch.zeros(*_shape(job.card))
    )
    scratch = job.folder / "pnnx"
    scratch.mkdir()
    traced.save(str(scratch / "m.pt"))
    shape = ",".join(map(str, _shape(job.card)))
    tool = _tool("pnnx")
    # In half precision weights have half the size, but logits move by up to 0.029 (limit: 0.02).
    found = subprocess.run(
        [tool, "m.pt", f"inputshape=[{shape}]", "fp16=0"],
        cwd=scratch,
        capture_output=True,
        text=True,
        check=False,
    )
    written = [scratch / "m.ncnn.param", scratch / "m.ncnn.bin"]
    if found.returncode or not all(path.is_file() for path in written):
        raise NanoRayError(f"{job.model}: pnnx failed: {found.stderr.strip()[-300:]}")
    for source, target in zip(written, job.paths, strict=True):
        source.replace(target)
    shutil.rmtree(scratch)


def _write_litert(job: Job) -> None:
    import litert_torch
    import torch

    example = {INPUT: torch.zeros(*_shape(job.card))}
    graph = _graph(job)

    class Named(torch.nn.Module):
        """The graph with its input by name, for the file's signature."""

        def __init__(self) -> None:
            super().__init__()
            self.whole = graph

        def forward(self, radiograph: Tensor) -> dict[str, Tensor]:
            found: dict[str, Tensor] = self.whole(radiograph)
            return found

    litert_torch.convert(Named().eval(), sample_kwargs=example).export(str(job.paths[0]))


def _write_executorch(job: Job) -> None:
    import torch
    from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
    from executorch.exir import to_edge_transform_and_lower

    program = torch.export.export(_in_order(_graph(job)), (torch.zeros(*_shape(job.card)),))
    lowered = to_edge_transform_and_lower(program, partitioner=[XnnpackPartitioner()])
    job.paths[0].write_bytes(lowered.to_executorch().buffer)


def _write_coreml(job: Job) -> None:
    import coremltools
    import torch

    graph = _graph(job)
    traced = torch.jit.trace(  # type: ignore[no-untyped-call]
        _in_order(graph), torch.zeros(*_shape(job.card))
    )
    model = coremltools.convert(
        traced,
        inputs=[coremltools.TensorType(INPUT, shape=_shape(job.card))],
        outputs=[coremltools.TensorType(name) for name in graph.outputs],
        convert_to="mlprogram",
        minimum_deployment_target=coremltools.target.iOS16,
        compute_precision=coremltools.precision.FLOAT32,
    )
    model.user_defined_metadata["nanoray"] = job.card.to_json()
    model.short_description = job.card.notice
    model.version = job.card.version
    model.save(str(job.paths[0]))


def _write_c(job: Job) -> None:
    from nanoray.exporting.c_header import write_header

    write_header(job.model, job.card, job.paths[0])


def _write_litert_int8(job: Job) -> None:
    """Write the trunk in integers only, and front and heads, which use floats, as ONNX."""
    import litert_torch
    import onnxruntime
    import torch
    from ai_edge_litert.tools import flatbuffer_utils
    from ai_edge_quantizer import quantizer, recipe

    from nanoray.exporting.integer import equalise
    from nanoray.exporting.torch_graph import TorchGraph

    integer, front, heads = job.paths
    parts = partition(job.model, job.card.input_size)
    onnx.save(parts.front, front)
    session = onnxruntime.InferenceSession(
        parts.front.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    entries = np.concatenate(
        [session.run(None, {INPUT: s})[0] for s in as_inputs(job.squares, job.card)]
    )
    equalised = equalise(parts, entries)

    class ChannelsLast(torch.nn.Module):
        """The trunk with the order of axes of such processors: [1, S, S, 1]."""

        def __init__(self) -> None:
            super().__init__()
            self.trunk = TorchGraph(equalised.trunk)

        def forward(self, normalised: Tensor) -> dict[str, Tensor]:
            maps = self.trunk(normalised.permute(0, 3, 1, 2))
            return {name: values.permute(0, 2, 3, 1) for name, values in maps.items()}

    size = job.card.input_size
    floating = integer.with_suffix(".float")
    example = {INT8_INPUT: torch.zeros(1, size, size, 1)}
    litert_torch.convert(ChannelsLast().eval(), sample_kwargs=example).export(str(floating))
    rounding = quantizer.Quantizer(str(floating), recipe.static_wi8_ai8())
    samples = ({INT8_INPUT: entry[None].transpose(0, 2, 3, 1)} for entry in entries)
    rounding.quantize(_ranges(rounding, samples)).export_model(str(integer))
    # The quantizer stores large weights after the model's structure, where LiteRT Micro does not
    # read them: it would compute with zeros.
    flatbuffer_utils.write_model(flatbuffer_utils.read_model(str(integer)), str(integer))
    floating.unlink()
    onnx.save(_rescaled(parts, equalised.factors), heads)
    _recentre(job, heads)


def _ranges(rounding: Any, samples: Iterable[dict[str, NDArray[np.float32]]]) -> dict[str, Any]:
    """Return the range of every tensor over all radiographs.

    The quantizer itself would use moving averages of minimum and maximum, which clip the maps of
    bright radiographs and move logits. A sample unlike a radiograph must not widen a
    range: it is limited to one usual width beyond the usual range.
    """
    seen: dict[str, list[dict[str, Any]]] = {}
    for sample in samples:
        for name, found in rounding.calibrate({"serving_default": [sample]}).items():
            seen.setdefault(name, []).append(found)
    return {name: {**found[0], **_usual_range(found)} for name, found in seen.items()}


def _usual_range(found: Sequence[dict[str, Any]]) -> dict[str, NDArray[np.float64]]:
    lows, highs = (np.stack([np.asarray(one[end]) for one in found]) for end in ("min", "max"))
    width = np.median(highs - lows, 0)
    return {
        "min": np.maximum(lows.min(0), np.median(lows, 0) - width),
        "max": np.minimum(highs.max(0), np.median(highs, 0) + width),
    }


def _rescaled(parts: Parts, factors: dict[str, NDArray[np.float32]]) -> onnx.ModelProto:
    """Return the heads, with the factors of the equalised maps multiplied back."""
    model = onnx.ModelProto()
    model.CopyFrom(parts.heads)
    for name, factor in factors.items():
        within = f"{name}.rescaled"
        for node in model.graph.node:
            for index, given in enumerate(node.input):
                if given == name:
                    node.input[index] = within
        values = onnx.numpy_helper.from_array(factor.reshape(1, -1, 1, 1), f"{name}.factor")
        model.graph.initializer.append(values)
        scale = onnx.helper.make_node("Mul", [name, values.name], [within], f"{name}.rescale")
        model.graph.node.insert(0, scale)
    return model


def _recentre(job: Job, heads: Path) -> None:
    """Shift the heads' logit so that rounding moves it by 0 on average over the radiographs.

    A remaining shift would move every decision. The correction needs no labels.
    """
    from nanoray.exporting.card import shift_logits
    from nanoray.exporting.runtimes import open_integer, open_onnx

    exact = open_onnx(job.model)
    rounded = open_integer(job.paths, threads=1)
    moved = []
    for radiograph in as_inputs(job.squares, job.card):
        moved.append(float(rounded(radiograph)[LOGIT][0, 0] - exact(radiograph)[LOGIT][0, 0]))
    model = onnx.load(heads)
    shift_logits(model.graph, -float(np.mean(moved)))
    onnx.save(model, heads)


def _graph(job: Job) -> TorchGraph:
    from nanoray.exporting.torch_graph import TorchGraph

    return TorchGraph(one_radiograph(onnx.load(job.model), job.card.input_size)).eval()


def _in_order(graph: TorchGraph) -> Any:
    """Return the graph with its outputs as a tuple, in the order of the model file."""
    import torch

    class InOrder(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.whole = graph

        def forward(self, radiograph: Tensor) -> tuple[Tensor, ...]:
            return tuple(self.whole(radiograph).values())

    return InOrder().eval()


def _shape(card: ModelCard) -> tuple[int, int, int, int]:
    return 1, 1, card.input_size, card.input_size


def _tool(name: str) -> str:
    """Find a program of a package beside this Python, or on the path."""
    import sys

    beside = Path(sys.executable).parent / name
    found = str(beside) if beside.is_file() else shutil.which(name)
    if found is None:
        raise NanoRayError(f"the program {name} was not found; install it with pip install {name}")
    return found


@contextlib.contextmanager
def _silent() -> Iterator[None]:
    """Suppress the converters' progress and advice; errors are still raised."""
    before = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        with (
            warnings.catch_warnings(),
            contextlib.redirect_stdout(io.StringIO()),
            contextlib.redirect_stderr(io.StringIO()),
        ):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


_WRITERS: Final[dict[Format, Callable[[Job], None]]] = {
    Format.onnx: _write_onnx,
    Format.openvino: _write_openvino,
    Format.ncnn: _write_ncnn,
    Format.litert: _write_litert,
    Format.litert_int8: _write_litert_int8,
    Format.executorch: _write_executorch,
    Format.coreml: _write_coreml,
    Format.c: _write_c,
    Format.huggingface: lambda job: write_huggingface(job.model, job.card, job.paths[0]),
    Format.monai: lambda job: write_monai(job.model, job.card, job.paths[0]),
}
