"""Export of a finished training run as calibrated model files with cards."""

from __future__ import annotations

import datetime
import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, get_args

import numpy as np
import onnx
import onnxruntime
import torch
from numpy.typing import NDArray

from nanoray.datasets.decoys import KINDS, draw_decoy
from nanoray.datasets.folder import Case, read_folder
from nanoray.datasets.images import Squares, load_squares
from nanoray.datasets.labelled import SPLIT, open_labelled
from nanoray.datasets.splits import Split
from nanoray.detecting.model_file import EMBEDDING, INPUT, ModelCard, Reference, read_card
from nanoray.detecting.statistics import statistics, trimmed
from nanoray.errors import DataSetError
from nanoray.evaluating.calibration import fit_platt, fit_temperature, sigmoid
from nanoray.evaluating.operating_points import choose_operating_points
from nanoray.evaluating.scores import score
from nanoray.evaluating.shift import STATISTICS, reference_of
from nanoray.exporting.card import write_card
from nanoray.exporting.heads import fit_heads
from nanoray.exporting.novelty import fit_novelty, pooled_features
from nanoray.exporting.onnx_graph import export
from nanoray.exporting.quantize import (
    Arithmetic,
    Calibration,
    prepared,
    quantize,
    store_compactly,
)
from nanoray.reading import letterbox
from nanoray.reading.resize import to_uint8
from nanoray.training.augment import augment
from nanoray.training.networks import Network
from nanoray.training.run_folder import load_run
from nanoray.version import __version__

LICENCE = (
    "Research and non-commercial use, under the terms of the training images "
    "(RSNA Pneumonia Detection Challenge 2018, from NIH ChestX-ray14)"
)
TARGET = "lung opacity suggestive of pneumonia (any opacity box of the RSNA challenge)"
# An abstention should be rare on real radiographs: at most about 1 in 200 of the validation images.
REFUSED_SHARE = 0.005
# Position of the novelty's limit between radiographs (0) and decoys (1). It is above a half, since
# radiographs of other hospitals have a higher novelty than the validation images.
TOWARDS_DECOYS = 0.6
DECOYS_OF_EACH_KIND = 12
# Number of radiographs of each data set in the fit of the novelty.
KNOWN = 1500


@dataclass(frozen=True, slots=True)
class Provenance:
    """Provenance of a model, for its card."""

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
    further: Sequence[Squares] = (),
    int8: bool = True,
    arithmetic: Arithmetic = "integer",
    calibration_method: Calibration = "minmax",
    prevalence: float | None = None,
) -> list[Path]:
    """Export, quantize and calibrate a network.

    The novelty is fitted on the training part, unchanged and augmented, and on `further`
    radiographs, uint8 [N, S, S] each, of other populations. Temperature and operating points are
    fitted on the validation part, for the share `prevalence` of positive cases (default: that of
    the validation part), and so is the limit of the novelty, with drawn decoys.

    With integer arithmetic the INT8 ranges are measured on the training part, and the INT8 file has
    a calibration of its own. With float arithmetic it has that of the FP32 file.

    Returns:
        `<name>-fp32.onnx` and, if requested, `<name>-int8.onnx` in `folder`.
    """
    training = squares[list(split.train)]
    validation = squares[list(split.validation)]
    targets = np.array([int(cases[index].target or 0) for index in split.validation])
    known = np.concatenate([_some(part) for part in (training, _augmented(training), *further)])
    network.eval()
    _centre_logits(network, validation, targets, prevalence)
    fp32 = folder / f"{provenance.name}-fp32.onnx"
    heads = fit_heads(network, training, [cases[index].view for index in split.train])
    novelty = fit_novelty(pooled_features(network, known))
    export(network, novelty, squares.shape[1], fp32, heads=heads)
    _calibrate(fp32, network, "fp32", validation, targets, provenance, prevalence)
    if not int8:
        return [fp32]
    quantized = folder / f"{provenance.name}-int8.onnx"
    if arithmetic == "float":
        shutil.copyfile(fp32, quantized)
        store_compactly(quantized)
        write_card(quantized, replace(read_card(fp32), precision="int8"))
        return [fp32, quantized]
    chosen = np.random.default_rng(0).permutation(len(training))[:256]
    equalized = network.options.equalize
    quantize(
        fp32,
        quantized,
        training[np.sort(chosen)],
        method=calibration_method,
        equalized=equalized,
    )
    _refit_novelty(quantized, known, equalized)
    store_compactly(quantized)
    _calibrate(quantized, network, "int8", validation, targets, provenance, prevalence)
    return [fp32, quantized]


