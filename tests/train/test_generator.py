"""The generator in torch and its numpy twin on the device; how it is trained."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from train.tiny import (  # noqa: E402
    GENTLE,
    SIZES,
    SPACES,
    TINY,
    collected,
    drawings,
    interrupted_after,
    random_net,
)

from eas_sdk.errors import TrainingError  # noqa: E402
from eas_sdk.graph.nodes import DepthwiseConv2d  # noqa: E402
from eas_sdk.latency.build import space_segments  # noqa: E402
from eas_sdk.latency.meter import Conditions, Timing  # noqa: E402
from eas_sdk.latency.segments import key  # noqa: E402
from eas_sdk.latency.table import LatencyTable  # noqa: E402
from eas_sdk.latency.table import write as write_table  # noqa: E402
from eas_sdk.selector.generator import HEADS, load  # noqa: E402
from eas_sdk.selector.protocol import Request  # noqa: E402
from eas_sdk.space.elastic.gates import GateLayout  # noqa: E402
from eas_sdk.space.elastic.space import ElasticSpace  # noqa: E402
from eas_sdk.space.sample import random_architecture  # noqa: E402
from eas_sdk.space.tables import madds_table  # noqa: E402
from eas_train.generator.cost import cost_table  # noqa: E402
from eas_train.generator.gates import Shells, expected_cost  # noqa: E402
from eas_train.generator.model import ArchitectureGenerator  # noqa: E402
from eas_train.generator.train import new_generator, train_generator  # noqa: E402
from eas_train.recipe import GeneratorRecipe  # noqa: E402
from eas_train.statistics.model import StatisticsModel  # noqa: E402
from eas_train.supernet.model import Supernet  # noqa: E402

BUDGETS = [1e6, 2e6, 3e6, 5e6]


def random_generator(space: ElasticSpace, superclasses: int = 3) -> ArchitectureGenerator:
    torch.manual_seed(0)
    budgets = torch.tensor(BUDGETS, dtype=torch.float64)
    generator = ArchitectureGenerator(space, superclasses, budgets, embedding=8, hidden=16)
    with torch.no_grad():
        for parameter in generator.parameters():
            parameter.normal_(0, 0.7)
    return generator


@pytest.mark.parametrize("name", SPACES)
def test_torch_and_numpy_give_the_same_probabilities(name: str) -> None:
    space = SPACES[name]
    generator = random_generator(space)
    tensors = {key: tensor.numpy() for key, tensor in generator.export(3).items()}
    tensors["predictor"] = np.zeros((3, generator.layout.gates), np.float32)
    twin = load(space, 3, {"budgets": generator.budgets.tolist(), "samples": 4}, tensors)
    superclasses = np.arange(40) % 3
    madds = np.linspace(0.5e6, 6e6, 40).astype(int)
    with torch.no_grad():
        logits = generator(torch.from_numpy(superclasses), torch.from_numpy(madds))
    found = twin.probabilities(np.eye(3)[superclasses], madds)
    assert found.shape == (40, generator.layout.gates)
    assert np.ptp(found, axis=0).mean() > 0.1  # the requests do differ
    np.testing.assert_allclose(found, torch.sigmoid(logits), atol=1e-5)


def test_each_sort_of_choice_has_a_head_of_its_own() -> None:
    """Of as many outputs as one choice of it has at most; what a choice lacks does not count."""
    generator = random_generator(SIZES)
    heads = {name: getattr(generator, name).weight.shape[0] for name in HEADS}
    assert heads == {"depth": 2, "kernel": 1, "expansion": 2, "size": 2}
    asked = torch.tensor([1]), torch.tensor([2e6])
    layout = SIZES.layout
    with torch.no_grad():
        before = generator(*asked)[0]
        generator.size.bias += 1
        moved = torch.nonzero(generator(*asked)[0] != before).flatten()
    assert moved.tolist() == layout.places[-1, :2].tolist()
    assert random_generator(TINY).size.weight.shape == (0, 16)


def read_by_the_lstm(generator: ArchitectureGenerator, madds: list[float]) -> torch.Tensor:
    """[M, D]: the budget's part of what the LSTM is given."""
    seen: list[torch.Tensor] = []
    hook = generator.lstm.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    with torch.no_grad():
        generator(torch.zeros(len(madds), dtype=torch.int64), torch.tensor(madds, dtype=torch.float64))
    hook.remove()
    steps = seen[0][..., 8:]
    assert (steps == steps[:, :1]).all()
    return steps[:, 0]


