"""The images that a caller passes: what is allowed, and how they come to the size that a network takes.

One rule brings an image to a size: its central square is cut out, and resized by the bicubic filter of a = -0.5
(Keys 1981), which where it shrinks is as much wider, so that no pixel is passed over. First along rows, then along
columns; bytes are rounded after each. So bytes are Pillow's BICUBIC bit for bit, on every machine. Torch's
`interpolate(mode="bicubic", antialias=True)` weighs bytes with fewer digits: one level of 255 away, seldom two. Its
fractions are these but for rounding errors. An image that has the size already stays as it is.
"""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from eas_sdk.errors import ImageError, InputError
from eas_sdk.image_file import read_image, to_pixels

if TYPE_CHECKING:
    from PIL.Image import Image

FloatArray: TypeAlias = npt.NDArray[np.float32]
Pixels: TypeAlias = "npt.NDArray[np.uint8] | npt.NDArray[np.floating]"
"""One image [H, W, 3] or several of one size [N, H, W, 3], RGB: uint8, or floating point in [0, 1]."""

Images: TypeAlias = "Pixels | str | os.PathLike[str] | Image | Sequence[Pixels | str | os.PathLike[str] | Image]"
"""N images [N, H, W, 3]; one image: [H, W, 3], Pillow's, or the path of a file, which `eas_sdk.image_file` reads; or a
list or tuple of single images, which may differ in size."""

RULE = (
    "images are an array N x H x W x {channels}, or arrays H x W x {channels}, Pillow's images or paths of image "
    "files, one or a list of them; arrays are {colours}uint8 or floating point in [0, 1]"
)

SUPPORT = 2
"""Reach of the bicubic filter to either side, in pixels of whichever image is the coarser."""

TOGETHER = 16
"""Outputs that are computed at once: more make one product of matrices larger, and more of its numbers zeros."""

WIDENED = 2**17
"""Pixels that are turned into floating point at once: bounds the memory of a large image."""

STEPS = 2**22
"""Weights of bytes are multiples of 1 / STEPS."""


def as_float_batch(images: object, size: int, channels: int = 3) -> FloatArray:
    """Images as float32 N x size x size x channels in [0, 1], each brought to that size (see the module).

    Args:
        images: see `Images`; height and width are what they like, 1 at least. Files are read one at a time.

    Raises:
        ImageError: another type, shape or dtype, no image at all, NaN, values outside [0, 1], or a file that cannot be
            read, which is named.
        MissingDependency: there is a file to read, and Pillow is not installed.
    """
    rule = RULE.format(channels=channels, colours="RGB, " if channels == 3 else "")
    if isinstance(images, np.ndarray) and images.ndim == 4:
        if images.shape[3] != channels or images.size == 0:
            raise ImageError(f"{rule}; N, H, W >= 1; got shape {images.shape}")
        _check_values(images, rule)
        if images.shape[1:3] == (size, size):
            return _as_fractions(images)
    entries = in_list(images)
    if not isinstance(entries, Sequence | np.ndarray):
        raise ImageError(f"{rule}; got {type(images).__name__}")
    if not len(entries):
        raise ImageError(f"{rule}; N >= 1; got an empty {type(images).__name__}")
    made = np.empty((len(entries), size, size, channels), np.float32)
    for i, entry in enumerate(entries):
        made[i] = _as_fractions(to_square(_pixels(entry, i, channels, rule), size))
    return made


def in_list(images: Any) -> Any:
    """A single image as a list of one; anything else as it is."""
    single = images.ndim < 4 if isinstance(images, np.ndarray) else is_read(images)
    return [images] if single else images


def pick(images: Images, indices: Sequence[int]) -> Images:
    """Some of several images."""
    entries = in_list(images)
    return entries[indices] if isinstance(entries, np.ndarray) else [entries[i] for i in indices]


def is_read(image: object) -> bool:
    """Whether something is the path of a file, or an image of Pillow's, of which there is none before it is loaded."""
    pillow = sys.modules.get("PIL.Image")
    return isinstance(image, str | os.PathLike) or (pillow is not None and isinstance(image, pillow.Image))


def to_square(image: Pixels, size: int) -> Pixels:
    """The central square of an image [H, W, C], brought to [size, size, C]; see the module.

    Args:
        image: uint8, or floating point in [0, 1], which is not checked.

    Returns:
        uint8 for uint8, float32 in [0, 1] otherwise. A view where the square has the size already, of the dtype that
        it has.

    Raises:
        InputError: the image or the size has a side below 1.
    """
    height, width = image.shape[:2]
    side = min(height, width)
    if side < 1 or size < 1:
        raise InputError(f"an image has sides of at least 1; got {height} x {width}, to be brought to {size} x {size}")
    top, left = (height - side) // 2, (width - side) // 2
    square = image[top : top + side, left : left + side]
    return square if side == size else _resized(square, size)


