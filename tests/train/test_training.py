"""Training of the supernet: what a step samples, and that an interrupted training goes on exactly."""

from __future__ import annotations

import collections
import dataclasses
import itertools
import json
import math
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from train.tiny import (  # noqa: E402
    CPU,
    SIZES,
    TINY,
    SizesRecipe,
    TinyRecipe,
    drawings,
    equal_states,
    interrupted_after,
    random_net,
    sandwich,
    tiny_recipe,
    train_in,
)

from eas_sdk.errors import TrainingError  # noqa: E402
from eas_sdk.space.architecture import Architecture  # noqa: E402
from eas_sdk.space.elastic.space import ElasticSpace  # noqa: E402
from eas_train import checkpoint  # noqa: E402
from eas_train.strategy.draw import draw  # noqa: E402
from eas_train.strategy.uniform import Uniform  # noqa: E402
from eas_train.supernet.model import Supernet  # noqa: E402
from eas_train.supernet.optimizer import learning_rate  # noqa: E402
from eas_train.supernet.recipe import Phase  # noqa: E402
from eas_train.supernet.sort import sort_channels  # noqa: E402
from eas_train.supernet.step import phase_architectures  # noqa: E402
from eas_train.supernet.train import CHECKPOINT, LOG, load_supernet, train_supernet  # noqa: E402

DATA = drawings(4, 0)


SIZED = tiny_recipe(SizesRecipe)
"""Over images of three sizes, after two steps of the teacher on small ones."""


def train(folder: Path, recipe: TinyRecipe | None = None) -> Supernet:
    return train_supernet(recipe or tiny_recipe(), DATA, folder, CPU)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Supernet:
    """The tiny recipe, trained in one go."""
    return train(tmp_path_factory.mktemp("whole"))


@pytest.fixture(scope="module")
def sized(tmp_path_factory: pytest.TempPathFactory) -> Supernet:
    """The same over images of several sizes."""
    return train(tmp_path_factory.mktemp("sized"), SIZED)


