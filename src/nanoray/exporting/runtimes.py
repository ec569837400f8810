"""Models in the runtimes of their formats: float32 [1, 1, S, S] to outputs by name."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from nanoray.detecting.model_file import CAM, INPUT
from nanoray.exporting.description import description_path
from nanoray.exporting.formats import Format

Square = NDArray[np.float32]
Run = Callable[[Square], dict[str, NDArray[np.float32]]]
Open = Callable[[Sequence[Path], int], Run]


@dataclass(frozen=True, slots=True)
class Runtime:
    """An installed runtime for the files of a format.

    Attributes:
        name: for tables.
        form: the format of the files.
        package: the imported package.
        distribution: of the package, for the version.
        open: opens files, the order of `Job.paths`, with a number of threads.
    """

    name: str
    form: Format
    package: str
    distribution: str
    open: Open

    @property
    def installed(self) -> bool:
        """Return whether it can be imported."""
        return find_spec(self.package) is not None

    @property
    def version(self) -> str:
        """Return the installed version; "" if unknown."""
        try:
            return version(self.distribution).split("-")[0]
        except PackageNotFoundError:
            return ""


def open_onnx(path: Path, threads: int = 1) -> Run:
    """Open an ONNX file in ONNX Runtime, on the CPU."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(path), options, ["CPUExecutionProvider"])
    names = [value.name for value in session.get_outputs()]
    (entry,) = session.get_inputs()
    return lambda square: dict(zip(names, session.run(names, {entry.name: square}), strict=True))


def open_openvino(paths: Sequence[Path], threads: int) -> Run:
    """Open an OpenVINO IR on the CPU."""
    import openvino

    settings = {
        "INFERENCE_NUM_THREADS": threads,
        "NUM_STREAMS": 1,
        "PERFORMANCE_HINT": "LATENCY",
        # On processors with such units it would compute in bfloat16, with other results.
        "INFERENCE_PRECISION_HINT": "f32",
    }
    core = openvino.Core()
    compiled = core.compile_model(core.read_model(str(paths[0])), "CPU", settings)
    request = compiled.create_infer_request()
    names = [(port, _given_name(port)) for port in compiled.outputs]

    def run(square: Square) -> dict[str, NDArray[np.float32]]:
        found = request.infer({0: square})
        return {name: np.array(found[port]) for port, name in names}

    return run


def _given_name(port: Any) -> str:
    return str(next(iter(port.names)))


def open_ncnn(paths: Sequence[Path], threads: int) -> Run:
    """Open an ncnn network on the CPU, in FP32."""
    import ncnn

    network = ncnn.Net()
    network.opt.num_threads = threads
    network.opt.use_fp16_packed = network.opt.use_fp16_storage = False
    network.opt.use_fp16_arithmetic = network.opt.use_bf16_storage = False
    network.load_param(str(paths[0]))
    network.load_model(str(paths[1]))
    shapes = outputs_of(paths[0])

    def run(square: Square) -> dict[str, NDArray[np.float32]]:
        extractor = network.create_extractor()
        extractor.input("in0", ncnn.Mat(square[0]).clone())
        found = {}
        for number, (name, shape) in enumerate(shapes.items()):
            _, values = extractor.extract(f"out{number}")
            found[name] = np.array(values, np.float32).reshape(shape)
        return found

    return run


def open_litert(paths: Sequence[Path], threads: int) -> Run:
    """Open a LiteRT file on the CPU, by XNNPACK."""
    from ai_edge_litert.interpreter import Interpreter

    # The runner keeps a reference to the interpreter.
    runner = Interpreter(str(paths[0]), num_threads=threads).get_signature_runner()
    return lambda square: {name: np.array(v) for name, v in runner(**{INPUT: square}).items()}


def open_integer(paths: Sequence[Path], threads: int) -> Run:
    """Open a trunk of integers in LiteRT, between its front and its heads in ONNX Runtime."""
    from ai_edge_litert.interpreter import Interpreter

    runner = Interpreter(str(paths[0]), num_threads=threads).get_signature_runner()
    (entry,) = runner.get_input_details().items()
    maps = {name: detail["quantization"] for name, detail in runner.get_output_details().items()}

    def trunk(levels: NDArray[np.int8]) -> dict[str, NDArray[np.int8]]:
        found: dict[str, NDArray[np.int8]] = runner(**{entry[0]: levels})
        return found

    return _between(paths, threads, trunk, entry[1]["quantization"], maps)


