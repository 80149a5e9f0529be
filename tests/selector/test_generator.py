"""The generator on the device: what it returns is always legal, deterministic, and the best of its samples."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import numpy as np
import pytest
from bundles import SIZES, SPACE
from hypothesis import given
from hypothesis import strategies as st
from random_selectors import HEADS, config, random_selector, random_tensors
from space.gate_reference import choices, effective, gate_owners, network
from strategies import architectures, spaces

from eas_sdk.errors import BundleError
from eas_sdk.graph.cost import cost
from eas_sdk.graph.memory import MODELS
from eas_sdk.selector import generator
from eas_sdk.selector.generator import ENCODINGS, GeneratorSelector, load
from eas_sdk.selector.protocol import Limit, Request
from eas_sdk.space.architecture import Architecture
from eas_sdk.space.elastic.backbones import MOBILENET_V3_LARGE
from eas_sdk.space.elastic.space import ElasticSpace
from eas_sdk.space.elastic.units import Head, Stem, Unit
from eas_sdk.space.tables import madds_range, madds_table, memory_table

NARROW = dataclasses.replace(
    SPACE, largest=Architecture.parse("k3e1 | k5e6 k7e4 k3e3 | k7e6 k3e4 | k5e3 k5e3 k5e3 k5e3 | k7e6 k7e6 | k3e6 k7e3")
)
SIZED = dataclasses.replace(
    SIZES, largest=Architecture.parse("48px k3e1 | k3e6 k3e4 | k5e5 | k3e3 k3e6 k3e4 | k5e6 k5e3")
)
SPACES = {"whole": SPACE, "narrowed": NARROW, "sizes": SIZES, "sizes narrowed": SIZED}
EVERY_SPACE = pytest.mark.parametrize("space", SPACES.values(), ids=SPACES.keys())
EVERY_ENCODING = pytest.mark.parametrize("encoding", ENCODINGS)


def madds_of(space: ElasticSpace, architecture: Architecture, classes: int) -> int:
    """Counted on the nodes; ArchitectureError where `architecture` is not a member."""
    return cost(space.structure(architecture, classes)).madds


def random_requests(space: ElasticSpace, count: int, seed: int, superclasses: int = 3) -> list[Request]:
    """Feasible requests: exact ends, in between, and far above."""
    rng = np.random.default_rng(seed)
    requests = []
    for _ in range(count):
        classes = int(rng.integers(1, 12))
        low, high = madds_range(space, classes)
        drawn = int(rng.integers(low, high + 1))
        madds = int(rng.choice([low, low + 1, drawn, drawn, drawn, drawn, high, high + 1, 2**62 - 1]))
        requests.append(Request(((int(rng.integers(superclasses)), 1),), classes, madds))
    return requests


@given(
    spaces(),
    st.integers(0, 2**32),
    st.sampled_from([0.0, 0.3, 1.0, 30.0]),
    st.sampled_from([-40.0, -3.0, 0.0, 3.0, 40.0]),
    st.sampled_from(ENCODINGS),
)
def test_every_answer_is_a_member_within_its_budget(
    space: ElasticSpace, seed: int, scale: float, bias: float, encoding: str
) -> None:
    selector = random_selector(space, samples=5, scale=scale, bias=bias, seed=seed, encoding=encoding)
    requests = random_requests(space, 20, seed)
    answers = selector.select(requests, seed=seed)
    assert len(answers) == len(requests)
    for request, answer in zip(requests, answers, strict=True):
        space.validate(answer)
        assert madds_of(space, answer, request.classes) <= request.madds
    assert [selector.select([request], seed=seed)[0] for request in requests[:4]] == answers[:4]


@EVERY_SPACE
@EVERY_ENCODING
@pytest.mark.parametrize("bias", [-1.0, 0.0, 1.0, 6.0])
def test_thousands_of_answers_are_members_within_their_budgets(space: ElasticSpace, bias: float, encoding: str) -> None:
    selector = random_selector(space, bias=bias, encoding=encoding)
    requests = random_requests(space, 1000, seed=int(bias) + 7)
    answers = selector.select(requests, seed=1)
    for answer in set(answers):
        space.validate(answer)
    classes, limits = (np.array([getattr(r, name) for r in requests]) for name in ("classes", "madds"))
    assert (madds_table(space).total(space, space.encode(answers), classes) <= limits).all()
    assert len(set(answers)) > 10


@EVERY_SPACE
def test_answers_keep_a_bound_on_memory_too(space: ElasticSpace) -> None:
    table = memory_table(space, MODELS["litert"])
    selector = random_selector(space, bias=1.0)
    rng = np.random.default_rng(2)
    requests = []
    for request in random_requests(space, 40, seed=9):
        low, high = table.total(space, space.encode([space.smallest, space.largest]), request.classes).tolist()
        limit = Limit(table, low if rng.random() < 0.2 else int(rng.integers(low, high)))
        requests.append(dataclasses.replace(request, limits=(limit,)))
    for request, answer in zip(requests, selector.select(requests, seed=4), strict=True):
        assert madds_of(space, answer, request.classes) <= request.madds
        (bytes_,) = table.total(space, space.encode([answer]), request.classes)
        assert bytes_ <= request.limits[0].most


def test_a_budget_of_the_smallest_network_gives_a_network_as_small() -> None:
    for space in SPACES.values():
        for bias in (-40.0, 0.0, 40.0):
            selector = random_selector(space, bias=bias)
            low, _ = madds_range(space, 5)
            assert selector.select([Request(((0, 1),), 5, low)]) == [space.smallest]


@EVERY_SPACE
@EVERY_ENCODING
def test_certain_gates_give_the_ends_of_the_space(space: ElasticSpace, encoding: str) -> None:
    request = Request(((1, 1),), 5, 2**62 - 1)
    assert random_selector(space, bias=60.0, encoding=encoding).select([request]) == [space.largest]
    assert random_selector(space, bias=-60.0, encoding=encoding).select([request]) == [space.smallest]


def test_no_request_gives_no_answer() -> None:
    assert random_selector(SPACE).select([]) == []


@EVERY_ENCODING
def test_a_space_of_one_network(encoding: str) -> None:
    units = tuple(dataclasses.replace(u, depths=(1,), kernels=(3,), expansions=u.expansions[:1]) for u in SPACE.units)
    space = dataclasses.replace(SPACE, units=units, largest=Architecture(()))
    low, _ = madds_range(space, 5)
    for limits in ((), (Limit(memory_table(space, MODELS["numpy"]), 2**40),)):
        for madds in (low, 2**40):
            (answer,) = random_selector(space, encoding=encoding).select([Request(((0, 1),), 5, madds, limits)])
            assert answer == space.smallest == space.largest


@EVERY_ENCODING
def test_a_space_of_nothing_but_sizes(encoding: str) -> None:
    units = tuple(dataclasses.replace(u, depths=(1,), kernels=(3,), expansions=u.expansions[:1]) for u in SIZES.units)
    space = dataclasses.replace(SIZES, units=units, largest=Architecture(()))
    assert (space.features, space.layout.steps) == (2, 1)
    selector = random_selector(space, encoding=encoding)
    drawn = [selector.select([Request(((0, 1),), 5, 2**40)], seed=seed)[0] for seed in range(3)]
    assert {*drawn} == {space.largest}, "who gives a budget wants it used"
    costs = [madds_of(space, dataclasses.replace(space.largest, input_size=size), 5) for size in space.input_sizes]
    for size, madds in zip(space.input_sizes, costs, strict=True):
        (answer,) = selector.select([Request(((0, 1),), 5, madds)])
        assert answer.input_size == size


@EVERY_ENCODING
def test_a_space_whose_units_choose_depths_alone(encoding: str) -> None:
    units = tuple(dataclasses.replace(u, kernels=(3,), expansions=u.expansions[:1]) for u in SPACE.units)
    space = dataclasses.replace(SPACE, units=units, largest=Architecture(()))
    assert space.layout.widths == (2, 0, 0, 0)
    selector = random_selector(space, encoding=encoding)
    requests = random_requests(space, 60, seed=3)
    for request, answer in zip(requests, selector.select(requests), strict=True):
        assert madds_of(space, answer, request.classes) <= request.madds


def mixture(selector: GeneratorSelector, requests: Sequence[Request]) -> np.ndarray:
    """[M, T], by the definition."""
    rows = []
    for request in requests:
        shares = dict(request.shares)
        total = sum(shares.values())
        rows.append([shares.get(t, 0) / total for t in range(len(selector.weights["superclass_embedding"]))])
    return np.array(rows)


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def slow_probabilities(selector: GeneratorSelector, mixture: np.ndarray, madds: int) -> list[float]:
    """Of each gate, given that those before it of its choice are on: step by step, choice by choice."""
    w, space = selector.weights, selector.space
    knots = selector.budgets.tolist()
    table, inside = w["budget_embedding"], min(max(madds, knots[0]), knots[-1])
    high = next(i for i in range(1, len(knots)) if inside <= knots[i])
    t = (inside - knots[high - 1]) / (knots[high] - knots[high - 1])
    x = np.concatenate([mixture @ w["superclass_embedding"], (1 - t) * table[high - 1] + t * table[high]])
    blocks = [(u, b) for u, unit in enumerate(space.units) if not unit.fixed for b in range(unit.depths[-1])]
    h = c = np.zeros(w["lstm.hidden"].shape[1])
    states = {}
    for block in blocks or [None]:
        i, f, g, o = np.split(w["lstm.input"] @ x + w["lstm.hidden"] @ h + w["lstm.bias"], 4)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        h = states[block] = sigmoid(o) * np.tanh(c)
    found: list[float] = []
    for choice in choices(space):
        count = len(choice.options)
        if count == 1:
            continue
        state = h if choice.sort == "size" else states[choice.unit, choice.block or 0]
        logits = w[f"{choice.sort}.weight"] @ state + w[f"{choice.sort}.bias"]
        if selector.encoding == "single-path":
            found += sigmoid(logits[: count - 1]).tolist()
        else:
            options = np.exp(logits[:count] - logits[:count].max())
            found += [options[i + 1 :].sum() / options[i:].sum() for i in range(count - 1)]
    return found


RAGGED = ElasticSpace(
    input_sizes=(24, 32, 40, 48),
    stem=Stem(8, 2, "relu6"),
    units=(
        Unit(8, 1, (1,), (3,), (1,), "relu"),
        Unit(8, 2, (1, 3), (3,), (1.5, 2, 4), "relu"),
        Unit(16, 2, (2,), (1, 3, 5), (3,), "relu", True),
        Unit(16, 1, (1,), (3,), (2,), "relu"),
        Unit(16, 1, (1, 2, 3), (3, 5), (2, 2.25), "hard_swish"),
    ),
    head=Head(32, "relu6"),
)


@EVERY_ENCODING
@pytest.mark.parametrize("space", [*SPACES.values(), RAGGED, MOBILENET_V3_LARGE])
def test_probabilities_step_by_step(space: ElasticSpace, encoding: str) -> None:
    selector = random_selector(space, encoding=encoding, scale=0.7, bias=0.5, seed=2)
    low, high = madds_range(space, 5)
    madds = np.linspace(0.5 * low, 1.2 * high, 7).astype(np.int64)
    mixtures = np.random.default_rng(0).dirichlet(np.ones(3), 7)
    found = selector.probabilities(mixtures, madds)
    assert found.shape == (7, space.features)
    expected = [slow_probabilities(selector, m, b) for m, b in zip(mixtures, madds.tolist(), strict=True)]
    np.testing.assert_allclose(found, expected, rtol=1e-9)


@EVERY_ENCODING
def test_what_a_head_says_of_options_that_a_choice_lacks_means_nothing(encoding: str) -> None:
    tensors = random_tensors(RAGGED, encoding=encoding)
    requests = random_requests(RAGGED, 30, seed=6)
    settings = config(RAGGED, encoding=encoding)
    before = load(RAGGED, 3, settings, tensors)
    tensors["kernel.bias"][2 if encoding == "multi-path" else 1] += 100  # the third option, which one unit alone has
    after = load(RAGGED, 3, settings, tensors)
    mixtures, madds = np.eye(3), np.array([1, 2, 3]) * 10**5
    owners = [choices(RAGGED)[column] for column, _ in gate_owners(RAGGED)]
    theirs = np.array([owner.sort == "kernel" and owner.unit == 2 for owner in owners])
    changed = (before.probabilities(mixtures, madds) != after.probabilities(mixtures, madds)).any(0)
    assert changed.any()
    assert not (changed & ~theirs).any()
    for request, answer in zip(requests, after.select(requests), strict=True):
        assert madds_of(RAGGED, answer, request.classes) <= request.madds


def sequential(space: ElasticSpace, probabilities: Sequence[float], uniform: Sequence[float]) -> list[bool]:
    """Gates of one number a choice, by the definition: the first i are on where it is below the product of their
    probabilities; those beyond the space's largest never are."""
    bound, owners = effective(space, space.largest), gate_owners(space)
    on, reached = [], [1.0] * len(uniform)
    for (column, _), p, most in zip(owners, probabilities, bound, strict=True):
        reached[column] *= p * most
        on.append(uniform[column] < reached[column])
    return on


