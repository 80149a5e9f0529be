"""The task "auto": the router picks the superclass, its network answers, and the budget pays for both."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from bundles import SPACE, SUPERCLASSES, patches, random_bundle
from hypothesis import given
from hypothesis import strategies as st
from sizes import runtime_of_sizes

import eas_sdk
from eas_sdk import Budget, Runtime
from eas_sdk.errors import BudgetError, ImageError, InfeasibleBudget, InputError, TaskError
from eas_sdk.images import to_square
from eas_sdk.latency.build import space_segments
from eas_sdk.latency.local import conditions
from eas_sdk.latency.meter import Timing
from eas_sdk.latency.segments import key, segments
from eas_sdk.latency.table import LatencyTable
from eas_sdk.router.model import RoutedModel, combined
from eas_sdk.router.network import Route

IMAGES = patches(40, SPACE.input_sizes[-1], seed=1)


@pytest.fixture(scope="module")
def runtime(tmp_path_factory: pytest.TempPathFactory) -> Runtime:
    """With a latency table of the networks and the router: each block takes as long as its name."""
    bare = eas_sdk.load(random_bundle(tmp_path_factory.mktemp("bundle")))
    parts = [*space_segments(SPACE, (2, 60)), *segments(bare.checked_router().graph.nodes)]
    timings = {key(part): Timing(0.001 * len(key(part)), 0.0, 15) for part in parts}
    return eas_sdk.Runtime(
        bare.bundle, bare.selector, LatencyTable(conditions("numpy", 1), "2026-01-31", timings), router=bare.router
    )


def test_router_and_network_answer_together(runtime: Runtime) -> None:
    model = runtime.specialize("auto", "2M")
    assert model.superclasses == tuple(SUPERCLASSES)
    assert model.input_size == SPACE.input_sizes[-1]
    predictions = model.predict(IMAGES, top_k=3)
    assert {p.superclass for p in predictions} == {*SUPERCLASSES, ""}
    owner = {label: name for name, labels in SUPERCLASSES.items() for label in labels}
    for i, (route, prediction) in enumerate(zip(model.routes(IMAGES), predictions, strict=True)):
        if route.superclass is None:
            assert (prediction.top, prediction.label, prediction.probability) == ((), "", 0.0)
            continue
        network = model.network(route.superclass)
        (alone,) = network.predict(IMAGES[i : i + 1], top_k=100)
        prior = dict(route.top)
        joint = {label: prior[owner[label]] * p for label, p in alone.top}
        best = sorted(joint, key=lambda label: -joint[label])[:3]
        assert [label for label, _ in prediction.top] == best
        assert prediction.superclass == owner[best[0]]
        assert prediction.probability == pytest.approx(joint[best[0]] / sum(joint.values()), rel=1e-4)


def test_a_network_that_is_sure_overrules_a_router_that_is_not(runtime: Runtime) -> None:
    network = runtime.specialize("auto", "2M").network("birds")
    logits = np.zeros(12, np.float32)
    logits[network.labels.index("ant")] = 3
    unsure = Route((("birds", 0.5), ("insects", 0.4), ("tools", 0.0)), known=True)
    assert combined(unsure, logits, network).superclass == "insects"
    assert combined(unsure, logits, network).label == "ant"
    sure = Route((("birds", 0.99), ("insects", 0.005), ("tools", 0.005)), known=True)
    assert combined(sure, logits, network, top_k=1).superclass == "birds"
    assert len(combined(sure, logits, network, top_k=100).top) == 12
    assert sum(p for _, p in combined(unsure, logits, network, top_k=100).top) == pytest.approx(1)
    assert combined(Route(unsure.top, known=False), logits, network).top == ()
    plain = runtime.specialize("tools", "2M")  # as in a session whose task has just become "auto"
    assert combined(unsure, logits[:5], plain).superclass == "tools"


def test_frames_of_a_scene_get_one_superclass(runtime: Runtime) -> None:
    model = runtime.specialize("auto", "2M")
    mine = IMAGES[[i for i, route in enumerate(model.routes(IMAGES)) if route.superclass == "birds"]]
    route = model.router.scene(mine)
    assert route.superclass == "birds"
    network = model.network("birds")
    expected = [combined(route, logits, network) for logits in network.logits(mine)]
    assert model.predict(mine, scene=True) == expected


def test_router_and_networks_may_each_have_their_own_size(tmp_path: Path) -> None:
    runtime = runtime_of_sizes(tmp_path)
    built = runtime.specialize("auto", "2M")
    family = {**built.architectures, "birds": runtime.bundle.space.smallest, "tools": runtime.bundle.space.largest}
    model = runtime.routed(family)
    assert (model.input_size, model.network("birds").input_size, model.network("tools").input_size) == (40, 24, 32)
    rng = np.random.default_rng(4)
    frames = [patches(1, 4 * side, seed=side)[0][:, : 4 * side - rng.integers(0, side)] for side in range(9, 49)]
    found = model.predict(frames, 1)
    assert {p.superclass for p in found} >= {"birds", "tools"}
    routes = model.routes([to_square(frame, 40) for frame in frames])
    assert routes == model.routes(frames)
    for frame, route, prediction in zip(frames, routes, found, strict=True):
        if route.superclass is not None:
            network = model.network(route.superclass)
            own = to_square(frame, network.input_size)  # of the frame, not of what the router has seen
            assert prediction.label == combined(route, network.logits(own[None])[0], network).label
        else:
            assert prediction.label == ""
    (alone,) = model.predict(frames[0][None], 1)
    assert (alone.label, alone.superclass) == (found[0].label, found[0].superclass)
    mine = [frame for frame, route in zip(frames, routes, strict=True) if route.superclass == "birds"]
    scene, network = model.router.scene(mine), model.network("birds")
    assert scene.superclass == "birds"
    logits = network.logits([to_square(frame, 24) for frame in mine])
    assert model.predict(mine, scene=True) == [combined(scene, row, network) for row in logits]


@given(
    limit=st.one_of(
        st.floats(0.3e6, 4e6).map(lambda v: Budget(madds=int(v))),
        st.floats(0.1, 10).map(lambda v: Budget(latency_ms=v)),
        st.floats(0.1, 10).map(lambda v: Budget(energy_mj=v)),
        st.integers(10**6, 10**7).map(lambda v: Budget(memory_bytes=v)),
        st.floats(0, 1).map(lambda v: Budget(level=v)),
    ),
    other=st.one_of(st.none(), st.integers(10**5, 4 * 10**6)),
    seed=st.integers(0, 5),
)
def test_router_and_network_together_keep_within_the_budget(
    runtime: Runtime, limit: Budget, other: int | None, seed: int
) -> None:
    budget = limit if other is None else limit & Budget(madds=other)
    try:
        model = runtime.specialize("auto", budget, seed=seed)
    except InfeasibleBudget as error:
        runtime.specialize("auto", error.nearest, seed=seed)  # is feasible
        runtime.specialize("auto", str(error).partition("budget is '")[2].partition("'")[0])  # as written, too
        return
    check(runtime, model, budget)


def check(runtime: Runtime, model: RoutedModel, budget: Budget) -> None:
    router, costs = model.router.router, runtime.costs(budget)
    for name in SUPERCLASSES:
        network = model.network(name)
        assert network.labels == runtime.bundle.labels
        assert network.task.name == name
        madds = router.cost.madds + network.madds
        latency_ms = costs.latency.latency_ms(router.nodes) + network.latency_ms
        assert madds <= model.madds
        assert latency_ms <= model.latency_ms
        assert budget.madds is None or madds <= budget.madds
        assert budget.latency_ms is None or latency_ms <= budget.latency_ms * (1 + 1e-9)
        assert budget.energy_mj is None or costs.mj_per_ms * latency_ms <= budget.energy_mj * (1 + 1e-9)
        assert budget.memory_bytes is None or model.memory_bytes <= budget.memory_bytes
        if budget.level is not None:
            low, high = runtime.budget_range("all")
            assert network.madds <= low + round(budget.level * (high - low))


def test_the_range_of_budgets(runtime: Runtime) -> None:
    low, high = runtime.budget_range("auto")
    assert runtime.specialize("auto", low).madds <= low
    assert runtime.specialize("auto", high).madds <= high
    with pytest.raises(InfeasibleBudget, match="the router and the smallest network") as caught:
        runtime.specialize("auto", low - 1)
    assert caught.value.nearest == Budget(madds=low)
    with pytest.raises(InfeasibleBudget):
        runtime.specialize("auto", "1us")
    assert runtime.labels("auto") == runtime.bundle.labels


def test_what_is_refused(runtime: Runtime) -> None:
    model = runtime.specialize("auto", "2M")
    for images in (IMAGES[:0], IMAGES[0, 0], [IMAGES]):
        for scene in (False, True):
            with pytest.raises(ImageError):
                model.predict(images, scene=scene)
    with pytest.raises(KeyError):
        model.network("fish")
    with pytest.raises(BudgetError):
        runtime.specialize("auto", "2 apples")
    with pytest.raises(InputError):
        runtime.specialize("auto", "2M", seed=-1)
    for call in (runtime.architectures, lambda asked: runtime.build("auto", asked)):
        with pytest.raises(TaskError, match="'auto' is decided image by image"):
            call([("auto", "2M")])


def test_under_a_bound_on_memory_one_network_is_held_at_a_time(
    runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    built = []
    build = Runtime.build
    monkeypatch.setattr(
        Runtime, "build", lambda *args, **options: built.append(args[1].name) or build(*args, **options)
    )
    names = list(SUPERCLASSES)
    for budget, expected in (("2M", names), ("100MB", [*names, *names])):
        built.clear()
        model = runtime.specialize("auto", budget)
        for name in (*names, *names):
            model.network(name)
        assert built == expected


def test_a_superclass_may_be_called_auto(tmp_path_factory: pytest.TempPathFactory) -> None:
    cars = {"auto": ("bus", "car"), "all": ("one", "two"), "birds": ("owl",)}
    runtime = eas_sdk.load(random_bundle(tmp_path_factory.mktemp("bundle"), cars))
    assert runtime.specialize("auto", "100%").labels == ("bus", "car")
    assert runtime.specialize("all", "100%").labels == ("one", "two")


def test_threads_share_a_model(runtime: Runtime) -> None:
    model, expected = runtime.specialize("auto", "2M"), runtime.specialize("auto", "2M").predict(IMAGES)
    found: list[object] = []
    work: Callable[[], None] = lambda: found.append(model.predict(IMAGES))  # noqa: E731
    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [expected] * 4
