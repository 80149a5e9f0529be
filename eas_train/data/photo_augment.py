"""Augmentation of photos, by torchvision.

All randomness comes from torch's generator, which is seeded for every photo: what a photo becomes does not depend on
who decodes it.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from eas_train.data.ranges import check_ranges

GREY = (124.0, 116.0, 104.0)
"""What erased pixels become: about the mean of photos."""


@dataclass(frozen=True)
class PhotoAugmentation:
    """Strengths; a probability is written p_....

    Attributes:
        least_area: the least share of the photo's area that a crop shows (RandomResizedCrop); 1 takes the central
            square.
        p_flip: of turning left and right.
        policy: one more operation on each photo: none, one of TrivialAugment (Müller and Hutter 2021), or two of
            RandAugment (Cubuk et al. 2020).
        magnitude: of RandAugment, 0 to 30.
        jitter: of brightness, contrast and saturation; a quarter of it for hue.
        p_erase: of a grey rectangle (Zhong et al. 2020).
        mixup, cutmix: alpha of mixing two photos (Zhang et al. 2018; Yun et al. 2019); 0 for none. Where both are
            there, each pair takes one or the other.
        p_mix: of a pair being mixed at all.
    """

    kind: Literal["photo"] = "photo"
    least_area: float = 0.35
    p_flip: float = 0.5
    policy: Literal["none", "trivial", "rand"] = "none"
    magnitude: int = 9
    jitter: float = 0.0
    p_erase: float = 0.0
    mixup: float = 0.0
    cutmix: float = 0.0
    p_mix: float = 1.0

    def __post_init__(self) -> None:
        most = {"magnitude": 30, "mixup": 10, "cutmix": 10}
        check_ranges(self, lambda name: (0.01 if name == "least_area" else 0, most.get(name, 1)))

    @property
    def mixes(self) -> bool:
        """Whether photos are mixed with one another."""
        return bool(self.p_mix and (self.mixup or self.cutmix))


@functools.lru_cache(maxsize=16)
def transform(settings: PhotoAugmentation, size: int) -> Callable[[Tensor], Tensor]:
    """From a photo uint8 3 x H x W to one of uint8 3 x size x size; random numbers are torch's own."""
    from torchvision.transforms import v2

    bilinear = v2.InterpolationMode.BILINEAR
    steps: list[Any] = []
    if settings.least_area < 1:
        steps.append(v2.RandomResizedCrop(size, scale=(settings.least_area, 1.0), antialias=True))
    else:
        steps += [v2.Resize(size, antialias=True), v2.CenterCrop(size)]
    if settings.p_flip:
        steps.append(v2.RandomHorizontalFlip(settings.p_flip))
    if settings.policy == "trivial":
        steps.append(v2.TrivialAugmentWide(interpolation=bilinear))
    elif settings.policy == "rand":
        steps.append(v2.RandAugment(magnitude=settings.magnitude, interpolation=bilinear))
    if settings.jitter:
        steps.append(v2.ColorJitter(settings.jitter, settings.jitter, settings.jitter, settings.jitter / 4))
    if settings.p_erase:
        steps.append(v2.RandomErasing(settings.p_erase, value=list(GREY)))
    return v2.Compose(steps) if steps else lambda photo: photo


def mix(photos: Tensor, settings: PhotoAugmentation, seeds: Sequence[int]) -> tuple[Tensor, Tensor]:
    """Mix each pair of neighbours of a batch with one another.

    Args:
        photos: uint8 [n, 3, S, S]; where n is odd, the last has no neighbour and stays.
        seeds: one for each pair.

    Returns:
        uint8 [n, 3, S, S], and [n], how much of each is the photo itself; the rest is its neighbour (0 and 1, 2 and 3,
        ...).
    """
    from torchvision.transforms import v2

    ways = [
        way(alpha=alpha, num_classes=2)
        for way, alpha in ((v2.MixUp, settings.mixup), (v2.CutMix, settings.cutmix))
        if alpha
    ]
    made, own = photos.clone(), torch.ones(len(photos))
    labels = torch.tensor([0, 1])
    for i, seed in zip(range(0, len(photos) - 1, 2), seeds, strict=True):
        torch.manual_seed(seed)
        if float(torch.rand(())) >= settings.p_mix:
            continue
        way = ways[int(torch.randint(len(ways), ()))]
        pair, shares = way(photos[i : i + 2].float(), labels)
        made[i : i + 2] = pair.round().byte()
        own[i : i + 2] = shares.diagonal()
    return made, own
