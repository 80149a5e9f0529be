"""What classes are grouped into counts in every stage: a training goes on with the grouping that it began with."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from train.tiny import CPU, other_splits, splits, tiny_recipe  # noqa: E402

from eas_sdk.errors import TrainingError  # noqa: E402
from eas_train import checkpoint  # noqa: E402
from eas_train.data.imageset import ImageSet, Superclass  # noqa: E402
from eas_train.data.splits import Splits  # noqa: E402
from eas_train.pipeline import STAGES, Training  # noqa: E402
from eas_train.recipe import Recipe, StatisticsRecipe  # noqa: E402

RECIPE = Recipe(name="tiny", supernet=tiny_recipe(), statistics=StatisticsRecipe(networks=4, images=8))
DATA, OTHERS = splits(), other_splits()


def training(folder: Path, data: Splits = DATA, others: Splits = OTHERS, shared: bool = False) -> Training:
    return Training(RECIPE, data, folder, CPU, (), others, shared=shared)


def regrouped(images: Splits[ImageSet], superclasses: tuple[Superclass, ...]) -> Splits[ImageSet]:
    """The same images of the same classes, which belong to other superclasses."""
    parts = (images.train, images.validation, images.test)
    return Splits(*(dataclasses.replace(part, superclasses=superclasses) for part in parts))


def moved(superclasses: tuple[Superclass, ...]) -> tuple[Superclass, ...]:
    """The first class of the second superclass becomes the last of the first: the order of classes stays."""
    first, second, *rest = superclasses
    one, *others = second.class_names
    return (
        Superclass(first.name, (*first.class_names, one)),
        Superclass(second.name, tuple(others)),
        *rest,
    )


def renamed(superclasses: tuple[Superclass, ...]) -> tuple[Superclass, ...]:
    first, *rest = superclasses
    return (Superclass("another name", first.class_names), *rest)


@pytest.mark.parametrize("change", [moved, renamed])
def test_a_class_that_moved_and_a_superclass_of_another_name_change_every_stage(tmp_path: Path, change) -> None:
    others = OTHERS
    if change is renamed:  # which have to be of the same superclasses
        others = regrouped(OTHERS, renamed(OTHERS.superclasses))
    after = training(tmp_path, regrouped(DATA, change(DATA.superclasses)), others).fingerprints
    assert {stage for stage, found in training(tmp_path).fingerprints.items() if found != after[stage]} == set(STAGES)


def test_others_that_moved_change_the_router_and_the_bundle(tmp_path: Path) -> None:
    after = training(tmp_path, DATA, regrouped(OTHERS, moved(OTHERS.superclasses))).fingerprints
    changed = {stage for stage, found in training(tmp_path).fingerprints.items() if found != after[stage]}
    assert changed == {"router", "bundle"}


def test_a_training_is_refused_another_grouping_and_goes_on_with_its_own(tmp_path: Path) -> None:
    training(tmp_path).run(("supernet",))
    other = training(tmp_path, regrouped(DATA, moved(DATA.superclasses)))
    for stage in STAGES:
        with pytest.raises(TrainingError, match="its superclasses included"):
            other.run((stage,))
    training(tmp_path).run(("supernet", "statistics"))


def test_trainings_that_share_their_stages_have_one_of_each_grouping(tmp_path: Path) -> None:
    for data in (DATA, regrouped(DATA, moved(DATA.superclasses)), DATA):
        training(tmp_path, data, shared=True).run(("supernet",))
    assert len(list(tmp_path.glob("supernet-*"))) == len(list(tmp_path.glob("teacher-*"))) == 2


@pytest.mark.parametrize("shared", [False, True])
def test_a_training_that_began_before_superclasses_counted_goes_on(tmp_path: Path, shared: bool) -> None:
    """Its checkpoints carry fingerprints without them."""
    first = training(tmp_path, shared=shared)
    first.run(("supernet",))
    teacher = RECIPE.supernet.teacher()
    for stage, recipe, data in (
        ("supernet", RECIPE.supernet, (DATA.train, DATA.validation)),
        ("teacher", teacher, (DATA.train,)),
    ):
        if stage == "teacher" and not shared:
            continue
        before = recipe.fingerprint(*data, grouped=False)
        now = recipe.fingerprint(*data)
        place = tmp_path / f"{stage}-{now[:16]}" if shared else tmp_path
        state = checkpoint.load(place / "supernet.pt", recipe=now)
        checkpoint.save(place / "supernet.pt", {**state, "recipe": before})
        if shared:
            place.rename(tmp_path / f"{stage}-{before[:16]}")
    again = training(tmp_path, shared=shared)
    assert again.fingerprints["supernet"] != first.fingerprints["supernet"]
    again.run(("supernet", "statistics"))
    if shared:
        assert len(list(tmp_path.glob("supernet-*"))) == len(list(tmp_path.glob("teacher-*"))) == 1
    assert again.net.classes == len(DATA.classes)
