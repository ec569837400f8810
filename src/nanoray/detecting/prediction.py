"""The result for one file: a prediction, or the reason why it could not be read."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from nanoray.detecting.boxes import Box, find_boxes
from nanoray.detecting.statistics import Statistics
from nanoray.detecting.views import View, ViewSource
from nanoray.errors import UnreadableError
from nanoray.reading.fingerprint import Fingerprint
from nanoray.reading.radiograph import Facts

Decision: TypeAlias = Literal["opacity suspected", "no opacity suspected", "unsure", "abstained"]

SUSPECTED: Final = "opacity suspected"
NOT_SUSPECTED: Final = "no opacity suspected"
UNSURE: Final = "unsure"
ABSTAINED: Final = "abstained"
NOT_A_CHEST_RADIOGRAPH: Final = "not a frontal chest radiograph"
NOT_UPRIGHT: Final = "may be turned, or a negative"


@dataclass(frozen=True, slots=True)
class Prediction:
    """The detector's result for one radiograph. Research use only.

    Attributes:
        source: the file's path as given, or "<bytes>" / "<array>".
        probability: calibrated probability of the model's target, 0..1; not a finding if the
            decision is "abstained". NaN if the network returned no finite number (then abstained).
        decision: "opacity suspected" from the threshold upwards, else "no opacity suspected".
            "unsure" if a guarantee does not allow the latter; "abstained" if the input is unlike
            the training radiographs.
        reason: reason for abstaining; None if the detector did not.
        threshold: on the probability.
        operating_point: name of the operating point; None if a threshold was given instead.
        logit: the network's output before calibration.
        novelty: distance from the training radiographs (compare the card's `novelty_limit`).
        heatmap: float32 [h, w] in 0..1, the local probability: class-activation map of the same
            forward pass (Zhou et al. 2016), calibrated like the probability, over the radiograph
            without the padding. h and w are small (8 x 8 for a 256-pixel input).
        flags: stable identifiers of quality flags (`nanoray.detecting.flags.WORDS`).
        model, model_version: from the model card.
        facts: metadata of the file.
        read_milliseconds, infer_milliseconds: time to read and fit the file, and to run the model.
        thumbnail: uint8 [h, w], the radiograph with a longer side of at most 512 pixels; None
            unless requested.
        statistics: brightness, contrast and sharpness of the network's input.
        fingerprint: of the file; None unless requested.
        view, view_source: "AP" or "PA" and its source ("header", "pixels" or "given"); None if
            unknown. The calibration is that of the view, if the model has one.
        guarantee: level of the guarantee of the decision; None without one.
        clear_below: probability below which this radiograph may be called clear under the
            guarantee; None without one.
        prevalence: share of positive radiographs to which the probability is calibrated; None for
            that of the validation images.
    """

    source: str
    probability: float
    decision: Decision
    reason: str | None
    threshold: float
    operating_point: str | None
    logit: float
    novelty: float
    heatmap: NDArray[np.float32] = field(repr=False, compare=False)
    flags: tuple[str, ...]
    model: str
    model_version: str
    facts: Facts
    read_milliseconds: float = field(compare=False)
    infer_milliseconds: float = field(compare=False)
    thumbnail: NDArray[np.uint8] | None = field(default=None, repr=False, compare=False)
    statistics: Statistics | None = None
    fingerprint: Fingerprint | None = None
    view: View | None = None
    view_source: ViewSource | None = None
    guarantee: float | None = None
    clear_below: float | None = None
    prevalence: float | None = None

    @property
    def boxes(self) -> tuple[Box, ...]:
        """Boxes around the map's peaks, by falling score; empty unless an opacity is suspected.

        They are cut from the map on each call, in a few milliseconds.
        """
        if self.decision != SUSPECTED:
            return ()
        return find_boxes(self.heatmap, self.threshold)

    @property
    def milliseconds(self) -> float:
        """Time to read the file and to predict."""
        return self.read_milliseconds + self.infer_milliseconds

    @property
    def suspected(self) -> bool:
        """Whether the decision is "opacity suspected"."""
        return self.decision == SUSPECTED

    @property
    def abstained(self) -> bool:
        """Whether the detector declined to decide."""
        return self.decision == ABSTAINED

    @property
    def error(self) -> None:
        """Always None; `Unread.error` has the reason for a missing prediction."""
        return None


@dataclass(frozen=True, slots=True)
class Unread:
    """An unreadable file of a batch, with the reason."""

    source: str
    error: UnreadableError
    read_milliseconds: float = field(default=0.0, compare=False)
    fingerprint: Fingerprint | None = None

    @property
    def milliseconds(self) -> float:
        """Time until reading was stopped."""
        return self.read_milliseconds


Result: TypeAlias = Prediction | Unread


def rank(result: Result) -> tuple[int, float, str]:
    """Return a sort key: predictions by falling probability, then abstentions, then unread files.

    Ties, abstentions and unread files are sorted by name.
    """
    if isinstance(result, Unread):
        return 2, 0.0, result.source
    if result.abstained:
        return 1, 0.0, result.source
    return 0, -result.probability, result.source
