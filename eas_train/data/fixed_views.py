"""Fixed views of drawings as tensors: what networks are judged on."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from eas_train.data.augment import as_tensor
from eas_train.data.imageset import ImageSet
from eas_train.data.views import views


def fixed_views(data: ImageSet, count: int, size: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """`count` fixed views of every drawing, N*count x 3 x size x size, and their targets."""
    made = views(data.images, count, size, seed=0)
    images = as_tensor(made.reshape(-1, *made.shape[2:]), device).contiguous(memory_format=torch.channels_last)
    return images, torch.from_numpy(np.repeat(data.targets, count)).to(device)