def integer_details(path: Path) -> dict[str, Any]:
    """Describe the input and the maps of a trunk of integers, in the order of the file."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(path))
    runner = interpreter.get_signature_runner()
    (entry,) = runner.get_input_details().items()
    names = {d["index"]: name for name, d in runner.get_output_details().items()}
    return {
        "input": {"name": entry[0], **_levels(entry[1])},
        "maps": [
            {"name": names[d["index"]], **_levels(d)} for d in interpreter.get_output_details()
        ],
        "real": "(level - zero_point) * scale",
    }


def _levels(details: dict[str, Any]) -> dict[str, Any]:
    scale, zero = details["quantization"]
    shape = [int(side) for side in details["shape"]]
    return {"shape": shape, "type": "int8", "scale": float(scale), "zero_point": int(zero)}


def _between(
    paths: Sequence[Path],
    threads: int,
    trunk: Callable[[NDArray[np.int8]], dict[str, NDArray[np.int8]]],
    entry: tuple[float, int],
    maps: dict[str, tuple[float, int]],
) -> Run:
    import onnxruntime

    front = open_onnx(paths[1], threads)
    heads = onnxruntime.InferenceSession(str(paths[2]), providers=["CPUExecutionProvider"])
    outputs = [value.name for value in heads.get_outputs()]
    wanted = [value.name for value in heads.get_inputs()]

    def run(square: Square) -> dict[str, NDArray[np.float32]]:
        (normalised,) = front(square).values()
        scale, zero = entry
        levels = np.clip(np.rint(normalised / scale) + zero, -128, 127).astype(np.int8)
        found = {name: _real(values, maps[name]) for name, values in trunk(_last(levels)).items()}
        given = heads.run(outputs, {name: found[name] for name in wanted})
        return {
            **{name: found[name] for name in (CAM,) if name in found},
            **dict(zip(outputs, given, strict=True)),
        }

    return run


def _last(levels: NDArray[np.int8]) -> NDArray[np.int8]:
    return np.ascontiguousarray(levels.transpose(0, 2, 3, 1))


def _real(levels: NDArray[np.int8], quantization: tuple[float, int]) -> NDArray[np.float32]:
    scale, zero = quantization
    values = (levels.astype(np.float32) - zero) * np.float32(scale)
    return np.ascontiguousarray(values.transpose(0, 3, 1, 2))


def open_executorch(paths: Sequence[Path], threads: int) -> Run:
    """Open an ExecuTorch program; it uses all threads of its process."""
    import torch
    from executorch.runtime import Runtime as ExecuTorch

    # Both must exist as long as the method.
    data = paths[0].read_bytes()
    program = ExecuTorch.get().load_program(data)
    method = program.load_method("forward")
    names = list(outputs_of(paths[0]))

    def run(square: Square, _kept: Any = (data, program)) -> dict[str, NDArray[np.float32]]:
        found = method.execute([torch.from_numpy(square)])
        return {name: v.numpy().copy() for name, v in zip(names, found, strict=True)}

    return run


def open_torch(paths: Sequence[Path], threads: int) -> Run:
    """Open an FP32 model file as a PyTorch module, run operator by operator."""
    import onnx
    import torch

    from nanoray.exporting.torch_graph import TorchGraph

    torch.set_num_threads(threads)
    graph = TorchGraph(onnx.load(paths[0])).eval()

    def run(square: Square) -> dict[str, NDArray[np.float32]]:
        with torch.inference_mode():
            return {name: v.numpy() for name, v in graph(torch.from_numpy(square)).items()}

    return run


def outputs_of(path: Path) -> dict[str, tuple[int, ...]]:
    """Return names and shapes of an exported file's outputs, from its description."""
    values = json.loads(description_path(path).read_text())["outputs"]
    return {output["name"]: tuple(output["shape"]) for output in values}


RUNTIMES: Final[tuple[Runtime, ...]] = (
    Runtime(
        "ONNX Runtime",
        Format.onnx,
        "onnxruntime",
        "onnxruntime",
        lambda paths, threads: open_onnx(paths[0], threads),
    ),
    Runtime("OpenVINO", Format.openvino, "openvino", "openvino", open_openvino),
    Runtime("ncnn", Format.ncnn, "ncnn", "ncnn", open_ncnn),
    Runtime("LiteRT", Format.litert, "ai_edge_litert", "ai-edge-litert", open_litert),
    Runtime(
        "LiteRT, integers", Format.litert_int8, "ai_edge_litert", "ai-edge-litert", open_integer
    ),
    Runtime("ExecuTorch", Format.executorch, "executorch", "executorch", open_executorch),
    Runtime("PyTorch, eager", Format.onnx, "torch", "torch", open_torch),
)
