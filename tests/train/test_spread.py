"""Spreading the largest network's weights over the blocks of a space of cells, and phases that train it alone."""

from __future__ import annotations

import dataclasses
import random
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from cell_spaces import MEANS, RESIDUALS  # noqa: E402
from train.test_strategy import CREAM, GREEDY, TRAIN, VALIDATION, new_trial, recipe  # noqa: E402
from train.tiny import CPU, TINY, equal_states, interrupted_after, random_images, random_net, tiny_recipe  # noqa: E402
from train.tiny import TinyRecipe as ElasticRecipe  # noqa: E402

from eas_sdk.errors import TrainingError  # noqa: E402
from eas_sdk.space.architecture import Block  # noqa: E402
from eas_sdk.space.cells.space import Cell  # noqa: E402
from eas_sdk.space.sample import even_architecture  # noqa: E402
from eas_sdk.space.widths import make_divisible  # noqa: E402
from eas_train import checkpoint  # noqa: E402
from eas_train.strategy.greedy import Greedy  # noqa: E402
from eas_train.strategy.recipe import GreedyRecipe  # noqa: E402
from eas_train.supernet.recipe import Phase, SupernetRecipe  # noqa: E402
from eas_train.supernet.spread import spread_weights  # noqa: E402
from eas_train.supernet.train import train_supernet  # noqa: E402

BLOCKS = tuple(Block(kernel, expansion, squeeze_excite=True) for kernel in (3, 5, 7) for expansion in (2, 4))
SPACE = dataclasses.replace(RESIDUALS, cells=(Cell(8, 1, BLOCKS), Cell(16, 2, BLOCKS), Cell(16, 1, BLOCKS)))
ALONE = Phase(name="alone", steps=3, learning_rate=0.05, largest_only=True)
SPREAD = Phase(name="paths", steps=1, learning_rate=1e-12, spread_weights=True)
PATHS = Phase(name="paths", steps=4, learning_rate=0.05, spread_weights=True)


def test_every_path_computes_what_the_largest_does_where_it_needs_no_more() -> None:
    """Of the largest blocks, the rings of kernels and the less important channels count for nothing."""
    net, images = random_net(SPACE), random_images(SPACE, 6)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for c, (largest,) in enumerate(SPACE.largest.units):
            name, (inner, _) = f"cell{c}.{largest}", SPACE.widths(c)
            kernel, project = net.tensor(f"{name}.depthwise.weight"), net.tensor(f"{name}.project.weight")
            kernel[:, :, [0, 1, 5, 6]] = 0
            kernel[:, :, :, [0, 1, 5, 6]] = 0
            idle = torch.randperm(project.shape[1], generator=generator)[make_divisible(2 * inner) :]
            project[:, idle] = 0
            net.tensor(f"{name}.squeeze.weight")[:, idle] = 0
            half = net.tensor(f"cell{c}.k3e2se.squeeze.weight").shape[0]
            net.tensor(f"{name}.excite.weight")[:, half:] = 0
        expected = net(images, SPACE.largest)
        rng = random.Random(0)
        full = [a for a in (even_architecture(SPACE, rng) for _ in range(40)) if all(a.units)][:6]
        assert any(not torch.allclose(net(images, a), expected, rtol=1e-2) for a in full)
        spread_weights(net)
        torch.testing.assert_close(net(images, SPACE.largest), expected)
        for architecture in full:
            torch.testing.assert_close(net(images, architecture), expected, rtol=1e-4, atol=1e-5)


def test_blocks_of_other_kinds_take_what_they_share() -> None:
    net, images = random_net(RESIDUALS), random_images(RESIDUALS, 4)
    with torch.no_grad():
        before = net(images, RESIDUALS.largest)
        spread_weights(net)
        torch.testing.assert_close(net(images, RESIDUALS.largest), before)
    (largest,) = RESIDUALS.largest.units[0]
    source, target = (net.tensor(f"cell0.{name}.project.weight") for name in (largest, "k3d3e1"))
    order = source.abs().sum((0, 2, 3)).argsort(descending=True)[: target.shape[1]]
    torch.testing.assert_close(target, source[:, order])


def test_a_cell_without_blocks_is_left_alone() -> None:
    space = dataclasses.replace(SPACE, cells=(*SPACE.cells, Cell(16, 1, ())))
    net, images = random_net(space), random_images(space, 4)
    with torch.no_grad():
        before = net(images, space.largest)
        spread_weights(net)
        torch.testing.assert_close(net(images, space.largest), before)


@pytest.mark.parametrize("space", [MEANS, TINY], ids=["means", "elastic"])
def test_other_spaces_have_nothing_to_spread(space: object) -> None:
    with pytest.raises(TrainingError, match="of cells that are joined as residuals"):
        spread_weights(random_net(space))


