"""Depthwise convolution whose weight gradient takes no longer on a CPU than it must.

torch's CPU kernels take many times a forward pass for the weight gradient of kernels wider than three taps, and more
where the kernel is larger than the map. So taps that no pixel of the map can meet are left out, and a wide
kernel's gradient is put together from strips of three columns. The results are the same but for rounding; where no
gradient is asked for, nothing changes.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

STRIP = 3
"""Columns of a kernel for which torch's weight gradient is fast."""


def depthwise_conv2d(
    x: Tensor, weight: Tensor, stride: int = 1, dilation: int = 1, *, pads: tuple[int, int] | None = None
) -> Tensor:
    """What `F.conv2d` gives with one kernel a channel.

    Args:
        x: N x C x S x S.
        weight: C x 1 x k x k, k odd.
        pads: zeros in front of the map and behind it; by default half of what the kernel spans.

    Returns:
        N x C x S' x S'; S' is ceil(S / stride) by default.
    """
    half = weight.shape[-1] // 2
    if pads is not None and pads != (half * dilation,) * 2:
        return F.conv2d(F.pad(x, pads * 2), weight, None, stride, 0, dilation, x.shape[1])
    if x.device.type != "cpu" or not torch.is_grad_enabled():
        return F.conv2d(x, weight, None, stride, half * dilation, dilation, x.shape[1])
    met = min(half, (x.shape[-1] - 1) // dilation)
    if met < half:
        weight = weight[:, :, half - met : half + met + 1, half - met : half + met + 1]
    if 2 * met + 1 > STRIP and stride == dilation == 1:
        made: Tensor = _ByStrips.apply(x, weight)
        return made
    return F.conv2d(x, weight, None, stride, met * dilation, dilation, x.shape[1])


class _ByStrips(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        return F.conv2d(x, weight, None, 1, weight.shape[-1] // 2, 1, x.shape[1])

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None]:
        x, weight = ctx.saved_tensors
        half, of_x, of_weight = weight.shape[-1] // 2, None, None
        if ctx.needs_input_grad[0]:
            of_x = _gradients(gradient, x, weight, half, (True, False, False))[0]
        if ctx.needs_input_grad[1]:
            padded, strips, at = F.pad(x, (half, half, half, half)), [], 0
            for strip in weight.split(STRIP, dim=3):
                columns = strip.shape[-1]
                seen = padded[..., at : at + x.shape[-1] + columns - 1].contiguous(memory_format=torch.channels_last)
                strips.append(_gradients(gradient, seen, strip, 0, (False, True, False))[1])
                at += columns
            of_weight = torch.cat(strips, 3)
        return of_x, of_weight


def _gradients(
    gradient: Tensor, x: Tensor, weight: Tensor, padding: int, wanted: tuple[bool, bool, bool]
) -> tuple[Tensor, Tensor, Tensor]:
    made: tuple[Tensor, Tensor, Tensor] = torch.ops.aten.convolution_backward(
        gradient, x, weight, None, [1, 1], [padding, padding], [1, 1], False, [0, 0], x.shape[1], wanted
    )
    return made
