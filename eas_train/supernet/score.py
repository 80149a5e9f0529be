"""What sub-networks of a supernet score on validation images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from eas_sdk.space.architecture import Architecture
from eas_sdk.space.tables import madds_table
from eas_train.data.feed import AnyAugmentation, random_images
from eas_train.data.fixed_views import fixed_views
from eas_train.data.imageset import superclass_of_class
from eas_train.data.splits import Images, evenly
from eas_train.supernet.evaluate import logits_of, recalibrated, within_superclass
from eas_train.supernet.model import Supernet
from eas_train.supernet.norm import Norm

EACH = 8
"""Times that one training image is among those that statistics are recorded on, on average, at most."""

Hits = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Score:
    """What one sub-network scores.

    Attributes:
        architecture: which; madds: of it, with all classes.
        top1: bool [N], right among all classes; within: among those of the image's superclass.
    """

    architecture: Architecture
    madds: int
    top1: Hits
    within: Hits

    def to_json(self) -> dict[str, Any]:
        """JSON-able."""
        return {
            "architecture": str(self.architecture),
            "madds": self.madds,
            "top1": round(float(self.top1.mean()), 4),
            "within_superclass": round(float(self.within.mean()), 4),
        }


@dataclass(frozen=True, eq=False)
class Judge:
    """Validation images, on which sub-networks are scored.

    They are recalibrated on training images, so that scores are about weights alone; where statistics are learned they
    are part of what is looked at.

    Attributes:
        images: uint8 N x 3 x S x S; targets: [N]; superclass_of: [C].
        calibration: training images; None where statistics are learned.
    """

    images: Tensor
    targets: Tensor
    superclass_of: Tensor
    calibration: Tensor | None

    @classmethod
    def of(
        cls,
        net: Supernet,
        train: Images,
        validation: Images,
        augmentation: AnyAugmentation,
        *,
        most_images: int,
        most_training: int,
    ) -> Judge:
        """With images on the supernet's device.

        Args:
            most_images: validation images at most, the same share of every class.
            most_training: training images at most that batch-norm statistics are recorded on.
        """
        device, size = next(net.parameters()).device, net.space.input_sizes[-1]
        images, targets = fixed_views(evenly(validation, most_images), 1, size, device)
        owner = torch.from_numpy(superclass_of_class(train.superclasses)).to(device)
        count, calibration = min(most_training, EACH * len(train)), None
        if net.learned is None:
            calibration = random_images(train, count, size, augmentation, device, 0)
        return cls(images, targets, owner, calibration)

    def score(self, net: Supernet, architecture: Architecture) -> Score:
        """Of one sub-network; the supernet is as it was, but for what it computes."""
        was_training = net.training
        net.eval()
        if self.calibration is None:
            assert net.learned is not None
            norm: Norm = net.learned.norm(architecture)
        else:
            norm = recalibrated(net, architecture, self.calibration)
        logits = logits_of(net, architecture, self.images, norm)
        net.train(was_training)
        top1 = logits.argmax(1) == self.targets
        within = within_superclass(logits, self.targets, self.superclass_of)
        space = net.space
        madds = int(madds_table(space).total(space, space.encode([architecture]), net.classes)[0])
        return Score(architecture, madds, top1.cpu().numpy(), within.cpu().numpy())
