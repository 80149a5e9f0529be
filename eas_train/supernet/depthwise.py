"""Depthwise convolution whose weight gradient takes no longer on a CPU than it must.

torch's CPU kernels take many times a forward pass for the weight gradient of kernels wider than three taps, and more
where the kernel is larger than the map. That gradient is itself a depthwise convolution: of the maps, with the
gradients as kernels, every map of every image a channel of its own. As such it takes little longer than a forward pass.
Taps that no pixel of the map can meet are left out before. The results are the same but for rounding; where no
gradient is asked for, nothing changes.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

WIDE = 5
"""Taps from which on a kernel's gradient is taken that way."""

PART = 400_000
"""Numbers of a map that are worked on at a time, so that they stay in the cache."""


def depthwise_conv2d(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: int = 1,
    dilation: int = 1,
    *,
    pads: tuple[int, int] | None = None,
) -> Tensor:
    """What `F.conv2d` gives with one kernel a channel.

    Args:
        x: N x C x S x S.
        weight: C x 1 x k x k, k odd; bias: C.
        pads: zeros in front of the map and behind it; by default half of what the kernel spans.

    Returns:
        N x C x S' x S'; S' is ceil(S / stride) by default.
    """
    half = weight.shape[-1] // 2
    if pads is not None and pads != (half * dilation,) * 2:
        return F.conv2d(F.pad(x, pads * 2), weight, bias, stride, 0, dilation, x.shape[1])
    if x.device.type != "cpu" or not torch.is_grad_enabled():
        return F.conv2d(x, weight, bias, stride, half * dilation, dilation, x.shape[1])
    met = min(half, (x.shape[-1] - 1) // dilation)
    if met < half:
        weight = weight[:, :, half - met : half + met + 1, half - met : half + met + 1]
    if 2 * met + 1 >= WIDE and stride == dilation == 1:
        if torch.is_autocast_enabled("cpu"):  # which a function's backward pass does not see
            x, weight = (value.to(torch.get_autocast_dtype("cpu")) for value in (x, weight))
        made: Tensor = _Wide.apply(x, weight)
        return made if bias is None else made + bias.view(1, -1, 1, 1)
    return F.conv2d(x, weight, bias, stride, met * dilation, dilation, x.shape[1])


class _Wide(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        return F.conv2d(x, weight, None, 1, weight.shape[-1] // 2, 1, x.shape[1])

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None]:
        x, weight = ctx.saved_tensors
        half, of_x, of_weight = weight.shape[-1] // 2, None, None
        if ctx.needs_input_grad[0]:
            of_x = F.conv2d(gradient, weight.flip(2, 3), None, 1, half, 1, x.shape[1])
        if ctx.needs_input_grad[1]:
            of_weight = _weight_gradient(x, gradient, half)
        return of_x, of_weight


def _weight_gradient(x: Tensor, gradient: Tensor, half: int) -> Tensor:
    """C x 1 x k x k from maps and gradients N x C x S x S."""
    side, channels = x.shape[-1], x.shape[1]
    images = max(1, PART // (channels * side * side))
    total = x.new_zeros(channels, 2 * half + 1, 2 * half + 1)
    for maps, kernels in zip(x.split(images), gradient.split(images), strict=True):
        count = len(maps) * channels
        each = F.conv2d(
            maps.reshape(1, count, side, side), kernels.reshape(count, 1, side, side), None, 1, half, 1, count
        )
        total += each.view(len(maps), channels, *each.shape[2:]).sum(0)
    return total.unsqueeze(1)
