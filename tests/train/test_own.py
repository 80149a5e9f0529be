"""Photos of one's own without a recipe: what is trained follows their number, from a bundle or from nothing."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from bundles import random_bundle
from PIL import Image

torch = pytest.importorskip("torch")

from train.tiny import SIZES, TINY  # noqa: E402

import eas_sdk  # noqa: E402
import eas_train  # noqa: E402
from eas_sdk.errors import InputError  # noqa: E402
from eas_train import own  # noqa: E402
from eas_train.estimate import Estimate  # noqa: E402
from eas_train.recipe import Recipe  # noqa: E402
from eas_train.run_folder import Run  # noqa: E402

CLASSES = ("red", "green", "blue")


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Twelve photos of each of three classes, whose colours they are."""
    rng = np.random.default_rng(0)
    for c, name in enumerate(CLASSES):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for i in range(12):
            pixels = rng.integers(0, 90, (40, 50, 3), np.uint8)
            pixels[..., c] += 150
            Image.fromarray(pixels).save(tmp_path / "photos" / name / f"{i}.jpg")
    return tmp_path / "photos"


@pytest.fixture
def few_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(own, "STEPS", {own.TRANSFER: (4, 6), own.SCRATCH: (6, 8)})
    quick = {"generator": {"steps": 2}, "predictor": {"networks": 11}, "statistics": {"networks": 3, "images": 4}}
    read = Recipe.read.__func__  # type: ignore[attr-defined]

    def shortened(cls: type[Recipe], source: str) -> Recipe:
        recipe = read(cls, source)
        return recipe.model_copy(
            update={name: getattr(recipe, name).model_copy(update=change) for name, change in quick.items()}
            | {"supernet": recipe.supernet.model_copy(update={"batch_size": 4})}
            | {"router": recipe.router.model_copy(update={"steps": 2, "warmup_steps": 0, "batch_size": 4})}
        )

    monkeypatch.setattr(Recipe, "read", classmethod(shortened))


@pytest.mark.usefixtures("few_steps")
def test_a_folder_of_photos_is_enough_and_its_bundle_is_a_start_again(photos: Path, tmp_path: Path) -> None:
    bundle = random_bundle(tmp_path)
    report = eas_train.train(photos, start=bundle, out=tmp_path / "first", device="cpu")
    runtime = report.runtime()
    assert runtime.bundle.name == "photos"
    assert runtime.labels("photos") == ("blue", "green", "red")
    assert runtime.bundle.space.input_sizes[-1] == eas_sdk.load(bundle).bundle.space.input_sizes[-1]
    assert set(eas_sdk.load(bundle).bundle.attributions) <= set(runtime.bundle.attributions)
    assert (tmp_path / "first" / "training.html").is_file()
    kept = json.loads((tmp_path / "first" / "run.json").read_text())
    assert [phase["steps"] for phase in kept["recipe"]["supernet"]["phases"]] == [6]
    again = eas_train.train(photos, start=tmp_path / "first", out=tmp_path / "second", device="cpu", stages="supernet")
    assert [stage["stage"] for stage in again.stages] == ["supernet"]


@pytest.mark.usefixtures("few_steps")
def test_from_nothing(photos: Path, tmp_path: Path) -> None:
    report = eas_train.train(photos, start="scratch", out=tmp_path / "run", device="cpu", stages="supernet")
    kept = Run.read(report.folder)
    assert kept.recipe.supernet.pretrained is None
    assert sum(phase.steps for phase in kept.recipe.supernet.phases) in range(6, 10)


def test_nothing_is_begun_with_is_said_once(photos: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="without --recipe"):
        eas_train.train(photos, recipe="emoji", start="scratch", out=tmp_path / "run")


def test_few_photos_leave_the_weights_alone_and_many_move_them_a_little() -> None:
    recipe = Recipe.read("own")
    few, many = own.sized(recipe, SIZES, 150), own.sized(recipe, SIZES, 5000)
    assert few.supernet.frozen
    assert few.supernet.total_steps == 100
    assert not many.supernet.frozen
    assert many.supernet.total_steps == 1250
    assert many.supernet.phases[0].learning_rate < few.supernet.phases[0].learning_rate
    assert own.sized(recipe, SIZES, 10**6).supernet.total_steps == 2000
    assert few.router.input_size == 32, "the next that the space has"
    assert own.sized(recipe, TINY, 150).router.input_size == 24
    scratch = own.sized(Recipe.read("own-scratch"), SIZES, 5000)
    assert scratch.supernet.total_steps == pytest.approx(60 * 5000 / 64, rel=0.01)
    assert scratch.router.input_size is None


@pytest.mark.usefixtures("few_steps")
def test_minutes_are_measured_once_and_a_resumed_training_keeps_its_steps(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def train(minutes: float) -> Recipe:
        bundle = random_bundle(tmp_path)
        eas_train.train(photos, start=bundle, out=tmp_path / "run", device="cpu", stages="supernet", minutes=minutes)
        return Run.read(tmp_path / "run").recipe

    monkeypatch.setattr("eas_train.estimate.estimate", lambda _: Estimate((2.0,), 40.0, 10**6))
    first = train(1)
    assert first.supernet.total_steps == 10
    monkeypatch.setattr("eas_train.estimate.estimate", lambda _: Estimate((1.0,), 40.0, 10**6))
    assert train(1) == first
