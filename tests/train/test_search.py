"""Once-for-all's way: the accuracy predictor, the evolutionary search under a budget, and the menu that it leaves."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from train.tiny import (  # noqa: E402
    SIZES,
    TINY,
    SizesRecipe,
    TinyRecipe,
    collected,
    drawings,
    interrupted_after,
    random_net,
    tiny_recipe,
)

from eas_sdk.selector.menu import MenuSelector, load  # noqa: E402
from eas_sdk.selector.protocol import Request  # noqa: E402
from eas_sdk.space.architecture import Architecture, Block  # noqa: E402
from eas_sdk.space.elastic.gates import choices_of_gates, gates_of_choices  # noqa: E402
from eas_sdk.space.elastic.space import ElasticSpace  # noqa: E402
from eas_sdk.space.elastic.units import Unit  # noqa: E402
from eas_sdk.space.protocol import BoolArray, IntArray  # noqa: E402
from eas_sdk.space.sample import random_architecture  # noqa: E402
from eas_sdk.space.tables import madds_range, madds_table  # noqa: E402
from eas_train.recipe import Recipe, SearchRecipe  # noqa: E402
from eas_train.search.evolution import evolve  # noqa: E402
from eas_train.search.predictor import fit, one_hot  # noqa: E402
from eas_train.search.select import accuracies  # noqa: E402
from eas_train.selection import Given, Measured, Trained, select  # noqa: E402

SMALL_SEARCH = SearchRecipe(budgets=(0.3, 0.7), population=40, generations=40, epochs=150, hidden=(64,))


def test_the_code_says_kernel_and_ratio_of_every_block_and_nothing_of_absent_ones() -> None:
    """The first unit, which leaves no choice, is not told of."""
    architecture = Architecture(((Block(3, 1),), (Block(5, 2),), (Block(3, 4), Block(7, 3)), (Block(3, 2),)))
    (code,) = one_hot(TINY, TINY.encode([architecture]))
    kernels, ratios = code.reshape(2, 9, 3)
    assert kernels.argmax(1)[[0, 3, 4, 6]].tolist() == [1, 0, 2, 0]
    assert ratios.argmax(1)[[0, 3, 4, 6]].tolist() == [0, 2, 1, 0]
    present = [True, False, False, True, True, False, True, False, False]
    assert kernels.sum(1).astype(bool).tolist() == ratios.sum(1).astype(bool).tolist() == present


def test_the_code_says_the_size_and_the_choices_that_each_unit_has() -> None:
    architecture = Architecture.parse("24px k3e1 | k3e3 | k5e2 k3e4")
    (code,) = one_hot(SIZES, SIZES.encode([architecture]))
    kernels = [0, 1, 1, 0, 0, 0]  # of the last unit's three blocks, the last of which is absent
    ratios = [0, 1, 0, 0, 0, 0, 1, 0, 0, 1, 0, 0]  # of two blocks three each, of three blocks two each
    assert code.tolist() == [*kernels, *ratios, 0, 1, 0]
    drawn = {SIZES.decode(row) for row in SIZES.members(np.random.default_rng(0).random((500, SIZES.random_numbers)))}
    codes = one_hot(SIZES, SIZES.encode(sorted(drawn)))
    assert len(np.unique(codes, axis=0)) == len(drawn), "no two networks have one code"


def test_the_code_says_how_many_blocks_there_are_where_that_is_all_the_choice() -> None:
    plain = Unit(8, 1, (1, 3), (3,), (2,), "relu")
    space = dataclasses.replace(SIZES, units=(plain, plain), input_sizes=(16,), largest=Architecture(()))
    listed = [Architecture(((Block(3, 2),) * a, (Block(3, 2),) * b)) for a in (1, 3) for b in (1, 3)]
    codes = one_hot(space, space.encode(listed))
    assert codes.tolist() == [[0, 0, 0, 0], [0, 0, 1, 1], [1, 1, 0, 0], [1, 1, 1, 1]]


def preference(choices: IntArray, space: ElasticSpace = TINY) -> np.ndarray:
    """What a made-up superclass likes: each gate adds its own worth."""
    gates = gates_of_choices(space, choices)
    return np.asarray(0.5 + gates @ np.random.default_rng(1).normal(0, 0.02, gates.shape[1]))


def drawn(count: int, seed: int = 0, space: ElasticSpace = TINY) -> IntArray:
    rng = random.Random(seed)
    return space.encode([random_architecture(space, rng) for _ in range(count)])


BOTH = pytest.mark.parametrize("space", [TINY, SIZES], ids=["tiny", "sizes"])


@BOTH
def test_the_predictor_orders_networks_that_it_has_not_seen(space: ElasticSpace) -> None:
    train, test = drawn(300, space=space), drawn(100, 1, space)
    predictor = fit(space, train, preference(train, space), SMALL_SEARCH)
    assert np.corrcoef(predictor(test), preference(test, space))[0, 1] > 0.85


def within(most: float, space: ElasticSpace) -> Callable[[IntArray], BoolArray]:
    return lambda choices: np.asarray(madds_table(space).total(space, choices, 3) <= most)


@BOTH
@pytest.mark.parametrize("budget", [0.0, 0.3, 0.8])
def test_the_search_keeps_to_the_budget_and_beats_as_many_random_draws(budget: float, space: ElasticSpace) -> None:
    def liked(choices: IntArray) -> np.ndarray:
        return preference(choices, space)

    low, high = madds_range(space, 3)
    fits = within(low + budget * (high - low), space)
    found = evolve(space, liked, fits, SMALL_SEARCH, seed=0)
    assert fits(found[None]).all()
    again = evolve(space, liked, fits, SMALL_SEARCH, seed=0)
    assert space.decode(again) == space.decode(found)
    others = drawn(40 * 41, 2, space)
    others = others[fits(others)]
    best = liked(space.encode([space.decode(found)]))[0]
    if budget == 0:
        assert space.decode(found) == space.smallest
    else:
        assert best >= liked(others).max()


def measured(count: int = 200, space: ElasticSpace = TINY) -> Measured:
    """Two superclasses that want the contrary, on four drawings; the last is a training drawing."""
    choices = drawn(count, space=space)
    liked = preference(choices, space)
    scores = np.stack([liked, 1 - liked, liked, 1 - liked], 1)
    return Measured(choices, scores, np.array([0, 1, 0, 1]), np.array([False, False, True, True]), 1.0)


def given(folder: Path, search: SearchRecipe = SMALL_SEARCH, space: ElasticSpace = TINY) -> Given:
    net = random_net(space)
    kind = TinyRecipe if space is TINY else SizesRecipe
    recipe = Recipe(name="tiny", supernet=tiny_recipe(kind), selector="search", search=search)

    def networks() -> Measured:
        return measured(space=space)

    return Given(recipe, net, collected(net), networks, drawings(4, 1), Trained(), folder, "a")


def menu(folder: Path, search: SearchRecipe = SMALL_SEARCH, space: ElasticSpace = TINY) -> MenuSelector:
    made = select(given(folder, search, space))
    assert made.seconds > 0
    return load(space, 2, made.config, made.tensors)


def requests(fraction: float, space: ElasticSpace = TINY) -> list[Request]:
    low, high = madds_range(space, 3)
    return [Request(((t, 1),), 3, int(low + fraction * (high - low))) for t in range(2)]


@BOTH
def test_ofa_t_searches_for_each_superclass_and_ofa_v_once_for_all(space: ElasticSpace, tmp_path: Path) -> None:
    for_each = menu(tmp_path / "T", space=space)
    first, second = for_each.select(requests(0.7, space))
    liked = preference(space.encode([first, second]), space)
    assert liked[0] > 0.5 > liked[1]
    one = menu(tmp_path / "V", SMALL_SEARCH.model_copy(update={"per": "all"}), space)
    assert len(set(one.select(requests(0.7, space)))) == 1
    for selector in (for_each, one):
        for fraction in (0.0, 0.1, 0.3, 0.5, 1.0):
            wanted = requests(fraction, space)
            for request, picked in zip(wanted, selector.select(wanted), strict=True):
                assert madds_table(space).total(space, space.encode([picked]), 3)[0] <= request.madds


def test_a_search_stays_within_a_narrower_space(tmp_path: Path) -> None:
    """As of MobileNetV3-Large, whose largest member has less than its choices allow."""
    bound = Architecture.parse("24px k3e1 | k3e3 k3e2 | k5e2 k3e4")
    space = dataclasses.replace(SIZES, largest=bound)
    selector = menu(tmp_path, SMALL_SEARCH.model_copy(update={"budgets": (0.5, 1.0)}), space)
    assert space.largest in selector.architectures or len(selector.architectures) > 2
    for architecture in selector.architectures:
        space.validate(architecture)


def test_a_search_that_was_stopped_goes_on_with_the_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = menu(tmp_path / "whole")
    with monkeypatch.context() as patch:
        patch.setattr("eas_train.search.select.progress", interrupted_after(3))
        with pytest.raises(KeyboardInterrupt):
            select(given(tmp_path / "cut"))
    searched: list[int] = []

    def counted(*arguments: object, **named: object) -> IntArray:
        searched.append(1)
        return evolve(*arguments, **named)  # type: ignore[arg-type]

    monkeypatch.setattr("eas_train.search.select.evolve", counted)
    assert menu(tmp_path / "cut").architectures == whole.architectures
    assert len(searched) == 1  # of four


def test_training_drawings_count_as_much_as_is_said() -> None:
    given = measured()
    np.testing.assert_allclose(accuracies(given)[:, 0], given.scores[:, 0])
    changed = Measured(given.choices, given.scores * [1, 1, 0, 0], given.superclass_of, given.training)
    np.testing.assert_allclose(accuracies(changed, 1.0)[:, 1], given.scores[:, 1] / 2)
    np.testing.assert_allclose(accuracies(changed, 0.0)[:, 1], given.scores[:, 1])


def test_absent_blocks_leave_no_trace_in_a_menu(tmp_path: Path) -> None:
    choices = select(given(tmp_path)).tensors["choices"]
    np.testing.assert_array_equal(choices_of_gates(TINY, gates_of_choices(TINY, choices)), choices)
    found = [TINY.decode(row) for row in choices]
    assert len(set(found)) == len(found)
    assert TINY.smallest in found
