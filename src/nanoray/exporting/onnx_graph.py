"""From a trained network to the model file in FP32."""

from __future__ import annotations

import copy
import logging
import warnings
from pathlib import Path

import onnx
import torch
from torch import Tensor, nn

from nanoray.exporting.novelty import Novelty, pooled
from nanoray.training.networks import Network, fold_batch_norm

OPSET = 18
# The lowest IR version that carries this opset, so that older mobile and web runtimes load it.
IR_VERSION = 8


class Exported(nn.Module):
    """The graph of the model file: radiograph [N, 1, S, S] to logit, cam and novelty."""

    def __init__(self, network: Network, novelty: Novelty) -> None:
        super().__init__()
        self.network = network
        self.novelty = novelty

    def forward(self, radiograph: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        maps = self.network.tapped(radiograph)
        logit, cam = self.network.head(maps[-1])
        return logit, cam, self.novelty(pooled(maps))


def export(network: Network, novelty: Novelty, size: int, path: Path) -> None:
    """Write the FP32 graph, batch normalisation folded; `write_card` adds the metadata."""
    graph = Exported(fold_batch_norm(copy.deepcopy(network)), novelty).eval()
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
            input_names=["radiograph"],
            output_names=["logit", "cam", "novelty"],
            dynamic_shapes=({0: torch.export.Dim("N")},),
        )
    assert program is not None
    model = program.model_proto
    model.ir_version = IR_VERSION
    for node in model.graph.node:
        # Stack traces name the exporting machine's folders.
        del node.metadata_props[:]
        node.doc_string = ""
    for value in (*model.graph.value_info, *model.graph.input, *model.graph.output):
        del value.metadata_props[:]
    del model.graph.metadata_props[:]
    del model.metadata_props[:]
    onnx.checker.check_model(model)
    path.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(model, path)
