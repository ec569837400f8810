"""What was done to a file on its way to grey values, for people who wonder about a result."""

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
        name: what the step is about.
        detail: what was found and done, in words and numbers that identify nobody.
    """

    name: StepName
    detail: str


Steps: TypeAlias = list[Step]
