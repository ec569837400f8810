"""The reported findings of an image and of its study."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset

from nanoray.reading.dicom.orientation import directions, upright
from nanoray.reading.geometry import turned_array, undone
from nanoray.serving.dicom.regions import Region, regions

SCHEME: Final = "99NANORAY"
"""Designator of private codes (PS3.16 8)."""
DEVICE_UID: Final = "2.25.133817208365926487913067203586187331843"
"""UID of this software as an observer; generated once at random (PS3.5 B.2)."""


@dataclass(frozen=True, slots=True)
class Model:
    """The detector of a result."""

    name: str
    version: str
    sha256: str
    operating_point: str | None
    threshold: float


@dataclass(frozen=True, slots=True)
class Prior:
    """The result of an earlier radiograph of the patient, by the same model.

    Attributes:
        date: of its study, ISO 8601; "" where dates are not kept.
        view: AP or PA; None if unknown.
        probability, threshold: calibrated, of that view.
        suspected, unsure: as in `Finding`.
    """

    date: str
    view: str | None
    probability: float
    threshold: float
    suspected: bool
    unsure: bool

    def suspicion(self) -> tuple[bool, bool, float]:
        """Return the sort key by which the most suspicious of several comes last."""
        return self.suspected, self.unsure, self.probability


@dataclass(frozen=True, slots=True)
class Finding:
    """The finding of one image.

    Attributes:
        path: the DICOM file.
        model: the detector.
        probability: calibrated, 0..1; 0 for an image without a decision.
        suspected: whether it reaches the threshold.
        unsure: whether the decision is "unsure".
        heatmap, heatmap_rows, heatmap_columns: float32 values, little endian.
        orientation: EXIF orientation by which the stored image was turned to that of the map; None
            if by Patient Orientation alone.
        inverted: whether the image was judged inverted, as a negative.
        excluded: reason for a missing decision; None if there is one.
        new: whether the image is missing from the previous report.
        priors: results of the patient's earlier radiographs, the latest first.
    """

    path: str
    model: Model
    probability: float = 0.0
    suspected: bool = False
    unsure: bool = False
    heatmap: bytes = b""
    heatmap_rows: int = 0
    heatmap_columns: int = 0
    orientation: int | None = None
    inverted: bool = False
    excluded: str | None = None
    new: bool = True
    priors: tuple[Prior, ...] = ()

    def values(self) -> NDArray[np.float32]:
        """Return the heat map over the radiograph turned upright: float32 [h, w] in 0..1."""
        shape = self.heatmap_rows, self.heatmap_columns
        return np.frombuffer(self.heatmap, "<f4").reshape(shape).astype(np.float32)

    def turned_by(self, source: Dataset) -> int:
        """Return the EXIF orientation by which the image of a header was turned upright."""
        return stated_orientation(source) if self.orientation is None else self.orientation


def stated_orientation(source: Dataset) -> int:
    """Return the EXIF orientation that turns an image upright by its Patient Orientation."""
    stated = source.get("PatientOrientation")
    return upright(directions(None if stated is None else [str(value) for value in stated]))


def stored_map(finding: Finding, source: Dataset) -> NDArray[np.float32]:
    """Return the heat map over the stored image: float32 [h, w] in 0..1.

    Objects that refer to the image use its stored pixels (PS3.3 C.18.6.1.1).
    """
    return turned_array(finding.values(), undone(finding.turned_by(source)))


def evidence_of(finding: Finding, source: Dataset, localise: bool) -> list[Region]:
    """Return the regions of the evidence in a suspected stored image; none for another.

    Args:
        finding: of the image.
        source: its header, for its size.
        localise: whether to search for regions.
    """
    if not localise or not finding.suspected or not finding.heatmap:
        return []
    rows, columns = int(source.get("Rows") or 1), int(source.get("Columns") or 1)
    return regions(stored_map(finding, source), finding.model.threshold, rows, columns)


def worst(findings: Sequence[Finding]) -> Finding | None:
    """Return the most suspicious image with a decision: the result of the study."""
    judged = [finding for finding in findings if finding.excluded is None]
    return max(judged, key=lambda one: (one.suspected, one.unsure, one.probability), default=None)