def reference(selector: GeneratorSelector, request: Request, seed: int) -> Architecture:
    """The documented procedure, one sample after the other."""
    space = selector.space
    (p,) = selector.probabilities(mixture(selector, [request]), np.array([request.madds]))
    allowed, columns = effective(space, space.largest), len(choices(space))
    words = np.random.PCG64(seed).random_raw(selector.samples * columns).tolist()
    uniform = [word // 2**40 / 2**24 for word in words]
    likeliest = [q > 0.5 and a for q, a in zip(p, allowed, strict=True)]
    numbers = [uniform[i * columns : (i + 1) * columns] for i in range(selector.samples)]
    draws = [likeliest, *(sequential(space, p.tolist(), mine) for mine in numbers)]
    best, best_score = None, -math.inf
    worth = (mixture(selector, [request]) @ selector.weights["predictor"])[0]
    drawn = [network(space, gates) for gates in draws]
    madds = [madds_of(space, made, request.classes) for made in drawn]
    costliest = max((m for m in madds if m <= request.madds), default=0)
    for made, m in zip(drawn, madds, strict=True):
        score = math.fsum(w for w, g in zip(worth, effective(space, made), strict=True) if g)
        near = costliest - 0.05 * (selector.budgets[-1] - selector.budgets[0]) <= m <= request.madds
        if near and score > best_score:
            best, best_score = made, score
    return best if best is not None else shrunk(space, network(space, likeliest), p.tolist(), request)


def shrunk(space: ElasticSpace, made: Architecture, probabilities: Sequence[float], request: Request) -> Architecture:
    """Without its least likely gates, until it fits."""
    while madds_of(space, made, request.classes) > request.madds:
        gates = effective(space, made)
        gates[min((q, i) for i, (q, g) in enumerate(zip(probabilities, gates, strict=True)) if g)[1]] = False
        made = network(space, gates)
    return made


@pytest.mark.parametrize("bias", [-1.0, 0.5, 2.0])
@EVERY_SPACE
@EVERY_ENCODING
def test_answers_by_the_documented_procedure(space: ElasticSpace, bias: float, encoding: str) -> None:
    selector = random_selector(space, samples=6, bias=bias, seed=3, encoding=encoding)
    requests = random_requests(space, 12, seed=5)
    for seed in (0, 9):
        assert selector.select(requests, seed=seed) == [reference(selector, r, seed) for r in requests]


@given(spaces(), st.integers(0, 2**32))
def test_samples_are_what_the_same_numbers_give_choice_by_choice(space: ElasticSpace, seed: int) -> None:
    selector, rng = random_selector(space, samples=1), np.random.default_rng(seed)
    probabilities = rng.random((2, space.features)) ** rng.choice([0.1, 1.0, 3.0])
    uniform = rng.random((5, len(space.options)))
    drawn = selector._sampled(probabilities, uniform)
    assert drawn.shape == (2, 6, len(space.options))
    assert drawn.dtype == np.int8
    bound = effective(space, space.largest)
    for p, rows in zip(probabilities.tolist(), drawn, strict=True):
        likeliest = [q > 0.5 and most for q, most in zip(p, bound, strict=True)]
        gates = [likeliest, *(sequential(space, p, u) for u in uniform.tolist())]
        expected = [network(space, on) for on in gates]
        assert [space.decode(row) for row in rows] == expected
        assert rows.tolist() == space.encode(expected).tolist(), "absent slots are 0"
        assert space.allowed(rows).all()


def test_one_number_a_choice_gives_the_networks_that_a_number_a_gate_gives() -> None:
    """Exactly, for every network of a space of a hundred: gates are on independently, each with its probability (EAS,
    Eq. 7), and those behind one that is off count nothing."""
    space = dataclasses.replace(
        RAGGED,
        input_sizes=(24, 32, 40),
        units=(Unit(8, 1, (1, 2), (3, 5, 7), (2,), "relu"), Unit(8, 1, (1,), (3,), (2, 3, 4), "relu")),
        largest=Architecture.parse("32px k7e2 k5e2 | k3e4"),
    )
    p = np.random.default_rng(3).uniform(0.3, 0.9, space.features)
    exact: dict[Architecture, float] = {}
    bound = np.array(effective(space, space.largest))
    for word in range(2**space.features):
        gates = word >> np.arange(space.features) & 1 == 1
        made = network(space, (gates & bound).tolist())
        exact[made] = exact.get(made, 0.0) + float(np.where(gates, p, 1 - p).prod())
    assert len(exact) == (3 + 3 * 2) * 3 * 2
    assert sum(exact.values()) == pytest.approx(1)
    count = 60_000
    uniform = np.random.default_rng(4).random((count, len(space.options)))
    rows = random_selector(space)._sampled(p[None], uniform)[0, 1:]
    kinds, counts = np.unique(rows, axis=0, return_counts=True)
    found = {space.decode(row): n / count for row, n in zip(kinds, counts.tolist(), strict=True)}
    assert found.keys() == exact.keys()
    for made, share in exact.items():
        assert abs(found[made] - share) < 4.5 * math.sqrt(share * (1 - share) / count), made


@pytest.mark.parametrize("space", [SPACE, SIZES, RAGGED], ids=["one size", "three", "ragged"])
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_options_are_drawn_as_often_as_they_are_likely(space: ElasticSpace, encoding: str) -> None:
    """On an even grid of numbers, of each choice exactly; all blocks are there, as depths are drawn with the least."""
    selector = random_selector(space, encoding=encoding, scale=0.6)
    (p,) = selector.probabilities(np.array([[0.2, 0.3, 0.5]]), np.array([madds_range(space, 5)[1]]))
    count = 4096
    uniform = np.tile(((np.arange(count) + 0.5) / count)[:, None], len(space.options))
    uniform[:, : len(space.units)] = 0
    rows = selector._sampled(p[None], uniform)[0, 1:]
    owners = gate_owners(space)
    for column, choice in enumerate(choices(space)):
        if choice.sort != "depth":
            gates = [p[gate] for gate, (owner, _) in enumerate(owners) if owner == column]
            at_least = [1.0, *np.cumprod(gates), 0.0]
            expected = [at_least[i] - at_least[i + 1] for i in range(len(choice.options))]
            shares = np.bincount(rows[:, column], minlength=len(choice.options)) / count
            np.testing.assert_allclose(shares, expected, atol=1.01 / count)


@EVERY_SPACE
def test_where_no_sample_fits_the_least_likely_gates_go_first(space: ElasticSpace) -> None:
    selector = random_selector(space, bias=22.0, scale=0.5)
    low, high = madds_range(space, 5)
    requests = [Request(((t, 1),), 5, int(m)) for t in range(3) for m in np.linspace(low, high - 1, 8)]
    probabilities = selector.probabilities(mixture(selector, requests), np.array([r.madds for r in requests]))
    drawn = selector._sampled(probabilities, selector._uniform(0))
    assert (drawn == space.most).all(), "every sample is the largest network, and too large"
    answers = selector.select(requests)
    assert answers == [reference(selector, request, 0) for request in requests]
    assert len(set(answers)) > 5


@given(spaces(), st.integers(0, 2**32), st.data())
def test_a_network_is_repaired_gate_by_gate(space: ElasticSpace, seed: int, data: st.DataObject) -> None:
    selector, rng = random_selector(space, samples=1), np.random.default_rng(seed)
    made = data.draw(architectures(space))
    low, high = madds_range(space, 5)
    p = rng.random(space.features)
    request = Request(((0, 1),), 5, int(rng.integers(low, high, endpoint=True)))
    (row,) = space.encode([made])
    before = row.copy()
    repaired = selector._repair(row, p, request)
    assert space.decode(repaired) == shrunk(space, made, p.tolist(), request)
    np.testing.assert_array_equal(row, before)
    assert repaired.tolist() == space.encode([space.decode(repaired)])[0].tolist()
    assert selector._repair(row, p, dataclasses.replace(request, madds=high)).tolist() == before.tolist()


def test_equal_seeds_give_equal_answers_and_others_do_not() -> None:
    selector = random_selector(SPACE)
    requests = random_requests(SPACE, 50, seed=2)
    first = selector.select(requests, seed=11)
    assert selector.select(requests, seed=11) == first
    others = [selector.select(requests, seed=seed) for seed in (0, 12, 2**63)]
    assert all(other != first for other in others)


@pytest.mark.parametrize("space", [SPACE, SIZES, RAGGED], ids=["one size", "three", "ragged"])
@EVERY_ENCODING
def test_an_answer_does_not_depend_on_the_requests_beside_it(
    space: ElasticSpace, encoding: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    selector = random_selector(space, superclasses=3, embedding=32, hidden=64, scale=0.3, encoding=encoding)
    requests = random_requests(space, 100, seed=4)
    table = memory_table(space, MODELS["numpy"])
    for i in range(0, 100, 10):  # which takes several budgets at once
        most = table.total(space, space.encode([space.largest]), requests[i].classes)[0]
        requests[i] = dataclasses.replace(requests[i], limits=(Limit(table, most),))
    batch = selector.select(requests, seed=3)
    assert [selector.select([request], seed=3)[0] for request in requests] == batch
    assert selector.select(requests[::-1], seed=3) == batch[::-1]
    monkeypatch.setattr(generator, "CHUNK_CHOICES", 1)
    assert selector.select(requests, seed=3) == batch


def test_rounding_is_far_below_the_grid_of_the_noise() -> None:
    # Samples compare probabilities with multiples of 2**-24; a BLAS rounds differently for other batch sizes.
    selector = random_selector(SIZES, embedding=32, hidden=64, scale=0.5)
    superclasses = np.eye(3)[np.arange(60) % 3]
    madds = np.linspace(1e5, 5e6, 60).astype(int)
    batch = selector.probabilities(superclasses, madds)
    single = [selector.probabilities(superclasses[i : i + 1], madds[i : i + 1])[0] for i in range(60)]
    np.testing.assert_allclose(batch, single, rtol=0, atol=2.0**-40)
    assert batch.std() > 0.1


def test_the_noise_is_that_of_every_numpy_release() -> None:
    selector = dataclasses.replace(random_selector(SPACE), samples=2)
    uniform = selector._uniform(7)
    assert uniform.shape == (2, len(SPACE.options))
    grid = (uniform * 2**24).astype(int)
    assert (grid == uniform * 2**24).all()
    assert ((grid >= 0) & (grid < 2**24)).all()
    assert np.random.PCG64(7).random_raw(2).tolist() == [11530976094092348043, 16550673365885938325]
    assert grid[0, :4].tolist() == [10487361, 15052749, 13013846, 3778349]
    assert grid[1, -4:].tolist() == [5405003, 12605140, 422733, 6244232]


@EVERY_SPACE
@EVERY_ENCODING
def test_extreme_weights_overflow_nothing(space: ElasticSpace, encoding: str) -> None:
    tensors = random_tensors(space, encoding=encoding)
    extreme = {name: np.sign(tensor) * np.float32(3e38) for name, tensor in tensors.items()}
    selector = load(space, 3, config(space, encoding=encoding), extreme)
    requests = random_requests(space, 40, seed=8)
    for request, answer in zip(requests, selector.select(requests), strict=True):
        assert madds_of(space, answer, request.classes) <= request.madds


def test_embeddings_between_and_beyond_the_budgets() -> None:
    selector = random_selector(SPACE)
    knots = selector.budgets
    table = selector.weights["budget_embedding"]
    np.testing.assert_allclose(selector._budget_embedding(knots), table, rtol=1e-12)
    middle = (knots[1:] + knots[:-1]) / 2
    np.testing.assert_allclose(selector._budget_embedding(middle), (table[1:] + table[:-1]) / 2, rtol=1e-9)
    beyond = np.array([0, knots[0] - 1, knots[-1] + 1, 2**62 - 1])
    np.testing.assert_array_equal(selector._budget_embedding(beyond), table[[0, 0, -1, -1]])


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_any_floating_point_is_read(dtype: type) -> None:
    tensors = {name: tensor.astype(dtype) for name, tensor in random_tensors(SPACE).items()}
    low, _ = madds_range(SPACE, 5)
    (answer,) = load(SPACE, 3, config(SPACE), tensors).select([Request(((0, 1),), 5, 2 * low)])
    assert madds_of(SPACE, answer, 5) <= 2 * low


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("budgets", None),
        ("budgets", 4e6),
        ("budgets", "4M"),
        ("budgets", []),
        ("budgets", [1e6]),
        ("budgets", [1e6, 1e6, 2e6, 3e6]),
        ("budgets", [3e6, 2e6, 1e6, 0]),
        ("budgets", [1e6, 2e6, 3e6, "4e6"]),
        ("budgets", [False, True, 2, 3]),
        ("budgets", [1e6, 2e6, 3e6, math.nan]),
        ("budgets", [1e6, 2e6, 3e6, math.inf]),
        ("budgets", [[1e6], [2e6]]),
        ("samples", None),
        ("samples", 0),
        ("samples", -1),
        ("samples", 4097),
        ("samples", 16.0),
        ("samples", True),
        ("samples", "16"),
    ],
)
def test_a_malformed_configuration_is_named(key: str, value: object) -> None:
    with pytest.raises(BundleError, match=f"'{key}'"):
        load(SPACE, 3, config(SPACE) | {key: value}, random_tensors(SPACE))


