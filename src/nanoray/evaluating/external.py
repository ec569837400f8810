"""External validation: models at frozen thresholds on labelled radiographs of other sources.

A model of other authors, ONNX or TorchScript, is evaluated in the same table with a description of
its input and output.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from nanoray.datasets.folder import Case
from nanoray.detecting.model_file import ModelCard, read_card
from nanoray.errors import DataSetError, ModelFileError
from nanoray.evaluating.calibration import calibration_line, sigmoid
from nanoray.evaluating.metrics import auroc, average_precision, measure_at_point
from nanoray.evaluating.resampling import Floats, Interval, Resampling, draw_patients, interval
from nanoray.evaluating.scores import judge, score

Squares = NDArray[np.uint8]
Load = Callable[[int], Squares]
"""Returns the cases' images, uint8 [N, S, S], for an input size S."""

FEWEST = 10


@dataclass(frozen=True, slots=True)
class Description:
    """Input and output of a model of other authors, from a JSON file beside it.

    The radiograph is letterboxed to `size`, with bright bone, and converted to (x * scale - mean) /
    std from x in 0..1.

    Attributes:
        size: side of the square input in pixels.
        channels: 1, or 3 equal ones.
        scale, mean, std: of the input; e.g. 255, 0, 1 for grey values 0 to 255, or lists of one
            value for each channel.
        output: name of the ONNX output with the score; the first by default.
        index: place of the score in the output's last axis.
        kind: "logit" or "probability".
        threshold: on the probability, frozen; None to evaluate only the ranking.
    """

    size: int
    channels: Literal[1, 3] = 3
    scale: float = 1.0
    mean: float | tuple[float, ...] = 0.0
    std: float | tuple[float, ...] = 1.0
    output: str | None = None
    index: int = 0
    kind: Literal["logit", "probability"] = "logit"
    threshold: float | None = None

    @classmethod
    def read(cls, path: Path) -> Description:
        """Read a description.

        Raises:
            ModelFileError: not found, not JSON, an unknown field, or a value of the wrong form.
        """
        try:
            values: dict[str, Any] = json.loads(path.read_text("utf-8"))
        except FileNotFoundError:
            raise ModelFileError(
                f"{path}: not found; a model of other authors needs a description beside it, "
                'for example {"size": 224, "channels": 3, "kind": "logit"}'
            ) from None
        except (json.JSONDecodeError, UnicodeDecodeError):
            raise ModelFileError(f"{path}: not a JSON document") from None
        known = [field.name for field in fields(cls)]
        unknown = sorted(set(values) - set(known)) if isinstance(values, dict) else ["(no object)"]
        if unknown:
            raise ModelFileError(
                f"{path}: unknown {', '.join(unknown)}; the fields are {', '.join(known)}"
            )
        for name in ("mean", "std"):
            if isinstance(values.get(name), list):
                values[name] = tuple(float(value) for value in values[name])
        try:
            found = cls(**values)
            channels = found.channels
            good = (
                16 <= int(found.size) <= 2048
                and channels in (1, 3)
                and found.kind in ("logit", "probability")
                and np.all(np.asarray(found.std, np.float64) > 0)
                and all(np.size(value) in (1, channels) for value in (found.mean, found.std))
                and (found.threshold is None or 0 <= found.threshold <= 1)
            )
        except (TypeError, ValueError):
            good = False
        if not good:
            raise ModelFileError(
                f"{path}: needs size (16 to 2048), channels (1 or 3), kind (logit or probability), "
                "std above 0, and a threshold between 0 and 1"
            )
        return found


@dataclass(frozen=True, slots=True)
class ExternalResult:
    """Results of one model. Intervals (95 %) draw patients.

    Attributes:
        area, precision: AUROC and average precision.
        slope, intercept: of the calibration; None for a model without calibrated scores.
        points: operating point to (sensitivity, specificity) at its frozen threshold, by view if
            the card has views.
        abstained: share above the card's novelty limit; None for other authors' models.
        gain: AUROC minus that of the first model, paired; None for the first.
    """

    name: str
    area: Interval
    precision: Interval
    slope: Interval | None
    intercept: Interval | None
    points: dict[str, tuple[Interval, Interval]]
    abstained: float | None
    gain: Interval | None


@dataclass(frozen=True, slots=True)
class External:
    """All models on the same images."""

    name: str
    images: int
    positive: int
    patients: int
    results: list[ExternalResult]


