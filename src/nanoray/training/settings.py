"""The settings of a training run, saved beside its weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Literal, get_args, get_type_hints

import yaml

from nanoray.errors import DataSetError
from nanoray.fields import setting

SETTINGS = "settings.yaml"


Role = Literal["pretrain", "teacher", "baseline", "student"]


_STUDENT: tuple[Role, ...] = ("student",)


@dataclass(frozen=True, slots=True)
class Settings:
    """All settings that determine the result of a run, besides its data.

    The fields have their help, bounds and choices; commands and recipes are built from them.

    Raises:
        DataSetError: a value outside its bounds or choices.
    """

    role: Role
    architecture: str = setting(
        "mobilenet_v3_small",
        "mobilenet_v3_small, mobilenet_v3_small_minimal, resnet18, resnet50, resnet50_v1, or a "
        "name of timm's, such as vit_tiny_patch16_224.",
        shown="that of --from, or mobilenet_v3_small",
    )
    size: int = setting(256, "Side of the square input, pixels.", least=32)
    epochs: int = setting(12, "Epochs of training.", least=1)
    batch_size: int = setting(32, "Images in a batch, over all processes.", least=2)
    learning_rate: float = setting(5e-4, "Peak of the one-cycle schedule.", least=0)
    weight_decay: float = setting(0.05, "Weight decay of AdamW.", least=0)
    seed: int = setting(0, "Seed of split, new layers, order and augmentation.", least=0)
    patience: int = setting(
        0, "Epochs without a better validation AUROC before training stops; 0: never.", least=0
    )
    frozen_stages: int = setting(
        0, "First stages of the trunk that keep their weights.", least=0, most=5
    )
    average_decay: float = setting(
        0.99, "Decay of the moving average of the weights, per step.", least=0, most=1
    )
    pos_weight: float = setting(1.0, "Weight of a positive case.", least=0)
    class_weight: float = setting(
        0.5, "Weight of the loss of the detailed class; 0: none.", least=0
    )
    box_weight: float = setting(1.0, "Weight of the loss of the box mask; 0: none.", least=0)
    attention_weight: float = setting(
        0.0, "Weight of the loss that moves the heat map into the boxes; 0: none.", least=0
    )
    equalize: bool = setting(
        False, "Histogram-equalise every radiograph, in training and in the model file."
    )
    photograph_share: float = setting(
        0.0, "Share of training images that become simulated photographs.", least=0, most=1
    )
    border_share: float = setting(
        0.0, "Share of training images that get bars at their edges.", least=0, most=1
    )
    fine_map: bool = setting(False, "A heat map of twice the resolution.")
    pooling: Literal["mean", "lse"] = setting(
        "mean", "Pooling of the heat map to the logit: mean, or lse (log-mean-exp)."
    )
    pooling_sharpness: float = setting(
        0.5, "Sharpness of log-mean-exp; near 0 it is the mean.", least=0.01
    )
    answer_weight: float = setting(
        0.0, "Weight of other networks' logits on findings, as regression; 0: none.", least=0
    )
    finding_weight: float = setting(
        0.0, "Weight of the labels of findings from reports; 0: none.", least=0
    )
    answer_target_weight: float = setting(
        0.0,
        "Share of other networks' logits in the target, if a case has them; the rest is the label.",
        least=0,
        most=1,
    )
    extra_per_epoch: int = setting(
        5000, "Most cases of each further data set in an epoch.", least=0
    )
    # The names of `nanoray.training.distillation.METHODS`.
    distillation_method: Literal[
        "response", "standardised", "dist", "cam", "relational", "feature"
    ] = setting(
        "response",
        "response (softened logits, Hinton 2015), standardised (Sun 2024), dist (Huang 2022); or "
        "response and cam (heat maps, Zagoruyko 2017), relational (Park 2019) or feature (FitNets, "
        "Romero 2015).",
        options=("--method",),
        roles=_STUDENT,
    )
    distillation_weight: float = setting(
        1.0,
        "Weight of the loss that cam, relational and feature add.",
        least=0,
        options=("--method-weight",),
        roles=_STUDENT,
    )
    distillation_temperature: float = setting(
        4.0,
        "Temperature that softens both logits.",
        least=0.1,
        options=("--temperature", "-T"),
        roles=_STUDENT,
    )
    hard_label_weight: float = setting(
        0.3,
        "Weight of the labels; the rest is the teacher's.",
        least=0,
        most=1,
        roles=_STUDENT,
    )
    teacher_view: Literal["fixed", "augmented"] = setting(
        "fixed",
        "Picture that the teacher answers on: fixed (the radiograph, once, before training) or "
        "augmented (the student's own, at every step).",
        roles=_STUDENT,
    )
    quantization_aware: bool = setting(
        False,
        "Simulate the rounding of the INT8 file in training (minimal networks).",
        roles=_STUDENT,
    )
    # "last" if the validation images are so few that "best" depends on chance.
    keep: Literal["best", "last"] = setting(
        "best", "Epoch whose weights are kept: best (validation AUROC) or last."
    )
    precision: Literal["32-true", "16-mixed", "bf16-mixed"] = setting(
        "32-true", "Precision, as Lightning names it."
    )

    def __post_init__(self) -> None:
        for name, type_ in get_type_hints(Settings).items():
            value, about = getattr(self, name), _FIELDS[name].metadata
            choices = get_args(type_)
            if choices and value not in choices:
                raise DataSetError(f"{name}: {value!r} is unknown; use {', '.join(choices)}")
            least, most = about.get("least"), about.get("most")
            if least is not None and value < least:
                raise DataSetError(f"{name}: {value} is less than {least}")
            if most is not None and value > most:
                raise DataSetError(f"{name}: {value} is more than {most}")

    def save(self, folder: Path) -> None:
        """Write `settings.yaml`."""
        (folder / SETTINGS).write_text(yaml.safe_dump(asdict(self), sort_keys=False))

    @classmethod
    def load(cls, folder: Path) -> Settings:
        """Read the settings of a run folder.

        Raises:
            DataSetError: none there, or not such a file.
        """
        path = folder / SETTINGS
        if not path.is_file():
            raise DataSetError(f"{folder}: not a training run; it has no {SETTINGS}")
        try:
            return cls(**read_values(path))
        except TypeError:
            raise DataSetError(f"{path}: some settings are missing") from None


_FIELDS = {one.name: one for one in fields(Settings)}

ROLE_DEFAULTS: dict[Role, dict[str, Any]] = {
    "pretrain": {
        "size": 160,
        "epochs": 7,
        "batch_size": 64,
        "learning_rate": 1e-3,
        "average_decay": 0.995,
    },
    "teacher": {
        "architecture": "resnet50",
        "size": 224,
        "epochs": 8,
        "learning_rate": 3e-4,
        "average_decay": 0.98,
    },
    "baseline": {"attention_weight": 0.5},
    "student": {"attention_weight": 0.5},
}
"""Defaults of a role that differ from those of the fields."""


def read_values(path: Path) -> dict[str, Any]:
    """Read some or all settings from a YAML or JSON file, converted to their types.

    Raises:
        DataSetError: not such a file, an unknown setting, or a value of the wrong type.
    """
    try:
        values = yaml.safe_load(path.read_text())
    except (ValueError, yaml.YAMLError):
        raise DataSetError(f"{path}: neither YAML nor JSON") from None
    if not isinstance(values, dict):
        raise DataSetError(f"{path}: expected settings, one `name: value` in a line")
    return typed_values(values, str(path))


def typed_values(values: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Convert some or all settings to their types.

    Args:
        where: the file, for messages.

    Raises:
        DataSetError: an unknown setting, or a value of the wrong type.
    """
    types = get_type_hints(Settings)
    typed: dict[str, Any] = {}
    for name, value in values.items():
        if name not in types:
            raise DataSetError(f"{where}: no such setting: {name}")
        try:
            # YAML reads 1e-3, without a point, as text.
            typed[name] = _CONVERT.get(types[name], str)(value)
        except (TypeError, ValueError):
            raise DataSetError(f"{where}: {name}: a value of the wrong form") from None
    return typed


def _whole(value: Any) -> int:
    if isinstance(value, bool) or int(value) != float(value):
        raise ValueError
    return int(value)


def _yes_or_no(value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError
    return value


_CONVERT: dict[Any, Callable[[Any], Any]] = {int: _whole, float: float, bool: _yes_or_no}
