"""Division of a model file's graph into three: front, trunk and heads.

The front normalises the radiograph. The trunk contains all convolutions up to the class-activation
map. The heads compute the logit, the novelty and the other outputs; they also combine a map of two
resolutions. Nearly all arithmetic is in the trunk, which an 8-bit integer processor can run. The
front divides by a sum over the whole radiograph and the heads take square roots, which such
processors cannot do in 8 bits.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import onnx
from onnx import shape_inference

from nanoray.detecting.model_file import CAM, INPUT
from nanoray.errors import ModelFileError


@dataclass(frozen=True, slots=True)
class Parts:
    """Three graphs that together compute the model file.

    Attributes:
        front: `radiograph` [1, 1, S, S] to `entry`.
        trunk: `entry` to `maps`.
        heads: `maps` to the outputs of the model file, except those in `maps`.
        entry: name of the normalised radiograph, [1, 1, S, S].
        maps: names of the trunk's feature maps for the heads; "cam" last, if the trunk computes it.
        outputs: of the model file, in its order.
    """

    front: onnx.ModelProto
    trunk: onnx.ModelProto
    heads: onnx.ModelProto
    entry: str
    maps: tuple[str, ...]
    outputs: tuple[str, ...]


def partition(path: Path, size: int) -> Parts:
    """Cut the graph of an FP32 model file for one radiograph of `size` x `size`.

    Raises:
        ModelFileError: the graph has no convolution between "radiograph" and "cam".
    """
    model = shape_inference.infer_shapes(one_radiograph(onnx.load(path), size), data_prop=True)
    graph = model.graph
    producers = {name: node for node in graph.node for name in node.output}
    ancestors = _ancestors(CAM, producers)
    first = next((n for n in graph.node if n.op_type == "Conv" and n.output[0] in ancestors), None)
    if first is None:
        raise ModelFileError(
            f"{path}: no convolution leads to {CAM!r}; it cannot be divided into parts"
        )
    entry = first.input[0]
    front = _ancestors(entry, producers)
    outputs = tuple(value.name for value in graph.output)
    trunk = _until_resized(ancestors, producers)
    beside = {name for node in graph.node if node.output[0] not in trunk for name in node.input}
    maps = [name for name in trunk if name in beside and name not in front and name != CAM]
    maps += [CAM] if CAM in trunk else []
    extractor = onnx.utils.Extractor(model)
    heads = [name for name in outputs if name not in maps]
    return Parts(
        extractor.extract_model([INPUT], [entry]),
        extractor.extract_model([entry], maps),
        extractor.extract_model(maps, heads),
        entry,
        tuple(maps),
        outputs,
    )


def _until_resized(
    ancestors: dict[str, None], producers: dict[str, onnx.NodeProto]
) -> dict[str, None]:
    """Return the tensors, in the graph's order, that do not depend on a resized one."""
    found: dict[str, None] = {}
    for name in ancestors:
        node = producers[name]
        resized = any(one in ancestors and one not in found for one in node.input)
        if node.op_type != "Resize" and not resized:
            found[name] = None
    return found


def one_radiograph(model: onnx.ModelProto, size: int) -> onnx.ModelProto:
    """Return the same graph for a batch of one, so that every shape is known."""
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].dim_value = 1
    for dimension in model.graph.input[0].type.tensor_type.shape.dim[2:]:
        dimension.dim_value = size
    del model.graph.value_info[:]
    return model


def _ancestors(name: str, producers: dict[str, onnx.NodeProto]) -> dict[str, None]:
    """Return the tensors from which one is computed, including itself, in the graph's order."""
    found: dict[str, None] = {}
    waiting = [name]
    while waiting:
        current = waiting.pop()
        if current in producers and current not in found:
            found[current] = None
            waiting += producers[current].input
    order = {output: number for number, output in enumerate(producers)}
    return dict.fromkeys(sorted(found, key=order.__getitem__))
