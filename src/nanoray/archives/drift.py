"""Comparison of two sets of results, and the page of `nanoray drift`."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nanoray.archives.results import Results
from nanoray.archives.summary import CATEGORIES
from nanoray.detecting.model_file import read_card
from nanoray.errors import DataSetError
from nanoray.evaluating.shift import (
    LEVELS,
    QUANTITIES,
    AgainstReference,
    Shift,
    advice,
    compare,
    compare_categories,
)
from nanoray.files import written_whole
from nanoray.reporting import page


def compare_results(reference: str, current: str) -> dict[str, Shift]:
    """Compare results with earlier ones, or with a model's validation images.

    Args:
        reference: a run of `nanoray screen`, a .parquet, .csv or .jsonl file; or a model file.
        current: results, of the same kinds.

    Returns:
        The shift of each quantity, by its name.

    Raises:
        DataSetError: results of different models, or no common quantity.
    """
    after = Results(current)
    if reference.lower().endswith(".onnx"):
        shifts = _against_card(Path(reference), after)
    else:
        before = Results(reference)
        versions = before.versions() | after.versions()
        if len(versions) > 1:
            raise DataSetError(
                f"the results are of different models ({', '.join(sorted(versions))}), "
                "whose scores cannot be compared"
            )
        shifts = _between(before, after)
    if not shifts:
        raise DataSetError(f"{reference} and {current} have no column in common")
    return shifts


def _between(before: Results, after: Results) -> dict[str, Shift]:
    both = set(before.names) & set(after.names)
    found = [
        compare(name, before.values(name), after.values(name))
        for name in QUANTITIES
        if name in both
    ]
    found += [
        compare_categories(name, before.counts(name), after.counts(name))
        for name in ("decision", *CATEGORIES)
        if name in both
    ]
    return {shift.name: shift for shift in found if shift is not None}


def _against_card(model: Path, after: Results) -> dict[str, Shift]:
    card = read_card(model)
    if card.reference is None or not card.reference.count:
        raise DataSetError(f"{model}: its card has no distribution of the validation images")
    against = AgainstReference(card.reference)
    for name in against.names:
        if name in after.names:
            against.add(name, after.values(name))
    return {shift.name: shift for shift in against.shifts()}


def write_comparison(path: Path, reference: str, current: str, shifts: Mapping[str, Shift]) -> None:
    """Write the page: the table, and the distributions of each quantity as two outlines."""
    after = Results(current)
    before = _card_quantiles(Path(reference)) if reference.lower().endswith(".onnx") else None
    earlier = Results(reference) if before is None else None
    levels = np.linspace(0, 1, LEVELS)
    charts = []
    for name in QUANTITIES:
        if name not in shifts:
            continue
        if before is not None:
            old = np.asarray(before[name])
        else:
            assert earlier is not None
            old = np.quantile(_finite(earlier.values(name)), levels)
        new = np.quantile(_finite(after.values(name)), levels)
        charts.append(page.curves(name, old.tolist(), new.tolist(), levels.tolist()))
    with written_whole(path, encoding="utf-8") as stream:
        page.templates().get_template("drift.html.j2").stream(
            title="Drift",
            css=page.style("page.css"),
            when=datetime.now().astimezone(),
            advice=advice(shifts),
            shifts=shifts,
            reference=reference,
            current=after.place,
            charts=charts,
        ).dump(stream)


def _card_quantiles(path: Path) -> dict[str, tuple[float, ...]]:
    reference = read_card(path).reference
    return {} if reference is None else reference.quantiles


def _finite(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return values[np.isfinite(values)]
