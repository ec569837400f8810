"""The graph of an FP32 model file as a PyTorch module, for converters that start from PyTorch.

It is read from the file and not rebuilt from the name of its architecture. Therefore every network,
head and calibration of a model file is exported unchanged.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple

import onnx
import torch
from torch import Tensor, nn
from torch.nn import functional

from nanoray.errors import ModelFileError

Operation = Callable[..., Any]


class Step(NamedTuple):
    """One operator of a graph: its kind, its inputs and output by name, and its attributes."""

    operator: str
    inputs: tuple[str, ...]
    output: str
    attributes: dict[str, Any]


class TorchGraph(nn.Module):
    """A module that computes an ONNX graph: its inputs, in order, to its outputs by name.

    Weights are parameters under their names in the file, with "." written as "_".
    """

    def __init__(self, model: onnx.ModelProto) -> None:
        """Convert a graph of the operators in `OPERATIONS`.

        Raises:
            ModelFileError: another operator.
        """
        super().__init__()
        graph = model.graph
        unknown = sorted({node.op_type for node in graph.node} - OPERATIONS.keys() - {"Constant"})
        if unknown:
            raise ModelFileError(f"the graph has operators that cannot be exported: {unknown}")
        self.inputs = [value.name for value in graph.input]
        self.outputs = [value.name for value in graph.output]
        self.constants: dict[str, list[Any] | float | int] = {}
        self.weights: dict[str, str] = {}
        for tensor in graph.initializer:
            self._keep(tensor.name, onnx.numpy_helper.to_array(tensor))
        self.nodes: list[Step] = []
        for node in graph.node:
            attributes = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
            if node.op_type == "Constant":
                self._keep(node.output[0], onnx.numpy_helper.to_array(attributes["value"]))
                continue
            inputs = tuple(node.input)
            if node.op_type == "Resize":
                # Scales are numbers too, although stored as a tensor of floats.
                attributes["scales"] = self._numbers(inputs[2])
                inputs = inputs[:1]
            step = Step(node.op_type, inputs, node.output[0], attributes)
            self.nodes.append(step)

    def _keep(self, name: str, values: Any) -> None:
        if values.dtype.kind == "f":
            attribute = "w_" + "".join(c if c.isalnum() else "_" for c in name)
            while hasattr(self, attribute):
                attribute += "_"
            parameter = nn.Parameter(torch.from_numpy(values.copy()).float(), requires_grad=False)
            self.register_parameter(attribute, parameter)
            self.weights[name] = attribute
        # Axes, shapes and bounds are numbers, not tensors, since converters require constants.
        if values.dtype.kind != "f" or values.size == 1:
            self.constants[name] = values.tolist()

    def _numbers(self, name: str) -> list[float]:
        if name not in self.weights:
            raise ModelFileError("a resize to computed sizes cannot be exported")
        found: list[float] = getattr(self, self.weights[name]).tolist()
        return found

    def forward(self, *radiographs: Tensor) -> dict[str, Tensor]:
        """Compute the outputs."""
        values: dict[str, Any] = dict(zip(self.inputs, radiographs, strict=True))
        for step in self.nodes:
            inputs = [self._value(name, values) for name in step.inputs]
            values[step.output] = self.compute(step, inputs)
        return {name: values[name] for name in self.outputs}

    def compute(self, step: Step, inputs: list[Any]) -> Any:
        """Compute one operator."""
        return OPERATIONS[step.operator](*inputs, **step.attributes)

    def _value(self, name: str, values: dict[str, Any]) -> Any:
        if name in values:
            return values[name]
        if not name:
            return None
        if name in self.constants:
            constant = self.constants[name]
            # A number stored as a tensor of one dimension broadcasts equally.
            return constant if not self._is_vector(name) else getattr(self, self.weights[name])
        return getattr(self, self.weights[name])

    def _is_vector(self, name: str) -> bool:
        return name in self.weights and getattr(self, self.weights[name]).ndim > 0


def _conv(x: Tensor, weight: Tensor, bias: Tensor | None = None, **given: Any) -> Tensor:
    top, left, bottom, right = given.get("pads", [0, 0, 0, 0])
    if (top, left) != (bottom, right):
        x, (top, left) = functional.pad(x, (left, right, top, bottom)), (0, 0)
    return functional.conv2d(
        x,
        weight,
        bias,
        stride=given.get("strides", 1),
        padding=(top, left),
        dilation=given.get("dilations", 1),
        groups=given.get("group", 1),
    )


def _pool(pool: Callable[..., Tensor]) -> Operation:
    def run(x: Tensor, kernel_shape: list[int], **given: Any) -> Tensor:
        top, left, bottom, right = given.get("pads", [0, 0, 0, 0])
        if (top, left) != (bottom, right):
            raise ModelFileError("a pooling with uneven padding cannot be exported")
        return pool(
            x,
            kernel_shape,
            stride=given.get("strides", 1),
            padding=(top, left),
            ceil_mode=bool(given.get("ceil_mode", 0)),
        )

    return run


def _reduction(reduce: Callable[..., Tensor]) -> Operation:
    def run(x: Tensor, axes: list[int] | None = None, *, keepdims: int = 1, **_: Any) -> Tensor:
        return reduce(x, dim=list(range(x.ndim)) if axes is None else axes, keepdim=bool(keepdims))

    return run


def _clip(x: Tensor, low: float | None = None, high: float | None = None) -> Tensor:
    return torch.clamp(x, low, high)


def _gather(x: Tensor, indices: int | list[int], axis: int = 0) -> Tensor:
    if isinstance(indices, int):
        return x.select(axis, indices)
    return x.index_select(axis, torch.tensor(indices))


def _gemm(a: Tensor, b: Tensor, c: Tensor | None = None, **given: Any) -> Tensor:
    a = a.transpose(-1, -2) if given.get("transA") else a
    b = b.transpose(-1, -2) if given.get("transB") else b
    product: Tensor = (a @ b) * given.get("alpha", 1.0)
    return product if c is None else product + c * given.get("beta", 1.0)


def _unsqueeze(x: Tensor, axes: list[int]) -> Tensor:
    for axis in sorted(axes):
        x = x.unsqueeze(axis)
    return x


def _resize(x: Tensor, *, scales: list[float], mode: bytes = b"nearest", **_: Any) -> Tensor:
    if mode != b"nearest" or scales[:2] != [1.0, 1.0]:
        raise ModelFileError("only an enlargement by repeating cells can be exported")
    return functional.interpolate(x, scale_factor=tuple(scales[2:]), mode="nearest")


def _squeeze(x: Tensor, axes: list[int] | None = None) -> Tensor:
    return x.squeeze() if axes is None else x.squeeze(tuple(axes))


def _pow(x: Tensor, exponent: float) -> Tensor:
    # Runtimes compute a product more accurately, and on more processors, than a power.
    return x * x if exponent == 2 else x**exponent


OPERATIONS: Final[dict[str, Operation]] = {
    "Abs": torch.abs,
    "Add": lambda a, b: a + b,
    "AveragePool": _pool(functional.avg_pool2d),
    "Clip": _clip,
    "Ceil": torch.ceil,
    "Concat": lambda *parts, axis: torch.cat(parts, axis),
    "Conv": _conv,
    "Div": lambda a, b: a / b,
    "Exp": torch.exp,
    "Flatten": lambda x, axis=1: x.flatten(axis),
    "Gather": _gather,
    "Gemm": _gemm,
    "GlobalAveragePool": lambda x: x.mean((2, 3), keepdim=True),
    "HardSigmoid": lambda x, alpha=0.2, beta=0.5: (alpha * x + beta).clamp(0, 1),
    "HardSwish": functional.hardswish,
    "Identity": lambda x: x,
    "Log": torch.log,
    "MatMul": lambda a, b: a @ b,
    "MaxPool": _pool(functional.max_pool2d),
    "Mul": lambda a, b: a * b,
    "Neg": lambda x: -x,
    "Pow": _pow,
    "Reciprocal": torch.reciprocal,
    "ReduceLogSumExp": _reduction(torch.logsumexp),
    "ReduceMax": _reduction(torch.amax),
    "ReduceMean": _reduction(torch.mean),
    "ReduceSum": _reduction(torch.sum),
    "Relu": torch.relu,
    "Resize": _resize,
    "Reshape": lambda x, shape, allowzero=0: x.reshape(shape),
    "Sigmoid": torch.sigmoid,
    "Sign": torch.sign,
    "Sqrt": torch.sqrt,
    "Squeeze": _squeeze,
    "Sub": lambda a, b: a - b,
    "Tanh": torch.tanh,
    "Transpose": lambda x, perm: x.permute(perm),
    "Unsqueeze": _unsqueeze,
}
"""ONNX operators, opset 18, with their functions in PyTorch; attributes are keywords."""
