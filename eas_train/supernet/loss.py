"""Superclass dropout (EAS, Eq. 1 and 2) and the losses over the logits that remain."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from eas_train.distributed import Share

WHOLE = Share()


def superclass_mask(
    targets: Tensor,
    superclass_of: Tensor,
    rate: float,
    generator: torch.Generator | None = None,
    share: Share = WHOLE,
) -> Tensor:
    """Which logits remain for each sample (EAS, Eq. 2).

    The superclass of the sample's target always remains; every other superclass is dropped, all of its
    classes together, with probability `rate` (q in the paper), independently for each sample.

    Args:
        targets: [N] int64 class indices; [N, 2] where two images are mixed, and the superclasses of both remain.
        superclass_of: [C] int64, the superclass index of each class.
        rate: q in [0, 1]; 0 keeps everything, 1 keeps the target's superclass alone.
        share: which part of a batch these samples are; they get what they would get in the whole.

    Returns:
        [N, C] bool, True where the logit remains.
    """
    superclasses = int(superclass_of.max()) + 1
    uniform = torch.rand(len(targets) * share.size, superclasses, device=targets.device, generator=generator)
    kept = share.of(uniform) >= rate
    kept.scatter_(1, superclass_of[targets].view(len(targets), -1), True)
    return kept[:, superclass_of]


def with_neighbours(targets: Tensor) -> Tensor:
    """[N, 2]: each target and that of its neighbour in a batch (0 and 1, 2 and 3, ...); a last odd one has none."""
    even = len(targets) // 2 * 2
    return torch.stack([targets, torch.cat([targets[:even].view(-1, 2).flip(1).flatten(), targets[even:]])], 1)


def mixed_targets(targets: Tensor, own: Tensor, classes: int) -> Tensor:
    """[N, C] probabilities of images that are mixed with their neighbours.

    Args:
        targets: [N] class indices.
        own: [N], how much of each image is itself.
    """
    first, second = F.one_hot(with_neighbours(targets), classes).to(own.dtype).unbind(1)
    return torch.lerp(second, first, own.unsqueeze(1))


def remaining_log_softmax(logits: Tensor, mask: Tensor | None) -> Tensor:
    """Log-probabilities over the remaining logits ("non-zero elements", Eq. 2); dropped ones are -inf."""
    logits = logits.float()
    return torch.log_softmax(logits if mask is None else logits.masked_fill(~mask, -torch.inf), dim=1)


def cross_entropy(logits: Tensor, targets: Tensor, mask: Tensor | None = None, *, smoothing: float = 0.0) -> Tensor:
    """Mean cross-entropy over the remaining logits, with label smoothing spread over them alone.

    Args:
        logits: [N, C].
        targets: [N] class indices, or [N, C] probabilities that are zero wherever `mask` is False.
    """
    log_p = remaining_log_softmax(logits, mask)
    if targets.ndim == 1:
        targets = F.one_hot(targets, logits.shape[1]).to(log_p.dtype)
    if smoothing:
        remaining = torch.ones_like(log_p) if mask is None else mask.to(log_p.dtype)
        targets = (1 - smoothing) * targets + smoothing * remaining / remaining.sum(1, keepdim=True)
    return _expected(targets, log_p)


def distillation(logits: Tensor, teacher_logits: Tensor, mask: Tensor | None = None) -> Tensor:
    """Cross-entropy to the teacher's softmax at temperature 1, both over the remaining logits (OFA)."""
    soft = remaining_log_softmax(teacher_logits.detach(), mask).exp()
    return _expected(soft, remaining_log_softmax(logits, mask))


def feature_distance(features: Tensor, teacher: Tensor) -> Tensor:
    """Mean squared difference of features [N, F] from a teacher's, as a part of the mean square of these (Romero et
    al. 2015)."""
    teacher = teacher.detach().float()
    return (features.float() - teacher).square().mean() / teacher.square().mean().clamp(min=1e-12)


def _expected(probabilities: Tensor, log_p: Tensor) -> Tensor:
    # Dropped logits have probability 0 and log-probability -inf; their product must count as 0.
    return -(probabilities * log_p.masked_fill(probabilities == 0, 0)).sum(1).mean()
