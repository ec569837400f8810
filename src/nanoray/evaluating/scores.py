"""What a model file says of a set of images."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from nanoray.detecting.modelfile import ModelCard
from nanoray.evaluating.calibration import sigmoid


@dataclass(frozen=True, slots=True)
class Scores:
    """logits and novelty, each float32 [N]."""

    logits: NDArray[np.float32]
    novelty: NDArray[np.float32]

    def probabilities(self, card: ModelCard) -> NDArray[np.floating]:
        """Calibrated probabilities float64 [N]."""
        return sigmoid(self.logits / card.temperature)


def score(path: Path, squares: NDArray[np.uint8], *, batch_size: int = 16) -> Scores:
    """Run the model file on uint8 [N, S, S] squares."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(path), options, ["CPUExecutionProvider"])
    logits, novelty = [], []
    for first in range(0, len(squares), batch_size):
        batch = np.asarray(squares[first : first + batch_size, None], np.float32) / 255
        found = session.run(["logit", "novelty"], {"radiograph": batch})
        logits.append(found[0][:, 0])
        novelty.append(found[1][:, 0])
    return Scores(np.concatenate(logits), np.concatenate(novelty))
