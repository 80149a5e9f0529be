"""Sub-networks on trial: how they do on validation images while the supernet is in training."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from eas_sdk.space.architecture import Architecture
from eas_train.data.fixed_views import fixed_views
from eas_train.data.imageset import superclass_of_class
from eas_train.data.splits import Images
from eas_train.supernet.evaluate import within_superclass
from eas_train.supernet.loss import cross_entropy
from eas_train.supernet.model import Supernet
from eas_train.supernet.resize import images_for, resized


@dataclass(frozen=True, eq=False)
class Batch:
    """Validation images.

    Attributes:
        images: n x 3 x S x S in [0, 1]; targets: [n], class indices.
        mask: [n, C] bool, the classes of each target's superclass, among which networks are judged.
        side: of the images that all networks take; None: each its own.
    """

    images: Tensor
    targets: Tensor
    mask: Tensor
    side: int | None = None


class Trial:
    """Validation images, one view of each, and what sub-networks make of them.

    Batch-norm uses the statistics of the batch: those of a training are averages over networks, and mean nothing for
    one of them.
    """

    def __init__(self, net: Supernet, validation: Images, device: torch.device) -> None:
        self.net = net
        self.images, self.targets = fixed_views(validation, 1, net.space.input_sizes[-1], device)
        self.superclass_of = torch.from_numpy(superclass_of_class(validation.superclasses)).to(device)

    def batch(self, count: int, seed: int, side: int | None = None) -> Batch:
        """So many images at random, or all where there are fewer; `side` is that of the phase's images, where networks
        do not take their own."""
        order = torch.randperm(len(self.targets), generator=torch.Generator().manual_seed(seed))[:count]
        index = order.to(self.targets.device)
        targets = self.targets[index]
        mask = self.superclass_of.unsqueeze(0) == self.superclass_of[targets].unsqueeze(1)
        images = self.images[index]
        return Batch(resized(images, side or images.shape[-1]), targets, mask, side)

    def loss(self, architecture: Architecture, batch: Batch) -> Tensor:
        """Cross-entropy among the classes of the targets' superclasses; differentiable in the supernet's weights."""
        return cross_entropy(self._logits(architecture, batch), batch.targets, batch.mask)

    @torch.no_grad()
    def losses(self, architectures: list[Architecture], batch: Batch) -> list[float]:
        """Of each."""
        return [float(self.loss(architecture, batch)) for architecture in architectures]

    @torch.no_grad()
    def accuracy(self, architecture: Architecture, batch: Batch) -> float:
        """Share that is recognised among the classes of the targets' superclasses."""
        logits = self._logits(architecture, batch).float()
        return float(within_superclass(logits, batch.targets, self.superclass_of).float().mean())

    def _logits(self, architecture: Architecture, batch: Batch) -> Tensor:
        images = images_for(self.net.space, architecture, batch.images, batch.side)
        logits: Tensor = self.net(images, architecture)
        return logits
