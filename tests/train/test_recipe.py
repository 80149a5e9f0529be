"""Recipes: the shipped ones load, mistakes are refused with the file's name, and steps fall into phases."""

from __future__ import annotations

from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from train.tiny import SizesRecipe, drawings, sandwich, tiny_recipe  # noqa: E402

import eas_train  # noqa: E402
from eas_sdk.errors import TrainingError  # noqa: E402
from eas_sdk.space.elastic.space import ElasticSpace  # noqa: E402
from eas_train.recipe import Recipe  # noqa: E402
from eas_train.supernet.recipe import SupernetRecipe  # noqa: E402

SHIPPED = sorted(path.stem for path in (Path(eas_train.__file__).parent / "recipes").glob("*.toml"))

MINIMAL = """
name = "mine"
[supernet]
[[supernet.phases]]
name = "teacher"
steps = 10
learning_rate = 0.1
"""


def test_there_is_a_shipped_recipe() -> None:
    assert "emoji" in SHIPPED


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_recipes_load_by_name_and_by_path(name: str) -> None:
    recipe = Recipe.read(name)
    assert recipe == Recipe.read(Path(eas_train.__file__).parent / "recipes" / f"{name}.toml")
    assert recipe.name == name
    assert recipe.supernet.search_space().largest
    space = recipe.supernet.search_space()
    taught = name.startswith("emoji") or isinstance(space, ElasticSpace)
    assert recipe.supernet.phases[0].largest_only == (taught and recipe.supernet.pretrained is None)


def test_a_recipe_that_is_nested_too_deeply_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"my recipe\.toml is not a recipe"):
        Recipe.read(written(tmp_path, "name = " + 3000 * "["))


def written(folder: Path, text: str) -> Path:
    path = folder / "my recipe.toml"
    path.write_text(text)
    return path


def test_what_a_file_leaves_out_has_a_default(tmp_path: Path) -> None:
    recipe = Recipe.read(written(tmp_path, MINIMAL))
    assert recipe.supernet.batch_size == 128
    assert recipe.generator.budgets == 10


@pytest.mark.parametrize(
    ("old", "new", "field"),
    [
        ('name = "mine"', 'name = "mine"\nseeds = 1', "seeds"),
        ("[supernet]", "[supernet]\nbatchsize = 3", "batchsize"),
        ("[supernet]", "[supernet]\naugmentation = {rotation = 3}", "rotation"),
        ("[supernet]", "[supernet]\naugmentation = {p_flip = 1.5}", "p_flip"),
        ("[supernet]", "[supernet]\naugmentation = {warp = -0.1}", "warp"),
        ("[supernet]", "[supernet]\naugmentation = {warp = inf}", "warp"),
        ("[supernet]", "[supernet]\npreset = 'huge'", "huge"),
        ("[supernet]", "[supernet]\nmomentum = 1.0", "momentum"),
        ("[supernet]", "[supernet]\nlabel_smoothing = 1.0", "label_smoothing"),
        ("[supernet]", "[supernet]\nseed = -1", "seed"),
        ("[supernet]", "[supernet]\nweight_decay = inf", "weight_decay"),
        ("[supernet]", "[supernet]\nclip_norm = 0", "clip_norm"),
        ("steps = 10", "steps = 0", "steps"),
        ("steps = 10", "steps = 2.5", "steps"),
        ("steps = 10", "", "steps"),
        ("learning_rate = 0.1", "learning_rate = -0.1", "learning_rate"),
        ("learning_rate = 0.1", "learning_rate = nan", "learning_rate"),
        ("learning_rate = 0.1", "learning_rate = 0.1\nsuperclass_dropout = 1.5", "superclass_dropout"),
        ("learning_rate = 0.1", "learning_rate = 0.1\ndepths = [5]", "depths"),
        ("learning_rate = 0.1", "learning_rate = 0.1\nkernels = [1]", "kernels"),
        ("learning_rate = 0.1", "learning_rate = 0.1\ninput_sizes = [48]", "input_sizes"),
        ("learning_rate = 0.1", "learning_rate = 0.1\nexpansions = [3, 5]", "expansions"),
        ("learning_rate = 0.1", "learning_rate = 0.1\nsort_tiers = [5]", "sort_tiers"),
        ("learning_rate = 0.1", "learning_rate = 0.1\nsandwich = true", "sandwich"),
        ("learning_rate = 0.1", "learning_rate = 0.1\nimage_size = 8", "image_size"),
        ("[supernet]", "[generator]\nbudgets = 1\n[supernet]", "budgets"),
        ("[supernet]", "[bundle]\nsamples = 5000\n[supernet]", "samples"),
        ("[supernet]", "[statistics]\nnetworks = 0\n[supernet]", "networks"),
        ("[supernet]", "[supernet", "line 3"),
    ],
)
def test_mistakes_are_refused_with_the_files_name_and_the_field(tmp_path: Path, old: str, new: str, field: str) -> None:
    assert old in MINIMAL
    path = written(tmp_path, MINIMAL.replace(old, new, 1))
    with pytest.raises(TrainingError) as caught:
        Recipe.read(path)
    assert str(path) in str(caught.value)
    assert field in str(caught.value)


