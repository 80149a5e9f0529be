"""How fit each operation of a space of cells is: indicators that learn while the supernet trains (section 3.3)."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from eas_sdk.errors import TrainingError
from eas_sdk.graph.nodes import INPUT, Node
from eas_sdk.latency.predict import choice_table
from eas_sdk.latency.table import read
from eas_sdk.space.architecture import Architecture, Block
from eas_sdk.space.cells import network
from eas_sdk.space.cells.space import CellSpace
from eas_sdk.space.protocol import Space
from eas_sdk.space.tables import SumTable, madds_table
from eas_train.strategy.recipe import NseRecipe
from eas_train.strategy.trial import Batch, Trial
from eas_train.strategy.uniform import Moment, Uniform
from eas_train.supernet.loss import cross_entropy
from eas_train.supernet.model import Supernet
from eas_train.supernet.norm import BatchStatistics
from eas_train.supernet.recipe import Phase

SLOPE, FLOOR = 0.999, 5e-4
"""p = SLOPE sigmoid(theta) + FLOOR: never certain, so that every branch can still learn."""

TRIES = 10_000
"""Draws of one cell that needs a branch, before its likeliest is taken."""

Gates = npt.NDArray[np.bool_]


def mean_space(space: Space) -> CellSpace:
    """A space whose cells average their branches.

    Raises:
        TrainingError: it is of another form.
    """
    if not isinstance(space, CellSpace) or space.single:
        raise TrainingError(
            "NSE evolves a space of cells that are joined as means, such as the presets 'nse' and 'nse-small'; "
            f"this one is a {type(space).__name__}{'' if not isinstance(space, CellSpace) else ' of residuals'}"
        )
    return space


@dataclass(frozen=True, eq=False)
class Demand:
    """What networks cost, in millions of multiply-adds or in milliseconds.

    Attributes:
        table: in multiply-adds or milliseconds; unit: how many of them make one here.
        base: everything outside the cells; branch: float32 [features].
    """

    table: SumTable
    unit: float
    base: float
    branch: npt.NDArray[np.float32]

    @classmethod
    def of(cls, space: CellSpace, recipe: NseRecipe, classes: int) -> Demand:
        """Of a space's networks.

        Raises:
            TableError: the latency table lacks a segment of the space.
        """
        if recipe.latency_table is None:
            table, unit = madds_table(space), 1e6
        else:
            table, unit = choice_table(space, read(recipe.latency_table), classes), 1.0
        branch = (space.by_block(table.parts) / unit).astype(np.float32)
        return cls(table, unit, (table.base + table.per_class * classes) / unit, branch)

    def total(self, space: CellSpace, architectures: Sequence[Architecture], classes: int) -> npt.NDArray[np.float64]:
        """Of architectures, means included."""
        return np.asarray(self.table.total(space, space.encode(architectures), classes) / self.unit, np.float64)


class Fitness(Uniform):
    """Trains branches that are drawn evenly, and drops those that turn out unfit.

    Attributes:
        theta: [features], the indicators; alive: [features], which branches are left.
        locked: [features], those that are never dropped: what the last round's best networks had ("lock and rehearse").
    """

    def __init__(
        self, recipe: NseRecipe, net: Supernet, trial: Trial, seed: int, inherited: Sequence[Sequence[Block]] = ()
    ) -> None:
        super().__init__(net)
        self.recipe, self.trial, self.seed, self.space = recipe, trial, seed, mean_space(net.space)
        device = next(net.parameters()).device
        self.theta = torch.zeros(self.space.features, device=device, requires_grad=True)
        self.optimizer = torch.optim.Adam([self.theta], lr=recipe.theta_learning_rate)
        cells = self.space.cells
        self.cell_of = np.repeat(np.arange(len(cells)), [len(cell.blocks) for cell in cells])
        self.alive: Gates = np.ones(self.space.features, np.bool_)
        kept = inherited or [()] * len(cells)
        self.locked: Gates = np.array([b in kept[c] for c, cell in enumerate(cells) for b in cell.blocks], np.bool_)
        self.demand = Demand.of(self.space, recipe, net.classes)

    def draw(self, phase: Phase, rng: random.Random, step: int) -> Architecture:
        """See `Uniform.draw`: every branch that is left with probability one half (section 3.2.2)."""
        return self.sampled(np.full(self.space.features, 0.5), rng)

    def sampled(self, probabilities: npt.NDArray[np.floating], rng: random.Random) -> Architecture:
        """A network whose branches are there with given probabilities [features]."""
        return self.space.decode(self._gates(probabilities, rng).astype(np.int8))

    def _gates(self, probabilities: npt.NDArray[np.floating], rng: random.Random) -> Gates:
        """[features] of branches that are left; a cell that needs one is drawn again until it has one."""
        on = np.zeros(self.space.features, np.bool_)
        for c, skips in enumerate(self.space.skips):
            mine = np.flatnonzero((self.cell_of == c) & self.alive)
            for _ in range(TRIES):
                on[mine] = [rng.random() < probabilities[f] for f in mine]
                if skips or on[mine].any():
                    break
            else:
                on[mine[probabilities[mine].argmax()]] = True
        return on

    @property
    def probabilities(self) -> npt.NDArray[np.float64]:
        """[features]: of each branch to be part of a good network."""
        return self._p().detach().cpu().numpy().astype(np.float64)

    def _p(self) -> Tensor:
        return SLOPE * torch.sigmoid(self.theta) + FLOOR

    def after(self, moment: Moment) -> None:
        """See `Uniform.after`: every other step the indicators learn, and unfit branches go."""
        if (moment.step + 1) % self.recipe.theta_every:
            return
        rng = random.Random(self.seed * 1_000_003 + moment.step)
        p = self.probabilities
        batch = self.trial.batch(self.recipe.images, self.seed * 7919 + moment.step, moment.images.shape[-1])
        loss = self.loss(self._gates(p, rng), self._gates(p, rng), batch)
        (self.theta.grad,) = torch.autograd.grad(loss, [self.theta])
        self.optimizer.step()
        self._drop()

    def loss(self, one: Gates, other: Gates, batch: Batch) -> Tensor:
        """Eq. 5 by two configurations of every cell (Eq. 7 and 8), on validation images; differentiable in theta."""
        recipe = self.recipe
        self.evaluated_images += len(batch.targets)
        share = self.share(one, other)
        logits = two_way(self.net, self.space, batch.images, one, other, share)
        demand = self.demand.base + (share * self._costs(one) + (1 - share) * self._costs(other)).sum()
        penalty = recipe.cost_weight * (demand - recipe.target).abs() ** recipe.cost_power
        return cross_entropy(logits, batch.targets, batch.mask) + penalty

    def share(self, one: Gates, other: Gates) -> Tensor:
        """[cells]: how probable the first configuration is, of these two (Eq. 4, rescaled so that both sum to 1)."""
        p, owner = self._p(), torch.from_numpy(self.cell_of).to(self.theta.device)
        logs = []
        for gates in (one, other):
            chances = torch.where(torch.from_numpy(gates).to(p.device), p, 1 - p).log()
            chances = chances * torch.from_numpy(self.alive).to(p.device)
            logs.append(torch.zeros(len(self.space.cells), device=p.device).index_add(0, owner, chances))
        return torch.sigmoid(logs[0] - logs[1])

    def _costs(self, gates: Gates) -> Tensor:
        """[cells]: what a configuration of each costs."""
        totals = np.bincount(self.cell_of, self.demand.branch * gates, len(self.space.cells))
        return torch.from_numpy(totals.astype(np.float32)).to(self.theta.device)

    def _drop(self) -> None:
        """Branches below the threshold go, but for those that are locked and the last one where one is needed."""
        theta = self.theta.detach().cpu().numpy()
        unfit = self.alive & ~self.locked & (theta < self.recipe.threshold)
        for c, skips in enumerate(self.space.skips):
            mine = (self.cell_of == c) & self.alive
            if not skips and mine.any() and not (mine & ~unfit).any():
                unfit[np.flatnonzero(mine)[theta[mine].argmax()]] = False
        self.alive &= ~unfit

    def state(self) -> dict[str, Any]:
        """See `Uniform.state`."""
        return super().state() | {
            "theta": self.theta.detach().cpu(),
            "optimizer": self.optimizer.state_dict(),
            "alive": self.alive.tolist(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """See `Uniform.restore`."""
        super().restore(state)
        with torch.no_grad():
            self.theta.copy_(state["theta"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.alive = np.array(state["alive"], np.bool_)


def two_way(net: Supernet, space: CellSpace, images: Tensor, one: Gates, other: Gates, share: Tensor) -> Tensor:
    """Logits of the network with the first configuration of every cell.

    Each cell's output is that of its first configuration, and its gradient in `share` [cells] is that of the mixture
    share o_a + (1 - share) o_b: dL/do times the outputs, the simulated gradient of Eq. 7.
    """
    norm = BatchStatistics(space.epsilon)
    made: dict[str, Tensor] = {INPUT: images}

    def run(nodes: Sequence[Node]) -> Tensor:
        for node in nodes:
            made[node.name] = net.evaluate(node, [made[name] for name in node.inputs], norm)
        return made[nodes[-1].name]

    x = run(list(network.before(space)))
    feature = 0
    for c, cell in enumerate(space.cells):
        made[network.SOURCE] = x
        held: tuple[list[Tensor], list[Tensor]] = ([x], [x]) if space.skips[c] else ([], [])
        for block in cell.blocks:
            if one[feature] or other[feature]:
                result = run(list(network.block_nodes(space, c, block, network.SOURCE)))
                for ends, gates in zip(held, (one, other), strict=True):
                    if gates[feature]:
                        ends.append(result)
            feature += 1
        a, b = (torch.stack(ends).mean(0) for ends in held)
        change = share[c] - share[c].detach()  # zero, with a gradient
        x = a + change * (a.detach() - b.detach())
    made[network.SOURCE] = x
    return run(list(network.after(space, network.SOURCE, net.classes)))