def test_a_budget_with_an_embedding_uses_it_exactly() -> None:
    generator = random_generator(TINY)
    assert torch.equal(read_by_the_lstm(generator, BUDGETS), generator.budget_embedding.weight)


def test_budgets_between_are_interpolated_linearly_and_those_outside_take_the_end() -> None:
    generator = random_generator(TINY)
    table = generator.budget_embedding.weight.detach()
    found = read_by_the_lstm(generator, [1.25e6, 2.5e6, 3.5e6, 0.1e6, 9e6])
    expected = torch.stack(
        [
            0.75 * table[0] + 0.25 * table[1],
            0.5 * table[1] + 0.5 * table[2],
            0.75 * table[2] + 0.25 * table[3],
            table[0],
            table[3],
        ]
    )
    torch.testing.assert_close(found, expected)


def test_a_batch_of_requests_is_answered_like_each_alone() -> None:
    generator = random_generator(TINY)
    superclasses, madds = torch.tensor([0, 2, 1, 0]), torch.tensor([1.1e6, 2e6, 4e6, 3e6])
    with torch.no_grad():
        together = generator(superclasses, madds)
        alone = [generator(superclasses[i : i + 1], madds[i : i + 1])[0] for i in range(4)]
    torch.testing.assert_close(together, torch.stack(alone))


@pytest.mark.parametrize("space", [TINY, SIZES], ids=["tiny", "sizes"])
def test_the_budgets_span_the_space_evenly(space: ElasticSpace) -> None:
    generator = new_generator(GeneratorRecipe(budgets=5), random_net(space), [3, 3])
    low, high = madds_table(space).total(space, space.encode([space.smallest, space.largest]), 3).tolist()
    np.testing.assert_allclose(generator.budgets, np.linspace(low, high, 5))


RECIPE = GeneratorRecipe(steps=3, requests=2, batch_size=4, budgets=4, embedding=8, hidden=16, image_size=16)


FLAT = np.zeros((2, GateLayout.of(TINY).gates))
"""No preference."""


@pytest.fixture(scope="module")
def net() -> Supernet:
    return random_net(TINY)


@pytest.fixture(scope="module")
def statistics(net: Supernet) -> StatisticsModel:
    return collected(net)


@pytest.fixture(scope="module")
def train(net: Supernet, statistics: StatisticsModel) -> Callable[..., ArchitectureGenerator]:
    def run(folder: Path, recipe: GeneratorRecipe = RECIPE, fingerprint: str = "a") -> ArchitectureGenerator:
        return train_generator(recipe, net, statistics, FLAT, drawings(4, 1), GENTLE, folder, fingerprint=fingerprint)[
            0
        ]

    return run


Train: TypeAlias = Callable[..., ArchitectureGenerator]


def test_training_moves_the_generator_alone_and_is_reproducible(net: Supernet, train: Train, tmp_path: Path) -> None:
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    one, other = (train(tmp_path / name).state_dict() for name in ("one", "other"))
    start = new_generator(RECIPE, net, [3, 3]).state_dict()
    assert all(torch.equal(net.state_dict()[name], tensor) for name, tensor in before.items())
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert not torch.equal(one["lstm.weight_ih_l0"], start["lstm.weight_ih_l0"])


