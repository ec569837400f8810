"""A training run: its folder, its resumption, and the weights it ends with."""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Sequence
from pathlib import Path

import lightning
import numpy as np
import torch
from lightning.pytorch.callbacks import (
    EMAWeightAveraging,
    ModelCheckpoint,
    RichProgressBar,
)
from lightning.pytorch.loggers import CSVLogger
from numpy.typing import NDArray

from nanoray.datasets.images import Squares
from nanoray.training.learner import Learner
from nanoray.training.networks import Network, load_weights, save_weights
from nanoray.training.samples import (
    Collection,
    Samples,
    training_batches,
    validation_batches,
)
from nanoray.training.settings import Settings

WEIGHTS = "weights.safetensors"


def fit(
    network: Network,
    settings: Settings,
    training: Sequence[Collection],
    validation: Collection,
    folder: Path,
    *,
    show_progress: bool = True,
) -> float:
    """Train `network` and leave its best weights in `folder`.

    The folder gets `settings.json`, `metrics.csv`, `last.ckpt` (an interrupted run goes on from
    it), `weights.safetensors` (the moving average of the weights at the epoch with the best
    validation AUROC) and `result.json`.

    Args:
        training: the first collection is used whole in every epoch, the others in part.

    Returns:
        The validation AUROC of the weights kept.
    """
    folder.mkdir(parents=True, exist_ok=True)
    settings.save(folder / "settings.json")
    _quieten()
    lightning.seed_everything(settings.seed, verbose=False)
    samples = Samples(training)
    batches = training_batches(
        samples, settings.batch_size, settings.extra_per_epoch, settings.seed
    )
    # Convolutions on a CPU or on tensor cores are quicker with channels last.
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    learner = Learner(network, settings, samples.allowed, settings.epochs * len(batches))
    best = ModelCheckpoint(
        folder,
        "best",
        monitor="validation/auroc",
        mode="max",
        save_last=True,
        enable_version_counter=False,
    )
    trainer = lightning.Trainer(
        accelerator="auto",
        devices=1,
        precision=settings.precision,  # type: ignore[arg-type]
        max_epochs=settings.epochs,
        callbacks=[
            EMAWeightAveraging(decay=settings.average_decay),
            best,
            *([RichProgressBar()] if show_progress else []),
        ],
        logger=CSVLogger(folder, name="", version=""),
        enable_progress_bar=show_progress,
        enable_model_summary=False,
        gradient_clip_val=1.0,
        log_every_n_steps=10,
    )
    learner.train()
    last = folder / "last.ckpt"
    trainer.fit(
        learner,
        batches,
        validation_batches(Samples([validation]), settings.batch_size),
        ckpt_path=str(last) if last.is_file() else None,
        weights_only=False,
    )
    state = torch.load(best.best_model_path, map_location="cpu", weights_only=False)["state_dict"]
    prefix = "network."
    network.load_state_dict(
        {name[len(prefix) :]: value for name, value in state.items() if name.startswith(prefix)}
    )
    save_weights(network.eval(), folder / WEIGHTS)
    score = float(best.best_model_score or 0.0)
    (folder / "result.json").write_text(json.dumps({"validation_auroc": score}) + "\n")
    return score


def _quieten() -> None:
    """Keep Lightning's advice on settings that are meant so out of the progress bar."""
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    for message in (
        ".*does not have many workers",
        ".*exists and is not empty",
        ".*in eval mode",
        ".*LeafSpec",
        ".*logging interval",
        ".*directory .* exists",
    ):
        warnings.filterwarnings("ignore", message)


def load_run(folder: Path) -> tuple[Network, Settings]:
    """The network and the settings of a finished run."""
    return load_weights(folder / WEIGHTS), Settings.load(folder / "settings.json")


@torch.inference_mode()
def logits(
    network: Network,
    squares: Squares,
    chosen: Sequence[int],
    *,
    batch_size: int = 32,
    precision: str = "32-true",
) -> NDArray[np.float32]:
    """Logits float32 [len(chosen)] of those of the uint8 [N, S, S] squares."""
    network.eval().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    half = torch.autocast("cpu", torch.bfloat16, enabled=precision.startswith("bf16"))
    found = []
    for first in range(0, len(chosen), batch_size):
        images = torch.from_numpy(squares[list(chosen[first : first + batch_size])])[:, None]
        images = images.float() / 255
        with half:
            logit = network(images).logit
        found.append(logit[:, 0].float().numpy())
    return np.concatenate(found)