@pytest.mark.parametrize("key", ["budgets", "samples"])
def test_a_missing_configuration_is_named(key: str) -> None:
    made = {k: v for k, v in config(SPACE).items() if k != key}
    with pytest.raises(BundleError, match=f"'{key}'"):
        load(SPACE, 3, made, random_tensors(SPACE))


@pytest.mark.parametrize("key", ["cost", "encoding"])
@pytest.mark.parametrize("value", [None, "", "paths", 1, ["madds"]])
def test_a_cost_or_an_encoding_that_does_not_exist_is_named(key: str, value: object) -> None:
    with pytest.raises(BundleError, match=f"'{key}' is one of"):
        load(SPACE, 3, config(SPACE) | {key: value}, random_tensors(SPACE))


TENSORS = sorted(random_tensors(SIZES))


@pytest.mark.parametrize("name", TENSORS)
def test_a_malformed_tensor_is_named(name: str) -> None:
    tensors = random_tensors(SIZES)
    good = tensors[name]
    not_finite = good.copy()
    not_finite[(0,) * good.ndim] = np.nan
    faults = [good[..., :-1], good[None], good.astype(np.int32), good > 0, not_finite, good * np.float32(np.inf)]
    for bad in (*faults, None):
        altered = {k: bad if k == name else v for k, v in tensors.items() if k != name or bad is not None}
        with pytest.raises(BundleError) as caught:
            load(SIZES, 3, config(SIZES), altered)
        # One axis too few in an embedding contradicts the tensors that hang on it.
        if bad is None or bad.shape == good.shape or bad.ndim != good.ndim:
            assert repr(name) in str(caught.value)


