"""Images at the size of a sub-network."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from eas_sdk.space.architecture import Architecture
from eas_sdk.space.protocol import Space, size_of


def resized(images: Tensor, size: int) -> Tensor:
    """Square images N x 3 x S x S, in [0, 1] or uint8, at another size in [0, 1]: antialiased bicubic, as
    `eas_sdk.images` has it; images of that size stay as they are."""
    if images.dtype == torch.uint8:
        images = images.float().div_(255)
    if images.shape[-1] == size:
        return images
    return F.interpolate(images, (size, size), mode="bicubic", antialias=True, align_corners=False).clamp(0, 1)


def images_for(space: Space, architecture: Architecture, images: Tensor, side: int | None = None) -> Tensor:
    """Square images at the size that an architecture takes, or at `side`, where all take the same; see `resized`."""
    return resized(images, side or size_of(space, architecture))
