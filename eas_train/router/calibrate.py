"""From a trained router to one that can be believed: statistics, temperature, threshold, and its figures."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from eas_train.data.feed import AnyAugmentation
from eas_train.data.fixed_views import fixed_views
from eas_train.data.imageset import superclass_of_class
from eas_train.data.splits import Images
from eas_train.recipe import RouterRecipe
from eas_train.router.data import RouterData
from eas_train.router.network import fold
from eas_train.router.train import batches
from eas_train.supernet.evaluate import calibrate, logits_of
from eas_train.supernet.model import Supernet
from eas_train.supernet.norm import FixedStatistics
from eas_train.temperature import best_temperature

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class TrainedRouter:
    """A router for a bundle.

    Attributes:
        config, tensors: of the bundle (see eas_sdk/router/network.py); logits of superclasses, then of "none" where it
            was trained to know that.
        figures: on validation images.
    """

    config: Mapping[str, Any]
    tensors: Mapping[str, npt.NDArray[np.float32]]
    figures: Mapping[str, Any]


@dataclass(frozen=True)
class Calibration:
    """What makes a router's logits probabilities to go by.

    Attributes:
        temperature: what they are divided by (Guo et al. 2017).
        threshold: an image whose most probable superclass has a smaller probability shows none of them.
        figures: on the images that chose both.
    """

    temperature: float
    threshold: float
    figures: Mapping[str, Any]


def finish(
    net: Supernet,
    data: RouterData,
    validation: Images,
    others: Images | None,
    recipe: RouterRecipe,
    augmentation: AnyAugmentation,
    outputs: int,
) -> TrainedRouter:
    """Fold a trained router, with temperature and threshold from validation drawings.

    Args:
        data: the training drawings, for the batch-norm statistics.
    """
    size, architecture = net.space.input_sizes[0], net.space.largest
    device = data.class_of.device
    seeds = [2**40 + i for i in range(recipe.statistics_batches)]  # beyond those of the training
    fed = batches(data, recipe, augmentation, device, size, 256, seeds, workers=0)
    statistics = calibrate(net, architecture, torch.cat([batch.images for batch in fed]))

    def logits(shown: Images) -> Tensor:
        images, _ = fixed_views(shown, 1, size, device)
        norm = FixedStatistics(statistics.__getitem__, net.space.epsilon)
        return logits_of(net, architecture, images, norm)[:, :outputs].cpu()

    calibration = calibrated(logits, validation, others, recipe.accepted, outputs)
    config = {"space": net.elastic.to_json(), "threshold": calibration.threshold}
    return TrainedRouter(config, fold(net, statistics, outputs, calibration.temperature), calibration.figures)


def calibrated(
    logits: Callable[[Images], Tensor], validation: Images, others: Images | None, accepted: float, outputs: int
) -> Calibration:
    """Temperature and threshold from validation images.

    Args:
        logits: [N, outputs] of images, on the CPU.
        others: among which those of none of the superclasses are looked for.
        accepted: share of the validation images that the threshold lets pass.
    """
    superclasses = len(validation.superclasses)
    found = logits(validation)
    targets = torch.from_numpy(superclass_of_class(validation.superclasses)[validation.targets])
    strange = torch.zeros(0, outputs)
    if others is not None:
        owner = superclass_of_class(others.superclasses)[others.targets]
        strange = logits(others.take(np.flatnonzero(owner == superclasses)))
    temperature = best_temperature(found, targets)
    sure, unsure = (_confidence(of / temperature, superclasses) for of in (found, strange))
    threshold = float(np.quantile(sure, 1 - accepted))
    right = (found[:, :superclasses].argmax(1) == targets).float().mean()
    figures = {
        "temperature": round(temperature, 3),
        "validation_superclass_top1": round(float(right), 4),
        "validation_accepted": accepted,
    }
    if len(unsure):
        figures |= {
            "validation_rejected_of_none": round(float((unsure < threshold).mean()), 4),
            "validation_rejection_auc": round(float((sure[:, None] > unsure[None]).mean()), 4),
        }
    return Calibration(temperature, threshold, figures)


def _confidence(logits: Tensor, superclasses: int) -> FloatArray:
    """[N]: probability of the most probable superclass."""
    made: FloatArray = logits.double().softmax(1)[:, :superclasses].amax(1).numpy()
    return made
