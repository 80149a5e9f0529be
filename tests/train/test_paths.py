"""The multi-path encoding: shares of candidates, the mixture of their outputs, and the generator that gives them."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from train.tiny import GENTLE, SPACES, TINY, architectures, collected, drawings, random_images, random_net  # noqa: E402

from eas_sdk.selector.generator import load  # noqa: E402
from eas_sdk.space.elastic.gates import GateLayout, gates_of_choices  # noqa: E402
from eas_sdk.space.tables import madds_table  # noqa: E402
from eas_train.generator.gates import Shells, expected_cost  # noqa: E402
from eas_train.generator.model import ArchitectureGenerator  # noqa: E402
from eas_train.generator.paths import mixed_forward, sample_paths  # noqa: E402
from eas_train.generator.train import train_generator  # noqa: E402
from eas_train.recipe import GeneratorRecipe  # noqa: E402
from eas_train.statistics.model import LayerStatistics  # noqa: E402

OUTPUTS = 3 * (3 + 2 * 9)  # of the tiny space: three options for each of 3 units, 9 kernels and 9 ratios
RECIPE = GeneratorRecipe(
    encoding="multi-path", steps=2, requests=1, batch_size=2, budgets=4, embedding=8, hidden=16, augmentation=GENTLE
)


@pytest.mark.parametrize(("name", "count"), [("tiny", 8), ("small", 3)])
def test_paths_with_shares_of_zero_and_one_are_the_sub_network(name: str, count: int) -> None:
    space = SPACES[name]
    net, images = random_net(space), random_images(space, 3)
    table = collected(net)
    members = architectures(space, count, seed=2)
    gates = torch.from_numpy(gates_of_choices(space, space.encode(members))).float()
    for architecture, row in zip(members, gates, strict=True):
        with torch.no_grad():
            expected = net(images, architecture, table.norm(architecture))
            found = mixed_forward(net, images, Shells.of(space, row), table)
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4 * float(expected.abs().max()))


def test_a_mixture_lies_between_its_paths_and_has_a_gradient() -> None:
    net, images = random_net(TINY), random_images(TINY, 3)
    table = collected(net)
    logits = torch.zeros(OUTPUTS, requires_grad=True)
    shells = sample_paths(TINY, logits, 1.0, torch.Generator().manual_seed(0))
    for part in (shells.depth, shells.kernel, shells.expansion):
        assert float(part.detach().max()) < 1
        torch.testing.assert_close(part.sum(-1), torch.ones(len(part)))
    low, high = madds_table(TINY).total(TINY, TINY.encode([TINY.smallest, TINY.largest]), 6).tolist()
    assert low < float(expected_cost(madds_table(TINY), shells, 6).detach()) < high
    mixed_forward(net, images, shells, table).square().sum().backward()
    assert logits.grad is not None
    assert (logits.grad != 0).all()


class Spied(LayerStatistics):
    """Notes the gates that it is asked for."""

    def at(self, gates: torch.Tensor) -> torch.Tensor:
        asked.append(gates.detach())
        return super().at(gates)


asked: list[torch.Tensor] = []


def test_each_path_is_normalised_for_its_own_kernel_and_ratio_and_what_is_mixed_before_it() -> None:
    net, images = random_net(TINY), random_images(TINY, 2)
    table = collected(net)
    name = "unit1.block1.project"
    layers = {**table.layers, name: Spied(*vars(table.layers[name]).values())}
    shells = sample_paths(TINY, torch.zeros(OUTPUTS), 1.0, torch.Generator().manual_seed(0))
    asked.clear()
    with torch.no_grad():
        mixed_forward(net, images, shells, dataclasses.replace(table, layers=layers))
    _, kernel, expansion = GateLayout.of(TINY).split(np.arange(GateLayout.of(TINY).gates))
    own, before = [*kernel[4], *expansion[4]], [*kernel[3], *expansion[3]]  # slot 4 is block 1 of unit 1
    assert len({tuple(gates[own].tolist()) for gates in asked}) == len(asked) == 9
    for gates in asked:
        assert set(gates[own].tolist()) <= {0.0, 1.0}
        assert ((gates[before] > 0) & (gates[before] < 1)).all()


def test_draws_follow_the_softmax_of_the_logits() -> None:
    logits = torch.zeros(OUTPUTS)
    logits[:3] = torch.tensor([0.0, 1.0, 2.0])
    rng = torch.Generator().manual_seed(0)
    drawn = torch.stack([sample_paths(TINY, logits, 0.01, rng).depth[0] for _ in range(2000)])
    torch.testing.assert_close(drawn.mean(0), logits[:3].softmax(0), atol=0.03, rtol=0)


def generator(superclasses: int = 3) -> ArchitectureGenerator:
    torch.manual_seed(0)
    budgets = torch.tensor([1e6, 2e6, 4e6], dtype=torch.float64)
    made = ArchitectureGenerator(TINY, superclasses, budgets, embedding=8, hidden=16, encoding="multi-path")
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.normal_(0, 0.7)
    return made


def test_the_device_samples_options_with_the_probabilities_of_the_softmax() -> None:
    made = generator()
    tensors = {name: tensor.numpy() for name, tensor in made.export(3).items()}
    tensors["predictor"] = np.zeros((3, GateLayout.of(TINY).gates), np.float32)
    config = {"budgets": made.budgets.tolist(), "samples": 4, "encoding": "multi-path"}
    twin = load(TINY, 3, config, tensors)
    with torch.no_grad():
        logits = made(torch.tensor([0, 1, 2]), torch.tensor([1e6, 2.5e6, 4e6]))
    gates = twin.probabilities(np.eye(3), np.array([1_000_000, 2_500_000, 4_000_000]))
    for row, on in zip(logits, gates, strict=True):
        options = row.view(-1, 3).softmax(-1).numpy()
        first, second = on.reshape(-1, 2).T
        np.testing.assert_allclose(np.stack([1 - first, first * (1 - second), first * second], 1), options, atol=1e-5)


@pytest.mark.parametrize("objective", ["cross-entropy", "predictor"])
def test_it_is_trained_by_both_objectives(objective: str, tmp_path: Path) -> None:
    net = random_net(TINY)
    recipe = RECIPE.model_copy(update={"objective": objective, "image_size": 16})
    worth = np.ones((2, GateLayout.of(TINY).gates))
    one, _ = train_generator(recipe, net, collected(net), worth, drawings(4, 1), tmp_path, fingerprint="a")
    start = ArchitectureGenerator(TINY, 2, one.budgets, 8, 16, "multi-path")
    torch.manual_seed(recipe.seed)
    assert one.kernel.weight.shape == start.kernel.weight.shape == (3, 16)
    assert (tmp_path / "generator.pt").exists()


def test_a_generator_that_is_not_told_the_superclass_gives_all_the_same(tmp_path: Path) -> None:
    net = random_net(TINY)
    recipe = RECIPE.model_copy(update={"encoding": "single-path", "conditioned": False, "objective": "predictor"})
    worth = np.random.default_rng(0).normal(size=(2, GateLayout.of(TINY).gates))
    made, _ = train_generator(recipe, net, collected(net), worth, drawings(4, 1), tmp_path, fingerprint="a")
    with torch.no_grad():
        logits = made(torch.tensor([0, 1]), torch.tensor([1e6, 1e6]))
    assert torch.equal(logits[0], logits[1])
    exported = made.export(2)["superclass_embedding"]
    assert exported.shape == (2, 8)
    assert torch.equal(exported[0], exported[1])
