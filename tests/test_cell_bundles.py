"""Bundles of cells with menus, from file to prediction: what the runtime promises holds for them too."""

from __future__ import annotations

import dataclasses
import json
import random
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from bundles import SPACE, SUPERCLASSES, random_bundle
from cell_spaces import MEANS, SPACES
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from latency.tables import random_table

import eas_sdk
from eas_sdk import Budget, Runtime
from eas_sdk.cli.app import cli
from eas_sdk.engine import ENGINES
from eas_sdk.errors import ArchitectureError, InfeasibleBudget, MissingDependency
from eas_sdk.export import EXPORTERS
from eas_sdk.graph.cost import cost
from eas_sdk.graph.memory import memory_bytes
from eas_sdk.graph.nodes import Conv2d, DepthwiseConv2d, Mean
from eas_sdk.latency.predict import choice_table
from eas_sdk.limits import ROUNDING
from eas_sdk.selector.menu import MenuSelector
from eas_sdk.space.architecture import Architecture


@pytest.fixture(scope="module", params=SPACES)
def path(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return random_bundle(tmp_path_factory.mktemp("bundle"), space=SPACES[request.param])


@pytest.fixture(scope="module")
def runtime(path: Path) -> Runtime:
    return eas_sdk.load(path)


def costs(runtime: Runtime, architecture: Architecture, classes: int) -> dict[str, float]:
    """What a network costs, by the definition of each unit."""
    nodes = runtime.bundle.space.structure(architecture, classes)
    assert runtime.latency is not None
    latency_ms = runtime.latency.latency_ms(nodes)
    return {
        "madds": cost(nodes).madds,
        "latency_ms": latency_ms,
        "energy_mj": runtime.power.energy_mj(latency_ms, 1),
        "memory_bytes": memory_bytes(nodes, "numpy"),
    }


@settings(max_examples=80, deadline=None)
@given(st.data(), st.integers(0, 3))
def test_every_answer_keeps_every_bound_and_what_cannot_be_is_told(
    runtime: Runtime, data: st.DataObject, seed: int
) -> None:
    timed = dataclasses.replace(runtime, latency=random_table(runtime.bundle.space, seed))
    task = data.draw(st.sampled_from(sorted(SUPERCLASSES)))
    classes = len(SUPERCLASSES[task])
    listed = [costs(timed, architecture, classes) for architecture in timed.selector.architectures]
    bounds = {}
    for unit in data.draw(st.lists(st.sampled_from(sorted(listed[0])), min_size=1, unique=True)):
        values = [each[unit] for each in listed]
        value = min(values) + data.draw(st.floats(-0.1, 1.1)) * (max(values) - min(values))
        bounds[unit] = int(value) if unit in ("madds", "memory_bytes") else float(value)
    if not all(value > 0 for value in bounds.values()):
        return
    budget = Budget(**bounds)
    meets = [all(each[unit] <= most * (1 + ROUNDING) for unit, most in bounds.items()) for each in listed]
    try:
        (architecture,) = timed.architectures([(task, budget)])
    except InfeasibleBudget as error:
        budget = error.nearest
        assert set(budget.bounds) == set(bounds)
        # Of latencies, a network counts as slower than it is where a smaller block was measured to be slower.
        assert not any(meets) or {"latency_ms", "energy_mj"} & set(bounds)
        (architecture,) = timed.architectures([(task, budget)])
    else:
        assert any(meets)
    found = costs(timed, architecture, classes)
    assert all(found[unit] <= most * (1 + ROUNDING) for unit, most in budget.bounds.items())


def test_the_range_is_that_of_the_menu(runtime: Runtime) -> None:
    low, high = runtime.budget_range("birds")
    madds = [
        cost(runtime.bundle.space.structure(architecture, 3)).madds for architecture in runtime.selector.architectures
    ]
    assert (low, high) == (min(madds), max(madds))
    assert runtime.specialize("birds", "0%").madds == low
    with pytest.raises(InfeasibleBudget) as caught:
        runtime.specialize("birds", low - 1)
    assert caught.value.nearest == Budget(low)


def test_a_level_that_nothing_meets_with_a_bound_on_time_is_raised(runtime: Runtime) -> None:
    """The fastest network has more multiply-adds than the smallest: both bounds at their least cannot be met."""
    space, whole = runtime.bundle.space, runtime.selector
    assert isinstance(whole, MenuSelector)
    kept = [i for i, architecture in enumerate(whole.architectures) if architecture != space.smallest]
    entries, raised = tuple(whole.architectures[i] for i in kept), 0
    menu = dataclasses.replace(whole, architectures=entries, choices=whole.choices[kept], scores=whole.scores[:, kept])
    for seed in range(8):
        timed = dataclasses.replace(runtime, selector=menu, latency=random_table(space, seed))
        ms = choice_table(space, timed.latency, 3).total(space, space.encode(entries), 3)
        low, high = timed.budget_range("birds")
        budget = Budget(level=0.0, latency_ms=float(ms.min()))
        try:
            model = timed.specialize("birds", budget)
        except InfeasibleBudget as error:
            budget, raised = error.nearest, raised + 1
            model = timed.specialize("birds", budget)
        assert set(budget.bounds) == {"level", "latency_ms"}
        assert model.madds <= low + round(budget.level * (high - low))
        assert model.latency_ms <= budget.latency_ms * (1 + ROUNDING)
    assert raised


def models(runtime: Runtime) -> Iterator[eas_sdk.Model]:
    """Networks with every kind of node that the space has."""
    space = runtime.bundle.space
    rng = random.Random(1)
    yield runtime.build("insects", space.largest)
    yield runtime.build(("birds", "tools"), space.smallest)
    for architecture in rng.sample(runtime.selector.architectures, 2):
        yield runtime.build("tools", architecture)


def images(runtime: Runtime, count: int = 40) -> np.ndarray:
    size = runtime.bundle.input_size
    coarse = np.random.default_rng(0).integers(0, 256, (count, 8, 8, 3), np.uint8)
    return coarse.repeat(size // 8, 1).repeat(size // 8, 2)


def test_the_networks_have_all_new_nodes() -> None:
    nodes = MEANS.structure(MEANS.largest, 3)
    assert any(isinstance(node, Mean) for node in nodes)
    assert any(isinstance(node, DepthwiseConv2d) and node.dilation == 3 for node in nodes)
    assert {node.along for node in nodes if isinstance(node, Conv2d)} == {"both", "height", "width"}


@pytest.mark.parametrize("engine", ENGINES)
def test_every_engine_predicts_what_numpy_does(runtime: Runtime, engine: str) -> None:
    batch = images(runtime)
    for model in models(runtime):
        expected = model.logits(batch)
        try:
            other = runtime.build(model.task, model.architecture, engine=engine)
        except MissingDependency as missing:
            pytest.skip(str(missing))
        assert np.abs(other.logits(batch) - expected).max() < 1e-4 * np.abs(expected).max()


@pytest.mark.parametrize("suffix", EXPORTERS)
def test_every_format_and_precision_proves_itself(runtime: Runtime, suffix: str, tmp_path: Path) -> None:
    from eas_sdk.export import load_exporter

    for i, model in enumerate(models(runtime)):
        for precision in load_exporter(suffix).precisions:
            target = tmp_path / f"{i}-{precision}{suffix}"
            try:
                # Integers are far from random weights now and then, whose greatest logits are close together.
                made = model.export(target, precision=precision, calibration=images(runtime), keep=precision == "int8")
            except MissingDependency as missing:
                pytest.skip(str(missing))
            assert made.bytes > 0
            if made.proof is not None:  # exporting raises where it is beyond the tolerance
                assert made.proof.images >= 32
                assert made.proof.agreement >= 0.85


def test_architectures_of_other_spaces_are_refused(runtime: Runtime) -> None:
    with pytest.raises(ArchitectureError, match="5 cells; got 1"):
        runtime.build("birds", Architecture.parse("k3e2 k3e2"))
    with pytest.raises(ArchitectureError, match="may have blocks"):
        runtime.build("birds", Architecture.parse("k7e6 | k3e2 | - | 1x5e2 | -"))


def test_the_commands_know_them(path: Path, tmp_path: Path) -> None:
    def eas(*arguments: object) -> str:
        done = CliRunner().invoke(cli, [str(argument) for argument in arguments])
        assert done.exit_code == 0, done.output
        return done.stdout

    shown = eas("info", "--bundle", path)
    assert "5 cells of up to 8 blocks" in shown
    assert "menu" in shown
    told = json.loads(eas("specialize", "birds", "50%", "--bundle", path, "--json"))
    architecture = told["architecture"]
    assert eas_sdk.load(path).bundle.space.structure(Architecture.parse(architecture), 3)


def test_without_a_router_there_is_no_auto(runtime: Runtime) -> None:
    with pytest.raises(eas_sdk.errors.TaskError, match="needs a router"):
        runtime.specialize("auto", "50%")


def test_a_generator_needs_an_elastic_space(tmp_path: Path) -> None:
    from eas_sdk.bank import bundle as bundles
    from eas_sdk.errors import BundleError
    from eas_sdk.selector.registry import load_selector

    made = bundles.read(random_bundle(tmp_path, space=SPACE))
    with pytest.raises(BundleError, match="elastic space; got a CellSpace"):
        load_selector(dataclasses.replace(made, space=MEANS))
