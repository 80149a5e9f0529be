"""How far the weights of a supernet went from where they began, and how much each block adds to what passes it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from eas_sdk.graph.nodes import Add, Conv2d, DepthwiseConv2d, Node
from eas_train.supernet.evaluate import calibrate
from eas_train.supernet.model import Supernet
from eas_train.supernet.norm import FixedStatistics
from eas_train.supernet.resize import images_for


@dataclass(frozen=True)
class Moved:
    """How far the filters of one convolution went.

    Attributes:
        layer: its node.
        cosine: mean over filters, with where they began; 1: they did not turn.
        norm: mean over filters, as a share of what it was; weight decay alone makes it fall.
        rings: of a depthwise kernel, from the centre outwards: the same cosine over the taps of each ring.
    """

    layer: str
    cosine: float
    norm: float
    rings: tuple[float, ...] = ()


@dataclass(frozen=True)
class BlockUse:
    """One block of the largest network.

    Attributes:
        block: such as "unit2.block1".
        residual_share: root mean square of what the block adds, over that of what passes it by; None where nothing
            passes it by.
        moved: its convolutions.
    """

    block: str
    residual_share: float | None
    moved: tuple[Moved, ...]

    def to_json(self) -> dict[str, Any]:
        """JSON-able."""
        return {
            "block": self.block,
            "residual_share": None if self.residual_share is None else round(self.residual_share, 4),
            "moved": [
                {
                    "layer": m.layer,
                    "cosine": round(m.cosine, 4),
                    "norm": round(m.norm, 4),
                    "rings": [round(ring, 4) for ring in m.rings],
                }
                for m in self.moved
            ],
        }


@torch.no_grad()
def blocks_in_use(net: Supernet, began: Supernet, images: Tensor) -> list[BlockUse]:
    """Every block of the largest network.

    Args:
        began: the same supernet as it began.
        images: training images N x 3 x S x S, on the net's device.
    """
    shares = _residual_shares(net, images)
    by_block: dict[str, list[Moved]] = {}
    for node in net.nodes(net.space.largest):
        if isinstance(node, (Conv2d, DepthwiseConv2d)) and node.name.count("."):
            moved = _moved(node.name, net.tensor(f"{node.name}.weight"), began.tensor(f"{node.name}.weight"))
            by_block.setdefault(node.name.rpartition(".")[0], []).append(moved)
    return [BlockUse(block, shares.get(block), tuple(moved)) for block, moved in by_block.items()]


def _moved(layer: str, weight: Tensor, began: Tensor) -> Moved:
    now, then = weight.flatten(1).float(), began.flatten(1).float()
    rings = []
    if weight.shape[1] == 1 and weight.shape[-1] > 1:
        half = weight.shape[-1] // 2
        at = torch.arange(weight.shape[-1], device=weight.device).sub(half).abs()
        ring = torch.maximum(at.view(-1, 1), at.view(1, -1)).flatten()
        rings = [float(F.cosine_similarity(now[:, ring == r], then[:, ring == r]).mean()) for r in range(half + 1)]
    norm = (now.norm(dim=1) / then.norm(dim=1).clamp(min=1e-12)).mean()
    return Moved(layer, float(F.cosine_similarity(now, then).mean()), float(norm), tuple(rings))


def _residual_shares(net: Supernet, images: Tensor) -> dict[str, float]:
    """Of each block whose output is added to its input."""
    largest = net.space.largest
    statistics = calibrate(net, largest, images)
    norm = FixedStatistics(statistics.__getitem__, net.space.epsilon)
    seen = images_for(net.space, largest, images)
    shares = {}

    def look(node: Node, inputs: list[Tensor]) -> None:
        if isinstance(node, Add):
            branch, skip = (value.float().square().mean().sqrt() for value in inputs)
            shares[node.name.rpartition(".")[0]] = float(branch / skip.clamp(min=1e-12))

    net.answer(seen, largest, norm, look)
    return shares
