"""The check of a site as text, JSON and a self-contained page."""

from __future__ import annotations

import math
from collections import Counter
from datetime import datetime
from pathlib import Path
from typing import Any

from nanoray.detecting.detector import Detector
from nanoray.detecting.flags import WORDS
from nanoray.detecting.model_file import NOTICE
from nanoray.evaluating.fit_here import DECISIONS, Check, Measured, Step
from nanoray.files import written_whole
from nanoray.reporting import page

VERDICTS = {
    "fits": "It fits",
    "recalibrate": "It fits after a recalibration",
    "cannot tell": "There are too few data",
    "does not fit": "It does not fit",
}


def rows(found: Check) -> dict[str, list[tuple[str, str]]]:
    """Return the sections of the check: title to (name, value)."""
    sections = {
        "Files": [
            ("read", str(found.read)),
            ("could not be read", f"{found.unread}{_listed(found.refusals)}"),
            *(
                (decision, str(found.decisions[decision]))
                for decision in DECISIONS
                if found.decisions[decision]
            ),
            ("share abstained", _percent(found.abstained)),
            *((WORDS.get(name, name), str(count)) for name, count in found.flags.most_common()),
        ],
        "Radiographs": [
            (name, ", ".join(f"{value} {count}" for value, count in counts.most_common()))
            for name, counts in found.facts.items()
        ],
    }
    if found.shifts:
        sections["Against the model's validation images"] = [
            (
                shift.name,
                f"{shift.verdict}; median {shift.reference_median:.3g} there, "
                f"{shift.current_median:.3g} here; PSI {shift.psi:.2f} (chance "
                f"{shift.psi_chance:.2f})",
            )
            for shift in found.shifts
        ]
    if found.measured is not None:
        sections["Accuracy"] = _measured_rows(found.measured)
    return sections


def _measured_rows(measured: Measured) -> list[tuple[str, str]]:
    share = measured.positive / measured.cases
    return [
        ("labelled radiographs", f"{measured.cases}, {measured.positive} with an opacity"),
        ("AUROC", _number(measured.area)),
        ("calibration slope (1 is right)", _number(measured.slope)),
        ("calibration intercept (0 is right)", _number(measured.intercept)),
        ("sensitivity", _percent(measured.sensitivity)),
        ("specificity", _percent(measured.specificity)),
        *(
            [("called clear among those with an opacity", _percent(measured.missed))]
            if measured.missed is not None
            else []
        ),
        ("log loss without a recalibration", f"{measured.loss:.3f}"),
        (
            "log loss of the prevalence alone",
            f"{-(share * math.log(share) + (1 - share) * math.log(1 - share)):.3f}",
        ),
        *((f"labels needed: {aim}", str(count)) for aim, count in measured.needed.items()),
    ]


def _listed(counts: Counter[str]) -> str:
    if not counts:
        return ""
    return " (" + ", ".join(f"{name} {count}" for name, count in counts.most_common()) + ")"


def as_text(found: Check, detector: Detector) -> str:
    """Write the check for a terminal."""
    lines = [f"{VERDICTS[found.verdict]}."]
    lines += [f"  {reason}" for reason in found.reasons]
    lines += [f"  Next: {advice}" for advice in found.advice]
    for title, entries in rows(found).items():
        lines += ["", title]
        width = max(len(name) for name, _ in entries)
        lines += [f"  {name.ljust(width)}  {value}" for name, value in entries]
    if found.measured is not None and found.measured.curve:
        lines += ["", "Learning curve of a recalibration (log loss on the other radiographs)"]
        lines += [f"  {_step(step)}" for step in found.measured.curve]
    point = detector.operating_point
    lines += [
        "",
        f"Model {detector.card.name} {detector.card.version}"
        + (f", operating point {point.name}" if point else "")
        + (f", guarantee {detector.guarantee.level:g}" if detector.guarantee else "")
        + ".",
        NOTICE,
    ]
    return "\n".join(lines)


def _step(step: Step) -> str:
    mean, low, high = step.loss
    return (
        f"{step.cases:>4} cases: {mean:.3f} (90 % {low:.3f} to {high:.3f}), "
        f"better in {100 * step.better:.0f} % of trials"
    )


def as_record(found: Check) -> dict[str, Any]:
    """Return the check as values for JSON."""

    def plain(value: Any) -> Any:
        if isinstance(value, float):
            return round(value, 6) if math.isfinite(value) else None
        if isinstance(value, dict):
            return {str(key): plain(part) for key, part in value.items()}
        if isinstance(value, (list, tuple)):
            return [plain(part) for part in value]
        if hasattr(value, "__dataclass_fields__"):
            return {name: plain(getattr(value, name)) for name in value.__dataclass_fields__}
        return value

    record: dict[str, Any] = plain(found)
    return {"notice": NOTICE, **record}


def write_page(found: Check, detector: Detector, place: str, path: Path) -> None:
    """Write the check as one self-contained HTML page."""
    text = (
        page.templates()
        .get_template("check.html.j2")
        .render(
            title="Does it fit here?",
            css=page.style("page.css", "check.css"),
            place=place,
            when=f"{datetime.now().astimezone():%d %B %Y}",
            found=found,
            verdict=VERDICTS[found.verdict],
            tone={"fits": "clear", "does not fit": "suspected"}.get(found.verdict, "unsure"),
            sections=rows(found),
            curve=_curve(found.measured) if found.measured is not None else None,
            card=detector.card,
            point=detector.operating_point,
            guarantee=detector.guarantee,
        )
    )
    with written_whole(path, encoding="utf-8") as stream:
        stream.write(text)


def _curve(measured: Measured) -> dict[str, Any] | None:
    """Return the coordinates of the learning curve in a frame of 640 x 220."""
    steps = measured.curve
    if len(steps) < 2:
        return None
    left, right, top, bottom = 60, 620, 15, 180
    low = min(measured.loss, *(step.loss[1] for step in steps))
    high = max(measured.loss, *(min(step.loss[2], 2 * measured.loss) for step in steps))
    span = (high - low) or 1.0
    first, last = math.log(steps[0].cases), math.log(steps[-1].cases)

    def x(cases: int) -> float:
        return left + (right - left) * (math.log(cases) - first) / (last - first)

    def y(loss: float) -> float:
        return bottom - (bottom - top) * (min(loss, high) - low) / span

    upper = [f"{x(step.cases):.1f},{y(step.loss[2]):.1f}" for step in steps]
    lower = [f"{x(step.cases):.1f},{y(step.loss[1]):.1f}" for step in reversed(steps)]
    return {
        "line": " ".join(f"{x(step.cases):.1f},{y(step.loss[0]):.1f}" for step in steps),
        "band": " ".join(upper + lower),
        "before": y(measured.loss),
        "ticks": [(x(step.cases), step.cases) for step in steps],
        "scale": [(y(value), f"{value:.2f}") for value in (low, (low + high) / 2, high)],
        "left": left,
        "right": right,
        "bottom": bottom,
        "steps": [_step(step) for step in steps],
    }


def _percent(interval: tuple[float, float, float]) -> str:
    value, low, high = (f"{100 * part:.1f}" for part in interval)
    return f"{value} % ({low} to {high})"


def _number(interval: tuple[float, float, float]) -> str:
    if not math.isfinite(interval[0]):
        return "not defined: the scores separate the classes"
    value, low, high = (f"{part:.2f}" for part in interval)
    return f"{value} ({low} to {high})"
