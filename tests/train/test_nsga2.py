"""NSGA-II over the supernet, and trainings by GreedyNAS and Cream from drawings to a bundle that runs."""

from __future__ import annotations

import dataclasses
import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from cell_spaces import RESIDUALS, SPACES  # noqa: E402
from train.test_strategy import CREAM, GREEDY, CellRecipe  # noqa: E402
from train.tiny import (  # noqa: E402
    CPU,
    GENTLE,
    SIZES,
    TINY,
    SizesRecipe,
    TinyRecipe,
    collected,
    drawings,
    random_net,
    sandwich,
    splits,
    tiny_recipe,
)

import eas_sdk  # noqa: E402
from eas_sdk.errors import InfeasibleBudget, TrainingError  # noqa: E402
from eas_sdk.latency.table import write  # noqa: E402
from eas_sdk.selector.menu import MenuSelector  # noqa: E402
from eas_sdk.space.architecture import Architecture  # noqa: E402
from eas_sdk.space.protocol import BoolArray, IntArray, Space  # noqa: E402
from eas_sdk.space.sample import random_architecture  # noqa: E402
from eas_sdk.space.tables import madds_range, madds_table  # noqa: E402
from eas_train.data.splits import Splits  # noqa: E402
from eas_train.pipeline import BUNDLE, REPORT, Training  # noqa: E402
from eas_train.recipe import BoardRecipe, BundleRecipe, Nsga2Recipe, Recipe, StatisticsRecipe  # noqa: E402
from eas_train.search import board, nsga2  # noqa: E402
from eas_train.selection import Given, Trained  # noqa: E402
from eas_train.supernet.model import Supernet  # noqa: E402
from eas_train.supernet.recipe import Phase, SupernetRecipe  # noqa: E402

SMALL = Nsga2Recipe(population=8, generations=6, budgets=(0.3, 0.8), views=1)


def liked(architecture: Architecture) -> float:
    """A judge that likes large kernels, whatever they cost."""
    return float(np.mean([block.kernel for block in architecture.blocks] or [0])) / 11


NARROW = dataclasses.replace(SIZES, largest=Architecture.parse("24px k3e1 | k3e3 k3e2 | k5e2 k3e4"))
ALL = {**SPACES, "tiny": TINY, "sizes": SIZES, "narrow": NARROW}


@pytest.mark.parametrize("space", ALL.values(), ids=ALL)
@pytest.mark.parametrize("budget", [0.0, 0.4, 1.0])
def test_a_front_keeps_the_budget_and_no_member_beats_another(space: Space, budget: float) -> None:
    low, high = madds_range(space, 1)
    most = low + budget * (high - low)

    def fits(choices: IntArray) -> BoolArray:
        return np.asarray(space.allowed(choices) & (madds_table(space).total(space, choices, 1) <= most))

    found = nsga2.front(space, liked, fits, (), SMALL.model_copy(update={"population": 24}), seed=1)
    assert found
    rows = space.encode(found)
    madds = madds_table(space).total(space, rows, 1)
    assert (madds <= most).all()
    scores = np.array([liked(architecture) for architecture in found])
    for i in range(len(found)):
        space.validate(found[i])
        beaten = (scores >= scores[i]) & (madds <= madds[i]) & ((scores > scores[i]) | (madds < madds[i]))
        assert not beaten.any()
    if budget == 1.0:
        rng = random.Random(0)
        others = [liked(random_architecture(space, rng)) for _ in range(8)]
        assert scores.max() >= 0.95 * max(others)


def test_the_first_population_is_the_pool_s_best_that_fits() -> None:
    rng = random.Random(5)
    pool = [random_architecture(RESIDUALS, rng) for _ in range(30)]
    low, high = madds_range(RESIDUALS, 1)
    seen: list[Architecture] = []

    def judge(architecture: Architecture) -> float:
        seen.append(architecture)
        return 0.5

    def fits(choices: IntArray) -> BoolArray:
        return np.asarray(madds_table(RESIDUALS).total(RESIDUALS, choices, 1) <= low + 0.5 * (high - low))

    nsga2.front(RESIDUALS, judge, fits, pool, SMALL, seed=0)
    fitting = [a for a in pool if fits(RESIDUALS.encode([a]))[0]]
    assert seen[: min(8, len(fitting))] == fitting[:8]


