"""One real training, from drawings to a bundle that classifies drawings it has not seen."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from train.tiny import (  # noqa: E402
    CPU,
    SIZES,
    SUPERCLASSES,
    TINY,
    SizesRecipe,
    drawings,
    other_splits,
    others,
    random_bundle,
    sandwich,
    splits,
    tiny_recipe,
)

import eas_sdk  # noqa: E402
from eas_sdk.bank.bundle import read  # noqa: E402
from eas_sdk.errors import DataError, InputError, TrainingError  # noqa: E402
from eas_sdk.router.network import NONE  # noqa: E402
from eas_sdk.space.architecture import Architecture  # noqa: E402
from eas_train.accuracy import accuracy_table  # noqa: E402
from eas_train.bundle import save  # noqa: E402
from eas_train.data.splits import Splits  # noqa: E402
from eas_train.data.views import views  # noqa: E402
from eas_train.pipeline import BUNDLE, REPORT, STAGES, Training  # noqa: E402
from eas_train.recipe import (  # noqa: E402
    BundleRecipe,
    GeneratorRecipe,
    PredictorRecipe,
    Recipe,
    RouterRecipe,
    SearchRecipe,
    StatisticsRecipe,
)
from eas_train.report.page import PAGE  # noqa: E402
from eas_train.supernet.evaluate import logits_of  # noqa: E402
from eas_train.supernet.recipe import Phase  # noqa: E402

RECIPE = Recipe(
    name="tiny",
    supernet=tiny_recipe(
        batch_size=16,
        dropout=0.0,
        checkpoint_every_s=60,
        phases=(
            Phase(name="teacher", steps=60, learning_rate=0.1, largest_only=True, image_size=16),
            sandwich(steps=50, learning_rate=0.05, sort_channels=True, superclass_dropout=0.3),
        ),
    ),
    statistics=StatisticsRecipe(networks=12, images=32),
    predictor=PredictorRecipe(networks=20, views=1),
    generator=GeneratorRecipe(
        steps=50, requests=2, batch_size=8, budgets=4, embedding=8, hidden=16, learning_rate=0.02
    ),
    router=RouterRecipe(
        steps=60, warmup_steps=5, batch_size=32, depth=1, expansion=1, statistics_batches=1, checkpoint_every_s=0
    ),
    bundle=BundleRecipe(samples=16, prune_budgets=20, views=2, budgets=3),
)
DATA, OTHERS = splits(), other_splits()


def training(folder: Path, data: Splits = DATA, attributions: tuple[str, ...] = ("numpy",)) -> Training:
    return Training(RECIPE, data, folder, CPU, attributions, OTHERS)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished training."""
    made = tmp_path_factory.mktemp("training")
    training(made).run()
    return made


