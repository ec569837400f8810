"""The settings of a training run, saved beside its weights."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that decides what a run gives, besides its data.

    Attributes:
        role: "pretrain", "teacher", "baseline" or "student".
        architecture: see `nanoray.training.networks.ARCHITECTURES`.
        size: side of the square input, pixels.
        epochs, batch_size, learning_rate (peak of a one-cycle schedule), weight_decay: of AdamW.
        seed: of the split, the initial heads, the order and the augmentation.
        frozen_stages: how many of the trunk's first stages keep their weights.
        average_decay: of the exponential moving average of the weights, per step.
        pos_weight: weight of a positive case in the hard-label loss.
        class_weight, box_weight: of the training-only heads' losses; 0 switches one off.
        attention_weight: of the loss that draws the class-activation map into the boxes.
        extra_per_epoch: at most so many cases of each further data set in an epoch.
        distillation_temperature: T of the softened probabilities.
        hard_label_weight: weight of the hard labels beside the teacher's.
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
    frozen_stages: int = 0
    average_decay: float = 0.99
    pos_weight: float = 1.0
    class_weight: float = 0.5
    box_weight: float = 1.0
    attention_weight: float = 0.0
    extra_per_epoch: int = 4000
    distillation_temperature: float = 4.0
    hard_label_weight: float = 0.3
    precision: str = "32-true"

    def save(self, path: Path) -> None:
        path.write_text(json.dumps(asdict(self), indent=2) + "\n")

    @classmethod
    def load(cls, path: Path) -> Settings:
        return cls(**json.loads(path.read_text()))
