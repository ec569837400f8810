"""Calibration of a model file to a site, from labelled radiographs."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nanoray.datasets.labels import read_labels
from nanoray.detecting.detector import Detector, load
from nanoray.detecting.model_file import ModelCard, Reference
from nanoray.detecting.prediction import Unread
from nanoray.errors import DataSetError
from nanoray.evaluating.recalibration import LabelledScores, Recalibration, recalibrate
from nanoray.evaluating.shift import QUANTITIES, SCORES, reference_of
from nanoray.exporting.card import write_card


@dataclass(frozen=True, slots=True)
class SiteCalibration:
    """The result of `calibrate`.

    Attributes:
        before: the card of the original model.
        used, unread, abstained: numbers of radiographs.
    """

    found: Recalibration
    before: ModelCard
    used: int
    unread: int
    abstained: int


def calibrate(
    labels: Path,
    output: Path,
    *,
    model: Path | None = None,
    site: str = "site",
    shift: bool = False,
    workers: int | None = None,
    refused: Callable[[Unread], None] = lambda unread: None,
    step: Callable[[int], None] = lambda total: None,
) -> SiteCalibration:
    """Fit a model file's temperature and operating points to a site, and write a new model file.

    Args:
        labels: see `read_labels`; file names are relative to the table.
        model: the packaged model by default.
        site: becomes part of the version; letters and digits, in parts joined by dots.
        shift: also move all logits, for a site with another prevalence.
        refused: called with each unreadable file.
        step: called after each file with the number of files.

    Raises:
        DataSetError: bad labels, site or output, or too few cases; see `recalibrate`.
    """
    if not re.fullmatch(r"[A-Za-z0-9]+(\.[A-Za-z0-9]+)*", site):
        raise DataSetError(f"site {site!r}: letters and digits, in parts joined by dots")
    detector = load(model)
    if output.exists() and output.samefile(detector.path):
        raise DataSetError(f"{output}: is the model file itself; choose another output")
    if not output.parent.is_dir():
        raise DataSetError(f"{output}: the folder {output.parent} is not found")
    scores, reference, unread, abstained = _judge(detector, labels, workers, refused, step)
    found = recalibrate(detector.card, scores, site, shift=shift, reference=reference)
    write_card(detector.path, found.card, output=output, shift=found.shift)
    return SiteCalibration(found, detector.card, len(scores.targets), unread, abstained)


def _judge(
    detector: Detector,
    table: Path,
    workers: int | None,
    refused: Callable[[Unread], None],
    step: Callable[[int], None],
) -> tuple[LabelledScores, Reference, int, int]:
    chosen, logits, unread, abstained = [], [], 0, 0
    values: dict[str, list[float]] = {name: [] for name in QUANTITIES}
    cases = read_labels(table)
    results = detector.predict_many(
        (Path(table.parent, case.name) for case in cases), workers=workers
    )
    for case, result in zip(cases, results, strict=True):
        step(len(cases))
        if isinstance(result, Unread):
            unread += 1
            refused(result)
        elif result.abstained:
            abstained += 1
        else:
            chosen.append(case)
            logits.append(result.logit)
            for name in QUANTITIES:
                value = getattr(result if name in SCORES else result.statistics, name)
                values[name].append(value)
    scores = LabelledScores(
        np.array(logits),
        np.array([case.target for case in chosen], np.int64),
        [case.patient for case in chosen],
    )
    return scores, reference_of({n: np.array(v) for n, v in values.items()}), unread, abstained
