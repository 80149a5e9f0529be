"""The multi-path encoding, a baseline of the paper (EAS, section 4.2): candidates are paths, and outputs are mixed.

Each kernel x expansion ratio of a block is a path with a share, and so is each depth of a unit. The shares are relaxed
draws (Gumbel-softmax, Wu et al. 2019), so that every path is computed: nine times the work of the single path.
"""

from __future__ import annotations

import itertools

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from eas_sdk.graph.nodes import INPUT, Node
from eas_sdk.space.architecture import Architecture
from eas_sdk.space.elastic.space import ElasticSpace
from eas_train.generator.gates import Shells, over_sizes, slot_of
from eas_train.statistics.model import StatisticsModel
from eas_train.supernet.model import Supernet
from eas_train.supernet.norm import Norm, normalised


def sample_paths(
    space: ElasticSpace, logits: Tensor, temperature: float, generator: torch.Generator | None = None
) -> Shells:
    """Shares of all options that the space's largest member has, drawn from their logits [choices, options] and
    relaxed; differentiable."""
    u = torch.rand(logits.shape, device=logits.device, generator=generator).clamp(1e-6, 1 - 1e-6)
    noisy = (logits - torch.log(-torch.log(u))) / temperature
    beyond = torch.arange(logits.shape[1]) > torch.from_numpy(space.most).unsqueeze(1)
    return Shells(space, noisy.masked_fill(beyond.to(logits.device), -torch.inf).softmax(-1))


def mixed_forward(net: Supernet, images: Tensor, shells: Shells, statistics: StatisticsModel) -> Tensor:
    """Logits N x classes, the outputs of all candidates mixed by their shares; differentiable in these.

    With shares of 0 and 1 the result is that of `Supernet.forward`.

    Args:
        images: N x 3 x S x S, square.
    """
    return over_sizes(shells, images, lambda at, seen: _mixed(net, seen, at, statistics))


def _mixed(net: Supernet, images: Tensor, shells: Shells, statistics: StatisticsModel) -> Tensor:
    space, size = net.elastic, images.shape[-1]
    layout = space.layout
    made: dict[str, Tensor] = {INPUT: images}
    _, kernels, expansions = space.grid.shape[1:]
    paths = {
        (i, j): dict(_blocks(net, _uniform(space, i, j), size))
        for i, j in itertools.product(range(kernels), range(expansions))
    }
    ends: list[Tensor] = []
    for prefix, nodes in _blocks(net, space.largest, size):
        slot = slot_of(space, prefix)
        if slot is None:
            norm = _norm(net, statistics, shells.effective_gates())
            for node in nodes:
                made[node.name] = net.evaluate(node, [made[name] for name in node.inputs], norm)
            continue
        mixed = [
            shells.kernel[slot, i]
            * shells.expansion[slot, j]
            * _run(net, path[prefix], made, _norm(net, statistics, _on_path(shells, slot, i, j)))
            for (i, j), path in paths.items()
            if i <= space.most[layout.units + slot] and j <= space.most[layout.units + layout.slots + slot]
        ]
        ends.append(torch.stack(mixed).sum(0))
        made[nodes[-1].name] = ends[-1]
        u = int(layout.unit_of[slot])
        if len(ends) == len(space.largest.units[u]):
            outputs = [
                shells.parts[0][u, i] * ends[d - 1] for i, d in enumerate(space.units[u].depths) if d <= len(ends)
            ]
            made[nodes[-1].name] = torch.stack(outputs).sum(0)
            ends = []
    return made[net.nodes(space.largest, size)[-1].name]


def _uniform(space: ElasticSpace, kernel: int, expansion: int) -> Architecture:
    """The deepest network all of whose blocks take the kernel and the ratio of these indices, or the largest below."""
    choices = space.most.copy()
    units, slots = space.layout.units, space.layout.slots
    np.minimum(choices[units : units + slots], kernel, out=choices[units : units + slots])
    np.minimum(choices[units + slots : -1], expansion, out=choices[units + slots : -1])
    return space.decode(choices)


def _blocks(net: Supernet, architecture: Architecture, input_size: int) -> list[tuple[str, list[Node]]]:
    """The nodes in order, those of one elastic block together, the others under an empty prefix."""

    def prefix(node: Node) -> str:
        found = node.name.rpartition(".")[0]
        return found if found.startswith("unit") else ""

    return [(key, list(nodes)) for key, nodes in itertools.groupby(net.nodes(architecture, input_size), prefix)]


def _run(net: Supernet, nodes: list[Node], made: dict[str, Tensor], norm: Norm) -> Tensor:
    """The output of one path through a block."""
    inner = dict(made)
    for node in nodes:
        inner[node.name] = net.evaluate(node, [inner[name] for name in node.inputs], norm)
    return inner[nodes[-1].name]


def _on_path(shells: Shells, slot: int, kernel: int, expansion: int) -> Tensor:
    """[gates] as a block sees them on one path: its own choices are made, those of other blocks mixed."""

    units, slots = shells.space.layout.units, shells.space.layout.slots
    made = shells.chosen.clone()
    for row, option in ((units + slot, kernel), (units + slots + slot, expansion)):
        made[row] = F.one_hot(torch.tensor(option), made.shape[1]).to(made)
    return Shells(shells.space, made).effective_gates(slot)


def _norm(net: Supernet, statistics: StatisticsModel, gates: Tensor) -> Norm:
    def norm(name: str, x: Tensor, gamma: Tensor, beta: Tensor) -> Tensor:
        mean, variance = statistics.layers[name].at(gates)[:, : x.shape[1]]
        return normalised(x, mean, variance, gamma, beta, net.space.epsilon)

    return norm