@pytest.mark.parametrize("name", ["size.weight", "size.bias"])
def test_a_head_of_sizes_has_as_many_gates_as_the_space(name: str) -> None:
    for space, other in ((SPACE, SIZES), (SIZES, SPACE), (SIZES, RAGGED)):
        tensors = random_tensors(space) | {name: random_tensors(other)[name]}
        with pytest.raises(
            BundleError, match=rf"tensor '{name}' is floating point of shape \({len(space.input_sizes) - 1},"
        ):
            load(space, 3, config(space), tensors)
        del tensors[name]
        with pytest.raises(BundleError, match=rf"'{name}' .* got nothing"):
            load(space, 3, config(space), tensors)


@pytest.mark.parametrize("space", [SPACE, SIZES, RAGGED], ids=["one size", "three", "ragged"])
def test_tensors_of_the_other_encoding_are_named(space: ElasticSpace) -> None:
    for mine, theirs in (ENCODINGS, ENCODINGS[::-1]):
        with pytest.raises(BundleError, match=r"'depth.weight' is floating point of shape"):
            load(space, 3, config(space, encoding=mine), random_tensors(space, encoding=theirs))


def test_tensors_of_another_number_of_superclasses_or_budgets() -> None:
    with pytest.raises(BundleError, match="'superclass_embedding'"):
        load(SPACE, 4, config(SPACE), random_tensors(SPACE))
    with pytest.raises(BundleError, match="'budget_embedding'"):
        load(SPACE, 3, config(SPACE, budgets=5), random_tensors(SPACE))


def test_weights_are_copied_where_the_caller_could_change_them() -> None:
    tensors = random_tensors(SPACE)
    selector = load(SPACE, 3, config(SPACE), tensors)
    requests = random_requests(SPACE, 20, seed=1)
    before = selector.select(requests)
    for head in HEADS:
        tensors[f"{head}.bias"] += 100
    assert selector.select(requests) == before