@pytest.mark.parametrize(
    ("kind", "step"), [("whole", 1), ("whole", 2), ("whole", 3), ("whole", 5), ("sized", 2), ("sized", 4)]
)
def test_an_interrupted_training_goes_on_exactly(
    kind: str, step: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    """Inside the first phase, at the boundary (channels are sorted next), and inside the second."""
    recipe = SIZED if kind == "sized" else tiny_recipe()
    with monkeypatch.context() as patch:
        patch.setattr("eas_train.supernet.train.progress", interrupted_after(step))
        with pytest.raises(KeyboardInterrupt):
            train(tmp_path, recipe)
    with pytest.raises(TrainingError, match=rf"{step} of 6 steps"):
        load_supernet(recipe, DATA, tmp_path, CPU)
    assert equal_states(train(tmp_path, recipe), request.getfixturevalue(kind))


def test_networks_are_trained_on_images_of_their_own_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All on the same where a phase names a size."""
    seen: list[tuple[int | None, int]] = []
    answer = Supernet.answer

    def spy(self: Supernet, images: torch.Tensor, architecture: Architecture, norm: object = None) -> object:
        seen.append((architecture.input_size, images.shape[-1]))
        return answer(self, images, architecture, norm)

    monkeypatch.setattr(Supernet, "answer", spy)
    train(tmp_path / "own", tiny_recipe(SizesRecipe, phases=(sandwich(steps=4),)))
    assert len(seen) == 12
    assert {size for size, _ in seen} == {16, 24, 32}
    assert all(size == side for size, side in seen)
    assert (seen[0][1], seen[1][1]) == (32, 16)
    seen.clear()
    train(tmp_path / "small", tiny_recipe(SizesRecipe, phases=(sandwich(steps=4, image_size=20),)))
    assert {size for size, _ in seen} == {16, 24, 32}
    assert {side for _, side in seen} == {20}


# Should the kill come late, the training waits for it.
KILLED = """
import pathlib, sys, time
import eas_train.supernet.train as module
from train.tiny import interrupted_after, train_in
module.progress = interrupted_after(12, lambda: time.sleep(600))
train_in(pathlib.Path(sys.argv[1]), int(sys.argv[2]))
"""


def test_a_killed_training_goes_on_exactly(tmp_path: Path) -> None:
    steps, cut = 16, tmp_path / "cut"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, "-c", KILLED, str(cut), str(steps)]
    with subprocess.Popen(command, env=environment) as process:
        while not (cut / CHECKPOINT).exists() and process.poll() is None:
            time.sleep(0.005)
        process.kill()
    recipe = tiny_recipe(phases=(sandwich(steps=steps),))
    state = checkpoint.load(cut / CHECKPOINT, recipe=recipe.fingerprint(DATA))
    assert state is not None
    assert 1 <= state["step"] < steps
    assert equal_states(train_in(cut, steps), train_in(tmp_path / "whole", steps))


# The signal comes in the middle of the third step, and no checkpoint is due for an hour.
SIGNALLED = """
import os, pathlib, sys
import eas_train.supernet.step as module
from train.tiny import CPU, drawings, sandwich, tiny_recipe
from eas_train.supernet.train import train_supernet
whole = module.Stepper.step
def step(self, phase, batch, at, teacher):
    if at == 2:
        os.kill(os.getpid(), int(sys.argv[2]))
    return whole(self, phase, batch, at, teacher)
module.Stepper.step = step
recipe = tiny_recipe(phases=(sandwich(steps=6),), checkpoint_every_s=3600)
train_supernet(recipe, drawings(4, 0), pathlib.Path(sys.argv[1]), CPU)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_training_after_its_step_and_nothing_is_lost(number: signal.Signals, tmp_path: Path) -> None:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run(
        [sys.executable, "-c", SIGNALLED, str(tmp_path), str(int(number))],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    assert "KeyboardInterrupt" in done.stderr or number == signal.SIGTERM
    recipe = tiny_recipe(phases=(sandwich(steps=6),), checkpoint_every_s=3600)
    state = checkpoint.load(tmp_path / CHECKPOINT, recipe=recipe.fingerprint(DATA))
    assert state is not None
    assert state["step"] == 3
    assert equal_states(train(tmp_path, recipe), train_in(tmp_path / "whole", 6))


def test_equal_seeds_give_equal_networks_and_others_do_not(whole: Supernet, tmp_path: Path) -> None:
    assert equal_states(train(tmp_path / "same"), whole)
    assert not equal_states(train(tmp_path / "other", tiny_recipe(seed=1)), whole)


def test_a_finished_training_is_loaded_and_not_done_again(whole: Supernet, tmp_path: Path) -> None:
    train(tmp_path)
    written = (tmp_path / CHECKPOINT).read_bytes()
    assert equal_states(train(tmp_path), whole)
    assert (tmp_path / CHECKPOINT).read_bytes() == written
    loaded = load_supernet(tiny_recipe(), DATA, tmp_path, CPU)
    assert equal_states(loaded, whole)
    assert not loaded.training


def test_another_recipe_or_data_set_does_not_touch_a_checkpoint(tmp_path: Path) -> None:
    train(tmp_path)
    written = (tmp_path / CHECKPOINT).read_bytes()
    with pytest.raises(TrainingError, match="another recipe or data set"):
        train(tmp_path, tiny_recipe(seed=1))
    with pytest.raises(TrainingError, match="another recipe or data set"):
        train_supernet(tiny_recipe(), drawings(4, 1), tmp_path, CPU)
    assert (tmp_path / CHECKPOINT).read_bytes() == written


def test_a_folder_without_a_training_holds_no_supernet(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="0 of 6 steps"):
        load_supernet(tiny_recipe(), DATA, tmp_path, CPU)


def test_a_loss_that_is_not_finite_names_the_phase_and_keeps_the_last_good_checkpoint(tmp_path: Path) -> None:
    good = sandwich(steps=2, name="good")
    bad = sandwich(steps=4, name="too fast", learning_rate=1e30)
    recipe = tiny_recipe(phases=(good, bad))
    with pytest.raises(TrainingError, match="'too fast'"):
        train(tmp_path, recipe)
    state = checkpoint.load(tmp_path / CHECKPOINT, recipe=recipe.fingerprint(DATA))
    assert state is not None
    assert 2 <= state["step"] < 6
    assert all(torch.isfinite(tensor).all() for tensor in state["net"].values())


def test_the_log_has_the_losses_of_every_network_of_a_step(tmp_path: Path) -> None:
    train_in(tmp_path, 20)
    (line,) = (tmp_path / LOG).read_text().splitlines()
    entry = json.loads(line)
    assert (entry["step"], entry["phase"]) == (20, "sandwich")
    assert len(entry["losses"]) == 3


def test_training_lowers_the_loss(tmp_path: Path) -> None:
    teacher = Phase(name="teacher", steps=60, learning_rate=0.1, largest_only=True, image_size=16)
    train(tmp_path, tiny_recipe(phases=(teacher,), batch_size=16))
    losses = [json.loads(line)["losses"][0] for line in (tmp_path / LOG).read_text().splitlines()]
    assert len(losses) == 3
    assert losses[-1] < losses[0] < math.log(6) + 0.5


@pytest.mark.parametrize("with_sandwich", [True, False])
def test_distillation_acts_whether_or_not_the_step_trains_the_teacher(tmp_path: Path, with_sandwich: bool) -> None:
    """Progressive shrinking (no sandwich) has a teacher too: the largest network, without a gradient."""
    made = []
    for weight in (0.0, 1.0):
        phase = sandwich(
            steps=1,
            networks=2,
            sandwich=with_sandwich,
            expansions=(2, 3),
            distillation=weight,
            learning_rate=0.01,
        )
        made.append(train(tmp_path / str(weight), tiny_recipe(phases=(phase,))))
    assert not equal_states(*made)


def differing(folder: Path, one: TinyRecipe, other: TinyRecipe) -> set[str]:
    """Which parameters two trainings make differ."""
    states = [train(folder / str(i), recipe).state_dict() for i, recipe in enumerate((one, other))]
    return {name for name in states[0] if not torch.equal(states[0][name], states[1][name])}


@pytest.mark.parametrize("setting", ["label_smoothing", "superclass_dropout", "distillation"])
def test_each_part_of_the_loss_counts(tmp_path: Path, setting: str) -> None:
    recipes = []
    for value in (0.0, 0.5):
        at = {setting: value}
        in_phase = setting in Phase.model_fields
        phase = sandwich(steps=1, **(at if in_phase else {}))
        recipes.append(tiny_recipe(phases=(phase,), **({} if in_phase else at)))
    assert "tensors.classifier-weight" in differing(tmp_path, *recipes)


def test_weights_decay_and_biases_and_batch_norm_do_not(tmp_path: Path) -> None:
    one, other = (tiny_recipe(phases=(sandwich(steps=1),), weight_decay=decay) for decay in (0.0, 0.1))
    found = differing(tmp_path, one, other)
    assert found == {name for name in Supernet(TINY, 6).state_dict() if name.endswith("weight")}


def test_momentum_does_not_outlive_the_order_of_the_channels(tmp_path: Path) -> None:
    """With gradients clipped away, the first step after sorting is weight decay alone, begun afresh."""
    first = tiny_recipe().phases[0]
    second = sandwich(steps=1, learning_rate=0.1, sort_channels=True)
    settings = {"weight_decay": 0.5, "clip_norm": 1e-12}
    expected = train(tmp_path / "first", tiny_recipe(phases=(first,), **settings))
    sort_channels(expected)
    found = train(tmp_path / "both", tiny_recipe(phases=(first, second), **settings))
    for name in ("head.weight", "unit2.block1.project.weight"):
        decayed = expected.tensor(name) * (1 - 0.1 * (1 + 0.9) * 0.5)
        torch.testing.assert_close(found.tensor(name), decayed, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("sort", [True, False])
def test_a_phase_may_begin_by_sorting_channels(tmp_path: Path, sort: bool) -> None:
    first, second = tiny_recipe().phases
    still = second.model_copy(update={"steps": 1, "learning_rate": 1e-12, "sort_channels": sort})
    net = train(tmp_path, tiny_recipe(phases=(first, still)))
    importance = net.tensor("unit2.block1.project.weight").detach().abs().sum((0, 2, 3))
    assert bool((importance.diff() <= 1e-6).all()) == sort


def test_the_learning_rate_warms_up_and_falls_along_a_cosine() -> None:
    phase = sandwich(steps=110, warmup_steps=10, learning_rate=0.4)
    rates = [learning_rate(phase, at) for at in range(110)]
    assert rates[:10] == pytest.approx([0.04 * (i + 1) for i in range(10)])
    assert rates[10] == pytest.approx(0.4)
    assert rates[60] == pytest.approx(0.2)
    assert all(a > b for a, b in itertools.pairwise(rates[10:]))
    assert 0 < rates[-1] < 0.001


def test_a_step_trains_the_largest_the_smallest_and_random_networks() -> None:
    rng, even = random.Random(0), Uniform(random_net(TINY))
    networks = phase_architectures(TINY, sandwich(steps=1, networks=4), rng, even, 0)
    assert networks[:2] == [TINY.largest, TINY.smallest]
    assert len(networks) == 4
    teacher = Phase(name="t", steps=1, learning_rate=1, largest_only=True, networks=3)
    assert phase_architectures(TINY, teacher, rng, even, 0) == [TINY.largest]
    assert len(phase_architectures(TINY, sandwich(steps=1, sandwich=False), rng, even, 0)) == 3


def test_random_networks_are_uniform_over_the_phases_choices() -> None:
    rng = random.Random(0)
    phase = sandwich(steps=1, depths=(1, 3), kernels=(3, 7), expansions=(2, 3, 4))
    drawn = [draw(TINY, phase, rng) for _ in range(1500)]
    for architecture in drawn:
        TINY.validate(architecture)
    counts = collections.Counter(depth for a in drawn for depth in a.depths[1:])
    blocks = [block for a in drawn for unit in a.units[1:] for block in unit]
    assert counts[1] / (3 * 1500) == pytest.approx(1 / 2, abs=0.03)
    assert set(counts) == {1, 3}
    for kernel in (3, 7):
        assert sum(b.kernel == kernel for b in blocks) / len(blocks) == pytest.approx(1 / 2, abs=0.03)
    for expansion in (2, 3, 4):
        assert sum(b.expansion == expansion for b in blocks) / len(blocks) == pytest.approx(1 / 3, abs=0.03)


def test_of_several_sizes_and_ragged_units_each_choice_is_drawn_evenly() -> None:
    rng = random.Random(0)
    drawn = [draw(SIZES, Phase(name="all", steps=1, learning_rate=1), rng) for _ in range(1200)]
    for architecture in drawn:
        SIZES.validate(architecture)
    found: dict[str, list[float]] = {
        "size": [a.input_size or 0 for a in drawn],
        "depth of unit 1": [len(a.units[1]) for a in drawn],
        "depth of unit 2": [len(a.units[2]) for a in drawn],
        "kernel of unit 2": [block.kernel for a in drawn for block in a.units[2]],
        "ratio of unit 1": [block.expansion for a in drawn for block in a.units[1]],
        "ratio of unit 2": [block.expansion for a in drawn for block in a.units[2]],
    }
    options = ((16, 24, 32), (1, 2), (1, 2, 3), (3, 5), (2, 3, 4), (2, 4))
    for (what, values), allowed in zip(found.items(), options, strict=True):
        shares = {value: count / len(values) for value, count in collections.Counter(values).items()}
        assert shares == pytest.approx(dict.fromkeys(allowed, 1 / len(allowed)), abs=0.05), what


def test_a_phase_narrows_what_units_have_and_leaves_others_their_largest() -> None:
    rng = random.Random(0)
    phase = Phase(name="some", steps=1, learning_rate=1, input_sizes=(16, 32), expansions=(3,), kernels=(3,))
    drawn = [draw(SIZES, phase, rng) for _ in range(200)]
    assert {a.input_size for a in drawn} == {16, 32}
    assert {block.expansion for a in drawn for block in a.units[1]} == {3}
    assert {block.expansion for a in drawn for block in a.units[2]} == {4}, "it has no 3"
    assert {block.kernel for a in drawn for block in a.blocks} == {3}
    assert {len(a.units[2]) for a in drawn} == {1, 2, 3}


@pytest.mark.parametrize("sizes", [(), (24,), (16, 32), (32,)])
def test_of_a_narrower_space_nothing_larger_is_drawn(sizes: tuple[int, ...]) -> None:
    """As of MobileNetV3-Large, whose blocks are not all as large as its choices allow."""
    bound = Architecture.parse("24px k3e1 | k3e3 k3e2 | k5e2 k3e4")
    space = dataclasses.replace(SIZES, largest=bound)
    rng = random.Random(0)
    phase = Phase(name="some", steps=1, learning_rate=1, input_sizes=sizes, expansions=(3, 4))
    drawn = [draw(space, phase, rng) for _ in range(300)]
    for architecture in drawn:
        space.validate(architecture)
    assert {a.input_size for a in drawn} == {(): {16, 24}, (24,): {24}, (16, 32): {16}, (32,): {24}}[sizes]
    assert {a.units[1][0].expansion for a in drawn} == {3}
    assert {a.units[1][1].expansion for a in drawn if len(a.units[1]) > 1} == {2}, "neither of the two fits"
    assert {a.units[2][0].expansion for a in drawn} == {2}
    assert {a.units[2][1].expansion for a in drawn if len(a.units[2]) > 1} == {4}


def test_the_largest_of_a_narrower_space_is_trained_at_its_size(tmp_path: Path) -> None:
    class Narrow(TinyRecipe):
        def search_space(self) -> ElasticSpace:
            return dataclasses.replace(SIZES, largest=Architecture.parse("24px k3e1 | k3e3 k3e2 | k5e2 k3e4"))

    recipe = tiny_recipe(Narrow, phases=(sandwich(steps=1),))
    net = train(tmp_path, recipe)
    assert net.tensor("unit1.block0.expand.weight").shape[0] == SIZES.hidden(1, 0, 3)
    loaded = load_supernet(recipe, DATA, tmp_path, CPU)
    assert loaded.space == recipe.search_space()
    assert equal_states(loaded, net)
