"""Findings from other networks and from reports, as further training targets.

A table of answers has one row per image and the columns `patientId` (the image's name),
`nih_<finding>` and `logit_<finding>`. The `nih_` columns are labels from reports: 0, 1 or empty.
The `logit_` columns are mean logits of networks trained on other patients, or empty. They are
standardised and learned by regression (Ba and Caruana 2014, "Do deep nets really need to be
deep?").
"""

from __future__ import annotations

import csv
import gzip
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nanoray.datasets.folder import Case
from nanoray.errors import DataSetError

LABEL, LOGIT = "nih_", "logit_"
# Parts of the cross-fitting of `opacity_logits`, and the inverse strength of its ridge penalty.
PARTS, INVERSE_PENALTY = 5, 0.1


@dataclass(frozen=True, slots=True)
class Answers:
    """Answers for some images, by the image's name.

    Attributes:
        findings: names of the findings, F.
        labels: float32 [N, F], 0 or 1; NaN where unknown.
        logits: float32 [N, F], of mean 0 and deviation 1; NaN where unknown.
        row: image name to row.
    """

    findings: tuple[str, ...]
    labels: NDArray[np.float32]
    logits: NDArray[np.float32]
    row: dict[str, int]

    def of(self, cases: Sequence[Case]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return labels and logits of cases, float32 [N, F] each; NaN where unknown."""
        labels = np.full((len(cases), len(self.findings)), np.nan, np.float32)
        logits = labels.copy()
        for index, case in enumerate(cases):
            row = self.row.get(case.path.stem)
            if row is not None:
                labels[index], logits[index] = self.labels[row], self.logits[row]
        return labels, logits


def read_answers(path: Path) -> Answers:
    """Read a table of answers, `.csv` or `.csv.gz`.

    Raises:
        DataSetError: not such a table.
    """
    try:
        text = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        reader = csv.DictReader(text.decode().splitlines())
        names = reader.fieldnames or ()
        findings = tuple(name[len(LOGIT) :] for name in names if name.startswith(LOGIT))
        rows = list(reader)
        labels = _columns(rows, [LABEL + finding for finding in findings])
        logits = _columns(rows, [LOGIT + finding for finding in findings])
        row = {one["patientId"]: index for index, one in enumerate(rows)}
    except (OSError, KeyError, ValueError) as error:
        raise DataSetError(f"{path}: not a table of answers ({type(error).__name__})") from None
    if not findings or not row:
        raise DataSetError(f"{path}: not a table of answers: no column {LOGIT}<finding>")
    known = logits[~np.isnan(logits[:, 0])]
    if len(known):
        logits = (logits - known.mean(0)) / np.maximum(known.std(0), 1e-6)
    return Answers(findings, labels, logits, row)


def _columns(rows: Sequence[dict[str, str]], names: Sequence[str]) -> NDArray[np.float32]:
    values = [[float(row[name]) if row[name] else np.nan for name in names] for row in rows]
    return np.array(values, np.float32).reshape(len(rows), len(names))


def opacity_logits(
    cases: Sequence[Case], logits: NDArray[np.float32], domain: Sequence[bool]
) -> NDArray[np.float32]:
    """Predict the target from networks' logits on findings, cross-fitted by patient.

    The prediction is a logistic regression of the target on the findings. It serves as a teacher
    for the cases with answers. Each value comes from a fit without its patient, since a fit on the
    label would only repeat it.

    Args:
        cases: all training cases; no model may be evaluated on them later.
        logits: float32 [N, F] of each, NaN where unknown.
        domain: whether a case is like the evaluated ones; all others have a fifth of the weight.

    Returns:
        float32 [N], NaN for cases without answers, or if too few have answers.
    """
    from sklearn.linear_model import LogisticRegression

    found = np.full(len(cases), np.nan, np.float32)
    targets = np.array([np.nan if case.target is None else case.target for case in cases])
    usable = np.flatnonzero(~np.isnan(logits).any(1) & ~np.isnan(targets))
    part = np.array([_part(cases[int(index)].patient) for index in usable], np.int64)
    weight = np.where(np.asarray(domain)[usable], 1.0, 0.2)
    for number in range(PARTS):
        fit, rest = usable[part != number], usable[part == number]
        if len(rest) == 0 or len(set(targets[fit])) < 2:
            continue
        model = LogisticRegression(C=INVERSE_PENALTY, max_iter=500)
        model.fit(logits[fit], targets[fit], sample_weight=weight[part != number])
        found[rest] = model.decision_function(logits[rest])
    return found


def _part(patient: str) -> int:
    return hashlib.sha256(patient.encode()).digest()[0] % PARTS
