"""The settings of a training run, saved beside its weights."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import yaml

from nanoray.errors import DataSetError

SETTINGS = "settings.yaml"
_EARLIER = "settings.json"


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that decides what a run gives, besides its data.

    Attributes:
        role: "pretrain", "teacher", "baseline" or "student".
        architecture: see `nanoray.training.networks.ARCHITECTURES`.
        size: side of the square input, pixels.
        epochs, batch_size, learning_rate (peak of a one-cycle schedule), weight_decay: of AdamW.
            Several processes share a batch.
        seed: of the split, the initial heads, the order and the augmentation.
        patience: epochs without a better validation AUROC after which training stops; 0: never.
        frozen_stages: how many of the trunk's first stages keep their weights.
        average_decay: of the exponential moving average of the weights, per step.
        pos_weight: weight of a positive case in the hard-label loss.
        class_weight, box_weight: of the training-only heads' losses; 0 switches one off.
        attention_weight: of the loss that draws the class-activation map into the boxes.
        extra_per_epoch: at most so many cases of each further data set in an epoch.
        distillation_method: one of `nanoray.training.distillation.METHODS`.
        distillation_weight: of what a method adds to Hinton's loss.
        distillation_temperature: T of the softened probabilities.
        hard_label_weight: weight of the hard labels beside the teacher's.
        quantization_aware: round as the INT8 file will while training.
        keep: "best", the weights at the epoch with the best validation AUROC, or "last", those that
            the schedule ends with: where few validation images make "best" a matter of chance.
        precision: Lightning's name, for example "32-true" or "bf16-mixed".
    """

    role: str
    architecture: str
    size: int
    epochs: int
    batch_size: int = 64
    learning_rate: float = 1e-3
    weight_decay: float = 0.05
    seed: int = 0
    patience: int = 0
    frozen_stages: int = 0
    average_decay: float = 0.99
    pos_weight: float = 1.0
    class_weight: float = 0.5
    box_weight: float = 1.0
    attention_weight: float = 0.0
    extra_per_epoch: int = 4000
    distillation_method: str = "response"
    distillation_weight: float = 1.0
    distillation_temperature: float = 4.0
    hard_label_weight: float = 0.3
    quantization_aware: bool = False
    keep: str = "best"
    precision: str = "32-true"

    def save(self, folder: Path) -> None:
        """Write `settings.yaml`."""
        (folder / SETTINGS).write_text(yaml.safe_dump(asdict(self), sort_keys=False))

    @classmethod
    def load(cls, folder: Path) -> Settings:
        """The settings of a run folder; runs of version 0.1 have them as JSON.

        Raises:
            DataSetError: none there, or not such a file.
        """
        path = folder / SETTINGS
        if not path.is_file() and (folder / _EARLIER).is_file():
            path = folder / _EARLIER
        if not path.is_file():
            raise DataSetError(f"{folder}: not a training run; it has no {SETTINGS}")
        try:
            return cls(**read_values(path))
        except TypeError:
            raise DataSetError(f"{path}: some settings are missing") from None


def read_values(path: Path) -> dict[str, Any]:
    """Some or all settings from a YAML or JSON file, with the types that they need.

    Raises:
        DataSetError: not such a file, an unknown setting, or a value of the wrong type.
    """
    types = {field.name: field.type for field in fields(Settings)}
    try:
        text = path.read_text()
        values = json.loads(text) if path.suffix == ".json" else yaml.safe_load(text)
    except (ValueError, yaml.YAMLError):
        raise DataSetError(f"{path}: neither YAML nor JSON") from None
    if not isinstance(values, dict):
        raise DataSetError(f"{path}: expected settings, one `name: value` in a line")
    typed: dict[str, Any] = {}
    for name, value in values.items():
        if name not in types:
            raise DataSetError(f"{path}: no such setting: {name}")
        try:
            # YAML takes 1e-3, without a point, for a word.
            typed[name] = _TYPES[str(types[name])](value)
        except (TypeError, ValueError):
            raise DataSetError(f"{path}: {name}: a value of the wrong form") from None
    return typed


def _whole(value: Any) -> int:
    if isinstance(value, bool) or int(value) != float(value):
        raise ValueError
    return int(value)


def _yes_or_no(value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError
    return value


_TYPES: dict[str, Callable[[Any], Any]] = {
    "int": _whole,
    "float": float,
    "str": str,
    "bool": _yes_or_no,
}
