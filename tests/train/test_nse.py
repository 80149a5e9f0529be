"""NSE: the gradient of its indicators, what is dropped and refilled, and the front."""

from __future__ import annotations

import dataclasses
import itertools
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

torch = pytest.importorskip("torch")

from cell_spaces import MEANS  # noqa: E402
from latency.tables import random_table  # noqa: E402
from train.tiny import CPU, drawings, random_net  # noqa: E402

from eas_sdk.errors import TrainingError  # noqa: E402
from eas_sdk.latency.table import write  # noqa: E402
from eas_sdk.space.architecture import Architecture, Block  # noqa: E402
from eas_sdk.space.cells import network  # noqa: E402
from eas_sdk.space.cells.space import Cell, CellSpace  # noqa: E402
from eas_sdk.space.presets import NSE  # noqa: E402
from eas_sdk.space.tables import madds_table  # noqa: E402
from eas_train.nse.fitness import Fitness, two_way  # noqa: E402
from eas_train.nse.retrieval import Judged, pareto, retrieve  # noqa: E402
from eas_train.nse.rounds import aggregated, refilled, shuffled  # noqa: E402
from eas_train.strategy.recipe import NseRecipe  # noqa: E402
from eas_train.strategy.trial import Trial  # noqa: E402
from eas_train.strategy.uniform import Moment  # noqa: E402
from eas_train.supernet.norm import BatchStatistics  # noqa: E402
from eas_train.supernet.recipe import Phase  # noqa: E402

BLOCKS = (Block(3, 1), Block(5, 1), Block(3, 1, 2), Block(7, 2), Block(5, 1, factorised=True))
EVOLVED = CellSpace(
    input_size=24,
    width_multiplier=1.0,
    stem_stride=2,
    stem_width=8,
    first_width=None,
    head_width=24,
    feature_width=None,
    activation="relu",
    merge="mean",
    cells=(Cell(8, 1, BLOCKS), Cell(16, 2, BLOCKS), Cell(16, 1, BLOCKS)),
)
"""Five operations in each of three cells."""
LONGER = dataclasses.replace(
    EVOLVED,
    cells=tuple(dataclasses.replace(cell, blocks=(*BLOCKS, Block(3, 2), Block(9, 1))) for cell in EVOLVED.cells),
)
"""Seven of them: with K = 3 there are two rounds at least."""
SETTINGS: dict[str, Any] = {
    "kind": "nse",
    "target": 0.35,
    "drift": 0.15,
    "candidates": 3,
    "images": 12,
    "cost_weight": 0.1,
    "samples": 6,
    "edge_samples": 3,
    "recalibration_images": 24,
}
PHASE = Phase(name="branches", steps=6, learning_rate=0.05)


def fitness(space: CellSpace = EVOLVED, inherited: tuple[tuple[Block, ...], ...] = (), **changes: Any) -> Fitness:
    net = random_net(space)
    trial = Trial(net, drawings(5, 1, space.input_size), CPU)
    return Fitness(NseRecipe.model_validate(SETTINGS | changes), net, trial, 0, inherited)


def random_gates(made: Fitness, seed: int) -> np.ndarray:
    return made._gates(np.full(made.space.features, 0.5), random.Random(seed))


# Indicators


@pytest.mark.parametrize("space", [EVOLVED, MEANS], ids=["plain", "odd"])
def test_the_two_way_network_computes_what_its_first_configuration_does(space: CellSpace) -> None:
    made = fitness(space)
    images = torch.rand(6, 3, space.input_size, space.input_size)
    one, other = random_gates(made, 1), random_gates(made, 2)
    share = torch.full((len(space.cells),), 0.3, requires_grad=True)
    logits = two_way(made.net, space, images, one, other, share)
    expected = made.net(images, space.decode(one.astype(np.int8)))
    torch.testing.assert_close(logits, expected, rtol=1e-4, atol=1e-5)
    (gradient,) = torch.autograd.grad(logits.square().sum(), [share])
    first = np.cumsum([0, *(len(cell.blocks) for cell in space.cells)])
    for c, (start, stop) in enumerate(itertools.pairwise(first)):
        same = (one[start:stop] == other[start:stop]).all()
        assert (gradient[c] == 0) == bool(same)