@pytest.fixture(scope="module")
def report(folder: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((folder / REPORT).read_text())
    return loaded


def test_the_bundle_classifies_drawings_it_has_not_seen(folder: Path) -> None:
    runtime = eas_sdk.load(folder / BUNDLE)
    assert runtime.tasks == ("solids", "lines")
    unseen = drawings(10, seed=99)
    images = views(unseen.images, 1, TINY.input_sizes[0], seed=1)[:, 0]
    for superclass in SUPERCLASSES:
        top = runtime.budget_range(superclass.name)[1]
        model = runtime.specialize(superclass.name, top)
        assert model.labels == superclass.class_names
        mine = [i for i, target in enumerate(unseen.targets) if unseen.classes[target] in model.labels]
        found = [prediction.label for prediction in model.predict(images[mine])]
        right = np.mean([label == unseen.classes[unseen.targets[i]] for label, i in zip(found, mine, strict=True)])
        assert right > 0.7  # chance is a third


def test_the_router_picks_the_superclass_and_knows_what_is_none(folder: Path, report: dict[str, Any]) -> None:
    runtime = eas_sdk.load(folder / BUNDLE)
    router = runtime.checked_router()
    assert router.superclasses == ("solids", "lines")
    assert router.graph.labels[2:] == (NONE,)
    assert 0.25 < router.threshold < 1
    unseen, odd = drawings(10, seed=99), others(10, seed=99)
    known, strange = (views(part.images, 1, TINY.input_sizes[0], seed=1)[:, 0] for part in (unseen, odd))
    compiled = router.compile()
    right = [
        r.top[0][0] == SUPERCLASSES[t // 3].name for r, t in zip(compiled.routes(known), unseen.targets, strict=True)
    ]
    assert np.mean(right) > 0.9
    assert np.mean([r.known for r in compiled.routes(known)]) > 0.7
    assert np.mean([r.known for r in compiled.routes(strange[odd.targets == 2])]) < 0.3
    assert router.cost.madds < runtime.budget_range("solids")[0]
    figures = report["router"]
    assert figures == runtime.bundle.training["router"]
    assert figures["validation_superclass_top1"] > 0.9
    assert figures["validation_rejection_auc"] > 0.8
    labels = [p.label for p in runtime.specialize("auto", "100%").predict(known)]
    assert np.mean([label == unseen.classes[t] for label, t in zip(labels, unseen.targets, strict=True)]) > 0.6


def test_the_report_has_the_accuracies_of_every_budget(folder: Path, report: dict[str, Any]) -> None:
    table = report["accuracy"]
    assert [row["budget_fraction"] for row in table] == [0.0, 0.5, 1.0]
    madds = [row["mean_madds"] for row in table]
    assert madds == sorted(madds)
    for row in table:
        by_superclass = row["test_top1_by_superclass"]
        assert list(by_superclass) == ["solids", "lines"]
        assert row["test_top1"] == pytest.approx(np.mean(list(by_superclass.values())), abs=1e-3)
        assert 0 <= row["validation_top1"] <= 1
        assert 0 <= row["test_top1_of_all"] <= row["test_top1"], "more classes are not easier"
    assert table[-1]["test_top1"] > 0.7
    assert report["selector"]["way"] == "generator"
    assert -1 <= report["selector"]["predictor_rank_correlation"] <= 1
    assert report["bytes_float32"] > report["bytes_float16"] >= report["bytes_pruned"]
    assert report["bytes_file"] == (folder / BUNDLE).stat().st_size


def test_the_bundle_says_how_it_was_trained(folder: Path, report: dict[str, Any]) -> None:
    bundle = read(folder / BUNDLE)
    assert bundle.name == "tiny"
    assert bundle.attributions == ("numpy",)
    assert bundle.training["accuracy"] == report["accuracy"]
    assert bundle.training["recipe"]["supernet"]["phases"][1]["superclass_dropout"] == 0.3


def test_the_bundle_carries_images_that_exports_are_proved_on(folder: Path, tmp_path: Path) -> None:
    runtime = eas_sdk.load(folder / BUNDLE)
    pictures = runtime.bundle.pictures
    assert pictures is not None
    assert [c // 3 for c in pictures.calibration] == [0] * 3 + [1] * 3
    assert [c // 3 for c in pictures.proof] == [0] * 16 + [1] * 16
    pytest.importorskip("ai_edge_litert")
    made = runtime.specialize("lines", "50%").export(tmp_path / "a.tflite", precision="int8")
    assert made.proof is not None
    assert made.proof.images == 64


@pytest.mark.parametrize("trained", [True, False])
def test_the_reports_accuracies_are_those_of_the_bundle_on_the_device(
    folder: Path, report: dict[str, Any], trained: bool, tmp_path: Path
) -> None:
    """Of the trained bundle, which is hardly ever wrong, and of one with random weights, which mostly is."""
    table, path = report["accuracy"], folder / BUNDLE
    if not trained:
        bundle, path = random_bundle(seed=3), tmp_path / BUNDLE
        table = accuracy_table(bundle, DATA, RECIPE.bundle, CPU)
        save(bundle, path)
        assert len({share for row in table for share in row["test_top1_by_superclass"].values()}) > 2
    runtime = eas_sdk.load(path)
    made = views(DATA.test.images, RECIPE.bundle.views, TINY.input_sizes[0], seed=0)
    for t, superclass in enumerate(SUPERCLASSES):
        low, high = runtime.budget_range(superclass.name)
        mine = np.flatnonzero(DATA.test.targets // 3 == t)
        images = made[mine].reshape(-1, *made.shape[2:])
        targets = np.repeat(DATA.test.targets[mine] - 3 * t, RECIPE.bundle.views)
        for row in table:
            model = runtime.specialize(superclass.name, int(low + row["budget_fraction"] * (high - low)))
            found = float((model.logits(images).argmax(1) == targets).mean())
            # torch and the engine sum in another order: one image on the edge may fall to the other side.
            assert found == pytest.approx(row["test_top1_by_superclass"][superclass.name], abs=1.1 / len(images))


@pytest.mark.parametrize(("selector", "kind"), [("search", "menu"), ("random", "random")])
def test_other_selectors_end_in_a_bundle_like_any_other(
    folder: Path, report: dict[str, Any], selector: str, kind: str, tmp_path: Path
) -> None:
    for name in ("supernet.pt", "statistics.pt", "measured.json", "router.pt"):
        shutil.copy(folder / name, tmp_path / name)
    search = SearchRecipe(budgets=(0.3, 0.8), population=10, generations=5, epochs=20, hidden=(16,))
    recipe = RECIPE.model_copy(update={"selector": selector, "search": search})
    made = dataclasses.replace(training(tmp_path), recipe=recipe).run()
    assert made["selector"] == ({"way": "search", "searches": 4} if selector == "search" else {"way": "random"})
    runtime = eas_sdk.load(tmp_path / BUNDLE)
    assert runtime.bundle.selector == {"kind": kind}
    unseen = drawings(10, seed=99)
    images = views(unseen.images, 1, TINY.input_sizes[0], seed=1)[:, 0]
    for superclass in SUPERCLASSES:
        for share in (0, 30, 80, 100):
            model = runtime.specialize(superclass.name, f"{share}%")
            low, high = runtime.budget_range(superclass.name)
            assert model.madds <= low + share / 100 * (high - low)
            assert model.predict(images)[0].label in superclass.class_names


def contents(folder: Path) -> dict[str, tuple[int, bytes]]:
    return {path.name: (path.stat().st_mtime_ns, path.read_bytes()) for path in folder.iterdir()}


def test_a_finished_training_does_nothing(folder: Path, report: dict[str, Any]) -> None:
    before = contents(folder)
    assert training(folder).run() == report
    again = training(folder)
    assert again.run(("bundle",)) == report
    assert "net" not in vars(again)  # not even the supernet was loaded
    assert contents(folder) == before


def test_a_lost_or_damaged_report_is_made_again_from_what_is_there(folder: Path, report: dict[str, Any]) -> None:
    before = contents(folder)
    for damage in (lambda path: path.unlink(), lambda path: path.write_bytes(b"{")):
        damage(folder / REPORT)
        assert training(folder).run() == report
    after = contents(folder)
    assert after[BUNDLE][1] == before[BUNDLE][1]
    assert all(after[name] == before[name] for name in before if name not in (BUNDLE, REPORT, PAGE))


def test_a_damaged_bundle_is_made_again(folder: Path, report: dict[str, Any]) -> None:
    before = contents(folder)
    whole = before[BUNDLE][1]
    for damage in (lambda path: path.unlink(), lambda path: path.write_bytes(whole[: len(whole) // 2])):
        damage(folder / BUNDLE)
        assert training(folder).run(("bundle",)) == report
        assert (folder / BUNDLE).read_bytes() == whole
    after = contents(folder)
    assert all(after[name] == before[name] for name in before if name not in (BUNDLE, REPORT, PAGE))


def test_each_stage_depends_on_its_data_and_settings_and_all_before(tmp_path: Path) -> None:
    def fingerprints(**changes: Any) -> dict[str, str]:
        return dataclasses.replace(training(tmp_path), **changes).fingerprints

    def differing(**changes: Any) -> tuple[str, ...]:
        one, other = fingerprints(), fingerprints(**changes)
        return tuple(stage for stage in STAGES if one[stage] != other[stage])

    def recipe(**changes: Any) -> Recipe:
        return RECIPE.model_copy(update=changes)

    assert differing() == ()
    assert differing(attributions=("me",)) == STAGES[5:]
    assert differing(recipe=recipe(name="other")) == STAGES[5:]
    assert differing(data=dataclasses.replace(DATA, test=drawings(8, 7))) == STAGES[5:]
    assert differing(others=None) == STAGES[4:]
    assert differing(others=dataclasses.replace(OTHERS, train=others(8, 7))) == STAGES[4:]
    assert differing(recipe=recipe(router=RouterRecipe())) == STAGES[4:]
    assert differing(data=dataclasses.replace(DATA, validation=drawings(8, 7))) == STAGES[2:]
    assert differing(data=dataclasses.replace(DATA, train=drawings(30, 7))) == STAGES
    assert differing(recipe=recipe(generator=GeneratorRecipe())) == ("selector", "bundle")
    assert differing(recipe=recipe(selector="random")) == ("selector", "bundle")
    assert differing(recipe=recipe(search=SearchRecipe(seed=1))) == ()  # a generator does not search
    assert differing(recipe=recipe(statistics=StatisticsRecipe())) == tuple(s for s in STAGES[1:] if s != "router")


def test_a_stage_before_its_turn_and_an_unknown_one_are_refused(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="run the supernet stage"):
        training(tmp_path).run(("predictor",))
    with pytest.raises(InputError, match="did you mean 'bundle'"):
        training(tmp_path).run(("supernet", "bundel"))
    assert not list(tmp_path.iterdir())  # refused before the first stage began


@pytest.mark.parametrize("split", ["validation", "test"])
def test_a_superclass_without_drawings_to_measure_on_is_refused(tmp_path: Path, split: str) -> None:
    part = getattr(DATA, split)
    lacking = dataclasses.replace(DATA, **{split: part.take(np.flatnonzero(part.targets < 3))})
    with pytest.raises(DataError, match=f"{split} drawings.*lines"):
        training(tmp_path, lacking)


# Over images of several sizes

SIZED = Recipe(
    name="sizes",
    supernet=tiny_recipe(
        SizesRecipe,
        batch_size=16,
        dropout=0.0,
        checkpoint_every_s=60,
        phases=(
            Phase(name="teacher", steps=60, learning_rate=0.1, largest_only=True, image_size=16),
            sandwich(steps=60, learning_rate=0.05, networks=4, sort_channels=True, superclass_dropout=0.3),
        ),
    ),
    statistics=StatisticsRecipe(networks=24, images=32),
    predictor=RECIPE.predictor,
    generator=RECIPE.generator.model_copy(update={"objective": "predictor", "steps": 100, "learning_rate": 0.03}),
    router=RECIPE.router,
    bundle=RECIPE.bundle,
)


@pytest.fixture(scope="module")
def sized(tmp_path_factory: pytest.TempPathFactory) -> Training:
    """A finished training over images of three sizes."""
    made = Training(SIZED, DATA, tmp_path_factory.mktemp("sized"), CPU, ("numpy",), OTHERS)
    made.run()
    return made


def accuracy(model: eas_sdk.Model, superclass: int) -> float:
    """On views that were not seen, as large as the largest images of the bank: the model brings them to its size."""
    unseen = drawings(10, seed=99)
    mine = np.flatnonzero(unseen.targets // 3 == superclass)
    images = views(unseen.images[mine], 1, 32, seed=1)[:, 0]
    found = [prediction.label for prediction in model.predict(images)]
    return float(np.mean([label == unseen.classes[t] for label, t in zip(found, unseen.targets[mine], strict=True)]))


def test_networks_of_several_sizes_come_from_one_bank(sized: Training) -> None:
    """The whole bundle computes what the supernet does; its networks of every size know drawings."""
    path = sized.folder / "whole.safetensors"
    save(sized.whole_bundle(), path)
    runtime = eas_sdk.load(path)
    unseen = drawings(4, seed=98)
    for size in SIZES.input_sizes:
        for units in (SIZES.largest.units, SIZES.smallest.units):
            architecture = Architecture(units, size)
            for t, superclass in enumerate(SUPERCLASSES):
                model = runtime.build(superclass.name, architecture)
                assert model.input_size == size
                assert accuracy(model, t) > 0.6  # chance is a third
                shown = views(unseen.images, 1, size, seed=3)[:, 0]
                images = torch.from_numpy(shown).permute(0, 3, 1, 2).float() / 255
                norm = sized.statistics.norm(architecture)
                expected = logits_of(sized.net, architecture, images, norm)[:, 3 * t : 3 * t + 3].numpy()
                scale = float(np.abs(expected).max())
                np.testing.assert_allclose(model.logits(shown), expected, rtol=0, atol=2e-3 * scale)


def test_budgets_pick_images_of_several_sizes(sized: Training) -> None:
    bundle = sized.folder / BUNDLE
    report = json.loads((sized.folder / REPORT).read_text())
    runtime = eas_sdk.load(bundle)
    assert report["largest"] == str(runtime.bundle.space.largest)
    for t, superclass in enumerate(SUPERCLASSES):
        sizes = []
        for share in (0, 25, 50, 75, 100):
            model = runtime.specialize(superclass.name, f"{share}%")
            low, high = runtime.budget_range(superclass.name)
            assert model.madds <= low + share / 100 * (high - low)
            assert model.input_size == model.architecture.input_size
            sizes.append(model.input_size)
        assert accuracy(model, t) > 0.7
        assert sizes[0] == 16
        assert sizes[-1] > 16
    assert report["accuracy"][-1]["test_top1"] > 0.7
    router = runtime.checked_router()
    assert router.graph.input_size == 16
    assert report["router"]["validation_superclass_top1"] > 0.8
    before = contents(sized.folder)
    again = Training(SIZED, DATA, sized.folder, CPU, ("numpy",), OTHERS)
    assert again.run() == report
    assert contents(sized.folder) == before