def test_training_goes_on_exactly_where_it_stopped(
    train: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Interrupted after step 102, all that is left is the checkpoint of step 100."""
    recipe = RECIPE.model_copy(update={"steps": 104, "requests": 1, "batch_size": 1})
    whole = train(tmp_path / "whole", recipe)
    with monkeypatch.context() as patch:
        patch.setattr("eas_train.generator.train.progress", interrupted_after(102))
        with pytest.raises(KeyboardInterrupt):
            train(tmp_path / "cut", recipe)
    resumed = train(tmp_path / "cut", recipe).state_dict()
    assert all(torch.equal(resumed[name], tensor) for name, tensor in whole.state_dict().items())


def test_it_learns_to_keep_to_the_budget(train: Train, tmp_path: Path) -> None:
    recipe = RECIPE.model_copy(update={"steps": 100, "batch_size": 1, "learning_rate": 0.03})
    generator = train(tmp_path, recipe)
    log = [json.loads(line) for line in (tmp_path / "generator.jsonl").read_text().splitlines()]
    assert [line["step"] for line in log] == [20, 40, 60, 80, 100]
    low, high = (float(generator.budgets[i]) for i in (0, -1))
    wanted = torch.tensor([low, (low + high) / 2, high], dtype=torch.float64)
    with torch.no_grad():
        gates = torch.sigmoid(generator(torch.tensor([0, 0, 0]), wanted))
        costs = [float(expected_cost(madds_table(TINY), Shells.of(TINY, p), 3)) for p in gates]
    assert costs[0] < costs[1] < costs[2]
    assert costs[2] - costs[0] > 0.4 * (high - low)


def test_over_several_sizes_it_learns_to_keep_to_the_budget(tmp_path: Path) -> None:
    """Also on the device, which it tells to take larger images where there is more to spend."""
    net = random_net(SIZES)
    table, data = collected(net), drawings(4, 1)
    recipe = RECIPE.model_copy(
        update={"steps": 300, "learning_rate": 0.03, "objective": "predictor", "cost_weight": 0.1}
    )
    worth = np.zeros((2, SIZES.layout.gates))
    generator, _ = train_generator(recipe, net, table, worth, data, GENTLE, tmp_path, fingerprint="a")
    low, high = (float(generator.budgets[i]) for i in (0, -1))
    wanted = torch.tensor([low, low + 0.2 * (high - low), (low + high) / 2, high], dtype=torch.float64)
    with torch.no_grad():
        gates = torch.sigmoid(generator(torch.zeros(4, dtype=torch.int64), wanted))
        costs = [float(expected_cost(madds_table(SIZES), Shells.of(SIZES, p), 3)) for p in gates]
    for cost, budget in zip(costs, wanted.tolist(), strict=True):
        assert abs(cost - budget) < 0.15 * (high - low)
    tensors = {name: tensor.numpy() for name, tensor in generator.export(2).items()}
    tensors["predictor"] = worth.astype(np.float32)
    selector = load(SIZES, 2, {"budgets": generator.budgets.tolist(), "samples": 64}, tensors)
    picked = selector.select([Request(((0, 1),), 3, int(budget)) for budget in wanted.tolist()])
    madds = madds_table(SIZES).total(SIZES, SIZES.encode(picked), 3)
    assert (madds <= wanted.numpy()).all()
    assert (wanted.numpy()[1:] - madds[1:] < 0.15 * (high - low)).all()
    assert picked[0] == SIZES.smallest
    sides = [architecture.input_size or 0 for architecture in picked]
    assert sides == sorted(sides)
    assert sides[-1] == 32


def test_over_several_sizes_the_cross_entropy_reaches_the_size_head(tmp_path: Path) -> None:
    net = random_net(SIZES)
    recipe = RECIPE.model_copy(update={"cost_weight": 0.0, "image_size": None})
    start = new_generator(recipe, net, [3, 3])
    flat = np.zeros((2, SIZES.layout.gates))
    made, _ = train_generator(recipe, net, collected(net), flat, drawings(4, 1), GENTLE, tmp_path, fingerprint="a")
    for head in HEADS:
        assert not torch.equal(getattr(made, head).weight, getattr(start, head).weight)


def test_it_learns_from_the_cross_entropy_too(net: Supernet, train: Train, tmp_path: Path) -> None:
    start = new_generator(RECIPE, net, [3, 3]).state_dict()
    found = train(tmp_path, RECIPE.model_copy(update={"cost_weight": 0.0})).state_dict()
    assert not torch.equal(found["kernel.weight"], start["kernel.weight"])


def test_it_learns_what_the_predictor_prefers(net: Supernet, statistics: StatisticsModel, tmp_path: Path) -> None:
    """Superclass 0 likes large kernels and few channels, superclass 1 the contrary."""
    layout = GateLayout.of(TINY)
    _, kernel, expansion, _ = (part[part < layout.gates] for part in layout.split(layout.places))
    weights = np.zeros((2, layout.gates))
    for t, sign in ((0, 1.0), (1, -1.0)):
        weights[t, kernel], weights[t, expansion] = sign, -sign
    recipe = RECIPE.model_copy(update={"steps": 150, "learning_rate": 0.03, "objective": "predictor"})
    data = drawings(4, 1)
    generator, seconds = train_generator(recipe, net, statistics, weights, data, GENTLE, tmp_path, fingerprint="a")
    assert seconds > 0
    budget = generator.budgets.mean().repeat(2)
    with torch.no_grad():
        on = torch.sigmoid(generator(torch.tensor([0, 1]), budget)).numpy()
    assert on[0, kernel].mean() > on[1, kernel].mean() + 0.3
    assert on[0, expansion].mean() < on[1, expansion].mean() - 0.3


def test_the_cross_entropy_is_over_the_superclasss_own_classes(statistics: StatisticsModel, tmp_path: Path) -> None:
    biased = random_net(TINY)
    with torch.no_grad():
        biased.tensor("classifier.bias")[3:] += 1000.0
    recipe = RECIPE.model_copy(update={"steps": 20})
    train_generator(recipe, biased, statistics, FLAT, drawings(4, 1), GENTLE, tmp_path, fingerprint="a")
    (line,) = (tmp_path / "generator.jsonl").read_text().splitlines()
    assert json.loads(line)["cross-entropy"] < 100


def test_a_finished_training_is_not_done_again(train: Train, tmp_path: Path) -> None:
    one = train(tmp_path)
    written = (tmp_path / "generator.pt").read_bytes()
    other = train(tmp_path)
    assert (tmp_path / "generator.pt").read_bytes() == written
    assert torch.equal(one.lstm.weight_hh_l0, other.lstm.weight_hh_l0)


def test_a_checkpoint_of_another_training_is_refused(train: Train, tmp_path: Path) -> None:
    train(tmp_path)
    with pytest.raises(TrainingError, match="another recipe"):
        train(tmp_path, fingerprint="b")


def test_a_loss_that_is_not_finite_stops_the_training(statistics: StatisticsModel, tmp_path: Path) -> None:
    broken = random_net(TINY)
    with torch.no_grad():
        broken.tensor("classifier.bias").fill_(float("nan"))
    with pytest.raises(TrainingError, match="finite"):
        train_generator(RECIPE, broken, statistics, FLAT, drawings(4, 1), GENTLE, tmp_path, fingerprint="a")
    assert not (tmp_path / "generator.pt").exists()


def phone_table(space: ElasticSpace = TINY) -> LatencyTable:
    """A phone on which the largest kernels are slow, whatever their multiply-adds."""
    timings = {}
    largest = max(kernel for unit in space.units for kernel in unit.kernels)
    for part in space_segments(space, (2, 3)):
        slow = any(isinstance(node, DepthwiseConv2d) and node.kernel == largest for node in part)
        timings[key(part)] = Timing(5.0 if slow else 0.01 * len(part), 0.0, 1)
    return LatencyTable(Conditions("a phone", "", "litert", 1, "float32", ""), "2026-01-01", timings)


@pytest.mark.parametrize("space", [TINY, SIZES], ids=["tiny", "sizes"])
def test_latencies_on_the_scale_of_multiply_adds(space: ElasticSpace) -> None:
    table = phone_table(space)
    costs, counted = cost_table(space, 3, table), cost_table(space, 3, None)
    ends = space.encode([space.smallest, space.largest])
    np.testing.assert_allclose(costs.total(space, ends, 3), counted.total(space, ends, 3))
    drawn = [random_architecture(space, random.Random(seed)) for seed in range(50)]
    latencies = [table.latency_ms(space.structure(architecture, 3)) for architecture in drawn]
    assert np.corrcoef(latencies, costs.total(space, space.encode(drawn), 3))[0, 1] > 0.999


def test_it_learns_to_keep_to_a_latency(train: Train, tmp_path: Path) -> None:
    write_table(phone_table(), tmp_path / "phone.json")
    recipe = RECIPE.model_copy(
        update={"steps": 300, "learning_rate": 0.03, "objective": "predictor", "cost_weight": 0.1}
    )
    timed = train(tmp_path / "timed", recipe.model_copy(update={"latency_table": str(tmp_path / "phone.json")}))
    counted = train(tmp_path / "counted", recipe)
    low, high = (float(timed.budgets[i]) for i in (0, -1))
    costs = cost_table(TINY, 3, phone_table())
    with torch.no_grad():
        middle = torch.tensor([(low + high) / 2], dtype=torch.float64)
        gates = [torch.sigmoid(made(torch.tensor([0]), middle))[0] for made in (timed, counted)]
        missed = [abs(float(expected_cost(costs, Shells.of(TINY, p), 3)) - float(middle)) for p in gates]
    assert missed[0] < missed[1]
