"""Looks at validation images while a supernet is trained, and the weights that scored best."""

from __future__ import annotations

from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from train.tiny import CPU, drawings, equal_states, interrupted_after, sandwich, tiny_recipe  # noqa: E402

from eas_sdk.errors import TrainingError  # noqa: E402
from eas_train import step_log  # noqa: E402
from eas_train.report.live import PAGE, LivePage  # noqa: E402
from eas_train.supernet.model import Supernet  # noqa: E402
from eas_train.supernet.train import load_supernet, train_supernet  # noqa: E402
from eas_train.supernet.validation import BEST, LOG, looks, mean_top1  # noqa: E402

TRAIN, VALIDATION = drawings(8, 0), drawings(4, 1)
PHASES = (sandwich(steps=30, name="good"), sandwich(steps=10, name="ruin", learning_rate=30.0, distillation=0.0))
RECIPE = tiny_recipe(phases=PHASES, keep="best", dropout=0.0)


def train(folder: Path, **changes: object) -> Supernet:
    recipe = RECIPE.model_copy(update=changes)
    return train_supernet(recipe, TRAIN, folder, CPU, validation=VALIDATION, watched=True)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A training whose second phase ruins what the first has learned."""
    made = tmp_path_factory.mktemp("whole")
    train(made)
    return made


def test_the_smallest_the_middle_and_the_largest_are_looked_at_from_beginning_to_end(folder: Path) -> None:
    found = step_log.read(folder / LOG)
    assert [look["step"] for look in found] == [0, 10, 20, 30, 40]
    for look in found:
        assert list(look["members"]) == ["smallest", "middle", "largest"]
        assert all(0 <= member["top1"] <= member["within_superclass"] <= 1 for member in look["members"].values())
    assert mean_top1(found[0]) < mean_top1(found[3])


def test_the_best_weights_are_those_that_are_gone_on_with(folder: Path) -> None:
    found = step_log.read(folder / LOG)
    best = max(found, key=mean_top1)
    assert 0 < best["step"] < 40
    kept = torch.load(folder / BEST, weights_only=True)
    assert kept["step"] == best["step"]
    net = load_supernet(RECIPE, TRAIN, folder, CPU, VALIDATION)
    for name, tensor in net.state_dict().items():
        assert torch.equal(tensor, kept["net"][name])
    with pytest.raises(TrainingError, match="another recipe"):
        load_supernet(RECIPE.model_copy(update={"keep": "last"}), TRAIN, folder, CPU, VALIDATION)


def test_looking_changes_nothing(folder: Path, tmp_path: Path) -> None:
    looked = train(tmp_path / "looked", keep="last")
    blind = train_supernet(RECIPE.model_copy(update={"keep": "last"}), TRAIN, tmp_path / "blind", CPU)
    assert equal_states(looked, blind)
    assert not (tmp_path / "blind" / LOG).exists()


@pytest.mark.parametrize("step", [10, 33])
def test_an_interrupted_training_takes_the_same_looks(
    step: int, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("eas_train.supernet.train.progress", interrupted_after(step))
        with pytest.raises(KeyboardInterrupt):
            train(tmp_path)
    train(tmp_path)
    assert step_log.read(tmp_path / LOG) == step_log.read(folder / LOG)
    assert (
        torch.load(tmp_path / BEST, weights_only=True)["step"] == torch.load(folder / BEST, weights_only=True)["step"]
    )


def test_the_best_weights_need_images_to_choose_by(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="validation images"):
        train_supernet(RECIPE, TRAIN, tmp_path, CPU)


def test_a_longer_training_is_looked_at_more_often_and_on_more_images() -> None:
    short, long = (looks(tiny_recipe(batch_size=128, phases=(sandwich(steps=steps),))) for steps in (100, 30_000))
    assert short == (7, 219)
    assert long == (20, 1000)
    assert looks(tiny_recipe(phases=(sandwich(steps=1),))) == (1, 4), "a dry run"


def test_the_page_shows_where_the_training_is(folder: Path) -> None:
    page = LivePage("mine", folder, RECIPE)
    page.write()
    text = (folder / PAGE).read_text()
    assert "Step 40 of 40" in text
    assert "http-equiv='refresh'" in text
    assert text.count("<tr>") == 1 + 5
    page.write(finished=True)
    assert "refresh" not in (folder / PAGE).read_text()
