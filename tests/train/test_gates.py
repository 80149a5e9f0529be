"""Binary gates: what they describe, what it costs, and the gradients of both (EAS, Eq. 3 to 10)."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch import Tensor  # noqa: E402
from train.tiny import SIZES, SPACES, TINY, architectures, collected, random_images, random_net  # noqa: E402

from eas_sdk.space.architecture import Architecture  # noqa: E402
from eas_sdk.space.elastic.gates import GateLayout, choices_of_gates, effective_gates, gates_of_choices  # noqa: E402
from eas_sdk.space.elastic.space import ElasticSpace  # noqa: E402
from eas_sdk.space.elastic.units import Head, Stem, Unit  # noqa: E402
from eas_sdk.space.protocol import size_of  # noqa: E402
from eas_sdk.space.tables import madds_table  # noqa: E402
from eas_train.generator.gates import Shells, expected_cost, gated_forward, sample_gates  # noqa: E402
from eas_train.supernet.resize import resized  # noqa: E402

CLASSES = 6


def random_gates(space: ElasticSpace, count: int, seed: int = 0) -> np.ndarray:
    """[count, gates] bool: any combination, those without an effect included."""
    rng = np.random.default_rng(seed)
    return rng.random((count, GateLayout.of(space).gates)) < rng.random((count, 1))


def total_madds(space: ElasticSpace, gates: np.ndarray) -> np.ndarray:
    return madds_table(space).total(space, choices_of_gates(space, effective_gates(space, gates)), CLASSES)


def tensor(gates: np.ndarray) -> Tensor:
    return torch.tensor(gates, dtype=torch.float32)


@pytest.mark.parametrize(("name", "count"), [("tiny", 10), ("sizes", 14), ("small", 4)])
def test_hard_gates_give_the_sub_network(name: str, count: int) -> None:
    space = SPACES[name]
    net, images = random_net(space), random_images(space, 3)
    table = collected(net)
    members = architectures(space, count, seed=2)
    assert len({member.input_size for member in members}) == len(space.input_sizes)
    gates = gates_of_choices(space, space.encode(members))
    for architecture, row in zip(members, gates, strict=True):
        with torch.no_grad():
            seen = resized(images, size_of(space, architecture))
            expected = net(seen, architecture, table.norm(architecture))
            found = gated_forward(net, images, Shells.of(space, tensor(row)), table)
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4 * float(expected.abs().max()))


def test_gates_beyond_a_narrower_bank_count_as_off() -> None:
    """Also those of images larger than any that it takes, which are never looked at."""
    bound = Architecture.parse("24px k3e1 | k3e3 k3e2 | k5e2 k3e4")
    space = dataclasses.replace(SIZES, largest=bound)
    net, images = random_net(space), random_images(space, 3)
    table = collected(net)
    every = torch.ones(space.layout.gates)
    with torch.no_grad():
        expected = net(resized(images, 24), bound, table.norm(bound))
        found = gated_forward(net, images, Shells.of(space, every), table)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5 * float(expected.abs().max()))


def test_half_a_size_is_the_mean_of_both_networks() -> None:
    """And a size gate's gradient is how the output would change with the size."""
    net, images = random_net(SIZES), random_images(SIZES, 3)
    table = collected(net)
    layout = SIZES.layout
    gates = tensor(gates_of_choices(SIZES, SIZES.encode([SIZES.largest]))[0])
    first, second = layout.places[-1, :2]
    logits = []
    for share in (0.0, 0.5, 1.0):
        gates[second] = share
        leaf = gates.clone().requires_grad_()
        logits.append(gated_forward(net, images, Shells.of(SIZES, leaf), table))
    change = (logits[2] - logits[0]).detach()
    assert change.abs().max() > 1e-3
    torch.testing.assert_close(logits[1], logits[0] + change / 2, rtol=1e-4, atol=1e-4)
    (gradient,) = torch.autograd.grad(logits[2].sum(), leaf)
    assert float(gradient[second]) == pytest.approx(float(change.sum()), rel=1e-3)
    assert float(gradient[first]) != 0


def test_gates_without_an_effect_change_nothing() -> None:
    net, images = random_net(TINY), random_images(TINY, 3)
    table = collected(net)
    gates = random_gates(TINY, 4)
    effective = effective_gates(TINY, gates)
    assert (gates != effective).any(1).sum() >= 3
    for row, same in zip(gates, effective, strict=True):
        one, other = (gated_forward(net, images, Shells.of(TINY, tensor(g)), table) for g in (row, same))
        torch.testing.assert_close(one, other)


@torch.no_grad()
def test_half_a_block_is_half_of_what_the_whole_block_adds() -> None:
    """The gradient of a depth gate is that of the block as it would be present (Eq. 5), statistics included."""
    net, images = random_net(TINY), random_images(TINY, 4)
    # Far in the linear part of hard swish, all that follows the last block is linear.
    net.tensor("head.beta").fill_(50.0)
    net.tensor("feature.weight").abs_()
    table = collected(net, networks=20, context="block")
    gates = torch.ones(GateLayout.of(TINY).gates)
    first, second = GateLayout.of(TINY).places[len(TINY.units) - 1, :2]  # of the last unit's depth
    gates[second] = 0
    logits = []
    for share in (0.0, 0.5, 1.0):
        gates[first] = share
        logits.append(gated_forward(net, images, Shells.of(TINY, gates), table))
    change = logits[2] - logits[0]
    assert change.abs().max() > 1e-3
    torch.testing.assert_close(logits[1], logits[0] + change / 2, rtol=0, atol=0.01 * float(change.abs().max()))


