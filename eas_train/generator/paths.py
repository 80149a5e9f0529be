"""The multi-path encoding, a baseline of the paper (EAS, section 4.2): candidates are paths, and outputs are mixed.

Each kernel x expansion ratio of a block is a path with a share, and so is each depth of a unit. The shares are relaxed
draws (Gumbel-softmax, Wu et al. 2019), so that every path is computed: nine times the work of the single path.
"""

from __future__ import annotations

import dataclasses
import itertools

import torch
import torch.nn.functional as F
from torch import Tensor

from eas_sdk.graph.nodes import INPUT, Node
from eas_sdk.space.architecture import Architecture, Block
from eas_sdk.space.elastic.gates import GateLayout
from eas_sdk.space.elastic.space import ElasticSpace
from eas_train.generator.gates import Shells, slot_of
from eas_train.statistics.model import StatisticsModel
from eas_train.supernet.model import Supernet
from eas_train.supernet.norm import Norm, normalised


def sample_paths(
    space: ElasticSpace, logits: Tensor, temperature: float, generator: torch.Generator | None = None
) -> Shells:
    """Shares of all options, drawn from their logits [outputs] and relaxed; differentiable."""
    layout = GateLayout.of(space)
    u = torch.rand(logits.shape, device=logits.device, generator=generator).clamp(1e-6, 1 - 1e-6)
    noisy = (logits - torch.log(-torch.log(u))) / temperature
    shapes = (
        (layout.units, layout.depth + 1),
        (layout.slots, layout.kernel + 1),
        (layout.slots, layout.expansion + 1),
    )
    parts = noisy.split([rows * options for rows, options in shapes])
    depth, kernel, expansion = (part.view(shape).softmax(-1) for part, shape in zip(parts, shapes, strict=True))
    return Shells.of_choices(space, depth, kernel, expansion)


def mixed_forward(net: Supernet, images: Tensor, shells: Shells, statistics: StatisticsModel) -> Tensor:
    """Logits N x classes, the outputs of all candidates mixed by their shares; differentiable in these.

    With shares of 0 and 1 the result is that of `Supernet.forward`.
    """
    space = net.elastic
    made: dict[str, Tensor] = {INPUT: images}
    paths = {
        (i, j): dict(_blocks(net, _uniform(space, kernel, expansion)))
        for (i, kernel), (j, expansion) in itertools.product(enumerate(space.kernels), enumerate(space.expansions))
    }
    ends: list[Tensor] = []
    for prefix, nodes in _blocks(net, space.largest):
        slot = slot_of(prefix, space.depths[-1])
        if slot is None:
            norm = _norm(statistics, shells.effective_gates())
            for node in nodes:
                made[node.name] = net.evaluate(node, [made[name] for name in node.inputs], norm)
            continue
        mixed = [
            shells.kernel[slot, i]
            * shells.expansion[slot, j]
            * _run(net, path[prefix], made, _norm(statistics, _on_path(shells, slot, i, j)))
            for (i, j), path in paths.items()
        ]
        ends.append(torch.stack(mixed).sum(0))
        made[nodes[-1].name] = ends[-1]
        if len(ends) == space.depths[-1]:
            shares = shells.depth[slot // space.depths[-1]]
            outputs = [share * ends[depth - 1] for share, depth in zip(shares, space.depths, strict=True)]
            made[nodes[-1].name] = torch.stack(outputs).sum(0)
            ends = []
    return made[net.nodes(space.largest)[-1].name]


def _uniform(space: ElasticSpace, kernel: int, expansion: int) -> Architecture:
    """The deepest network all of whose blocks are alike."""
    return Architecture(((Block(kernel, expansion),) * space.depths[-1],) * len(space.stages))


def _blocks(net: Supernet, architecture: Architecture) -> list[tuple[str, list[Node]]]:
    """The nodes in order, those of one elastic block together, the others under an empty prefix."""

    def prefix(node: Node) -> str:
        found = node.name.rpartition(".")[0]
        return found if found.startswith("unit") else ""

    return [(key, list(nodes)) for key, nodes in itertools.groupby(net.nodes(architecture), prefix)]


def _run(net: Supernet, nodes: list[Node], made: dict[str, Tensor], norm: Norm) -> Tensor:
    """The output of one path through a block."""
    inner = dict(made)
    for node in nodes:
        inner[node.name] = net.evaluate(node, [inner[name] for name in node.inputs], norm)
    return inner[nodes[-1].name]


def _on_path(shells: Shells, slot: int, kernel: int, expansion: int) -> Tensor:
    """[gates] as a block sees them on one path: its own choices are made, those of other blocks mixed."""

    def chosen(shares: Tensor, option: int) -> Tensor:
        row = F.one_hot(torch.tensor(option, device=shares.device), shares.shape[1]).to(shares.dtype)
        here = torch.arange(len(shares), device=shares.device).unsqueeze(1) == slot
        return torch.where(here, row, shares)

    made = dataclasses.replace(
        shells, kernel=chosen(shells.kernel, kernel), expansion=chosen(shells.expansion, expansion)
    )
    return made.effective_gates(slot)


def _norm(statistics: StatisticsModel, gates: Tensor) -> Norm:
    def norm(name: str, x: Tensor, gamma: Tensor, beta: Tensor) -> Tensor:
        mean, variance = statistics.layers[name].at(gates)[:, : x.shape[1]]
        return normalised(x, mean, variance, gamma, beta)

    return norm
