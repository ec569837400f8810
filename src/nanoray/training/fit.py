"""A training run: its folder, its resumption, and its final weights."""

from __future__ import annotations

import csv
import json
import logging
import os
import signal
import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from io import StringIO
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import (
    Callback,
    EarlyStopping,
    ModelCheckpoint,
    RichProgressBar,
    WeightAveraging,
)
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
from lightning.pytorch.plugins.io import TorchCheckpointIO
from lightning.pytorch.utilities.exceptions import SIGTERMException
from torch import Tensor

from nanoray.training import fake_quantization
from nanoray.training.learner import Learner
from nanoray.training.loggers import make_logger
from nanoray.training.networks import Network, save_weights
from nanoray.training.run_folder import LAST, RESULT, WEIGHTS
from nanoray.training.samples import Batches, Samples, Training
from nanoray.training.settings import Settings
from nanoray.training.teachers import Teachers


@dataclass(frozen=True, slots=True)
class Hardware:
    """The hardware of a run, in Lightning's terms.

    Attributes:
        accelerator: "auto", "cpu", "gpu", ...
        devices, num_nodes: how many; None for one, or for the number that torchrun started.
        strategy: "auto", "ddp", ...
    """

    accelerator: str = "auto"
    devices: int | None = None
    num_nodes: int | None = None
    strategy: str = "auto"

    def options(self) -> dict[str, Any]:
        """Return the arguments of Lightning's trainer."""
        # torchrun sets the number of processes on this machine and on all machines.
        here = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
        everywhere = int(os.environ["WORLD_SIZE"]) if "LOCAL_WORLD_SIZE" in os.environ else 1
        return {
            "accelerator": self.accelerator,
            "devices": self.devices or here,
            "num_nodes": self.num_nodes or max(1, everywhere // here),
            "strategy": self.strategy,
        }


def first_process() -> bool:
    """Whether this is the only process of a training, or the one that writes."""
    ranks = (os.environ.get(name) for name in ("RANK", "SLURM_PROCID", "LOCAL_RANK"))
    return next((int(rank) for rank in ranks if rank), 0) == 0


def fit(
    network: Network,
    settings: Settings,
    training: Training,
    validation: Samples,
    folder: Path,
    *,
    hardware: Hardware | None = None,
    teachers: Teachers | None = None,
    loggers: Sequence[str] = (),
    show_progress: bool = True,
) -> float:
    """Train `network` and write its best weights to `folder`.

    The folder gets `settings.yaml`, `metrics.csv`, `tensorboard/` and, after each epoch,
    `last.ckpt`. An interrupted run resumes from it and ends with the same weights on the same
    machine. At the end it gets `result.json` and `weights.safetensors`, the moving average of the
    weights at the epoch that `settings.keep` selects.

    Args:
        teachers: they answer on the augmented pictures; None if the outputs are in `training`.
        loggers: names of `nanoray.training.loggers.LOGGERS`, in addition.

    Returns:
        The validation AUROC of the weights kept.
    """
    folder.mkdir(parents=True, exist_ok=True)
    _quieten()
    _warn_of_restarts()
    lightning.seed_everything(settings.seed, verbose=False)
    last = folder / LAST
    best = ModelCheckpoint(
        folder, "best", monitor="validation/auroc", mode="max", enable_version_counter=False
    )
    # A separate callback: the callback for the best epoch would save the last one only if it is the
    # best.
    latest = ModelCheckpoint(
        folder, last.stem, save_on_train_epoch_end=True, enable_version_counter=False
    )
    callbacks: list[Callback] = [_moving_average(settings.average_decay), best, latest]
    if settings.patience:
        callbacks.append(EarlyStopping("validation/auroc", patience=settings.patience, mode="max"))
    if show_progress:
        callbacks.append(RichProgressBar())
    trainer = lightning.Trainer(
        **(hardware or Hardware()).options(),
        precision=settings.precision,  # type: ignore[arg-type]
        max_epochs=settings.epochs,
        callbacks=callbacks,
        logger=[
            CSVLogger(folder, name="", version="", flush_logs_every_n_steps=1),
            TensorBoardLogger(folder, name="", version="tensorboard", default_hp_metric=False),
            *(make_logger(name, folder) for name in loggers),
        ],
        plugins=[WholeCheckpoints()],
        use_distributed_sampler=False,
        enable_progress_bar=show_progress,
        enable_model_summary=False,
        gradient_clip_val=1.0,
        log_every_n_steps=10,
    )
    if trainer.is_global_zero:
        settings.save(folder)
        _keep_metrics(trainer.loggers[0], folder / "metrics.csv", last)
        for logger in trainer.loggers[1:]:
            logger.log_hyperparams(asdict(settings))
    batches = Batches(training, validation, settings, trainer.world_size)
    if settings.quantization_aware:
        fake_quantization.prepare(network)
    # Convolutions on a CPU or on tensor cores are faster with channels last.
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    learner = Learner(
        network,
        settings,
        training.allowed,
        settings.epochs * batches.steps,
        training.teacher_width,
        training.findings_count,
        teachers,
    )
    learner.train()
    try:
        trainer.fit(
            learner, batches, ckpt_path=str(last) if last.is_file() else None, weights_only=False
        )
    except SIGTERMException:
        # Lightning would exit with 0, as if the run were finished.
        raise SystemExit(128 + signal.SIGTERM) from None
    score = float(best.best_model_score or 0.0)
    kept = Path(best.best_model_path)
    if settings.keep == "last":
        measured = trainer.validate(
            learner, batches, ckpt_path=str(last), weights_only=False, verbose=False
        )
        score, kept = measured[0]["validation/auroc"], last
    if trainer.is_global_zero:
        _keep(network, kept, folder / WEIGHTS)
        (folder / RESULT).write_text(json.dumps({"validation_auroc": score}) + "\n")
    return score


def _moving_average(decay: float) -> WeightAveraging:
    """Average the weights over the last steps, at first over fewer.

    The decay of step n is at most (1 + n) / (10 + n); with 0.995 from the first step on, half of
    the start would be left after 140 steps.
    """

    def update(averages: Any, weights: Any, count: Tensor) -> None:
        kept = min(decay, (1.0 + float(count)) / (10.0 + float(count)))
        if averages[0].is_floating_point():
            torch._foreach_lerp_(averages, weights, 1.0 - kept)
        else:
            # Counters of batch normalisation; PyTorch passes tensors of one type at a time.
            torch._foreach_copy_(averages, weights)

    return WeightAveraging(multi_avg_fn=update)


class WholeCheckpoints(TorchCheckpointIO):
    """Checkpoints that are written atomically, even if the process is killed.

    Lightning moves its checkpoints from the system's folder for temporary files. On another file
    system that is a copy, which can be interrupted.
    """

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: Any, storage_options: Any | None = None
    ) -> None:
        """Write beside `path`, then rename."""
        partial = Path(f"{path}.partial")
        with partial.open("wb") as file:
            torch.save(checkpoint, file)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)


