"""The steps from a file to grey values, to explain a result."""

from __future__ import annotations

from typing import Literal, NamedTuple, TypeAlias

StepName: TypeAlias = Literal[
    "file",
    "transfer syntax",
    "pixel data",
    "decoding",
    "photometric",
    "modality",
    "VOI",
    "padding",
    "shutter",
    "orientation",
    "aspect",
    "border",
    "square",
]


class Step(NamedTuple):
    """One step of reading.

    Attributes:
        name: topic of the step.
        detail: findings and actions, in words and numbers, without identifiers.
    """

    name: StepName
    detail: str


Steps: TypeAlias = list[Step]
