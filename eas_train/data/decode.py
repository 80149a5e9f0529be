"""One image file as a tensor."""

from __future__ import annotations

import os

import torch
from torch import Tensor

from eas_sdk import image_file
from eas_sdk.errors import DataError, ImageError


def read_photo(path: str | os.PathLike[str], at_least: int = 0) -> Tensor:
    """An image file as uint8 3 x H x W; see `eas_sdk.image_file.read_image`.

    Raises:
        DataError: the file cannot be read as an image, or is too large to be decoded safely; it names the file.
    """
    try:
        return torch.from_numpy(image_file.read_image(path, at_least)).permute(2, 0, 1)
    except ImageError as error:
        raise DataError(str(error)) from None


def decode(content: bytes, at_least: int = 0) -> Tensor:
    """The content of an image file, as `read_photo` gives it.

    Raises:
        ImageError: as `eas_sdk.image_file.decode` does; it names no file.
    """
    return torch.from_numpy(image_file.decode(content, at_least)).permute(2, 0, 1)
