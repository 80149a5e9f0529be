"""The generator on the device: what it returns is always legal, deterministic, and the best of its samples."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from bundles import SIZES, SPACE
from hypothesis import given
from hypothesis import strategies as st
from random_selectors import config, random_selector, random_tensors
from selector.request_spaces import RAGGED, SPACES, madds_of, random_requests
from strategies import spaces

from eas_sdk.graph.memory import MODELS
from eas_sdk.selector import generator
from eas_sdk.selector.generator import ENCODINGS, load
from eas_sdk.selector.protocol import Limit, Request
from eas_sdk.space.architecture import Architecture
from eas_sdk.space.elastic.space import ElasticSpace
from eas_sdk.space.tables import madds_range, madds_table, memory_table

EVERY_SPACE = pytest.mark.parametrize("space", SPACES.values(), ids=SPACES.keys())
EVERY_ENCODING = pytest.mark.parametrize("encoding", ENCODINGS)


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
