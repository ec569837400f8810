"""Weights that convert figures of a sample of images to those of its population.

Post-stratification (Holt and Smith 1979): the total weight of a cell (class, view, area of the
boxes) is its share of the population.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nanoray.datasets.folder import Case
from nanoray.datasets.tables import open_table
from nanoray.errors import DataSetError
from nanoray.evaluating.resampling import Floats

Boxes = Sequence[tuple[float, float, float, float]]

AREAS = ("<5%", "5-10%", ">10%")
"""Bands of the share of the frame that opacity boxes cover."""

# Bands of a published table that are merged here: few PA images have boxes above 20 %.
_SAME_AREA = {"10-20%": ">10%", ">20%": ">10%"}

_FRAME = 512
# A sample that lacks more of the population than this does not represent it.
_MOST_LACKING = 0.05


@dataclass(frozen=True, slots=True)
class Cell:
    """A class, a view and a band of `AREAS`, which is "" for images without an opacity."""

    class_name: str
    view: str
    area: str

    @property
    def positive(self) -> bool:
        """Whether the images of the cell have an opacity."""
        return bool(self.area)


def box_share(boxes: Boxes) -> float:
    """Compute the share of the frame covered by boxes (left, top, width, height; fractions)."""
    covered = np.zeros((_FRAME, _FRAME), bool)
    for left, top, width, height in boxes:
        columns = slice(round(left * _FRAME), round((left + width) * _FRAME))
        covered[round(top * _FRAME) : round((top + height) * _FRAME), columns] = True
    return float(covered.mean())


def area_band(share: float) -> str:
    """Return the band of `AREAS` of a share of the frame."""
    return AREAS[int(np.searchsorted([0.05, 0.10], share, side="right"))]


def cell_of(case: Case) -> Cell:
    """Return the cell of a labelled radiograph."""
    area = area_band(box_share(case.boxes or ())) if case.target == 1 else ""
    return Cell(case.class_name, case.view or "", area)


@dataclass(frozen=True, slots=True)
class Population:
    """Numbers of images of a population by cell."""

    counts: dict[Cell, int]

    @property
    def prevalence(self) -> float:
        """Share of the images with an opacity."""
        positive = sum(count for cell, count in self.counts.items() if cell.positive)
        return positive / sum(self.counts.values())


def read_population(path: Path) -> Population:
    """Read a CSV with `class_name`, `view`, `box_area` and `images`; further columns are summed.

    Raises:
        DataSetError: no such table, a missing column or an invalid count.
    """
    counts: Counter[Cell] = Counter()
    try:
        with open_table(path) as rows:
            for number, row in enumerate(rows, start=2):
                area = _SAME_AREA.get(row["box_area"], row["box_area"])
                if area and area not in AREAS:
                    raise DataSetError(
                        f"{path}, line {number}: unknown box_area {area!r}; "
                        f"expected one of {', '.join(AREAS)}, 10-20%, >20%, or nothing"
                    )
                counts[Cell(row["class_name"], row["view"], area)] += int(row["images"])
    except FileNotFoundError:
        raise DataSetError(f"{path}: not found") from None
    except KeyError as error:
        raise DataSetError(f"{path}: no column {error}") from None
    except (TypeError, ValueError):
        raise DataSetError(f"{path}, line {number}: images must be a whole number") from None
    if not any(cell.positive for cell in counts) or all(cell.positive for cell in counts):
        raise DataSetError(f"{path}: needs cells with an opacity (box_area) and without")
    return Population(dict(counts))


def population_of(cases: Sequence[Case]) -> Population:
    """Use the cases as the population, with equal weights."""
    return Population(dict(Counter(cell_of(case) for case in cases)))


@dataclass(frozen=True, slots=True)
class Poststratification:
    """The cells of N images and their weights.

    Attributes:
        cell: int [N], the image's cell as a number; -1 for a cell that the population lacks.
        shares: float64 [S] of the population.
        positive: bool [S].
        prevalence: share of positive images in the population.
    """

    cell: NDArray[np.intp]
    shares: Floats
    positive: NDArray[np.bool_]
    prevalence: float

    def weights(self, weights: Floats) -> Floats:
        """Convert weights [B, N] of draws to weights [B, N] that give the cells their shares.

        Each draw is post-stratified separately. The share of a cell without an image in a draw is
        distributed to the other cells of the same target, in proportion. Weights sum to 1.
        """
        inside = (self.cell[:, None] == np.arange(len(self.shares))).astype(np.float64)
        totals = weights @ inside
        shares = self.shares * (totals > 0)
        for of_target, wanted in (
            (self.positive, self.prevalence),
            (~self.positive, 1 - self.prevalence),
        ):
            kept = shares[:, of_target]
            total = kept.sum(1, keepdims=True)
            shares[:, of_target] = wanted * np.divide(
                kept, total, out=np.zeros_like(kept), where=total > 0
            )
        factors = np.divide(shares, totals, out=np.zeros_like(shares), where=totals > 0)
        weighted: Floats = weights * (factors @ inside.T)
        return weighted


def poststratify(cases: Sequence[Case], population: Population) -> Poststratification:
    """Prepare the weights of the cases for a population.

    Raises:
        DataSetError: the cases lack cells with more than 5 % of the population's positive or
            negative images.
    """
    cells = list(population.counts)
    number = {cell: index for index, cell in enumerate(cells)}
    found = np.array([number.get(cell_of(case), -1) for case in cases], np.intp)
    counts = np.array([population.counts[cell] for cell in cells], np.float64)
    positive = np.array([cell.positive for cell in cells])
    lacking = ~np.isin(np.arange(len(cells)), found)
    for of_target in (positive, ~positive):
        share = counts[of_target & lacking].sum() / counts[of_target].sum()
        if share > _MOST_LACKING:
            names = ", ".join(
                " ".join(filter(None, (cells[i].class_name, cells[i].view, cells[i].area)))
                for i in np.flatnonzero(of_target & lacking)
            )
            raise DataSetError(
                f"the images do not represent the population: no image is {names} "
                f"({share:.0%} of it); classes and views must be named as in its table"
            )
    return Poststratification(found, counts / counts.sum(), positive, population.prevalence)
