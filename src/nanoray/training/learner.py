"""The loss of every network: labels, a teacher's outputs, detailed classes and boxes."""

from __future__ import annotations

from typing import Any

import lightning
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torchmetrics.classification import BinaryAUROC

from nanoray.training import distillation
from nanoray.training.augment import augment
from nanoray.training.networks import Network, Outputs, freeze_stages
from nanoray.training.samples import Batch
from nanoray.training.settings import Settings
from nanoray.training.teachers import Teachers


def attention_losses(local: Tensor, shares: Tensor) -> Tensor:
    """Compute a loss that moves the evidence into the boxes.

    For an image with an opacity it is minus the log of the share of a spatial softmax inside
    the boxes, so evidence outside them increases it. For an image without, each cell counts as a
    case without opacity. After Li et al. 2018, "Tell me where to look: guided attention inference
    network".

    Args:
        local: float32 [N, 1, h, w], the class-activation map with the bias: logits of cells.
        shares: float32 [N, 1, h, w], share of each cell that boxes cover.

    Returns:
        float32 [N], one for each image.
    """
    cells, inside = local.flatten(1), shares.flatten(1)
    drawn = -torch.logsumexp(cells.log_softmax(1) + inside.clamp(min=1e-6).log(), 1)
    against = functional.softplus(cells).mean(1)
    return torch.where(inside.sum(1) > 0, drawn, against)


def _mean_of(values: Tensor, chosen: Tensor) -> Tensor:
    """Return the mean of the chosen values [N]; 0, with a gradient, if none is chosen."""
    return (values * chosen).sum() / chosen.sum().clamp(min=1)


def _sides(maps: Tensor) -> tuple[int, int]:
    return maps.shape[-2], maps.shape[-1]


def _mixed(*numbers: int) -> int:
    """Mix a seed from several numbers, so that similar ones give different streams (NumPy)."""
    return int(np.random.SeedSequence(numbers).generate_state(1)[0])