def test_a_cell_s_gradient_is_the_loss_s_in_the_mixture_of_its_two_outputs() -> None:
    """Eq. 7 on a network of one cell, whose mixture can be computed outright: at share 1 both agree."""
    space = dataclasses.replace(EVOLVED, cells=EVOLVED.cells[1:2])
    made = fitness(space)
    images = torch.rand(6, 3, 24, 24)
    one, other = np.array([1, 0, 0, 1, 0], bool), np.array([0, 1, 0, 1, 1], bool)
    share = torch.ones(1, requires_grad=True)
    (found,) = torch.autograd.grad(two_way(made.net, space, images, one, other, share).square().sum(), [share])
    norm, tensors = BatchStatistics(1e-5), {"image": images}

    def run(nodes: list[Any]) -> torch.Tensor:
        for node in nodes:
            tensors[node.name] = made.net.evaluate(node, [tensors[name] for name in node.inputs], norm)
        return tensors[nodes[-1].name]

    tensors["source"] = run(list(network.before(space)))
    ends = [run(list(network.block_nodes(space, 0, block, "source"))) for block in BLOCKS]
    outputs = [torch.stack([e for e, on in zip(ends, gates, strict=True) if on]).mean(0) for gates in (one, other)]
    weight = torch.ones((), requires_grad=True)
    tensors["source"] = weight * outputs[0].detach() + (1 - weight) * outputs[1].detach()
    logits = run(list(network.after(space, "source", made.net.classes)))
    (expected,) = torch.autograd.grad(logits.square().sum(), [weight])
    torch.testing.assert_close(found[0], expected, rtol=1e-4, atol=1e-6)


def test_the_share_of_a_configuration_is_its_probability_among_the_two() -> None:
    made = fitness()
    with torch.no_grad():
        made.theta.copy_(torch.randn(15, generator=torch.Generator().manual_seed(0)))
    made.alive[3] = False
    one, other = random_gates(made, 3), random_gates(made, 4)
    p = 0.999 / (1 + np.exp(-made.theta.detach().numpy())) + 5e-4
    for c in range(3):
        chances = [
            np.prod([p[f] if gates[f] else 1 - p[f] for f in range(5 * c, 5 * c + 5) if made.alive[f]])
            for gates in (one, other)
        ]
        share = float(made.share(one, other)[c].detach())
        assert share == pytest.approx(chances[0] / sum(chances), rel=1e-4)


def test_costs_above_the_target_pull_dear_branches_down() -> None:
    made = fitness(target=0.01, drift=0.005, cost_weight=100.0)
    for step in range(1, 121, 2):
        made.after(Moment(step, 0.1, EVOLVED.largest, torch.empty(1, 3, 24, 24), torch.empty(0), torch.empty(0)))
    theta = made.theta.detach().numpy()
    dear = np.arange(15) % 5 >= 3  # the widest, and the factorised one
    assert theta[dear].mean() < theta[~dear].mean()
    assert not made.alive[dear].all()


def test_what_is_unfit_goes_but_for_what_is_locked_or_the_last_that_is_needed() -> None:
    made = fitness(inherited=((BLOCKS[0],), (), (BLOCKS[2],)))
    with torch.no_grad():
        made.theta.fill_(-3.0)
        made.theta[7] = -2.5
    made._drop()
    assert np.flatnonzero(made.alive).tolist() == [0, 7, 12], "locked; the best where one is needed; locked"
    for seed in range(5):
        assert made.draw(PHASE, random.Random(seed), 0).units[1] == (BLOCKS[2],)


def test_every_branch_is_drawn_half_of_the_time() -> None:
    made = fitness()
    rng = random.Random(0)
    rows = EVOLVED.features_of(EVOLVED.encode([made.draw(PHASE, rng, 0) for _ in range(800)]))
    normal = [*range(5), *range(10, 15)]
    assert rows[:, normal].mean(0) == pytest.approx(np.full(10, 0.5), abs=0.06)
    assert rows[:, 5:10].any(1).all()


# Spaces


def test_rounds_refill_without_repeats_until_too_few_are_left() -> None:
    """26 operations, four at a time where one is inherited: six rounds, as the paper's (27 - 1) // (5 - 1)."""
    pending = shuffled(NSE, seed=0)
    assert pending != shuffled(NSE, seed=1)
    inherited: tuple[tuple[Block, ...], ...] = ((),) * 22
    seen: list[set[Block]] = [set() for _ in range(22)]
    rounds = 0
    while (space := refilled(NSE, inherited, pending, 5)) is not None:
        rounds += 1
        for c, cell in enumerate(space.cells):
            assert len(cell.blocks) == 5
            new = set(cell.blocks) - set(inherited[c])
            assert not new & seen[c]
            seen[c] |= new
            assert list(cell.blocks) == [b for b in NSE.cells[c].blocks if b in cell.blocks], "in the space's order"
        inherited = tuple(cell.blocks[:1] for cell in space.cells)
    assert rounds == 6
    assert all(len(each) == 25 for each in seen)