def _keep_metrics(logger: Any, path: Path, last: Path) -> None:
    """Append the metrics of a resumed run to the table, which Lightning would overwrite."""
    earlier = path.read_text() if path.is_file() and last.is_file() else ""
    table = logger.experiment
    reader = csv.DictReader(StringIO(earlier))
    if not reader.fieldnames:
        return
    done = torch.load(last, map_location="cpu", weights_only=False)["epoch"]
    table.metrics_keys = list(reader.fieldnames)
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, table.metrics_keys)
        writer.writeheader()
        writer.writerows(row for row in reader if int(row["epoch"]) <= done)


def _keep(network: Network, checkpoint: Path, path: Path) -> None:
    state = torch.load(checkpoint, map_location="cpu", weights_only=False)["state_dict"]
    prefix = "network."
    network.load_state_dict(
        {name[len(prefix) :]: value for name, value in state.items() if name.startswith(prefix)}
    )
    fake_quantization.remove(network)
    partial = path.with_suffix(".partial")
    save_weights(network.eval(), partial)
    partial.replace(path)


def _quieten() -> None:
    """Suppress Lightning's advice on intended settings, which would disturb the progress bar."""
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    for message in (
        ".*does not have many workers",
        ".*exists and is not empty",
        ".*in eval mode",
        ".*LeafSpec",
        ".*logging interval",
        ".*has `__len__` defined",
        ".*directory .* exists",
    ):
        warnings.filterwarnings("ignore", message)


def _warn_of_restarts() -> None:
    # https://github.com/pytorch/pytorch/issues/135712
    restarts = int(os.environ.get("TORCHELASTIC_MAX_RESTARTS", "0"))
    separate = os.environ.get("TORCH_DISABLE_SHARE_RDZV_TCP_STORE") == "1"
    if restarts and not separate and first_process():
        warnings.warn(
            "set TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1 for torchrun: without it, restarted "
            "processes may not find each other",
            stacklevel=2,
        )
