"""A data set with its split, ready to train or judge on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from nanoray.datasets.folder import Case, read_folder
from nanoray.datasets.splits import Split, load_split, split_by_patient
from nanoray.errors import DataSetError

SPLIT = "split.csv"


@dataclass(frozen=True, slots=True)
class LabelledData:
    """A data set with its split."""

    folder: Path
    cases: list[Case]
    split: Split


def open_labelled(folder: Path, *, split: Path | None = None, seed: int = 0) -> LabelledData:
    """Read a data set and its split.

    Args:
        split: CSV with `image,part`; by default the `split.csv` that `nanoray prepare` left in the
            folder, or else a split by patient from the seed.

    Raises:
        DataSetError: no such data set, a case without a target, or a split that does not fit.
    """
    cases = read_folder(folder)
    if any(case.target is None for case in cases):
        raise DataSetError(f"{folder}: every case needs a Target to train and judge on")
    if split is None and (folder / SPLIT).is_file():
        split = folder / SPLIT
    parts = load_split(split, cases) if split else split_by_patient(cases, seed=seed)
    return LabelledData(folder, cases, parts)
