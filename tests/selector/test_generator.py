"""The generator on the device: what it returns is always legal, deterministic, and the best of its samples."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import numpy as np
import pytest
from bundles import SPACE
from hypothesis import given
from hypothesis import strategies as st
from random_selectors import HEADS, config, random_selector, random_tensors
from strategies import spaces

from eas_sdk.errors import BundleError
from eas_sdk.graph.cost import cost
from eas_sdk.selector import generator
from eas_sdk.selector.generator import GeneratorSelector, load
from eas_sdk.selector.protocol import Request
from eas_sdk.space.architecture import Architecture, Block
from eas_sdk.space.elastic.gates import GateLayout, gates_of_choices
from eas_sdk.space.elastic.space import ElasticSpace
from eas_sdk.space.tables import madds_range, madds_table

NARROW = dataclasses.replace(
    SPACE, largest=Architecture.parse("k5e6 k7e4 k3e3 | k7e6 k3e4 | k5e3 k5e3 k5e3 k5e3 | k7e6 k7e6 | k3e6 k7e3")
)


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
)
def test_every_answer_is_a_member_within_its_budget(space: ElasticSpace, seed: int, scale: float, bias: float) -> None:
    selector = random_selector(space, samples=5, scale=scale, bias=bias, seed=seed)
    requests = random_requests(space, 20, seed)
    answers = selector.select(requests, seed=seed)
    assert len(answers) == len(requests)
    for request, answer in zip(requests, answers, strict=True):
        assert madds_of(space, answer, request.classes) <= request.madds


@pytest.mark.parametrize("space", [SPACE, NARROW], ids=["whole", "narrowed"])
@pytest.mark.parametrize("bias", [-1.0, 0.0, 1.0, 6.0])
def test_thousands_of_answers_are_members_within_their_budgets(space: ElasticSpace, bias: float) -> None:
    selector = random_selector(space, bias=bias)
    requests = random_requests(space, 1000, seed=int(bias) + 7)
    answers = selector.select(requests, seed=1)
    for answer in set(answers):
        space.validate(answer)
    classes, limits = (np.array([getattr(r, name) for r in requests]) for name in ("classes", "madds"))
    assert (madds_table(space).total(space, space.encode(answers), classes) <= limits).all()
    assert len(set(answers)) > 10


def test_a_budget_of_the_smallest_network_gives_a_network_as_small() -> None:
    for bias in (-40.0, 0.0, 40.0):
        selector = random_selector(SPACE, bias=bias)
        low, _ = madds_range(SPACE, 5)
        (answer,) = selector.select([Request(((0, 1),), 5, low)])
        assert madds_of(SPACE, answer, 5) == low


@pytest.mark.parametrize("space", [SPACE, NARROW], ids=["whole", "narrowed"])
def test_certain_gates_give_the_ends_of_the_space(space: ElasticSpace) -> None:
    request = Request(((1, 1),), 5, 2**62 - 1)
    assert random_selector(space, bias=60.0).select([request]) == [space.largest]
    assert random_selector(space, bias=-60.0).select([request]) == [space.smallest]


def test_no_request_gives_no_answer() -> None:
    assert random_selector(SPACE).select([]) == []


def test_a_space_of_one_network() -> None:
    space = ElasticSpace(input_size=16, width_multiplier=0.25, depths=(1,), kernels=(3,), expansions=(2,))
    (answer,) = random_selector(space).select([Request(((0, 1),), 5, 2**40)])
    assert answer == space.smallest == space.largest


def mixture(selector: GeneratorSelector, requests: Sequence[Request]) -> np.ndarray:
    """[M, T], by the definition."""
    rows = []
    for request in requests:
        shares = dict(request.shares)
        total = sum(shares.values())
        rows.append([shares.get(t, 0) / total for t in range(len(selector.weights["superclass_embedding"]))])
    return np.array(rows)


def reference(selector: GeneratorSelector, request: Request, seed: int) -> Architecture:
    """The documented procedure, one sample after the other."""
    space = selector.space
    layout = GateLayout.of(space)
    (p,) = selector.probabilities(mixture(selector, [request]), np.array([request.madds]))
    allowed = gates_of_choices(space, space.encode([space.largest]))[0]
    words = np.random.PCG64(seed).random_raw(selector.samples * layout.gates).tolist()
    uniform = [word // 2**40 / 2**24 for word in words]
    draws = [[0.5] * layout.gates]
    draws += [uniform[i * layout.gates : (i + 1) * layout.gates] for i in range(selector.samples)]

    def network(on: list[bool]) -> Architecture:
        depth, kernel, expansion = (part.tolist() for part in layout.split(np.array(on, bool)))
        deepest = space.depths[-1]

        def leading(values: list[bool]) -> int:
            return next((i for i, value in enumerate(values) if not value), len(values))

        return Architecture(
            tuple(
                tuple(
                    Block(space.kernels[leading(kernel[s])], space.expansions[leading(expansion[s])])
                    for s in range(u * deepest, u * deepest + space.depths[leading(depth[u])])
                )
                for u in range(layout.units)
            )
        )

    best, best_score = None, -math.inf
    worth = (mixture(selector, [request]) @ selector.weights["predictor"])[0]
    drawn = [network([u < q and bool(a) for u, q, a in zip(draw, p, allowed, strict=True)]) for draw in draws]
    madds = [madds_of(space, made, request.classes) for made in drawn]
    costliest = max((m for m in madds if m <= request.madds), default=0)
    for made, m in zip(drawn, madds, strict=True):
        gates = gates_of_choices(space, space.encode([made]))[0]
        score = math.fsum(w for w, g in zip(worth, gates, strict=True) if g)
        near = costliest - 0.05 * (selector.budgets[-1] - selector.budgets[0]) <= m <= request.madds
        if near and score > best_score:
            best, best_score = made, score
    if best is not None:
        return best
    made = network([q > 0.5 and bool(a) for q, a in zip(p, allowed, strict=True)])
    while madds_of(space, made, request.classes) > request.madds:
        gates = gates_of_choices(space, space.encode([made]))[0].tolist()
        gates[min((q, i) for i, (q, g) in enumerate(zip(p, gates, strict=True)) if g)[1]] = False
        made = network(gates)
    return made


@pytest.mark.parametrize("bias", [-1.0, 0.5, 2.0])
@pytest.mark.parametrize("space", [SPACE, NARROW], ids=["whole", "narrowed"])
def test_answers_by_the_documented_procedure(space: ElasticSpace, bias: float) -> None:
    selector = random_selector(space, samples=6, bias=bias, seed=3)
    requests = random_requests(space, 12, seed=5)
    for seed in (0, 9):
        assert selector.select(requests, seed=seed) == [reference(selector, r, seed) for r in requests]


def test_where_no_sample_fits_the_least_likely_gates_go_first() -> None:
    selector = random_selector(SPACE, bias=40.0, scale=0.5)
    low, high = madds_range(SPACE, 5)
    requests = [Request(((t, 1),), 5, int(m)) for t in range(3) for m in np.linspace(low, high - 1, 8)]
    probabilities = selector.probabilities(mixture(selector, requests), np.array([r.madds for r in requests]))
    thresholds = selector._thresholds(0)
    assert (thresholds < probabilities.min()).all(), "every sample is the largest network, and too large"
    answers = selector.select(requests)
    assert answers == [reference(selector, request, 0) for request in requests]
    for request, answer in zip(requests, answers, strict=True):
        # Shrinking ends as soon as the network fits: what is left over is less than the dearest single gate.
        spare = request.madds - madds_of(SPACE, answer, 5)
        assert 0 <= spare < 0.25 * (high - low)


def test_equal_seeds_give_equal_answers_and_others_do_not() -> None:
    selector = random_selector(SPACE)
    requests = random_requests(SPACE, 50, seed=2)
    first = selector.select(requests, seed=11)
    assert selector.select(requests, seed=11) == first
    others = [selector.select(requests, seed=seed) for seed in (0, 12, 2**63)]
    assert all(other != first for other in others)


def test_an_answer_does_not_depend_on_the_requests_beside_it(monkeypatch: pytest.MonkeyPatch) -> None:
    selector = random_selector(SPACE, superclasses=3, embedding=32, hidden=64, scale=0.3)
    requests = random_requests(SPACE, 200, seed=4)
    batch = selector.select(requests, seed=3)
    assert [selector.select([request], seed=3)[0] for request in requests] == batch
    assert selector.select(requests[::-1], seed=3) == batch[::-1]
    monkeypatch.setattr(generator, "CHUNK_CHOICES", 1)
    assert selector.select(requests, seed=3) == batch


def test_rounding_is_far_below_the_grid_of_the_noise() -> None:
    # Samples compare probabilities with multiples of 2**-24; a BLAS rounds differently for other batch sizes.
    selector = random_selector(SPACE, embedding=32, hidden=64, scale=0.5)
    superclasses = np.eye(3)[np.arange(60) % 3]
    madds = np.linspace(1e5, 5e6, 60).astype(int)
    batch = selector.probabilities(superclasses, madds)
    single = [selector.probabilities(superclasses[i : i + 1], madds[i : i + 1])[0] for i in range(60)]
    np.testing.assert_allclose(batch, single, rtol=0, atol=2.0**-40)
    assert batch.std() > 0.1


def test_the_noise_is_that_of_every_numpy_release() -> None:
    selector = dataclasses.replace(random_selector(SPACE), samples=2)
    thresholds = selector._thresholds(7)
    count = GateLayout.of(SPACE).gates
    assert thresholds.shape == (3, count)
    assert (thresholds[0] == 0.5).all()
    grid = (thresholds[1:] * 2**24).astype(int)
    assert (grid == thresholds[1:] * 2**24).all()
    assert np.random.PCG64(7).random_raw(2).tolist() == [11530976094092348043, 16550673365885938325]
    assert grid[0, :4].tolist() == [10487361, 15052749, 13013846, 3778349]
    assert grid[1, -4:].tolist() == [12818297, 13677152, 12247187, 1899263]


def test_extreme_weights_overflow_nothing() -> None:
    tensors = random_tensors(SPACE)
    extreme = {name: np.sign(tensor) * np.float32(3e38) for name, tensor in tensors.items()}
    selector = load(SPACE, 3, config(SPACE), extreme)
    requests = random_requests(SPACE, 40, seed=8)
    for request, answer in zip(requests, selector.select(requests), strict=True):
        assert madds_of(SPACE, answer, request.classes) <= request.madds


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


TENSORS = sorted(random_tensors(SPACE))


@pytest.mark.parametrize("name", TENSORS)
def test_a_malformed_tensor_is_named(name: str) -> None:
    tensors = random_tensors(SPACE)
    good = tensors[name]
    not_finite = good.copy()
    not_finite[(0,) * good.ndim] = np.nan
    faults = [good[..., :-1], good[None], good.astype(np.int32), good > 0, not_finite, good * np.float32(np.inf)]
    for bad in (*faults, None):
        altered = {k: bad if k == name else v for k, v in tensors.items() if k != name or bad is not None}
        with pytest.raises(BundleError) as caught:
            load(SPACE, 3, config(SPACE), altered)
        # One axis too few in an embedding contradicts the tensors that hang on it.
        if bad is None or bad.shape == good.shape or bad.ndim != good.ndim:
            assert repr(name) in str(caught.value)


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
