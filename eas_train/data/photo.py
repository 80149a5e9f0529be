"""One image file to square RGBA pixels."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from eas_sdk.errors import DataError, InputError, MissingDependency

if TYPE_CHECKING:
    from PIL.Image import Image


def read_square(path: Path, size: int) -> npt.NDArray[np.uint8]:
    """Read an image file as uint8 [size, size, 4], RGBA with straight alpha.

    An image is turned upright by its EXIF orientation. An opaque one is a photograph and is cropped to its
    central square; one with transparent pixels is a drawing, kept whole and centred in a transparent
    square.

    Raises:
        DataError: where the file cannot be read as an image, or is too large to be decoded safely.
        InputError: where size is not positive.
        MissingDependency: where Pillow is not installed.
    """
    if size < 1:
        raise InputError(f"size must be at least 1 pixel, got {size}")
    try:
        from PIL import Image, ImageOps
    except ImportError as error:
        raise MissingDependency(f"reading images needs Pillow ({error})", "train") from None
    try:
        with Image.open(path) as image:
            image.load()
            rgba = _to_rgba(ImageOps.exif_transpose(image))
    # Pillow reports broken files as any of these, by format.
    except (OSError, ValueError, SyntaxError, EOFError, MemoryError, Image.DecompressionBombError) as error:
        raise DataError(f"{path} cannot be read as an image: {error}") from None
    transparent = np.asarray(rgba)[..., 3].min() < 255
    fitted = ImageOps.pad if transparent else ImageOps.fit
    return np.asarray(fitted(rgba, (size, size), Image.Resampling.BICUBIC))


def _to_rgba(image: Image) -> Image:
    from PIL import Image

    if image.mode.startswith("I"):  # 16-bit grey, which Pillow would clip at 255
        return Image.fromarray((np.asarray(image) >> 8).clip(0, 255).astype(np.uint8)).convert("RGBA")
    return image.convert("RGBA")
