"""A data set with its split, for training or evaluation."""

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


def open_labelled(
    folder: Path, *, split: Path | None = None, seed: int = 0, resplit: bool = False
) -> LabelledData:
    """Read a data set and its split.

    Args:
        split: CSV with `image,part`; by default the folder's `split.csv` from `nanoray prepare`,
            else a split by patient from the seed.
        resplit: split by patient from the seed, and ignore the folder's `split.csv`.

    Raises:
        DataSetError: no such data set, a case without a target, or a split that does not fit.
    """
    cases = read_folder(folder)
    if any(case.target is None for case in cases):
        raise DataSetError(f"{folder}: every case needs a Target to train and judge on")
    if split is None and not resplit and (folder / SPLIT).is_file():
        split = folder / SPLIT
    parts = load_split(split, cases) if split else split_by_patient(cases, seed=seed)
    return LabelledData(folder, cases, parts)


def check_trainable(data: LabelledData) -> None:
    """Refuse data that a network cannot be trained or validated on, before any work.

    Raises:
        DataSetError: the training or validation part has images of one target only, or none.
    """
    for part in ("train", "validation"):
        targets = [data.cases[index].target for index in data.split.part(part)]
        positive = sum(target == 1 for target in targets)
        if not 0 < positive < len(targets):
            raise DataSetError(
                f"{data.folder}: the {part} part has {positive} positive images of "
                f"{len(targets)}; it needs positive and negative ones"
            )


def cases_to_judge(
    folder: Path, *, part: str | None = None, split: Path | None = None, seed: int = 0
) -> tuple[LabelledData, list[int], str]:
    """Choose the images of a data set for an evaluation.

    Args:
        part: a part of the split, or "all" for a data set on which no model was trained. The
            default is "test" if a split is on file.

    Returns:
        The data set, the indices of the cases, and the part.

    Raises:
        DataSetError: see `open_labelled`; no part named and no split on file; or no such images.
    """
    if not folder.is_dir():
        raise DataSetError(f"{folder}: no such folder")
    if part is None:
        if split is None and not (folder / SPLIT).is_file():
            raise DataSetError(
                f"{folder}: has no {SPLIT}, so it is unknown which images the models trained on. "
                "Give --part all for a data set that is new to them, or the split that they were "
                f"trained with by --split RUN/{SPLIT}"
            )
        part = "test"
    if part == "all":
        cases = read_folder(folder)
        if any(case.target is None for case in cases):
            raise DataSetError(f"{folder}: every case needs a Target to be judged on")
        everything = tuple(range(len(cases)))
        return LabelledData(folder, cases, Split((), (), everything)), list(everything), part
    labelled = open_labelled(folder, split=split, seed=seed)
    chosen = list(labelled.split.part(part))
    if not chosen:
        raise DataSetError(f"{folder}: the {part} part is empty")
    return labelled, chosen, part
