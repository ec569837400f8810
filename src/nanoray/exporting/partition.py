"""Cut the graph of a model file in three: front, trunk and heads.

The front normalises the radiograph, the trunk is all convolutions towards the class-activation map,
and the heads compute the logit, the novelty and what else the file gives; where the map is put
together from two resolutions, the heads do that too. Nearly all arithmetic is
in the trunk, which a processor of 8-bit integers can run alone: the front divides by a sum over the
whole radiograph and the heads take square roots, which such processors cannot do in 8 bits.
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
    """Three graphs that, one after the other, compute what the model file does.

    Attributes:
        front: `radiograph` [1, 1, S, S] to `entry`.
        trunk: `entry` to `maps`.
        heads: `maps` to the outputs of the model file but those that are among `maps`.
        entry: name of the normalised radiograph, [1, 1, S, S].
        maps: names of the trunk's feature maps that the heads use; "cam" last, if it is the
            trunk's own.
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
        raise ModelFileError(f"{path}: no convolution leads to {CAM!r}; it cannot be cut in parts")
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
    """Those of the tensors, in the graph's order, that do not depend on a resized one."""
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
    """Names of the tensors that one is computed from, itself included, in the graph's order."""
    found: dict[str, None] = {}
    waiting = [name]
    while waiting:
        current = waiting.pop()
        if current in producers and current not in found:
            found[current] = None
            waiting += producers[current].input
    order = {output: number for number, output in enumerate(producers)}
    return dict.fromkeys(sorted(found, key=order.__getitem__))
