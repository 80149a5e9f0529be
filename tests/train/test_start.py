"""Trainings that begin with a bundle: what they begin as, a classifier of new classes, and the way to a bundle."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from train.tiny import (  # noqa: E402
    CPU,
    GENTLE,
    SIZES,
    architectures,
    drawings,
    equal_states,
    random_bundle,
    random_images,
    sandwich,
    splits,
)

import eas_sdk  # noqa: E402
from eas_sdk.errors import TrainingError  # noqa: E402
from eas_train.bundle import save, to_supernet  # noqa: E402
from eas_train.data.fixed_views import fixed_views  # noqa: E402
from eas_train.pipeline import Training  # noqa: E402
from eas_train.recipe import Recipe  # noqa: E402
from eas_train.start import Start  # noqa: E402
from eas_train.supernet.classifier import begin_classifier, fitted, seen_by  # noqa: E402
from eas_train.supernet.evaluate import logits_of  # noqa: E402
from eas_train.supernet.recipe import ClassifierRecipe, SupernetRecipe  # noqa: E402
from eas_train.supernet.resize import images_for  # noqa: E402
from eas_train.supernet.train import train_supernet  # noqa: E402

CLASSES = tuple(f"new {i}" for i in range(5))


@pytest.fixture(scope="module")
def start() -> Start:
    return Start(random_bundle(SIZES))


def test_features_are_those_of_the_bundle_s_networks_on_the_device(start: Start) -> None:
    """Weights and statistics: every member computes what slicing computes, but for the classifier."""
    net, (old, model) = start.supernet(CLASSES), to_supernet(start.bundle)
    images = random_images(SIZES, 4, 1)
    for architecture in architectures(SIZES, 10, seed=4):
        seen = images_for(SIZES, architecture, images)
        with torch.no_grad():
            logits, features = net.answer(seen, architecture)
            _, expected = old.answer(seen, architecture, model.norm(architecture))
        assert logits.shape == (4, len(CLASSES))
        torch.testing.assert_close(features, expected, rtol=1e-3, atol=1e-4)


def test_classes_that_the_bundle_knows_keep_their_rows(start: Start) -> None:
    labels = start.bundle.labels
    net, (old, _) = start.supernet(("new", labels[4], labels[1])), to_supernet(start.bundle)
    for suffix in ("weight", "bias"):
        rows, known = net.tensor(f"classifier.{suffix}"), old.tensor(f"classifier.{suffix}")
        assert torch.equal(rows[1:], known[[4, 1]])
        assert (rows[0] == 0).all()


def test_a_fitted_classifier_is_the_best_for_all_networks_together() -> None:
    generator = torch.Generator().manual_seed(0)
    truth = torch.randn(3, 8, generator=generator)
    features = torch.randn(2, 300, 8, generator=generator) * 5 + 3
    targets = (features[0] @ truth.T).argmax(1)
    features[1] = features[0] + 0.1 * torch.randn(300, 8, generator=generator)
    weight, bias = fitted(features, targets, 3, 1e-4)
    for each in features:
        assert ((each @ weight.T + bias).argmax(1) == targets).float().mean() > 0.95
    small, _ = fitted(features, targets, 3, 1.0)
    assert small.norm() < 0.2 * weight.norm()


def test_only_the_classifier_is_fitted_and_it_knows_the_classes(start: Start) -> None:
    data = drawings(20, 0, 48)
    net, other = start.supernet(data.classes), start.supernet(data.classes)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    settings = ClassifierRecipe(views=2)
    begin_classifier(net, data, settings, GENTLE, CPU)
    begin_classifier(other, data, settings, GENTLE, CPU)
    assert equal_states(net, other), "the same again"
    moved = {name for name, value in net.state_dict().items() if not torch.equal(value, before[name])}
    assert moved == {"tensors.classifier-weight", "tensors.classifier-bias"}
    images, targets = fixed_views(drawings(8, 1, 48), 1, 32, CPU)
    assert net.learned is not None
    for architecture in seen_by(net.space):
        logits = logits_of(net, architecture, images, net.learned.norm(architecture))
        assert (logits.argmax(1) == targets).float().mean() > 0.3, "six classes, random weights"


def own(**changes: object) -> SupernetRecipe:
    settings = {
        "pretrained": "bundle",
        "normalisation": "learned",
        "classifier": ClassifierRecipe(views=1),
        "space": SIZES.to_json(),
        "batch_size": 8,
        "augmentation": GENTLE,
        "checkpoint_every_s": 0,
    }
    return SupernetRecipe.model_validate(settings | changes)


def test_the_classifier_alone_or_all_of_it_is_trained(start: Start, tmp_path: Path) -> None:
    data = drawings(6, 0, 48)
    alone = train_supernet(own(), data, tmp_path / "alone", CPU, origin=start)
    again = train_supernet(own(), data, tmp_path / "alone", CPU, origin=start)
    assert equal_states(alone, again)
    longer = own(phases=(sandwich(steps=2, superclass_dropout=0.0),))
    net = train_supernet(longer, data, tmp_path / "all", CPU, origin=start)
    assert not torch.equal(net.tensor("stem.weight"), alone.tensor("stem.weight"))
    with pytest.raises(TrainingError, match="belongs to another recipe or data set"):
        train_supernet(own(), data, tmp_path / "alone", CPU, origin=Start(random_bundle(SIZES, seed=1)))


def test_from_a_bundle_to_a_bundle_and_from_that_again(tmp_path: Path) -> None:
    first = random_bundle(SIZES)
    save(first, tmp_path / "first.safetensors")
    recipe = Recipe.model_validate(
        {
            "name": "own",
            "supernet": own(),
            "predictor": {"networks": 12, "views": 1},
            "generator": {"steps": 2, "objective": "predictor"},
            "router": {"steps": 2},
            "bundle": {"views": 1, "budgets": 2},
        }
    )
    origin = Start(eas_sdk.load(tmp_path / "first.safetensors").bundle)
    Training(recipe, splits(), tmp_path / "run", CPU, origin=origin).run()
    made = eas_sdk.load(tmp_path / "run" / "bundle.safetensors")
    assert made.tasks == ("solids", "lines")
    model = made.specialize("solids", made.budget_range("solids")[1])
    assert len(model.predict(np.zeros((1, 32, 32, 3), np.uint8))) == 1
    again = Start(made.bundle).supernet(CLASSES)
    assert again.classes == len(CLASSES)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"classifier": None}, "at least one phase"),
        ({"pretrained": None, "normalisation": "batch"}, "features of trained weights"),
        ({"pretrained": "nothing"}, "or 'bundle'; got 'nothing'"),
    ],
)
def test_recipes_that_do_not_fit(changes: dict[str, object], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        own(**changes)