Scored: TypeAlias = tuple[Floats, Floats | None, dict[str, NDArray[np.bool_]], float | None]
"""Logits [N], calibrated probabilities [N], calls by operating point, share of abstentions."""


def choose(cases: Sequence[Case], listed: Path | None) -> list[int]:
    """Find the cases of a published list; all without a list.

    Args:
        listed: text or CSV; the first word of each line is an image's name, with or without folder
            and extension.

    Raises:
        DataSetError: fewer than half of the listed images are in the data set.
    """
    if listed is None:
        return list(range(len(cases)))
    names = set()
    for line in listed.read_text("utf-8-sig").splitlines():
        word = line.replace(",", " ").replace(";", " ").split()
        if word:
            names.add(Path(word[0].strip('"')).name)
    stems = names | {Path(name).stem for name in names}
    found = [index for index, case in enumerate(cases) if case.path.stem in stems]
    if 2 * len(found) < len(names) - 1:
        raise DataSetError(
            f"{listed}: {len(found)} of its {len(names)} images are in the data set; figures of "
            "so few are not comparable with published ones"
        )
    return found


def evaluate_external(
    models: Sequence[Path], load: Load, cases: Sequence[Case], *, name: str, draws: int = 2000
) -> External:
    """Evaluate NanoRay's and other authors' models at their frozen thresholds.

    A file without NanoRay's card is of other authors: `model.onnx` or `model.pt` with `model.json`.

    Raises:
        DataSetError: fewer than `FEWEST` cases with, or without, an opacity.
        ModelFileError: an invalid model or description.
    """
    targets = np.array([int(case.target or 0) for case in cases], np.int64)
    counts = np.bincount(targets, minlength=2)
    if counts.min() < FEWEST:
        raise DataSetError(
            f"{name}: {counts[1]} radiographs with and {counts[0]} without an opacity; at least "
            f"{FEWEST} of each are needed"
        )
    resampling = draw_patients([case.patient for case in cases], targets, samples=draws)
    results: list[ExternalResult] = []
    first: Floats | None = None
    for path in models:
        logits, probabilities, calls, abstained = _score(path, load, cases)
        drawn = resampling.values(lambda w, x=logits: auroc(x, targets, w))  # type: ignore[misc]
        area = float(auroc(logits, targets, np.ones((1, len(targets))))[0])
        gain = None
        if first is not None:
            gain = interval(area - results[0].area[0], drawn - first)
        else:
            first = drawn
        results.append(
            ExternalResult(
                path.stem,
                interval(area, drawn),
                _interval(resampling, average_precision, logits, targets),
                *_calibration(resampling, probabilities, targets),
                {
                    point: (
                        measure_at_point("sensitivity", called, targets, targets >= 0, resampling),
                        measure_at_point("specificity", called, targets, targets >= 0, resampling),
                    )
                    for point, called in calls.items()
                },
                abstained,
                gain,
            )
        )
    patients = len({case.patient for case in cases})
    return External(name, len(cases), int(counts[1]), patients, results)


def _interval(
    resampling: Resampling,
    metric: Callable[[Floats, NDArray[np.integer], Floats], Floats],
    scores: Floats,
    targets: NDArray[np.integer],
) -> Interval:
    return resampling.interval(lambda w: metric(scores, targets, w))


def _calibration(
    resampling: Resampling, probabilities: Floats | None, targets: NDArray[np.integer]
) -> tuple[Interval | None, Interval | None]:
    if probabilities is None:
        return None, None
    p = np.clip(probabilities, 1e-7, 1 - 1e-7)
    logits = np.log(p / (1 - p))
    return (
        resampling.interval(lambda w: calibration_line(logits, targets, w)[0]),
        resampling.interval(lambda w: calibration_line(logits, targets, w)[1]),
    )


def _score(path: Path, load: Load, cases: Sequence[Case]) -> Scored:
    try:
        card = read_card(path)
    except ModelFileError:
        if not path.with_suffix(".json").is_file() and path.suffix == ".onnx":
            # This reason is more helpful than a missing description.
            raise
        return _score_foreign(path, load)
    return _score_own(path, card, load, cases)


def _score_own(path: Path, card: ModelCard, load: Load, cases: Sequence[Case]) -> Scored:
    scores = score(path, load(card.input_size))
    judged = judge(scores.logits, card, [case.view for case in cases])
    abstained = float(np.mean(scores.novelty > card.novelty_limit))
    return np.asarray(scores.logits, np.float64), judged.probabilities, judged.calls, abstained


