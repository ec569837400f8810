"""Experiment loggers beside `metrics.csv` and TensorBoard, off by default.

Both write into the run folder and use no network unless an environment variable allows it:
`MLFLOW_TRACKING_URI` names a server, `WANDB_MODE=online` sends to Weights & Biases.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

from lightning.pytorch.loggers import Logger, MLFlowLogger, WandbLogger

from nanoray.errors import DataSetError, MissingExtraError
from nanoray.files import written_whole

PROJECT = "nanoray"
_RUN_ID = "mlflow-run.txt"


def _mlflow(folder: Path) -> Logger:
    # MLflow 3 prefers a database to a folder, which needs no further package, and reports its use.
    os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    place = os.environ.get("MLFLOW_TRACKING_URI") or (folder / "mlflow").absolute().as_uri()
    known = folder / _RUN_ID
    run = known.read_text(encoding="utf-8") if known.is_file() else None
    logger = MLFlowLogger(PROJECT, folder.name, place, run_id=run)
    if run is None and logger.run_id is not None:
        with written_whole(known, encoding="utf-8") as stream:
            stream.write(logger.run_id)
    return logger


def _wandb(folder: Path) -> Logger:
    os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
    # The same name at a resumption continues the same run.
    name = hashlib.sha256(str(folder.absolute()).encode()).hexdigest()[:16]
    mode = os.environ.get("WANDB_MODE", "offline")
    return WandbLogger(
        folder.name,
        folder,
        version=name,
        project=PROJECT,
        offline=mode != "online",
        resume="allow",
    )


LOGGERS: dict[str, tuple[Callable[[Path], Logger], str]] = {
    "mlflow": (_mlflow, "mlflow-skinny"),
    "wandb": (_wandb, "wandb"),
}
"""Function that makes a logger, and its package, by the logger's name."""


def check_logger(name: str) -> None:
    """Check that a logger is known and its package is installed.

    Raises:
        DataSetError: an unknown name.
        MissingExtraError: its package is missing.
    """
    if name not in LOGGERS:
        raise DataSetError(f"unknown logger {name!r}; use {', '.join(LOGGERS)}")
    if find_spec(name) is None:
        raise MissingExtraError(name, LOGGERS[name][1])


def make_logger(name: str, folder: Path) -> Logger:
    """Make a logger that writes into a run folder, and continues there at a resumption.

    Raises:
        DataSetError, MissingExtraError: see `check_logger`.
    """
    check_logger(name)
    return LOGGERS[name][0](folder)
