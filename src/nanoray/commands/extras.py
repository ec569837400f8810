"""Saying which extra a command needs, before it fails with an ImportError."""

from __future__ import annotations

from importlib.util import find_spec

from nanoray.errors import MissingExtraError

PACKAGES = {
    "evaluate": ("sklearn", "scipy", "matplotlib"),
    "train": ("torch", "torchvision", "lightning", "sklearn", "onnx", "onnxscript"),
}


def require_extra(extra: str) -> None:
    """Raises MissingExtraError when a package of the extra is not installed."""
    for package in PACKAGES[extra]:
        if find_spec(package) is None:
            raise MissingExtraError(extra, package)