def _score_foreign(path: Path, load: Load) -> Scored:
    wanted = Description.read(path.with_suffix(".json"))
    squares = load(wanted.size)
    run = _open_foreign(path, wanted)
    found = []
    for first in range(0, len(squares), 16):
        grey = np.asarray(squares[first : first + 16, None], np.float32) / 255
        batch = np.repeat(grey, wanted.channels, axis=1) * np.float32(wanted.scale)
        mean, std = (
            np.broadcast_to(np.asarray(v, np.float32), wanted.channels).reshape(1, -1, 1, 1)
            for v in (wanted.mean, wanted.std)
        )
        try:
            output = np.asarray(run(np.ascontiguousarray((batch - mean) / std)), np.float64)
            found.append(output.reshape(len(batch), -1)[:, wanted.index])
        except Exception as error:
            # The runtimes raise different classes; all have the same meaning here.
            raise ModelFileError(
                f"{path}: does not take the input that {path.stem}.json describes, or its output "
                f"has no score at {wanted.index}"
            ) from error
    values = np.concatenate(found)
    if not np.isfinite(values).all():
        raise ModelFileError(f"{path}: gives scores that are not finite numbers")
    if wanted.kind == "probability":
        if values.min() < 0 or values.max() > 1:
            raise ModelFileError(f"{path}: its scores are no probabilities; set kind to logit")
        p = np.clip(values, 1e-9, 1 - 1e-9)
        values = np.log(p / (1 - p))
    probabilities = sigmoid(values)
    calls = {}
    if wanted.threshold is not None:
        calls["frozen threshold"] = np.asarray(probabilities >= wanted.threshold)
    return values, probabilities, calls, None


def _open_foreign(path: Path, wanted: Description) -> Callable[[NDArray[np.float32]], Any]:
    if path.suffix.lower() in (".pt", ".pth", ".ts", ".torchscript"):
        from importlib.util import find_spec

        if find_spec("torch") is None:
            raise ModelFileError(f"{path}: TorchScript needs torch: pip install 'nanoray[train]'")
        import torch

        try:
            module = torch.jit.load(str(path), map_location="cpu").eval()  # type: ignore[no-untyped-call]
        except Exception as error:
            raise ModelFileError(f"{path}: not a TorchScript file that PyTorch can load") from error

        def run_torch(batch: NDArray[np.float32]) -> Any:
            with torch.inference_mode():
                output = module(torch.from_numpy(batch))
            return output[0].numpy() if isinstance(output, (tuple, list)) else output.numpy()

        return run_torch
    import onnxruntime

    try:
        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    except Exception as error:
        raise ModelFileError(f"{path}: not a model that ONNX Runtime can load") from error
    names = [value.name for value in session.get_outputs()]
    output = names[0] if wanted.output is None else wanted.output
    if output not in names:
        raise ModelFileError(f"{path}: no output {output!r}; it has {', '.join(names)}")
    inputs = session.get_inputs()
    if len(inputs) != 1:
        raise ModelFileError(f"{path}: takes {len(inputs)} inputs; only one, the image, is given")
    return lambda batch: session.run([output], {inputs[0].name: batch})[0]


def markdown(found: External) -> str:
    """Write the results as tables."""
    head = [
        f"{found.name}: {found.images} radiographs of {found.patients} patients, {found.positive} "
        "with an opacity. Thresholds were frozen beforehand. Intervals (95 %) draw patients.",
        "",
        "| model | AUROC | gain | AUPRC | calibration slope | intercept | abstained |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for one in found.results:
        gain = "" if one.gain is None else _cell(one.gain, signed=True)
        abstained = "" if one.abstained is None else f"{100 * one.abstained:.1f} %"
        head.append(
            f"| {one.name} | {_cell(one.area)} | {gain} | {_cell(one.precision)} | "
            f"{_cell(one.slope)} | {_cell(one.intercept)} | {abstained} |"
        )
    head += [
        "",
        "| model | operating point | sensitivity | specificity |",
        "| --- | --- | --- | --- |",
    ]
    for one in found.results:
        for point, (sensitivity, specificity) in one.points.items():
            head.append(f"| {one.name} | {point} | {_cell(sensitivity)} | {_cell(specificity)} |")
    return "\n".join(head) + "\n"


def _cell(values: Interval | None, *, signed: bool = False) -> str:
    if values is None or not math.isfinite(values[0]):
        return ""
    sign = "+" if signed else ""
    value, low, high = (f"{part:{sign}.3f}" for part in values)
    return f"{value} ({low} to {high})"
