"""Losses by which a student learns from a teacher, besides the labels: one function per method.

The networks have one logit, which changes some methods; each function describes how. Decoupled
knowledge distillation (Zhao et al. 2022) separates the target class from the distribution over the
other classes. With two classes its loss equals Hinton's, so it is not implemented.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

METHODS = ("response", "standardised", "dist", "cam", "relational", "feature")
"""The first three are losses of the logits; each of the others adds a loss to Hinton's."""


def response_loss(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """Compute the KL divergence of the softened probabilities, times T squared.

    Hinton, Vinyals and Dean 2015, "Distilling the knowledge in a neural network", for two classes
    of which one has the logit 0. Both arguments float32 [N]; a scalar.
    """
    soft = torch.sigmoid(teacher / temperature)
    cross_entropy = functional.binary_cross_entropy_with_logits(student / temperature, soft)
    # By logits, since mixed precision on a GPU refuses the cross-entropy of probabilities.
    entropy = functional.binary_cross_entropy_with_logits(teacher / temperature, soft)
    return (cross_entropy - entropy) * temperature**2


def standardised_loss(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """Compute `response_loss` of logits with zero mean and unit deviation, free of their scale.

    Sun et al. 2024, "Logit standardization in knowledge distillation". They standardise over the
    classes of a sample. With two classes only the sign would remain, so this is over the batch.
    Both arguments float32 [N], N at least 2; a scalar.
    """
    return response_loss(_standardised(student), _standardised(teacher), temperature)


def _standardised(logits: Tensor) -> Tensor:
    return (logits - logits.mean()) / logits.std(unbiased=False).clamp(min=1e-6)


def dist_loss(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """Compute one minus the correlation of the softened probabilities over the batch, doubled.

    Huang et al. 2022, "Knowledge distillation from a stronger teacher": the relation within
    classes, with their weight of 2. For two classes the relation between the classes of a sample is
    always +1 or -1; it is omitted. Both arguments float32 [N], N at least 2; a scalar.
    """
    ours, theirs = (_standardised(torch.sigmoid(x / temperature)) for x in (student, teacher))
    return 2 * (1 - (ours * theirs).mean())


def cam_loss(student: Tensor, teacher: Tensor) -> Tensor:
    """Compute the squared distance of the class-activation maps, each of unit length.

    Zagoruyko and Komodakis 2017, "Paying more attention to attention", with the evidence for the
    class in place of the channels' energy. Both arguments float32 [N, 1, h, w]; a scalar between 0
    and 4.
    """
    ours, theirs = (functional.normalize(maps.flatten(1), dim=1) for maps in (student, teacher))
    return (ours - theirs).square().sum(1).mean()


def relational_loss(student: Tensor, teacher: Tensor) -> Tensor:
    """Compare the distances and the angles among the samples of a batch.

    Park et al. 2019, "Relational knowledge distillation": distances in units of their mean, angles
    at every sample between every two others, Huber's loss, the angles weighted twice.

    Args:
        student: float32 [N, F], pooled features.
        teacher: float32 [N, G], pooled features.

    Returns:
        A scalar; 0 if the student's features are the teacher's scaled, moved or rotated.
    """
    distances = functional.smooth_l1_loss(_distances(student), _distances(teacher))
    angles = functional.smooth_l1_loss(_angles(student), _angles(teacher))
    return distances + 2 * angles


def _distances(features: Tensor) -> Tensor:
    distances = torch.pdist(features)
    return distances / distances.mean().clamp(min=1e-6)


def _angles(features: Tensor) -> Tensor:
    """Return the cosines [N, N, N] of the angles at the first index's sample."""
    directions = functional.normalize(features[None] - features[:, None], dim=2)
    return directions @ directions.mT


def feature_loss(student: Tensor, teacher: Tensor) -> Tensor:
    """Compute the squared distance of pooled features of unit length.

    Romero et al. 2015, "FitNets: hints for thin deep nets", on the input of the last layer. Both
    arguments float32 [N, G], the student's through a learned projection; a scalar between 0 and 4.
    """
    ours, theirs = (functional.normalize(features, dim=1) for features in (student, teacher))
    return (ours - theirs).square().sum(1).mean()
