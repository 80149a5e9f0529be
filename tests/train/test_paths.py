"""The multi-path encoding: shares of candidates, the mixture of their outputs, and the generator that gives them."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from train.tiny import (  # noqa: E402
    GENTLE,
    SIZES,
    SPACES,
    TINY,
    architectures,
    collected,
    drawings,
    random_images,
    random_net,
)

from eas_sdk.selector.generator import load  # noqa: E402
from eas_sdk.space.architecture import Architecture  # noqa: E402
from eas_sdk.space.elastic.gates import GateLayout, gates_of_choices  # noqa: E402
from eas_sdk.space.elastic.space import ElasticSpace  # noqa: E402
from eas_sdk.space.protocol import size_of  # noqa: E402
from eas_sdk.space.tables import madds_table  # noqa: E402
from eas_train.generator.gates import Shells, expected_cost  # noqa: E402
from eas_train.generator.model import ArchitectureGenerator  # noqa: E402
from eas_train.generator.paths import mixed_forward, sample_paths  # noqa: E402
from eas_train.generator.train import new_generator, train_generator  # noqa: E402
from eas_train.recipe import GeneratorRecipe  # noqa: E402
from eas_train.statistics.model import LayerStatistics  # noqa: E402
from eas_train.supernet.resize import resized  # noqa: E402


def zeros(space: ElasticSpace) -> torch.Tensor:
    """Logits of all options alike."""
    return torch.zeros(len(space.options), max(space.options))


RECIPE = GeneratorRecipe(encoding="multi-path", steps=2, requests=1, batch_size=2, budgets=4, embedding=8, hidden=16)


@pytest.mark.parametrize(("name", "count"), [("tiny", 8), ("sizes", 12), ("small", 3)])
def test_paths_with_shares_of_zero_and_one_are_the_sub_network(name: str, count: int) -> None:
    space = SPACES[name]
    net, images = random_net(space), random_images(space, 3)
    table = collected(net)
    members = architectures(space, count, seed=2)
    gates = torch.from_numpy(gates_of_choices(space, space.encode(members))).float()
    for architecture, row in zip(members, gates, strict=True):
        with torch.no_grad():
            seen = resized(images, size_of(space, architecture))
            expected = net(seen, architecture, table.norm(architecture))
            found = mixed_forward(net, images, Shells.of(space, row), table)
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4 * float(expected.abs().max()))


@pytest.mark.parametrize("name", ["tiny", "sizes", "narrowed"])
def test_a_mixture_lies_between_its_paths_and_has_a_gradient(name: str) -> None:
    bound = Architecture.parse("24px k3e1 | k3e3 k3e2 | k5e2 k3e4")
    space = SPACES[name] if name in SPACES else dataclasses.replace(SIZES, largest=bound)
    net, images = random_net(space), random_images(space, 3)
    table = collected(net)
    logits = zeros(space).requires_grad_()
    shells = sample_paths(space, logits, 1.0, torch.Generator().manual_seed(0))
    there = torch.arange(logits.shape[1]) <= torch.from_numpy(space.most).unsqueeze(1)
    assert bool((shells.chosen[~there] == 0).all()), "options that the bank lacks"
    choosing = there.sum(1) > 1
    assert float(shells.chosen[choosing].detach().max()) < 1
    torch.testing.assert_close(shells.chosen.sum(1), torch.ones(len(logits)))
    low, high = madds_table(space).total(space, space.encode([space.smallest, space.largest]), 6).tolist()
    assert low < float(expected_cost(madds_table(space), shells, 6).detach()) < high
    mixed_forward(net, images, shells, table).square().sum().backward()
    assert logits.grad is not None
    assert (logits.grad[there & choosing.unsqueeze(1)] != 0).all()
    assert not logits.grad[~there].any()


class Spied(LayerStatistics):
    """Notes the gates that it is asked for."""

    def at(self, gates: torch.Tensor) -> torch.Tensor:
        asked.append(gates.detach())
        return super().at(gates)


asked: list[torch.Tensor] = []


def test_each_path_is_normalised_for_its_own_kernel_and_ratio_and_what_is_mixed_before_it() -> None:
    net, images = random_net(TINY), random_images(TINY, 2)
    table = collected(net)
    name = "unit2.block1.project"
    layers = {**table.layers, name: Spied(*vars(table.layers[name]).values())}
    shells = sample_paths(TINY, zeros(TINY), 1.0, torch.Generator().manual_seed(0))
    asked.clear()
    with torch.no_grad():
        mixed_forward(net, images, shells, dataclasses.replace(table, layers=layers))
    _, kernel, expansion, _ = TINY.layout.split(TINY.layout.places)
    own, before = [*kernel[5], *expansion[5]], [*kernel[4], *expansion[4]]  # slot 5 is block 1 of unit 2
    assert len({tuple(gates[own].tolist()) for gates in asked}) == len(asked) == 9
    for gates in asked:
        assert set(gates[own].tolist()) <= {0.0, 1.0}
        assert ((gates[before] > 0) & (gates[before] < 1)).all()


def test_draws_follow_the_softmax_of_the_logits() -> None:
    logits = zeros(SIZES)
    units, size = len(SIZES.units), -1
    logits[units - 1] = logits[size] = torch.tensor([0.0, 1.0, 2.0])
    rng = torch.Generator().manual_seed(0)
    drawn = torch.stack([sample_paths(SIZES, logits, 0.01, rng).chosen for _ in range(2000)]).mean(0)
    for row in (units - 1, size):  # the last unit's depth, the size
        torch.testing.assert_close(drawn[row], logits[row].softmax(0), atol=0.03, rtol=0)


def generator(space: ElasticSpace, superclasses: int = 3) -> ArchitectureGenerator:
    torch.manual_seed(0)
    budgets = torch.tensor([1e6, 2e6, 4e6], dtype=torch.float64)
    made = ArchitectureGenerator(space, superclasses, budgets, embedding=8, hidden=16, encoding="multi-path")
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.normal_(0, 0.7)
    return made


@pytest.mark.parametrize("space", [TINY, SIZES], ids=["tiny", "sizes"])
def test_the_device_samples_options_with_the_probabilities_of_the_softmax(space: ElasticSpace) -> None:
    made = generator(space)
    tensors = {name: tensor.numpy() for name, tensor in made.export(3).items()}
    tensors["predictor"] = np.zeros((3, GateLayout.of(space).gates), np.float32)
    config = {"budgets": made.budgets.tolist(), "samples": 4, "encoding": "multi-path"}
    twin = load(space, 3, config, tensors)
    with torch.no_grad():
        logits = made(torch.tensor([0, 1, 2]), torch.tensor([1e6, 2.5e6, 4e6]))
    gates = twin.probabilities(np.eye(3), np.array([1_000_000, 2_500_000, 4_000_000]))
    assert logits.shape == (3, len(space.options), 3)
    for row, on in zip(logits, gates, strict=True):
        for choice, places in zip(row, space.layout.places, strict=True):
            mine = places[places < len(on)]
            reached = np.cumprod([1, *on[mine], 0])
            expected = choice[: len(mine) + 1].softmax(-1).numpy()
            np.testing.assert_allclose(reached[:-1] - reached[1:], expected, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "objective"), [("tiny", "cross-entropy"), ("tiny", "predictor"), ("sizes", "cross-entropy")]
)
def test_it_is_trained_by_both_objectives(name: str, objective: str, tmp_path: Path) -> None:
    space = SPACES[name]
    net = random_net(space)
    recipe = RECIPE.model_copy(update={"objective": objective, "image_size": 16})
    worth = np.ones((2, GateLayout.of(space).gates))
    one, _ = train_generator(recipe, net, collected(net), worth, drawings(4, 1), GENTLE, tmp_path, fingerprint="a")
    start = new_generator(recipe, net, [3, 3])
    for head, options in (("kernel", max(space.layout.kernels)), ("size", len(space.input_sizes))):
        trained, before = (getattr(made, head).weight for made in (one, start))
        assert trained.shape == (options, 16)
        assert torch.equal(trained, before) == (options == 1), "a softmax of one option has no gradient"
    assert (tmp_path / "generator.pt").exists()


def test_a_generator_that_is_not_told_the_superclass_gives_all_the_same(tmp_path: Path) -> None:
    net = random_net(TINY)
    recipe = RECIPE.model_copy(update={"encoding": "single-path", "conditioned": False, "objective": "predictor"})
    worth = np.random.default_rng(0).normal(size=(2, GateLayout.of(TINY).gates))
    made, _ = train_generator(recipe, net, collected(net), worth, drawings(4, 1), GENTLE, tmp_path, fingerprint="a")
    with torch.no_grad():
        logits = made(torch.tensor([0, 1]), torch.tensor([1e6, 1e6]))
    assert torch.equal(logits[0], logits[1])
    exported = made.export(2)["superclass_embedding"]
    assert exported.shape == (2, 8)
    assert torch.equal(exported[0], exported[1])
