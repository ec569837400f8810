"""Preparation of a trunk for 8-bit integers only: equalisation of its channels.

All channels of a feature map share one scale, so a channel of small values has few of the 256
levels. Rounding the unchanged student costs 0.14 of AUROC. The preparation needs no labels.

`equalise` recovers nearly all of it. It gives all channels of a map a similar range, and changes
nothing in floating point. A factor moves from the weights that write a channel to the weights that
read it, which ReLU and addition allow (Nagel et al. 2019, "Data-free quantization through weight
equalization and bias correction"). The ranges are measured on radiographs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray

from nanoray.detecting.model_file import CAM
from nanoray.exporting.partition import Parts

Entries = NDArray[np.float32]
"""Normalised radiographs [N, 1, S, S], the output of the front."""

SHARE = 0.5
"""Influence of a map's range, against its readers' weights, on a factor (0.5 to 1 are equal)."""


@dataclass(frozen=True, slots=True)
class Equalised:
    """A trunk with equalised channels.

    Attributes:
        trunk: the graph.
        factors: of its output maps: the true map is the output times float32 [C].
    """

    trunk: onnx.ModelProto
    factors: dict[str, NDArray[np.float32]]


def equalise(parts: Parts, entries: Entries) -> Equalised:
    """Give the channels of every map of the trunk similar ranges, measured on `entries`."""
    model = onnx.ModelProto()
    model.CopyFrom(parts.trunk)
    graph = model.graph
    tensors = {tensor.name: tensor for tensor in graph.initializer}
    weights = {name: onnx.numpy_helper.to_array(t).copy() for name, t in tensors.items()}
    tied = _tied(graph)
    largest = _largest(model, parts.entry, entries)
    readers: dict[str, list[onnx.NodeProto]] = {}
    for node in graph.node:
        for name in node.input:
            readers.setdefault(name, []).append(node)
    # Other operators, such as a bounded ReLU, do not commute with a factor.
    others = [node for node in graph.node if node.op_type not in ("Conv", "Relu", "Add")]
    fixed = {name for node in others for name in (*node.input, *node.output)}
    factors: dict[str, NDArray[np.float32]] = {}
    for group in set(tied.values()):
        members = [name for name, of in tied.items() if of == group]
        # The map is an output; it has only one channel.
        if CAM in members or parts.entry in members or fixed & set(members):
            continue
        kept = [n for n in members if [r.op_type for r in readers.get(n, ())] != ["Relu"]]
        reach = np.max([largest[name] for name in kept], 0) + 1e-6
        convolutions = [r for n in members for r in readers.get(n, ()) if r.op_type == "Conv"]
        if not all(_is_depthwise(node) for node in convolutions):
            strongest = np.max([_by_input(node, weights) for node in convolutions], 0) + 1e-8
            reach = reach**SHARE / strongest ** (1 - SHARE)
        # A channel that is nearly always 0 would get an unlimited factor.
        reach = np.clip(reach / np.exp(np.log(reach).mean()), 1e-3 * reach.max(), None)
        factors[group] = reach.astype(np.float32)
    for node in graph.node:
        if node.op_type != "Conv":
            continue
        weight = weights[node.input[1]]
        reads, writes = factors.get(tied[node.input[0]]), factors.get(tied[node.output[0]])
        if reads is not None:
            weight *= reads[:, None, None, None] if _is_depthwise(node) else reads[:, None, None]
        if writes is not None:
            weight /= writes[:, None, None, None]
            if len(node.input) > 2:
                weights[node.input[2]] /= writes
    for name, tensor in tensors.items():
        tensor.CopyFrom(onnx.numpy_helper.from_array(weights[name], name))
    given = {name: factors[tied[name]] for name in parts.maps if tied[name] in factors}
    return Equalised(model, given)


def _tied(graph: onnx.GraphProto) -> dict[str, str]:
    """Group tensors that must share their channels' factors, across ReLU and addition."""
    parent: dict[str, str] = {}

    def root(name: str) -> str:
        parent.setdefault(name, name)
        while parent[name] != name:
            name = parent[name]
        return name

    for node in graph.node:
        weights = 1 if node.op_type == "Conv" else len(node.input)
        for name in (*node.input[:weights], *node.output):
            root(name)
            if node.op_type in ("Relu", "Add"):
                parent[root(name)] = root(node.output[0])
    return {name: root(name) for name in parent}


def _is_depthwise(node: onnx.NodeProto) -> bool:
    return any(a.name == "group" and a.i > 1 for a in node.attribute)


def _by_input(node: onnx.NodeProto, weights: dict[str, NDArray[np.float32]]) -> Any:
    """Return the largest weight of each input channel of a convolution."""
    weight = np.abs(weights[node.input[1]])
    return weight.max((1, 2, 3)) if _is_depthwise(node) else weight.max((0, 2, 3))


def _largest(model: onnx.ModelProto, entry: str, entries: Entries) -> dict[str, Any]:
    """Measure the largest absolute value of each channel of each map."""
    probe = onnx.ModelProto()
    probe.CopyFrom(model)
    names = [node.output[0] for node in probe.graph.node]
    del probe.graph.output[:]
    probe.graph.output.extend(onnx.helper.make_tensor_value_info(n, 1, None) for n in names)
    session = onnxruntime.InferenceSession(
        probe.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    largest: dict[str, Any] = {}
    for square in entries:
        for name, values in zip(names, session.run(names, {entry: square[None]}), strict=True):
            if values.ndim != 4:
                continue
            found = np.abs(values[0]).max((1, 2))
            largest[name] = np.maximum(largest.get(name, found), found)
    return largest
