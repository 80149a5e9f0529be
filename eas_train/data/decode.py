"""One image file as pixels, by Pillow, which reads all formats (torchvision's own decoders are to go)."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from eas_sdk.errors import DataError

if TYPE_CHECKING:
    from PIL.Image import Image

DRAFT = 2
"""A JPEG is decoded at a half, a quarter or an eighth of its size where that is at least so many times what is asked
for."""


def read_photo(path: Path, at_least: int = 0) -> Tensor:
    """An image file as uint8 3 x H x W, upright by its EXIF orientation, transparent pixels on white.

    Args:
        at_least: side in pixels that is needed; a larger JPEG may be decoded at a part of its size.

    Raises:
        DataError: the file cannot be read as an image, or is too large to be decoded safely; it names the file.
    """
    try:
        return decode(path.read_bytes(), at_least)
    # Decoders report broken files as anything.
    except Exception as error:
        raise DataError(f"{path} cannot be read as an image: {str(error) or type(error).__name__}") from None


def decode(content: bytes, at_least: int = 0) -> Tensor:
    """The content of an image file, as `read_photo` gives it; raises what the decoder raises."""
    from PIL import Image, ImageOps

    with Image.open(io.BytesIO(content)) as image:
        if at_least:
            image.draft("RGB", (DRAFT * at_least, DRAFT * at_least))
        image.load()
        rgb = _on_white(ImageOps.exif_transpose(image))
    return torch.from_numpy(np.array(rgb)).permute(2, 0, 1)


def _on_white(image: Image) -> Image:
    from PIL import Image

    if image.mode.startswith("I"):  # 16-bit grey, which Pillow would clip at 255
        return Image.fromarray((np.asarray(image) >> 8).clip(0, 255).astype(np.uint8)).convert("RGB")
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        rgba = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba).convert("RGB")
    return image.convert("RGB")
