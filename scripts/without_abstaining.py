"""A copy of the packaged model that abstains from nothing, to show pages and reports with.

The detector rightly declines synthetic radiographs, which are all that may be shown here.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import onnx

from nanoray import read_card
from nanoray.detecting.model_file import METADATA_KEY, packaged_model


def write(path: Path) -> Path:
    """Write the copy to a path, and give that."""
    model = onnx.load(str(packaged_model()))
    card = replace(read_card(), novelty_limit=1e9)
    onnx.helper.set_model_props(model, {METADATA_KEY: card.to_json()})
    onnx.save(model, str(path))
    return path
