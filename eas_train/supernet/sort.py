"""Channel sorting: reorder hidden channels by importance, so that a prefix is the best subset (OFA).

The function of the largest network does not change; only which channels a narrower one keeps.
"""

from __future__ import annotations

from collections.abc import MutableMapping, Sequence
from itertools import pairwise

import torch
from torch import Tensor

from eas_sdk.space.widths import squeeze_width
from eas_train.supernet.model import Supernet


@torch.no_grad()
def sort_channels(
    net: Supernet,
    *,
    tiers: tuple[float, ...] = (),
    statistics: MutableMapping[str, Tensor] | None = None,
    along: Sequence[Supernet] = (),
) -> None:
    """Sort the hidden channels of every block that expands, in place.

    Importance of a channel is the L1 norm of the projection's weights that read it; of a
    squeeze-and-excitation unit, the L1 norm of the excitation's weights that read it.

    Args:
        tiers: expansion ratios whose channel boundaries must hold: channels are sorted within them only,
            because networks of these ratios have been trained already.
        statistics: node -> [2, C] mean and variance of its batch-norm in the largest network, sorted as well. A channel
            of variance 0 behind the depthwise convolution, which puts out one number whatever the image, comes last.
        along: other supernets of the space, whose channels take the order of this one's.
    """
    space = net.elastic

    def permute(name: str, order: Tensor, axis: int) -> None:
        for each in (net, *along):
            tensor = each.tensor(name)
            tensor.copy_(tensor.index_select(axis, order))

    for u, unit in enumerate(space.largest.units):
        for b, block in enumerate(unit):
            name = f"unit{u}.block{b}"
            if not net.has(f"{name}.expand.weight"):
                continue
            hidden = space.hidden(u, b, block.expansion)
            kept = {e for e in tiers if e in space.units[u].expansions and e < block.expansion}
            edges = sorted({0, hidden} | {space.hidden(u, b, e) for e in kept})
            importance = net.tensor(f"{name}.project.weight").abs().sum((0, 2, 3))
            if statistics is not None:
                importance = importance * (statistics[f"{name}.depthwise"][1] > 0)
            order = _order(importance, edges)
            permute(f"{name}.project.weight", order, 1)
            for suffix in ("expand.weight", "expand.gamma", "expand.beta"):
                permute(f"{name}.{suffix}", order, 0)
            for suffix in ("depthwise.weight", "depthwise.gamma", "depthwise.beta"):
                permute(f"{name}.{suffix}", order, 0)
            if statistics is not None:
                for layer in ("expand", "depthwise"):
                    statistics[f"{name}.{layer}"] = statistics[f"{name}.{layer}"][:, order]
            if space.units[u].squeeze_excite:
                permute(f"{name}.excite.weight", order, 0)
                permute(f"{name}.excite.bias", order, 0)
                permute(f"{name}.squeeze.weight", order, 1)
                inner = _order(
                    net.tensor(f"{name}.excite.weight").abs().sum((0, 2, 3)),
                    [squeeze_width(edge) if edge else 0 for edge in edges],
                )
                permute(f"{name}.excite.weight", inner, 1)
                permute(f"{name}.squeeze.weight", inner, 0)
                permute(f"{name}.squeeze.bias", inner, 0)


def _order(importance: Tensor, edges: list[int]) -> Tensor:
    """Indices by descending importance, within each range between consecutive edges."""
    parts = [importance[a:b].argsort(descending=True, stable=True) + a for a, b in pairwise(edges)]
    return torch.cat(parts)
