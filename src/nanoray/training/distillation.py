"""What a student can learn from a teacher, besides the labels: one function a method.

The networks here have one logit. Methods that tell classes apart then have less to say than with a
thousand of them: decoupled knowledge distillation (Zhao et al. 2022) separates the target class
from the distribution over the others, of which two classes leave one with all the probability, so
that its loss is Hinton's and is not built here. What two classes do to each method that is here
stands with its function.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

METHODS = ("response", "standardised", "dist", "cam", "relational", "feature")
"""The first three teach logits in their own ways; each of the others adds its loss to Hinton's."""


def response_loss(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """KL divergence of the softened probabilities, times T squared.

    Hinton, Vinyals and Dean 2015, "Distilling the knowledge in a neural network", for two classes
    of which one has the logit 0. Both arguments float32 [N]; a scalar.
    """
    soft = torch.sigmoid(teacher / temperature)
    cross_entropy = functional.binary_cross_entropy_with_logits(student / temperature, soft)
    entropy = functional.binary_cross_entropy(soft, soft)
    return (cross_entropy - entropy) * temperature**2


def standardised_loss(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """`response_loss` of logits with zero mean and unit deviation: the student's scale is its own.

    Sun et al. 2024, "Logit standardization in knowledge distillation". They standardise over the
    classes of a sample; of two classes that leaves the sign alone, so here it is over the batch.
    Both arguments float32 [N], N at least 2; a scalar.
    """
    return response_loss(_standardised(student), _standardised(teacher), temperature)


def _standardised(logits: Tensor) -> Tensor:
    return (logits - logits.mean()) / logits.std(unbiased=False).clamp(min=1e-6)


def dist_loss(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """One minus the correlation of the softened probabilities over the batch.

    Huang et al. 2022, "Knowledge distillation from a stronger teacher", their relation within
    classes, with their weight of 2. Their relation between the classes of a sample is always +1 or
    -1 for two classes and is left out. Both arguments float32 [N], N at least 2; a scalar.
    """
    ours, theirs = (_standardised(torch.sigmoid(x / temperature)) for x in (student, teacher))
    return 2 * (1 - (ours * theirs).mean())


def cam_loss(student: Tensor, teacher: Tensor) -> Tensor:
    """Squared distance of the class-activation maps, each of unit length.

    Zagoruyko and Komodakis 2017, "Paying more attention to attention", with the evidence for the
    class in place of the channels' energy. Both arguments float32 [N, 1, h, w]; a scalar between 0
    and 4.
    """
    ours, theirs = (functional.normalize(maps.flatten(1), dim=1) for maps in (student, teacher))
    return (ours - theirs).square().sum(1).mean()


def relational_loss(student: Tensor, teacher: Tensor) -> Tensor:
    """Differences of the distances and of the angles among the samples of a batch.

    Park et al. 2019, "Relational knowledge distillation": distances in units of their mean, angles
    at every sample between every two others, Huber's loss, the angles weighted twice.

    Args:
        student: float32 [N, F], pooled features.
        teacher: float32 [N, G], pooled features.

    Returns:
        A scalar; 0 where the student's features are the teacher's, scaled, moved or rotated.
    """
    distances = functional.smooth_l1_loss(_distances(student), _distances(teacher))
    angles = functional.smooth_l1_loss(_angles(student), _angles(teacher))
    return distances + 2 * angles


def _distances(features: Tensor) -> Tensor:
    distances = torch.pdist(features)
    return distances / distances.mean().clamp(min=1e-6)


def _angles(features: Tensor) -> Tensor:
    """Cosines [N, N, N] of the angles at the first index's sample."""
    directions = functional.normalize(features[None] - features[:, None], dim=2)
    return directions @ directions.mT


def feature_loss(student: Tensor, teacher: Tensor) -> Tensor:
    """Squared distance of pooled features of unit length.

    Romero et al. 2015, "FitNets: hints for thin deep nets", on the features that the last layer
    sees. Both arguments float32 [N, G], the student's through a learned projection; a scalar
    between 0 and 4.
    """
    ours, theirs = (functional.normalize(features, dim=1) for features in (student, teacher))
    return (ours - theirs).square().sum(1).mean()
