"""Statistics keyed by the local configuration of a block.

A channel's mean and variance depend on what its own block does (which kernel, how many channels the
projection sums) and, less, on what came before. So one row is kept for each local configuration, averaged
over sub-networks that differ in everything else: depthwise convolutions have a row a kernel, projections a
row a (kernel, expansion) pair, all other layers one row.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from eas_sdk.bank.bundle import statistics_rows
from eas_sdk.graph.nodes import Conv2d, DepthwiseConv2d
from eas_sdk.space.architecture import Architecture, Block
from eas_sdk.space.elastic import ElasticSpace
from eas_train.progress import progress
from eas_train.supernet.evaluate import calibrate
from eas_train.supernet.model import Supernet, has_norm
from eas_train.supernet.norm import FixedStatistics


@dataclass(frozen=True, eq=False)
class StatisticsTable:
    """Mean and variance of every batch-norm under every local configuration.

    Attributes:
        rows: node name -> [*statistics_rows, 2, C] float32.
    """

    space: ElasticSpace
    rows: Mapping[str, Tensor]

    def norm(self, architecture: Architecture) -> FixedStatistics:
        """How a sub-network normalises on the device."""
        blocks = blocks_by_name(architecture)

        def lookup(name: str) -> Tensor:
            row = self.rows[name][row_index(self.space, name, blocks)]
            return row[:, : self._channels(name, blocks)]

        return FixedStatistics(lookup)

    def _channels(self, name: str, blocks: Mapping[str, Block]) -> int | None:
        prefix, _, layer = name.rpartition(".")
        if prefix not in blocks or layer == "project":
            return None
        unit, block = (int(part.lstrip("unitblock")) for part in prefix.split("."))
        return self.space.hidden(unit, block, blocks[prefix].expansion)


def blocks_by_name(architecture: Architecture) -> dict[str, Block]:
    """The blocks of an architecture by the prefix of their nodes' names."""
    return {
        f"unit{u}.block{b}": block
        for u, unit in enumerate(architecture.units)
        for b, block in enumerate(unit)
    }


def row_index(space: ElasticSpace, name: str, blocks: Mapping[str, Block]) -> tuple[int, ...]:
    """Which row of a node's statistics a sub-network with these blocks uses."""
    keys = len(statistics_rows(space, name))
    if keys == 0:
        return ()
    block = blocks[name.rpartition(".")[0]]
    return (space.kernels.index(block.kernel), space.expansions.index(block.expansion))[:keys]


def collect(
    net: Supernet,
    draw_images: Callable[[int], Tensor],
    draw_architecture: Callable[[random.Random], Architecture],
    networks: int,
    seed: int = 0,
) -> StatisticsTable:
    """Average the statistics of many sub-networks into a table.

    Args:
        draw_images: from a seed to a batch of training images N x 3 x S x S, on the net's device.
        draw_architecture: draws the sub-networks whose statistics are averaged, after the largest, which uses
            every channel.
        networks: how many in all; a row that none of them uses takes the average of the others.
    """
    rng = random.Random(seed)
    sums: dict[str, Tensor] = {}
    counts: dict[str, Tensor] = {}
    for node in net.nodes(net.space.largest):
        if has_norm(node):
            assert isinstance(node, (Conv2d, DepthwiseConv2d))
            channels = node.out_channels if isinstance(node, Conv2d) else node.channels
            shape = (*statistics_rows(net.space, node.name), 1, channels)
            sums[node.name] = torch.zeros(*shape[:-2], 2, channels, dtype=torch.float64)
            counts[node.name] = torch.zeros(shape, dtype=torch.float64)
    with progress("statistics", networks) as update:
        for done in range(networks):
            architecture = draw_architecture(rng) if done else net.space.largest
            blocks = blocks_by_name(architecture)
            for name, row in calibrate(net, architecture, draw_images(seed * 100_003 + done)).items():
                index = row_index(net.space, name, blocks)
                sums[name][index][:, : row.shape[1]] += row.double().cpu()
                counts[name][index][:, : row.shape[1]] += 1
            update(done + 1, "")
    device = next(net.parameters()).device
    rows = {name: _filled(sums[name], counts[name]).float().to(device) for name in sums}
    return StatisticsTable(net.space, rows)


def _filled(sums: Tensor, counts: Tensor) -> Tensor:
    """Row means; a channel of a row that was never seen takes the average of the rows that saw it."""
    seen = counts > 0
    means = sums / counts.clamp(min=1)
    lead = tuple(range(counts.ndim - 2))
    if not lead:
        return means
    overall = sums.sum(lead, keepdim=True) / counts.sum(lead, keepdim=True).clamp(min=1)
    return torch.where(seen, means, overall.expand_as(means))
