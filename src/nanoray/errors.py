"""NanoRay's exceptions.

All derive from `NanoRayError`, so a caller can catch one class. Messages name the file and the
reason, and never contain a value of a DICOM header, which could identify a patient.
"""

from __future__ import annotations


class NanoRayError(Exception):
    """Base class of NanoRay's errors."""


class UnreadableError(NanoRayError):
    """A file that is not a readable frontal radiograph.

    Attributes:
        source: the file's path as given, or "<bytes>" / "<array>".
        code: short stable identifier of the reason, for example "truncated" or "multi-frame".
        reason: the reason in words, without any identifier of a patient.
    """

    def __init__(self, source: str, code: str, reason: str) -> None:
        super().__init__(source, code, reason)
        self.source = source
        self.code = code
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.source}: {self.reason}"


class ModelFileError(NanoRayError):
    """A file that is not a NanoRay model, or has an unsupported version."""


class DataSetError(NanoRayError):
    """A data set that is incomplete or contradicts itself."""


class MissingExtraError(NanoRayError):
    """A command needs packages of an extra that is not installed."""

    def __init__(self, extra: str, package: str) -> None:
        super().__init__(
            f"this command needs {package}, which the base install omits; "
            f"run: pip install 'nanoray[{extra}]'"
        )
        self.extra = extra
