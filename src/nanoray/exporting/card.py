"""Writing of a model file's metadata, without PyTorch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx

from nanoray.detecting.model_file import LOGIT, METADATA_KEY, ModelCard


def write_card(
    path: Path, card: ModelCard, *, output: Path | None = None, shift: float = 0.0
) -> None:
    """Write the model card into the file's metadata; it replaces an earlier one.

    Args:
        path: the model file.
        card: its card; with a shift, `cam_bias` must include it.
        output: the new file; None overwrites `path`.
        shift: added to the logits by a node at the end of the graph.
    """
    model = onnx.load(path)
    if shift:
        shift_logits(model.graph, shift)
    onnx.helper.set_model_props(model, {METADATA_KEY: card.to_json()})
    model.producer_name = "nanoray"
    model.doc_string = card.notice
    target = output or path
    partial = target.with_suffix(".partial")
    onnx.save(model, partial)
    partial.replace(target)


def shift_of(path: Path) -> float:
    """Return the sum of earlier calibrations' shifts of a model file's logits."""
    return sum(
        float(onnx.numpy_helper.to_array(tensor))
        for tensor in onnx.load(path).graph.initializer
        if tensor.name.startswith("logit.shift.")
    )


def shift_logits(graph: onnx.GraphProto, shift: float) -> None:
    """Add a number to the graph's output "logit", by a node at its end."""
    names = {name for node in graph.node for name in node.output}
    names |= {tensor.name for tensor in graph.initializer}
    number = next(n for n in range(len(names) + 1) if f"logit.unshifted.{n}" not in names)
    before, amount = f"logit.unshifted.{number}", f"logit.shift.{number}"
    for node in graph.node:
        for names_of in (node.input, node.output):
            for index, name in enumerate(names_of):
                if name == LOGIT:
                    names_of[index] = before
    graph.initializer.append(onnx.numpy_helper.from_array(np.float32(shift).reshape(()), amount))
    graph.node.append(onnx.helper.make_node("Add", [before, amount], [LOGIT]))