SEVERAL = """
preset = "lite0"
[[supernet.phases]]
name = "some"
steps = 10
learning_rate = 0.1
input_sizes = [96, 224]
expansions = [4, 6]
depths = [1, 4]
"""


def test_a_phase_may_name_choices_that_single_units_have(tmp_path: Path) -> None:
    recipe = Recipe.read(written(tmp_path, f'name = "mine"\n[supernet]{SEVERAL}'))
    (phase,) = recipe.supernet.phases
    assert (phase.input_sizes, phase.depths, phase.kernels) == ((96, 224), (1, 4), ())
    for old, new, field in (("224", "200", "input_sizes"), ("4, 6", "2.5", "expansions"), ("1, 4", "5", "depths")):
        with pytest.raises(TrainingError, match=f"{field} of phase 'some' come from"):
            Recipe.read(written(tmp_path, f'name = "mine"\n[supernet]{SEVERAL.replace(old, new)}'))
    cells = SEVERAL.replace("lite0", "nse-small")
    with pytest.raises(TrainingError, match=r"'depths', 'expansions', 'input_sizes'.* are of elastic spaces"):
        Recipe.read(written(tmp_path, f'name = "mine"\n[supernet]{cells}'))


@pytest.mark.parametrize(
    ("given", "allowed", "most", "expected"),
    [
        ((), (2, 3, 4), 4, [2, 3, 4]),
        ((), (2, 3, 4), 3, [2, 3]),
        ((2, 4), (2, 3, 4), 4, [2, 4]),
        ((2, 4), (2, 3, 4), 3, [2]),
        ((4,), (2, 3, 4), 3, [3]),
        ((5, 6), (1,), 1, [1]),
    ],
)
def test_what_is_drawn_of_a_choice(
    given: tuple[int, ...], allowed: tuple[int, ...], most: int, expected: list[int]
) -> None:
    phase = sandwich(steps=1, depths=given)
    assert phase.options("depths", allowed, most) == expected


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "binary.toml"
    path.write_bytes(b"\xff\xfe\x00name")
    with pytest.raises(TrainingError, match=r"binary\.toml"):
        Recipe.read(path)


@pytest.mark.parametrize("source", ["nothing", "folder.toml", "no/such/file.toml"])
def test_an_unknown_name_is_refused_with_those_that_ship(tmp_path: Path, source: str) -> None:
    (tmp_path / "folder.toml").mkdir()
    with pytest.raises(TrainingError, match="emoji"):
        Recipe.read(tmp_path / source if source.endswith(".toml") else source)


def test_steps_fall_into_phases() -> None:
    recipe = tiny_recipe(phases=tuple(sandwich(steps=n, name=f"of {n}") for n in (3, 1, 2)))
    found = [(phase.name, at) for phase, at in map(recipe.phase_at, range(recipe.total_steps))]
    assert found == [("of 3", 0), ("of 3", 1), ("of 3", 2), ("of 1", 0), ("of 2", 0), ("of 2", 1)]
    with pytest.raises(IndexError):
        recipe.phase_at(recipe.total_steps)


def test_the_fingerprint_changes_with_what_changes_the_result() -> None:
    data = drawings(2, 0)
    recipe = tiny_recipe()
    same = tiny_recipe(checkpoint_every_s=9, mixed_precision=True)
    assert same.fingerprint(data) == recipe.fingerprint(data)
    others = [
        tiny_recipe(seed=1),
        tiny_recipe(weight_decay=0.0),
        tiny_recipe(phases=(sandwich(steps=4),)),
        SupernetRecipe.model_validate(recipe.model_dump() | {"phases": [{**PHASE, "steps": 6}]}),
        tiny_recipe(SizesRecipe),  # of another space
    ]
    made = {r.fingerprint(data) for r in others}
    made |= {recipe.fingerprint(drawings(3, 0)), recipe.fingerprint(drawings(2, 1))}
    assert len(made) == 7
    assert recipe.fingerprint(data) not in made


PHASE = {"name": "teacher", "learning_rate": 0.1}