class Learner(lightning.LightningModule):
    """A network, its training-only heads, its losses and its optimiser.

    Heads share the trunk's features during training and are dropped afterwards. They predict the
    detailed class (only among the classes of the case's data set), a box mask on the feature grid,
    and findings from other networks and reports. One projects to the teacher's features.
    """

    def __init__(
        self,
        network: Network,
        settings: Settings,
        allowed: Tensor,
        steps: int,
        teacher_width: int = 0,
        findings_count: int = 0,
        teachers: Teachers | None = None,
    ) -> None:
        """Wrap a network; `allowed` bool [folders, classes] marks the classes of each data set."""
        super().__init__()
        self.teachers = teachers
        self.network = network
        if settings.class_weight:
            self.class_head = nn.Linear(network.width, allowed.shape[1])
        if settings.box_weight:
            self.mask_head = nn.Conv2d(network.width, 1, 1)
        if settings.distillation_method == "feature":
            self.projection = nn.Linear(network.width, teacher_width)
        if settings.answer_weight and findings_count:
            self.answer_head = nn.Linear(network.width, findings_count)
        if settings.finding_weight and findings_count:
            self.finding_head = nn.Linear(network.width, findings_count)
        self.findings_count = findings_count
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

    def on_fit_start(self) -> None:
        if self.teachers is not None:
            self.teachers.to(self.device)

    def training_step(self, batch: Batch, _: int) -> Tensor:
        # A resumed run draws the same random numbers as an uninterrupted one.
        torch.manual_seed(_mixed(self.settings.seed, self.global_step, self.global_rank))
        maps = torch.cat([torch.nan_to_num(batch.masks), batch.teacher_cam], 1)
        images, maps = augment(
            batch.images.float() / 255,
            maps,
            equalized=self.network.options.equalize,
            photographs=self.settings.photograph_share,
            borders=self.settings.border_share,
        )
        masks, teacher_cam = maps[:, :1], maps[:, 1:]
        if self.teachers is not None:
            batch, teacher_cam = self._answered(batch, images)
        losses = self._losses(batch, masks, teacher_cam, self.network(images))
        self.log_dict(
            {f"train/{name}": loss.detach() for name, loss in losses.items()},
            on_step=False,
            on_epoch=True,
            batch_size=len(images),
            sync_dist=True,
        )
        return torch.stack(list(losses.values())).sum()

    def _answered(self, batch: Batch, images: Tensor) -> tuple[Batch, Tensor]:
        """Ask the teachers about the augmented images; cases without a teacher remain so."""
        assert self.teachers is not None
        logit, features, cam = self.teachers.answer(images)
        logit = torch.where(torch.isnan(batch.teacher), batch.teacher, logit)
        return batch._replace(teacher=logit, teacher_features=features), cam

    def _losses(
        self, batch: Batch, masks: Tensor, teacher_cam: Tensor, outputs: Outputs
    ) -> dict[str, Tensor]:
        """Return the losses by name; distributed training requires a gradient for every head."""
        settings = self.settings
        logit, features = outputs.logit[:, 0], outputs.features
        taught = teacher_cam.shape[1] > 0
        hard = functional.binary_cross_entropy_with_logits(
            logit,
            torch.nan_to_num(batch.target),
            pos_weight=logit.new_tensor(settings.pos_weight),
            reduction="none",
        )
        if settings.answer_target_weight:
            answered = functional.binary_cross_entropy_with_logits(
                logit, torch.sigmoid(torch.nan_to_num(batch.answer)), reduction="none"
            )
            share = settings.answer_target_weight * ~torch.isnan(batch.answer)
            hard = (1 - share) * hard + share * answered
        hard_weight = settings.hard_label_weight if taught else 1.0
        losses = {"hard": hard_weight * _mean_of(hard, ~torch.isnan(batch.target))}
        if taught:
            losses |= self._taught(batch, teacher_cam, outputs)
        pooled = self.network.dropout(features).mean((2, 3))
        if settings.answer_weight and self.findings_count:
            distance = functional.smooth_l1_loss(
                self.answer_head(pooled), torch.nan_to_num(batch.answers), reduction="none"
            )
            known = ~torch.isnan(batch.answers)
            losses["answers"] = settings.answer_weight * _mean_of(distance, known)
        if settings.finding_weight and self.findings_count:
            found = functional.binary_cross_entropy_with_logits(
                self.finding_head(pooled), torch.nan_to_num(batch.findings), reduction="none"
            )
            known = ~torch.isnan(batch.findings)
            losses["findings"] = settings.finding_weight * _mean_of(found, known)
        if settings.class_weight:
            scores = self.class_head(pooled)
            allowed: Tensor = self.allowed[batch.folder]  # type: ignore[index]
            scores = scores.masked_fill(~allowed, -1e4)
            losses["class"] = settings.class_weight * functional.cross_entropy(
                scores, batch.classes, label_smoothing=0.0
            )
        boxed = ~torch.isnan(batch.masks[:, 0, 0, 0])
        wanted = functional.adaptive_avg_pool2d(masks, _sides(features))
        if settings.box_weight:
            cells = functional.binary_cross_entropy_with_logits(
                self.mask_head(features), wanted, reduction="none"
            )
            losses["box"] = settings.box_weight * _mean_of(cells.mean((1, 2, 3)), boxed)
        if settings.attention_weight:
            bias = self.network.classifier.bias
            assert bias is not None
            local = outputs.cam + bias
            wanted = functional.adaptive_avg_pool2d(masks, _sides(local))
            losses["attention"] = settings.attention_weight * _mean_of(
                attention_losses(local, wanted), boxed & ~torch.isnan(batch.target)
            )
        return losses

    def _taught(self, batch: Batch, teacher_cam: Tensor, outputs: Outputs) -> dict[str, Tensor]:
        """Return the loss of the distillation method."""
        settings = self.settings
        known = ~torch.isnan(batch.teacher)
        if not known.any():
            return {"soft": 0.0 * outputs.logit.sum()}
        logit, cam = outputs.logit[known, 0].float(), outputs.cam[known].float()
        pooled = outputs.features[known].float().mean((2, 3))
        theirs, teacher_cam = batch.teacher_features[known], teacher_cam[known]
        method, temperature = settings.distillation_method, settings.distillation_temperature
        of_logits = {
            "standardised": distillation.standardised_loss,
            "dist": distillation.dist_loss,
        }.get(method, distillation.response_loss)
        soft = of_logits(logit, batch.teacher[known], temperature)
        losses = {"soft": (1 - settings.hard_label_weight) * soft}
        added: Tensor | None = None
        if method == "cam":
            pattern = functional.adaptive_avg_pool2d(teacher_cam, _sides(cam))
            added = distillation.cam_loss(cam, pattern)
        elif method == "relational":
            added = distillation.relational_loss(pooled, theirs)
        elif method == "feature":
            added = distillation.feature_loss(self.projection(pooled).float(), theirs)
        if added is not None:
            losses[method] = settings.distillation_weight * added
        return losses

    def validation_step(self, batch: Batch, _: int) -> None:
        logit = self.network(self.network.prepare(batch.images)).logit[:, 0]
        known = ~torch.isnan(batch.target)
        count = int(known.sum())
        if count:
            self.auroc.update(logit[known].sigmoid(), batch.target[known].int())
        loss = functional.binary_cross_entropy_with_logits(
            logit, torch.nan_to_num(batch.target), reduction="none"
        )
        self.log("validation/loss", _mean_of(loss, known), batch_size=count, sync_dist=True)
        self.log("validation/auroc", self.auroc, batch_size=count, prog_bar=True)

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
