"""The folder of a training run: its weights, its settings and its result."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

from nanoray.errors import DataSetError
from nanoray.training.networks import Network, load_weights
from nanoray.training.settings import Settings

WEIGHTS, RESULT, LAST = "weights.safetensors", "result.json", "last.ckpt"


def load_run(folder: Path) -> tuple[Network, Settings]:
    """Return the network and the settings of a finished run."""
    return load_weights(folder / WEIGHTS), Settings.load(folder)


def saved_score(folder: Path, settings: Settings) -> float | None:
    """Return the validation AUROC of a run that is finished, None if it is not.

    Raises:
        DataSetError: the folder holds a run with other settings.
    """
    if not (folder / LAST).is_file():
        return None
    earlier = asdict(Settings.load(folder))
    changed = [name for name, value in asdict(settings).items() if earlier[name] != value]
    if changed:
        raise DataSetError(
            f"{folder}: holds a run with another {', '.join(changed)}; choose another --output"
        )
    if not (folder / RESULT).is_file():
        return None
    return float(json.loads((folder / RESULT).read_text())["validation_auroc"])