def given(folder: Path, recipe: Recipe, trained: Trained = Trained()) -> Given:  # noqa: B008  # frozen
    net = random_net(RESIDUALS)
    return Given(recipe, net, collected(net, 8), _unused, drawings(4, 1, 32), trained, folder, "a")


def _unused() -> Any:
    raise AssertionError("no measured networks are needed")


def recipe_of(**sections: Any) -> Recipe:
    supernet = CellRecipe.model_validate({"phases": (Phase(name="paths", steps=4, learning_rate=0.05),)})
    return Recipe(name="cells", supernet=supernet, **sections)


def test_accuracies_that_were_judged_are_not_judged_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = recipe_of(selector="nsga2", nsga2=SMALL)
    first = nsga2.select(given(tmp_path, recipe))
    kept = json.loads((tmp_path / nsga2.JUDGED).read_text())
    assert first.figures["judged"] == len(kept["accuracy"])
    assert first.seconds > kept["seconds"] > 0

    def fail(*_: object) -> None:
        raise AssertionError("judged twice")

    monkeypatch.setattr(nsga2, "logits_of", fail)
    again = nsga2.select(given(tmp_path, recipe))
    np.testing.assert_array_equal(first.tensors["choices"], again.tensors["choices"])
    assert again.seconds > kept["seconds"], "what judging took counts whenever it was done"
    (tmp_path / nsga2.JUDGED).write_text("{}")
    with pytest.raises(TrainingError, match="is damaged"):
        nsga2.select(given(tmp_path, recipe))
    (tmp_path / nsga2.JUDGED).write_text(json.dumps({"fingerprint": "b", "accuracy": {}, "seconds": 0.0}))
    with pytest.raises(TrainingError, match="belongs to another training"):
        nsga2.select(given(tmp_path, recipe))


def test_latencies_can_be_bounded_instead(tmp_path: Path) -> None:
    from latency.tables import random_table

    table = random_table(RESIDUALS, 3)
    write(table, tmp_path / "table.json")
    settings = SMALL.model_copy(update={"latency_table": str(tmp_path / "table.json"), "budgets": (0.3,)})
    made = nsga2.select(given(tmp_path, recipe_of(selector="nsga2", nsga2=settings)))
    choices = nsga2.cost_table(RESIDUALS, settings, 3)
    ends = RESIDUALS.encode([RESIDUALS.smallest, RESIDUALS.largest])
    fastest, slowest = choices.total(RESIDUALS, ends, 3)
    found = choices.total(RESIDUALS, made.tensors["choices"], 3)
    assert (found <= fastest + 0.3 * (slowest - fastest)).all()


def test_networks_are_judged_on_images_of_their_own_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    net, seen = random_net(SIZES), set()
    forward = Supernet.forward

    def spy(self: Supernet, images: torch.Tensor, architecture: Architecture, norm: object = None) -> torch.Tensor:
        seen.add((architecture.input_size, images.shape[-1]))
        return forward(self, images, architecture, norm)

    recipe = Recipe(name="sizes", supernet=tiny_recipe(SizesRecipe), selector="nsga2", nsga2=SMALL)
    made_for = Given(recipe, net, collected(net, 8), _unused, drawings(4, 1), Trained(), tmp_path, "a")
    monkeypatch.setattr(Supernet, "forward", spy)
    made = nsga2.select(made_for)
    assert seen == {(16, 16), (24, 24), (32, 32)}
    low, high = madds_range(SIZES, 3)
    assert (madds_table(SIZES).total(SIZES, made.tensors["choices"], 3) <= low + 0.8 * (high - low)).all()