def _some(squares: Squares) -> Squares:
    chosen = np.random.default_rng(0).permutation(len(squares))[:KNOWN]
    return squares[np.sort(chosen)]


def _augmented(squares: Squares) -> Squares:
    torch.manual_seed(0)
    changed = []
    for first in range(0, min(len(squares), KNOWN), 32):
        images = torch.from_numpy(np.array(squares[first : first + 32]))[:, None] / 255
        images, _ = augment(images, torch.zeros(len(images), 1, 1, 1))
        _letterbox(images)
        changed.append(to_uint8(images[:, 0].numpy()))
    return np.concatenate(changed)


def _letterbox(images: torch.Tensor) -> None:
    """Add black bars of random width at the sides, or above and below, to most images."""
    size = images.shape[-1]
    for image in images:
        bar = int(torch.randint(0, size // 7, ()))
        side = image if torch.rand(()) < 0.5 else image.mT
        side[..., :bar] = 0
        side[..., size - bar :] = 0


def _decoys(size: int) -> Squares:
    drawings = [draw_decoy(kind, seed) for kind in KINDS for seed in range(DECOYS_OF_EACH_KIND)]
    return np.stack([np.rint(letterbox(drawing, size)[0] * 255) for drawing in drawings]).astype(
        np.uint8
    )


def _centre_logits(
    network: Network,
    validation: Squares,
    targets: NDArray[np.integer],
    prevalence: float | None,
) -> None:
    """Move the last layer's bias so that a temperature alone calibrates (Platt scaling)."""
    logits = []
    with torch.inference_mode():
        for first in range(0, len(validation), 32):
            batch = torch.from_numpy(np.array(validation[first : first + 32]))[:, None]
            logits.append(network(network.prepare(batch)).logit[:, 0].numpy())
    _, shift = fit_platt(np.concatenate(logits), targets, prevalence=prevalence)
    assert network.classifier.bias is not None
    with torch.no_grad():
        network.classifier.bias += shift


def _refit_novelty(path: Path, known: Squares, equalized: bool) -> None:
    """Fit the novelty to the features that the quantized graph computes."""
    model = onnx.load(path)
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    found = [
        session.run([EMBEDDING], {INPUT: prepared(known[i : i + 16], equalized)})[0]
        for i in range(0, len(known), 16)
    ]
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
    prevalence: float | None,
) -> None:
    equalized = network.options.equalize
    scores = score(path, validation, equalize=equalized)
    temperature = fit_temperature(scores.logits, targets, prevalence=prevalence)
    probabilities = sigmoid(scores.logits / temperature)
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
            equalize=equalized,
            pooling=network.options.pooling,
            pooling_sharpness=network.options.pooling_sharpness,
            prevalence=prevalence,
            operating_points=choose_operating_points(probabilities, targets),
            default_operating_point="balanced",
            novelty_limit=novelty_limit(
                scores.novelty,
                score(path, _decoys(validation.shape[1]), equalize=equalized).novelty,
            ),
            training_data=provenance.training_data,
            licence=provenance.licence,
            command=provenance.command,
            reference=_reference(probabilities, scores.novelty, validation),
        ),
    )


def _reference(
    probabilities: NDArray[np.floating], novelty: NDArray[np.floating], validation: Squares
) -> Reference:
    """Return the reference for later comparisons of archives."""
    found = [statistics(trimmed(np.float32(square) / 255)) for square in validation]
    images = {name: np.array([getattr(one, name) for one in found]) for name in STATISTICS}
    return reference_of({"probability": probabilities, "novelty": novelty} | images)


