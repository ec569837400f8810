"""What is minimised, for every network: hard labels, a teacher's logits, classes and boxes."""

from __future__ import annotations

from typing import Any, NamedTuple

import lightning
import torch
from torch import Tensor, nn
from torch.nn import functional
from torchmetrics.classification import BinaryAUROC

from nanoray.training.augment import augment
from nanoray.training.networks import Network, Outputs, freeze_stages
from nanoray.training.settings import Settings


class Batch(NamedTuple):
    """A batch of cases.

    Attributes:
        images: uint8 [N, 1, S, S].
        masks: float32 [N, 1, G, G], share of each cell that boxes cover; NaN where unknown.
        target: float32 [N], 1 lung opacity, 0 none; NaN where unknown.
        classes: int64 [N], index into the detailed classes of all data sets together.
        folder: int64 [N], which data set the case is from.
        teacher: float32 [N], the teacher's logit; NaN without a teacher.
    """

    images: Tensor
    masks: Tensor
    target: Tensor
    classes: Tensor
    folder: Tensor
    teacher: Tensor


def distillation_loss(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """KL divergence of the softened probabilities, times T squared.

    Hinton, Vinyals and Dean 2015, "Distilling the knowledge in a neural network", for two classes
    of which one has the logit 0. Both arguments float32 [N]; a scalar.
    """
    soft = torch.sigmoid(teacher / temperature)
    cross_entropy = functional.binary_cross_entropy_with_logits(student / temperature, soft)
    entropy = functional.binary_cross_entropy(soft, soft)
    return (cross_entropy - entropy) * temperature**2


def attention_loss(local: Tensor, shares: Tensor) -> Tensor:
    """Draws the evidence into the boxes where there are any, and is against evidence elsewhere.

    Image by image, with an opacity: minus the log of the share of a spatial softmax that lies in
    the boxes, so that evidence outside costs, wherever the network's own learning put it; without:
    each cell counts as a case without opacity. After Li et al. 2018, "Tell me where to look: guided
    attention inference network".

    Args:
        local: float32 [N, 1, h, w], the class-activation map with the bias: logits of cells.
        shares: float32 [N, 1, h, w], share of each cell that boxes cover.

    Returns:
        A scalar, the mean over the images.
    """
    cells, inside = local.flatten(1), shares.flatten(1)
    drawn = -torch.logsumexp(cells.log_softmax(1) + inside.clamp(min=1e-6).log(), 1)
    against = functional.softplus(cells).mean(1)
    return torch.where(inside.sum(1) > 0, drawn, against).mean()


class Learner(lightning.LightningModule):
    """A network, its training-only heads, its losses and its optimiser.

    Two heads share the trunk's features while training and are dropped afterwards: the detailed
    class (a case competes only among the classes of its own data set), and a box mask on the
    feature grid.
    """

    def __init__(self, network: Network, settings: Settings, allowed: Tensor, steps: int) -> None:
        """`allowed` bool [folders, classes]: which classes a data set has."""
        super().__init__()
        self.network = network
        self.class_head = nn.Linear(network.width, allowed.shape[1])
        self.mask_head = nn.Conv2d(network.width, 1, 1)
        self.register_buffer("allowed", allowed)
        self.settings = settings
        self.steps = steps
        self.auroc = BinaryAUROC()
        freeze_stages(network, settings.frozen_stages)

    def train(self, mode: bool = True) -> Learner:
        super().train(mode)
        for stage in list(self.network.trunk.children())[: self.settings.frozen_stages]:
            stage.eval()
        return self

    def training_step(self, batch: Batch, _: int) -> Tensor:
        images, masks = augment(batch.images.float() / 255, torch.nan_to_num(batch.masks))
        losses = self._losses(batch, masks, self.network(images))
        self.log_dict(
            {f"train/{name}": loss.detach() for name, loss in losses.items()},
            on_step=False,
            on_epoch=True,
            batch_size=len(images),
        )
        return torch.stack(list(losses.values())).sum()

    def _losses(self, batch: Batch, masks: Tensor, outputs: Outputs) -> dict[str, Tensor]:
        settings = self.settings
        logit, features = outputs.logit[:, 0], outputs.features
        losses: dict[str, Tensor] = {}
        known = ~torch.isnan(batch.target)
        taught = ~torch.isnan(batch.teacher)
        hard_weight = settings.hard_label_weight if bool(taught.any()) else 1.0
        if known.any():
            losses["hard"] = hard_weight * functional.binary_cross_entropy_with_logits(
                logit[known], batch.target[known], pos_weight=logit.new_tensor(settings.pos_weight)
            )
        if taught.any():
            losses["soft"] = (1 - hard_weight) * distillation_loss(
                logit[taught], batch.teacher[taught], settings.distillation_temperature
            )
        if settings.class_weight:
            scores = self.class_head(self.network.dropout(features).mean((2, 3)))
            allowed: Tensor = self.allowed[batch.folder]  # type: ignore[index]
            scores = scores.masked_fill(~allowed, -1e4)
            losses["class"] = settings.class_weight * functional.cross_entropy(
                scores, batch.classes, label_smoothing=0.0
            )
        boxed = ~torch.isnan(batch.masks[:, 0, 0, 0])
        if boxed.any():
            rows, columns = features.shape[-2:]
            wanted = functional.adaptive_avg_pool2d(masks[boxed], (rows, columns))
            losses["box"] = settings.box_weight * functional.binary_cross_entropy_with_logits(
                self.mask_head(features[boxed]), wanted
            )
            # The logit is the mean of the map plus the bias.
            bias = outputs.logit - outputs.cam.mean((2, 3))
            local = outputs.cam[boxed] + bias[boxed, :, None, None]
            losses["attention"] = settings.attention_weight * attention_loss(local, wanted)
        return losses

    def validation_step(self, batch: Batch, _: int) -> None:
        logit = self.network(batch.images.float() / 255).logit[:, 0]
        self.auroc.update(logit.sigmoid(), batch.target.int())
        loss = functional.binary_cross_entropy_with_logits(logit, batch.target)
        self.log("validation/loss", loss, batch_size=len(logit))
        self.log("validation/auroc", self.auroc, batch_size=len(logit), prog_bar=True)

    def configure_optimizers(self) -> Any:
        settings = self.settings
        decayed = [p for p in self.parameters() if p.requires_grad and p.ndim > 1]
        others = [p for p in self.parameters() if p.requires_grad and p.ndim <= 1]
        optimizer = torch.optim.AdamW(
            [
                {"params": decayed, "weight_decay": settings.weight_decay},
                {"params": others, "weight_decay": 0.0},
            ],
            lr=settings.learning_rate,
        )
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimizer, settings.learning_rate, total_steps=self.steps, pct_start=0.25
        )
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": schedule, "interval": "step"},
        }
