"""Low-rank changes of weights for smaller input sizes (LoRA: Hu et al. 2022).

A published network forgets what it knows at its own size where its weights are trained for smaller images. So the
weights rest, and convolutions add up @ down, a matrix of low rank, for networks of the sizes that have one: it is
trained, costs a few per cent of the bank, and nothing at all on the device, where slicing adds it once.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from eas_sdk.graph.nodes import Conv2d, DepthwiseConv2d
from eas_sdk.space.architecture import Architecture
from eas_sdk.space.elastic.space import ElasticSpace
from eas_sdk.space.protocol import size_of


class Adapters(nn.Module):
    """The changes of all convolutions with batch-norm.

    Attributes:
        sizes: groups of input sizes in pixels; those of a group share their changes, others have none.
        up, down: named after nodes, with dashes for dots: float32 [groups, O, r] and [groups, r, I k k].
    """

    def __init__(self, space: ElasticSpace, classes: int, sizes: Sequence[Sequence[int]], rank: int) -> None:
        """As they begin: no change, since `up` is zero.

        Args:
            rank: r, at most; that of a small matrix is its own.
        """
        super().__init__()
        self.space, self.sizes = space, tuple(tuple(group) for group in sizes)
        self.up, self.down = nn.ParameterDict(), nn.ParameterDict()
        self.inputs: dict[str, tuple[int, ...]] = {}
        for node in space.bank(classes):
            match node:
                case Conv2d(bias="norm"):
                    outputs, inputs = node.out_channels, (node.in_channels, *node.window)
                case DepthwiseConv2d():
                    outputs, inputs = node.channels, (1, node.kernel, node.kernel)
                case _:
                    continue
            r, fan_in = min(rank, outputs, math.prod(inputs)), math.prod(inputs)
            self.up[_key(node.name)] = nn.Parameter(torch.zeros(len(self.sizes), outputs, r))
            self.down[_key(node.name)] = nn.Parameter(torch.randn(len(self.sizes), r, fan_in) / fan_in**0.5)
            self.inputs[node.name] = inputs

    @property
    def names(self) -> tuple[str, ...]:
        """The nodes that are changed."""
        return tuple(self.inputs)

    def of(self, name: str) -> tuple[Tensor, Tensor]:
        """Of a node: [groups, O, r] and [groups, r, I, k, k], where I of a depthwise convolution is 1."""
        return self.up[_key(name)], self.down[_key(name)].unflatten(2, self.inputs[name])

    def put(self, name: str, up: Tensor, down: Tensor) -> None:
        """Let a node have these; see `of`."""
        self.up[_key(name)], self.down[_key(name)] = nn.Parameter(up), nn.Parameter(down.flatten(2).contiguous())

    def group(self, architecture: Architecture) -> int | None:
        """Which changes an architecture takes; None: none."""
        size = size_of(self.space, architecture)
        return next((g for g, sizes in enumerate(self.sizes) if size in sizes), None)

    def adapted(self, name: str, weight: Tensor, group: int) -> Tensor:
        """A node's weight, [O, I, k, k] of the network that is run, with its change."""
        if name not in self.inputs:
            return weight
        up, down = (value[group] for value in self.of(name))
        outputs, inputs, *window = weight.shape
        crop = (down.shape[-1] - window[-1]) // 2
        part = down[:, :inputs, crop : crop + window[0], crop : crop + window[1]]
        change: Tensor = (up[:outputs] @ part.flatten(1)).view(weight.shape)
        return weight + change


def _key(name: str) -> str:
    return name.replace(".", "-")