def novelty_limit(
    radiographs: NDArray[np.floating],
    decoys: NDArray[np.floating],
    *,
    refused: float = REFUSED_SHARE,
) -> float:
    """Find the limit of novelty above which an image is refused, from radiographs and decoys.

    The limit is between two quantiles: the one of radiographs that refuses the share `refused`, and
    the one of decoys that accepts 1 in 100. If these cross, it is the former. The radiographs'
    quantile is that of a log-normal distribution, fitted by median and deviation of the upper half,
    since an extreme quantile cannot be counted in a few hundred cases.
    """
    from statistics import NormalDist

    logs = np.log(radiographs)
    median = np.median(logs)
    spread = (np.quantile(logs, 0.95) - median) / NormalDist().inv_cdf(0.95)
    fitted = median + spread * NormalDist().inv_cdf(1 - refused)
    near = max(fitted, np.quantile(logs, 1 - refused))
    far = max(near, np.log(np.quantile(decoys, 0.01)))
    return float(np.exp(near + TOWARDS_DECOYS * (far - near)))


def record_metrics(
    path: Path, card: ModelCard, metrics: dict[str, tuple[float, float, float]]
) -> None:
    """Write test figures into the card of a model file."""
    write_card(path, replace(card, metrics=metrics))


def crossvalidated_metrics(
    results: Path, recipe: str = ""
) -> dict[str, tuple[float, float, float]]:
    """Read a recipe's figures from the `results.json` of `nanoray crossvalidate`, for a card.

    Args:
        recipe: its name; may be empty if the file has one recipe.

    Returns:
        Name to (value, low, high); the names begin with "cross-validated".

    Raises:
        DataSetError: not such a file, an unknown recipe, or none of several named.
    """
    try:
        found = {
            one["recipe"]: one["figures"] for one in json.loads(results.read_text())["recipes"]
        }
    except (OSError, ValueError, KeyError, TypeError):
        raise DataSetError(f"{results}: not the results.json of `nanoray crossvalidate`") from None
    named = [name for name in found if "/" not in name]
    if not recipe and len(named) > 1:
        raise DataSetError(f"{results}: name one of its recipes: {', '.join(found)}")
    recipe = recipe or named[0]
    if recipe not in found:
        raise DataSetError(f"{results}: no recipe {recipe!r}; it has {', '.join(found)}")
    return {
        f"cross-validated {name}": (figure[0], figure[1], figure[2])
        for name, figure in found[recipe].items()
        if None not in figure
    }


def _check_choice(name: str, value: str, choices: Any) -> None:
    if value not in get_args(choices):
        raise DataSetError(f"{name}: {value!r} is unknown; use {', '.join(get_args(choices))}")


def package_run(
    run: Path,
    data: Path,
    output: Path,
    *,
    name: str = "",
    extras: Sequence[Path] = (),
    int8: bool = True,
    arithmetic: Arithmetic = "integer",
    calibration: Calibration = "minmax",
    prevalence: float | None = None,
    training_data: str = "",
    licence: str = LICENCE,
    command: str = "",
    crossvalidation: Path | None = None,
    recipe: str = "",
    cache: Path = Path("cache"),
) -> list[Path]:
    """Export a finished run as model files; see `write_model_files`.

    Args:
        data: the training data set; the split is the run's.
        name: of the model; by default the run's role.
        extras: radiographs of other populations, from which the model should not abstain.
        training_data: for the card; by default the data set's name and size.
        command: for the card.
        crossvalidation, recipe: see `crossvalidated_metrics`; the figures are written into the
            card.

    Raises:
        DataSetError: not a finished run, data that do not fit it, or an unknown choice.
    """
    _check_choice("arithmetic", arithmetic, Arithmetic)
    _check_choice("calibration", calibration, Calibration)
    metrics = {}
    if crossvalidation is not None:
        metrics = crossvalidated_metrics(crossvalidation, recipe)
    network, settings = load_run(run)
    labelled = open_labelled(data, split=run / SPLIT)
    trained_on = f"{data.name}, {len(labelled.split.train)} radiographs"
    paths = write_model_files(
        network,
        labelled.cases,
        load_squares(labelled.cases, settings.size, cache),
        labelled.split,
        output,
        Provenance(
            name or f"nanoray-{settings.role}",
            __version__,
            training_data or trained_on,
            licence,
            command,
        ),
        further=[load_squares(read_folder(path), settings.size, cache) for path in extras],
        int8=int8,
        arithmetic=arithmetic,
        calibration_method=calibration,
        prevalence=prevalence,
    )
    if metrics:
        for path in paths:
            record_metrics(path, read_card(path), metrics)
    return paths