def test_a_recipe_tells_where_weights_cannot_be_spread() -> None:
    with pytest.raises(ValueError, match="spread_weights of phase 'paths' is of spaces of cells"):
        SupernetRecipe(preset="small", phases=(SPREAD,))


def test_the_largest_network_is_trained_alone_and_then_spread(tmp_path: Path) -> None:
    first, both = recipe({"kind": "uniform"}, phases=(ALONE,)), recipe({"kind": "uniform"}, phases=(ALONE, SPREAD))
    expected = train_supernet(first, TRAIN, tmp_path / "first", CPU)
    begun = random_net(RESIDUALS)
    (largest,) = RESIDUALS.largest.units[1]
    other = next(b for b in RESIDUALS.cells[1].blocks if b != largest)
    untouched = train_supernet(
        recipe({"kind": "uniform"}, phases=(ALONE.model_copy(update={"steps": 1}),)), TRAIN, tmp_path / "one", CPU
    )
    name = f"cell1.{other}.expand.weight"
    assert torch.equal(expected.tensor(name), untouched.tensor(name)), "only the largest is trained"
    name = f"cell1.{largest}.expand.weight"
    assert not torch.equal(expected.tensor(name), untouched.tensor(name))
    spread_weights(expected)
    found = train_supernet(both, TRAIN, tmp_path / "both", CPU)
    for name in begun.state_dict():
        torch.testing.assert_close(found.state_dict()[name], expected.state_dict()[name], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("strategy", [GREEDY, CREAM], ids=["greedy", "cream"])
def test_strategies_wait_until_other_networks_are_trained(
    strategy: dict[str, object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    early = recipe(strategy | {"warmup_steps": 0}, phases=(ALONE, PATHS))
    with monkeypatch.context() as patch:
        patch.setattr("eas_train.supernet.train.progress", interrupted_after(3))
        with pytest.raises(KeyboardInterrupt):
            train_supernet(early, TRAIN, tmp_path, CPU, validation=VALIDATION)
    state = checkpoint.load(tmp_path / "supernet.pt", recipe=early.fingerprint(TRAIN, VALIDATION))
    assert state is not None
    assert state["strategy"]["evaluated_images"] == 0
    assert state["strategy"]["optimised_images"] == 3 * 8
    train_supernet(early, TRAIN, tmp_path, CPU, validation=VALIDATION)
    state = checkpoint.load(tmp_path / "supernet.pt", recipe=early.fingerprint(TRAIN, VALIDATION))
    assert state is not None
    assert state["strategy"]["evaluated_images"] > 0


def test_what_a_teacher_trained_is_part_of_the_account(tmp_path: Path) -> None:
    whole = recipe(GREEDY, phases=(ALONE, PATHS))
    teacher = whole.teacher()
    assert teacher is not None
    train_supernet(teacher, TRAIN, tmp_path / "teacher", CPU)
    found = train_supernet(whole, TRAIN, tmp_path / "whole", CPU, validation=VALIDATION, teacher=tmp_path / "teacher")
    alone = train_supernet(whole, TRAIN, tmp_path / "alone", CPU, validation=VALIDATION)
    assert equal_states(found, alone)
    states = [
        checkpoint.load(tmp_path / name / "supernet.pt", recipe=whole.fingerprint(TRAIN, VALIDATION))
        for name in ("whole", "alone")
    ]
    assert states[0] is not None
    assert states[1] is not None
    assert states[0]["strategy"]["optimised_images"] == states[1]["strategy"]["optimised_images"] == 7 * 8


def test_the_pool_s_share_rises_from_the_end_of_the_warmup(monkeypatch: pytest.MonkeyPatch) -> None:
    trial = new_trial()
    settings = GreedyRecipe(kind="greedy", sampled=4, kept=1, images=5, warmup_steps=60, pool_probability=1.0)
    greedy = Greedy(settings, trial.net, trial, total_steps=100, seed=0)
    greedy.pool.add(RESIDUALS.smallest, -1.0)
    drawn: list[int] = []
    original = trial.losses
    smallest = RESIDUALS.smallest
    monkeypatch.setattr(
        trial,
        "losses",
        lambda paths, batch: (drawn.append(sum(a == smallest for a in paths)), original(paths, batch))[1],
    )
    for step in (60, 99):
        greedy.filtered(PATHS, random.Random(step), step)
    assert drawn[0] == 0
    assert drawn[1] >= 3


def test_a_fingerprint_tells_of_these_phases() -> None:
    plain = tiny_recipe().phases
    alone = tuple(phase.model_copy(update={"largest_only": True}) for phase in plain)
    assert ElasticRecipe(phases=plain).fingerprint(TRAIN) != ElasticRecipe(phases=alone).fingerprint(TRAIN)
