"""Whole searches of NSE: what they leave, how they go on when they were stopped, and the bundle they end in."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from cell_spaces import RESIDUALS  # noqa: E402
from train.test_nse import BLOCKS, LONGER, PHASE, SETTINGS  # noqa: E402
from train.test_strategy import CellRecipe  # noqa: E402
from train.tiny import CPU, GENTLE, TINY, drawings, interrupted_after  # noqa: E402

import eas_sdk  # noqa: E402
from eas_sdk.errors import TrainingError  # noqa: E402
from eas_sdk.space.architecture import Architecture  # noqa: E402
from eas_sdk.space.cells.space import CellSpace  # noqa: E402
from eas_sdk.space.protocol import Space  # noqa: E402
from eas_train import checkpoint  # noqa: E402
from eas_train.data.feed import random_images  # noqa: E402
from eas_train.data.splits import Splits  # noqa: E402
from eas_train.nse.fitness import mean_space  # noqa: E402
from eas_train.nse.history import HISTORY, Round, read_history, write_history  # noqa: E402
from eas_train.nse.retrieval import Judged  # noqa: E402
from eas_train.nse.rounds import evolve_space, round_supernets  # noqa: E402
from eas_train.pipeline import BUNDLE, Training  # noqa: E402
from eas_train.recipe import BoardRecipe, BundleRecipe, Recipe, StatisticsRecipe  # noqa: E402
from eas_train.strategy.trial import Trial  # noqa: E402
from eas_train.supernet.evaluate import logits_of, recalibrated, within_superclass  # noqa: E402
from eas_train.supernet.recipe import SupernetRecipe  # noqa: E402
from eas_train.supernet.train import train_over, train_supernet  # noqa: E402

TRAIN, VALIDATION, TEST = drawings(10, 0), drawings(5, 1), drawings(5, 2)


class EvolvedRecipe(SupernetRecipe):
    """Evolves the small space instead of a preset."""

    def search_space(self) -> Space:
        return LONGER


def recipe(**changes: Any) -> SupernetRecipe:
    settings: dict[str, Any] = {
        "batch_size": 8,
        "checkpoint_every_s": 0,
        "augmentation": GENTLE,
        "phases": (PHASE,),
        "strategy": SETTINGS,
    }
    return EvolvedRecipe.model_validate(settings | changes)


def final(folder: Path) -> dict[str, Any]:
    state = checkpoint.load(folder / "supernet.pt", recipe=recipe().fingerprint(TRAIN, VALIDATION))
    assert state is not None
    return state


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("nse")
    evolve_space(recipe(), TRAIN, VALIDATION, folder, CPU)
    return folder


def test_a_search_leaves_its_rounds_and_the_last_front(searched: Path) -> None:
    (unit, rounds), state = read_history(searched), final(searched)
    assert unit == "M multiply-adds"
    assert len(rounds) >= 2
    assert {text for text, _ in state["left"]} == {str(j.architecture) for j in rounds[-1].front}
    assert state["finished"]
    for one, following in itertools.pairwise(rounds):
        for c in range(3):
            used = {block for j in one.front for block in j.architecture.units[c]}
            assert used <= set(following.searched[c]), "what the best had is inherited"
            assert used <= set(following.alive[c]), "and locked"
        assert {j.architecture for j in one.front} <= {j.architecture for j in following.judged}, "and rehearsed"
    assert state["strategy"]["optimised_images"] == len(rounds) * 6 * 8
    assert state["seconds"] > 0


def test_every_round_keeps_the_weights_that_its_front_was_judged_with(searched: Path) -> None:
    _, rounds = read_history(searched)
    nets = round_supernets(recipe(), TRAIN, VALIDATION, searched, CPU)
    assert len(nets) == len(rounds)
    images = random_images(TRAIN, 24, 24, GENTLE, CPU, 0)
    for one, net in zip(rounds, nets, strict=True):
        trial = Trial(net, VALIDATION, CPU)
        for judged in one.front:
            logits = logits_of(net, judged.architecture, trial.images, recalibrated(net, judged.architecture, images))
            right = within_superclass(logits, trial.targets, trial.superclass_of)
            assert float(right.float().mean()) == pytest.approx(judged.accuracy, abs=1e-6)


@pytest.mark.parametrize("inherit", [True, False])
def test_a_round_may_begin_with_the_weights_of_the_last(inherit: bool, tmp_path: Path) -> None:
    """The second round's weights do not move."""
    still = recipe(strategy=SETTINGS | {"inherit_weights": inherit}, phases=(PHASE.model_copy(update={"steps": 1}),))
    evolve_space(still, TRAIN, VALIDATION, tmp_path, CPU)
    one, other = round_supernets(still, TRAIN, VALIDATION, tmp_path, CPU)[:2]
    before, after = (
        {name: value for name, value in net.state_dict().items() if name.endswith("project-weight")}
        for net in (one, other)
    )
    common = before.keys() & after.keys()
    assert common
    assert common < after.keys()
    near = {name for name in common if torch.allclose(before[name], after[name], atol=0.02)}
    assert (near == common) == inherit


