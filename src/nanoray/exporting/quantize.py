"""INT8 forms of the FP32 model file."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnx
from numpy.typing import NDArray
from onnxruntime.quantization import (
    CalibrationDataReader,
    CalibrationMethod,
    QuantFormat,
    QuantType,
    quantize_static,
)
from onnxruntime.quantization.shape_inference import quant_pre_process

from nanoray.detecting.model_file import INPUT
from nanoray.reading.equalize import equalize_batch

Calibration = Literal["minmax", "percentile", "entropy"]
"""Methods for the ranges of activations."""

Arithmetic = Literal["float", "integer"]
"""How a file with INT8 weights computes.

With "float" the runtime multiplies the weights by their scales when it loads the file, and computes
in FP32. With "integer" it rounds activations to 8 bits too (`quantize`). A student without
hard-swish and squeeze-and-excite is hardly faster with integers (0.97 of FP32), but its logit then
depends on the last digits of the input, in which runtimes and readers differ.
"""

# With hard-swish and squeeze-and-excite, convolutions with fewer weights compute in FP32. They have
# a third of the weights, but cause most of the error of rounding activations to 8 bits: with a
# limit of 4,096, logits moved three times as much.
LARGE = 16_384


def prepared(squares: NDArray[np.uint8], equalized: bool) -> NDArray[np.float32]:
    """Turn uint8 [N, S, S] into the graph's input, float32 [N, 1, S, S]."""
    batch = (squares[:, None] / np.float32(255)).astype(np.float32)
    return equalize_batch(batch) if equalized else batch


class CalibrationSquares(CalibrationDataReader):  # type: ignore[misc]
    """uint8 [N, S, S] radiographs in batches, for ONNX Runtime to measure ranges on."""

    def __init__(
        self, squares: NDArray[np.uint8], batch_size: int = 16, *, equalized: bool = False
    ) -> None:
        self.batches: Iterator[dict[str, Any]] = (
            {INPUT: prepared(squares[i : i + batch_size], equalized)}
            for i in range(0, len(squares) - batch_size + 1, batch_size)
        )

    def get_next(self) -> dict[str, Any] | None:
        return next(self.batches, None)


def quantize(
    fp32: Path,
    int8: Path,
    calibration: NDArray[np.uint8],
    *,
    method: Calibration = "minmax",
    per_channel: bool = True,
    batch_size: int = 16,
    equalized: bool = False,
) -> None:
    """Quantize the convolutions of the trunk, weights and activations.

    Weights are INT8 in 7 bits (without VNNI instructions x86 adds pairs of 8-bit products in 16
    bits, which saturate), activations UINT8 with ranges measured on `calibration`.

    A trunk of convolutions, ReLU and additions is quantized from a thirty-second of the input's
    resolution on, where most of the weights are. Rounding the finer layers' outputs caused most of
    the error, and made the logit depend on the last digits of the input (in which runtimes differ),
    for little speed. The last residual block, from the addition before it on, computes in FP32 too,
    since its rounding reaches the logit directly: if every pixel changes by 0.0001, the packaged
    student's logit moves by 0.005 in the median in place of 0.008, in 1.02 times the time.

    In other trunks only convolutions with many weights are quantized. Hard-swish and
    squeeze-and-excite are not fused, and their inputs' ranges differ so much between channels that
    one scale for all costs most of the accuracy. The last linear layer and the novelty compute in
    FP32.

    Args:
        calibration: uint8 [N, S, S] radiographs.
        method: for the ranges; the percentile is 99.999.
        per_channel: use a scale for every output channel of a weight instead of one for all.
        equalized: equalise the squares for the graph.
    """
    methods = {
        "minmax": CalibrationMethod.MinMax,
        "percentile": CalibrationMethod.Percentile,
        "entropy": CalibrationMethod.Entropy,
    }
    with tempfile.TemporaryDirectory() as scratch:
        prepared = Path(scratch) / "prepared.onnx"
        quant_pre_process(fp32, prepared, skip_symbolic_shape=True)
        model = onnx.load(prepared)
        for number, node in enumerate(model.graph.node):
            node.name = node.name or f"{node.op_type}_{number}"
        onnx.save(model, prepared)
        whole = _is_plain(model)
        quantize_static(
            str(prepared),
            str(int8),
            CalibrationSquares(calibration, batch_size, equalized=equalized),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=["Conv", "Relu", "Clip", "Add"] if whole else ["Conv"],
            nodes_to_exclude=_kept_in_fp32(model, calibration.shape[1], whole),
            per_channel=per_channel,
            reduce_range=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            calibrate_method=methods[method],
            # A ReLU implied by the range of its output is fused anyway if that is faster.
            extra_options={"QDQKeepRemovableActivations": True},
        )
    onnx.checker.check_model(onnx.load(int8))


