"""Binary gates with a gradient, and the network and its cost as functions of them (EAS, Eq. 5 to 10)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from eas_sdk.graph.nodes import INPUT, Add, Conv2d, DepthwiseConv2d, GlobalMean, Linear, Multiply, Normalize
from eas_sdk.space.elastic.gates import GateLayout
from eas_sdk.space.elastic.space import ElasticSpace
from eas_sdk.space.tables import SumTable
from eas_sdk.space.widths import squeeze_width
from eas_train.statistics.model import StatisticsModel
from eas_train.supernet.depthwise import depthwise_conv2d
from eas_train.supernet.model import Supernet, activate
from eas_train.supernet.norm import normalised


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
        depth: [U, depths] one-hot; kernel, expansion: [S, options] one-hot. Differentiable in the gates.
        present: [S] 1 where a slot holds a block.
    """

    depth: Tensor
    kernel: Tensor
    expansion: Tensor
    present: Tensor

    def effective_gates(self, slot: int | None = None) -> Tensor:
        """[gates], off behind a gate that is off and in absent blocks; the block in `slot` counts as present."""
        present = self.present
        if slot is not None:
            present = torch.where(torch.arange(len(present), device=present.device) == slot, 1.0, present)
        depth, kernel, expansion = (_reached(part) for part in (self.depth, self.kernel, self.expansion))
        here = present.unsqueeze(1)
        return torch.cat([depth.flatten(), (kernel * here).flatten(), (expansion * here).flatten()])

    @classmethod
    def of(cls, space: ElasticSpace, gates: Tensor) -> Shells:
        """From one gate vector [gates]."""
        layout = GateLayout.of(space)
        a, b = layout.units * layout.depth, layout.units * layout.depth + layout.slots * layout.kernel
        return cls.of_choices(
            space,
            _one_hot(gates[:a].view(layout.units, layout.depth)),
            _one_hot(gates[a:b].view(layout.slots, layout.kernel)),
            _one_hot(gates[b:].view(layout.slots, layout.expansion)),
        )

    @classmethod
    def of_choices(cls, space: ElasticSpace, depth: Tensor, kernel: Tensor, expansion: Tensor) -> Shells:
        """From choices, one-hot or (multi-path) shares that sum to 1: [U, depths], [S, kernels], [S, expansions]."""
        # deep[u, i] is 1 when unit u has at least depths[i] blocks.
        deep = torch.cat([torch.ones_like(depth[:, :1]), _reached(depth)], 1)
        rank = [sum(d <= block for d in space.depths) for block in range(space.depths[-1])]
        present = torch.stack([deep[:, r] for r in rank], 1)
        return cls(depth, kernel, expansion, present.flatten())


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
    """R(alpha) of Eq. 3 by a table: the sum of Eq. 6, differentiable in the gates."""
    parts = torch.as_tensor(table.parts.copy(), dtype=torch.float32, device=shells.present.device)
    block = parts[1:].view(*shells.kernel.shape, -1)
    picked = torch.einsum("ske,sk,se->s", block, shells.kernel, shells.expansion)
    return table.base + table.per_class * classes + (picked * shells.present).sum()


def gated_forward(net: Supernet, images: Tensor, shells: Shells, statistics: StatisticsModel) -> Tensor:
    """Logits N x classes of the sub-network that the gates describe, differentiable in them.

    The largest network runs once (the single path); shells of kernels and channels that are off are
    multiplied by zero, and an absent block is bypassed (Eq. 5). With hard gates the result is that of
    `Supernet.forward`.
    """
    space = net.elastic
    deepest = space.depths[-1]
    made: dict[str, Tensor] = {INPUT: images}
    entered: dict[str, Tensor] = {}
    nodes = net.nodes(space.largest)
    present_gates = shells.effective_gates()
    for i, node in enumerate(nodes):
        x = made[node.inputs[0]]
        prefix, _, layer = node.name.rpartition(".")
        slot = slot_of(prefix, deepest)
        gates = present_gates if slot is None else shells.effective_gates(slot)
        if slot is not None and layer == "expand":
            entered[prefix] = x
        match node:
            case Normalize():
                y = (x - net.mean) / net.std
            case Conv2d():
                bias = net.tensor(f"{node.name}.bias") if layer in ("squeeze", "excite") else None
                y = F.conv2d(x, net.tensor(f"{node.name}.weight"), bias, node.stride, node.padding)
                if node.name in statistics.layers:
                    y = _normalise(net, node.name, y, statistics, gates)
                y = activate(y, node.activation)
                if layer == "squeeze" and slot is not None:
                    y = y * _channel_mask(space, shells, slot, squeezed=True)
            case DepthwiseConv2d():
                weight = net.tensor(f"{node.name}.weight")
                if slot is not None:
                    weight = weight * _kernel_mask(space, shells, slot, weight.shape[-1])
                y = depthwise_conv2d(x, weight, node.stride)
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
        if leaves_block and slot is not None and slot % deepest >= space.depths[0]:
            y = torch.lerp(entered[prefix], y, shells.present[slot])
        made[node.name] = y
    return made[nodes[-1].name]


def slot_of(prefix: str, deepest: int) -> int | None:
    """Slot of an elastic block's nodes ("unit2.block1" -> 2 x deepest + 1), None for fixed layers."""
    if not prefix.startswith("unit"):
        return None
    unit, block = prefix.removeprefix("unit").split(".block")
    return int(unit) * deepest + int(block)


def _kernel_mask(space: ElasticSpace, shells: Shells, slot: int, side: int) -> Tensor:
    """[side, side]: 1 on the taps that the kernel choice uses."""
    total = shells.kernel.new_zeros(side, side)
    for weight, kernel in zip(shells.kernel[slot], space.kernels, strict=True):
        pad = (side - kernel) // 2
        if pad >= 0:
            total = total + weight * F.pad(total.new_ones(kernel, kernel), (pad, pad, pad, pad))
    return total


def _channel_mask(space: ElasticSpace, shells: Shells, slot: int, *, squeezed: bool = False) -> Tensor:
    """[1, C, 1, 1]: 1 on the hidden channels (or squeeze channels) that the expansion choice uses."""
    unit, block = divmod(slot, space.depths[-1])
    widths = [space.hidden(unit, block, e) for e in space.expansions]
    if squeezed:
        widths = [squeeze_width(w) for w in widths]
    most = space.hidden(unit, block, space.largest.units[unit][block].expansion)
    most = squeeze_width(most) if squeezed else most
    index = torch.arange(most, device=shells.expansion.device)
    masks = torch.stack([(index < w).float() for w in widths])
    mask: Tensor = shells.expansion[slot] @ masks
    return mask.view(1, -1, 1, 1)


def _normalise(net: Supernet, name: str, y: Tensor, statistics: StatisticsModel, gates: Tensor) -> Tensor:
    # With hard gates these are the sub-network's statistics; the gradient sees how another gate would change them.
    mean, variance = statistics.layers[name].at(gates).unbind()
    return normalised(y, mean, variance, net.tensor(f"{name}.gamma"), net.tensor(f"{name}.beta"))