def test_a_board_is_what_the_training_left_scored_for_all_or_for_each(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The measuring itself is that of the predictor's networks; here, networks differ at random."""
    made_up = np.random.default_rng(0).random((5, 24))
    monkeypatch.setattr(board, "measure", lambda _net, _statistics, listed, *_, **__: (made_up[: len(listed)], 1.0))
    rng = random.Random(0)
    left = tuple(random_architecture(RESIDUALS, rng) for _ in range(5))
    trained = Trained(left, 100, 333)
    for per in ("all", "superclass"):
        recipe = recipe_of(selector="board", board=BoardRecipe(per=per, views=1))
        made = board.select(given(tmp_path / per, recipe, trained))
        assert {RESIDUALS.decode(row) for row in made.tensors["choices"]} == set(left)
        scores = made.tensors["scores"]
        assert scores.shape == (2, len(set(left)))
        each = [made_up[: len(set(left)), part].mean(1) for part in (slice(0, 12), slice(12, 24))]
        expected = each if per == "superclass" else [np.mean(each, 0)] * 2
        np.testing.assert_allclose(scores, expected, rtol=1e-6)
        assert made.figures["corrected_optimisations"] == 200
    with pytest.raises(TrainingError, match="train with one that keeps architectures"):
        board.select(given(tmp_path, recipe_of(selector="board")))


# Whole trainings

TRAIN, VALIDATION, TEST = drawings(20, 0, 32), drawings(6, 1, 32), drawings(6, 2, 32)
CELLS = {
    "batch_size": 16,
    "augmentation": GENTLE,
    "checkpoint_every_s": 60,
    "phases": (Phase(name="paths", steps=60, learning_rate=0.1),),
}
WHOLE: dict[str, Recipe] = {
    "greedy, then NSGA-II": Recipe(
        name="greedy",
        supernet=CellRecipe.model_validate(CELLS | {"strategy": GREEDY | {"pool": 20}}),
        statistics=StatisticsRecipe(networks=16, images=32),
        selector="nsga2",
        nsga2=SMALL,
        bundle=BundleRecipe(views=1, budgets=2),
    ),
    "Cream's board": Recipe(
        name="cream",
        supernet=CellRecipe.model_validate(CELLS | {"strategy": CREAM | {"board": 4}}),
        statistics=StatisticsRecipe(networks=16, images=32),
        selector="board",
        board=BoardRecipe(views=1),
        bundle=BundleRecipe(views=1, budgets=2),
    ),
}


@pytest.mark.parametrize("name", WHOLE)
def test_from_drawings_to_a_bundle_that_runs(name: str, tmp_path: Path) -> None:
    recipe = WHOLE[name]
    training = Training(recipe, Splits(TRAIN, VALIDATION, TEST), tmp_path, CPU, ("numpy",))
    training.run()
    report = json.loads((tmp_path / REPORT).read_text())
    assert report["selector"]["way"] == recipe.selector
    assert report["selector"]["optimised_images"] == 60 * 16
    assert report["selector"]["evaluated_images"] > 0
    runtime = eas_sdk.load(tmp_path / BUNDLE)
    assert isinstance(runtime.selector, MenuSelector)
    assert runtime.bundle.space == runtime.bundle.space.narrowed(runtime.selector.architectures)
    low, high = runtime.budget_range("solids")
    images = (TEST.images[..., :3] * (TEST.images[..., 3:] > 0) + 255 * (TEST.images[..., 3:] == 0)).astype(np.uint8)
    for task, columns in (("solids", slice(0, 18)), ("lines", slice(18, 36))):
        model = runtime.specialize(task, high)
        assert model.madds <= high
        found = [prediction.label for prediction in model.predict(images[columns])]
        expected = [TEST.classes[t] for t in TEST.targets[columns]]
        assert np.mean([a == b for a, b in zip(found, expected, strict=True)]) > 0.4, "chance is a third"
    with pytest.raises(InfeasibleBudget):
        runtime.specialize("solids", low - 1)
    size = (tmp_path / BUNDLE).stat().st_mtime_ns
    Training(recipe, Splits(TRAIN, VALIDATION, TEST), tmp_path, CPU, ("numpy",)).run()
    assert (tmp_path / BUNDLE).stat().st_mtime_ns == size, "what is done is not done again"


def test_greedy_training_of_the_elastic_supernet_with_a_generator(tmp_path: Path) -> None:
    """A combination is a line of the recipe."""
    from train.test_pipeline import RECIPE

    phases = (sandwich(steps=12, sandwich=True, networks=3),)
    supernet: SupernetRecipe = TinyRecipe.model_validate(
        {"batch_size": 8, "augmentation": GENTLE, "phases": phases, "strategy": GREEDY}
    )
    recipe = RECIPE.model_copy(update={"supernet": supernet})
    training = Training(recipe, splits(), tmp_path, CPU)
    training.run(("supernet", "statistics", "predictor", "selector"))
    assert training.selection.config["kind"] == "generator"
    assert training.trained.evaluated_images > 0
