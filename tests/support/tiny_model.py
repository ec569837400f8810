"""A model whose outputs can be worked out by hand, and pictures for it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from nanoray.detecting.model_file import METADATA_KEY, ModelCard
from nanoray.detecting.operating_point import OperatingPoint
from nanoray.detecting.views import VIEWS, Calibration

TINY_SIDE = 32


def tiny_card(**changes: Any) -> ModelCard:
    """Card of the tiny model: probability = sigmoid((8 * mean - 4 + 0.5) / 2)."""
    card = ModelCard(
        name="tiny",
        version="9.1",
        date="2026-01-02",
        architecture="mean_of_blocks",
        precision="fp32",
        input_size=TINY_SIDE,
        target="brightness <above> average",
        temperature=2.0,
        cam_bias=0.5,
        operating_points=(
            OperatingPoint("screening", 0.3, 0.95, 0.40, (0.91, 0.98), (0.35, 0.45)),
            OperatingPoint("balanced", 0.5, 0.80, 0.75, (0.74, 0.85), (0.70, 0.80)),
            OperatingPoint("confirm", 0.7, 0.50, 0.95, (0.43, 0.57), (0.92, 0.97)),
        ),
        default_operating_point="balanced",
        novelty_limit=0.5,
        training_data="none: made for tests",
        licence="MIT",
        command="none",
        metrics={"auroc": (0.9, 0.85, 0.95)},
    )
    return replace(card, **changes)


def tiny_views(ap: float, pa: float) -> tuple[Calibration, ...]:
    """Return calibrations of the two views with thresholds of their own."""
    return tuple(
        Calibration(
            view,
            temperature=2.0,
            shift=0.0,
            prevalence=None,
            operating_points=(
                OperatingPoint("balanced", threshold, 0.80, 0.75, (0.74, 0.85), (0.70, 0.80)),
            ),
        )
        for view, threshold in zip(VIEWS, (ap, pa), strict=True)
    )


def write_tiny_model(
    path: Path, card: ModelCard | None, *, outputs: int = 3, pose: bool = False
) -> Path:
    """Write a model: cam 8 * (mean of an 8 x 8 block) - 4, and novelty 1 - brightest pixel.

    With `pose`, a radiograph is upright if its upper half is the brightest, turned if another half
    is, and a negative if more than 0.9 of it is bright.
    """
    onnx = pytest.importorskip("onnx")
    from onnx import TensorProto, helper

    def constant(name: str, *values: float) -> Any:
        return helper.make_tensor(name, TensorProto.FLOAT, [], values)

    axes = helper.make_tensor("axes", TensorProto.INT64, [3], [1, 2, 3])
    space = helper.make_tensor("space", TensorProto.INT64, [2], [2, 3])
    bias = (card or tiny_card()).cam_bias
    nodes = [
        helper.make_node(
            "AveragePool", ["radiograph"], ["means"], kernel_shape=[8, 8], strides=[8, 8]
        ),
        helper.make_node("Mul", ["means", "gain"], ["gained"]),
        helper.make_node("Sub", ["gained", "shift"], ["cam"]),
        helper.make_node("ReduceMean", ["cam", "space"], ["mean"], keepdims=0),
        helper.make_node("Add", ["mean", "bias"], ["logit"]),
        helper.make_node("ReduceMax", ["radiograph", "axes"], ["highest"], keepdims=0),
        helper.make_node("Sub", ["one", "highest"], ["distance"]),
        helper.make_node("Unsqueeze", ["distance", "last"], ["novelty"]),
    ]
    side = TINY_SIDE
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("radiograph", TensorProto.FLOAT, ["n", 1, side, side])],
        [
            helper.make_tensor_value_info("logit", TensorProto.FLOAT, ["n", 1]),
            helper.make_tensor_value_info("cam", TensorProto.FLOAT, ["n", 1, side // 8, side // 8]),
            helper.make_tensor_value_info("novelty", TensorProto.FLOAT, ["n", 1]),
        ][:outputs],
        [
            constant("gain", 8.0),
            constant("shift", 4.0),
            constant("bias", bias),
            constant("one", 1.0),
            axes,
            space,
            helper.make_tensor("last", TensorProto.INT64, [1], [1]),
        ],
    )
    if pose:
        half = np.zeros((5, 1, side, side), np.float32)
        half[0, :, : side // 2] = 1
        for turns in (1, 2, 3):
            half[turns] = np.rot90(half[0], turns, (1, 2))
        half *= 40 / (side * side / 2)
        half[4] = 200 / (side * side)
        weights = helper.make_tensor("halves", TensorProto.FLOAT, half.shape, half.ravel())
        biases = helper.make_tensor("unlike", TensorProto.FLOAT, [5], [0, 0, 0, 0, -110])
        graph.initializer.extend([weights, biases])
        graph.node.extend(
            [
                helper.make_node("Conv", ["radiograph", "halves", "unlike"], ["sums"]),
                helper.make_node("Flatten", ["sums"], ["pose"], axis=1),
            ]
        )
        graph.output.append(helper.make_tensor_value_info("pose", TensorProto.FLOAT, ["n", 5]))
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    if card is not None:
        helper.set_model_props(model, {METADATA_KEY: card.to_json()})
    onnx.save(model, str(path))
    return path


def grey_picture(path: Path, mean: float, side: int = TINY_SIDE) -> Path:
    """Return a PNG whose mean is about `mean` (of 1): the upper part white, the rest black."""
    pixels = np.zeros((side, side), np.uint8)
    pixels[: round(side * mean)] = 255
    Image.fromarray(pixels).save(path)
    return path
