"""Weights in fewer bits: the arithmetic that the formats share. Their precisions say where it is applied."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from eas_sdk.errors import InputError

Constant = npt.NDArray[np.generic]
Scale = npt.NDArray[np.float32]

LARGEST_BIAS = 2.0**30
"""Of an int32 bias: leaves room for what is added to it."""

LEAST_SCALE = 1e-9


def float16(name: str, weight: Constant) -> npt.NDArray[np.float16]:
    """A weight in float16.

    Raises:
        InputError: it is beyond float16.
    """
    with np.errstate(over="ignore"):
        made = weight.astype(np.float16)
    if not np.isfinite(made).all():
        most = float(np.abs(weight).max())
        raise InputError(f"float16 weights lie within ±65504; {name!r} has {most:g}: use float32")
    return made


def affine(low: float, high: float, least: int) -> tuple[np.float32, int]:
    """Scale and zero point of 8 bits from `least` to `least` + 255 over a range.

    The range is widened to include 0, so that zero is exact.
    """
    low, high = min(low, 0.0), max(high, 0.0)
    scale = np.float32(max((high - low) / 255, LEAST_SCALE))
    return scale, int(np.clip(round(least - low / float(scale)), least, least + 255))


def channel_scale(weight: Constant, axis: int) -> Scale:
    """[channels]: the scale that stores the greatest magnitude of each channel along `axis` as 127."""
    others = tuple(i for i in range(weight.ndim) if i != axis)
    most: Scale = np.abs(weight.astype(np.float32)).max(others)
    scale: Scale = np.maximum(most / np.float32(127), np.float32(LEAST_SCALE))
    return scale


def paired_scale(weight: Constant, axis: int) -> Scale:
    """[channels]: the scale under which no two weights of a channel along `axis` are more than 128 together.

    x86 before VNNI adds pairs of products in 16 bits, which overflow unless 255 times two weights fits; which two is up
    to the runtime. Where one weight of a channel is far above the others, this costs little.
    """
    channels = np.abs(np.moveaxis(weight.astype(np.float32), axis, 0).reshape(weight.shape[axis], -1))
    largest = np.partition(channels, -2, 1)[:, -2:] if channels.shape[1] > 1 else channels
    scale: Scale = np.maximum(largest.sum(1) / np.float32(127), np.float32(LEAST_SCALE))
    return scale


def int8(weight: Constant, scale: Scale, axis: int) -> npt.NDArray[np.int8]:
    """Symmetric int8 weights under a scale for each channel along `axis`."""
    shape = [1] * weight.ndim
    shape[axis] = -1
    made: npt.NDArray[np.int8] = (
        np.rint(weight.astype(np.float32) / scale.reshape(shape)).clip(-127, 127).astype(np.int8)
    )
    return made


def room_for_bias(scale: Scale, bias: Constant, input_scale: float) -> Scale:
    """Weight scales under which an int32 bias, which counts in input scale times weight scale, does not overflow.

    A channel of tiny weights would otherwise not hold a bias of ordinary size.
    """
    least = np.abs(bias.astype(np.float64)) / (input_scale * LARGEST_BIAS)
    wide: Scale = np.maximum(scale, least).astype(np.float32)
    return wide


def int32_bias(bias: Constant, input_scale: np.float32, scale: Scale) -> tuple[npt.NDArray[np.int32], Scale]:
    """A bias as int32, and its scale: input scale times weight scale."""
    product: Scale = (input_scale * scale).astype(np.float32)
    return np.rint(bias.astype(np.float64) / product.astype(np.float64)).astype(np.int32), product
