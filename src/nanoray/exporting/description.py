"""The JSON file beside an export, for programs on other devices."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from nanoray.detecting.model_file import INPUT, NOTICE, ModelCard
from nanoray.exporting.formats import Format


def description_path(path: Path) -> Path:
    """Return the path of the description of an exported file."""
    return path.with_name(f"{path.name}.json")


def describe(
    form: Format,
    model: Path,
    card: ModelCard,
    paths: Sequence[Path],
    outputs: dict[str, Sequence[int]],
) -> dict[str, Any]:
    """Return the description of an export.

    Args:
        model: the exported model file.
        paths: of the export, the one to open first.
        outputs: names and shapes, in the order of the files.
    """
    size = card.input_size
    return {
        "notice": NOTICE,
        "format": form.value,
        "files": {path.name: sha256(path) for path in paths},
        "source": {"file": model.name, "sha256": sha256(model)},
        "input": {"name": INPUT, "shape": [1, 1, size, size], "type": "float32"},
        "outputs": [{"name": name, "shape": list(shape)} for name, shape in outputs.items()],
        "preprocessing": preprocessing(card),
        "decision": decision(card),
        "card": json.loads(card.to_json()),
    }


def preprocessing(card: ModelCard) -> dict[str, Any]:
    """Describe the preprocessing: settings, and the steps in words."""
    size, equalize = card.input_size, bool(getattr(card, "equalize", False))
    steps = [
        "Decode to grey values with bright bone: MONOCHROME1 inverted, modality LUT and VOI LUT "
        "applied, scaled to 0..1.",
        f"Resize to fit {size} x {size} without a change of the aspect ratio, by a triangle filter "
        "whose support grows with the reduction (antialiased bilinear); centre it, pad with 0.",
    ]
    if equalize:
        steps.append(
            "Equalise the square: pixels below 4/255 become 0; every other becomes the share of "
            "these pixels that are darker, by 1,024 equal bins over 0..1, linear within a bin."
        )
    return {
        "size": size,
        "range": [0.0, 1.0],
        "bright_bone": True,
        "padding": 0.0,
        "resize": "triangle, antialiased",
        "equalize": equalize,
        "steps": steps,
        "check": "tests/vectors of the NanoRay repository hold squares and expected outputs",
    }


def decision(card: ModelCard) -> dict[str, Any]:
    """Describe the decision: settings, and the rule in words."""
    return {
        "temperature": card.temperature,
        "novelty_limit": card.novelty_limit,
        "default_operating_point": card.default_operating_point,
        "thresholds": {point.name: point.threshold for point in card.operating_points},
        "views": [asdict(view) for view in getattr(card, "views", ())],
        "rule": [
            "Abstain where novelty > novelty_limit, or where logit or novelty is not finite.",
            "probability = 1 / (1 + exp(-logit / temperature))",
            "Opacity suspected where probability >= the operating point's threshold.",
        ],
    }


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file, or of the names and contents of a folder's files."""
    total = hashlib.sha256()
    if path.is_file():
        total.update(path.read_bytes())
        return total.hexdigest()
    for part in sorted(p for p in path.rglob("*") if p.is_file()):
        total.update(part.relative_to(path).as_posix().encode() + b"\0")
        total.update(hashlib.sha256(part.read_bytes()).digest())
    return total.hexdigest()
