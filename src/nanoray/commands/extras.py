"""Saying which extra a command needs, before it fails with an ImportError."""

from __future__ import annotations

from importlib.util import find_spec

from nanoray.errors import MissingExtraError

PACKAGES = {
    "evaluate": ("sklearn", "scipy", "matplotlib"),
    "train": (
        "torch",
        "torchvision",
        "lightning",
        "sklearn",
        "onnx",
        "onnxscript",
        "yaml",
        "tensorboard",
    ),
    "stream": ("fsspec", "webdataset"),
    "serve": (
        "fastapi",
        "uvicorn",
        "python_multipart",
        "sqlalchemy",
        "alembic",
        "prometheus_client",
        "httpx",
        "pynetdicom",
        "highdicom",
    ),
    # Ray itself is asked for only by what runs on it.
    "scale": ("pyarrow", "fsspec", "httpx", "scipy"),
    "calibrate": ("sklearn", "onnx"),
}


def require_extra(extra: str) -> None:
    """Raises MissingExtraError when a package of the extra is not installed."""
    for package in PACKAGES[extra]:
        require_package(extra, package)


def require_package(extra: str, package: str) -> None:
    """Raises MissingExtraError when one package of an extra is not installed."""
    if find_spec(package) is None:
        raise MissingExtraError(extra, package)
