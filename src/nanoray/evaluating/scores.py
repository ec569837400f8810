"""The outputs of a model file for a set of images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from nanoray.detecting.model_file import INPUT, METADATA_KEY, OUTPUTS, ModelCard
from nanoray.detecting.views import VIEWS
from nanoray.evaluating.calibration import sigmoid
from nanoray.reading.equalize import equalize_batch


@dataclass(frozen=True, slots=True)
class Scores:
    """logits and novelty, each float32 [N], and cam, float32 [N, h, w]."""

    logits: NDArray[np.float32]
    novelty: NDArray[np.float32]
    cam: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Judgement:
    """Probabilities and decisions of a detector for N logits.

    Attributes:
        logits: float64 [N], calibrated.
        probabilities: float64 [N], calibrated.
        calls: operating point to the decisions, bool [N].
    """

    logits: NDArray[np.float64]
    probabilities: NDArray[np.float64]
    calls: dict[str, NDArray[np.bool_]]


def judge(
    logits: NDArray[np.floating],
    card: ModelCard,
    views: Sequence[str | None],
    *,
    pooled: bool = False,
) -> Judgement:
    """Calibrate logits, float [N], and decide like a detector with a view from the header.

    Args:
        views: [N], "AP", "PA" or another; others get the calibration of all views together.
        pooled: use the latter for every image.
    """
    calibrated = np.empty(len(logits))
    probabilities = np.empty(len(logits))
    calls = {point.name: np.zeros(len(logits), bool) for point in card.operating_points}
    for view in (*VIEWS, None):
        members = np.array([(name if name in VIEWS else None) == view for name in views], bool)
        calibration = card.calibration(None if pooled else view)
        calibrated[members] = (logits[members] + calibration.shift) / calibration.temperature
        probabilities[members] = sigmoid(calibrated[members])
        for point in calibration.operating_points:
            calls[point.name][members] = probabilities[members] >= point.threshold
    return Judgement(calibrated, probabilities, calls)


def open_session(path: Path, *, threads: int = 0) -> onnxruntime.InferenceSession:
    """Open a model file on the CPU, by default with one thread per processor."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = threads
    # Spinning threads would block each other if processors are shared.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(str(path), options, ["CPUExecutionProvider"])


def score(
    path: Path,
    squares: NDArray[np.uint8],
    *,
    batch_size: int = 16,
    equalize: bool | None = None,
) -> Scores:
    """Run the model file on uint8 [N, S, S] squares.

    Args:
        equalize: equalise the squares; default: from the file's card.
    """
    return run(open_session(path), squares, batch_size=batch_size, equalize=equalize)


def run(
    session: onnxruntime.InferenceSession,
    squares: NDArray[np.uint8],
    *,
    batch_size: int = 16,
    equalize: bool | None = None,
) -> Scores:
    """Compute `score` with an open session."""
    logits, novelty, cams = [], [], []
    if equalize is None:
        text = session.get_modelmeta().custom_metadata_map.get(METADATA_KEY)
        equalize = text is not None and ModelCard.from_json(text).equalize
    for first in range(0, len(squares), batch_size):
        part = np.asarray(squares[first : first + batch_size, None], np.float32)
        batch: NDArray[np.float32] = (part / np.float32(255)).astype(np.float32)
        if equalize:
            batch = equalize_batch(batch)
        logit, cam, distance = session.run(list(OUTPUTS), {INPUT: batch})
        logits.append(logit[:, 0])
        novelty.append(distance[:, 0])
        cams.append(cam[:, 0])
    return Scores(np.concatenate(logits), np.concatenate(novelty), np.concatenate(cams))
