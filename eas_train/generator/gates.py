"""Binary gates with a gradient, and the network and its cost as functions of them (EAS, Eq. 5 to 10)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import torch
import torch.nn.functional as F
from torch import Tensor

from eas_sdk.graph.nodes import INPUT, Add, Conv2d, DepthwiseConv2d, GlobalMean, Linear, Multiply, Normalize
from eas_sdk.space.elastic.gates import gates_of_choices
from eas_sdk.space.elastic.space import ElasticSpace
from eas_sdk.space.protocol import size_of
from eas_sdk.space.tables import SumTable
from eas_sdk.space.widths import squeeze_width
from eas_train.statistics.model import StatisticsModel
from eas_train.supernet.depthwise import depthwise_conv2d
from eas_train.supernet.model import Supernet, activate, convolve
from eas_train.supernet.norm import normalised
from eas_train.supernet.resize import resized


def sample_gates(logits: Tensor, temperature: float, generator: torch.Generator | None = None) -> Tensor:
    """Binary gates drawn from sigmoid(logits), Eq. 9 and 10: hard forward, relaxed gradient backward."""
    u = torch.rand(logits.shape, device=logits.device, generator=generator).clamp(1e-6, 1 - 1e-6)
    relaxed = torch.sigmoid((logits + torch.log(u) - torch.log1p(-u)) / temperature)
    # In this order the value is exactly 0 or 1: the bracket is zero but for its gradient.
    return (relaxed > 0.5).float() + (relaxed - relaxed.detach())


@dataclass(frozen=True)
class Shells:
    """How much of each nested choice is on, from the gates of one architecture.

    Attributes:
        space: whose architecture.
        chosen: [choices, G + 1] one-hot options of each choice, in the order of the layout, zeros behind the last
            option of a choice that has fewer than others. Differentiable in the gates.
    """

    space: ElasticSpace
    chosen: Tensor

    @cached_property
    def parts(self) -> tuple[Tensor, ...]:
        """Of `chosen` those of depths [U, ...], kernels [S, ...], expansion ratios [S, ...] and the size [1, ...]."""
        units, slots = self.space.layout.units, self.space.layout.slots
        parts: tuple[Tensor, ...] = self.chosen.split([units, slots, slots, 1])
        return parts

    @property
    def kernel(self) -> Tensor:
        """[S, K], K as in `ElasticSpace.grid`."""
        return self.parts[1][:, : self.space.grid.shape[2]]

    @property
    def expansion(self) -> Tensor:
        """[S, E], E as in `ElasticSpace.grid`."""
        return self.parts[2][:, : self.space.grid.shape[3]]

    @property
    def size(self) -> Tensor:
        """[R]: of each input size."""
        return self.parts[3][0, : len(self.space.input_sizes)]

    @cached_property
    def present(self) -> Tensor:
        """[S] 1 where a slot holds a block."""
        layout, depth = self.space.layout, self.parts[0]
        # deep[u, i] is 1 when unit u has at least depths[i] blocks.
        deep = torch.cat([torch.ones_like(depth[:, :1]), _reached(depth)], 1)
        ranks = [
            sum(d <= b for d in self.space.units[u].depths)
            for u, b in zip(layout.unit_of.tolist(), layout.block_of.tolist(), strict=True)
        ]
        return deep[torch.from_numpy(layout.unit_of), torch.tensor(ranks)]

    def effective_gates(self, slot: int | None = None) -> Tensor:
        """[gates], off behind a gate that is off and in absent blocks; the block in `slot` counts as present."""
        layout, present = self.space.layout, self.present
        if slot is not None:
            present = torch.where(torch.arange(len(present), device=present.device) == slot, 1.0, present)
        here = torch.cat([present.new_ones(layout.units), present, present, present.new_ones(1)])
        reached = _reached(self.chosen) * here.unsqueeze(1)
        return reached[torch.from_numpy(layout.choice_of), torch.from_numpy(layout.rank_of)]

    def at_size(self, index: int) -> Shells:
        """The same for images of one input size."""
        row = F.one_hot(torch.tensor([index]), self.chosen.shape[1]).to(self.chosen)
        return Shells(self.space, torch.cat([self.chosen[:-1], row]))

    @classmethod
    def of(cls, space: ElasticSpace, gates: Tensor) -> Shells:
        """From one gate vector [gates]; gates that only members beyond the space's largest have count as off."""
        within = torch.from_numpy(gates_of_choices(space, space.most)).to(gates)
        padded = torch.cat([gates * within, gates.new_zeros(1)])
        return cls(space, _one_hot(padded[torch.from_numpy(space.layout.places)]))


