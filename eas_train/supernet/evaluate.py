"""Accuracy of a sub-network within the known superclass, and overall."""

from __future__ import annotations

import torch
from torch import Tensor

from eas_sdk.space.architecture import Architecture
from eas_sdk.space.protocol import size_of
from eas_train.supernet.model import Supernet
from eas_train.supernet.norm import FixedStatistics, Norm, Recorder
from eas_train.supernet.resize import images_for

PIXELS = 256 * 96**2
"""Of a batch that is judged or recorded: 256 images of up to 96 px, 47 of 224 px."""


@torch.no_grad()
def calibrate(
    net: Supernet, architecture: Architecture, images: Tensor, batch_size: int | None = None, *, side: int | None = None
) -> dict[str, Tensor]:
    """Batch-norm statistics of one sub-network over images N x 3 x S x S (in [0, 1], or uint8), which are brought to
    its size.

    Args:
        side: of the images that the network takes, where not its own.

    Returns:
        node -> [2, C] mean, variance.
    """
    recorder = Recorder(net.space.epsilon)
    for batch in images.split(batch_size or _batch(net, architecture, side)):
        net(images_for(net.space, architecture, batch, side), architecture, recorder)
    return recorder.statistics()


@torch.no_grad()
def logits_of(
    net: Supernet,
    architecture: Architecture,
    images: Tensor,
    norm: Norm,
    batch_size: int | None = None,
    *,
    side: int | None = None,
) -> Tensor:
    """N x classes logits of images N x 3 x S x S (in [0, 1], or uint8), in batches.

    They are brought to the network's size, or to `side`.
    """
    parts = images.split(batch_size or _batch(net, architecture, side))
    batches = (images_for(net.space, architecture, batch, side) for batch in parts)
    return torch.cat([net(batch, architecture, norm).float() for batch in batches])


@torch.no_grad()
def features_of(net: Supernet, architecture: Architecture, images: Tensor, norm: Norm | None = None) -> Tensor:
    """N x F features before the classifier; see `logits_of`, and `Supernet.forward` for where there is no norm."""
    batches = (images_for(net.space, architecture, batch) for batch in images.split(_batch(net, architecture)))
    return torch.cat([net.answer(batch, architecture, norm)[1].float() for batch in batches])


def recalibrated(
    net: Supernet, architecture: Architecture, images: Tensor, *, side: int | None = None
) -> FixedStatistics:
    """The norm of a sub-network fully recalibrated on `images`; see `calibrate`."""
    return FixedStatistics(calibrate(net, architecture, images, side=side).__getitem__, net.space.epsilon)


def _batch(net: Supernet, architecture: Architecture, side: int | None = None) -> int:
    """Images that are judged at a time: as many as keep memory the same at every size."""
    return max(1, min(256, PIXELS // (side or size_of(net.space, architecture)) ** 2))


def within_superclass(logits: Tensor, targets: Tensor, superclass_of: Tensor) -> Tensor:
    """[N] bool: right among the classes of the target's own superclass."""
    known = superclass_of.unsqueeze(0) == superclass_of[targets].unsqueeze(1)
    return logits.masked_fill(~known, -torch.inf).argmax(1) == targets
