"""The page of `nanoray drift`: two sets of results side by side."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nanoray.archives.results import Results
from nanoray.detecting.model_file import read_card
from nanoray.evaluating.shift import LEVELS, QUANTITIES, Shift, advice
from nanoray.files import written_whole
from nanoray.reporting import page


def write_comparison(
    path: Path, reference: str, after: Results, shifts: Mapping[str, Shift]
) -> None:
    """Write the page: the table, and the distributions of each quantity as two outlines."""
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
