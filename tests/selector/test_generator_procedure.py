"""What a generator computes, by its definition: step by step, gate by gate, sample by sample."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import numpy as np
import pytest
from bundles import SIZES, SPACE
from hypothesis import given
from hypothesis import strategies as st
from random_selectors import config, random_selector, random_tensors
from selector.request_spaces import RAGGED, SPACES, madds_of, random_requests
from space.gate_reference import choices, effective, gate_owners, network
from strategies import architectures, spaces

from eas_sdk.selector.generator import ENCODINGS, GeneratorSelector, load
from eas_sdk.selector.protocol import Request
from eas_sdk.space.architecture import Architecture
from eas_sdk.space.elastic.backbones import MOBILENET_V3_LARGE
from eas_sdk.space.elastic.gates import without_absent
from eas_sdk.space.elastic.space import ElasticSpace
from eas_sdk.space.elastic.units import Unit
from eas_sdk.space.tables import madds_range

EVERY_SPACE = pytest.mark.parametrize("space", SPACES.values(), ids=SPACES.keys())
EVERY_ENCODING = pytest.mark.parametrize("encoding", ENCODINGS)


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
    rows = without_absent(space, random_selector(space)._sampled(p[None], uniform)[0, 1:])
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
