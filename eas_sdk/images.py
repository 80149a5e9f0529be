"""Checking the images that a caller passes."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from eas_sdk.errors import ImageError


def as_float_batch(images: object, size: int, channels: int = 3) -> npt.NDArray[np.float32]:
    """Images as float32 N x size x size x channels in [0, 1].

    Args:
        images: N x size x size x channels, RGB; uint8, or float32 / float64 in [0, 1].

    Raises:
        ImageError: another type, shape or dtype, no image at all, NaN, or values outside [0, 1].
    """
    colours = " (RGB)" if channels == 3 else ""
    rule = f"images are an array N x {size} x {size} x {channels}{colours}, uint8 or floating point in [0, 1]"
    if not isinstance(images, np.ndarray):
        raise ImageError(f"{rule}; got {type(images).__name__}")
    if images.shape == (size, size, channels):
        raise ImageError(f"{rule}; got one image without the leading axis: pass images[None]")
    if images.ndim != 4 or images.shape[1:] != (size, size, channels) or len(images) == 0:
        raise ImageError(f"{rule}, N >= 1; got shape {images.shape}")
    if images.dtype == np.uint8:
        scaled: npt.NDArray[np.float32] = np.ascontiguousarray(images, np.float32) / np.float32(255)
        return scaled
    if images.dtype.kind != "f":
        raise ImageError(f"{rule}; got dtype {images.dtype}")
    low, high = float(images.min()), float(images.max())
    if not (low >= 0 and high <= 1):
        raise ImageError(f"{rule}; got values from {low:g} to {high:g}")
    return np.ascontiguousarray(images, np.float32)
