"""Budgets in every unit, met by random latency tables: what is answered keeps all bounds, what cannot be is told."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
from bundles import SIZES, SPACE, SUPERCLASSES, random_bundle
from device_states import STATES
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from latency.tables import CONDITIONS, random_table
from random_selectors import random_selector

import eas_sdk
from eas_sdk import Budget, Runtime
from eas_sdk.device.policy import DEFAULT_POLICY, decide
from eas_sdk.device.power import DEFAULT, Cluster, PowerTable
from eas_sdk.device.state import DeviceState
from eas_sdk.errors import InfeasibleBudget, TableError
from eas_sdk.graph.cost import cost
from eas_sdk.graph.memory import MODELS, memory_bytes
from eas_sdk.latency.predict import choice_table
from eas_sdk.latency.store import table_path
from eas_sdk.latency.table import LatencyTable, write
from eas_sdk.limits import ROUNDING, Costs, exact, request
from eas_sdk.selector import generator
from eas_sdk.selector.generator import UNUSED
from eas_sdk.selector.protocol import Request
from eas_sdk.space.architecture import Architecture
from eas_sdk.space.elastic.space import ElasticSpace
from eas_sdk.task import resolve

UNITS = ("madds", "latency_ms", "energy_mj", "memory_bytes")
FORMS = [(1, 1.0, 0.0), (4, 0.02, -0.001), (6, 50.0, 3.0)]
"""Threads, scale, offset (ms)."""


def tables(space: ElasticSpace) -> list[LatencyTable]:
    return [
        random_table(space, seed, dataclasses.replace(CONDITIONS, threads=threads), scale, offset_ms)
        for seed, (threads, scale, offset_ms) in enumerate(FORMS)
    ]


TABLES = tables(SPACE)
TABLES_OF_SIZES = tables(SIZES)
POWERS = [
    DEFAULT,
    PowerTable("other", False, (Cluster("big", 2, 333.0, ((1.0, 2047.0),)), Cluster("little", 3, 7.0, ((1.0, 91.0),)))),
]


@dataclasses.dataclass(frozen=True, eq=False)
class Device:
    """A runtime with tables of its own, and the engine that is asked for."""

    runtime: Runtime
    engine: str

    @property
    def space(self) -> ElasticSpace:
        return self.runtime.bundle.space

    def costs(self, task: str, architecture: Architecture) -> dict[str, float]:
        """What a network costs, by the definition of each unit."""
        nodes = self.space.structure(architecture, len(SUPERCLASSES[task]))
        table, power = self.runtime.latency, self.runtime.power
        latency_ms = table.latency_ms(nodes)
        return {
            "madds": cost(nodes).madds,
            "latency_ms": latency_ms,
            "energy_mj": power.energy_mj(latency_ms, table.conditions.threads),
            "memory_bytes": memory_bytes(nodes, self.engine),
        }

    def ends(self, task: str) -> tuple[dict[str, float], dict[str, float]]:
        """What the smallest network costs, and the most that any costs, as selectors compute it."""
        classes, table = len(SUPERCLASSES[task]), self.runtime.latency
        space = self.space
        rows = space.encode([space.smallest, space.largest])
        ends = []
        for end, ms in zip(rows, choice_table(space, table, classes).total(space, rows, classes).tolist(), strict=True):
            energy_mj = self.runtime.power.energy_mj(ms, table.conditions.threads)
            ends.append(self.costs(task, space.decode(end)) | {"latency_ms": ms, "energy_mj": energy_mj})
        low, high = ends
        return low, high

    def keeps(self, task: str, budget: Budget, architecture: Architecture) -> bool:
        """Whether a network keeps all bounds."""
        self.space.validate(architecture)
        costs = self.costs(task, architecture)
        low, high = self.runtime.budget_range(task)
        bounds = dict(budget.bounds)
        if "level" in bounds:
            costs["level"], bounds["level"] = costs["madds"], low + round(bounds["level"] * (high - low))
        return all(costs[name] <= most * (1 + ROUNDING) for name, most in bounds.items())

    def pick(self, requests: Sequence[tuple[str, object]], seed: int = 0) -> list[Architecture]:
        return self.runtime.architectures(requests, seed=seed, engine=self.engine)


@pytest.fixture(scope="module")
def runtime(tmp_path_factory: pytest.TempPathFactory) -> Runtime:
    return eas_sdk.load(random_bundle(tmp_path_factory.mktemp("bundle")))


@pytest.fixture(scope="module")
def of_sizes(tmp_path_factory: pytest.TempPathFactory) -> Runtime:
    """Of networks of three input sizes."""
    return eas_sdk.load(random_bundle(tmp_path_factory.mktemp("bundle"), space=SIZES))


DEVICES = st.tuples(st.sampled_from(TABLES), st.sampled_from(POWERS), st.sampled_from([*MODELS, "another"]))


def device(
    runtime: Runtime, table: LatencyTable = TABLES[0], power: PowerTable = DEFAULT, engine: str = "numpy"
) -> Device:
    return Device(dataclasses.replace(runtime, latency=table, power=power), engine)


Parts = Mapping[str, float]
"""Unit -> how far on the way from the smallest network to the largest."""


def parts(low: float = 0.001, high: float = 1.2) -> st.SearchStrategy[Parts]:
    return st.dictionaries(st.sampled_from([*UNITS, "level"]), st.floats(low, high), min_size=1)


def budget_at(found: Device, task: str, parts: Parts) -> Budget:
    """Bounds at these parts of the way."""
    least, most = found.ends(task)
    bounds: dict[str, float] = {}
    for unit, part in parts.items():
        if unit == "level":
            bounds[unit] = abs(round(min(max(part, 0.0), 1.0), 4))
        else:
            value = least[unit] + part * (most[unit] - least[unit])
            bounds[unit] = int(value) if unit in ("madds", "memory_bytes") else float(value)
    assume(all(value > 0 for name, value in bounds.items() if name != "level"))
    assume(bounds.get("memory_bytes") != least["memory_bytes"])  # which are rounded
    return Budget(**bounds)


TASKS = st.sampled_from(sorted(SUPERCLASSES))
ASKED = st.lists(st.tuples(TASKS, parts()), min_size=1)


@given(DEVICES, ASKED, st.integers(0, 2**40))
@settings(max_examples=60)
def test_every_answer_keeps_every_bound(
    runtime: Runtime, drawn: tuple, asked: list[tuple[str, Parts]], seed: int
) -> None:
    found = device(runtime, *drawn)
    requests = [(task, budget_at(found, task, parts)) for task, parts in asked]
    for (task, budget), architecture in zip(requests, found.pick(requests, seed), strict=True):
        assert found.keeps(task, budget, architecture), budget


@given(st.sampled_from(TABLES_OF_SIZES), st.sampled_from([*MODELS, "another"]), ASKED, st.integers(0, 2**40))
@settings(max_examples=60)
def test_every_answer_keeps_every_bound_where_sizes_are_chosen_too(
    of_sizes: Runtime, table: LatencyTable, engine: str, asked: list[tuple[str, Parts]], seed: int
) -> None:
    found = device(of_sizes, table, engine=engine)
    requests = [(task, budget_at(found, task, parts)) for task, parts in asked]
    answers = found.pick(requests, seed)
    for (task, budget), architecture in zip(requests, answers, strict=True):
        assert found.keeps(task, budget, architecture), budget
    assert [found.pick([one], seed)[0] for one in requests] == answers


@pytest.mark.parametrize("unit", UNITS)
def test_smaller_images_meet_what_larger_ones_cannot(of_sizes: Runtime, unit: str) -> None:
    found = device(of_sizes, TABLES_OF_SIZES[1], engine="litert")
    low, high = (end[unit] for end in found.ends("birds"))
    picked = []
    for part in (0.001, 0.05, 0.3, 1.0):
        bound = low + part * (high - low)
        budget = Budget(**{unit: int(bound) if unit in ("madds", "memory_bytes") else float(bound)})
        answers = [found.pick([("birds", budget)], seed)[0] for seed in range(4)]
        assert all(found.keeps("birds", budget, answer) for answer in answers)
        picked += [answer.input_size for answer in answers]
    assert picked[:4] == [32] * 4
    assert max(picked) > 32


@pytest.mark.parametrize("level", [1 / 3, 0.1234567890123, 1e-7, 1.0, 0.0, 4e-176, 5e-324])
def test_levels_are_told_exactly(level: float) -> None:
    budget = Budget(latency_ms=1 / 3, memory_bytes=1234567, level=level)
    assert Budget.parse(exact(budget)) == budget


@given(DEVICES, TASKS, parts(-0.3, 0.6))
@settings(max_examples=60)
def test_an_infeasible_budget_tells_the_nearest(runtime: Runtime, drawn: tuple, task: str, parts: Parts) -> None:
    found = device(runtime, *drawn)
    budget = budget_at(found, task, parts)
    least = found.costs(task, SPACE.smallest)
    if found.keeps(task, budget, SPACE.smallest):
        assert found.keeps(task, budget, found.pick([(task, budget)])[0])
        return
    with pytest.raises(InfeasibleBudget) as caught:
        found.pick([(task, budget)])
    nearest = caught.value.nearest
    assert set(nearest.bounds) == set(budget.bounds)
    missed = {n for n in UNITS if n in budget.bounds and least[n] > budget.bounds[n] * (1 + ROUNDING)}
    for name, bound in nearest.bounds.items():
        if name not in missed:
            assert bound == budget.bounds[name], "a bound that was met is kept"
        else:
            assert least[name] * (1 - ROUNDING) <= bound <= (1.0011 * least[name] if name != "madds" else least[name])
    assert found.keeps(task, nearest, found.pick([(task, nearest)])[0])
    (told,) = re.findall("nearest feasible budget is '(.*?)'", str(caught.value))
    assert found.keeps(task, Budget.parse(told), found.pick([(task, told)])[0]), "what the message tells is feasible"
    takes = str(caught.value).split(";")[0]
    for name, unit in (
        ("madds", "multiply-adds"),
        ("latency_ms", " ms"),
        ("energy_mj", " mJ"),
        ("memory_bytes", " MB"),
    ):
        assert (unit in takes) == (name in missed)


def test_a_joint_budget_names_each_bound_that_is_too_low(runtime: Runtime) -> None:
    found = device(runtime)
    with pytest.raises(InfeasibleBudget) as caught:
        found.pick([("birds", "1k and 1us and 1uJ and 1kB and 50%")])
    low, _ = runtime.budget_range("birds")
    text = str(caught.value)
    assert text.split(";")[0].count(" and ") == 3
    for part in (
        "'birds'",
        f"{low} multiply-adds",
        " ms and ",
        " mJ and ",
        " MB",
        "50%",
        "got 1.00k and 50% and 0.001 ms",
    ):
        assert part in text
    with pytest.raises(InfeasibleBudget) as caught:
        found.pick([("birds", "10M and 1us and 1GB")])
    assert str(caught.value).startswith("the smallest network for 'birds' takes ")
    assert "MB" not in str(caught.value).split(";")[0]


@pytest.mark.parametrize("unit", ["latency_ms", "energy_mj", "memory_bytes"])
def test_the_smallest_network_s_cost_is_the_least_feasible_budget(runtime: Runtime, unit: str) -> None:
    found = device(runtime, TABLES[1], engine="litert")
    least = found.costs("tools", SPACE.smallest)[unit]
    exact = Budget(**{unit: least if unit != "memory_bytes" else least + 1})
    assert found.keeps("tools", exact, found.pick([("tools", exact)])[0])
    with pytest.raises(InfeasibleBudget):
        found.pick([("tools", Budget(**{unit: least * 0.999 if unit != "memory_bytes" else least - 1}))])


@given(DEVICES, st.integers(0, 99), st.floats(0, 1))
@settings(max_examples=20)
def test_energy_is_latency_times_power(runtime: Runtime, drawn: tuple, seed: int, part: float) -> None:
    found = device(runtime, *drawn)
    table, power = found.runtime.latency, found.runtime.power
    mj_per_ms = power.milliwatts(table.conditions.threads) / 1000
    assert Costs(table, power).mj_per_ms == pytest.approx(mj_per_ms, rel=1e-12)
    low, high = (end["latency_ms"] for end in found.ends("birds"))
    latency_ms = low * 1.000001 + part * (high - low)
    in_time, in_energy = Budget(latency_ms=latency_ms), Budget(energy_mj=latency_ms * mj_per_ms)
    answers = found.pick([("birds", in_time), ("birds", in_energy)], seed)
    assert answers[0] == answers[1]


@given(st.floats(0, 1), TASKS, st.integers(0, 2**40))
def test_a_level_means_its_multiply_adds(runtime: Runtime, level: float, task: str, seed: int) -> None:
    low, high = runtime.budget_range(task)
    madds = low + round(level * (high - low))
    requests: list[tuple[str, object]] = [(task, Budget(level=level)), (task, madds), (task, Budget(madds, level=1.0))]
    assert len(set(runtime.architectures(requests, seed=seed))) == 1


@pytest.mark.parametrize(("text", "part"), [("40%", 0.4), ("0%", 0.0), ("100%", 1.0)])
def test_a_level_in_percent(runtime: Runtime, text: str, part: float) -> None:
    low, high = runtime.budget_range("birds")
    model = runtime.specialize("birds", text)
    assert model.architecture == runtime.specialize("birds", low + round(part * (high - low))).architecture
    assert low <= model.madds <= low + round(part * (high - low))


def test_one_hundred_percent_and_zero_are_the_ends() -> None:
    for bias, level, end in ((60.0, 1.0, SPACE.largest), (-60.0, 1.0, SPACE.smallest), (60.0, 0.0, SPACE.smallest)):
        superclasses = [eas_sdk.task.Superclass("birds", ("a", "b", "c", "d", "e"))]
        selector = random_selector(SPACE, bias=bias)
        asked = request(selector, resolve("birds", superclasses), Budget(level=level), Costs())
        assert selector.select([asked]) == [end]


@given(STATES)
@settings(max_examples=30)
def test_auto_is_what_the_default_policy_allows_now(runtime: Runtime, state: DeviceState) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("eas_sdk.device.state.read_state", lambda: state)
        (found,) = runtime.architectures([("birds", " Auto ")])
        model = runtime.specialize("birds", "auto")
    budget = decide(DEFAULT_POLICY, state).budget
    assert [found] == runtime.architectures([("birds", budget)])
    assert model.architecture == found


def test_auto_follows_the_battery(runtime: Runtime, monkeypatch: pytest.MonkeyPatch) -> None:
    low, high = runtime.budget_range("birds")
    spent = []
    for battery, most in ((0.1, 0.15), (0.3, 0.5), (0.9, 1.0)):
        state = DeviceState(battery=battery, charging=False)
        monkeypatch.setattr("eas_sdk.device.state.read_state", lambda state=state: state)
        spent.append(runtime.specialize("birds", "auto").madds)
        assert spent[-1] <= low + round(most * (high - low))
    assert len(set(spent)) == 3


@given(DEVICES, st.lists(st.tuples(TASKS, parts()), min_size=2, max_size=5), st.integers(0, 2**40))
@settings(max_examples=20)
def test_an_answer_does_not_depend_on_the_requests_beside_it(
    runtime: Runtime, drawn: tuple, asked: list[tuple[str, Parts]], seed: int
) -> None:
    found = device(runtime, *drawn)
    requests = [(task, budget_at(found, task, parts)) for task, parts in asked]
    together = found.pick(requests, seed)
    assert [found.pick([one], seed)[0] for one in requests] == together
    assert found.pick(requests[::-1], seed) == together[::-1]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(generator, "CHUNK_CHOICES", 1)
        assert found.pick(requests, seed) == together


@given(DEVICES, TASKS, parts(), st.sets(st.sampled_from([*UNITS, "level"]), min_size=1), st.integers(0, 2**40))
@settings(max_examples=40)
def test_a_bound_that_every_network_keeps_changes_nothing(
    runtime: Runtime, drawn: tuple, task: str, parts: Parts, loosely: set[str], seed: int
) -> None:
    found = device(runtime, *drawn)
    budget = budget_at(found, task, parts)
    most: dict[str, float] = {"level": 1.0}
    for name, value in found.ends(task)[1].items():
        most[name] = value + 1 if isinstance(value, int) else value * 1.000001
    loose = Budget(**{name: most[name] for name in loosely})
    assert found.pick([(task, budget & loose)], seed) == found.pick([(task, budget)], seed)
    for name in ("latency_ms", "energy_mj", "memory_bytes"):
        together, alone = Budget(level=0.5) & Budget(**{name: most[name]}), Budget(level=0.5)
        assert found.pick([(task, together)], seed) == found.pick([(task, alone)], seed)


@pytest.mark.parametrize("seed", range(3))
def test_a_bound_that_the_answer_keeps_never_makes_it_much_smaller(runtime: Runtime, seed: int) -> None:
    found, task = device(runtime), "birds"
    budgets = found.runtime.selector.budgets
    within = UNUSED * (budgets[-1] - budgets[0])
    for level in np.linspace(0.3, 1, 15):
        budget = Budget(level=float(level))
        (free,) = found.pick([(task, budget)], seed)
        costs = found.costs(task, free)
        kept = choice_table(SPACE, TABLES[0], 3).total(SPACE, SPACE.encode([free]), 3)[0]
        for bound in (Budget(latency_ms=float(kept) * 1.000001), Budget(memory_bytes=costs["memory_bytes"] + 1)):
            (answer,) = found.pick([(task, budget & bound)], seed)
            assert found.costs(task, answer)["madds"] >= costs["madds"] - within


@given(
    DEVICES, st.lists(st.tuples(TASKS, parts(0.001, 0.7)), min_size=1, max_size=3), st.sampled_from([-2.0, 3.0, 60.0])
)
@settings(max_examples=30)
def test_bounds_are_kept_whatever_the_generator_learned(
    runtime: Runtime, drawn: tuple, asked: list[tuple[str, Parts]], bias: float
) -> None:
    found, selector = device(runtime, *drawn), random_selector(SPACE, bias=bias, samples=3)
    budgets = [(task, budget_at(found, task, parts)) for task, parts in asked]
    requests = []
    for task, budget in budgets:
        costs = found.runtime.costs(budget, found.engine)
        requests.append(request(selector, resolve(task, runtime.bundle.superclasses), budget, costs))
    for (task, budget), architecture in zip(budgets, selector.select(requests), strict=True):
        assert found.keeps(task, budget, architecture)


def test_bounds_in_time_need_a_table(runtime: Runtime) -> None:
    task = resolve("birds", runtime.bundle.superclasses)
    for budget in (Budget(latency_ms=5.0), Budget(energy_mj=5.0), Budget(10**6, latency_ms=5.0)):
        with pytest.raises(TableError, match="needs a latency table"):
            request(runtime.selector, task, budget, Costs())
    assert request(runtime.selector, task, Budget(10**6), Costs()) == Request(task.shares, 3, 10**6)


@pytest.mark.parametrize("budget", ["1000s", "1000J", "1000s and 100%"])
@pytest.mark.parametrize("task", ["birds", "auto"])
def test_where_there_is_no_table_this_machine_is_measured_quickly(runtime: Runtime, task: str, budget: str) -> None:
    model = runtime.specialize(task, budget)
    assert model.latency_ms is not None
    assert 0 < model.latency_ms < 1e6
    table = runtime.costs(Budget.parse(budget)).latency
    assert table is not None
    assert table.quick


def test_this_machine_s_tables_are_found_and_a_model_tells_its_latency(runtime: Runtime) -> None:
    from eas_sdk.latency.local import conditions

    table_path("numpy", 1).parent.mkdir()
    slow, fast = (
        random_table(SPACE, 0, conditions(engine, 1), scale) for engine, scale in (("numpy", 5.0), ("onnxruntime", 1.0))
    )
    write(slow, table_path("numpy", 1))
    nodes = SPACE.structure(SPACE.smallest, 3)
    budget = Budget(latency_ms=slow.latency_ms(nodes) * 1.2)
    model = runtime.specialize("birds", budget)
    assert model.latency_ms == pytest.approx(slow.latency_ms(model.graph.nodes))
    assert model.latency_ms <= budget.latency_ms
    assert runtime.specialize("birds", "1M").latency_ms is None
    assert runtime.specialize("birds", budget, engine="auto").engine == "numpy"
    pytest.importorskip("onnxruntime")
    write(fast, table_path("onnxruntime", 1))
    quick = runtime.specialize("birds", budget, engine="auto")
    assert quick.engine == "onnxruntime"
    assert quick.latency_ms == pytest.approx(fast.latency_ms(quick.graph.nodes))


def test_the_page_on_budgets_says_what_is() -> None:
    text = (Path(__file__).parents[1] / "docs" / "budgets.md").read_text(encoding="utf-8")
    for code in re.findall(r"^```python\n(.*?)^```$", text, re.DOTALL | re.MULTILINE):
        exec(compile(code, "budgets.md", "exec"), {})
    written = [
        word
        for row in re.findall(r"^\| (.*?) \|", text.split("```")[0], re.MULTILINE)
        for word in re.findall(r"`(.+?)`", row)
    ]
    for word in (w.strip('"') for w in written):
        if word != "auto":
            Budget.parse(word.replace("_", "") if word[0].isdigit() else f"1{word}")
    section = text.split("The file is JSON:")[1].split("##")[0]
    told = {name for row in re.findall(r"^\| (`.*?) \|", section, re.MULTILINE) for name in re.findall(r"`(\w+)`", row)}
    path = table_path("numpy", 1)
    path.parent.mkdir()
    write(TABLES[0], path)
    assert told == set(json.loads(path.read_text()))
    for condition in dataclasses.asdict(CONDITIONS):
        assert f"`{condition}`" in section
