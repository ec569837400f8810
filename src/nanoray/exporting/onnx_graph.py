"""Export of a trained network as a model file in FP32."""

from __future__ import annotations

import copy
import logging
import warnings
from pathlib import Path

import onnx
import torch
from torch import Tensor, nn

from nanoray.detecting.model_file import EMBEDDING, INPUT, OUTPUTS, POSE, VIEW
from nanoray.exporting.heads import Heads
from nanoray.exporting.novelty import Novelty, pooled
from nanoray.training.networks import Network, fold_batch_norm

OPSET = 18
# The lowest IR version with this opset, so that older mobile and web runtimes load it.
IR_VERSION = 8


class Exported(nn.Module):
    """The graph of the model file: prepared radiograph [N, 1, S, S] to the names in `outputs`."""

    def __init__(self, network: Network, novelty: Novelty, heads: Heads | None = None) -> None:
        super().__init__()
        self.network = network
        self.novelty = novelty
        self.heads = heads

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of the outputs in order."""
        return (*OUTPUTS, EMBEDDING, *(() if self.heads is None else (VIEW, POSE)))

    def forward(self, radiograph: Tensor) -> tuple[Tensor, ...]:
        maps = self.network.tapped(radiograph)
        logit, cam = self.network.head(maps)
        features = pooled(maps)
        found = (logit, cam, self.novelty(features), features)
        return found if self.heads is None else (*found, *self.heads(maps))


def export(
    network: Network, novelty: Novelty, size: int, path: Path, *, heads: Heads | None = None
) -> None:
    """Write the FP32 graph, batch normalisation folded; `write_card` adds the metadata."""
    graph = Exported(fold_batch_norm(copy.deepcopy(network)), novelty, heads).eval()
    example = torch.rand(2, 1, size, size)
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            graph,
            (example,),
            dynamo=True,
            verbose=False,
            opset_version=OPSET,
            input_names=[INPUT],
            output_names=[f"output.{name}" for name in graph.outputs],
            dynamic_shapes=({0: torch.export.Dim("N")},),
        )
    assert program is not None
    model = program.model_proto
    model.ir_version = IR_VERSION
    _name_outputs(model.graph, graph.outputs)
    for node in model.graph.node:
        # Stack traces contain the folders of the exporting machine.
        del node.metadata_props[:]
        node.doc_string = ""
    for value in (*model.graph.value_info, *model.graph.input, *model.graph.output):
        del value.metadata_props[:]
    del model.graph.metadata_props[:]
    del model.metadata_props[:]
    onnx.checker.check_model(model)
    path.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(model, path)


def _name_outputs(graph: onnx.GraphProto, names: tuple[str, ...]) -> None:
    """Turn `output.<name>` into `<name>`.

    PyTorch names inner values after its operators, for example `view`, so the outputs cannot have
    their final names during the export.
    """
    names_of = {name: f"{name}.inner" for name in names} | {f"output.{n}": n for n in names}
    for node in graph.node:
        node.input[:] = [names_of.get(name, name) for name in node.input]
        node.output[:] = [names_of.get(name, name) for name in node.output]
    for value in (*graph.value_info, *graph.output):
        value.name = names_of.get(value.name, value.name)