@pytest.mark.parametrize("training", [1, 2])
def test_a_search_that_was_stopped_in_a_training_goes_on_exactly(
    searched: Path, training: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[int] = []
    with monkeypatch.context() as patch:

        def counted(*arguments: Any, **named: Any) -> Any:
            begun.append(1)
            if len(begun) == training:
                patch.setattr("eas_train.supernet.train.progress", interrupted_after(3))
            return train_over(*arguments, **named)

        patch.setattr("eas_train.nse.rounds.train_over", counted)
        with pytest.raises(KeyboardInterrupt):
            evolve_space(recipe(), TRAIN, VALIDATION, tmp_path, CPU)
    evolve_space(recipe(), TRAIN, VALIDATION, tmp_path, CPU)
    assert (tmp_path / HISTORY).read_bytes() == (searched / HISTORY).read_bytes()
    one, other = final(searched), final(tmp_path)
    assert one["left"] == other["left"]
    assert all(torch.equal(one["net"][name], other["net"][name]) for name in one["net"])


def test_from_drawings_to_a_bundle_that_runs(tmp_path: Path) -> None:
    whole = Recipe(
        name="nse",
        supernet=recipe(
            phases=(PHASE.model_copy(update={"steps": 40, "learning_rate": 0.1}),),
            strategy=SETTINGS | {"rounds": 2},
            batch_size=16,
        ),
        statistics=StatisticsRecipe(networks=10, images=24),
        selector="board",
        board=BoardRecipe(views=1),
        bundle=BundleRecipe(views=1, budgets=2),
    )
    data = Splits(TRAIN, VALIDATION, TEST)
    Training(whole, data, tmp_path, CPU, ("numpy",)).run()
    runtime = eas_sdk.load(tmp_path / BUNDLE)
    space = runtime.bundle.space
    assert isinstance(space, CellSpace)
    assert space == space.narrowed(runtime.selector.architectures)
    low, high = runtime.budget_range("lines")
    assert 0.19e6 < low <= high < 0.5e6
    model = runtime.specialize("lines", high)
    assert np.isfinite(model.logits(np.zeros((1, 24, 24, 3), np.uint8))).all()
    assert len(read_history(tmp_path)[1]) <= 2  # it may end before: rounding decides what is dropped
    before = (tmp_path / "supernet.pt").stat().st_mtime_ns
    Training(whole, data, tmp_path, CPU, ("numpy",)).run()
    assert (tmp_path / "supernet.pt").stat().st_mtime_ns == before


def test_what_cannot_evolve_is_told(tmp_path: Path) -> None:
    for space, words in ((TINY, "is a ElasticSpace"), (RESIDUALS, "a CellSpace of residuals")):
        with pytest.raises(TrainingError, match=words):
            mean_space(space)
    residual = CellRecipe.model_validate({"phases": (PHASE,), "strategy": SETTINGS})
    with pytest.raises(TrainingError, match="joined as means"):
        evolve_space(residual, TRAIN, VALIDATION, tmp_path, CPU)
    with pytest.raises(TrainingError, match="in rounds"):
        train_supernet(recipe(), TRAIN, tmp_path, CPU, validation=VALIDATION)
    with pytest.raises(TrainingError, match="a cell has only 7"):
        evolve_space(recipe(strategy=SETTINGS | {"candidates": 9}), TRAIN, VALIDATION, tmp_path, CPU)


def test_a_history_is_read_as_it_was_written(tmp_path: Path) -> None:
    judged = tuple(Judged(Architecture.parse(text), 0.25, 0.5) for text in ("k3e1 | - | 1x5e1", "k3d2e1 k5e1 | - | -"))
    rounds = [Round((BLOCKS[:3], BLOCKS, BLOCKS[1:]), (BLOCKS[:1], (), BLOCKS[1:2]), judged[:1], judged)]
    write_history(tmp_path, "ms", rounds)
    assert read_history(tmp_path) == ("ms", rounds)


@pytest.mark.parametrize(
    "content", [None, "", "[]", '{"unit": "ms"}', '{"unit": "ms", "rounds": [{}]}', '{"unit": "ms", "rounds": 3}']
)
def test_a_history_that_is_none_is_told(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / HISTORY).write_text(content)
    with pytest.raises(TrainingError, match="has no such file" if content is None else "is damaged"):
        read_history(tmp_path)
