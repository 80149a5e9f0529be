"""Fixed views of images as tensors: what networks are judged on."""

from __future__ import annotations

import tempfile

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from eas_train.data.imageset import ImageSet
from eas_train.data.photoset import PhotoSet
from eas_train.data.splits import Images
from eas_train.data.views import views

IN_MEMORY = 256 * 2**20
"""Bytes from which on views are kept in a file without a name, lest memory grows with their number."""
LEAST_SIDE = 0.8
"""Of a photo's central square, what its further views show."""


def fixed_views(data: Images, count: int, size: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """`count` fixed views of every image, uint8 N*count x 3 x size x size, and their targets, on the device.

    Of a drawing see `views.views`. Of a photo the first is its central square, as `eas_sdk.images` makes it; the others
    are squares of at least 0.8 of its side, every other one mirrored, which depend on (index, view) alone.
    """
    shape = (len(data) * count, size, size, 3)
    if isinstance(data, ImageSet):
        made = views(data.images, count, size, seed=0).reshape(shape)
    else:
        made = _room(shape)
        for i in range(len(data)):
            made[i * count : (i + 1) * count] = photo_views(data, i, count, size)
    # N x H x W x 3 in memory is what channels last means.
    images = torch.from_numpy(made).to(device).permute(0, 3, 1, 2)
    return images, torch.from_numpy(np.repeat(data.targets, count)).to(device)


def photo_views(data: PhotoSet, index: int, count: int, size: int) -> npt.NDArray[np.uint8]:
    """uint8 [count, size, size, 3]; see `fixed_views`."""
    from PIL import Image

    photo = Image.fromarray(data.store.read(index, size).permute(1, 2, 0).numpy())
    side = min(photo.size)
    left, top = (photo.width - side) // 2, (photo.height - side) // 2
    made = np.empty((count, size, size, 3), np.uint8)
    for view in range(count):
        box = (left, top, left + side, top + side)
        if view:
            rng = np.random.default_rng([index, view])
            part = int(rng.integers(int(LEAST_SIDE * side), side, endpoint=True))
            x, y = left + rng.integers(side - part + 1), top + rng.integers(side - part + 1)
            box = (int(x), int(y), int(x) + part, int(y) + part)
        square = photo.crop(box).resize((size, size), Image.Resampling.BICUBIC)
        made[view] = np.asarray(square)[:, ::-1] if view % 2 else np.asarray(square)
    return made


def _room(shape: tuple[int, ...]) -> npt.NDArray[np.uint8]:
    if int(np.prod(shape)) <= IN_MEMORY:
        return np.empty(shape, np.uint8)
    with tempfile.TemporaryFile() as file:  # the mapping outlives it
        return np.memmap(file, np.uint8, mode="w+", shape=shape)
