"""One image file to square RGBA pixels."""

from __future__ import annotations

import os

import numpy as np
import numpy.typing as npt

from eas_sdk.errors import DataError, ImageError, InputError
from eas_sdk.image_file import read_rgba


def read_square(path: str | os.PathLike[str], size: int) -> npt.NDArray[np.uint8]:
    """Read an image file as uint8 [size, size, 4], RGBA with straight alpha.

    A photograph is cropped to its central square; a drawing is kept whole in a transparent one (`eas_sdk.image_file`).

    Raises:
        DataError: where the file cannot be read as an image, or is too large to be decoded safely; it names the file.
        InputError: where size is not positive.
        MissingDependency: where Pillow is not installed.
    """
    if size < 1:
        raise InputError(f"size must be at least 1 pixel, got {size}")
    try:
        rgba = read_rgba(path)
    except ImageError as error:
        raise DataError(str(error)) from None
    from PIL import Image, ImageOps

    return np.asarray(ImageOps.fit(rgba, (size, size), Image.Resampling.BICUBIC))