@pytest.mark.parametrize("name", SPACES)
def test_the_expected_cost_of_hard_gates_is_the_networks(name: str) -> None:
    space = SPACES[name]
    gates = random_gates(space, 30)
    found = [float(expected_cost(madds_table(space), Shells.of(space, tensor(row)), CLASSES)) for row in gates]
    np.testing.assert_allclose(found, total_madds(space, gates), rtol=1e-6)


@pytest.mark.parametrize("space", [TINY, SIZES], ids=["tiny", "sizes"])
def test_the_costs_gradient_is_what_switching_each_gate_costs(space: ElasticSpace) -> None:
    """The cost is linear in each gate, so its gradient at a corner is a finite difference exactly."""
    gates = random_gates(space, 6, seed=1)
    for row in gates:
        leaf = tensor(row).requires_grad_()
        expected_cost(madds_table(space), Shells.of(space, leaf), CLASSES).backward()
        assert leaf.grad is not None
        on, off = (np.where(np.eye(len(row), dtype=bool), value, row) for value in (True, False))
        difference = total_madds(space, on) - total_madds(space, off)
        assert np.count_nonzero(difference) > 3
        if space is SIZES:
            assert difference[space.layout.places[-1, 0]] > 0, "the first step of the image's size"
        np.testing.assert_allclose(leaf.grad.numpy(), difference, rtol=1e-5, atol=1)


def test_the_expected_cost_is_the_mean_over_all_gate_vectors() -> None:
    """Value and gradient between the corners, by summing all of them (the multilinear extension)."""
    space = ElasticSpace(
        input_sizes=(8, 16),
        stem=Stem(8, 2, "hard_swish"),
        units=(
            Unit(8, 2, (1, 2), (3, 5, 7), (2, 3), "relu", True),
            Unit(8, 1, (1,), (3,), (2, 2.5), "relu6"),
        ),
        head=Head(16, "relu"),
    )
    corners = np.array(list(itertools.product((False, True), repeat=GateLayout.of(space).gates)))
    costs = torch.tensor(total_madds(space, corners), dtype=torch.float64)
    p = torch.rand(corners.shape[1], generator=torch.Generator().manual_seed(0), requires_grad=True)
    found = expected_cost(madds_table(space), Shells.of(space, p), CLASSES)
    (gradient,) = torch.autograd.grad(found, p)
    q = p.detach().double().requires_grad_()
    probability = torch.where(torch.tensor(corners), q, 1 - q).prod(1)
    expected = (probability * costs).sum()
    (exact,) = torch.autograd.grad(expected, q)
    torch.testing.assert_close(found.double(), expected, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(gradient.double(), exact, rtol=1e-4, atol=1.0)


@pytest.mark.parametrize("space", [TINY, SIZES], ids=["tiny", "sizes"])
def test_every_effective_gate_gets_a_gradient_from_the_networks_output(space: ElasticSpace) -> None:
    net, images = random_net(space), random_images(space, 4)
    table = collected(net)
    leaf = torch.full((GateLayout.of(space).gates,), 0.5, requires_grad=True)
    gated_forward(net, images, Shells.of(space, leaf), table).square().sum().backward()
    assert leaf.grad is not None
    assert torch.isfinite(leaf.grad).all()
    assert (leaf.grad != 0).all()


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_gates_are_binary_and_drawn_with_the_probability_of_the_sigmoid(temperature: float) -> None:
    draws = 20_000
    logits = torch.tensor([-6.0, -2.0, 0.0, 0.5, 3.0, 8.0])
    gates = sample_gates(logits.expand(draws, -1), temperature, torch.Generator().manual_seed(0))
    assert set(gates.unique().tolist()) == {0.0, 1.0}
    p = torch.sigmoid(logits)
    sigma = (p * (1 - p) / draws).sqrt()
    assert ((gates.mean(0) - p).abs() < 4 * sigma + 1e-4).all()


def test_sampled_gates_are_exact_under_a_gradient() -> None:
    logits = torch.zeros(10_000, requires_grad=True)
    gates = sample_gates(logits, 1.0, torch.Generator().manual_seed(0)).detach()
    assert ((gates == 0) | (gates == 1)).all()


@pytest.mark.parametrize("temperature", [0.5, 1.0])
def test_the_straight_through_gradient_is_that_of_the_relaxation(temperature: float) -> None:
    """Eq. 9 written out with the noise of the same generator; its gradient passes the threshold of Eq. 10."""
    logits = torch.linspace(-2, 2, 50, requires_grad=True)
    (found,) = torch.autograd.grad(sample_gates(logits, temperature, torch.Generator().manual_seed(3)).sum(), logits)
    u = torch.rand(50, generator=torch.Generator().manual_seed(3)).double()
    p = torch.sigmoid(logits.detach().double())
    h = torch.sigmoid((torch.log(p / (1 - p)) + torch.log(u / (1 - u))) / temperature)
    torch.testing.assert_close(found.double(), h * (1 - h) / temperature, rtol=1e-3, atol=1e-6)
    assert (found > 0).all()


def test_extreme_logits_and_noise_stay_finite() -> None:
    logits = torch.tensor([-1e4, 1e4], requires_grad=True)
    gates = sample_gates(logits.expand(1000, 2), 0.1, torch.Generator().manual_seed(0))
    gates.sum().backward()
    assert gates.mean(0).tolist() == [0.0, 1.0]
    assert logits.grad is not None
    assert torch.isfinite(logits.grad).all()