def _one_hot(gates: Tensor) -> Tensor:
    """[..., n] nested gates to [..., n + 1] one-hot: option i is on when exactly the first i gates are."""
    leading = torch.cumprod(gates, -1)
    first = torch.ones_like(leading[..., :1])
    reached = torch.cat([first, leading], -1)
    return reached - torch.cat([leading, torch.zeros_like(first)], -1)


def _reached(one_hot: Tensor) -> Tensor:
    """[..., n + 1] one-hot to the [..., n] gates that are on: inverse of `_one_hot`."""
    return one_hot.flip(-1).cumsum(-1).flip(-1)[..., 1:]


def expected_cost(table: SumTable, shells: Shells, classes: int) -> Tensor:
    """R(alpha) of Eq. 3 by a table: the sum of Eq. 6, differentiable in the gates.

    A block's cost depends on its kernel, its expansion ratio and the input size at once, and counts where it is
    present.
    """
    space, device = shells.space, shells.chosen.device
    blocks, ends = (
        torch.as_tensor(table.parts[where], dtype=torch.float32, device=device) for where in (space.grid, space.ends)
    )
    by_size = torch.einsum("rske,sk,se,s->r", blocks, shells.kernel, shells.expansion, shells.present) + ends.sum(1)
    return table.base + table.per_class * classes + shells.size @ by_size


def gated_forward(net: Supernet, images: Tensor, shells: Shells, statistics: StatisticsModel) -> Tensor:
    """Logits N x classes of the sub-network that the gates describe, differentiable in them.

    The largest network runs once (the single path); shells of kernels and channels that are off are
    multiplied by zero, and an absent block is bypassed (Eq. 5). With hard gates the result is that of
    `Supernet.forward` on the images at its size.

    Args:
        images: N x 3 x S x S, square.
    """
    return over_sizes(shells, images, lambda at, seen: _single_path(net, seen, at, statistics))


def over_sizes(shells: Shells, images: Tensor, forward: Callable[[Shells, Tensor], Tensor]) -> Tensor:
    """What `forward` gives at every input size, mixed by their shares: with hard gates, that of the chosen size. The
    others make the gradient: how another size would change the result."""
    sizes = [size for size in shells.space.input_sizes if size <= size_of(shells.space, shells.space.largest)]
    if len(sizes) == 1:
        return forward(shells, images)
    logits = [forward(shells.at_size(i), resized(images, size)) for i, size in enumerate(sizes)]
    return torch.einsum("r,rnc->nc", shells.size[: len(sizes)], torch.stack(logits))


