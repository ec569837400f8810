"""From a finished training run to calibrated model files with their cards."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from numpy.typing import NDArray

from nanoray.compressing.card import write_card
from nanoray.compressing.export import export
from nanoray.compressing.novelty import fit_novelty, pooled_features
from nanoray.compressing.quantize import quantize
from nanoray.datasets.folder import Case
from nanoray.datasets.images import Squares
from nanoray.datasets.splits import Split
from nanoray.detecting.modelfile import ModelCard
from nanoray.evaluating.calibration import fit_platt, fit_temperature, sigmoid
from nanoray.evaluating.operating_points import choose_operating_points
from nanoray.evaluating.scores import score
from nanoray.training.networks import Network

TARGET = "lung opacity suggestive of pneumonia (any opacity box of the RSNA challenge)"
# An abstention should be rare on real radiographs: at most about 1 in 200 of those validated on.
REFUSED_SHARE = 0.005


@dataclass(frozen=True, slots=True)
class Provenance:
    """What the card says of where a model comes from."""

    name: str
    version: str
    training_data: str
    licence: str
    command: str


def write_model_files(
    network: Network,
    cases: Sequence[Case],
    squares: Squares,
    split: Split,
    folder: Path,
    provenance: Provenance,
    *,
    int8: bool = True,
    calibration_method: str = "minmax",
) -> list[Path]:
    """Export, quantize and calibrate a network.

    The novelty is fitted on the training part, the INT8 ranges are measured on it; temperature,
    operating points and the limit of the novelty come from the validation part. FP32 and INT8 are
    calibrated apart, each on its own outputs.

    Returns:
        `<name>-fp32.onnx` and, if asked for, `<name>-int8.onnx` in `folder`.
    """
    training = squares[list(split.train)]
    validation = squares[list(split.validation)]
    targets = np.array([int(cases[index].target or 0) for index in split.validation])
    network.eval()
    _centre_logits(network, validation, targets)
    fp32 = folder / f"{provenance.name}-fp32.onnx"
    export(network, fit_novelty(pooled_features(network, training)), squares.shape[1], fp32)
    _calibrate(fp32, network, "fp32", validation, targets, provenance)
    if not int8:
        return [fp32]
    quantized = folder / f"{provenance.name}-int8.onnx"
    chosen = np.random.default_rng(0).permutation(len(training))[:256]
    quantize(fp32, quantized, training[np.sort(chosen)], method=calibration_method)
    _refit_novelty(quantized, training)
    _calibrate(quantized, network, "int8", validation, targets, provenance)
    return [fp32, quantized]


def _centre_logits(network: Network, validation: Squares, targets: NDArray[np.integer]) -> None:
    """Move the last layer's bias so that a temperature alone calibrates (Platt scaling)."""
    logits = []
    with torch.inference_mode():
        for first in range(0, len(validation), 32):
            batch = torch.from_numpy(np.array(validation[first : first + 32]))[:, None] / 255
            logits.append(network(batch).logit[:, 0].numpy())
    _, shift = fit_platt(np.concatenate(logits), targets)
    assert network.classifier.bias is not None
    with torch.no_grad():
        network.classifier.bias += shift


def _refit_novelty(path: Path, training: Squares) -> None:
    """Fit the novelty to the features that the quantized graph computes."""
    model = onnx.load(path)
    concatenation = next(node for node in reversed(model.graph.node) if node.op_type == "Concat")
    features = concatenation.output[0]
    model.graph.output.append(
        onnx.helper.make_tensor_value_info(features, onnx.TensorProto.FLOAT, ["N", None])
    )
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    found = [
        session.run([features], {"radiograph": np.float32(training[i : i + 16, None]) / 255})[0]
        for i in range(0, len(training), 16)
    ]
    del model.graph.output[-1]
    fitted = {
        f"novelty.{name}": tensor.numpy()
        for name, tensor in fit_novelty(np.concatenate(found)).state_dict().items()
    }
    for tensor in model.graph.initializer:
        if tensor.name in fitted:
            values = fitted.pop(tensor.name).astype(np.float32)
            tensor.CopyFrom(onnx.numpy_helper.from_array(values, tensor.name))
    if fitted:
        raise RuntimeError(f"the quantized graph lacks {sorted(fitted)}")
    onnx.save(model, path)


def _calibrate(
    path: Path,
    network: Network,
    precision: str,
    validation: Squares,
    targets: NDArray[np.integer],
    provenance: Provenance,
) -> None:
    scores = score(path, validation)
    temperature = fit_temperature(scores.logits, targets)
    bias = network.classifier.bias
    assert bias is not None
    write_card(
        path,
        ModelCard(
            name=provenance.name,
            version=provenance.version,
            date=datetime.datetime.now(datetime.timezone.utc).date().isoformat(),
            architecture=network.architecture,
            precision=precision,
            input_size=validation.shape[1],
            target=TARGET,
            temperature=temperature,
            cam_bias=float(bias.item()),
            operating_points=choose_operating_points(sigmoid(scores.logits / temperature), targets),
            default_operating_point="balanced",
            novelty_limit=novelty_limit(scores.novelty),
            training_data=provenance.training_data,
            licence=provenance.licence,
            command=provenance.command,
        ),
    )


def novelty_limit(novelty: NDArray[np.floating], *, refused: float = REFUSED_SHARE) -> float:
    """The limit that refuses the share `refused` of radiographs like these.

    Read from a log-normal distribution fitted by median and spread of the upper half: a quantile so
    far out cannot be counted in a few hundred cases.
    """
    from statistics import NormalDist

    logs = np.log(novelty)
    median = np.median(logs)
    spread = (np.quantile(logs, 0.95) - median) / NormalDist().inv_cdf(0.95)
    fitted = np.exp(median + spread * NormalDist().inv_cdf(1 - refused))
    return float(max(fitted, np.quantile(novelty, 1 - refused)))


def record_metrics(
    path: Path, card: ModelCard, metrics: dict[str, tuple[float, float, float]]
) -> None:
    """Put test figures into the card of a model file."""
    write_card(path, replace(card, metrics=metrics))
