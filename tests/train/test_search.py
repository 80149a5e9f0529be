"""Once-for-all's way: the accuracy predictor, the evolutionary search under a budget, and the menu that it leaves."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from train.tiny import TINY, collected, drawings, interrupted_after, random_net, tiny_recipe  # noqa: E402

from eas_sdk.selector.menu import MenuSelector, load  # noqa: E402
from eas_sdk.selector.protocol import Request  # noqa: E402
from eas_sdk.space.architecture import Architecture, Block  # noqa: E402
from eas_sdk.space.elastic.gates import choices_of_gates, gates_of_choices  # noqa: E402
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
    architecture = Architecture(((Block(5, 2),), (Block(3, 4), Block(7, 3)), (Block(3, 2),)))
    (code,) = one_hot(TINY, TINY.encode([architecture]))
    kernels, ratios = code.reshape(2, 9, 3)
    assert kernels.argmax(1)[[0, 3, 4, 6]].tolist() == [1, 0, 2, 0]
    assert ratios.argmax(1)[[0, 3, 4, 6]].tolist() == [0, 2, 1, 0]
    present = [True, False, False, True, True, False, True, False, False]
    assert kernels.sum(1).astype(bool).tolist() == ratios.sum(1).astype(bool).tolist() == present


def preference(choices: IntArray) -> np.ndarray:
    """What a made-up superclass likes: each gate adds its own worth."""
    gates = gates_of_choices(TINY, choices)
    return np.asarray(0.5 + gates @ np.random.default_rng(1).normal(0, 0.02, gates.shape[1]))


def drawn(count: int, seed: int = 0) -> IntArray:
    rng = random.Random(seed)
    return TINY.encode([random_architecture(TINY, rng) for _ in range(count)])


def test_the_predictor_orders_networks_that_it_has_not_seen() -> None:
    train, test = drawn(300), drawn(100, seed=1)
    predictor = fit(TINY, train, preference(train), SMALL_SEARCH)
    assert np.corrcoef(predictor(test), preference(test))[0, 1] > 0.9


def within(most: float) -> Callable[[IntArray], BoolArray]:
    return lambda choices: np.asarray(madds_table(TINY).total(TINY, choices, 3) <= most)


@pytest.mark.parametrize("budget", [0.0, 0.3, 0.8])
def test_the_search_keeps_to_the_budget_and_beats_as_many_random_draws(budget: float) -> None:
    low, high = madds_range(TINY, 3)
    fits = within(low + budget * (high - low))
    found = evolve(TINY, preference, fits, SMALL_SEARCH, seed=0)
    assert fits(found[None]).all()
    again = evolve(TINY, preference, fits, SMALL_SEARCH, seed=0)
    assert TINY.decode(again) == TINY.decode(found)
    others = drawn(40 * 41, seed=2)
    others = others[fits(others)]
    best = preference(TINY.encode([TINY.decode(found)]))[0]
    if budget == 0:
        assert TINY.decode(found) == TINY.smallest
    else:
        assert best >= preference(others).max()


def measured(count: int = 200) -> Measured:
    """Two superclasses that want the contrary, on four drawings; the last is a training drawing."""
    choices = drawn(count)
    liked = preference(choices)
    scores = np.stack([liked, 1 - liked, liked, 1 - liked], 1)
    return Measured(choices, scores, np.array([0, 1, 0, 1]), np.array([False, False, True, True]), 1.0)


def given(folder: Path, search: SearchRecipe = SMALL_SEARCH) -> Given:
    net = random_net(TINY)
    recipe = Recipe(name="tiny", supernet=tiny_recipe(), selector="search", search=search)
    return Given(recipe, net, collected(net), measured, drawings(4, 1), Trained(), folder, "a")


def menu(folder: Path, search: SearchRecipe = SMALL_SEARCH) -> MenuSelector:
    made = select(given(folder, search))
    assert made.seconds > 0
    return load(TINY, 2, made.config, made.tensors)


def requests(fraction: float) -> list[Request]:
    low, high = madds_range(TINY, 3)
    return [Request(((t, 1),), 3, int(low + fraction * (high - low))) for t in range(2)]


def test_ofa_t_searches_for_each_superclass_and_ofa_v_once_for_all(tmp_path: Path) -> None:
    for_each = menu(tmp_path / "T")
    first, second = for_each.select(requests(0.7))
    liked = preference(TINY.encode([first, second]))
    assert liked[0] > 0.5 > liked[1]
    one = menu(tmp_path / "V", SMALL_SEARCH.model_copy(update={"per": "all"}))
    assert len(set(one.select(requests(0.7)))) == 1
    for selector in (for_each, one):
        for fraction in (0.0, 0.1, 0.3, 0.5, 1.0):
            for request, picked in zip(requests(fraction), selector.select(requests(fraction)), strict=True):
                assert madds_table(TINY).total(TINY, TINY.encode([picked]), 3)[0] <= request.madds


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
