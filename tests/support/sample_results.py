"""Results made up for tests of outputs."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from nanoray.detecting.prediction import (
    ABSTAINED,
    NOT_A_CHEST_RADIOGRAPH,
    NOT_SUSPECTED,
    SUSPECTED,
    Prediction,
    Unread,
)
from nanoray.errors import UnreadableError
from nanoray.reading.radiograph import Facts

# Facts that no output may show: they come out of a header.
FACTS = Facts(
    "DICOM",
    2000,
    1000,
    12,
    photometric="MONOCHROME2",
    modality="DX",
    body_part="CHEST OF DOE^JANE",
    view="PA19700101",
    sex="F",
    age_years=56.789,
)


def prediction(source: str, probability: float, **changes: Any) -> Prediction:
    """Return a prediction of a given probability at the threshold 0.5, with a picture."""
    result = Prediction(
        source=source,
        probability=probability,
        decision=SUSPECTED if probability >= 0.5 else NOT_SUSPECTED,
        reason=None,
        threshold=0.5,
        operating_point="balanced",
        logit=float(np.log(probability / (1 - probability))),
        novelty=0.1,
        heatmap=np.array([[0.1, 0.9], [0.0, 0.2]], np.float32),
        flags=(),
        model="tiny",
        model_version="9.1",
        facts=FACTS,
        read_milliseconds=12.3456,
        infer_milliseconds=1.0,
        thumbnail=np.full((128, 64), 90, np.uint8),
    )
    return replace(result, **changes)


def abstention(source: str, probability: float) -> Prediction:
    """Return an abstention whose probability would be `probability`."""
    return prediction(
        source, probability, decision=ABSTAINED, reason=NOT_A_CHEST_RADIOGRAPH, novelty=0.9
    )


def unread(source: str, reason: str = "the file is empty") -> Unread:
    """Return a file that could not be read."""
    return Unread(source, UnreadableError(source, "empty-file", reason), 3.0)