def test_a_cell_that_inherits_more_than_its_share_gets_nothing_new() -> None:
    pending = shuffled(EVOLVED, 0)
    before = [list(turns) for turns in pending]
    space = refilled(EVOLVED, (BLOCKS[:4], (), ()), pending, 3)
    assert space is not None
    assert [len(cell.blocks) for cell in space.cells] == [4, 3, 3]
    assert pending[0] == before[0]


def test_a_search_ends_where_no_cell_has_room() -> None:
    pending = shuffled(EVOLVED, 0)
    assert refilled(EVOLVED, (BLOCKS[:3], BLOCKS[2:], BLOCKS[:4]), pending, 3) is None
    assert list(map(len, pending)) == [5, 5, 5]


def test_the_aggregated_space_is_the_smallest_that_holds_the_front() -> None:
    front = [
        Judged(Architecture.parse("k3e1 k5e1 | k7e2 | -"), 0.3, 0.5),
        Judged(Architecture.parse("k5e1 | 1x5e1 | -"), 0.4, 0.6),
    ]
    assert aggregated(front, 3) == ((BLOCKS[0], BLOCKS[1]), (BLOCKS[3], BLOCKS[4]), ())


@given(st.lists(st.tuples(st.integers(0, 20), st.integers(0, 20)), min_size=1, max_size=30))
def test_a_front_beats_everything_that_is_not_in_it(points: list[tuple[int, int]]) -> None:
    judged = [Judged(EVOLVED.largest, float(cost), float(accuracy)) for cost, accuracy in points]
    front = pareto(judged)
    for a, b in itertools.pairwise(front):
        assert a.cost < b.cost
        assert a.accuracy < b.accuracy
    for one in judged:
        assert any(best.cost <= one.cost and best.accuracy >= one.accuracy for best in front)


# Retrieval


def test_the_front_lies_in_its_band_and_knows_those_below(tmp_path: Path) -> None:
    made = fitness()
    images = torch.rand(16, 3, 24, 24)
    rehearsed = [Architecture.parse("k3e1 | k3e1 | k3e1")]
    front, judged = retrieve(made, made.recipe, rehearsed, images, tmp_path / "judged.json", "a")
    assert rehearsed[0] in {one.architecture for one in judged}
    assert all(0.2 <= one.cost <= 0.5 for one in front)
    assert any(one.cost < 0.2 for one in judged)
    for one in judged:
        madds = madds_table(EVOLVED).total(EVOLVED, EVOLVED.encode([one.architecture]), 6)[0]
        assert one.cost == pytest.approx(madds / 1e6)
        assert 0 <= one.accuracy <= 1
    evaluated = made.evaluated_images
    again = retrieve(made, made.recipe, rehearsed, images, tmp_path / "judged.json", "a")
    assert again == (front, judged)
    assert made.evaluated_images == evaluated, "nothing is judged twice"
    with pytest.raises(TrainingError, match="belongs to another training"):
        retrieve(made, made.recipe, rehearsed, images, tmp_path / "judged.json", "b")
    (tmp_path / "judged.json").write_text("{")
    with pytest.raises(TrainingError, match="is damaged"):
        retrieve(made, made.recipe, rehearsed, images, tmp_path / "judged.json", "a")


def test_a_target_that_nothing_meets_is_told(tmp_path: Path) -> None:
    made = fitness(target=90.0)
    with pytest.raises(TrainingError, match=r"none of .* networks costs 89\.85 to 90\.15"):
        retrieve(made, made.recipe, [], torch.rand(8, 3, 24, 24), tmp_path / "judged.json", "a")


def test_milliseconds_can_be_the_cost(tmp_path: Path) -> None:
    table = random_table(EVOLVED, 1)
    write(table, tmp_path / "table.json")
    made = fitness(latency_table=str(tmp_path / "table.json"), target=4.0, drift=2.0)
    architecture = Architecture.parse("k3e1 k5e1 | k7e2 1x5e1 | -")
    (cost,) = made.demand.total(EVOLVED, [architecture], 6)
    assert cost >= table.latency_ms(EVOLVED.structure(architecture, 6)) * (1 - 1e-9)
    front, _ = retrieve(made, made.recipe, [], torch.rand(8, 3, 24, 24), tmp_path / "judged.json", "a")
    assert all(2.0 <= one.cost <= 6.0 for one in front)