def _single_path(net: Supernet, images: Tensor, shells: Shells, statistics: StatisticsModel) -> Tensor:
    space = net.elastic
    made: dict[str, Tensor] = {INPUT: images}
    entered: dict[str, Tensor] = {}
    nodes = net.nodes(space.largest, images.shape[-1])
    of_others = shells.effective_gates()
    for i, node in enumerate(nodes):
        x = made[node.inputs[0]]
        prefix, _, layer = node.name.rpartition(".")
        slot = slot_of(space, prefix)
        if slot is None:
            gates = of_others
        elif prefix not in entered:
            entered[prefix], gates = x, shells.effective_gates(slot)
        match node:
            case Normalize():
                y = (x - net.mean) / net.std
            case Conv2d():
                bias = net.tensor(f"{node.name}.bias") if node.bias == "own" else None
                y = convolve(node, x, net.tensor(f"{node.name}.weight"), bias)
                if node.name in statistics.layers:
                    y = _normalise(net, node.name, y, statistics, gates)
                y = activate(y, node.activation)
                if layer == "squeeze" and slot is not None:
                    y = y * _channel_mask(space, shells, slot, squeezed=True)
            case DepthwiseConv2d():
                weight = net.tensor(f"{node.name}.weight")
                if slot is not None:
                    weight = weight * _kernel_mask(space, shells, slot, weight.shape[-1])
                y = depthwise_conv2d(x, weight, None, node.stride, node.dilation, pads=node.pads[0])
                y = activate(_normalise(net, node.name, y, statistics, gates), node.activation)
                if slot is not None:
                    y = y * _channel_mask(space, shells, slot)
            case GlobalMean():
                y = x.mean((2, 3), keepdim=True)
            case Multiply():
                y = x * made[node.inputs[1]]
            case Add():
                y = x + made[node.inputs[1]]
            case Linear():
                y = F.linear(x.flatten(1), net.tensor("classifier.weight"), net.tensor("classifier.bias"))
        leaves_block = slot is not None and not nodes[i + 1].name.startswith(f"{prefix}.")
        if leaves_block and slot is not None and _may_be_absent(space, slot):
            y = torch.lerp(entered[prefix], y, shells.present[slot])
        made[node.name] = y
    return made[nodes[-1].name]


def slot_of(space: ElasticSpace, prefix: str) -> int | None:
    """Slot of a block's nodes ("unit2.block1"), None for the layers around the units."""
    if not prefix.startswith("unit"):
        return None
    unit, block = prefix.removeprefix("unit").split(".block")
    return int(space.layout.first_slot[int(unit)]) + int(block)


def _may_be_absent(space: ElasticSpace, slot: int) -> bool:
    unit = space.units[space.layout.unit_of[slot]]
    return bool(space.layout.block_of[slot] >= unit.depths[0])


def _kernel_mask(space: ElasticSpace, shells: Shells, slot: int, side: int) -> Tensor:
    """[side, side]: 1 on the taps that the kernel choice uses."""
    total = shells.kernel.new_zeros(side, side)
    for weight, kernel in zip(shells.kernel[slot], space.units[space.layout.unit_of[slot]].kernels, strict=False):
        pad = (side - kernel) // 2
        if pad >= 0:
            total = total + weight * F.pad(total.new_ones(kernel, kernel), (pad, pad, pad, pad))
    return total


def _channel_mask(space: ElasticSpace, shells: Shells, slot: int, *, squeezed: bool = False) -> Tensor:
    """[1, C, 1, 1]: 1 on the hidden channels (or squeeze channels) that the expansion choice uses."""
    unit, block = int(space.layout.unit_of[slot]), int(space.layout.block_of[slot])
    ratios = space.units[unit].expansions
    widths = [space.hidden(unit, block, e) for e in ratios]
    most = space.hidden(unit, block, space.largest.units[unit][block].expansion)
    if squeezed:
        widths, most = [squeeze_width(w) for w in widths], squeeze_width(most)
    index = torch.arange(most, device=shells.chosen.device)
    masks = torch.stack([(index < w).float() for w in widths])
    mask: Tensor = shells.expansion[slot, : len(ratios)] @ masks
    return mask.view(1, -1, 1, 1)


def _normalise(net: Supernet, name: str, y: Tensor, statistics: StatisticsModel, gates: Tensor) -> Tensor:
    # With hard gates these are the sub-network's statistics; the gradient sees how another gate would change them.
    mean, variance = statistics.layers[name].at(gates).unbind()
    return normalised(y, mean, variance, net.tensor(f"{name}.gamma"), net.tensor(f"{name}.beta"), net.space.epsilon)
