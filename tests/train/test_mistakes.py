"""A mistake in a recipe is told in one short line: where, what stands there, and what would be allowed."""

from __future__ import annotations

from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from eas_sdk.errors import TrainingError  # noqa: E402
from eas_train.recipe import Recipe  # noqa: E402
from eas_train.study.config import Study  # noqa: E402

RECIPE = """name = "mine"
[supernet]
batch_size = 8
[[supernet.phases]]
name = "teacher"
steps = 10
learning_rate = 0.1
[router]
"""

MISTAKES = [
    ('name = "mine"', 'selectr = "search"', "selectr is unknown; did you mean 'selector'?"),
    ("batch_size = 8", "batch_sise = 8", "supernet.batch_sise is unknown; did you mean 'batch_size'?"),
    ("steps = 10", "stesp = 10", "supernet.phases['teacher'].stesp is unknown; did you mean 'steps'?"),
    (
        "steps = 10",
        "steps = 10\nrarity = 0.5",
        "['teacher'].rarity is unknown; it belongs in [supernet]",
    ),
    ("batch_size = 8", "sandwich = true", "supernet.sandwich is unknown; it belongs in [[supernet.phases]]"),
    ("[router]", "[rooter]", "rooter is unknown; did you mean 'router'?"),
    ("steps = 10", "", "supernet.phases['teacher'].steps is missing"),
    ("batch_size = 8", 'batch_size = "many"', "supernet.batch_size is 'many'; it should be a whole number"),
    ("batch_size = 8", "batch_size = 8.5", "supernet.batch_size is 8.5; it should be a whole number"),
    ("batch_size = 8", "batch_size = 0", "supernet.batch_size is 0; it should be greater than 0"),
    ("learning_rate = 0.1", "learning_rate = nan", "learning_rate is nan; it should be a finite number"),
    ("[router]", "[router]\nshares = [1, 'a', 0]", "router.shares[1] is 'a'; it should be a number"),
    ("[[supernet.phases]]", "[supernet.phases]", "it should be a list of tables, [[supernet.phases]]"),
    ("[router]", "[bundle]\nviews = {}", "bundle.views is {}; it should be a whole number"),
    ('name = "mine"', 'name = "mine"\nboard = 3', "board is 3; it should be a table"),
    ('name = "mine"', 'name = "mine"\nselector = "serach"', "selector is 'serach'; did you mean 'search'?"),
    ("batch_size = 8", 'preset = "smal"', "no preset is called 'smal'; did you mean 'small'"),
    ("batch_size = 8", 'pretrained = "lite1"', "got 'lite1'; did you mean 'lite0'?"),
    ("batch_size = 8", "space = { input_size = [32] }", "no field 'input_size'; did you mean 'input_sizes'?"),
    ("batch_size = 8", 'strategy.kind = "gready"', "supernet.strategy.kind is 'gready'; did you mean 'greedy'?"),
    ("batch_size = 8", "strategy.images = 4", "it should be a table with a kind, 'uniform', 'greedy', 'cream', 'nse'"),
    (
        "batch_size = 8",
        "strategy = { kind = 'greedy', smapled = 3 }",
        "supernet.strategy.smapled is unknown; did you mean 'sampled'?",
    ),
    ("batch_size = 8", "augmentation.kind = 'foto'", "supernet.augmentation.kind is 'foto'; did you mean 'photo'?"),
    ("batch_size = 8", "augmentation = 'photo'", "is 'photo'; it should be a table with a kind, 'drawing', 'photo'"),
    (
        "batch_size = 8",
        "augmentation = { kind = 'photo', p_filp = 1 }",
        "supernet.augmentation.p_filp is unknown; did you mean 'p_flip'?",
    ),
    ("steps = 10", "steps 10", "(at line 6, column 7): steps 10"),
    ("steps = 10", "steps = 10\nsteps = 11", "(at line 7, column 11): steps = 11"),
    ("batch_size = 8", "batch_sise = 8\nbatsch_size = 8", "did you mean 'batch_size'? (and 1 more)"),
]


@pytest.mark.parametrize(("old", "new", "said"), MISTAKES, ids=[new for _, new, _ in MISTAKES])
def test_a_mistake_is_told_in_one_short_line(tmp_path: Path, old: str, new: str, said: str) -> None:
    path = tmp_path / "mine.toml"
    assert old in RECIPE
    path.write_text(RECIPE.replace(old, new, 1))
    with pytest.raises(TrainingError) as caught:
        Recipe.read(path)
    text = str(caught.value)
    assert text.startswith(f"{path} is not a recipe")
    assert said in text
    assert "\n" not in text
    assert len(text.removeprefix(str(path))) < 200


def test_the_closest_name_of_a_recipe_is_told() -> None:
    with pytest.raises(TrainingError, match=r"got 'tiny-imagnet'; did you mean 'tiny-imagenet'"):
        Recipe.read("tiny-imagnet")


def test_mistakes_in_a_study_are_told_alike(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text("name = 'a'\nrecipe = 'emoji'\nreference = 'b'\n[[methods]]\nname = 'b'\nsupernt = 'c'\n")
    with pytest.raises(TrainingError, match=r"study: methods\['b'\].supernt is unknown; did you mean 'supernet'\?"):
        Study.read(path)
    path.write_text(
        "name = 'a'\nrecipe = 'emoji'\nreference = 'b'\n[[methods]]\nname = 'b'\nsettings = { generator.stesp = 1 }\n"
    )
    study = Study.read(path)
    with pytest.raises(TrainingError, match=r"no valid recipe: generator.stesp is unknown; did you mean 'steps'\?"):
        study.training_recipe(study.methods[0], 0, 0)
