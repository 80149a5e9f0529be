"""Menus and random selection: members of the space, within every limit, the best that fits, the same every time."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bundles import SIZES, SPACE, SUPERCLASSES, random_bundle
from bundles import menu as random_menu
from hypothesis import given
from hypothesis import strategies as st
from strategies import spaces

import eas_sdk
from eas_sdk.bank import bundle as bundles
from eas_sdk.bank.container_writer import write
from eas_sdk.errors import BundleError
from eas_sdk.graph.cost import cost
from eas_sdk.graph.memory import MODELS
from eas_sdk.selector import menu
from eas_sdk.selector.menu import MenuSelector
from eas_sdk.selector.protocol import Limit, Request, Selector
from eas_sdk.selector.random import RandomSelector
from eas_sdk.space.architecture import Architecture
from eas_sdk.space.elastic.space import ElasticSpace
from eas_sdk.space.tables import madds_range, memory_table

Menu = dict[str, np.ndarray]


def load(space: ElasticSpace, tensors: Menu, superclasses: int = 3) -> MenuSelector:
    return menu.load(space, superclasses, {"kind": "menu"}, tensors)


def madds_of(space: ElasticSpace, architecture: Architecture, classes: int) -> int:
    return cost(space.structure(architecture, classes)).madds


def random_requests(space: ElasticSpace, count: int, seed: int) -> list[Request]:
    """Feasible ones, of one superclass and of several, a third of them with a bound on memory."""
    rng = np.random.default_rng(seed)
    table, requests = memory_table(space, MODELS["numpy"]), []
    ends = space.encode([space.smallest, space.largest])
    for i in range(count):
        classes = int(rng.integers(1, 12))
        madds = int(rng.integers(*madds_range(space, classes), endpoint=True))
        shares = tuple((int(t), int(rng.integers(1, 9))) for t in rng.permutation(3)[: rng.integers(1, 4)])
        low, high = table.total(space, ends, classes).tolist()
        limits = (Limit(table, int(rng.integers(low, high + 1))),) if i % 3 == 0 else ()
        requests.append(Request(shares, classes, madds, limits))
    return requests


def check(space: ElasticSpace, selector: Selector, requests: Sequence[Request], seed: int) -> list[Architecture]:
    answers = selector.select(requests, seed=seed)
    assert len(answers) == len(requests)
    for request, answer in zip(requests, answers, strict=True):
        space.validate(answer)
        assert madds_of(space, answer, request.classes) <= request.madds
        for limit in request.limits:
            assert limit.table.total(space, space.encode([answer]), request.classes)[0] <= limit.most
    assert [selector.select([request], seed=seed)[0] for request in requests] == answers
    return answers


@given(spaces(), st.integers(0, 2**32 - 1))
def test_every_answer_is_a_member_within_its_limits(space: ElasticSpace, seed: int) -> None:
    requests = random_requests(space, 12, seed)
    check(space, load(space, random_menu(space, 3, seed=seed)), requests, seed)
    check(space, RandomSelector(space), requests, seed)


def test_the_best_that_fits_is_taken() -> None:
    tensors = random_menu(SPACE, 3)
    selector = load(SPACE, tensors)
    for request in random_requests(SPACE, 60, seed=1):
        weights = np.zeros(3)
        for t, weight in request.shares:
            weights[t] = weight
        scores = weights / weights.sum() @ tensors["scores"].astype(np.float64)
        fitting = [
            float(score)
            for architecture, score in zip(selector.architectures, scores, strict=True)
            if madds_of(SPACE, architecture, request.classes) <= request.madds
            and all(
                limit.table.total(SPACE, SPACE.encode([architecture]), request.classes)[0] <= limit.most
                for limit in request.limits
            )
        ]
        (answer,) = selector.select([request])
        assert scores[selector.architectures.index(answer)] == pytest.approx(max(fitting))


def test_of_equals_the_cheapest_is_taken() -> None:
    tensors = random_menu(SPACE, 3) | {"scores": np.zeros((3, 30), np.float32)}
    (answer,) = load(SPACE, tensors).select([Request(((0, 1),), 5, 2**60)])
    assert answer == SPACE.smallest


@pytest.mark.parametrize("space", [SPACE, SIZES], ids=["one size", "three"])
def test_random_answers_use_the_budget_and_follow_the_seed(space: ElasticSpace) -> None:
    selector = RandomSelector(space)
    low, high = madds_range(space, 5)
    requests = [
        Request(((t, 1),), 5, madds) for t in range(3) for madds in np.linspace(low, high, 20).astype(int).tolist()
    ]
    one, other = check(space, selector, requests, 0), check(space, selector, requests, 1)
    assert one != other
    unused = [request.madds - madds_of(space, answer, 5) for request, answer in zip(requests, one, strict=True)]
    assert np.median(unused) < 0.05 * (high - low)
    assert len(set(one)) > 50


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"choices": None}, "'choices' are integers.*got nothing"),
        ({"choices": np.zeros((3, 4), np.int8)}, r"got int8 \(3, 4\)"),
        ({"choices": np.zeros((30, 49), np.float32)}, "got float32"),
        ({"choices": np.zeros((0, 49), np.int8), "scores": np.zeros((3, 0), np.float32)}, "has 1 to 65536"),
        ({"scores": None}, "'scores' are floating point.*got nothing"),
        ({"scores": np.zeros((2, 30), np.float32)}, r"\(3, 30\); got float32 \(2, 30\)"),
        ({"scores": np.full((3, 30), np.nan, np.float32)}, "are finite"),
        ({"choices": np.full((30, 49), 3, np.int8)}, "are indices of options"),
        ({"choices": np.full((30, 49), -1, np.int8)}, "are indices of options"),
    ],
)
def test_a_malformed_menu_is_named(change: dict[str, Any], message: str) -> None:
    tensors = {k: v for k, v in (random_menu(SPACE, 3) | change).items() if v is not None}
    with pytest.raises(BundleError, match=message):
        load(SPACE, tensors)


def test_architectures_beyond_the_bank_are_refused() -> None:
    narrow = dataclasses.replace(SPACE, largest=Architecture.parse("k3e1" + " | k3e3 k3e3" * 5))
    with pytest.raises(BundleError, match="the bank can serve"):
        load(narrow, random_menu(SPACE, 3))
    smaller = dataclasses.replace(SIZES, largest=dataclasses.replace(SIZES.largest, input_size=48))
    with pytest.raises(BundleError, match=r"the bank can serve: .* an input size in \[32, 48\] px; got 64 px"):
        load(smaller, random_menu(SIZES, 3))


@pytest.mark.parametrize("kind", ["menu", "random"])
@pytest.mark.parametrize("space", [SPACE, SIZES], ids=["one size", "three"])
def test_a_bundle_of_any_kind_runs(tmp_path: Path, space: ElasticSpace, kind: str) -> None:
    made = bundles.read(random_bundle(tmp_path, space=space))
    tensors = {name: tensor for name, tensor in made.tensors.items() if not name.startswith("selector/")}
    if kind == "menu":
        tensors |= {f"selector/{name}": tensor for name, tensor in random_menu(space, 3).items()}
    other = dataclasses.replace(made, selector={"kind": kind}, tensors=tensors)
    write(tmp_path / "other.safetensors", other.tensors, {"eas": other.metadata()})
    runtime = eas_sdk.load(tmp_path / "other.safetensors")
    for task in (*SUPERCLASSES, ("birds", "tools"), "all"):
        model = runtime.specialize(task, "1.5M")
        assert model.madds <= 1_500_000
        assert np.isfinite(model.logits(np.zeros((1, model.input_size, model.input_size, 3), np.uint8))).all()
    assert runtime.specialize("auto", "1.5M and 20MB").madds <= 1_500_000