class _Window(NamedTuple):
    """Outputs `first` to `end` of a row are its pixels `low` to `high` times `weights` [high - low, end - first]."""

    first: int
    end: int
    low: int
    high: int
    weights: npt.NDArray[np.floating]


def _resized(square: Pixels, size: int) -> Pixels:
    # Products of matrices are several times faster in numpy than adding up taps. Outputs that lie together read pixels
    # that lie together, hence they go window by window. One channel at a time and all memory in one piece, which C
    # libraries keep for the next image: new pages would take as long as the arithmetic.
    side, _, channels = square.shape
    whole = square.dtype == np.uint8
    kind: type[np.floating] = np.float64 if whole else np.float32  # in which sums of weighted bytes are exact
    windows, count = _windows(side, size, whole), min(max(WIDENED // side, 1), side)
    memory = np.empty(count * side + side * size + size * size, kind)
    widened = memory[: count * side].reshape(count, side)
    narrow, plane = np.split(memory[count * side :].reshape(side + size, size), [side])
    made = np.empty((size, size, channels), np.uint8 if whole else np.float32)
    for channel in range(channels):
        for top in range(0, side, count):
            rows = widened[: side - top]
            np.copyto(rows, square[top : top + count, :, channel], casting="same_kind")
            for first, end, low, high, weights in windows:
                np.matmul(rows[:, low:high], weights, out=narrow[top : top + count, first:end])
        if whole:
            _round(narrow)
        for first, end, low, high, weights in windows:
            np.matmul(weights.T, narrow[low:high], out=plane[first:end])
        made[..., channel] = _round(plane) if whole else np.clip(plane, 0, 1, out=plane)
    return made


@functools.lru_cache(maxsize=32)
def _windows(side: int, size: int, whole: bool) -> tuple[_Window, ...]:
    """What a pass from `side` pixels to `size` computes.

    Args:
        whole: for bytes: weights are float64 in steps of 1 / STEPS, as Pillow has them; float32 otherwise.
    """
    scale = side / size
    spread = max(scale, 1.0)
    centres = (np.arange(size) + 0.5) * scale
    lows = np.maximum((centres - SUPPORT * spread + 0.5).astype(int), 0)
    highs = np.minimum((centres + SUPPORT * spread + 0.5).astype(int), side)
    windows = []
    for first in range(0, size, TOGETHER):
        end = min(first + TOGETHER, size)
        low, high = int(lows[first]), int(highs[end - 1])
        pixels = np.arange(low, high)[:, None]
        weights = _bicubic((pixels + 0.5 - centres[first:end]) / spread)
        weights[(pixels < lows[first:end]) | (pixels >= highs[first:end])] = 0
        weights /= weights.sum(0)
        exact = np.trunc(weights * STEPS + np.copysign(0.5, weights)) / STEPS
        windows.append(_Window(first, end, low, high, exact if whole else weights.astype(np.float32)))
    return tuple(windows)


def _bicubic(distance: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Keys' cubic convolution kernel with a = -0.5."""
    x = np.abs(distance)
    near, far = (1.5 * x - 2.5) * x * x + 1, (((x - 5) * x + 8) * x - 4) * -0.5
    return np.where(x < 1, near, np.where(x < SUPPORT, far, 0.0))


def _round(values: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
    """Values of bytes, in place."""
    np.floor(np.add(values, 0.5, out=values), out=values)
    return np.clip(values, 0, 255, out=values)


def _pixels(entry: Any, index: int, channels: int, rule: str) -> Pixels:
    """One image of a list as an array [H, W, channels]."""
    if channels == 3 and is_read(entry):
        return read_image(entry) if isinstance(entry, str | os.PathLike) else to_pixels(entry)
    if not isinstance(entry, np.ndarray):
        raise ImageError(f"{rule}; got a {type(entry).__name__} in entry {index}")
    if entry.ndim != 3 or entry.shape[2] != channels or entry.size == 0:
        raise ImageError(f"{rule}; H, W >= 1; got shape {entry.shape} in entry {index}")
    _check_values(entry, rule)
    return entry


def _check_values(pixels: npt.NDArray[np.generic], rule: str) -> None:
    if pixels.dtype == np.uint8:
        return
    if pixels.dtype.kind != "f":
        raise ImageError(f"{rule}; got dtype {pixels.dtype}")
    low, high = float(pixels.min()), float(pixels.max())
    if not (low >= 0 and high <= 1):
        raise ImageError(f"{rule}; got values from {low:g} to {high:g}")


def _as_fractions(pixels: Pixels) -> FloatArray:
    """Float32 in [0, 1]."""
    fractions = np.ascontiguousarray(pixels, np.float32)
    if pixels.dtype == np.uint8:
        fractions = fractions / np.float32(255)
    return fractions
