"""The page of `nanoray drift`: two sets of results side by side."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nanoray.archives.results import Results
from nanoray.archives.summary import drift_table
from nanoray.detecting.model_file import read_card
from nanoray.evaluating.shift import LEVELS, QUANTITIES, Shift, advice
from nanoray.files import written_whole
from nanoray.reporting import prediction_page as page


def write_comparison(
    path: Path, reference: str, after: Results, shifts: Mapping[str, Shift]
) -> None:
    """Write the page: the table, and the distributions of each quantity as two outlines."""
    before = _card_quantiles(Path(reference)) if reference.lower().endswith(".onnx") else None
    earlier = Results(reference) if before is None else None
    panels = []
    for name in QUANTITIES:
        if name not in shifts:
            continue
        levels = np.linspace(0, 1, LEVELS)
        if before is not None:
            old = np.asarray(before[name])
        else:
            assert earlier is not None
            old = np.quantile(_finite(earlier.values(name)), levels)
        new = np.quantile(_finite(after.values(name)), levels)
        panels.append(
            f'<div class="panel half"><h2>{page.text(name.capitalize())}</h2>'
            f"{page.curves(old.tolist(), new.tolist(), levels.tolist())}</div>"
        )
    body = (
        f"<section><p><strong>{page.text(advice(shifts))}</strong></p>{drift_table(shifts)}"
        '<p class="muted small">Stability index: below 0.1 stable, from 0.25 drifted; KS '
        "distance: 0.1 and 0.2; both only beyond chance.</p></section>"
        '<section><h2>Cumulative distributions</h2><p class="muted small">Dashed the reference, '
        f"{page.text(reference)}; solid {page.text(after.place)}.</p>"
        f'<div class="modelcard">{"".join(panels)}</div></section>'
    )
    when = datetime.now().astimezone()
    with written_whole(path, encoding="utf-8") as stream:
        stream.write(page.head("Drift", f"{when:%d %B %Y, %H:%M}."))
        stream.write(f'<main class="wrap" id="results">{body}</main>')
        stream.write(page.foot("distributions of an archive's scores"))


def _card_quantiles(path: Path) -> dict[str, tuple[float, ...]]:
    reference = read_card(path).reference
    return {} if reference is None else reference.quantiles


def _finite(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return values[np.isfinite(values)]