def store_compactly(path: Path) -> None:
    """Rewrite a model file to store weights that compute in FP32 in fewer bits."""
    model = onnx.load(path)
    _store_weights_as_int8(model)
    _store_axes_as_float16(model)
    onnx.checker.check_model(model)
    onnx.save(model, path)


def _store_axes_as_float16(model: onnx.ModelProto) -> None:
    """Return the novelty's matrix, which would be a quarter of the file."""
    users = [n for n, node in enumerate(model.graph.node) if "novelty.axes" in node.input]
    if not users:
        return
    axes = next(tensor for tensor in model.graph.initializer if tensor.name == "novelty.axes")
    values = onnx.numpy_helper.to_array(axes).astype(np.float16)
    axes.CopyFrom(onnx.numpy_helper.from_array(values, "novelty.axes_float16"))
    cast = onnx.helper.make_node(
        "Cast", [axes.name], ["novelty.axes"], "novelty.axes_cast", to=onnx.TensorProto.FLOAT
    )
    model.graph.node.insert(users[0], cast)


def _store_weights_as_int8(model: onnx.ModelProto, *, at_least: int = 2048) -> None:
    """Store the weights of convolutions that compute in FP32 as INT8, for the file's size.

    They have one scale per output channel; the runtime multiplies it when it loads the file.
    """
    initializers = {tensor.name: tensor for tensor in model.graph.initializer}
    nodes = []
    for node in model.graph.node:
        weight = initializers.get(node.input[1]) if node.op_type == "Conv" else None
        if weight is None or np.prod(weight.dims) < at_least:
            nodes.append(node)
            continue
        values = onnx.numpy_helper.to_array(weight)
        scale = np.abs(values).max((1, 2, 3), keepdims=True) / 127 + 1e-12
        stored = np.rint(values / scale).astype(np.int8)
        name = weight.name
        model.graph.initializer.remove(weight)
        model.graph.initializer.extend(
            [
                onnx.numpy_helper.from_array(stored, f"{name}_int8"),
                onnx.numpy_helper.from_array(scale.astype(np.float32), f"{name}_scale"),
            ]
        )
        # Not DequantizeLinear: ONNX Runtime would repeat it in each run, but computes these on
        # loading.
        nodes += [
            onnx.helper.make_node(
                "Cast",
                [f"{name}_int8"],
                [f"{name}_cast"],
                f"{name}_cast",
                to=onnx.TensorProto.FLOAT,
            ),
            onnx.helper.make_node(
                "Mul", [f"{name}_cast", f"{name}_scale"], [name], f"{name}_dequantize"
            ),
            node,
        ]
    del model.graph.node[:]
    model.graph.node.extend(nodes)


def _is_plain(model: onnx.ModelProto) -> bool:
    """Return whether the trunk has only convolutions, ReLU (or ReLU6) and additions."""
    trunk = _trunk(model)
    kinds = {node.op_type for node in model.graph.node if node.name in trunk}
    return kinds <= {"Conv", "Relu", "Clip", "Add", "Constant"}


def _kept_in_fp32(model: onnx.ModelProto, size: int, whole: bool) -> list[str]:
    """Return the names of the nodes that `quantize` does not change."""
    shapes = {
        value.name: [d.dim_value for d in value.type.tensor_type.shape.dim]
        for value in onnx.shape_inference.infer_shapes(model).graph.value_info
    }
    weights = {tensor.name: int(np.prod(tensor.dims)) for tensor in model.graph.initializer}
    trunk = _trunk(model)
    additions = [
        number
        for number, node in enumerate(model.graph.node)
        if node.op_type == "Add" and node.name in trunk
    ]
    last_block = additions[-2] if len(additions) > 1 else len(model.graph.node)
    kept = []
    for number, node in enumerate(model.graph.node):
        if whole:
            fine = shapes.get(node.input[0], [0])[-1] > size // 32 if node.input else False
            quantized = node.name in trunk and not fine and number < last_block
        else:
            groups = next((a.i for a in node.attribute if a.name == "group"), 1)
            quantized = (
                node.op_type == "Conv"
                and node.name in trunk
                and groups == 1
                and weights.get(node.input[1], 0) >= LARGE
                and max(shapes[node.output[0]][2:]) > 1
            )
        if not quantized:
            kept.append(node.name)
    return kept


def _trunk(model: onnx.ModelProto) -> set[str]:
    """Return the names of the nodes from the first convolution to the last before the map."""
    producers = {out: node for node in model.graph.node for out in node.output}

    def leading_to(value: str) -> set[str]:
        found: set[str] = set()
        todo = [value]
        while todo:
            node = producers.get(todo.pop())
            if node is not None and node.name not in found:
                found.add(node.name)
                todo += node.input
        return found

    first = next(node for node in model.graph.node if node.op_type == "Conv")
    last = next(node for node in model.graph.node if "network.classifier.weight" in node.input)
    return leading_to(last.input[0]) - leading_to(first.input[0])
